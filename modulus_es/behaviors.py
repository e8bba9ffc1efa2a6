"""Behaviours: what is done around every command and query, each of them by choice.

The first registered is the outermost. They surround `Mediator.send` and
`Mediator.query`, never events, and not the delivery of a command from the bus,
which has retries and dead letters instead. They stand outside the unit of work,
because a command that is tried again has a fresh one each time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from modulus_es.errors import PublishError
from modulus_es.messages import kind_of
from modulus_es.module import Module
from modulus_es.naming import stable_name
from modulus_es.plans import Plan
from modulus_es.result import Error, Failure, Result
from modulus_es.services import Services
from modulus_es.signatures import key_of

if TYPE_CHECKING:
    from logging import Logger

C = TypeVar("C")

Proceed: TypeAlias = Callable[[], Awaitable[Result[Any]]]
"""Goes on with the next behaviour, in the end with the handler."""


class Behavior(Protocol):
    """Something around commands and queries.

    ``handle`` gets the request and ``proceed``; it answers what ``await
    proceed()`` did, something else, or a `Failure` without proceeding. A plain
    function of the same two arguments will do. Constructors are injected.
    Register it with ``system.use(...)`` or ``module.use(...)``.

    >>> class OpeningHours:
    ...     async def handle(self, request: Any, proceed: Proceed) -> Result[Any]:
    ...         return Failure(Error.forbidden("we are closed"))
    >>> from modulus_es import System
    >>> System(seed=7).use(OpeningHours)
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
    from logging import getLogger  # it is slow to import, and not everybody logs

    return getLogger(f"modulus_es.{type(behavior).__name__}")


class UnhandledExceptionBehavior:
    """Turns an exception into a `Failure` with a general text, and logs the real one.

    Cancellation passes through, and so does the `PublishError` of a command
    that did happen: a failure would say that it had not. The logger is
    ``modulus_es.UnhandledExceptionBehavior``.

    >>> import asyncio, logging
    >>> logging.getLogger("modulus_es.UnhandledExceptionBehavior").addHandler(logging.NullHandler())
    >>> from modulus_es import Command, System
    >>> system = System(seed=7)
    >>> system.use(UnhandledExceptionBehavior)
    >>> class Ping(Command[int]): ...
    >>> @system.module("orders").handles(Ping)
    ... def ping(command: Ping) -> int:
    ...     raise KeyError("a secret")
    >>> asyncio.run(system.send(Ping()))
    Failure(Error('Ping failed for an unexpected reason'))
    """

    async def handle(self, request: Any, proceed: Proceed) -> Result[Any]:
        """Proceed; what raises becomes a failure."""
        try:
            return await proceed()
        except Exception as error:
            name = stable_name(type(request))
            _logger(self).exception("the %s %s raised", kind_of(type(request)), name)
            if isinstance(error, PublishError) and error.result is not None:
                raise
            return Failure(Error.failure(f"{name} failed for an unexpected reason"))


class LoggingBehavior:
    """Logs every command and query, and how it ended, to ``modulus_es.LoggingBehavior``.

    >>> import asyncio, logging, sys
    >>> logger = logging.getLogger("modulus_es.LoggingBehavior")
    >>> logger.addHandler(logging.StreamHandler(sys.stdout))
    >>> logger.setLevel("INFO")
    >>> from modulus_es import Command, System
    >>> system = System(seed=7)
    >>> system.use(LoggingBehavior)
    >>> class Ping(Command[int]): ...
    >>> @system.module("orders").handles(Ping)
    ... def ping(command: Ping) -> int:
    ...     return 3
    >>> asyncio.run(system.send(Ping()))
    command Ping
    Ping succeeded
    Success(3)
    >>> logger.setLevel("NOTSET")
    >>> logger.handlers.clear()
    """

    async def handle(self, request: Any, proceed: Proceed) -> Result[Any]:
        """Proceed, and log before and after."""
        name = stable_name(type(request))
        logger = _logger(self)
        logger.info("%s %s", kind_of(type(request)), name)
        try:
            result = await proceed()
        except Exception as error:
            logger.error("%s raised %s: %s", name, type(error).__name__, error)  # noqa: TRY400 - it is raised on
            raise
        if result:
            logger.info("%s succeeded", name)
        else:
            logger.warning("%s failed: %s", name, "; ".join(map(str, result.errors)))
        return result


class ValidationBehavior:
    """Asks every `Validator` of the request; all that is wrong comes in one failure.

    >>> import asyncio
    >>> from modulus_es import Command, System
    >>> system = System(seed=7)
    >>> class PlaceOrder(Command[int]):
    ...     total: int
    >>> class TotalIsPositive(Validator[PlaceOrder]):
    ...     def validate(self, request: PlaceOrder) -> Error | None:
    ...         return None if request.total > 0 else Error.validation("total is not above 0")
    >>> @system.module("orders").handles(PlaceOrder)
    ... def place_order(command: PlaceOrder) -> int:
    ...     return command.total
    >>> _ = system.services.singleton(TotalIsPositive)
    >>> system.use(ValidationBehavior)
    >>> asyncio.run(system.send(PlaceOrder(0)))
    Failure(Error('total is not above 0', kind='validation'))
    """

    def __init__(self, module: Module) -> None:
        self._services = module.system.services

    async def handle(self, request: Any, proceed: Proceed) -> Result[Any]:
        """Proceed if no validator has anything to say."""
        errors: list[Error] = []
        plan = _validators_of(type(request), self._services)
        async with self._services.open_scope() as scope:
            made = await plan.abind(None, scope) if plan.is_async else plan.bind(None, scope)
            for validator in made:
                found = validator.validate(request)
                if isawaitable(found):
                    found = await found
                errors.extend([found] if isinstance(found, Error) else found or ())
        return Failure(errors) if errors else await proceed()


_plans: WeakKeyDictionary[Services, dict[str, Plan]] = WeakKeyDictionary()


def _validators_of(request: type, services: Services) -> Plan:
    plans = _plans.setdefault(services, {})
    validator: Any = Validator[request]  # type: ignore[valid-type]  # known only now
    key = key_of(validator)
    if key not in plans:
        plans[key] = services.many(validator)
    return plans[key]
