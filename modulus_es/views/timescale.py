"""Where a time is on the axis: to scale, but for waits that would dwarf all the rest.

All is computed in whole microseconds, so that the same marks give the same
picture everywhere.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BROKEN = 64
"""How many pixels a broken wait takes."""
_DWARFS = 4
"""A wait is broken when it is so many times as long as all the rest."""
_MOST_BREAKS = 3
_TICK = 92

_SECOND, _MINUTE, _HOUR, _DAY = 10**6, 60 * 10**6, 3600 * 10**6, 86400 * 10**6
_STEPS = (
    *(digit * 10**power for power in range(6) for digit in (1, 2, 5)),
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28, 91, 182, 365, 730, 1825, 3650, 36500, 365000)),
)


def micros(time: datetime) -> int:
    """Whole microseconds since 1970.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(time: int) -> datetime:
    """The time that so many microseconds after 1970 are.

    >>> moment(1000000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + timedelta(microseconds=time)


class Tick(NamedTuple):
    """A labelled place on the axis."""

    x: float
    text: str


class Break(NamedTuple):
    """Where a wait is cut short, and how long it is."""

    x: float
    width: float
    text: str


class TimeScale:
    """Maps times to pixels between ``left`` and ``right``.

    ``times`` are all at which something begins or ends. ``room`` says how many
    pixels an instant needs at which things follow each other without any time
    between. ``axis`` is linear; or broken, which cuts a wait that is longer
    than four times all the rest; or log, where every wait is as long as its
    logarithm, so that a wait of a day leaves room for one of a second.

    >>> scale = TimeScale([0, 10, 20], 100, 300)
    >>> scale.x(0), scale.x(10), scale.x(20), scale.breaks
    (100.0, 200.0, 300.0, [])
    """

    def __init__(
        self,
        times: Sequence[int],
        left: float,
        right: float,
        room: Mapping[int, float] | None = None,
        *,
        axis: str = "broken",
    ) -> None:
        self.axis = axis
        self.times = sorted(set(times))
        self.left, self.right = left, right
        gaps = [later - time for time, later in zip(self.times, self.times[1:], strict=False)]
        cut = _dwarfing(gaps) if axis == "broken" else set()
        long: Sequence[float] = [logarithm(gap) for gap in gaps] if axis == "log" else gaps
        needed = [(room or {}).get(time, 0.0) for time in self.times]
        held = 0.0
        for need in needed:
            held += need
        width = right - left - _BROKEN * len(cut)
        # Instants get what they need, up to an eighth of the axis: more of them within a wait
        # would make it look longer than one that lasts twice as long.
        share = min(1.0, width / 8 / held) if held and gaps else 1.0
        flowing = 0.0
        for index, gap in enumerate(long):
            flowing += 0 if index in cut else gap
        a_pixel = flowing / (width - held * share) if flowing else 0.0
        self._micros_a_pixel = 0.0 if axis == "log" else a_pixel
        self._begins, self._ends = [], []
        self.breaks: list[Break] = []
        x = left
        for index, need in enumerate(needed):
            self._begins.append(x)
            x += need * share
            self._ends.append(x)
            if index in cut:
                self.breaks.append(Break(x, _BROKEN, lasting(gaps[index])))
                x += _BROKEN
            elif index < len(gaps):
                x += long[index] / a_pixel
        self.share = share

    def x(self, time: int, ahead: float = 0) -> float:
        """Where a time is; ``ahead`` is how far into what happens at that instant."""
        index = bisect_left(self.times, time)
        if index < len(self.times) and self.times[index] == time:
            return self._begins[index] + ahead * self.share
        if not 0 < index < len(self.times):
            return self.left if index == 0 else self.right
        before, after = self.times[index - 1], self.times[index]
        start, end = self._ends[index - 1], self._begins[index]
        return start + (end - start) * (time - before) / (after - before)

    def ticks(self) -> list[Tick]:
        """Round times along the axis, those that have room for their text."""
        if not self.times:
            return []
        first, last = self.times[0], self.times[-1]
        if first == last:
            return [Tick(self.left, clock_text(first, _exact(first)))]
        if self.axis == "log":
            return self._own()
        target = self._micros_a_pixel * _TICK or (last - first) / 6
        coarse = next((n for n, step in enumerate(_STEPS) if step >= target), len(_STEPS) - 1)
        for step in (_STEPS[coarse], *_STEPS[max(coarse - 2, 0) : coarse][::-1]):
            ticks = self._round(step)
            if len(ticks) > 1:
                return ticks
        return [Tick(self.left, clock_text(first, _exact(first)))]

    def _own(self) -> list[Tick]:
        """The times at which something happens, those that have room."""
        ticks: list[Tick] = []
        free, day = self.left, self.times[0] // _DAY
        exact = 1000 if self.times[-1] - self.times[0] >= _SECOND else 1
        for time, x in zip(self.times, self._begins, strict=True):
            if x >= free:
                # What is drawn as its logarithm is not read to the microsecond.
                text = clock_text(time - time % exact, _exact(time - time % exact))
                if time // _DAY > day:
                    text = f"{moment(time):%m-%d} {clock_text(time - time % _SECOND, _SECOND)}"
                day = time // _DAY
                ticks.append(Tick(x, text))
                free = x + _TICK
        return ticks

    def _round(self, step: int) -> list[Tick]:
        """The multiples of a step that have room on the axis."""
        ticks: list[Tick] = []
        free, day = self.left, self.times[0] // _DAY
        time = -(-self.times[0] // step) * step
        while time <= self.times[-1]:
            x = self.x(time)
            if any(cut.x < x < cut.x + cut.width for cut in self.breaks):
                # Nothing happens within a broken wait: go on behind it.
                later = self.times[bisect_right(self.times, time)]
                time = -(-later // step) * step
                continue
            if x >= free:
                text = clock_text(time, step)
                if time // _DAY > day and step < _DAY:
                    text = f"{moment(time):%m-%d} {text}"
                day = time // _DAY
                ticks.append(Tick(x, text))
                free = x + _TICK
            time += step
        return ticks


def _exact(time: int) -> int:
    return next(unit for unit in (_SECOND, 1000, 1) if time % unit == 0)


def _dwarfing(gaps: Sequence[int]) -> set[int]:
    """The gaps that are to be broken, the longest first."""
    left, cut = sum(gaps), set()
    for index in nlargest(_MOST_BREAKS, range(len(gaps)), key=gaps.__getitem__):
        left -= gaps[index]
        if not left or gaps[index] < _DWARFS * left:
            break
        cut.add(index)
    return cut


def logarithm(span: int) -> float:
    """About the logarithm to base 2 of a wait in milliseconds, at least 1.

    Between the powers of two it is a straight line, so that it has the same
    bits on every machine.

    >>> logarithm(0), logarithm(1_024_000), logarithm(1_536_000)
    (1.0, 11.0, 11.5)
    """
    power = max(span // 1000, 1).bit_length() - 1
    return 1.0 + power + (max(span, 1000) / 1000 / (1 << power) - 1)


def clock_text(time: int, step: int) -> str:
    """A time as exact as the steps of its axis are.

    >>> clock_text(1_500_000, 500_000), clock_text(0, 10**6)
    ('00:00:01.500', '00:00:00')
    """
    text = moment(time).isoformat(timespec="microseconds")
    if step >= _DAY:
        return text[:10]
    if step >= _MINUTE:
        return text[11:16]
    if step >= _SECOND and time % _SECOND == 0:
        return text[11:19]
    return text[11:23] if time % 1000 == 0 else text[11:26]


def lasting(span: int) -> str:
    """How long something takes, in words short enough for a picture.

    >>> lasting(1_500_000), lasting(90_000_000), lasting(7_200_000_000)
    ('1.5 s', '1 min 30 s', '2 h')
    """
    for unit, word, smaller, small in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", _SECOND, "s"),
    ):
        if span >= unit:
            whole, rest = divmod(span, unit)
            rest //= smaller
            return f"{whole:,} {word}" + (f" {rest} {small}" if rest else "")
    for unit, word in ((_SECOND, "s"), (1000, "ms")):
        if span >= unit:
            thousandths = f"{span // unit}.{span % unit * 1000 // unit:03d}"
            return f"{thousandths.rstrip('0').rstrip('.')} {word}"
    return f"{span} µs"
