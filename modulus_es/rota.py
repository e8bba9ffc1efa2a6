"""Whose turn it is among the sources of one scheduler."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from modulus_es.waiting import Bell

if TYPE_CHECKING:
    from modulus_es.steps import Source, Step
    from modulus_es.strands import Strand


class Rota:
    """Asks one source after the other for work, but those that had none and nobody woke.

    Those that are still to be asked are kept in a list of their own, so that a
    system of many modules costs no more than the few that have something to do.
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.bell = Bell()
        self._awake: list[int] = []
        self._known = 0
        # How often the bell had rung when all of them were last awake.
        self._heard = -1
        self._next = 0

    async def next(self, batch: int, strand: Strand) -> Step | None:
        """Let the next source that has something to do take one step; None if none has.

        Before it answers None, everybody was asked, woken or not. It answers None
        too where the strand has stopped driving: then others go on asking.
        """
        asked, step = await self._ask(batch, strand)
        if step is None and strand.drives and asked < len(self.sources):
            self._wake_all()
            _, step = await self._ask(batch, strand)
        return step

    async def wait(self, seconds: float) -> bool:
        """Wait so long for the bell, if it has not rung since all were asked; answers whether."""
        return await self.bell.wait(seconds, self._heard)

    async def _ask(self, batch: int, strand: Strand) -> tuple[int, Step | None]:
        """Ask those that are awake, each once; answers how many were asked, and the step."""
        sources, bell, after = self.sources, self.bell, self._next
        for asked in range(len(sources)):
            rung = bell.count
            if rung != self._heard or len(sources) != self._known:
                self._wake_all()
            awake = self._awake
            if not awake:
                return asked, None
            place = bisect_left(awake, after)
            index = awake[place if place < len(awake) else 0]
            source = strand.source = sources[index]
            step = await source.work(batch)
            after = index + 1
            if step is not None:
                self._next = after
                return asked, step
            if not strand.drives:
                return asked, None
            if bell.count == rung:
                awake.remove(index)
        return len(sources), None

    def _wake_all(self) -> None:
        self._heard, self._known = self.bell.count, len(self.sources)
        self._awake = list(range(self._known))
