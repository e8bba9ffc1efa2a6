"""The delivery timeline: what happened to every message, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from modulus_es.clock import iso, to_utc
from modulus_es.views import timeline_exports
from modulus_es.views.counting import all_counted, counted, plural
from modulus_es.views.lives import lanes_of, lives_of
from modulus_es.views.marks import KINDS, MOMENTS, SPANS, Mark
from modulus_es.views.picture import Picture
from modulus_es.views.scene import Scene
from modulus_es.views.text import shown
from modulus_es.views.timeline_scene import LIMIT, timeline_scene
from modulus_es.views.timescale import lasting, micros

if TYPE_CHECKING:
    import pandas as pd

_MANY = 12
_INSTANT = timedelta.resolution
AXES = ("broken", "log", "linear")
_TIME, _END, _KIND, _MESSAGE = map(attrgetter, ("time", "end", "kind", "message_id"))
_PLACE = attrgetter("module", "handler", "kind")
_ENDS = ("done", "failed", "dead", "retry")


class Timeline(Picture):
    """The marks of messages in lanes, by module and handler, over the clock's time.

    ``arrows`` draws what led to what. ``axis`` is broken: a wait that dwarfs all
    the rest is cut short, and says how long it is; or log: waits are drawn as
    their logarithms; or linear: all is to scale, however small it gets. Raises
    ValueError for another axis, and for marks of a kind that there is not.

    >>> from modulus_es.clock import START
    >>> mark = Mark(START, START, "inventory", "ReserveStock", "done", "m1", "OrderCreated")
    >>> timeline = Timeline([mark])
    >>> timeline
    Timeline(1 message, 1 lane, 1 done, 2024-01-01T00:00:00Z)
    >>> timeline.to_svg()[:5], timeline.filter(type="OrderShipped")
    ('<svg ', Timeline(nothing yet))
    """

    def __init__(
        self,
        marks: Iterable[Mark],
        *,
        title: str = "Delivery timeline",
        arrows: bool = False,
        axis: str = "broken",
    ) -> None:
        if axis not in AXES:
            raise ValueError(f"an axis is {', '.join(AXES)}, not {axis!r}")
        self.marks = tuple(sorted(marks, key=_TIME))
        self.title, self.arrows, self.axis = title, arrows, axis
        for kind in set(map(_KIND, self.marks)).difference(KINDS):
            raise ValueError(f"a mark is {', '.join(KINDS)}, not {kind!r}")

    def filter(
        self,
        *,
        correlation: str | None = None,
        type: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        arrows: bool | None = None,
        axis: str | None = None,
    ) -> Timeline:
        """The part with this correlation id, of this type, and within these times.

        A span that only reaches into these times is cut, and the end where it
        goes on is open. Raises ValueError for a time without a time zone.
        """
        since = None if since is None else to_utc(since, "since")
        until = None if until is None else to_utc(until, "until")
        kept: Iterable[Mark] = self.marks
        if correlation is not None or type is not None or since is not None or until is not None:
            kept = self._within(correlation, type, since, until)
        return Timeline(
            kept,
            title=self.title,
            arrows=self.arrows if arrows is None else arrows,
            axis=self.axis if axis is None else axis,
        )

    def _within(
        self,
        correlation: str | None,
        type: str | None,
        since: datetime | None,
        until: datetime | None,
    ) -> Iterator[Mark]:
        return (
            mark.within(since, until)
            for mark in self.marks
            if (correlation is None or mark.correlation_id == correlation)
            and (type is None or mark.type == type)
            and (since is None or mark.end >= since + _INSTANT * (mark.time < since))
            and (until is None or mark.time <= until - _INSTANT * (mark.end > until))
        )

    def scene(self) -> Scene:
        """The picture, before anybody draws it."""
        return self._drawn

    @cached_property
    def _drawn(self) -> Scene:
        return timeline_scene(
            f"{shown(self.title)}: {self._said}",
            self._heading,
            self.marks,
            self._sentence,
            arrows=self.arrows,
            axis=self.axis,
        )

    @cached_property
    def _heading(self) -> str:
        if not self.marks:
            return "Nothing has happened yet."
        first, last = self._bounds()
        said = f"{_clock(first)} to {_clock(last)} UTC" if last > first else f"{_clock(first)} UTC"
        if last > first:
            said += f" ({lasting(micros(last) - micros(first))})"
        said += " · waits drawn as their logarithms" if self.axis == "log" else ""
        if len(self.marks) > LIMIT:
            many = sum(held[kind] for held in self._lanes.values() for kind in MOMENTS)
            said += f" · {many:,} marks, drawn as counts because they are so many"
        return said

    def _bounds(self) -> tuple[datetime, datetime]:
        return self.marks[0].time, max(map(_END, self.marks))

    @cached_property
    def _lanes(self) -> dict[tuple[str, str], Counter[str]]:
        """How many marks of each kind there are in each lane."""
        lanes: dict[tuple[str, str], Counter[str]] = {}
        for (module, handler, kind), count in Counter(map(_PLACE, self.marks)).items():
            lanes.setdefault((module, handler), Counter())[kind] += count
        return lanes

    @cached_property
    def _said(self) -> str:
        messages = len(set(map(_MESSAGE, self.marks)) - {""})
        total = sum(self._lanes.values(), Counter())
        said = [counted(messages, "message"), counted(len(self._lanes), "lane")]
        return ", ".join([*said, *all_counted(total, MOMENTS)])

    def _sentence(self, mark: Mark) -> str:
        where = f"{shown(mark.module, 80)} {shown(mark.handler, 80)}".strip()
        said = f"{where}: {shown(mark.type, 80)} {mark.kind.replace('_', ' ')}"
        if mark.kind in SPANS:
            said += f" for {lasting(micros(mark.end) - micros(mark.time))} from"
        said += f" {_clock(mark.time)}"
        said += f", attempt {mark.attempt}" if mark.attempt else ""
        said += f", {shown(mark.text, 200)}" if mark.text else ""
        said += {
            "begin": ", began before",
            "end": ", goes on",
            "both": ", began before and goes on",
        }.get(mark.open, "")
        said += f" ({shown(mark.error, 300)})" if mark.error else ""
        return said + (f" [{shown(mark.message_id, 80)}]" if mark.message_id else "")

    def alt(self) -> str:
        """What the picture says, in words: counts, lanes, and what went wrong."""
        if not self.marks:
            return f"{shown(self.title)}: nothing has happened yet."
        said = [f"{shown(self.title)}: {self._said}.", f"{self._heading}."]
        lanes = self._lanes
        for lane in list(lanes)[:_MANY]:
            counts = ", ".join(all_counted(lanes[lane], MOMENTS)) or "waiting"
            said.append(f"{shown(' '.join(lane), 160)}: {counts}.")
        if len(lanes) > _MANY:
            said.append(f"And {len(lanes) - _MANY} more lanes, in the table.")
        dead = [mark for mark in self.marks if mark.kind == "dead"]
        said += [f"{self._sentence(mark)}." for mark in dead[:_MANY]]
        if len(dead) > _MANY:
            said.append(f"And {len(dead) - _MANY} more dead letters.")
        return " ".join(said)

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        """The heads and rows of the table below the picture: each message in each lane.

        Where the picture shows counts, a row for each lane.
        """
        if len(self.marks) > LIMIT:
            counts = [
                (*lane, *(held[kind] for kind in MOMENTS)) for lane, held in self._lanes.items()
            ]
            return ("module", "handler", *map(plural, MOMENTS)), counts
        heads = (
            "module", "handler", "type", "message", "from", "to", "attempts", "duplicates",
            "outcome", "error",
        )  # fmt: skip
        rows = []
        lives = lives_of(self.marks)
        lanes = lanes_of(lives, range(len(self.marks)))
        for life in sorted(lives, key=lambda life: lanes.index(life.lane)):
            held = [self.marks[index] for index in life.marks]
            last = max(held, key=lambda mark: mark.end)
            ended = next((m.kind for m in reversed(held) if m.kind in _ENDS), "pending")
            rows.append(
                (
                    last.module, last.handler, last.type, last.message_id, _clock(held[0].time),
                    _clock(last.end), max(mark.attempt for mark in held),
                    sum(mark.kind == "duplicate" for mark in held), ended,
                    next((mark.error for mark in reversed(held) if mark.error), ""),
                )
            )  # fmt: skip
        return heads, rows

    def to_frame(self) -> pd.DataFrame:
        """Every mark, in order of time."""
        import pandas as pd

        from modulus_es.views import columns

        made = {
            "time": columns.times([mark.time for mark in self.marks]),
            "end": columns.times([mark.end for mark in self.marks]),
            "attempt": columns.integers([mark.attempt for mark in self.marks]),
        }
        for name in (
            "module", "handler", "kind", "type", "message_id", "correlation_id", "causation_id",
            "error", "text", "open",
        ):  # fmt: skip
            made[name] = columns.text([getattr(mark, name) for mark in self.marks])
        order = ["time", "end", "module", "handler", "kind", "type", "message_id", "attempt"]
        return pd.DataFrame(made)[
            [*order, "correlation_id", "causation_id", "error", "text", "open"]
        ]

    def to_mermaid(self) -> str:
        """The same as a Mermaid sequence diagram, for Markdown that renders it."""
        return timeline_exports.to_mermaid(self)

    def to_networkx(self) -> Any:
        """What led to what, as a ``networkx.DiGraph``; a node is a message in a lane."""
        return timeline_exports.to_networkx(self)

    def __repr__(self) -> str:
        if not self.marks:
            return "Timeline(nothing yet)"
        first, last = self._bounds()
        span = iso(first) if last == first else f"{iso(first)} to {iso(last)}"
        return f"Timeline({self._said}, {span})"


def _clock(time: datetime) -> str:
    text = iso(time).replace("T", " ").removesuffix("Z")
    return text.rstrip("0") if "." in text else text
