"""Between the rows of the tables and those of the port."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from modulus_es.envelope import Envelope
from modulus_es.stores.rows import InboxRow, OutboxRow
from modulus_es.stores.sqlite.names import INBOX, OUTBOX
from modulus_es.stores.sqlite.owners import Owners
from modulus_es.stores.sqlite.reading import Row
from modulus_es.stores.sqlite.values import EPOCH, moment

_MANY = 2**31  # a count beyond was not counted


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
        occurred_on=EPOCH,
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
        return EPOCH
