"""Waiting in a worker thread."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TypeVar

T = TypeVar("T")


async def in_a_thread(call: Callable[[], T], give_up: Event | None = None) -> T:
    """Wait in a worker thread; a cancelled task waits until it is known what happened."""
    import asyncio

    waiting = asyncio.get_running_loop().run_in_executor(None, call)
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
        if not waiting.cancelled():
            waiting.exception()
        raise
