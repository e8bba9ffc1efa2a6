"""How the answers of a stream query reach who asked, one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from datetime import datetime
from inspect import isawaitable
from typing import Any, TypeAlias

from modulus_es.errors import HandlerResultError
from modulus_es.failures import told
from modulus_es.handlers import Handler
from modulus_es.unit_of_work import UnitOfWork

Say: TypeAlias = Callable[[datetime, int, str, str | None], None]
"""Puts what became of it into the trace: when it began, attempt, outcome, error."""


async def streamed(handler: Handler, query: Any, uow: UnitOfWork, say: Say) -> AsyncIterator[Any]:
    """Give one answer after the other, in a unit of work that must not change anything."""
    system = uow.module.system
    began = system.clock.now()
    outcome, said = "failed", None
    steps = _steps(handler, query, uow)
    try:
        while True:
            # Nothing ambient is held while the caller has its turn.
            with system.current_here():
                try:
                    answer = await anext(steps)
                except StopAsyncIteration:
                    break
            yield answer
        await uow.complete()
        outcome = "done"
    except GeneratorExit:
        outcome = "done"
        raise
    except BaseException as error:
        said = told(error)
        raise
    finally:
        with system.current_here():
            await steps.aclose()
        await uow.rollback()
        await uow.close()
        say(began, 1, outcome, said)


async def _steps(handler: Handler, query: Any, uow: UnitOfWork) -> AsyncGenerator[Any]:
    """The answers of a stream query's handler, however it gives them."""
    answers = await handler.begin(query, uow)
    if isawaitable(answers):
        answers = await answers
    if isinstance(answers, AsyncIterable):
        try:
            async for answer in answers:
                yield answer
        finally:
            if isinstance(answers, AsyncGenerator):
                await answers.aclose()
    elif isinstance(answers, Iterable) and not isinstance(answers, str | bytes):
        for answer in answers:
            yield answer
    else:
        raise HandlerResultError(
            f"{handler.name} answered {answers!r} to {handler.type_name}: the handler of a stream "
            "query yields its answers"
        )
