"""The mediator: brings a request to its one handler, and a domain event to all of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from modulus_es.attempts import Attempt, attempt_at, note_request, unit_for
from modulus_es.counts import whole
from modulus_es.dispatcher import Strategy, check_event
from modulus_es.domain import DomainEvent
from modulus_es.errors import ConcurrencyError, HandlerNotFoundError
from modulus_es.handlers import Handler
from modulus_es.messages import Command, Query, StreamQuery, kind_of
from modulus_es.naming import near_misses, qualified_name, stable_name
from modulus_es.result import Error, Failure, Result
from modulus_es.streaming import streamed
from modulus_es.surrounding import Surrounding, surround
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

    def send(
        self, command: Command[T], *, retry_conflicts: int | None = None
    ) -> Coroutine[Any, Any, Result[T]]:
        """Let a command happen, in a unit of work of its own; await it.

        It answers `Failure` where the handler did, and the conflict where others
        were faster more than ``retry_conflicts`` times: what is said here, else to
        ``handles``, else to the `System`. Raises `HandlerNotFoundError`,
        whatever the handler raised, and `PublishError`, whose ``result`` says
        that the command did happen.
        """
        return self.bring(self._handler(command, Command, "send"), command, retry_conflicts)

    def bring(
        self, handler: Handler, command: Command[T], retry_conflicts: int | None
    ) -> Coroutine[Any, Any, Result[T]]:
        """Bring a command to its handler, which is known; what `send` says holds here too."""
        if retry_conflicts is not None:
            retry_conflicts = whole(retry_conflicts, "retry_conflicts")
        if behaviors := self._behaviors():
            proceed = partial(self._send, handler, command, retry_conflicts)
            return self._surrounded(behaviors, command, proceed)
        return self._send(handler, command, retry_conflicts, takes_turn=self._uow is None)

    def query(self, query: Query[T]) -> Coroutine[Any, Any, Result[T]]:
        """Ask a question, in a unit of work that must not change anything; await it."""
        handler = self._handler(query, Query, "query")
        if behaviors := self._behaviors():
            return self._surrounded(behaviors, query, partial(self._query, handler, query))
        return self._query(handler, query, takes_turn=self._uow is None)

    def stream(self, query: StreamQuery[T]) -> AsyncIterator[T]:
        """Ask for many answers, one after the other."""
        handler = self._handler(query, StreamQuery, "stream")
        uow = unit_for(handler, self._module, self._uow, read_only=True)
        say = partial(note_request, "stream", uow, handler.type_name, handler.name)
        return streamed(handler, query, uow, say)

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
        """The handler of a request, which is to be of this base."""
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
        self,
        behaviors: Sequence[Surrounding],
        request: Any,
        innermost: Callable[[], Awaitable[Result[Any]]],
    ) -> Result[Any]:
        if self._uow is None and self._module.system.turns.due():
            await give_way()
        return await surround(tuple(behaviors), request, innermost, self, self._module, self._uow)

    async def _send(
        self,
        handler: Handler,
        command: Command[Any],
        retries: int | None,
        *,
        takes_turn: bool = False,
    ) -> Result[Any]:
        if takes_turn and self._module.system.turns.due():
            await give_way()
        run = handler.attempt or self._attempt_at(handler)
        attempt = 1
        while True:
            try:
                return await run(command, self._uow, attempt)
            except ConcurrencyError as error:
                if retries is None:
                    usual = self._module.system.retry_conflicts
                    retries = handler.options.get("retry_conflicts", usual)
                if attempt > retries:
                    return Failure(Error.conflict(str(error)))
                attempt += 1

    async def _query(
        self, handler: Handler, query: Query[Any], *, takes_turn: bool = False
    ) -> Result[Any]:
        if takes_turn and self._module.system.turns.due():
            await give_way()
        run = handler.attempt or self._attempt_at(handler)
        return await run(query, self._uow, 1)

    def _attempt_at(self, handler: Handler) -> Attempt:
        handler.attempt = attempt_at(self._module, handler)
        return handler.attempt


async def _noted() -> None:
    """Awaiting what was noted does nothing more."""
