"""The mediator: brings a request to its one handler, and a domain event to all of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from modulus_es import ambient
from modulus_es.answers import as_result
from modulus_es.dispatcher import Strategy, check_event
from modulus_es.domain import DomainEvent
from modulus_es.errors import (
    ConcurrencyError,
    HandlerNotFoundError,
    PublishError,
)
from modulus_es.handlers import Handler
from modulus_es.messages import Command, Query, StreamQuery, kind_of
from modulus_es.naming import near_misses, qualified_name, stable_name
from modulus_es.result import Error, Failure, Result
from modulus_es.streaming import streamed
from modulus_es.surrounding import Surrounding, surround
from modulus_es.trace import TraceRecord, made_of_facts
from modulus_es.turns import give_way
from modulus_es.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from modulus_es.module import Module

T = TypeVar("T")


class Mediator:
    """Sends commands and queries to the one handler of a module, publishes its domain events.

    One that is injected into a handler is bound to that handler's unit of work:
    what it publishes belongs to it, and what it sends continues its
    conversation in a unit of work of its own.

    >>> import asyncio
    >>> from modulus_es import System
    >>> orders = System(seed=7).module("orders")
    >>> class CountOrders(Query[int]): ...
    >>> @orders.handles(CountOrders)
    ... def count_orders(query: CountOrders) -> int:
    ...     return 3
    >>> asyncio.run(orders.mediator.query(CountOrders()))
    Success(3)
    """

    def __init__(self, module: Module, uow: UnitOfWork | None = None) -> None:
        self._module, self._uow = module, uow

    def bound_to(self, uow: UnitOfWork) -> Mediator:
        """The mediator as it is inside a unit of work."""
        return Mediator(self._module, uow)

    async def send(self, command: Command[T]) -> Result[T]:
        """Let a command happen, in a unit of work of its own.

        It answers `Failure` where the handler did, and the conflict where others
        were faster ``retry_conflicts`` times. Raises `HandlerNotFoundError`,
        whatever the handler raised, and `PublishError`, whose ``result`` says
        that the command did happen.
        """
        if self._uow is None and self._module.system.turns.due():
            await give_way()
        handler = self._handler(command, Command, "send")
        if not self._behaviors():
            return await self._with_retries(handler, command)
        return await self._surrounded(command, lambda: self._with_retries(handler, command))

    async def query(self, query: Query[T]) -> Result[T]:
        """Ask a question; the unit of work of the answer must not change anything."""
        if self._uow is None and self._module.system.turns.due():
            await give_way()
        handler = self._handler(query, Query, "query")
        if not self._behaviors():
            return await self._attempt(handler, query, 1)
        return await self._surrounded(query, lambda: self._attempt(handler, query, 1))

    def stream(self, query: StreamQuery[T]) -> AsyncIterator[T]:
        """Ask for many answers, one after the other."""
        handler = self._handler(query, StreamQuery, "stream")
        uow = self._unit(handler, read_only=True)
        return streamed(handler, query, uow, partial(self._trace, query, handler, uow))

    def publish(
        self, event: DomainEvent, strategy: Strategy | None = None
    ) -> Coroutine[Any, Any, object]:
        """Publish a domain event to every handler of its type and its bases; await it.

        Inside a unit of work it belongs to it: before-commit handlers run
        inside, the others after the commit. Outside, all run at once. No handler
        is a silent success. Raises `PublishError` with all failures;
        ``strategy`` is sequential, parallel or stop_on_first_failure.
        """
        if self._uow is None:
            return self._module.publish(event, strategy)
        check_event(event, strategy)
        self._uow.note(event, strategy)
        return _noted()

    def __repr__(self) -> str:
        bound = ", in a unit of work" if self._uow is not None else ""
        return f"Mediator({self._module.name}{bound})"

    def _handler(self, request: Any, base: type, call: str) -> Handler:
        module, cls = self._module, type(request)
        module.check_not_stale()
        if not isinstance(request, base):
            is_class = isinstance(request, type)
            what = f"the class {qualified_name(request)}" if is_class else f"{request!r}"
            raise TypeError(f"{call}() takes an object of a {base.__name__}, not {what}")
        name = stable_name(cls)
        handler = module.requests.get(name)
        if handler is None:
            raise self._not_found(request, name)
        if cls is not handler.message:
            # As it was before its cell ran again it will do, another of that name will not.
            module.system.contracts.check(cls)
        return handler

    def _not_found(self, request: Any, name: str) -> HandlerNotFoundError:
        module = self._module
        word = kind_of(type(request))
        call = {"command": "send", "query": "query"}.get(word, "stream")
        elsewhere = [m.name for m in module.system.modules if name in m.requests]
        hint = near_misses(name, module.requests) or (
            f": register one with @{module.name}.handles({name})"
        )
        if elsewhere:
            hint = f"; module {elsewhere[0]} does: use system.{call}(...)"
            if word == "command":
                hint += f", or uow.send(..., to={elsewhere[0]!r}) to let it travel over the bus"
        return HandlerNotFoundError(
            f"no handler for the {word} {name} in module {module.name}{hint}"
        )

    def _behaviors(self) -> Sequence[Surrounding]:
        own, common = self._module.behaviors, self._module.system.behaviors
        return [*common, *own] if common else own

    async def _surrounded(
        self, request: Any, innermost: Callable[[], Awaitable[Result[Any]]]
    ) -> Result[Any]:
        return await surround(
            tuple(self._behaviors()), request, innermost, self, self._module, self._uow
        )

    async def _with_retries(self, handler: Handler, command: Command[Any]) -> Result[Any]:
        retries = handler.options.get("retry_conflicts", self._module.system.retry_conflicts)
        attempt = 1
        while True:
            try:
                return await self._attempt(handler, command, attempt)
            except ConcurrencyError as error:
                if attempt > retries:
                    return Failure(Error.conflict(str(error)))
                attempt += 1

    async def _attempt(self, handler: Handler, request: Any, attempt: int) -> Result[Any]:
        """Run a handler once, in a fresh scope and unit of work."""
        uow = self._unit(handler, read_only=isinstance(request, Query))
        system = self._module.system
        cascades, began = system.cascades, system.clock.now()
        result: Result[Any] | None = None
        outcome, said = "failed", None
        here = None if ambient.chosen() is system else ambient.choose(system)
        try:
            level = cascades.enter(self._module.name, handler.name)
            try:
                answer = await handler.run(request, uow)
                result = as_result(answer, type(request), handler.name)
                if isinstance(result, Failure):
                    said = str(result.errors[0])
                    await uow.rollback()
                    await uow.close()
                else:
                    await uow.complete()
                    outcome = "done"
            finally:
                cascades.leave(level)
                if here is not None:
                    ambient.unchoose(here)
            return result
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
            await uow.abandon(error)
            if uow.committed:
                outcome = "done"
            if isinstance(error, PublishError):
                if not uow.committed:
                    # What was sent from here did happen; this command has not.
                    raise PublishError(error.message, error.exceptions) from error
                error.result = result
            raise
        finally:
            self._trace(request, handler, uow, began, attempt, outcome, said)

    def _unit(self, handler: Handler, *, read_only: bool = False) -> UnitOfWork:
        outer = self._uow
        if outer is None:
            return UnitOfWork(self._module, handler=handler.name, read_only=read_only)
        return UnitOfWork(
            self._module,
            correlation_id=outer.correlation_id,
            causation_id=outer.causation_id,
            key=outer.key,
            # What it records is an effect of the delivery that it is part of.
            handler=outer.handler or handler.name,
            read_only=read_only,
        )

    def _trace(
        self,
        request: Any,
        handler: Handler,
        uow: UnitOfWork,
        began: datetime,
        attempt: int,
        outcome: str,
        said: str | None,
    ) -> None:
        module = self._module
        system = module.system
        system.trace.note(
            (
                "command" if isinstance(request, Command) else _kind(request),
                system.clock.now(),
                began,
                module.name,
                handler.type_name,
                handler.name,
                attempt,
                outcome,
                uow.conversation,
                uow.causation_id,
                said,
            )
        )


def _kind(request: Any) -> str:
    return "stream" if isinstance(request, StreamQuery) else "query"


def _record_of(kind: str) -> Callable[..., TraceRecord]:
    def record(
        now: datetime,
        began: datetime,
        module: str,
        type_name: str,
        handler: str,
        attempt: int,
        outcome: str,
        *caused: str | None,
    ) -> TraceRecord:
        """What is shown of a request."""
        correlation_id, causation_id, error = caused
        return TraceRecord(
            now,
            kind,
            module,
            type=type_name,
            handler=handler,
            attempt=attempt,
            outcome=outcome,
            correlation_id=correlation_id,
            causation_id=causation_id,
            error=error,
            duration=(now - began).total_seconds(),
        )

    return record


for _each in ("command", "query", "stream"):
    made_of_facts(_each, _record_of(_each))


async def _noted() -> None:
    """Awaiting what was noted does nothing more."""
