"""The generic bases that class handlers may derive from."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, get_args, get_origin

from modulus_es.retry import Retry
from modulus_es.signatures import direct_bases_of

C = TypeVar("C")


class HandlerBase(Generic[C]):
    """Base of the generic handler bases; says which message a class handler takes."""

    method = "handle"


class CommandHandler(HandlerBase[C]):
    """A class that handles a command: ``async def handle(self, command, ...)``.

    The constructor is injected, and so is what ``handle`` takes beyond the
    command. `Module.discover` finds it; ``module.handles(...)`` takes it too.

    >>> from modulus_es import Command, System
    >>> class Ping(Command[str]): ...
    >>> class Pong(CommandHandler[Ping]):
    ...     def handle(self, command: Ping) -> str:
    ...         return "pong"
    >>> System(seed=7).module("orders").handles(Pong).__name__
    'Pong'
    """

    retry: Retry | None = None
    retry_conflicts: int | None = None


class QueryHandler(HandlerBase[C]):
    """A class that handles a query: ``async def handle(self, query, ...)``.

    >>> from modulus_es import Query, System
    >>> class CountOrders(Query[int]): ...
    >>> class Counter(QueryHandler[CountOrders]):
    ...     def handle(self, query: CountOrders) -> int:
    ...         return 3
    >>> System(seed=7).module("orders").handles(Counter).__name__
    'Counter'
    """


class StreamQueryHandler(HandlerBase[C]):
    """A class that handles a stream query: ``async def handle(self, query, ...)`` and yields.

    >>> from modulus_es import StreamQuery, System
    >>> class ListOrders(StreamQuery[int]): ...
    >>> class Lister(StreamQueryHandler[ListOrders]):
    ...     async def handle(self, query: ListOrders):
    ...         yield 1
    >>> System(seed=7).module("orders").handles(Lister).__name__
    'Lister'
    """


class DomainEventHandler(HandlerBase[C]):
    """A class that handles a domain event: ``async def handle(self, event, ...)``.

    ``phase`` says when: ``after_commit`` or ``before_commit``.

    >>> from modulus_es import DomainEvent, System
    >>> class Opened(DomainEvent): ...
    >>> class Audit(DomainEventHandler[Opened]):
    ...     phase = "before_commit"
    ...     def handle(self, event: Opened) -> None: ...
    >>> System(seed=7).module("orders").on(Audit).__name__
    'Audit'
    """

    phase = "after_commit"


class IntegrationEventHandler(HandlerBase[C]):
    """A class that handles an integration event: ``async def handle(self, event, ...)``.

    ``retry`` and ``ordered`` are what ``module.on(...)`` takes under these names.

    >>> from modulus_es import IntegrationEvent, System
    >>> class OrderCreated(IntegrationEvent): ...
    >>> class Reserve(IntegrationEventHandler[OrderCreated]):
    ...     retry = Retry(attempts=3)
    ...     def handle(self, event: OrderCreated) -> None: ...
    >>> System(seed=7).module("inventory").on(Reserve).__name__
    'Reserve'
    """

    retry: Retry | None = None
    ordered = True


class Projector(HandlerBase[C]):
    """A class that maps a domain event to integration events: ``def project(self, event)``.

    It is pure: it takes the event and, if it names one by its type, the
    aggregate as it was at that event. It answers an integration event, several,
    or None.

    >>> from modulus_es import Aggregate, IntegrationEvent, System, event
    >>> class Order(Aggregate):
    ...     @event("Placed")
    ...     def __init__(self, total: int) -> None:
    ...         self.total = total
    >>> class OrderCreated(IntegrationEvent):
    ...     total: int
    >>> class Announce(Projector[Order.Placed]):
    ...     def project(self, event: Order.Placed) -> OrderCreated:
    ...         return OrderCreated(event.total)
    >>> System(seed=7).module("orders").projects(Announce).__name__
    'Announce'
    """

    method = "project"


def bound_messages(cls: type) -> list[Any]:
    """The messages that a class derived from generic handler bases takes, the nearest first.

    >>> class Audit(DomainEventHandler[int]): ...
    >>> class Another(Audit, DomainEventHandler[str]): ...
    >>> bound_messages(Another)
    [<class 'str'>, <class 'int'>]
    """
    found: list[Any] = []
    level: list[Any] = [cls]
    while level:
        bound = [get_args(base)[0] for base in level if get_origin(base) is HandlerBase]
        found.extend(message for message in bound if not isinstance(message, TypeVar))
        level = [base for each in level for base in direct_bases_of(each)]
    return found
