"""How time passes when nothing is due: in a jump, or by waiting for it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from modulus_es.clock import Clock, VirtualClock

if TYPE_CHECKING:
    from modulus_es.rota import Rota
    from modulus_es.steps import Goal
    from modulus_es.strands import Strand
    from modulus_es.waiting import WaitingRoom

SWEEP = timedelta(seconds=5)
"""How often a live system looks for work that nobody woke it for."""


class Passing:
    """Lets time pass to what is due next, not beyond what a run is to reach."""

    def __init__(self, clock: Clock, rota: Rota, room: WaitingRoom) -> None:
        self._clock, self._rota, self._room = clock, rota, room
        self._virtual = clock if isinstance(clock, VirtualClock) else None

    async def pass_time(self, goal: Goal, strand: Strand) -> bool:
        """Nothing is due now: let time pass; answers whether to go on."""
        patient = self._virtual is None or goal.until is not None
        asked = [await source.due(patient=patient) for source in self._rota.busy()]
        due = [moment for moment in asked if moment is not None]
        if not strand.drives:
            return False
        if self._virtual is None:
            return await self._wait_for(goal, due)
        return await self._jump(self._virtual, goal, due)

    async def _jump(self, clock: VirtualClock, goal: Goal, due: list[datetime]) -> bool:
        if (moment := self._room.next_moment()) is not None:
            due.append(moment)
        moment = min(due, default=None)
        if moment is not None and (goal.until is None or moment <= goal.until):
            if moment <= clock.now():
                # Somebody else is at it; nobody may be kept from interrupting.
                await asyncio.sleep(0)
            clock.jump(moment)
            self._rota.bell.ring()
            return True
        if goal.until is not None:
            clock.jump(goal.until)
        if not goal.forever:
            return False
        # Whoever lets it end meanwhile may have left work before: look once more.
        await self._wait_for_work(SWEEP.total_seconds())
        return True

    async def _wait_for(self, goal: Goal, due: list[datetime]) -> bool:
        now = self._clock.now()
        if goal.until is not None:
            due.append(goal.until)
        waits = min([SWEEP, *(moment - now for moment in due)]).total_seconds()
        goes_on = goal.forever or self._room.timed > 0 or (goal.until or now) > now
        if goes_on:
            await self._wait_for_work(max(0.0, waits))
        return goes_on or (waits <= 0 and goal.until is None)

    async def _wait_for_work(self, seconds: float) -> None:
        """Wait until somebody wakes the system, or until it is time to look for work unasked."""
        if not await self._rota.wait(seconds):
            if self._virtual is not None:
                # No virtual time passes over what is tried again after a while.
                self._rota.resume()
            else:
                self._rota.bell.ring()
