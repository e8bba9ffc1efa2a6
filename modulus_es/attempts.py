"""One attempt to answer a request: its handler, in a scope and unit of work of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from modulus_es.ambient import choose, chosen, unchoose
from modulus_es.answers import as_result
from modulus_es.errors import PublishError
from modulus_es.failures import told
from modulus_es.messages import Query, kind_of
from modulus_es.result import Failure, Result
from modulus_es.trace import TraceRecord
from modulus_es.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from modulus_es.handlers import Handler
    from modulus_es.module import Module

Attempt: TypeAlias = Callable[[Any, UnitOfWork | None, int], Coroutine[Any, Any, Result[Any]]]
"""Runs a handler for a request, inside the unit of work that asks, if any; which attempt it is."""


def attempt_at(module: Module, handler: Handler) -> Attempt:
    """How a handler of commands or queries is run once, made of what does not change."""
    system, cascades, clock = module.system, module.system.cascades, module.system.clock
    message, type_name, name = handler.message, handler.type_name, handler.name
    kind, read_only = kind_of(message), issubclass(message, Query)

    async def attempt(request: Any, outer: UnitOfWork | None, number: int) -> Result[Any]:
        uow = unit_for(handler, module, outer, read_only=read_only)
        began = clock.now()
        result: Result[Any] | None = None
        outcome, said = "failed", None
        here = None if chosen() is system else choose(system)
        try:
            level = cascades.enter(module.name, name)
            try:
                result = as_result(await handler.run(request, uow), type(request), name)
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
                    unchoose(here)
            return result
        except BaseException as error:
            said = told(error)
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
            note_request(kind, uow, type_name, name, began, number, outcome, said)

    return attempt


def unit_for(
    handler: Handler, module: Module, outer: UnitOfWork | None, *, read_only: bool
) -> UnitOfWork:
    """A unit of work for one request, which continues the conversation of the ``outer`` one."""
    if outer is None:
        return UnitOfWork(module, handler=handler.name, read_only=read_only)
    return UnitOfWork(
        module,
        correlation_id=outer.correlation_id,
        causation_id=outer.causation_id,
        key=outer.key,
        # What it records is an effect of the delivery that it is part of.
        handler=outer.handler or handler.name,
        read_only=read_only,
    )


def note_request(
    kind: str,
    uow: UnitOfWork,
    type_name: str,
    handler: str,
    began: datetime,
    attempt: int,
    outcome: str,
    error: str | None,
) -> None:
    """Put what became of a request into the trace."""
    module = uow.module
    system = module.system
    now = system.clock.now()
    system.trace.add(
        TraceRecord(
            now,
            kind,
            module.name,
            "",
            type_name,
            handler,
            attempt,
            outcome,
            "",
            uow.conversation,
            uow.causation_id,
            error,
            0.0 if began is now else (now - began).total_seconds(),
        )
    )
