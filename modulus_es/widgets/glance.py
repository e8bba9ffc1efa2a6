"""What can be said of many deliveries before the life of each message is known."""

from __future__ import annotations

from datetime import datetime
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from modulus_es.views.marks import KINDS, OUTBOX, UNREADABLE
from modulus_es.widgets.columns import numbered
from modulus_es.widgets.timeline_data import UNIT, in_order, narrow, packed

if TYPE_CHECKING:
    from modulus_es.stores.port import InboxRow
    from modulus_es.system import System

MANY = 20_000
"""Of fewer rows than these, everything is known about as quickly."""


def glance(system: System) -> dict[str, Any] | None:
    """When each message was recorded and how each delivery ended, as the page draws it.

    Waits, attempts and what led to what are missing: they take several times as
    long to find out. None where there is little to look at.

    >>> from modulus_es import System
    >>> glance(System(seed=7)) is None
    True
    """
    sent = [(module, list(module.store.outbox_rows())) for module in system.modules]
    ended = [
        (module, [row for row in module.store.inbox_rows() if row.processed_at or row.dead_at])
        for module in system.modules
    ]
    outgoing = [row for _, rows in sent for row in rows]
    incoming = [row for _, rows in ended for row in rows]
    many = len(outgoing) + len(incoming)
    if many < MANY:
        return None
    times = chain(
        (row.created_at for row in outgoing),
        (row.processed_at or row.dead_at or row.received_at for row in incoming),
    )
    time = np.rint(np.fromiter(map(datetime.timestamp, times), "f8", many) * 1e6)
    order = np.argsort(time, kind="stable")
    time = time[order]
    by_row = [
        *chain.from_iterable(repeat((module.name, OUTBOX), len(rows)) for module, rows in sent),
        *((m.name, row.handler or UNREADABLE) for m, rows in ended for row in rows),
    ]
    kind = [*repeat(KINDS.index("recorded"), len(outgoing)), *map(_ending, incoming)]
    envelopes = [*(row.envelope for row in outgoing), *(row.envelope for row in incoming)]
    types: dict[str, int] = {}
    type_ = numbered(types, [envelope.type for envelope in envelopes])
    began: dict[tuple[str, str], datetime] = {}
    for one, envelope in zip(by_row, envelopes, strict=True):
        began.setdefault(one, envelope.occurred_on)
    lanes = in_order(sorted(began, key=lambda one: began[one]))
    number = {one: index for index, one in enumerate(lanes)}
    lane = np.fromiter(map(number.__getitem__, by_row), "u4", many)
    first, last = float(time[0]), float(time[-1])
    x = np.rint((time - first) * (UNIT / max(last - first, 1.0))).astype("u4")
    return {
        "version": 0,
        "counted": True,
        "partial": True,
        "heading": f"Delivery timeline: {many:,} marks at first glance",
        "alt": f"Delivery timeline, at first glance: {many:,} messages recorded or handled.",
        "cuts": (),
        "flow": last - first,
        **packed(lanes, {}, list(types), {
            "knots": np.array([first, 0.0, 0.0, last, 1.0, 1.0]),
            "x": x,
            "end": x,
            "cause": np.full(many, -1, "i4"),
            "message": np.arange(many, dtype="u4"),
            "row": np.zeros(many, "u1"),
            "attempt": np.zeros(many, "u1"),
            "lane": narrow(lane[order]),
            "kind": np.array(kind, "u1")[order],
            "type": narrow(type_[order]),
        }),
    }  # fmt: skip


def _ending(row: InboxRow) -> int:
    return KINDS.index("dead" if row.dead_at else "failed" if row.outcome == "failed" else "done")
