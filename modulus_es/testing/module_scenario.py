"""Given what happened, when a message is handled, then exactly this follows: for modules."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import isawaitable
from typing import Any, Self
from uuid import UUID

from modulus_es.clock import VirtualClock
from modulus_es.domain import Aggregate, DomainEvent
from modulus_es.envelope import Envelope
from modulus_es.mapper import upcast
from modulus_es.messages import Command, IntegrationEvent, Query
from modulus_es.module import Module
from modulus_es.naming import qualified_name, stable_name
from modulus_es.records import codec_of
from modulus_es.result import Error, Failure, Result, Success
from modulus_es.stores.rows import OutboxRow
from modulus_es.testing.happenings import difference
from modulus_es.testing.history import History
from modulus_es.testing.telling import complain, told

_UNSAID: Any = object()


class ModuleGiven:
    """What happened in a module; `given` makes it.

    ``history`` may hold events (a class, an object or `happened` with fields)
    and aggregates that nobody saved: they are stored, and no handler hears of
    them. Commands are sent, integration events are handled, and functions are
    called with the module; what follows from these belongs to the history too.

    >>> import asyncio
    >>> from modulus_es import Aggregate, Command, IntegrationEvent, System, UnitOfWork, event
    >>> from modulus_es.testing import given, happened
    >>> class Order(Aggregate):
    ...     @event("Placed")
    ...     def __init__(self, total: int) -> None: ...
    ...     @event("Shipped")
    ...     def ship(self) -> None: ...
    >>> class OrderShipped(IntegrationEvent):
    ...     order_id: UUID
    >>> class ShipOrder(Command[None]):
    ...     order_id: UUID
    >>> orders = System(seed=7).module("orders")
    >>> @orders.handles(ShipOrder)
    ... async def ship_order(command: ShipOrder, uow: UnitOfWork) -> None:
    ...     (await uow.get(Order, command.order_id)).ship()
    >>> @orders.projects(Order.Shipped)
    ... def order_shipped(shipped: Order.Shipped) -> OrderShipped:
    ...     return OrderShipped(shipped.originator_id)
    >>> order = Order(42)
    >>> async def test() -> None:
    ...     scenario = given(orders, order).when(ShipOrder(order.id))
    ...     await scenario.then(events=[Order.Shipped], published=[OrderShipped(order.id)])
    >>> asyncio.run(test())
    """

    def __init__(self, module: Module, history: tuple[Any, ...]) -> None:
        self.module, self._history = module, history
        self._seconds = 0.0

    def after(self, seconds: float) -> Self:
        """Let virtual time pass before what is done, and what is due meanwhile happen."""
        self._seconds += seconds
        return self

    def when(self, *messages: Any) -> ModuleWhen:
        """Send commands and queries, let events be handled, or call functions of the module.

        Nothing happens before one of the ``then`` methods is awaited. Several are
        done one after the other; the result is the last one's.
        """
        return ModuleWhen(self.module, self._history, self._seconds, messages)

    def __repr__(self) -> str:
        return f"<given {self.module.name}: {told(self._history)}>"


class ModuleWhen:
    """What is done with a module; await one of the ``then`` methods.

    >>> from modulus_es import Query, System
    >>> from modulus_es.testing import given
    >>> class CountOrders(Query[int]): ...
    >>> given(System(seed=7).module("orders")).when(CountOrders())
    <given orders: nothing, when CountOrders()>
    """

    def __init__(
        self, module: Module, history: tuple[Any, ...], seconds: float, messages: tuple[Any, ...]
    ) -> None:
        self._module, self._history = module, history
        self._seconds, self._messages = seconds, messages

    async def then(
        self,
        *,
        events: Sequence[Any] = _UNSAID,
        published: Sequence[Any] = _UNSAID,
        result: Any = _UNSAID,
        dead: Sequence[str] = (),
    ) -> ModuleOutcome:
        """Do it, and compare: exactly these events and messages followed, in this order.

        ``events`` are what the module recorded, ``published`` what it put into
        its outbox, commands for other modules included. ``result`` is a value,
        an `Error`, a `Result`, or one of the classes `Success` and `Failure`.
        ``dead`` names the handlers that gave up. What is left out is not
        compared, but a `Failure` or a dead letter that nobody expects is never
        passed over. Raises `AssertionError` that shows the difference.
        """
        outcome = await self._do()
        self._compare_result(outcome.result, result)
        if sorted(dead) != sorted(outcome.dead):
            lines = [f"{handler}: {error}" for handler, error in outcome.dead.items()]
            said = f"then {told(sorted(outcome.dead))} gave up, not {told(sorted(dead))}:"
            raise complain(self._story(), said, lines)
        for what, wanted, found in (
            ("events", events, outcome.events),
            ("messages", published, outcome.published),
        ):
            if wanted is not _UNSAID and (lines := difference(wanted, found)):
                said = f"then other {what} than expected (- expected, + happened):"
                raise complain(self._story(), said, lines)
        return outcome

    async def then_nothing(self) -> ModuleOutcome:
        """Do it; no event and no message followed."""
        return await self.then(events=[], published=[])

    async def then_fails(self, kind: str = "", match: str = "") -> ModuleOutcome:
        """Do it; it answered a `Failure` of that kind, with ``match`` in its text, and no more."""
        outcome = await self.then(events=[], published=[], result=Failure)
        for error in outcome.result.errors:
            if kind in ("", error.kind) and match in error.message:
                return outcome
        raise complain(self._story(), f"then it answered {outcome.result!r}, not {kind} {match!r}")

    async def then_raises(self, error: type[Exception], match: str = "") -> Exception:
        """Do it; it raised such an error, whose text has ``match``. Answers the error."""
        try:
            outcome = await self._do()
        except error as raised:
            if match not in str(raised):
                said = f"then the error said {str(raised)!r}, not {match!r}"
                raise complain(self._story(), said) from raised
            return raised
        said = f"then it raised nothing, not {error.__name__}, and answered {outcome.result!r}"
        raise complain(self._story(), said)

    def __repr__(self) -> str:
        return f"<{self._story()}>".replace("\n", ", ")

    def _story(self) -> str:
        given = f"given {self._module.name}: {told(self._history)}"
        later = f"\nafter {self._seconds:g} s" if self._seconds else ""
        return f"{given}{later}\nwhen {told(self._messages)}"

    async def _do(self) -> ModuleOutcome:
        module = self._module
        if not isinstance(module.system.clock, VirtualClock):
            raise TypeError("given(module) needs a system on the virtual clock: leave out clock=")
        with module.system.current_here():
            await self._let_happen()
            if self._seconds:
                await module.system.advance(self._seconds)
            before = _Marks(module)
            result: Any = None
            for message in self._messages:
                result = await _do_one(module, message)
            return before.since(result)

    async def _let_happen(self) -> None:
        past = History()
        for said in self._history:
            if isinstance(said, Aggregate):
                past.take(said)
            elif _is_done(said):
                await self._store(past)
                answer = await _do_one(self._module, said)
                if isinstance(answer, Failure):
                    raise complain(self._story(), f"given: {said!r} answered {answer!r}")
            else:
                past.add(said)
        await self._store(past)

    async def _store(self, past: History) -> None:
        module = self._module
        for event in past.events:
            module.learn(type(event).__aggregate__)
        rows = [module.mapper.row_of(event) for event in past.events]
        past.events.clear()
        if rows:
            await module.store.commit(rows, [])

    def _compare_result(self, found: Any, wanted: Any) -> None:
        if wanted is _UNSAID:
            agrees = not isinstance(found, Failure)
            wanted = "a success"
        elif isinstance(wanted, type) and issubclass(wanted, Result):
            agrees = isinstance(found, wanted)
        else:
            if isinstance(wanted, Error):
                wanted = Failure(wanted)
            elif not isinstance(wanted, Result):
                wanted = Success(wanted)
            agrees = found == wanted
        if not agrees:
            raise complain(self._story(), f"then it answered {found!r}, not {wanted!r}")


class ModuleOutcome:
    """What followed in a module.

    ``events`` are the new domain events, ``published`` the new messages of its
    outbox, as objects; ``result`` is what the last command or query answered,
    ``dead`` maps the handlers that gave up to their errors.

    >>> ModuleOutcome([], [], None, {})
    <nothing happened, nothing published>
    """

    def __init__(
        self, events: list[Any], published: list[Any], result: Any, dead: dict[str, str]
    ) -> None:
        self.events, self.published, self.result, self.dead = events, published, result, dead

    def __repr__(self) -> str:
        result = "" if self.result is None else f", {self.result!r}"
        return f"<{told(self.events)} happened, {told(self.published)} published{result}>"


class _Marks:
    """How far a module was, to tell what is new afterwards."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._events = max((each.id for each in module.stored_events()), default=0)
        self._rows = max((row.position for row in module.outbox), default=0)
        self._dead = {letter[:3] for letter in self._letters()}

    def since(self, result: Any) -> ModuleOutcome:
        module = self._module
        events = [
            module.mapper.to_domain_event(stored)
            for stored in module.stored_events(self._events + 1)
        ]
        rows = [row for row in module.outbox if row.position > self._rows]
        dead = {letter[2]: letter[3] for letter in self._letters() if letter[:3] not in self._dead}
        return ModuleOutcome(events, [_message(module, row) for row in rows], result, dead)

    def _letters(self) -> list[tuple[str, str, str, str]]:
        return [
            (row.envelope.source, row.envelope.message_id, row.handler, str(row.last_error))
            for row in self._module.inbox
            if row.dead_at is not None
        ]


def _is_done(said: Any) -> bool:
    """Whether a part of the history is to be done, and not only to have happened."""
    if isinstance(said, Command | Query | IntegrationEvent):
        return True
    return callable(said) and not isinstance(said, type)


async def _do_one(module: Module, message: Any) -> Any:
    if isinstance(message, Command):
        return await module.send(message)
    if isinstance(message, Query):
        return await module.query(message)
    if isinstance(message, IntegrationEvent):
        return await _handle(module, message)
    if isinstance(message, DomainEvent):
        return await module.publish(message)
    if isinstance(message, type) or not callable(message):
        raise TypeError(
            f"a command, a query, an event or a function of the module is done, not {message!r}"
        )
    answer = message(module)
    return await answer if isawaitable(answer) else answer


async def _handle(module: Module, event: IntegrationEvent) -> None:
    """Let a module handle an integration event as if it came over the bus."""
    cls = type(event)
    if not module.subscribers.get(stable_name(cls)):
        raise AssertionError(f"no handler in {module.name} for {qualified_name(cls)}")
    envelope = Envelope(
        message_id=str(event.event_id),
        kind="event",
        type=module.system.contracts.learn(cls),
        version=cls.class_version,
        body=codec_of(cls).encode(vars(event)),
        source="given",
        key=event.correlation_id or str(event.event_id),
        occurred_on=event.occurred_on,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
    )
    await module.consumer.receive([envelope])
    await module.system.run()


def _message(module: Module, row: OutboxRow) -> Any:
    """The message of a row of the outbox, as an object of its class."""
    envelope = row.envelope
    cls: Any = module.system.contracts.get(envelope.type)
    message = object.__new__(cls)
    message.__dict__.update(codec_of(cls).decode(upcast(cls, envelope.version, envelope.body)))
    if envelope.kind == "event":
        message.__dict__.update(
            event_id=UUID(envelope.message_id),
            occurred_on=envelope.occurred_on,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.causation_id,
        )
    return message
