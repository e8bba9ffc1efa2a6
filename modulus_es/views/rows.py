"""What the tables are made of, where the stores have no row of their own for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class EventRow(NamedTuple):
    """A recorded domain event, as its module's store holds it.

    A row that cannot be read has no time, and says why in ``data``.
    ``handler`` is the handler in whose unit of work it was recorded; empty
    where the caller recorded it.

    >>> from modulus_es.clock import START
    >>> row = EventRow(1, "orders", "Order", "a1", 1, "Order.Placed", "e1", START, {"total": 42})
    >>> row.type, row.correlation_id
    ('Order.Placed', None)
    """

    position: int
    module: str
    aggregate: str
    aggregate_id: str
    version: int
    type: str
    event_id: str
    occurred_on_utc: datetime | None
    data: Mapping[str, Any]
    correlation_id: str | None = None
    causation_id: str | None = None
    handler: str = ""
