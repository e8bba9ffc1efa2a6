"""A registered handler: what it is called, what it takes, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, isawaitable, isclass, signature
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin

from modulus_es.errors import HandlerSignatureError
from modulus_es.naming import NAME, qualified_name, stable_name
from modulus_es.retry import Retry
from modulus_es.signatures import bases_of, parameters

if TYPE_CHECKING:
    from modulus_es.plans import Plan
    from modulus_es.services import Services
    from modulus_es.unit_of_work import UnitOfWork

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


def bound_message(cls: type) -> Any:
    """The message that a class derived from a generic handler base takes, or None.

    >>> class Audit(DomainEventHandler[int]): ...
    >>> bound_message(Audit)
    <class 'int'>
    """
    for base in bases_of(cls):
        if get_origin(base) is HandlerBase:
            message = get_args(base)[0]
            return None if isinstance(message, TypeVar) else message
    return None


class Handler:
    """One handler of one message class, under a stable name."""

    __slots__ = (
        "_method",
        "_own_plan",
        "_plan",
        "_services",
        "is_class",
        "message",
        "name",
        "options",
        "order",
        "ordered",
        "phase",
        "place",
        "retry",
        "target",
        "type_name",
    )

    def __init__(
        self,
        target: Any,
        message: Any,
        services: Services,
        *,
        name: str | None = None,
        order: int = 0,
        phase: str = "after_commit",
        retry: Retry | None = None,
        ordered: bool = True,
        method: str = "handle",
        options: dict[str, Any] | None = None,
    ) -> None:
        if not callable(target):
            raise HandlerSignatureError(f"a handler is a function or a class, not {target!r}")
        self.target, self.message = target, message
        self.name = handler_name(target, name)
        self.place = (getattr(target, "__module__", ""), getattr(target, "__qualname__", self.name))
        self.type_name = stable_name(message)
        self.order, self.phase, self.retry, self.ordered = order, phase, retry, ordered
        self.options = options or {}
        self.is_class = isclass(target)
        self._services = services
        function = getattr(target, method, None) if self.is_class else target
        if function is None:
            raise HandlerSignatureError(
                f"{self.name} is a class without a method {method}(): that is what handles "
                f"{self.type_name}"
            )
        skip = 1 if self.is_class else 0
        _check_takes_message(self.name, function, skip, message)
        self._method = method
        self._plan: Plan = services.plan(function, handler=self.name, skip=skip + 1)
        self._own_plan: Plan | None = (
            services.plan(target, handler=self.name) if self.is_class else None
        )

    @property
    def simple(self) -> bool:
        """Whether it takes the message and nothing else, and is made of nothing else."""
        return self._own_plan is None and self._plan.empty

    @property
    def needs_context(self) -> bool:
        """Whether it takes anything that belongs to a unit of work or a scope."""
        plans = [self._plan] if self._own_plan is None else [self._plan, self._own_plan]
        return any(plan.contextual or plan.needs_scope for plan in plans)

    async def run(self, message: Any, uow: UnitOfWork | None) -> Any:
        """Call it with the message and what it takes beyond it; answers what it answers."""
        answer = await self.begin(message, uow)
        return await answer if isawaitable(answer) else answer

    async def begin(self, message: Any, uow: UnitOfWork | None) -> Any:
        """Call it; what it answers may be an awaitable or an iterator still."""
        plan = self._plan
        if self._own_plan is None:
            if plan.empty:
                return self.target(message)
            return plan.call(message, *await _arguments(plan, uow))
        own = self._own_plan
        handler = own.call(*await _arguments(own, uow))
        method = getattr(handler, self._method)
        if plan.empty:
            return method(message)
        return plan.call(handler, message, *await _arguments(plan, uow))

    def __repr__(self) -> str:
        return f"Handler({self.name} of {self.type_name})"


async def _arguments(plan: Plan, uow: UnitOfWork | None) -> Any:
    scope = uow.scope if plan.needs_scope and uow is not None else None
    if plan.is_async:
        return await plan.abind(uow, scope)
    return plan.bind(uow, scope)


def handler_name(target: Any, name: str | None = None) -> str:
    """The stable name of a handler: its qualified name, or what ``name=`` says.

    >>> handler_name(lambda event: None)
    Traceback (most recent call last):
        ...
    modulus_es.errors.HandlerSignatureError: a lambda has no name of its own, and the inbox needs \
one: give name=
    """
    if name is None:
        name = qualified_name(target) if hasattr(target, "__qualname__") else ""
        if "<lambda>" in name or not name:
            what = "a lambda" if name else f"{target!r}"
            raise HandlerSignatureError(
                f"{what} has no name of its own, and the inbox needs one: give name="
            )
    if not NAME.fullmatch(name):
        raise HandlerSignatureError(f"{name!r} is not a stable name for a handler")
    return name


def _check_takes_message(name: str, function: Callable[..., Any], skip: int, message: Any) -> None:
    declared = signature(function).parameters.values()
    positional = [
        p
        for p in declared
        if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) <= skip:
        if any(p.kind is Parameter.VAR_POSITIONAL for p in declared):
            return
        raise HandlerSignatureError(
            f"{name} takes no message: its first parameter must be the {stable_name(message)}"
        )
    annotated = parameters(function, skip)[0]
    if annotated.problem or not isclass(annotated.annotation):
        return
    names = {stable_name(c) for c in message.__mro__} | {"object"}
    said = stable_name(annotated.annotation)
    if said not in names and said != "Any":
        raise HandlerSignatureError(
            f"{name} says that it takes {said}, and is registered for {stable_name(message)}: "
            "make both the same"
        )


def first_message(target: Any) -> Any:
    """The message class that a handler says it takes, for registration without one."""
    if isclass(target):
        message = bound_message(target)
        if message is not None:
            return message
        function = getattr(target, "handle", None) or getattr(target, "project", None)
        skip = 1
    else:
        function, skip = target, 0
    taken = parameters(function, skip) if callable(function) else ()
    if taken and not taken[0].problem and isclass(taken[0].annotation):
        return taken[0].annotation
    raise HandlerSignatureError(
        f"{handler_name(target)} does not say which message it takes: register it with the "
        "class, as in @module.on(OrderCreated), or annotate its first parameter"
    )
