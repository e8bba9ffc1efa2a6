"""The unit of work: everything that belongs together is written together, or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from eventsourcing.persistence import IntegrityError, StoredEvent

from modulus_es.domain import Aggregate, DomainEvent
from modulus_es.errors import CascadeDepthError, ConcurrencyError, ModulusError
from modulus_es.messages import Command, IntegrationEvent
from modulus_es.naming import qualified_name
from modulus_es.outgoing import command_row, event_row
from modulus_es.projector import project
from modulus_es.stores.port import Handled, OutboxRow
from modulus_es.trace import TraceRecord

if TYPE_CHECKING:
    from modulus_es.bus import MessageBus
    from modulus_es.clock import Clock
    from modulus_es.injection import Scope
    from modulus_es.mediator import Mediator
    from modulus_es.module import Module
    from modulus_es.system import System

A = TypeVar("A", bound=Aggregate)

DEPTH_LIMIT = 32
"""How deep commands may send commands, and events cause events, before it is an error."""

CASCADE_LIMIT = 10_000
"""How many domain events one unit of work may hold."""


class Noted(Awaitable[None]):
    """It is noted already; awaiting it does nothing more, so that ``await`` is never wrong."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield

    def __repr__(self) -> str:
        return "<noted; it is written when the unit of work commits>"


NOTED = Noted()


class UnitOfWork:
    """One transaction: recorded events, outbox rows and the inbox mark, all or none.

    A handler gets one injected and need not commit it. In a notebook::

        async with orders.unit_of_work() as uow:
            order = await uow.get(Order, order_id)
            order.ship()

    commits at the end of the block, and undoes everything where it raises.
    ``committed`` is True once it is written, False once it is known not to be,
    None before. What a unit of work loaded is discarded with it.
    """

    def __init__(
        self,
        module: Module,
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        key: str | None = None,
        depth: int = 0,
        handler: str = "",
        read_only: bool = False,
    ) -> None:
        if depth > DEPTH_LIMIT:
            raise CascadeDepthError(
                f"units of work are nested deeper than {DEPTH_LIMIT} in {module.name}"
                f"{f' ({handler})' if handler else ''}: perhaps a handler causes the event, or "
                "sends the command, that it handles. Let one of them go over the bus instead"
            )
        self.module = module
        self.correlation_id = correlation_id
        self.causation_id = causation_id
        self.key = key
        self.depth = depth
        self.handler = handler
        self.committed: bool | None = None
        self.handled: Handled | None = None
        self._read_only = read_only
        self._closed = False
        self._aggregates: dict[UUID, Any] = {}
        self._published: list[DomainEvent] = []
        self._messages: list[tuple[Any, str | None, datetime | None, str | None]] = []
        self._connection: Any = None
        self._scope: Scope | None = None
        self._mediator: Mediator | None = None
        self._bus: MessageBus | None = None

    def add(self, *aggregates: Aggregate) -> Noted:
        """Save these aggregates when this unit of work commits."""
        self._must_be_open("add")
        for aggregate in aggregates:
            if not isinstance(aggregate, Aggregate):
                raise TypeError(f"add() takes aggregates, not {_said(aggregate)}")
            known = self._aggregates.get(aggregate.id)
            if known is not None and known is not aggregate:
                raise ModulusError(
                    f"this unit of work holds another copy of {type(aggregate).__name__} "
                    f"{aggregate.id}: use the one that get() or add() gave it before"
                )
            self._aggregates[aggregate.id] = aggregate
        return NOTED

    async def get(self, cls: type[A], id: UUID, version: int | None = None) -> A:  # noqa: A002
        """Load an aggregate; it is saved when this unit of work commits.

        Asking again gives the same object. With ``version`` it is a copy of what
        it was then, and not saved. Raises `AggregateNotFoundError`.
        """
        self._must_be_open("get")
        if version is None and (known := self._aggregates.get(id)) is not None:
            return cast("A", known)
        aggregate = await self.module.repository.get(cls, id, version)
        if version is None:
            self._aggregates[id] = aggregate
        return aggregate

    def publish(
        self, event: IntegrationEvent, at: datetime | None = None, key: str | None = None
    ) -> Noted:
        """Put an integration event into the outbox when this unit of work commits.

        ``at`` is when it is due, if not at once; ``key`` is what it keeps its
        order with, if not with the message being handled.
        """
        self._must_be_open("publish")
        if not isinstance(event, IntegrationEvent):
            raise TypeError(
                f"publish() takes an integration event, not {_said(event)}; domain events go "
                "through mediator.publish(), commands through send(command, to=...)"
            )
        self._messages.append((event, None, at, key))
        return NOTED

    def send(
        self,
        command: Command[Any],
        to: str,
        at: datetime | None = None,
        key: str | None = None,
    ) -> Noted:
        """Put a command for one module into the outbox when this unit of work commits."""
        self._must_be_open("send")
        if not isinstance(command, Command):
            raise TypeError(f"send() takes a command, not {_said(command)}")
        name = getattr(to, "name", to)
        if not isinstance(name, str) or not name:
            raise TypeError(f"to= names the module that handles the command, not {to!r}")
        self._messages.append((command, name, at, key))
        return NOTED

    @property
    def connection(self) -> Any:
        """The store's open transaction, for a read model's own tables; None in memory."""
        self._must_be_open("connection")
        if self._connection is None:
            self._connection = self.module.store.begin()
        return self._connection

    @property
    def unit_of_work(self) -> UnitOfWork:
        """This unit of work, as injection finds it."""
        return self

    @property
    def mediator(self) -> Mediator:
        """The module's mediator, bound to this unit of work."""
        if self._mediator is None:
            from modulus_es.mediator import Mediator  # noqa: PLC0415 - they know each other

            self._mediator = Mediator(self.module, self)
        return self._mediator

    @property
    def bus(self) -> MessageBus:
        """The module's bus, bound to this unit of work."""
        if self._bus is None:
            from modulus_es.bus import MessageBus  # noqa: PLC0415 - they know each other

            self._bus = MessageBus(self.module, self)
        return self._bus

    @property
    def clock(self) -> Clock:
        """The system's clock."""
        return self.module.system.clock

    @property
    def system(self) -> System:
        """The system that it works in."""
        return self.module.system

    @property
    def scope(self) -> Scope:
        """The scope of what lives as long as this unit of work."""
        if self._scope is None:
            self._scope = self.module.system.services.open_scope()
        return self._scope

    def note(self, event: DomainEvent) -> None:
        """Let a domain event that no aggregate records belong to this unit of work."""
        self._must_be_open("publish")
        self._published.append(event)

    async def commit(self) -> None:
        """Write everything, then run what follows the commit.

        Raises `ConcurrencyError` where an aggregate was changed by somebody
        else, `PublishError` where only handlers after the commit failed, and
        whatever a before-commit handler, projector or the store raised; in all
        cases but `PublishError` nothing was written, and what was pending still is.
        """
        self._must_be_open("commit")
        module = self.module
        try:
            recorded = await self._before_commit()
            if self._read_only and (recorded or self._messages):
                raise ModulusError(
                    f"{self.handler or 'a query'} changed something, and a query must not: "
                    "let a command do it"
                )
            stored, rows = await self._prepare(recorded)
            if stored or rows or self.handled is not None or self._connection is not None:
                faults = module.system.faults
                if faults.armed:
                    faults.reach("before_commit", module.name, committed=False)
                await self._write(recorded, stored, rows)
                if faults.armed:
                    faults.reach("after_commit", module.name, committed=True)
            else:
                self.committed = True
        except BaseException:
            await self.rollback()
            raise
        self._closed = True
        events = [*(event for event, _ in recorded), *self._published]
        if events:
            await module.dispatcher.after_commit(events, self)

    async def rollback(self) -> None:
        """Write nothing; what was loaded, added and noted is let go of."""
        if not self._closed:
            self._closed = True
            if self.committed is None:
                self.committed = False
            if self._connection is not None and not self.committed:
                await self.module.store.rollback(self._connection)

    async def close(self) -> None:
        """Clean up what lives as long as this unit of work."""
        if self._scope is not None:
            scope, self._scope = self._scope, None
            await scope.aclose()

    async def __aenter__(self) -> UnitOfWork:
        self.module.check_not_stale()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self.commit()
            else:
                await self.rollback()
        finally:
            await self.close()

    def __repr__(self) -> str:
        state = {True: "committed", False: "rolled back", None: "open"}[self.committed]
        return (
            f"UnitOfWork({self.module.name}: {len(self._aggregates)} aggregates, "
            f"{len(self._messages)} messages, {state})"
        )

    def _must_be_open(self, what: str) -> None:
        if self._closed:
            state = "committed" if self.committed else "rolled back"
            raise ModulusError(
                f"{what}: this unit of work is {state} already; a new one begins with "
                f"`async with {self.module.name}.unit_of_work() as uow:`"
            )

    async def _before_commit(self) -> list[tuple[Any, Any]]:
        """The recorded events, after the before-commit handlers had them, and what these added."""
        recorded: list[tuple[Any, Any]] = []
        seen: dict[UUID, int] = {}
        published = 0
        dispatcher = self.module.dispatcher
        while True:
            fresh: list[Any] = []
            for id_, aggregate in tuple(self._aggregates.items()):
                pending = aggregate.pending_events
                for event in pending[seen.get(id_, 0) :]:
                    recorded.append((event, aggregate))
                    fresh.append(event)
                seen[id_] = len(pending)
            fresh.extend(self._published[published:])
            published = len(self._published)
            if not fresh:
                return recorded
            if len(recorded) + published > CASCADE_LIMIT:
                raise CascadeDepthError(
                    f"one unit of work in {self.module.name} holds more than {CASCADE_LIMIT} "
                    "domain events: perhaps a before-commit handler causes the event that it "
                    "handles"
                )
            if dispatcher.has_before_commit:
                for event in fresh:
                    await dispatcher.before_commit(event, self)

    async def _prepare(
        self, recorded: list[tuple[Any, Any]]
    ) -> tuple[list[StoredEvent], list[OutboxRow]]:
        if not recorded and not self._messages:
            return [], []
        module = self.module
        now = module.system.now()
        if self.correlation_id is None:
            self.correlation_id = str(module.system.new_id())
        for event, _ in recorded:
            state = event.__dict__
            state["correlation_id"] = self.correlation_id
            if self.causation_id is not None:
                state["causation_id"] = self.causation_id
            if self.handler:
                state["handler_name"] = self.handler
        rows: list[OutboxRow] = []
        for event, aggregate in recorded:
            module.learn(type(aggregate))
            if projectors := module.dispatcher.projectors_of(type(event)):
                rows.extend(await project(module, projectors, event, aggregate))
        for message, to, at, key in self._messages:
            key = key or self.key or self.correlation_id
            if to is None:
                rows.append(event_row(module, message, now, uow=self, at=at, key=key))
            else:
                rows.append(command_row(module, message, to, now, uow=self, at=at, key=key))
        return [module.mapper.to_stored_event(event) for event, _ in recorded], rows

    async def _write(
        self,
        recorded: list[tuple[Any, Any]],
        stored: list[StoredEvent],
        rows: list[OutboxRow],
    ) -> None:
        store = self.module.store
        try:
            await store.commit(stored, rows, self.handled, self._connection)
        except IntegrityError as error:
            raise self._conflict(recorded) from error
        except BaseException:
            # Interrupted, cancelled, or the answer got lost: the store knows.
            if await store.holds(stored, rows, self.handled):
                self._is_written(recorded, stored, rows)
            else:
                self.committed = False
            raise
        self._is_written(recorded, stored, rows)

    def _is_written(
        self,
        recorded: list[tuple[Any, Any]],
        stored: list[StoredEvent],
        rows: list[OutboxRow],
    ) -> None:
        self.committed = True
        counts: dict[UUID, int] = {}
        for event, _ in recorded:
            counts[event.originator_id] = counts.get(event.originator_id, 0) + 1
        for id_, count in counts.items():
            del self._aggregates[id_].pending_events[:count]
        system = self.module.system
        system.trace.add(
            TraceRecord(
                system.now(),
                "commit",
                self.module.name,
                handler=self.handler,
                outcome=f"{len(stored)} events, {len(rows)} messages",
                correlation_id=self.correlation_id,
                causation_id=self.causation_id,
            )
        )
        if rows:
            system.scheduler.wake()

    def _conflict(self, recorded: list[tuple[Any, Any]]) -> ConcurrencyError:
        names = dict.fromkeys(
            f"{qualified_name(type(aggregate))} {aggregate.id}" for _, aggregate in recorded
        )
        return ConcurrencyError(
            f"{' or '.join(names)} was changed by somebody else since it was loaded: nothing was "
            "written, and this copy can never be saved. Load it again and repeat the change"
        )


def _said(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {qualified_name(value)} (an object of it is needed)"
    return f"{qualified_name(type(value))}"


