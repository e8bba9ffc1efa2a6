"""A module: one bounded context with its store, its mediator and its handlers."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload
from uuid import UUID

from modulus_es.bindings import Bindings
from modulus_es.boxes import DeadLetter, Inbox, Outbox, dead_letters
from modulus_es.bus import MessageBus
from modulus_es.consumer import Consumer
from modulus_es.dispatcher import STRATEGIES, Dispatcher, Strategy
from modulus_es.domain import Aggregate, DomainEvent, RecordedEvent, event_classes
from modulus_es.errors import DeserializationError, StaleSystemError
from modulus_es.handlers import Handler
from modulus_es.leases import ClaimClock
from modulus_es.mapper import EventMapper, Recorded
from modulus_es.mediator import Mediator
from modulus_es.messages import Command, IntegrationEvent, Query, StreamQuery
from modulus_es.naming import Registry
from modulus_es.projector import replay
from modulus_es.registrations import Registrations
from modulus_es.repository import Repository
from modulus_es.result import Result
from modulus_es.retry import Retry
from modulus_es.surrounding import Surrounding, with_behaviors
from modulus_es.turns import give_way
from modulus_es.unit_of_work import UnitOfWork, in_unit

if TYPE_CHECKING:
    from modulus_es.stores.port import Store
    from modulus_es.system import System

A = TypeVar("A", bound=Aggregate)
T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., Any])


class Module:
    """One bounded context of a system; made by `System.module`.

    Modules share contracts, never aggregates. Registering something again, as a
    cell does that runs twice, replaces it in its place. ``mediator`` and
    ``bus`` are its own; ``publish_strategy`` says how the handlers of its
    domain events are run: sequential, parallel or stop_on_first_failure.

    >>> import asyncio
    >>> from modulus_es import System, event
    >>> orders = System(seed=7).module("orders")
    >>> class Order(Aggregate):
    ...     @event("Placed")
    ...     def __init__(self, total: int) -> None:
    ...         self.total = total
    >>> @orders.on(Order.Placed)
    ... def say(placed: Order.Placed) -> None:
    ...     print(placed)
    >>> asyncio.run(orders.save(Order(42)))
    Order.Placed(total=42)
    >>> orders
    Module('orders': 1 event handler)
    """

    def __init__(self, system: System, name: str, store: Store) -> None:
        self.system, self.name, self.store = system, name, store
        self.queue = None if system.group_commit < 2 else store.commit_queue(system.group_commit)
        self.registry = Registry(f"module {name}")
        mapper_class = type("ModuleMapper", (EventMapper,), {"registry": self.registry})
        self.mapper = cast("EventMapper", store.factory.mapper(mapper_class=mapper_class))
        self.repository = Repository(self, self.mapper)
        self.registrations = Registrations(self)
        self.dispatcher = Dispatcher(self)
        self._short_ways = self.dispatcher.short
        self.behaviors: list[Surrounding] = []
        self.mediator = Mediator(self)
        self.bus = MessageBus(self)
        self.consumer = Consumer(self)
        clock = ClaimClock(system.clock)
        self.outbox, self.inbox = Outbox(store, clock), Inbox(store, clock)
        self._bindings = Bindings(system)

    # What it does

    def send(
        self, command: Command[T], *, retry_conflicts: int | None = None
    ) -> Coroutine[Any, Any, Result[T]]:
        """`Mediator.send` of this module; await it."""
        return self.mediator.send(command, retry_conflicts=retry_conflicts)

    def query(self, query: Query[T]) -> Coroutine[Any, Any, Result[T]]:
        """`Mediator.query` of this module; await it."""
        return self.mediator.query(query)

    def stream(self, query: StreamQuery[T]) -> AsyncIterator[T]:
        """`Mediator.stream` of this module."""
        return self.mediator.stream(query)

    def publish(
        self, event: DomainEvent, strategy: Strategy | None = None
    ) -> Coroutine[Any, Any, object]:
        """`Mediator.publish`, at once: ``uow.mediator.publish`` belongs to a unit of work."""
        if self._bindings.held:
            self.check_not_stale()
        way = self._short_ways.get(type(event))
        if way is not None and strategy is None:
            return way(event)
        return self.dispatcher.publish(event, strategy)

    async def save(self, *aggregates: Aggregate) -> None:
        """Save aggregates in a unit of work of their own.

        Raises `ConcurrencyError` where one was changed by somebody else since it
        was loaded, `SerializationError` naming a field that cannot be stored, and
        `PublishError` where it was saved and handlers failed afterwards.
        """
        if self.system.turns.due():
            await give_way()
        uow = self.unit_of_work()
        uow.add(*aggregates)
        await in_unit(uow, None)

    async def get(self, cls: type[A], id: UUID, version: int | None = None) -> A:
        """Load an aggregate, as it is or as it was at ``version``.

        Raises `AggregateNotFoundError`.
        """
        self.check_not_stale()
        return await self.repository.get(cls, id, version)

    def unit_of_work(self) -> UnitOfWork:
        """A unit of work: it commits at the end of the block, and undoes what raised."""
        self.check_not_stale()
        return UnitOfWork(self)

    async def replay(self, projector: Any, since: datetime | int | None = None) -> int:
        """Project history again into the outbox; answers how many messages.

        ``projector`` is the registered function, class or its name; ``since`` a
        time or a position. The same events give the same messages, byte for
        byte, so that consumers recognise the ones that they had.
        """
        self.check_not_stale()
        return await replay(self, projector, since)

    def dead_letters(self) -> list[DeadLetter]:
        """What this module gave up; `System.replay_dead_letters` brings it back."""
        return list(dead_letters(self.store))

    def stored_events(self, start: int = 1) -> Iterator[Any]:
        """The recorded events as they are stored, in order of position."""
        position: int | None = start
        while position is not None:
            batch = self.store.recorder.select_notifications(position, 1000)
            yield from batch
            position = batch[-1].id + 1 if len(batch) == 1000 else None

    def readable_events(self) -> Iterator[tuple[Any, Recorded]]:
        """The recorded events, stored and as far as they can be read without their class.

        A row whose bytes were damaged is left out here; `System.events` shows it.
        """
        for stored in self.stored_events():
            try:
                recorded = self.mapper.read(stored)
            except DeserializationError:
                continue
            yield stored, recorded

    # What is registered

    @overload
    def handles(
        self,
        message: type[Command[Any] | Query[Any] | StreamQuery[Any]],
        *,
        name: str | None = None,
        retry: Retry | None = None,
        retry_conflicts: int | None = None,
    ) -> Callable[[H], H]: ...
    @overload
    def handles(
        self,
        message: H,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        retry_conflicts: int | None = None,
    ) -> H: ...
    def handles(
        self,
        message: Any,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        retry_conflicts: int | None = None,
    ) -> Any:
        """Register the one handler of a command, query or stream query.

        ``retry_conflicts`` is how often `Mediator.send` tries again when others
        were faster; ``retry`` is for the command when it comes over the bus.
        Raises `DuplicateHandlerError`, `HandlerSignatureError`.
        """
        return self.registrations.add(
            "handles", message, name=name, retry=retry, retry_conflicts=retry_conflicts
        )

    @overload
    def on(
        self,
        message: type[DomainEvent | IntegrationEvent],
        *,
        phase: str | None = None,
        retry: Retry | None = None,
        ordered: bool | None = None,
        name: str | None = None,
    ) -> Callable[[H], H]: ...
    @overload
    def on(
        self,
        message: H,
        *,
        phase: str | None = None,
        retry: Retry | None = None,
        ordered: bool | None = None,
        name: str | None = None,
    ) -> H: ...
    def on(
        self,
        message: Any,
        *,
        phase: str | None = None,
        retry: Retry | None = None,
        ordered: bool | None = None,
        name: str | None = None,
    ) -> Any:
        """Register a handler of a domain event, or of an integration event.

        A domain event's handler runs after the commit, or with
        ``phase="before_commit"`` inside the unit of work. An integration event's
        is retried as ``retry`` says, and keeps the order of each key unless
        ``ordered=False``. Raises `HandlerSignatureError`, `NameClashError`.
        """
        return self.registrations.add(
            "on", message, phase=phase, retry=retry, ordered=ordered, name=name
        )

    @overload
    def projects(
        self, message: type[RecordedEvent], *, name: str | None = None
    ) -> Callable[[H], H]: ...
    @overload
    def projects(self, message: H, *, name: str | None = None) -> H: ...
    def projects(self, message: Any, *, name: str | None = None) -> Any:
        """Register a projector: recorded domain event to integration events, or None.

        ``name`` pins its name, which its messages' ids derive from. Raises
        `HandlerSignatureError` where it takes more than the event and its
        aggregate.
        """
        return self.registrations.add("projects", message, name=name)

    def use(self, *behaviors: Any) -> None:
        """Surround this module's commands and queries; see `Behavior`."""
        self.check_not_stale()
        self.behaviors[:] = with_behaviors(self.behaviors, behaviors, self.system.services)

    def discover(self, *places: Any) -> list[str]:
        """Register every handler class and decorated function below packages or modules.

        Answers the names of what is registered; doing it again changes nothing.
        """
        from modulus_es.discovery import discover  # it knows modules

        self.check_not_stale()
        return discover(self, *places)

    def forget(self, handler: Any) -> None:
        """Remove a handler or projector, by function, class or name; its rows stay.

        Raises `DefinitionError` where there is none.
        """
        self.registrations.forget(handler)

    def handlers(self) -> Iterator[tuple[str, Handler]]:
        """Everything registered, each with its kind.

        The kind is command, query, stream query, on, subscriber or projector.
        """
        return self.registrations.all()

    @property
    def requests(self) -> dict[str, Handler]:
        """The handlers of commands and queries, by the stable name of these."""
        return self.registrations.requests

    @property
    def subscribers(self) -> dict[str, dict[str, Handler]]:
        """The handlers of integration events, by the stable name of these and their own."""
        return self.registrations.subscribers

    @property
    def publish_strategy(self) -> Strategy:
        """How the handlers of a domain event are run."""
        return self.dispatcher.strategy

    @publish_strategy.setter
    def publish_strategy(self, strategy: Strategy) -> None:
        if strategy not in STRATEGIES:
            raise ValueError(f"a strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
        self.dispatcher.strategy = strategy

    def learn(self, cls: type) -> None:
        """Take note of an aggregate class and its events; raises `NameClashError`."""
        if not self.registry.knows(cls):
            for base in reversed(cls.__mro__):
                if issubclass(base, Aggregate) and base is not Aggregate:
                    for event_class in event_classes(base):
                        self.registry.learn(event_class)
            self.registry.learn(cls)

    def check_not_stale(self) -> None:
        """Raise `StaleSystemError` where the cell that made the system ran again."""
        held = self._bindings.held
        if not held:
            return
        for names, name in held:
            if names.get(name) is self.system:
                return
        if (stale := self._bindings.stale_name) is not None:
            raise StaleSystemError(
                f"this module {self.name!r} belongs to a system that was made again since: take it "
                f"from the new one, {self.name} = {stale}.module({self.name!r}), and register its "
                "handlers there"
            )

    def bind_to_caller(self, depth: int) -> None:
        """Remember under which global names the caller holds the system."""
        self._bindings.note_caller(depth + 1)

    def __repr__(self) -> str:
        kinds = Counter("event handler" if k == "on" else k for k, _ in self.handlers())
        said = ", ".join(f"{n} {_plural(kind, n)}" for kind, n in kinds.items())
        return f"Module({self.name!r}: {said or 'nothing registered'})"


def _plural(word: str, n: int) -> str:
    if n == 1:
        return word
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
