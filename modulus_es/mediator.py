"""The mediator: brings a request to its one handler, and a domain event to all of its own."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from inspect import isawaitable
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar, Union, cast, get_args, get_origin

from modulus_es.dispatcher import STRATEGIES, Strategy, in_unit
from modulus_es.domain import DomainEvent
from modulus_es.errors import (
    ConcurrencyError,
    HandlerNotFoundError,
    HandlerResultError,
    PublishError,
)
from modulus_es.handlers import Handler
from modulus_es.messages import Command, Query, StreamQuery, kind_of, result_type
from modulus_es.naming import near_misses, qualified_name, stable_name
from modulus_es.result import Error, Failure, Result, Success
from modulus_es.trace import TraceRecord
from modulus_es.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from modulus_es.behaviors import Proceed
    from modulus_es.module import Module

T = TypeVar("T")


class Mediator:
    """Sends commands and queries to the one handler of a module, publishes its domain events.

    One that is injected into a handler is bound to that handler's unit of work:
    what it publishes belongs to it, and what it sends continues its
    conversation in a unit of work of its own.
    """

    def __init__(self, module: Module, uow: UnitOfWork | None = None) -> None:
        self._module, self._uow = module, uow

    async def send(self, command: Command[T]) -> Result[T]:
        """Let a command happen, in a unit of work of its own.

        It answers `Failure` where the handler did, and the conflict where others
        were faster ``retry_conflicts`` times. Raises `HandlerNotFoundError`,
        whatever the handler raised, and `PublishError`, whose ``result`` says
        that the command did happen.
        """
        handler = self._handler(command, Command, "send")
        return await self._through_behaviors(
            command, lambda: self._with_retries(handler, command)
        )

    async def query(self, query: Query[T]) -> Result[T]:
        """Ask a question; the unit of work of the answer must not change anything."""
        handler = self._handler(query, Query, "query")

        async def ask() -> Result[Any]:
            uow = self._unit(handler, read_only=True)
            return await in_unit(uow, lambda: _answer(handler, query, uow))

        return await self._through_behaviors(query, ask)

    def stream(self, query: StreamQuery[T]) -> AsyncIterator[T]:
        """Ask for many answers, one after the other."""
        return self._stream(self._handler(query, StreamQuery, "stream"), query)

    async def publish(self, event: DomainEvent, strategy: Strategy | None = None) -> None:
        """Publish a domain event to every handler of its type and its bases.

        Inside a unit of work it belongs to it: before-commit handlers run
        inside, the others after the commit. Outside, all run at once. No handler
        is a silent success. Raises `PublishError` with all failures;
        ``strategy`` is sequential, parallel or stop_on_first_failure.
        """
        if not isinstance(event, DomainEvent):
            what = f"the class {event.__name__}" if isinstance(event, type) else repr(event)
            raise TypeError(
                f"publish() takes a domain event, not {what}; integration events go through the "
                "bus or uow.publish()"
            )
        if strategy is not None and strategy not in STRATEGIES:
            raise ValueError(f"a strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
        if self._uow is not None:
            self._uow.note(event)
            return
        self._module.check_not_stale()
        with self._module.system.current_here():
            await self._module.dispatcher.publish(
                event, strategy or self._module.publish_strategy
            )

    def __repr__(self) -> str:
        bound = ", in a unit of work" if self._uow is not None else ""
        return f"Mediator({self._module.name}{bound})"

    def _handler(self, request: Any, base: type, call: str) -> Handler:
        self._module.check_not_stale()
        if isinstance(request, type) or not isinstance(request, base):
            what = (
                f"the class {qualified_name(request)}"
                if isinstance(request, type)
                else f"{request!r}"
            )
            raise TypeError(f"{call}() takes an object of a {base.__name__}, not {what}")
        name = stable_name(type(request))
        handler = self._module.requests.get(name)
        if handler is None:
            raise self._not_found(request, name)
        return handler

    def _not_found(self, request: Any, name: str) -> HandlerNotFoundError:
        module = self._module
        word = kind_of(type(request))
        elsewhere = [m.name for m in module.system.modules if name in m.requests]
        hint = near_misses(name, list(module.requests))
        if elsewhere:
            hint = (
                f"; module {elsewhere[0]} does: use system.{'send' if word == 'command' else word}"
                f"(...), or uow.send(..., to={elsewhere[0]!r}) to let it travel over the bus"
            )
        return HandlerNotFoundError(
            f"no handler for the {word} {name} in module {module.name}{hint}"
            + ("" if hint else f": register one with @{module.name}.handles({name})")
        )

    def _unit(self, handler: Handler, *, read_only: bool = False) -> UnitOfWork:
        outer = self._uow
        if outer is None:
            return UnitOfWork(self._module, handler=handler.name, read_only=read_only)
        return UnitOfWork(
            self._module,
            correlation_id=outer.correlation_id,
            causation_id=outer.causation_id,
            key=outer.key,
            depth=outer.depth + 1,
            # What it records is an effect of the delivery that it is part of.
            handler=outer.handler or handler.name,
            read_only=read_only,
        )

    async def _with_retries(self, handler: Handler, command: Command[Any]) -> Result[Any]:
        retries = handler.options.get("retry_conflicts")
        if retries is None:
            retries = self._module.system.retry_conflicts
        for attempt in range(1, retries + 2):
            uow = self._unit(handler)
            try:
                return await self._attempt(handler, command, uow, attempt)
            except ConcurrencyError as error:
                if uow.committed or attempt > retries:
                    return Failure(Error.conflict(str(error)))
        raise AssertionError("unreachable: the last attempt answers")

    async def _attempt(
        self, handler: Handler, command: Command[Any], uow: UnitOfWork, attempt: int
    ) -> Result[Any]:
        system = self._module.system
        outcome, said = "failed", None
        began = system.clock.now()
        try:
            with system.current_here():
                result = await _answer(handler, command, uow)
                if not result:
                    await uow.rollback()
                    said = str(result.errors[0])
                    return result
                try:
                    await uow.commit()
                except PublishError as error:
                    if not uow.committed:
                        raise
                    outcome = "done"
                    error.result = result
                    raise
                outcome = "done"
                return result
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
            raise
        finally:
            await uow.rollback()
            await uow.close()
            now = system.clock.now()
            system.trace.add(
                TraceRecord(
                    now,
                    "command",
                    self._module.name,
                    type=handler.type_name,
                    handler=handler.name,
                    attempt=attempt,
                    outcome=outcome,
                    correlation_id=uow.correlation_id,
                    causation_id=uow.causation_id,
                    error=said,
                    duration=(now - began).total_seconds(),
                )
            )

    async def _through_behaviors(
        self, request: Any, innermost: Callable[[], Awaitable[Result[Any]]]
    ) -> Result[Any]:
        behaviors = (*self._module.system.behaviors, *self._module.behaviors)
        if not behaviors:
            return await innermost()
        proceed: Proceed = innermost
        context = UnitOfWork(self._module, read_only=True)
        try:
            for behavior in reversed(behaviors):
                proceed = behavior.around(request, proceed, context)
            return as_result(await proceed(), type(request), "a behavior")
        finally:
            await context.rollback()
            await context.close()

    async def _stream(self, handler: Handler, query: StreamQuery[T]) -> AsyncIterator[T]:
        uow = self._unit(handler, read_only=True)
        try:
            answers = await handler.begin(query, uow)
            if isawaitable(answers):
                answers = await answers
            if isinstance(answers, AsyncIterable):
                async for answer in answers:
                    yield cast("T", answer)
            elif isinstance(answers, Iterable):
                for answer in answers:
                    yield cast("T", answer)
            else:
                raise HandlerResultError(
                    f"{handler.name} answered {answers!r} to {handler.type_name}: the handler of a "
                    "stream query yields its answers"
                )
        finally:
            await uow.rollback()
            await uow.close()


async def _answer(handler: Handler, request: Any, uow: UnitOfWork) -> Result[Any]:
    return as_result(await handler.run(request, uow), type(request), handler.name)


def as_result(answer: Any, request: type, handler: str) -> Result[Any]:
    """What a handler answered, as a `Result`; raises `HandlerResultError`."""
    if isinstance(answer, Failure):
        return answer
    if isinstance(answer, Error):
        return Failure(answer)
    value = answer.value if isinstance(answer, Success) else answer
    if value is None and not _may_be_none(request):
        promised = result_type(request)
        raise HandlerResultError(
            f"{handler} answered None to {stable_name(request)}, which promises "
            f"{getattr(promised, '__name__', promised)}: return the value, or a Failure with an "
            f"Error that says why there is none"
        )
    return answer if isinstance(answer, Success) else Success(answer)


def _may_be_none(request: type) -> bool:
    promised: Any = request.__dict__.get("__may_be_none__")
    if promised is None:
        answer = result_type(request)
        promised = answer in (None, NoneType, Any, object) or (
            get_origin(answer) in (Union, type(int | str)) and NoneType in get_args(answer)
        )
        request.__may_be_none__ = promised  # type: ignore[attr-defined]
    return bool(promised)
