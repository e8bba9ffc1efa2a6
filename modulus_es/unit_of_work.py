"""The unit of work: everything that belongs together is written together, or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from uuid import UUID
from weakref import ref

from modulus_es.clock import to_utc
from modulus_es.domain import Aggregate, DomainEvent
from modulus_es.ending import Ending
from modulus_es.errors import AggregateNotFoundError, ModulusError
from modulus_es.ids import text
from modulus_es.messages import Command, IntegrationEvent
from modulus_es.naming import qualified_name, stable_name
from modulus_es.noted import NOTED, Noted, Outgoing, counted, said_of
from modulus_es.strands import current, writer

if TYPE_CHECKING:
    from modulus_es.bus import MessageBus
    from modulus_es.dispatcher import Strategy
    from modulus_es.groups import Committing
    from modulus_es.injection import Scope
    from modulus_es.mediator import Mediator
    from modulus_es.module import Module
    from modulus_es.stores.rows import Handled

A = TypeVar("A", bound=Aggregate)
T = TypeVar("T")


class UnitOfWork(Ending):
    """One transaction: recorded events, outbox rows and the inbox mark, all or none.

    A handler gets one injected, which commits when the handler has answered.
    In a notebook, ``async with module.unit_of_work() as uow:`` commits at the
    end of the block, and undoes everything where it raises. ``committed`` is
    True once it is written, False once it is known not to be, None before.
    ``conversation`` is the correlation id, None until something needs one.
    What a unit of work loaded is discarded with it.

    >>> import asyncio
    >>> from modulus_es import System, event
    >>> class Order(Aggregate):
    ...     @event("Placed")
    ...     def __init__(self, total: int) -> None:
    ...         self.total = total
    >>> orders = System(seed=7).module("orders")
    >>> async def place() -> UnitOfWork:
    ...     async with orders.unit_of_work() as uow:
    ...         uow.add(Order(42))
    ...     return uow
    >>> asyncio.run(place())
    UnitOfWork(orders: 1 aggregate, 0 messages, committed)
    """

    handled: Handled | None = None
    _mediator: Mediator | None = None
    _bus: MessageBus | None = None

    def __init__(
        self,
        module: Module,
        *,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        key: str | None = None,
        handler: str = "",
        read_only: bool = False,
    ) -> None:
        self.module = module
        # Where it writes: the module's store, or with those who write at the same time.
        self.store: Committing = module.store
        if module.queue is not None and current.get() is None:
            self.store = module.queue
        self.conversation = correlation_id
        self.causation_id = causation_id
        self.key = key
        self.handler = handler
        self.read_only = read_only
        self.aggregates: dict[UUID, Any] = {}
        self.published: list[tuple[DomainEvent, Strategy | None]] = []
        self.outgoing: list[Outgoing] = []

    # What belongs to it

    def add(self, *aggregates: Aggregate) -> Noted:
        """Save these aggregates when this unit of work commits.

        Raises `AggregateNotFoundError` for one that another module keeps.
        """
        if self._closed:
            raise self._is_over("add")
        for aggregate in aggregates:
            # Not isinstance(): eventsourcing's metaclass makes that slow.
            if Aggregate not in type(aggregate).__mro__:
                raise TypeError(f"add() takes aggregates, not {said_of(aggregate)}")
            # One whose every event is pending was never saved, and belongs to nobody yet.
            if aggregate._version != len(aggregate._pending_events):
                self.module.repository.check_home(aggregate)
            if self.aggregates.setdefault(aggregate._id, aggregate) is not aggregate:
                raise ModulusError(
                    f"this unit of work holds another copy of {qualified_name(type(aggregate))} "
                    f"{aggregate.id}: use the one that get() or add() gave it before"
                )
        return NOTED

    async def get(self, cls: type[A], id: UUID, version: int | None = None) -> A:
        """Load an aggregate; it is saved when this unit of work commits.

        Asking again gives the same object. With ``version`` it is a copy of what
        it was then, and not saved. Raises `AggregateNotFoundError`.
        """
        if self._closed:
            raise self._is_over("get")
        known = self.aggregates.get(id) if version is None and isinstance(id, UUID) else None
        if known is None:
            known = await self.module.repository.get(cls, id, version)
            if version is None:
                self.aggregates[id] = known
        elif stable_name(cls) not in map(stable_name, type(known).__mro__):
            raise AggregateNotFoundError(
                f"{self.module.name} has no {qualified_name(cls)} {id}: there is "
                f"{qualified_name(type(known))} in this unit of work"
            )
        return cast("A", known)

    def publish(
        self,
        event: IntegrationEvent,
        at: datetime | None = None,
        key: str | UUID | None = None,
    ) -> Noted:
        """Put an integration event into the outbox when this unit of work commits.

        ``at`` is when it is due, if not at once; ``key`` is what it keeps its
        order with, if not with the message being handled.
        """
        if self._closed:
            raise self._is_over("publish")
        if not isinstance(event, IntegrationEvent):
            raise TypeError(
                f"publish() takes an integration event, not {said_of(event)}; domain events go "
                "through mediator.publish(), commands through send(command, to=...)"
            )
        return self._send_out(event, None, at, key)

    def send(
        self,
        command: Command[Any],
        to: str,
        at: datetime | None = None,
        key: str | UUID | None = None,
    ) -> Noted:
        """Put a command for one module into the outbox when this unit of work commits."""
        if self._closed:
            raise self._is_over("send")
        if not isinstance(command, Command):
            raise TypeError(
                f"send() takes a command, not {said_of(command)}; an event goes to whoever "
                "listens: publish(event)"
            )
        name = getattr(to, "name", to)
        if not isinstance(name, str) or not name:
            raise TypeError(f"to= names the module that handles the command, not {to!r}")
        return self._send_out(command, name, at, key)

    def note(self, event: DomainEvent, strategy: Strategy | None = None) -> None:
        """Let a domain event that no aggregate records belong to this unit of work."""
        if self._closed:
            raise self._is_over("publish")
        self.published.append((event, strategy))

    def _send_out(
        self, message: Any, to: str | None, at: datetime | None, key: str | UUID | None
    ) -> Noted:
        due = None if at is None else to_utc(at, "at")
        self.outgoing.append(Outgoing(message, to, due, None if key is None else str(key)))
        return NOTED

    # What a handler in it gets injected

    @property
    def connection(self) -> Any:
        """The store's open transaction, for a read model's own tables; None in memory.

        Wait for nothing between asking for it and the end of the unit of work: an
        SQLite file has one writer at a time, and a run cannot go on meanwhile, so
        ``clock.sleep`` refuses.
        """
        if self._closed:
            raise self._is_over("connection")
        if self.transaction is None:
            self.transaction = self.store.begin()
            writer.set(ref(self))
        return self.transaction

    @property
    def holds_transaction(self) -> bool:
        """Whether it has the store's transaction in hand, for which others have to wait."""
        return self.transaction is not None and not self._closed

    @property
    def correlation_id(self) -> str:
        """The conversation that it belongs to, or begins by being asked."""
        if self.conversation is None:
            self.conversation = text(self.module.system.new_id())
        return self.conversation

    @property
    def unit_of_work(self) -> UnitOfWork:
        """This unit of work, as injection finds it."""
        return self

    @property
    def mediator(self) -> Mediator:
        """The module's mediator, bound to this unit of work."""
        if self._mediator is None:
            self._mediator = self.module.mediator.bound_to(self)
        return self._mediator

    @property
    def bus(self) -> MessageBus:
        """The module's bus, bound to this unit of work."""
        if self._bus is None:
            self._bus = self.module.bus.bound_to(self)
        return self._bus

    @property
    def scope(self) -> Scope:
        """The scope of what lives as long as this unit of work."""
        if self._scope is None:
            self._scope = self.module.system.services.open_scope()
        return self._scope

    # How it ends

    async def commit(self) -> None:
        """Write everything, then run what follows the commit; before the block ends.

        Raises `ConcurrencyError` where an aggregate was changed by somebody
        else, `PublishError` where only handlers after the commit failed, and
        whatever a before-commit handler, projector or the store raised; in all
        cases but `PublishError` nothing was written, and what was pending still is.
        """
        if self.handler:
            raise ModulusError(
                f"{self.handler} commits nothing itself: its unit of work commits when it has "
                "answered, together with the mark that it was handled"
            )
        await self.complete()

    async def __aenter__(self) -> Self:
        self.module.check_not_stale()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is not None:
            await self.abandon(error)
        elif not self._closed:
            await in_unit(self, None)

    def __repr__(self) -> str:
        state = {True: "committed", False: "rolled back", None: "open"}[self.committed]
        return (
            f"UnitOfWork({self.module.name}: {counted(self.aggregates, 'aggregate')}, "
            f"{counted(self.outgoing, 'message')}, {state})"
        )


async def in_unit(uow: UnitOfWork, work: Callable[[], Awaitable[T]] | None) -> T | None:
    """Do something in a unit of work: commit it, or undo it where it raises."""
    try:
        answer = None
        if work is not None:
            with uow.module.system.current_here():
                answer = await work()
        await uow.complete()
    except BaseException as error:
        await uow.abandon(error)
        raise
    return answer
