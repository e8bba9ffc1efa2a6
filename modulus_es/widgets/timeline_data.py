"""The timeline as the page gets it: every mark as a few bytes in columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from modulus_es.views.counting import all_counted, counted
from modulus_es.views.lives import causes_of, lanes_of, lives_of, steps_of
from modulus_es.views.marks import KINDS, MOMENTS, OUTBOX, SPANS, Mark
from modulus_es.views.timeline import Timeline
from modulus_es.views.timeline_scene import LIMIT
from modulus_es.views.timescale import TimeScale, micros
from modulus_es.widgets.columns import Columns, in_use
from modulus_es.widgets.packing import UNIT, in_order, linear, narrow, packed
from modulus_es.widgets.states import counted_states

SPANS_UP_TO = 600_000
"""Of more marks than these, only the moments travel to the page, not what lasts.

How many messages were where is counted here then.
"""

_STEP, _WIDE, _GAP = 17, 700.0, 14


def timeline_data(
    timeline: Timeline, version: int = 0, columns: Columns | None = None
) -> dict[str, Any]:
    """Everything that the page needs to draw a timeline, its columns as bytes.

    ``version`` comes back with every click, so that it is known which marks the
    reader saw. ``columns`` are those of its marks, where they are known already.

    >>> from modulus_es.clock import START
    >>> mark = Mark(START, START, "inventory", "ReserveStock", "done", "m1", "OrderCreated")
    >>> timeline_data(Timeline([mark]))["lanes"][0]["node"]
    'inventory/handler/ReserveStock'
    """
    many = len(timeline.marks) > LIMIT
    columns = Columns(timeline.marks) if columns is None else columns
    held = columns.held
    lanes = in_use(held["lane"], columns.lanes)
    names = [lane for lane, _ in lanes]
    axis: _ToScale | _Linear
    axis = _Linear(held, names) if many else _ToScale(timeline.marks, timeline.axis)
    place = {lane: index for index, lane in enumerate(axis.lanes)}
    types = in_use(held["type"], columns.types)
    numbers = {
        "x": np.array(axis.x, "u4"),
        "end": np.array(axis.end, "u4"),
        "row": np.asarray(axis.rows),
        "lane": _renumbered(held["lane"], [(n, place[lane]) for lane, n in lanes]),
        "kind": held["kind"],
        "open": held["open"],
        "type": _renumbered(held["type"], [(n, at) for at, (_, n) in enumerate(types)]),
        "attempt": np.minimum(held["attempt"], 65_535),
        "message": held["message"],
    }
    sent = {"knots": np.array(axis.knots, "f8"), "cause": columns.cause()}
    if len(timeline.marks) > SPANS_UP_TO:
        outbox = [handler == OUTBOX for _, handler in axis.lanes]
        sent["states"] = counted_states(numbers, outbox).ravel()
        moments = columns.moments()
        numbers = {name: values[moments] for name, values in numbers.items()}
    for name, values in numbers.items():
        sent[name] = values if name in ("x", "end") else narrow(values)
    return {
        "version": version,
        "counted": many,
        "heading": _heading(timeline) if many else timeline.scene().title,
        "alt": _alt(timeline, held["kind"], len(names)) if many else timeline.alt(),
        "cuts": axis.cuts,
        "flow": axis.flow,
        **packed(axis.lanes, axis.rows_of, [name for name, _ in types], sent),
    }


def travelling(timeline: Timeline) -> Sequence[Mark]:
    """The marks that the page is told of, in its order."""
    if len(timeline.marks) <= SPANS_UP_TO:
        return timeline.marks
    return [mark for mark in timeline.marks if mark.kind not in SPANS]


class _ToScale:
    """Few marks: what happens within an instant follows one another, long waits are cut."""

    def __init__(self, marks: Sequence[Mark], axis: str) -> None:
        lives = lives_of(marks)
        steps = steps_of(marks, lives, causes_of(marks, lives))
        begin, end = [micros(mark.time) for mark in marks], [micros(mark.end) for mark in marks]
        room: dict[int, float] = defaultdict(float)
        for time, step in zip(begin, steps, strict=True):
            room[time] = max(room[time], float(step * _STEP))
        scale = TimeScale([*begin, *end], _GAP, _WIDE - _GAP, room, axis=axis)
        starts = [scale.x(time, step * _STEP) for time, step in zip(begin, steps, strict=True)]
        ends = [
            scale.x(time) if mark.kind in SPANS else start
            for mark, time, start in zip(marks, end, starts, strict=True)
        ]
        # Where no time passes at all, what happened one after the other has the whole axis.
        wide = _WIDE if len(scale.times) > 1 else max(ends, default=0.0) + _GAP
        self.x = [round(start / wide * UNIT) for start in starts]
        self.end = [round(end / wide * UNIT) for end in ends]
        self.cuts = [
            {"x": cut.x / wide, "width": cut.width / wide, "text": cut.text} for cut in scale.breaks
        ]
        self.knots = []
        for time in scale.times:
            left, right = scale.x(time), scale.x(time, room.get(time, 0.0))
            self.knots += [float(time), left / wide, right / wide]
        self.flow = _flow(self.knots, self.cuts)
        self.lanes = lanes_of(lives, starts) if lives else []
        self.rows = [0] * len(marks)
        self.rows_of: dict[tuple[str, str], int] = {}
        free: dict[tuple[str, str], list[float]] = defaultdict(list)
        for life in lives:
            first = min(starts[index] for index in life.marks) - _GAP / 2
            last = max(ends[index] for index in life.marks) + _GAP / 2
            until = free[life.lane]
            row = next((row for row, x in enumerate(until) if x <= first), len(until))
            until[row : row + 1] = [last]
            for index in life.marks:
                self.rows[index] = row
        self.rows_of = {lane: len(until) for lane, until in free.items()}


class _Linear:
    """Many marks: time as it is, because each has less than a pixel."""

    cuts: Sequence[Any] = ()

    def __init__(self, held: Mapping[str, Any], lanes: Iterable[tuple[str, str]]) -> None:
        begin, end = held["time"], held["end"]
        first, last = float(begin.min()), float(end.max())
        start, factor, self.knots = linear(first, last)
        self.x = np.rint(start + (begin - first) * factor)
        self.end = np.rint(start + (end - first) * factor)
        self.flow = last - first
        # The marks are in order of time, so the lanes are in order of their first ones.
        self.lanes = in_order(lanes)
        self.rows = np.zeros(len(begin), "u1")
        self.rows_of: dict[tuple[str, str], int] = {}


def _renumbered(numbers: Any, new: Iterable[tuple[int, int]]) -> Any:
    pairs = list(new)
    found = np.zeros(max((old for old, _ in pairs), default=-1) + 1, "u4")
    for old, now in pairs:
        found[old] = now
    return found[numbers]


def _heading(timeline: Timeline) -> str:
    many = f"{len(timeline.marks):,} marks"
    return f"{timeline.title}: {many}, drawn as counts because they are so many"


def _alt(timeline: Timeline, kinds: Any, lanes: int) -> str:
    """What a picture of very many marks says, in words; the table below has the lanes."""
    counts = np.bincount(kinds, minlength=len(KINDS)).tolist()
    said = all_counted(dict(zip(KINDS, counts, strict=True)), MOMENTS)
    return f"{_heading(timeline)}: {', '.join([counted(lanes, 'lane'), *said])}."


def _flow(knots: Sequence[float], cuts: Sequence[Any]) -> float:
    """How many microseconds the whole axis would have if all of it flowed as its waits do."""
    places = {cut["x"] for cut in cuts}
    time = share = 0.0
    for at in range(0, len(knots) - 3, 3):
        if knots[at + 2] not in places:
            time += knots[at + 3] - knots[at]
            share += knots[at + 4] - knots[at + 2]
    return time / share if share else 0.0
