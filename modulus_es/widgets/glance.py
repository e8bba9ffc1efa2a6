"""What can be said of many deliveries before the life of each message is known."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from modulus_es.views.marks import KINDS, OUTBOX, UNREADABLE
from modulus_es.widgets.columns import numbered
from modulus_es.widgets.packing import in_order, linear, narrow, packed

if TYPE_CHECKING:
    from modulus_es.envelope import Envelope
    from modulus_es.stores.rows import InboxRow, OutboxRow
    from modulus_es.system import System

MANY = 20_000
"""Of fewer rows than these, everything is known about as quickly."""

_RECORDED, _DONE, _FAILED, _DEAD = map(KINDS.index, ("recorded", "done", "failed", "dead"))


def glance(system: System) -> dict[str, Any] | None:
    """When each message was recorded and how each delivery ended, as the page draws it.

    Waits, attempts and what led to what are missing: they take several times as
    long to find out. None where there is little to look at.

    >>> from modulus_es import System
    >>> glance(System(seed=7)) is None
    True
    """
    seen = _Seen()
    for module in system.modules:
        seen.outbox(module.name, module.store.outbox_rows())
    for module in system.modules:
        seen.inbox(module.name, module.store.inbox_rows())
    many = len(seen.times)
    if many < MANY:
        return None
    time = np.rint(np.fromiter(map(datetime.timestamp, seen.times), "f8", many) * 1e6)
    order = np.argsort(time, kind="stable")
    time = time[order]
    lanes = in_order(sorted(seen.began, key=seen.began.__getitem__))
    number = {lane: index for index, lane in enumerate(lanes)}
    place = np.array([number[lane] for lane in seen.began], "u4")
    types: dict[str, int] = {}
    type_ = numbered(types, seen.types)
    first, last = float(time[0]), float(time[-1])
    start, factor, knots = linear(first, last)
    x = np.rint(start + (time - first) * factor).astype("u4")
    return {
        "version": 0,
        "counted": True,
        "partial": True,
        "heading": f"Delivery timeline: {many:,} marks at first glance",
        "alt": f"Delivery timeline, at first glance: {many:,} messages recorded or handled.",
        "cuts": (),
        "flow": last - first,
        **packed(lanes, {}, list(types), {
            "knots": np.array(knots),
            "x": x,
            "lane": narrow(place[np.array(seen.lanes)[order]]),
            "kind": np.array(seen.kinds, "u1")[order],
            "type": narrow(type_[order]),
        }),
    }  # fmt: skip


class _Seen:
    """What is read of each row, in lists: to look at a row at all is what takes the time."""

    def __init__(self) -> None:
        self.times: list[datetime] = []
        self.kinds: list[int] = []
        self.types: list[str] = []
        self.lanes: list[int] = []
        self.began: dict[tuple[str, str], datetime] = {}
        """The lanes in the order of their numbers, and when the first message of each occurred."""

    def outbox(self, module: str, rows: Iterable[OutboxRow]) -> None:
        """When messages were recorded."""
        first: Envelope | None = None
        for row in rows:
            first = first or row.envelope
            self.times.append(row.created_at)
            self.types.append(row.envelope.type)
        if first is not None:
            more = len(self.times) - len(self.kinds)
            self.kinds += [_RECORDED] * more
            self.lanes += [self._lane(module, OUTBOX, first)] * more

    def inbox(self, module: str, rows: Iterable[InboxRow]) -> None:
        """How those deliveries ended that did."""
        numbers: dict[str, int] = {}
        for row in rows:
            ended = row.processed_at or row.dead_at
            if ended is None:
                continue
            lane = numbers.get(row.handler)
            if lane is None:
                lane = self._lane(module, row.handler or UNREADABLE, row.envelope)
                numbers[row.handler] = lane
            self.times.append(ended)
            self.types.append(row.envelope.type)
            self.lanes.append(lane)
            self.kinds.append(
                _DEAD if row.dead_at else _FAILED if row.outcome == "failed" else _DONE
            )

    def _lane(self, module: str, handler: str, first: Envelope) -> int:
        self.began.setdefault((module, handler), first.occurred_on)
        return list(self.began).index((module, handler))
