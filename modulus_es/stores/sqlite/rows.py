"""Between the rows of the tables and those of the port."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import merge
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from modulus_es.envelope import Envelope
from modulus_es.stores.port import InboxRow, OutboxRow
from modulus_es.stores.sqlite.names import INBOX, OUTBOX
from modulus_es.stores.sqlite.reading import Row, fetch

Select = Callable[[str, Sequence[object]], list[Row]]
"""How to run a SELECT: by itself, or in an open transaction."""

AnyRow = TypeVar("AnyRow", OutboxRow, InboxRow)

_PAGE = 100  # rows: as many as are claimed at once

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


# What is written together mostly has the same moment.
@lru_cache(maxsize=1024)
def micros(moment: datetime) -> int:
    """A moment as it is stored: microseconds since 1970, in UTC.

    >>> moment(micros(datetime(2013, 2, 8, 12, 30, tzinfo=UTC))).isoformat()
    '2013-02-08T12:30:00+00:00'
    """
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=1024)
def moment(stored: int) -> datetime:
    """The moment that was stored."""
    return _EPOCH + timedelta(microseconds=stored)


_MANY = 2**31  # a count beyond was not counted


def selecting(cursor: sqlite3.Cursor) -> Select:
    """Read in the transaction of a cursor."""

    def select(sql: str, parameters: Sequence[object]) -> list[Row]:
        return fetch(cursor.connection, sql, parameters)

    return select


def pages(select: Select, statement: str, *first: object) -> Iterator[Row]:
    """The rows of a statement that goes on after a position, fetched as far as they are read."""
    last: int | None = 0
    while last is not None:
        page = select(statement, (*first, last, _PAGE))
        yield from page
        last = page[-1][0] if len(page) == _PAGE else None


def in_order(several: Iterable[Iterator[Row]]) -> Iterator[Row]:
    """Several of those as one, in order of position."""
    each = tuple(several)
    return each[0] if len(each) == 1 else merge(*each, key=itemgetter(0))


class Headers(msgspec.Struct, omit_defaults=True):
    """What is said about a message and not looked for: one column, as JSON."""

    occurred_on: datetime
    to: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    position: int = 0
    attempt: int = 1
    traceparent: str | None = None


_encode_into = msgspec.json.Encoder().encode_into
_decode = msgspec.json.Decoder(Headers).decode


blob = bytearray
"""Bytes as a parameter: sqlite3 looks for an adapter of each value that is neither a number, text
nor a bytearray, which takes longer than copying a message. A bool is given as an int."""


def route(envelope: Envelope) -> str:
    """Whom a message is for: the type of an event, module and type of a command."""
    return envelope.type if envelope.kind == "event" else f"{envelope.to}:{envelope.type}"


def headers(envelope: Envelope) -> bytearray:
    """The headers of a message, as they are stored."""
    said = Headers(
        envelope.occurred_on,
        envelope.to,
        envelope.correlation_id,
        envelope.causation_id,
        envelope.position,
        envelope.attempt,
        envelope.traceparent,
    )
    # Not bytes: see `blob`.
    written = bytearray()
    _encode_into(said, written)
    return written


def _envelope(
    message_id: Any,
    kind: Any,
    type_: Any,
    version: Any,
    source: Any,
    key: Any,
    stored_headers: Any,
    body: Any,
) -> Envelope:
    if not (
        kind in ("event", "command")
        and type(message_id) is type(type_) is type(source) is type(key) is str
        and type(version) is int
        and type(body) is bytes
    ):
        raise ValueError("a column holds a value of another kind")
    said = _decode(stored_headers)
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

    def read(self, stored: Any) -> str:
        """The name as the caller knows it."""
        return str(stored).removesuffix(self._suffix)


def outbox_row(row: Row, owners: Owners) -> OutboxRow:
    """A row of the outbox; raises where it was altered beyond reading."""
    position, *message, to, handler, created, available, scheduled = row[:14]
    attempts, last_error, claimed_by, claimed_until, delivered_at, dead_at = row[14:]
    envelope = _envelope(*message)
    if to != route(envelope):
        raise ValueError("its route is not that of its message")
    created_at = moment(created)
    return OutboxRow(
        envelope,
        created_at,
        created_at if available == created else moment(available),
        bool(scheduled),
        str(handler),
        position,
        0 if attempts == 0 else _count(attempts),
        None if last_error is None else str(last_error),
        None if claimed_by is None else owners.read(claimed_by),
        None if claimed_until is None else moment(claimed_until),
        None if delivered_at is None else moment(delivered_at),
        None if dead_at is None else moment(dead_at),
    )


def inbox_row(row: Row, owners: Owners) -> InboxRow:
    """A row of the inbox; raises where it was altered beyond reading."""
    position, *message, handler, received, available, ordered = row[:13]
    attempts, last_error, claimed_by, claimed_until, processed_at, outcome = row[13:19]
    dead_at, duplicates, out_of_order = row[19:]
    received_at = moment(received)
    return InboxRow(
        _envelope(*message),
        str(handler),
        received_at,
        received_at if available == received else moment(available),
        position,
        bool(ordered),
        0 if attempts == 0 else _count(attempts),
        None if last_error is None else str(last_error),
        None if claimed_by is None else owners.read(claimed_by),
        None if claimed_until is None else moment(claimed_until),
        None if processed_at is None else moment(processed_at),
        None if outcome is None else str(outcome),
        None if dead_at is None else moment(dead_at),
        0 if duplicates == 0 else _count(duplicates),
        0 if out_of_order == 0 else _count(out_of_order),
    )


def in_a_row(rows: Sequence[AnyRow]) -> Iterator[Sequence[AnyRow]]:
    """Rows by runs whose positions follow each other: a statement does for each run.

    >>> at = lambda position: OutboxRow(None, None, None, position=position)
    >>> [[row.position for row in run] for run in in_a_row([at(1), at(2), at(5), at(6), at(4)])]
    [[1, 2], [5, 6], [4]]
    """
    places = [row.position for row in rows]
    if not places or places == list(range(places[0], places[0] + len(places))):
        yield from [rows] if rows else ()
        return
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or places[end] != places[end - 1] + 1:
            yield rows[start:end]
            start = end


def mine(
    cursor: sqlite3.Cursor,
    held: str,
    statement: str,
    values: tuple[object, ...],
    owner: str,
    rows: Sequence[AnyRow],
) -> list[AnyRow]:
    """Run a statement over those of the rows that their owner still has; answers which.

    ``held`` counts those between two positions, and ``statement`` changes them.
    """
    changed: list[AnyRow] = []
    for run in in_a_row(rows):
        first, last = run[0].position, run[-1].position
        if len(run) > 1 and cursor.execute(held, (first, last, owner)).fetchone()[0] == len(run):
            cursor.execute(statement, (*values, first, last, owner))
            changed += run
        else:
            changed += [
                row
                for row in run
                if cursor.execute(statement, (*values, row.position, row.position, owner)).rowcount
            ]
    return changed


def changing(counted: int, **changes: Any) -> Callable[[Sequence[Any]], None]:
    """Let rows say what became of them in the store: an attempt, changes, and no claim."""

    def change(rows: Sequence[Any]) -> None:
        for row in rows:
            row.attempts += counted
            row.claimed_by = row.claimed_until = None
            for name, value in changes.items():
                setattr(row, name, value)

    return change


def unreadable_message(row: Row, table: str, error: Exception) -> OutboxRow:
    """What is shown of a row of the outbox that cannot be read: dead, and why."""
    found = dict(zip(OUTBOX, row, strict=True))
    at = _moment_or_epoch(found["created_at"])
    return OutboxRow(
        _remains(found),
        at,
        at,
        position=found["position"],
        last_error=_why(found, table, error),
        dead_at=_moment_or_epoch(found["dead_at"]),
    )


def unreadable_delivery(row: Row, table: str, error: Exception) -> InboxRow:
    """What is shown of a row of the inbox that cannot be read: dead, and why."""
    found = dict(zip(INBOX, row, strict=True))
    at = _moment_or_epoch(found["received_at"])
    return InboxRow(
        _remains(found),
        str(found["handler"]),
        at,
        at,
        position=found["position"],
        last_error=_why(found, table, error),
        dead_at=_moment_or_epoch(found["dead_at"]),
    )


def _remains(found: Mapping[str, Any]) -> Envelope:
    body = found["body"]
    return Envelope(
        message_id=str(found["message_id"]),
        kind="event",
        type="unreadable",
        version=1,
        body=body if isinstance(body, bytes) else str(body).encode("utf-8", "replace"),
        source=str(found["source"]),
        key=str(found["key"]),
        occurred_on=_EPOCH,
    )


def _count(stored: Any) -> int:
    count = int(stored)
    if not 0 <= count < _MANY:
        raise ValueError(f"{count} is no count")
    return count


def _why(found: Mapping[str, Any], table: str, error: Exception) -> str:
    return (
        f"row {found['position']} of {table} cannot be read, because it was altered: "
        f"{type(error).__name__}: {error}"
    )


def _moment_or_epoch(stored: Any) -> datetime:
    try:
        return moment(stored)
    except (TypeError, ValueError, OverflowError):
        return _EPOCH
