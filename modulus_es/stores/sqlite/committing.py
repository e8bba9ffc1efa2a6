"""What a commit is known by: when it was, and what its rows say once it has happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from modulus_es.stores.rows import Handled, OutboxRow


def time_of(outbox: Sequence[OutboxRow], handled: Handled | None) -> datetime | None:
    """The time that a commit tells, if it tells any."""
    if outbox:
        return outbox[-1].created_at
    return None if handled is None else handled.at


def noted(handled: Handled) -> None:
    """Let the row that was handled say so, as the store does."""
    row = handled.row
    row.attempts += 1
    row.claimed_by = row.claimed_until = None
    row.outcome, row.processed_at = handled.outcome, handled.at


def noting(handled: Handled | None) -> Callable[[object], None]:
    """What to call when it has happened."""

    def note(_: object) -> None:
        if handled is not None:
            noted(handled)

    return note
