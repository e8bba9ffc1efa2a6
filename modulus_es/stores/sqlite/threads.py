"""Waiting in a worker thread."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from asyncio import Future

T = TypeVar("T")


async def in_a_thread(call: Callable[[], T], give_up: Event | None = None) -> T:
    """Wait in a worker thread; a cancelled task waits until it is known what happened.

    ``give_up`` is for a call that writes, which looks at it while it waits for others: it
    is set when nobody wants that any longer. An interrupt waits for such a call, too.
    """
    begun, ended = Event(), Event()

    def work() -> T:
        begun.set()
        try:
            if give_up is not None and give_up.is_set():
                raise RuntimeError("it was given up before it began")
            return call()
        finally:
            ended.set()

    try:
        return await _awaited(work, give_up)
    finally:
        if give_up is not None:
            give_up.set()
            if begun.is_set():
                ended.wait()


async def _awaited(work: Callable[[], T], give_up: Event | None) -> T:
    import asyncio

    waiting = asyncio.get_running_loop().run_in_executor(None, work)
    # Whoever is interrupted here never asks for the answer.
    waiting.add_done_callback(_asked)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        if give_up is not None:
            give_up.set()
        while not waiting.done():
            try:
                await asyncio.wait([waiting])
            except asyncio.CancelledError:
                continue
        raise


def _asked(waiting: Future[Any]) -> None:
    if not waiting.cancelled():
        waiting.exception()
