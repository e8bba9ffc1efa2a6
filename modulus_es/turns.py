"""Giving way to the event loop, so that a cell that calls in a loop can be interrupted."""

from __future__ import annotations

from collections.abc import Generator
from types import coroutine

from modulus_es.strands import current

EVERY = 16
"""How many calls there are from one turn of the event loop to the next."""


class Turns:
    """Says when it is the event loop's turn.

    A save in memory never waits for anything, and a notebook's interrupt cancels
    a cell where it waits: a loop of saves would run to its end. So every 16th
    call waits for one turn of the event loop before it begins, when nothing is
    half done. Calls are counted and not milliseconds, because what runs between
    two calls must be the same on a slow machine. Whoever has no time to ask counts
    ``left`` down, and asks when it is 1.

    >>> turns = Turns()
    >>> [turns.due() for _ in range(32)].index(True)
    15
    """

    __slots__ = ("_every", "left")

    def __init__(self, every: int = EVERY) -> None:
        self._every = self.left = every

    def due(self) -> bool:
        """Count a call; answer whether it should `give_way` first.

        A call that a handler makes never does: its run gives way between deliveries.
        """
        self.left -= 1
        if self.left > 0:
            return False
        self.left = self._every
        return current.get() is None


@coroutine
def give_way() -> Generator[None, None, None]:
    """Let the event loop do what it has to do, such as cancelling the caller.

    >>> import asyncio
    >>> async def politely():
    ...     await give_way()
    >>> asyncio.run(politely())
    """
    yield
