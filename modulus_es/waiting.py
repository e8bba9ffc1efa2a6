"""Who waits: until somebody lets them go on, until a time, or for work to come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from threading import get_ident
from typing import Any

from modulus_es.clock import VirtualClock
from modulus_es.strands import Wait, resolve

_ROUNDS = 10  # of the event loop, for tasks whose end nobody can wait for


class WaitingRoom:
    """The waits of one scheduler: those that may go on, and those that wait for a time.

    ``held`` are those that say why they wait, in the order in which they came;
    ``timed`` counts those that wait for real time.
    """

    def __init__(self) -> None:
        self.held: dict[Wait, None] = {}
        self.timed = 0
        self._ready: deque[Wait] = deque()
        self._sleepers: list[tuple[datetime, int, Wait]] = []
        self._order = count()

    def add(self, wait: Wait, moment: datetime | None = None) -> None:
        """It may go on now, or from a virtual moment on."""
        if moment is None:
            self._ready.append(wait)
        else:
            heappush(self._sleepers, (moment, next(self._order), wait))

    @property
    def empty(self) -> bool:
        """Whether nobody waits for his turn or for a virtual time."""
        return not self._ready and not self._sleepers

    def next_moment(self) -> datetime | None:
        """When the next sleeper wants to be woken."""
        while self._sleepers and _is_gone(self._sleepers[0][2]):
            heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def take(self, now: datetime) -> Wait | None:
        """Whose turn it is; None if nobody may go on now."""
        while self._ready:
            wait = self._ready.popleft()
            if not _is_gone(wait):
                return wait
        moment = self.next_moment()
        return None if moment is None or moment > now else heappop(self._sleepers)[2]

    def blocked(self) -> list[str]:
        """Why those wait that have something else than time to wait for."""
        return [wait.why for wait in self.held if not wait.released]


def _is_gone(wait: Wait) -> bool:
    """Whether the task that waited was cancelled, or its event loop is closed."""
    future = wait.future
    return future is None or future.done() or future.get_loop().is_closed()


class Bell:
    """Rings when something may have become due; from any thread.

    ``count`` says how often it rang, so that whoever looked for work and found
    none can tell whether any may have come since.
    """

    def __init__(self) -> None:
        self.count = 0
        self._listener: tuple[int, asyncio.Future[None]] | None = None

    def ring(self) -> None:
        """Something may be due now."""
        self.count += 1
        listener = self._listener
        if listener is not None:
            thread, woken = listener
            if thread == get_ident():
                resolve(woken)
            else:
                woken.get_loop().call_soon_threadsafe(resolve, woken)

    async def wait(self, seconds: float, count: int) -> bool:
        """Wait so long for a ring after the first ``count``; answers whether there was one."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()
        self._listener = (get_ident(), woken)
        timer = loop.call_later(seconds, resolve, woken)
        try:
            # Another thread may have rung just before there was anybody to hear it.
            if count == self.count:
                await woken
        finally:
            self._listener = None
            timer.cancel()
        return count != self.count


class Bystanders:
    """Those who wait on the virtual clock outside of every run, as the caller of a command does.

    While no run lets time pass, it passes for them.
    """

    def __init__(
        self,
        clock: VirtualClock | None,
        room: WaitingRoom,
        let_one_go_on: Callable[[], Awaitable[Any]],
    ) -> None:
        self._clock, self._room, self._let_one_go_on = clock, room, let_one_go_on
        self._waiting = 0
        self._passing: asyncio.Task[None] | None = None

    async def wait(self, wait: Wait, *, running: bool) -> None:
        """Wait for one's turn; a run that is ``running`` lets time pass by itself."""
        assert wait.future is not None
        self._waiting += 1
        if not running:
            self.go_on()
        try:
            await wait.future
        finally:
            self._waiting -= 1

    def go_on(self) -> None:
        """No run lets time pass from now on."""
        if self._waiting and self._passing is None and self._clock is not None:
            self._passing = asyncio.get_running_loop().create_task(self._pass_time())

    async def stop(self) -> None:
        """A run lets time pass from now on."""
        passing, self._passing = self._passing, None
        if passing is not None and not passing.done():
            await asyncio.wait([passing])

    async def _pass_time(self) -> None:
        assert self._clock is not None
        me = asyncio.current_task()
        try:
            while True:
                await let_others_run()
                if self._passing is not me or not self._waiting:
                    return
                if await self._let_one_go_on() is None:
                    moment = self._room.next_moment()
                    if moment is None:
                        return
                    self._clock.jump(moment)
        finally:
            if self._passing is me:
                self._passing = None


async def let_others_run() -> None:
    """Give the event loop a few rounds, for tasks whose end nobody can wait for."""
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
