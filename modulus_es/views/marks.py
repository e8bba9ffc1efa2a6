"""What the timeline is made of: marks, each a part of a message's life in a lane."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec.structs import replace

KINDS = (
    "recorded", "waiting", "in_flight", "attempt", "done", "failed", "retry", "duplicate", "crash",
    "dead",
)  # fmt: skip
SPANS = ("waiting", "in_flight", "attempt")
"""The kinds that last; all others are moments."""
MOMENTS = tuple(kind for kind in KINDS if kind not in SPANS)

OUTBOX, INBOX, UNREADABLE = "(outbox)", "(inbox)", "(unreadable)"
"""The lanes that are no handler's: a module's outbox, its inbox, what nobody there could read."""


class Mark(msgspec.Struct, frozen=True, gc=False):
    """A moment or a span in the life of a message, in the lane of a module's handler.

    ``kind`` is recorded, waiting, in_flight, attempt, done, failed, retry,
    duplicate, crash or dead; a moment ends when it begins. ``open`` is begin,
    end or both where a span goes on beyond what is shown, or beyond now.

    >>> from modulus_es.clock import START
    >>> Mark(START, START, "inventory", "ReserveStock", "done", "m1", "OrderCreated").lane
    ('inventory', 'ReserveStock')
    """

    time: datetime
    end: datetime
    module: str
    handler: str
    kind: str
    message_id: str
    type: str
    attempt: int = 0
    correlation_id: str | None = None
    causation_id: str | None = None
    error: str | None = None
    text: str = ""
    open: str = ""

    def within(self, since: datetime | None, until: datetime | None) -> Mark:
        """The part of a span from ``since`` to ``until``; the ends that were cut are open.

        >>> from datetime import timedelta
        >>> from modulus_es.clock import START
        >>> day = Mark(START, START + timedelta(1), "orders", "(outbox)", "waiting", "m1", "Placed")
        >>> day.within(None, START + timedelta(hours=1)).open
        'end'
        """
        begins = since is not None and self.time < since
        ends = until is not None and self.end > until
        if not begins and not ends:
            return self
        begins_open = begins or self.open in ("begin", "both")
        ends_open = ends or self.open in ("end", "both")
        said = "both" if begins_open and ends_open else "begin" if begins_open else "end"
        return replace(
            self,
            time=since if begins and since is not None else self.time,
            end=until if ends and until is not None else self.end,
            open=said,
        )

    @property
    def lane(self) -> tuple[str, str]:
        """The module and the handler."""
        return self.module, self.handler
