"""A registered handler: what it is called, what it takes, and how it is run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from inspect import Parameter, isawaitable, isclass, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from modulus_es.errors import HandlerSignatureError
from modulus_es.handler_bases import bound_messages
from modulus_es.naming import NAME, qualified_name, stable_name
from modulus_es.retry import Retry
from modulus_es.signatures import parameters

if TYPE_CHECKING:
    from modulus_es.attempts import Attempt
    from modulus_es.plans import Plan
    from modulus_es.services import Services
    from modulus_es.unit_of_work import UnitOfWork


Make: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]
"""What makes the object of a handler class, and the arguments to call it with."""


class Shortcut(NamedTuple):
    """How to run a handler that takes nothing of a unit of work, without asking what it takes.

    ``call`` it with the message, and await the answer; None where there is no
    such way. With ``make``, making it and awaiting its ``handle`` does the same.
    """

    call: Callable[[Any], Awaitable[Any]] | None
    make: Make | None


NO_SHORTCUT = Shortcut(None, None)


class Handler:
    """One handler of one message class, under a stable name."""

    __slots__ = (
        "_is_async",
        "_method",
        "_own_plan",
        "_plan",
        "_services",
        "attempt",
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
        self.place = _place(target, self.name)
        self.type_name = stable_name(message)
        self.order, self.phase, self.retry, self.ordered = order, phase, retry, ordered
        self.options = options or {}
        self.is_class = isclass(target)
        # How a request is answered by it; made when it first is.
        self.attempt: Attempt | None = None
        self._services = services
        function = getattr(target, method, None) if self.is_class else target
        if function is None:
            raise HandlerSignatureError(
                f"{self.name} is a class without a method {method}(): that is what handles "
                f"{self.type_name}"
            )
        skip = 1 if self.is_class else 0
        if retry is not None and not isinstance(retry, Retry):
            raise HandlerSignatureError(
                f"{self.name}: retry= takes a Retry, such as Retry(attempts=3), not {retry!r}"
            )
        _check_takes_message(self.name, function, skip, message)
        if self.is_class:
            _check_same(self.name, bound_messages(target), message)
        self._method, self._is_async = method, iscoroutinefunction(function)
        self._plan: Plan = services.plan(function, handler=self.name, skip=skip + 1)
        self._own_plan: Plan | None = (
            services.plan(target, handler=self.name) if self.is_class else None
        )

    @property
    def needs_context(self) -> bool:
        """Whether it takes anything that belongs to a unit of work or a scope."""
        plans = [self._plan] if self._own_plan is None else [self._plan, self._own_plan]
        return any(plan.contextual or plan.needs_scope for plan in plans)

    def shortcut(self) -> Shortcut:
        """The shortest way to run it for an event; it holds until services change."""
        if self.needs_context:
            return NO_SHORTCUT
        own, target = self._own_plan, self.target
        if not self._plan.empty or (own is not None and own.constants is None):
            return Shortcut(lambda message: self.run(message, None), None)
        if own is None or own.constants is None:
            if iscoroutinefunction(target):
                return Shortcut(target, None)
            return Shortcut(lambda message: _settled(target(message)), None)
        make, constants = own.call, own.constants
        if iscoroutinefunction(target.handle):
            return Shortcut(lambda message: make(*constants).handle(message), (make, constants))
        return Shortcut(lambda message: _settled(make(*constants).handle(message)), None)

    def run(self, message: Any, uow: UnitOfWork | None) -> Awaitable[Any]:
        """Call it with the message and what it takes beyond it; await what it answers."""
        plan = self._plan
        if self._is_async and self._own_plan is None and not (plan.is_async or plan.needs_scope):
            # As most are; there is nothing to wait for but the handler itself.
            answer: Awaitable[Any] = plan.call(message, *plan.bind(uow, None))
            return answer
        return self._run(message, uow)

    async def _run(self, message: Any, uow: UnitOfWork | None) -> Any:
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


async def _settled(answer: Any) -> Any:
    return await answer if isawaitable(answer) else answer


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


def meant(said: Any, handlers: Iterable[Handler]) -> list[Handler]:
    """The handlers that somebody means by a name, or by the function or class itself.

    Under whatever ``name=`` it was registered, and also when its cell ran again.
    """
    held = list(handlers)
    if isinstance(said, str):
        return [handler for handler in held if handler.name == said]
    place = _place(said, "")
    same = [handler for handler in held if handler.target == said]
    if same or "<lambda>" in place[1]:
        return same
    return [handler for handler in held if handler.place == place]


def said_handler(said: Any) -> str:
    """How somebody's name, function or class of a handler is shown."""
    return repr(qualified_name(said) if hasattr(said, "__qualname__") else said)


def _place(target: Any, name: str) -> tuple[str, str]:
    return getattr(target, "__module__", ""), getattr(target, "__qualname__", name)


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
    if not annotated.problem:
        _check_same(name, [annotated.annotation], message)


def _check_same(name: str, taken: list[Any], message: Any) -> None:
    names = {stable_name(c) for c in message.__mro__} | {"object", "Any"}
    said = [stable_name(each) for each in taken if isclass(each)]
    if said and names.isdisjoint(said):
        raise HandlerSignatureError(
            f"{name} says that it takes {said[0]}, and is registered for {stable_name(message)}: "
            "make both the same"
        )


def first_message(target: Any) -> Any:
    """The message class that a handler says it takes, for registration without one."""
    if isclass(target):
        if bound := bound_messages(target):
            return bound[0]
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
