"""Between the rows of the tables and those of the port."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge
from operator import itemgetter
from typing import Any

import msgspec

from modulus_es.envelope import Envelope
from modulus_es.stores.port import InboxRow, OutboxRow
from modulus_es.stores.sqlite.reading import fetch

Select = Callable[[str, Sequence[object]], list[sqlite3.Row]]
"""How to run a SELECT: by itself, or in an open transaction."""

_PAGE = 100  # rows: as many as are claimed at once

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """A moment as it is stored: microseconds since 1970, in UTC.

    >>> moment(micros(datetime(2013, 2, 8, 12, 30, tzinfo=UTC))).isoformat()
    '2013-02-08T12:30:00+00:00'
    """
    return (moment - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """The moment that was stored."""
    return _EPOCH + timedelta(microseconds=stored)


_MANY = 2**31  # a count beyond was not counted


def _moment_or_none(stored: int | None) -> datetime | None:
    return None if stored is None else moment(stored)


def selecting(cursor: sqlite3.Cursor) -> Select:
    """Read in the transaction of a cursor."""

    def select(sql: str, parameters: Sequence[object]) -> list[sqlite3.Row]:
        return fetch(cursor.connection, sql, parameters)

    return select


def numbered(values: Sequence[object]) -> dict[str, object]:
    """Parameters for a statement that uses some of them more than once: ``:p1``, ``:p2``.

    SQLite's own ``?1`` is taken for a name by Python 3.12.1, which warns of it.
    """
    return {f"p{number}": value for number, value in enumerate(values, 1)}


def pages(select: Select, statement: str, *first: object) -> Iterator[sqlite3.Row]:
    """The rows of a statement that goes on after a position, fetched as far as they are read."""
    last: int | None = 0
    while last is not None:
        page = select(statement, (*first, last, _PAGE))
        yield from page
        last = page[-1]["position"] if len(page) == _PAGE else None


def in_order(several: Iterable[Iterator[sqlite3.Row]]) -> Iterator[sqlite3.Row]:
    """Several of those as one, in order of position."""
    each = tuple(several)
    return each[0] if len(each) == 1 else merge(*each, key=itemgetter("position"))


class Headers(msgspec.Struct, omit_defaults=True):
    """What is said about a message and not looked for: one column, as JSON."""

    occurred_on: datetime
    to: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    position: int = 0
    attempt: int = 1
    traceparent: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Headers).decode


def route(envelope: Envelope) -> str:
    """Whom a message is for: the type of an event, module and type of a command."""
    return envelope.type if envelope.kind == "event" else f"{envelope.to}:{envelope.type}"


def headers(envelope: Envelope) -> bytes:
    """The headers of a message, as they are stored."""
    return _encode(
        Headers(
            envelope.occurred_on,
            envelope.to,
            envelope.correlation_id,
            envelope.causation_id,
            envelope.position,
            envelope.attempt,
            envelope.traceparent,
        )
    )


def _envelope(row: sqlite3.Row) -> Envelope:
    message_id, type_, source, key = row["message_id"], row["type"], row["source"], row["key"]
    kind, version, body = row["kind"], row["version"], row["body"]
    if not (
        kind in ("event", "command")
        and type(message_id) is type(type_) is type(source) is type(key) is str
        and type(version) is int
        and type(body) is bytes
    ):
        raise ValueError("a column holds a value of another kind")
    said = _decode(row["headers"])
    if said.occurred_on.tzinfo is None:
        raise ValueError("occurred_on has no time zone")
    return Envelope(
        message_id=message_id,
        kind=kind,
        type=type_,
        version=version,
        body=body,
        source=source,
        key=key,
        occurred_on=said.occurred_on,
        to=said.to,
        correlation_id=said.correlation_id,
        causation_id=said.causation_id,
        position=said.position,
        attempt=said.attempt,
        traceparent=said.traceparent,
    )


class Owners:
    """Under which names this opening of the store claims.

    Two processes call their relays the same; the session number tells them
    apart, and this one's claims from those of the process that died before it.

    >>> Owners(3).written("orders.relay-1")
    'orders.relay-1@3'
    >>> Owners(3).read("orders.relay-1@2"), Owners(3).read("orders.relay-1@3")
    ('orders.relay-1@2', 'orders.relay-1')
    """

    def __init__(self, session: int) -> None:
        self._suffix = f"@{session}"

    def written(self, owner: str) -> str:
        """The name as it is stored."""
        return owner + self._suffix

    def read(self, stored: Any) -> str | None:
        """The name as the caller knows it."""
        return None if stored is None else str(stored).removesuffix(self._suffix)


def outbox_row(row: sqlite3.Row, owners: Owners) -> OutboxRow:
    """A row of the outbox; raises where it was altered beyond reading."""
    envelope = _envelope(row)
    if row["route"] != route(envelope):
        raise ValueError("its route is not that of its message")
    return OutboxRow(
        envelope,
        moment(row["created_at"]),
        moment(row["available_at"]),
        bool(row["scheduled"]),
        str(row["handler"]),
        row["position"],
        _count(row["attempts"]),
        _text(row["last_error"]),
        owners.read(row["claimed_by"]),
        _moment_or_none(row["claimed_until"]),
        _moment_or_none(row["delivered_at"]),
        _moment_or_none(row["dead_at"]),
    )


def inbox_row(row: sqlite3.Row, owners: Owners) -> InboxRow:
    """A row of the inbox; raises where it was altered beyond reading."""
    return InboxRow(
        _envelope(row),
        str(row["handler"]),
        moment(row["received_at"]),
        moment(row["available_at"]),
        row["position"],
        bool(row["ordered"]),
        _count(row["attempts"]),
        _text(row["last_error"]),
        owners.read(row["claimed_by"]),
        _moment_or_none(row["claimed_until"]),
        _moment_or_none(row["processed_at"]),
        _text(row["outcome"]),
        _moment_or_none(row["dead_at"]),
        _count(row["duplicates"]),
        _count(row["out_of_order"]),
    )


def changing(counted: int, **changes: Any) -> Callable[[Sequence[Any]], None]:
    """Let rows say what became of them in the store: an attempt, changes, and no claim."""

    def change(rows: Sequence[Any]) -> None:
        for row in rows:
            row.attempts += counted
            row.claimed_by = row.claimed_until = None
            for name, value in changes.items():
                setattr(row, name, value)

    return change


def unreadable_message(row: sqlite3.Row, table: str, error: Exception) -> OutboxRow:
    """What is shown of a row of the outbox that cannot be read: dead, and why."""
    at = _moment_or_epoch(row["created_at"])
    return OutboxRow(
        _remains(row),
        at,
        at,
        position=row["position"],
        last_error=_why(row, table, error),
        dead_at=_moment_or_epoch(row["dead_at"]),
    )


def unreadable_delivery(row: sqlite3.Row, table: str, error: Exception) -> InboxRow:
    """What is shown of a row of the inbox that cannot be read: dead, and why."""
    at = _moment_or_epoch(row["received_at"])
    return InboxRow(
        _remains(row),
        str(row["handler"]),
        at,
        at,
        position=row["position"],
        last_error=_why(row, table, error),
        dead_at=_moment_or_epoch(row["dead_at"]),
    )


def _remains(row: sqlite3.Row) -> Envelope:
    body = row["body"]
    return Envelope(
        message_id=str(row["message_id"]),
        kind="event",
        type="unreadable",
        version=1,
        body=body if isinstance(body, bytes) else str(body).encode("utf-8", "replace"),
        source=str(row["source"]),
        key=str(row["key"]),
        occurred_on=_EPOCH,
    )


def _count(stored: Any) -> int:
    count = int(stored)
    if not 0 <= count < _MANY:
        raise ValueError(f"{count} is no count")
    return count


def _why(row: sqlite3.Row, table: str, error: Exception) -> str:
    return (
        f"row {row['position']} of {table} cannot be read, because it was altered: "
        f"{type(error).__name__}: {error}"
    )


def _moment_or_epoch(stored: Any) -> datetime:
    try:
        return moment(stored)
    except (TypeError, ValueError, OverflowError):
        return _EPOCH


def _text(stored: Any) -> str | None:
    return None if stored is None else str(stored)
