"""The timeline as the page gets it: every mark as a few bytes in columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from modulus_es.views import glyphs
from modulus_es.views.lives import Life, causes_of, lanes_of, lives_of, steps_of
from modulus_es.views.marks import KINDS, OUTBOX, SPANS, Mark
from modulus_es.views.text import shown
from modulus_es.views.timeline import Timeline
from modulus_es.views.timeline_scene import LIMIT
from modulus_es.views.timescale import TimeScale, micros
from modulus_es.widgets.graph_data import key, parts

UNIT = 1_000_000_000
"""How finely the axis is counted; 0 is its beginning, this its end."""

SPANS_UP_TO = 600_000
"""Of more marks than these, only the moments travel to the page, not what lasts."""

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
    columns: Any = zip(*marks, strict=True) if marks else [()] * len(Mark._fields)
    held: Any = Mark(*columns)
    counted = len(timeline.marks) > LIMIT
    axis = _Linear(held) if counted else _ToScale(marks, timeline.axis)
    lanes = axis.lanes
    number = {lane: index for index, lane in enumerate(lanes)}
    types = list(dict.fromkeys(held.type))
    type_number = {name: index for index, name in enumerate(types)}
    modules = list(dict.fromkeys(module for module, _ in lanes))
    message, cause = _messages(held)
    kind_number = {kind: index for index, kind in enumerate(KINDS)}
    return {
        "version": version,
        "counted": counted,
        "heading": _heading(timeline) if counted else timeline.scene().title,
        "alt": timeline.alt(),
        "kinds": list(KINDS),
        "meanings": glyphs.MEANINGS,
        "glyphs": {
            kind: parts(glyphs.moment(kind, 0, 0)) for kind in KINDS if kind not in SPANS
        },
        "lanes": [
            {
                "module": key(module),
                "label": shown(handler, 120),
                "handler": key(handler),
                "rows": axis.rows_of.get((module, handler), 1),
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
        "cuts": axis.cuts,
        "flow": axis.flow,
        "knots": _bytes(axis.knots, "f8"),
        "x": _bytes(axis.x, "u4"),
        "end": _bytes(axis.end, "u4"),
        "row": _bytes(axis.rows, "u2"),
        "lane": _bytes([number[lane] for lane in _pairs(held)], "u2"),
        "kind": _bytes([kind_number[kind] for kind in held.kind], "u1"),
        "type": _bytes([type_number[name] for name in held.type], "u4"),
        "attempt": _bytes(np.minimum(np.array(held.attempt, dtype="i8"), 65_535), "u2"),
        "message": _bytes(message, "u4"),
        "cause": _bytes(cause, "i4"),
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
        begin = np.rint(np.array([time.timestamp() for time in held.time]) * 1e6)
        end = np.rint(np.array([time.timestamp() for time in held.end]) * 1e6)
        first, last = float(begin.min()), float(end.max())
        factor = UNIT / max(last - first, 1.0)
        self.x = np.rint((begin - first) * factor)
        self.end = np.rint((end - first) * factor)
        self.knots = [first, 0.0, 0.0, last, 1.0, 1.0]
        self.flow = last - first
        lives = [Life(lane, [index]) for lane, index in _firsts(list(_pairs(held))).items()]
        self.lanes = lanes_of(lives, self.x.tolist())
        self.rows = np.zeros(len(held.time))
        self.rows_of: dict[tuple[str, str], int] = {}


def _heading(timeline: Timeline) -> str:
    many = f"{len(timeline.marks):,} marks"
    return f"{timeline.title}: {many}, drawn as counts because they are so many"


def _pairs(held: Any) -> Iterator[tuple[str, str]]:
    return zip(held.module, held.handler, strict=True)


def _firsts(values: Sequence[Any]) -> dict[Any, int]:
    """Where each value comes first, in that order."""
    found = dict(zip(reversed(values), range(len(values) - 1, -1, -1), strict=True))
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _messages(held: Any) -> tuple[list[int], list[int]]:
    """The number of each mark's message, and of each message's cause, -1 without one."""
    keys = [
        # What has no id is a command's attempt with its outcome, which end together.
        id_ or (held.correlation_id[index], held.type[index], held.end[index])
        for index, id_ in enumerate(held.message_id)
    ]
    number = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    own = [number[key] for key in keys]
    first = _firsts(own)
    # How a message was recorded knows best what it follows from.
    recorded = [index for index, kind in enumerate(held.kind) if kind == "recorded"]
    first.update((own[index], index) for index in recorded)
    sent: dict[tuple[str, str | None], int] = {}
    for index, id_ in enumerate(held.message_id):
        if not id_:
            sent.setdefault((held.module[index], held.correlation_id[index]), own[index])
    behind = []
    for message in range(len(number)):
        index = first[message]
        found = number.get(held.causation_id[index] or "", -1)
        if found < 0 and held.message_id[index]:
            found = sent.get((held.module[index], held.correlation_id[index]), -1)
        behind.append(-1 if found == message else found)
    return own, behind


def _flow(knots: Sequence[float], cuts: Sequence[Any]) -> float:
    """How many microseconds the whole axis would have if all of it flowed as its waits do."""
    places = {cut["x"] for cut in cuts}
    time = share = 0.0
    for at in range(0, len(knots) - 3, 3):
        if knots[at + 2] not in places:
            time += knots[at + 3] - knots[at]
            share += knots[at + 4] - knots[at + 2]
    return time / share if share else 0.0


def _bytes(values: Any, dtype: str) -> memoryview:
    return memoryview(np.asarray(values, dtype=f"<{dtype}").tobytes())
