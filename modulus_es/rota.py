"""Whose turn it is among the sources of one scheduler."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from modulus_es.waiting import Bell

if TYPE_CHECKING:
    from modulus_es.steps import Source


class Rota:
    """Lets one source after the other be asked for work, but those that had none and nobody woke.

    Those that are still to be asked are kept in a list of their own, and a source
    that is `idle` is not on it, so that a system of many modules costs no more than
    the few that have something to do.
    """

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.bell = Bell()
        self._awake: list[int] = []
        self._known = 0
        # How often the bell had rung when all of them were last awake.
        self._heard = -1
        self._next = 0
        # Of the round that goes on: behind whom to look, how many are still to be asked, and
        # whether all were woken for it.
        self._after, self._left, self._is_last = 0, 0, False
        # Who had nothing in this round, since somebody rang.
        self._asked: set[int] = set()

    def begin(self) -> None:
        """Begin a round: ask who is `next_up`, until one has something or none is left."""
        self._asked.clear()
        self._after, self._left, self._is_last = self._next, len(self.sources), False

    def next_up(self) -> int | None:
        """The place of the source to ask next; None when all were asked, woken or not."""
        if not self._left:
            return None
        if self.bell.count != self._heard or len(self.sources) != self._known:
            self._asked.clear()
            self._wake_all()
        if not self._awake:
            if self._is_last:
                return None
            self._after, self._left, self._is_last = self._next, len(self.sources), True
            self._wake_all()
            if not self._awake:
                return None
        self._left -= 1
        awake = self._awake
        place = bisect_left(awake, self._after)
        return awake[place if place < len(awake) else 0]

    def had_nothing(self, place: int) -> None:
        """The source in this place had nothing; it sleeps, unless somebody rang meanwhile."""
        self._after = place + 1
        if self.bell.count == self._heard:
            self._awake.remove(place)
            self._asked.add(place)

    def served(self, place: int) -> None:
        """The source in this place had something: the next round begins behind it."""
        self._next = place + 1

    def busy(self) -> list[Source]:
        """The sources that are not idle."""
        return [source for source in self.sources if not source.idle()]

    def resume(self) -> None:
        """A new run begins: all are woken, and try again what was blocked."""
        for source in self.sources:
            source.resume()
        self.bell.ring()

    def blocked(self) -> list[str]:
        """What waits for something else than time."""
        return [why for source in self.busy() for why in source.blocked()]

    async def abandon(self, reason: BaseException | None) -> None:
        """Let every source give back what it claimed; what ended the run is what is raised.

        What cannot be given back, perhaps for the same reason, is free when its lease
        is out.
        """
        failure: Exception | None = None
        for source in self.sources:
            try:
                await source.abandon()
            except Exception as error:
                failure = failure or error
        if failure is None:
            return
        if reason is None:
            raise failure
        reason.add_note(f"giving back what was claimed failed as well: {failure!r}")

    async def wait(self, seconds: float) -> bool:
        """Wait so long for the bell, if it has not rung since all were asked; answers whether."""
        return await self.bell.wait(seconds, self._heard)

    def _wake_all(self) -> None:
        self._heard, self._known = self.bell.count, len(self.sources)
        asked = self._asked
        self._awake = [
            n for n, source in enumerate(self.sources) if n not in asked and not source.idle()
        ]
