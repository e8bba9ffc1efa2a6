"""eventsourcing's recorder of plain objects, with an outbox, and safe to interrupt.

A commit can be interrupted at any instruction. So it notes first how to undo
itself, and one assignment is the moment at which it has happened; whoever comes
next undoes what an interrupted commit left.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, cast
from uuid import UUID

import msgspec
from eventsourcing import popo
from eventsourcing.persistence import IntegrityError, Notification, StoredEvent, Tracking

from modulus_es.errors import LeaseLostError
from modulus_es.stores.rows import EventRow, Handled, InboxRow, OutboxRow


class _Undo(msgspec.Struct, gc=False):
    """What there was before a commit began."""

    events: int
    last_position: int
    tracking: dict[str, int | None] | None
    row: InboxRow | None
    attempts: int


class MemoryRecorder(popo.POPOProcessRecorder):
    """Records events, outbox rows and an inbox mark together, or nothing of them.

    >>> recorder = MemoryFactory(None).process_recorder()
    >>> recorder.insert_events([])
    []
    """

    def __init__(self) -> None:
        super().__init__()
        self.lock = self._database_lock
        self.outbox: dict[int, OutboxRow] = {}
        self.last_position = 0
        self.undo: _Undo | None = None  # what an open or interrupted commit has to take back
        # By aggregate; one event stands for itself, as most have no other and a list is one
        # thing more for Python's garbage collector to go through.
        self._streams: dict[int | str, EventRow | list[EventRow]] = {}
        # What eventsourcing's own methods read: a row says what they ask for.
        self._rows: list[EventRow] = cast("list[EventRow]", self._stored_events)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of one aggregate."""
        found = [row.as_stored_event() for row in self.event_rows(originator_id, gt=gt, lte=lte)]
        if desc:
            found.reverse()
        return found if limit is None else found[:limit]

    def event_rows(
        self, originator_id: UUID | str, *, gt: int | None = None, lte: int | None = None
    ) -> list[EventRow]:
        """The same, as they are kept, in order."""
        with self.lock:
            self.recover()
            stream = _as_list(self._streams.get(_key(originator_id), []))
            first = 0 if gt is None else bisect_right(stream, gt, key=_version)
            end = len(stream) if lte is None else bisect_right(stream, lte, key=_version)
            return stream[first:end]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The events of all aggregates, in the order in which they were recorded."""
        with self.lock:
            self.recover()
            return super().select_notifications(
                start, limit, stop, topics, inclusive_of_start=inclusive_of_start
            )

    def max_notification_id(self) -> int | None:
        """The position of the event that was recorded last."""
        with self.lock:
            self.recover()
            return super().max_notification_id()

    def max_tracking_id(self, application_name: str) -> int | None:
        """How far another application was tracked."""
        with self.lock:
            self.recover()
            return super().max_tracking_id(application_name)

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        outbox: Sequence[OutboxRow] = (),
        handled: Handled | None = None,
        tracking: Tracking | None = None,
        **_: Any,
    ) -> Sequence[int] | None:
        """Record events, with the rows and the mark that belong to them; answers positions.

        Raises ``IntegrityError`` where an event's place is taken, `LeaseLostError`
        where the row is somebody else's.
        """
        with self.lock:
            self.recover()
            rows = [EventRow.of(stored) for stored in stored_events]
            positions = self.record(rows, outbox, handled, tracking)
        self._notify_listeners()
        return list(positions)

    def record(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None,
        tracking: Tracking | None = None,
    ) -> Sequence[int]:
        """What `insert_events` does while the lock is held, and nothing is left to `recover`."""
        if tracking is not None:
            self._assert_tracking_uniqueness(tracking)
        row = None if handled is None else _check(handled)
        first = len(self._rows)
        self.undo = _Undo(
            first,
            self.last_position,
            None if tracking is None else dict(self._max_tracking_ids),
            row,
            0 if row is None else row.attempts,
        )
        try:
            self._append(events)
            for message in outbox:
                position = message.position = self.last_position + 1
                self.outbox[position] = message
                self.last_position = position
            if tracking is not None:
                self._insert_tracking(tracking)
            if handled is not None and row is not None:
                row.attempts += 1
                row.outcome, row.processed_at = handled.outcome, handled.at
            self.undo = None
        except BaseException:
            self.recover()
            raise
        return range(first + 1, first + len(events) + 1)

    def tell_listeners(self) -> None:
        """Wake who follows the recorded events."""
        if self._listeners:
            self._notify_listeners()

    def _append(self, events: Sequence[EventRow]) -> None:
        streams, rows = self._streams, self._rows
        id_: UUID | str | None = None
        key: int | str = ""
        stream: EventRow | list[EventRow] | None = None
        for event in events:
            if event.originator_id is not id_:
                id_ = event.originator_id
                key = id_.int if type(id_) is UUID else _key(id_)
                stream = streams.get(key)
            if not stream:
                rows.append(event)
                stream = streams[key] = event
                continue
            if type(stream) is not list:
                stream = streams[key] = _as_list(stream)
            if stream[-1].originator_version < event.originator_version:
                rows.append(event)
                stream.append(event)
                continue
            place = bisect_left(stream, event.originator_version, key=_version)
            if stream[place].originator_version == event.originator_version:
                raise IntegrityError(f"Stored event already recorded: {event}")
            rows.append(event)
            stream.insert(place, event)

    def mark(self, handled: Handled) -> None:
        """Note that a delivery was handled which recorded nothing; the lock is held."""
        row = handled.row
        if row.claimed_by != handled.owner or row.processed_at is not None:
            _check(handled)  # which says why not
        self.undo = _Undo(len(self._rows), self.last_position, None, row, row.attempts)
        row.attempts += 1
        row.outcome, row.processed_at = handled.outcome, handled.at
        self.undo = None

    def recover(self) -> None:
        """Undo what an interrupted commit left; nothing to do otherwise."""
        undo = self.undo
        if undo is None:
            return
        for row in self._rows[undo.events :]:
            key = _key(row.originator_id)
            self._streams[key] = [
                each for each in _as_list(self._streams.get(key, [])) if each is not row
            ]
        del self._rows[undo.events :]
        for position in [p for p in self.outbox if p > undo.last_position]:
            del self.outbox[position]
        self.last_position = undo.last_position
        if undo.tracking is not None:
            self._max_tracking_ids.clear()
            self._max_tracking_ids.update(undo.tracking)
        if undo.row is not None:
            undo.row.processed_at = undo.row.outcome = None
            undo.row.attempts = undo.attempts
        self.undo = None


_version = attrgetter("originator_version")


def _as_list(stream: EventRow | list[EventRow]) -> list[EventRow]:
    return stream if isinstance(stream, list) else [stream]


def _key(originator_id: UUID | str) -> int | str:
    """What an aggregate's events are found by: the number of a UUID, also of one in writing."""
    if isinstance(originator_id, UUID):
        return originator_id.int
    try:
        return UUID(originator_id).int
    except ValueError:
        return originator_id


def _check(handled: Handled) -> InboxRow:
    """The row to mark; raises `LeaseLostError` where it is no longer the owner's."""
    row = handled.row
    if row.claimed_by != handled.owner or row.processed_at is not None:
        raise LeaseLostError(
            f"{row.handler} was handling {row.envelope.type} {row.envelope.message_id}, but "
            "its lease ran out and another consumer took over; this one's effects are undone"
        )
    return row


class MemoryFactory(popo.POPOFactory):
    """Makes the recorders of a store in memory.

    >>> type(MemoryFactory(None).application_recorder()).__name__
    'MemoryRecorder'
    """

    def application_recorder(self) -> MemoryRecorder:
        """A recorder of events, outbox rows and inbox marks."""
        return MemoryRecorder()

    def process_recorder(self) -> MemoryRecorder:
        """The same, which records trackings too."""
        return MemoryRecorder()
