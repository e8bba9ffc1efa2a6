"""A system does what is due: all of it, one thing, or on and on in real time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from modulus_es.clock import Clock, seconds_in, to_utc
from modulus_es.counts import whole
from modulus_es.steps import Pending, Run, Step

if TYPE_CHECKING:
    from modulus_es.live import Live
    from modulus_es.module import Module
    from modulus_es.scheduler import Scheduler
    from modulus_es.transports.port import Transport

STEP_LIMIT = 100_000
"""How many steps a run may take beyond a hundred for each message that waits."""


class Running:
    """The part of a `System` that lets time pass, which derives from this class.

    >>> import asyncio
    >>> from modulus_es import System
    >>> asyncio.run(System(seed=7).advance(60))
    <ran 0 steps to 2024-01-01T00:01:00Z; nothing is due>
    """

    clock: Clock
    scheduler: Scheduler
    transport: Transport
    _live: Live
    _modules: dict[str, Module]

    def run(
        self, until: datetime | timedelta | None = None, limit: int | None = None
    ) -> Pending[Run]:
        """Relay, deliver and retry until nothing is due, jumping over virtual time.

        ``until`` is a moment, or how long from now. On `SystemClock` it does what
        is due now. Await it; it answers a `Run` that says how many steps it took
        and what is blocked (a partition, a message that nobody handles). Raises
        `StepLimitError` where messages cause each other without end.
        """
        return Pending("system.run()", lambda: self._run(until, limit))

    def step(self) -> Pending[Step | None]:
        """Do exactly one thing; await it, it answers the `Step`, None if nothing is due."""
        return Pending("system.step()", self._step)

    def advance(self, seconds: float | timedelta) -> Pending[Run]:
        """Run for so many seconds of virtual time, or so long; await it."""
        span = seconds_in(seconds, "advance()")
        return Pending(f"system.advance({span!r})", lambda: self._advance(span))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Relay and deliver in the background from now on, until `stop`."""
        self._live.raise_failure()
        await self._live.start(self.scheduler, self.transport)

    async def stop(self) -> None:
        """Finish what is due, and stop.

        Raises `BackgroundError` where something failed in the background since the
        last call.
        """
        await self._live.stop(self.scheduler, self.transport, STEP_LIMIT + self._more())

    async def _run(self, until: datetime | timedelta | None, limit: int | None) -> Run:
        self._live.raise_failure()
        if isinstance(until, timedelta):
            until = self.clock.now() + until
        elif until is not None:
            if not isinstance(until, datetime):
                raise TypeError(f"until is a moment or a timedelta from now, not {until!r}")
            until = to_utc(until, "until")
        if limit is not None:
            return await self.scheduler.run(until, whole(limit, "limit"))
        return await self.scheduler.run(until, STEP_LIMIT, more=self._more)

    async def _step(self) -> Step | None:
        self._live.raise_failure()
        return await self.scheduler.step()

    async def _advance(self, seconds: float) -> Run:
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds!r} seconds")
        return await self._run(self.clock.now() + timedelta(seconds=seconds), None)

    def _more(self) -> int:
        """How many steps more there may be where so much waits."""
        return 100 * (1 + sum(module.store.waiting() for module in self._modules.values()))
