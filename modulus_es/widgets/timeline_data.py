"""The timeline as the page gets it: every mark as a few bytes in columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import numpy as np

from modulus_es.views import glyphs
from modulus_es.views.lives import Life, causes_of, lanes_of, lives_of, steps_of
from modulus_es.views.marks import KINDS, OUTBOX, SPANS, Mark
from modulus_es.views.text import shown
from modulus_es.views.timeline import Timeline
from modulus_es.views.timeline_scene import COUNTED, LIMIT
from modulus_es.views.timescale import TimeScale, micros
from modulus_es.widgets.graph_data import key, parts

UNIT = 1_000_000_000
"""How finely the axis is counted; 0 is its beginning, this its end."""

SPANS_UP_TO = 600_000
"""Of more marks than these, only the moments travel to the page, not what lasts."""

_COLUMNS = (
    "time", "end", "module", "handler", "kind", "message_id", "type", "attempt", "correlation_id",
    "causation_id",
)  # fmt: skip
_STEP, _WIDE, _GAP = 17, 700.0, 14


def timeline_data(timeline: Timeline, version: int = 0) -> dict[str, Any]:
    """Everything that the page needs to draw a timeline, its columns as bytes.

    ``version`` comes back with every click, so that it is known which marks the
    reader saw.

    >>> from modulus_es.clock import START
    >>> mark = Mark(START, START, "inventory", "ReserveStock", "done", "m1", "OrderCreated")
    >>> timeline_data(Timeline([mark]))["lanes"][0]["node"]
    'inventory/handler/ReserveStock'
    """
    marks = travelling(timeline)
    # By column, because there may be millions.
    held: Any = SimpleNamespace(**{name: list(map(attrgetter(name), marks)) for name in _COLUMNS})
    counted = len(timeline.marks) > LIMIT
    axis = _Linear(held) if counted else _ToScale(marks, timeline.axis)
    lanes = axis.lanes
    number = {lane: index for index, lane in enumerate(lanes)}
    lane = np.fromiter(map(number.__getitem__, _pairs(held)), "u4", len(marks))
    type_, types = numbered(held.type)
    message, cause = _messages(held)
    kind_number = {kind: index for index, kind in enumerate(KINDS)}
    kind = np.fromiter(map(kind_number.__getitem__, held.kind), "u1", len(marks))
    attempt = np.minimum(np.array(held.attempt, dtype="i8"), 65_535)
    sent = {
        "knots": np.array(axis.knots, "f8"),
        "x": np.array(axis.x, "u4"),
        "end": np.array(axis.end, "u4"),
        "cause": np.array(cause, "i4"),
        **{
            name: narrow(np.asarray(values))
            for name, values in (
                ("row", axis.rows), ("lane", lane), ("kind", kind), ("type", type_),
                ("attempt", attempt), ("message", message),
            )
        },
    }  # fmt: skip
    return {
        "version": version,
        "counted": counted,
        "heading": _heading(timeline) if counted else timeline.scene().title,
        "alt": timeline.alt(),
        "cuts": axis.cuts,
        "flow": axis.flow,
        **packed(lanes, axis.rows_of, list(types), sent),
    }


def packed(
    lanes: Sequence[tuple[str, str]],
    rows_of: Mapping[tuple[str, str], int],
    types: Sequence[str],
    columns: Mapping[str, Any],
) -> dict[str, Any]:
    """Lanes, types and columns as they travel, and the signs to draw them with.

    >>> packed([("orders", "(outbox)")], {}, ["OrderCreated"], {})["lanes"][0]["outbox"]
    True
    """
    modules = list(dict.fromkeys(module for module, _ in lanes))
    return {
        "kinds": list(KINDS),
        "meanings": glyphs.MEANINGS,
        "bars": COUNTED,
        "glyphs": {
            kind: parts(glyphs.moment(kind, 0, 0)) for kind in KINDS if kind not in SPANS
        },
        "lanes": [
            {
                "module": key(module),
                "label": shown(handler, 120),
                "handler": key(handler),
                "rows": rows_of.get((module, handler), 1),
                "node": "" if handler.startswith("(") else key(f"{module}/handler/{handler}"),
                "outbox": handler == OUTBOX,
            }
            for module, handler in lanes
        ],
        "types": [
            {
                "name": key(name),
                "label": shown(name, 120),
                "nodes": [
                    key(f"contract/{name}"),
                    *(key(f"{held}/command/{name}") for held in modules),
                ],
            }
            for name in types
        ],
        "columns": {name: values.dtype.str[1:] for name, values in columns.items()},
        **{name: memoryview(values.tobytes()) for name, values in columns.items()},
    }  # fmt: skip


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

    def __init__(self, held: Any) -> None:
        many = len(held.time)
        begin = np.rint(np.fromiter(map(datetime.timestamp, held.time), "f8", many) * 1e6)
        end = begin.copy()
        lasting = [index for index, kind in enumerate(held.kind) if kind in SPANS]
        ends = map(datetime.timestamp, map(held.end.__getitem__, lasting))
        end[lasting] = np.rint(np.fromiter(ends, "f8", len(lasting)) * 1e6)
        first, last = float(begin.min()), float(end.max())
        factor = UNIT / max(last - first, 1.0)
        self.x = np.rint((begin - first) * factor)
        self.end = np.rint((end - first) * factor)
        self.knots = [first, 0.0, 0.0, last, 1.0, 1.0]
        self.flow = last - first
        # The marks are in order of time, so the lanes are in order of their first ones.
        self.lanes = in_order(dict.fromkeys(_pairs(held)))
        self.rows = np.zeros(many, "u1")
        self.rows_of: dict[tuple[str, str], int] = {}


def _heading(timeline: Timeline) -> str:
    many = f"{len(timeline.marks):,} marks"
    return f"{timeline.title}: {many}, drawn as counts because they are so many"


def _pairs(held: Any) -> Iterator[tuple[str, str]]:
    return zip(held.module, held.handler, strict=True)


def in_order(lanes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Lanes in order of their first marks, as the pictures have them: module by module.

    >>> in_order([("orders", "(outbox)"), ("billing", "charge"), ("orders", "ship")])
    [('orders', 'ship'), ('orders', '(outbox)'), ('billing', 'charge')]
    """
    lives = [Life(lane, [index]) for index, lane in enumerate(lanes)]
    return lanes_of(lives, range(len(lives)))


def numbered(values: Sequence[Any]) -> tuple[Any, dict[Any, int]]:
    """Each value's number, in order of first appearance, and the numbers by value.

    >>> numbered(["b", "a", "b"])
    (array([0, 1, 0], dtype=uint32), {'b': 0, 'a': 1})
    """
    number = {value: index for index, value in enumerate(dict.fromkeys(values))}
    return np.fromiter(map(number.__getitem__, values), "u4", len(values)), number


def _messages(held: Any) -> tuple[Any, Any]:
    """The number of each mark's message, and of each message's cause, -1 without one."""
    ids, keys = held.message_id, held.message_id
    nameless = [index for index, id_ in enumerate(ids) if not id_]
    if nameless:
        # What has no id is a command's attempt with its outcome, which end together.
        keys = list(ids)
        for index in nameless:
            keys[index] = (held.correlation_id[index], held.type[index], held.end[index])
    own, number = numbered(keys)
    first = np.empty(len(number), "i8")
    first[own[::-1]] = np.arange(len(own) - 1, -1, -1)
    # How a message was recorded knows best what it follows from.
    recorded = [index for index, kind in enumerate(held.kind) if kind == "recorded"]
    first[own[recorded]] = recorded
    sent: dict[tuple[str, str | None], int] = {}
    for index in nameless:
        sent.setdefault((held.module[index], held.correlation_id[index]), int(own[index]))
    causes = map(held.causation_id.__getitem__, first.tolist())
    cause = np.fromiter((number.get(id_ or "", -1) for id_ in causes), "i4", len(number))
    if sent:
        for message in np.flatnonzero(cause < 0).tolist():
            index = int(first[message])
            if ids[index]:
                spoke = held.module[index], held.correlation_id[index]
                cause[message] = sent.get(spoke, -1)
    cause[cause == np.arange(len(number))] = -1
    return own, cause


def _flow(knots: Sequence[float], cuts: Sequence[Any]) -> float:
    """How many microseconds the whole axis would have if all of it flowed as its waits do."""
    places = {cut["x"] for cut in cuts}
    time = share = 0.0
    for at in range(0, len(knots) - 3, 3):
        if knots[at + 2] not in places:
            time += knots[at + 3] - knots[at]
            share += knots[at + 4] - knots[at + 2]
    return time / share if share else 0.0


def narrow(values: Any) -> Any:
    """The same numbers, none of them below 0, in as few bytes as hold each of them."""
    most = int(values.max(initial=0))
    return values.astype("<u1" if most < 1 << 8 else "<u2" if most < 1 << 16 else "<u4")
