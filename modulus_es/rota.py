"""Whose turn it is among the sources of one scheduler."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
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

    def round(self) -> Iterator[tuple[int, Source]]:
        """The sources to ask, with their places, until one has something; tell `served` then.

        At its end everybody was asked, woken or not.
        """
        sources, bell = self.sources, self.bell
        for last in (False, True):
            after = self._next
            for _ in range(len(sources)):
                rung = bell.count
                if rung != self._heard or len(sources) != self._known:
                    self._wake_all()
                awake = self._awake
                if not awake:
                    break
                place = bisect_left(awake, after)
                index = awake[place if place < len(awake) else 0]
                yield index, sources[index]
                # It had nothing, since somebody wants to know who is next.
                after = index + 1
                if bell.count == rung:
                    awake.remove(index)
            else:
                return
            if not last:
                self._wake_all()

    def served(self, index: int) -> None:
        """The source in this place had something: the next round begins behind it."""
        self._next = index + 1

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
        self._awake = [n for n, source in enumerate(self.sources) if not source.idle()]
