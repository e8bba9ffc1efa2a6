"""Behaviours: what is done around every command and query, each of them by choice.

The first registered is the outermost. They surround `Mediator.send` and
`Mediator.query`, never events, and not the delivery of a command from the bus,
which has retries and dead letters instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable, isclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

from modulus_es.errors import HandlerSignatureError
from modulus_es.messages import kind_of
from modulus_es.naming import stable_name
from modulus_es.result import Error, Failure, Result

if TYPE_CHECKING:
    from logging import Logger

    from modulus_es.services import Services
    from modulus_es.unit_of_work import UnitOfWork

C = TypeVar("C")

Proceed: TypeAlias = Callable[[], Awaitable[Result[Any]]]
"""Goes on with the next behaviour, in the end with the handler."""


class Behavior(Protocol):
    """Something around commands and queries.

    ``handle`` gets the request and ``proceed``; it answers what ``await
    proceed()`` did, something else, or a `Failure` without proceeding. A plain
    function of the same two arguments will do. Constructors are injected.
    """

    def handle(self, request: Any, proceed: Proceed) -> Any:
        """Answer the request, with or without proceeding."""


class Validator(Generic[C]):
    """Says what is wrong with a command or query of class ``C``; injected, any number.

    Register one with ``system.services.singleton(MyValidator)``.

    >>> class TotalIsPositive(Validator[int]):
    ...     def validate(self, request: int) -> Iterable[Error]:
    ...         if request <= 0:
    ...             yield Error.validation("the total must be above 0")
    >>> list(TotalIsPositive().validate(0))
    [Error('the total must be above 0', kind='validation')]
    """

    def validate(self, request: C) -> Any:
        """The errors, as an iterable of `Error`; may be async. None means none."""
        raise NotImplementedError


def _logger(behavior: object) -> Logger:
    from logging import getLogger

    return getLogger(f"modulus_es.{type(behavior).__name__}")


class UnhandledExceptionBehavior:
    """Turns an exception into a `Failure` with a general text, and logs the real one."""

    async def handle(self, request: Any, proceed: Proceed) -> Result[Any]:
        """Proceed; what raises becomes a failure. Cancellation passes through."""
        try:
            return await proceed()
        except Exception:
            name = stable_name(type(request))
            _logger(self).exception("the %s %s raised", kind_of(type(request)), name)
            return Failure(Error.failure(f"{name} failed for an unexpected reason"))


class LoggingBehavior:
    """Logs every command and query, and how it ended."""

    async def handle(self, request: Any, proceed: Proceed) -> Result[Any]:
        """Proceed, and log before and after."""
        name = stable_name(type(request))
        _logger(self).info("%s %s", kind_of(type(request)), name)
        try:
            result = await proceed()
        except Exception as error:
            _logger(self).error("%s raised %s: %s", name, type(error).__name__, error)
            raise
        if result:
            _logger(self).info("%s succeeded", name)
        else:
            _logger(self).warning("%s failed: %s", name, "; ".join(map(str, result.errors)))
        return result


class ValidationBehavior:
    """Asks every `Validator` of the request; all that is wrong comes in one failure."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    async def handle(self, request: Any, proceed: Proceed) -> Result[Any]:
        """Proceed if no validator has anything to say."""
        errors: list[Error] = []
        for validator in await self._validators(type(request)):
            found = validator.validate(request)
            if isawaitable(found):
                found = await found
            if isinstance(found, Error):
                found = [found]
            errors.extend(found or ())
        return Failure(errors) if errors else await proceed()

    async def _validators(self, request: type) -> Sequence[Validator[Any]]:
        plan = self._uow.system.services.many(Validator[request])  # type: ignore[valid-type]
        scope = self._uow.scope if plan.needs_scope else None
        return await plan.abind(self._uow, scope) if plan.is_async else plan.bind(self._uow, scope)


class Surrounding:
    """One registered behaviour: a class to be made by injection, an object, or a function."""

    def __init__(self, target: Any, services: Services) -> None:
        self.target = target
        handles = getattr(target, "handle", None)
        if handles is None and (isclass(target) or not callable(target)):
            raise HandlerSignatureError(
                f"a behaviour has a method handle(request, proceed), and {target!r} has none"
            )
        self.name = getattr(target, "__qualname__", type(target).__qualname__)
        self.place = (getattr(target, "__module__", type(target).__module__), self.name)
        self._plan = services.plan(target, handler=self.name) if isclass(target) else None
        self._function = target if handles is None else handles

    def around(self, request: Any, proceed: Proceed, context: UnitOfWork) -> Proceed:
        """What to call to go through this behaviour."""

        async def through() -> Any:
            function = self._function
            if self._plan is not None:
                plan = self._plan
                scope = context.scope if plan.needs_scope else None
                arguments = (
                    await plan.abind(context, scope)
                    if plan.is_async
                    else plan.bind(context, scope)
                )
                function = plan.call(*arguments).handle
            answer = function(request, proceed)
            return await answer if isawaitable(answer) else answer

        return through

    def __repr__(self) -> str:
        return f"Surrounding({self.name})"
