"""What the tables are made of, where the stores have no row of their own for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class EventRow(NamedTuple):
    """A recorded domain event, as its module's store holds it.

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
    occurred_on_utc: datetime
    data: Mapping[str, Any]
    correlation_id: str | None = None
    causation_id: str | None = None
    handler: str = ""


class LedgerRow(NamedTuple):
    """What became of one message at one of its handlers.

    ``effects`` counts what the handler's module recorded because of it.
    ``outcome`` is done, pending, dead, unheard or lost; an unheard message has
    one row, without module and handler.

    >>> from modulus_es.clock import START
    >>> LedgerRow("m1", "OrderCreated", "orders", "", "", START, outcome="unheard").effects
    0
    """

    message_id: str
    type: str
    source: str
    module: str
    handler: str
    recorded_at: datetime
    attempts: int = 0
    effects: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    outcome: str = "pending"
