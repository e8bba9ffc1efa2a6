"""Time: virtual, where nothing waits, or the machine's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Protocol

from modulus_es.strands import current

START = datetime(2024, 1, 1, tzinfo=UTC)
"""Where virtual time begins for a system with a seed."""


class Clock(Protocol):
    """Tells the time and waits.

    A handler that waits takes a `Clock` and says ``await clock.sleep(30)``.

    >>> clock: Clock = VirtualClock()
    >>> clock.now().isoformat()
    '2024-01-01T00:00:00+00:00'
    """

    def now(self) -> datetime:
        """The time, in UTC."""

    def sleep(self, seconds: float | timedelta) -> Awaitable[None]:
        """Wait so many seconds of this clock, or so long."""


def to_utc(moment: datetime, what: str = "a time") -> datetime:
    """``moment`` in UTC; a naive one is refused, because it could mean anywhere.

    >>> to_utc(datetime(2024, 1, 1))
    Traceback (most recent call last):
        ...
    ValueError: a time needs a time zone, such as datetime(..., tzinfo=UTC); got 2024-01-01T00:00:00
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"{what} is a datetime with a time zone, not {moment!r}")
    # What is no time at all, such as pandas' NaT, is a datetime that equals nothing.
    if moment != moment or moment.tzinfo is None:  # noqa: PLR0124 - NaT
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


def seconds_in(span: float | timedelta, what: str = "a wait") -> float:
    """How many seconds a span of time has, which may be said as their number.

    >>> seconds_in(timedelta(minutes=1))
    60.0
    >>> seconds_in("soon")
    Traceback (most recent call last):
        ...
    TypeError: a wait is a number of seconds or a timedelta, not 'soon'
    """
    if isinstance(span, timedelta):
        return span.total_seconds()
    if not isinstance(span, int | float):
        raise TypeError(f"{what} is a number of seconds or a timedelta, not {span!r}")
    if not isfinite(span):
        raise ValueError(f"{what} comes to an end, and {span!r} seconds do not")
    return span


class SystemClock:
    """The machine's clock, in UTC.

    While a handler waits on it, the system goes on with other work.

    >>> SystemClock().now().tzinfo
    datetime.timezone.utc
    """

    def now(self) -> datetime:
        """The machine's time, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float | timedelta) -> None:
        """Wait so many real seconds, or so long."""
        seconds = seconds_in(seconds)
        strand = current.get()
        if strand is not None and strand.scheduler.clock is self:
            await strand.scheduler.sleep(seconds)
            return
        import asyncio

        await asyncio.sleep(seconds)

    def __repr__(self) -> str:
        return "SystemClock()"


class VirtualClock:
    """A clock that jumps: waiting takes no time, and is recorded as if it did.

    ``moment`` is the virtual time; a system moves it, to the next one at which
    something is due, and a clock that no system has moves itself. ``sleep`` is the
    only wait that it sees; ``asyncio.sleep`` passes no virtual time.

    >>> import asyncio
    >>> clock = VirtualClock(datetime(2013, 2, 8, tzinfo=UTC))
    >>> asyncio.run(clock.sleep(30))
    >>> clock
    VirtualClock(2013-02-08T00:00:30Z)
    """

    def __init__(self, start: datetime | None = None) -> None:
        self.moment = START if start is None else to_utc(start, "start")
        self._sleep: Callable[[float], Awaitable[None]] | None = None

    def now(self) -> datetime:
        """The virtual time, in UTC."""
        return self.moment

    def jump(self, moment: datetime) -> None:
        """Go forward to ``moment``; never back."""
        self.moment = max(self.moment, to_utc(moment))

    async def sleep(self, seconds: float | timedelta) -> None:
        """Wait so many virtual seconds, or so long."""
        seconds = seconds_in(seconds)
        if seconds <= 0:
            return
        if self._sleep is None:
            self.jump(self.moment + timedelta(seconds=seconds))
        else:
            await self._sleep(seconds)

    async def sleep_until(self, moment: datetime) -> None:
        """Wait for a virtual moment; one that is over is not waited for."""
        await self.sleep((to_utc(moment) - self.moment).total_seconds())

    def moved_by(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Leave it to a scheduler to let time pass; ``sleep`` is how one waits there."""
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"VirtualClock({iso(self.moment)})"


def iso(moment: datetime | None) -> str:
    """A UTC moment as text that sorts; empty for None.

    >>> iso(START)
    '2024-01-01T00:00:00Z'
    """
    return "" if moment is None else moment.isoformat().replace("+00:00", "Z")
