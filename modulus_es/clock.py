"""Time: virtual, where nothing waits, or the machine's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

START = datetime(2024, 1, 1, tzinfo=UTC)
"""Where virtual time begins for a system with a seed."""


class Clock(Protocol):
    """Tells the time and waits.

    A handler that waits takes a `Clock` and says ``await clock.sleep(30)``.
    """

    def now(self) -> datetime:
        """The time, in UTC."""

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Wait so many seconds of this clock."""


def to_utc(moment: datetime, what: str = "a time") -> datetime:
    """``moment`` in UTC; a naive one is refused, because it could mean anywhere.

    >>> to_utc(datetime(2024, 1, 1))
    Traceback (most recent call last):
        ...
    ValueError: a time needs a time zone, such as datetime(..., tzinfo=UTC); got 2024-01-01T00:00:00
    """
    # What is no time at all, such as pandas' NaT, is a datetime that equals nothing.
    if moment != moment or moment.tzinfo is None:  # noqa: PLR0124
        raise ValueError(
            f"{what} needs a time zone, such as datetime(..., tzinfo=UTC); got {moment.isoformat()}"
        )
    utc = moment.astimezone(UTC)
    if type(utc) is datetime:
        return utc
    # A subclass, such as pandas' Timestamp, would spread from the clock into every event.
    return datetime(
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond, UTC
    )


class SystemClock:
    """The machine's clock, in UTC.

    >>> SystemClock().now().tzinfo
    datetime.timezone.utc
    """

    def now(self) -> datetime:
        """The machine's time, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait so many real seconds."""
        import asyncio  # noqa: PLC0415 - it is slow to import, and a program that waits has it

        await asyncio.sleep(seconds)

    def __repr__(self) -> str:
        return "SystemClock()"


class VirtualClock:
    """A clock that jumps: waiting takes no time, and is recorded as if it did.

    A system moves it, to the next moment at which something is due. ``sleep``
    is the only wait that it sees; ``asyncio.sleep`` passes no virtual time.

    >>> clock = VirtualClock(datetime(2013, 2, 8, tzinfo=UTC))
    >>> clock
    VirtualClock(2013-02-08T00:00:00Z)
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = START if start is None else to_utc(start, "start")
        self._sleepers: list[tuple[datetime, int, Any, Any]] = []
        self._order = count()
        self.on_sleep: Callable[[], Any] | None = None

    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return self._now

    def jump(self, moment: datetime) -> None:
        """Go forward to ``moment``; never back."""
        self._now = max(self._now, to_utc(moment))

    async def sleep(self, seconds: float) -> None:
        """Wait so many virtual seconds."""
        if seconds > 0:
            await self.sleep_until(self._now + timedelta(seconds=seconds))

    async def sleep_until(self, moment: datetime) -> None:
        """Wait for a virtual moment."""
        import asyncio  # noqa: PLC0415 - see SystemClock.sleep

        if moment <= self._now:
            return
        woken = asyncio.get_running_loop().create_future()
        sleeper = None if self.on_sleep is None else self.on_sleep()
        heappush(self._sleepers, (moment, next(self._order), woken, sleeper))
        await woken

    def next_wake(self) -> datetime | None:
        """When the next sleeper wants to be woken."""
        while self._sleepers and self._sleepers[0][2].done():
            heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def take_due(self) -> tuple[Any, Any] | None:
        """Who is due longest: the future to resolve, and what ``on_sleep`` said of it."""
        moment = self.next_wake()
        if moment is None or moment > self._now:
            return None
        _, _, woken, sleeper = heappop(self._sleepers)
        return woken, sleeper

    def __repr__(self) -> str:
        return f"VirtualClock({self._now.isoformat().replace('+00:00', 'Z')})"


def iso(moment: datetime | None) -> str:
    """A UTC moment as text that sorts; empty for None.

    >>> iso(START)
    '2024-01-01T00:00:00Z'
    """
    return "" if moment is None else moment.isoformat().replace("+00:00", "Z")
