"""The store in memory: eventsourcing's own plain objects, with an outbox and an inbox.

A commit can be interrupted at any instruction. So it notes first how to undo
itself, and one assignment is the moment at which it has happened; whoever comes
next undoes what an interrupted commit left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from threading import RLock
from typing import Any, ClassVar, TypeVar

from eventsourcing import popo
from eventsourcing.persistence import StoredEvent

from modulus_es.envelope import Envelope
from modulus_es.errors import LeaseLostError
from modulus_es.stores.keyed_queue import KeyedQueue
from modulus_es.stores.port import (
    Capabilities,
    Handled,
    InboxRow,
    OutboxRow,
    Receipt,
    Routes,
)

T = TypeVar("T")


class MemoryRecorder(popo.POPOProcessRecorder):
    """Records events, outbox rows and an inbox mark together, or nothing of them."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: dict[int, OutboxRow] = {}
        self.last_position = 0
        self._undo: tuple[int, int, dict[str, int | None], InboxRow | None, int] | None = None

    def _insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        outbox: Sequence[OutboxRow] = (),
        handled: Handled | None = None,
        **kwargs: Any,
    ) -> Sequence[int] | None:
        with self._database_lock:
            self.recover()
            self._assert_uniqueness(stored_events, **kwargs)
            row = self._check(handled)
            self._undo = (
                len(self._stored_events),
                self.last_position,
                dict(self._max_tracking_ids),
                row,
                0 if row is None else row.attempts,
            )
            try:
                positions = self._update_table(stored_events, **kwargs)
                for message in outbox:
                    message.position = self.last_position + 1
                    self.outbox[message.position] = message
                    self.last_position = message.position
                if handled is not None and row is not None:
                    row.attempts += 1
                    row.outcome, row.processed_at = handled.outcome, handled.at
                self._undo = None
            except BaseException:
                self.recover()
                raise
            return positions

    @staticmethod
    def _check(handled: Handled | None) -> InboxRow | None:
        if handled is None:
            return None
        row = handled.row
        if row.claimed_by != handled.owner or row.processed_at is not None:
            raise LeaseLostError(
                f"{row.handler} was handling {row.envelope.type} {row.envelope.message_id}, but "
                "its lease ran out and another consumer took over; this one's effects are undone"
            )
        return row

    def recover(self) -> None:
        """Undo what an interrupted commit left; nothing to do otherwise."""
        if self._undo is None:
            return
        events, last_position, tracking, row, attempts = self._undo
        for stored in self._stored_events[events:]:
            self._stored_events_index[str(stored.originator_id)].pop(
                stored.originator_version, None
            )
        del self._stored_events[events:]
        for position in [p for p in self.outbox if p > last_position]:
            del self.outbox[position]
        self.last_position = last_position
        self._max_tracking_ids.clear()
        self._max_tracking_ids.update(tracking)
        if row is not None:
            row.processed_at = row.outcome = None
            row.attempts = attempts
        self._undo = None


class MemoryFactory(popo.POPOFactory):
    """Makes the recorders of a store in memory."""

    def application_recorder(self) -> MemoryRecorder:
        """A recorder of events, outbox rows and inbox marks."""
        return MemoryRecorder()

    def process_recorder(self) -> MemoryRecorder:
        """The same, which records trackings too."""
        return MemoryRecorder()


class MemoryStore:
    """One module's events, outbox and inbox, in memory; gone with the process."""

    capabilities: ClassVar = Capabilities(
        survives_restart=False, has_connection=False, many_processes=False
    )

    def __init__(self, module: str, factory: MemoryFactory) -> None:
        self.url, self.module, self.factory = "memory://", module, factory
        self.recorder = factory.process_recorder()
        self._inbox: dict[int, InboxRow] = {}
        self._held: dict[tuple[str, str, str], InboxRow] = {}
        self._latest: dict[tuple[str, str, str], int] = {}
        self._last_received = 0
        self._routes: Routes | None = None
        self._handlers: frozenset[str] | None = None
        self._lock = RLock()
        self._torn = False
        self._rebuild()

    async def run(self, read: Callable[[], T]) -> T:
        """Call what reads from the store."""
        return read()

    def begin(self) -> None:
        """There is no transaction to show."""

    async def rollback(self, connection: Any) -> None:
        """There is nothing to undo before a commit."""

    async def commit(
        self,
        events: Sequence[StoredEvent],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
        connection: Any = None,
    ) -> Sequence[int]:
        """Write all or nothing."""
        with self._lock:
            self._settle()
            self._torn = True
            try:
                positions = self.recorder.insert_events(events, outbox=outbox, handled=handled)
            except Exception:
                self._torn = False
                raise
            for row in outbox:
                self._queue_message(row)
            if handled is not None:
                self._deliveries.remove(handled.row)
            self._torn = False
            return positions or ()

    async def holds(
        self,
        events: Sequence[StoredEvent],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
    ) -> bool:
        """Whether exactly this was committed."""
        with self._lock:
            self._settle()
            if handled is not None and handled.row.processed_at != handled.at:
                return False
            for stored in events:
                version = stored.originator_version
                found = self.recorder.select_events(
                    stored.originator_id, gt=version - 1, lte=version
                )
                if list(found) != [stored]:
                    return False
            return all(self.recorder.outbox.get(row.position) is row for row in outbox)

    async def claim_outbox(
        self, owner: str, now: datetime, lease: timedelta, limit: int, routes: Routes
    ) -> list[OutboxRow]:
        """Claim rows that are due and that ``routes`` accepts."""
        with self._mutation():
            self._follow(routes)
            return self._messages.take(
                owner, now, lease, limit, lambda row: routes.accept(row.envelope)
            )

    async def mark_delivered(self, owner: str, rows: Sequence[OutboxRow], now: datetime) -> None:
        """The transport has taken these rows."""
        with self._mutation():
            for row in rows:
                if row.claimed_by == owner:
                    row.attempts += 1
                    row.delivered_at = now
                    self._messages.remove(row)

    async def release_outbox(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        """Give claimed rows back."""
        with self._mutation():
            for row in rows:
                if row.claimed_by == owner:
                    self._messages.give_back(row)

    async def retry_outbox(
        self, owner: str, row: OutboxRow, error: str, at: datetime, *, counted: bool = True
    ) -> None:
        """An attempt failed, or was in vain; the next is due at ``at``."""
        with self._mutation():
            if row.claimed_by == owner:
                row.attempts += counted
                row.last_error, row.available_at = error, at
                self._messages.give_back(row)

    async def bury_outbox(self, owner: str, row: OutboxRow, error: str, now: datetime) -> None:
        """The last attempt failed."""
        with self._mutation():
            if row.claimed_by == owner:
                row.attempts += 1
                row.last_error, row.dead_at = error, now
                self._messages.remove(row)

    async def outbox_due(self, owner: str, now: datetime, routes: Routes) -> datetime | None:
        """When ``owner`` can next claim something."""
        with self._mutation():
            self._follow(routes)
            return self._messages.due(owner, now, lambda row: routes.accept(row.envelope))

    async def receive(self, receipts: Sequence[Receipt], now: datetime) -> list[tuple[str, str]]:
        """Hold these messages for their handlers."""
        repeated: list[tuple[str, str]] = []
        with self._mutation():
            for envelope, handlers in receipts:
                for handler, ordered in handlers:
                    key = (envelope.source, envelope.message_id, handler)
                    held = self._held.get(key)
                    if held is not None:
                        held.duplicates += 1
                        repeated.append((envelope.message_id, handler))
                        continue
                    row = InboxRow(envelope, handler, now, now, ordered=ordered)
                    self._note_order(row)
                    self._keep(row)
                    self._queue_delivery(row)
        return repeated

    async def bury_unreadable(self, envelope: Envelope, error: str, now: datetime) -> None:
        """Keep a message that nobody here can read as a dead letter."""
        with self._mutation():
            held = self._held.get((envelope.source, envelope.message_id, ""))
            if held is not None:
                held.duplicates += 1
                return
            self._keep(InboxRow(envelope, "", now, now, last_error=error, dead_at=now))

    async def claim_inbox(
        self, owner: str, now: datetime, lease: timedelta, limit: int, handlers: frozenset[str]
    ) -> list[InboxRow]:
        """Claim deliveries to these handlers that are due."""
        with self._mutation():
            self._serve(handlers)
            return self._deliveries.take(
                owner, now, lease, limit, lambda row: row.handler in handlers
            )

    async def release_inbox(self, owner: str, rows: Sequence[InboxRow]) -> None:
        """Give claimed deliveries back."""
        with self._mutation():
            for row in rows:
                if row.claimed_by == owner and row.processed_at is None:
                    self._deliveries.give_back(row)

    async def retry_delivery(self, owner: str, row: InboxRow, error: str, at: datetime) -> None:
        """An attempt failed; the next is due at ``at``."""
        with self._mutation():
            if row.claimed_by == owner:
                row.attempts += 1
                row.last_error, row.available_at = error, at
                self._deliveries.give_back(row)

    async def bury_delivery(self, owner: str, row: InboxRow, error: str, now: datetime) -> None:
        """The last attempt failed."""
        with self._mutation():
            if row.claimed_by == owner:
                row.attempts += 1
                row.last_error, row.dead_at = error, now
                self._deliveries.remove(row)

    async def inbox_due(
        self, owner: str, now: datetime, handlers: frozenset[str]
    ) -> datetime | None:
        """When ``owner`` can next claim a delivery to these handlers."""
        with self._mutation():
            self._serve(handlers)
            return self._deliveries.due(owner, now, lambda row: row.handler in handlers)

    async def revive_delivery(
        self, row: InboxRow, now: datetime, envelope: Envelope | None = None
    ) -> None:
        """Make a dead letter pending again."""
        with self._mutation():
            if row.dead_at is not None:
                row.envelope = envelope or row.envelope
                row.dead_at, row.attempts, row.available_at = None, 0, now
                self._queue_delivery(row)

    async def revive_outbox(
        self, row: OutboxRow, now: datetime, envelope: Envelope | None = None
    ) -> None:
        """Make a dead row of the outbox pending again."""
        with self._mutation():
            if row.dead_at is not None:
                row.envelope = envelope or row.envelope
                row.dead_at, row.attempts, row.available_at = None, 0, now
                self._queue_message(row)

    async def forget_unreadable(self, row: InboxRow) -> None:
        """Drop a dead letter without a handler."""
        with self._mutation():
            self._inbox.pop(row.position, None)
            self._held.pop((row.envelope.source, row.envelope.message_id, row.handler), None)

    async def purge(self, before: datetime, limit: int = 1000) -> int:
        """Drop rows delivered before that time."""
        with self._lock:
            self._settle()
            old = [
                position
                for position, row in self.recorder.outbox.items()
                if row.delivered_at is not None and row.delivered_at < before
            ][:limit]
            for position in old:
                del self.recorder.outbox[position]
            return len(old)

    def undelivered(self) -> Iterable[OutboxRow]:
        """The rows that are pending or claimed."""
        with self._lock:
            self._settle()
            return [self.recorder.outbox[position] for position in sorted(self._messages.keys())]

    def outbox_rows(self) -> Iterable[OutboxRow]:
        """All rows, in order of position."""
        with self._lock:
            self._settle()
            return tuple(self.recorder.outbox.values())

    def unprocessed(self) -> Iterable[InboxRow]:
        """The deliveries that are pending or claimed."""
        with self._lock:
            self._settle()
            return [self._inbox[position] for position in sorted(self._deliveries.keys())]

    def inbox_rows(self) -> Iterable[InboxRow]:
        """All rows, in order of position."""
        with self._lock:
            self._settle()
            return tuple(self._inbox.values())

    def close(self) -> None:
        """There is nothing to let go of."""

    def __repr__(self) -> str:
        return f"MemoryStore({self.module!r})"

    # What follows keeps the queues, which say what is next, in step with the
    # rows, which say what is true. An interruption between both leaves `_torn`.

    def _mutation(self) -> _Mutation:
        return _Mutation(self)

    def _settle(self) -> None:
        self.recorder.recover()
        if self._torn:
            self._rebuild()

    def _rebuild(self) -> None:
        self._messages = KeyedQueue(through=True)
        self._deliveries = KeyedQueue(through=False)
        for message in self.recorder.outbox.values():
            if message.status in ("pending", "claimed"):
                self._queue_message(message)
        for delivery in self._inbox.values():
            if delivery.status in ("pending", "claimed"):
                self._queue_delivery(delivery)
        self._torn = False

    def _queue_message(self, row: OutboxRow) -> None:
        self._messages.add(row, row.envelope.key, scheduled=row.scheduled)

    def _queue_delivery(self, row: InboxRow) -> None:
        lane = (row.handler, row.envelope.key if row.ordered else row.position)
        self._deliveries.add(row, lane)

    def _keep(self, row: InboxRow) -> None:
        self._last_received += 1
        row.position = self._last_received
        self._inbox[row.position] = row
        self._held[row.envelope.source, row.envelope.message_id, row.handler] = row

    def _note_order(self, row: InboxRow) -> None:
        envelope = row.envelope
        if envelope.position:
            lane = (envelope.source, row.handler, envelope.key)
            if envelope.position < self._latest.get(lane, 0):
                row.out_of_order = 1
            else:
                self._latest[lane] = envelope.position

    def _follow(self, routes: Routes) -> None:
        if routes is not self._routes:
            self._routes = routes
            self._messages.reconsider()

    def _serve(self, handlers: frozenset[str]) -> None:
        if handlers is not self._handlers:
            self._handlers = handlers
            self._deliveries.reconsider()


class _Mutation:
    """Holds the lock; what is interrupted inside leaves the queues to be rebuilt."""

    __slots__ = ("_store",)

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store._lock.acquire()
        self._store._settle()
        self._store._torn = True

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self._store._torn = False
        self._store._lock.release()


class MemoryDatabase:
    """The stores in memory of one system's modules."""

    session: ClassVar = 1

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self._stores: dict[str, MemoryStore] = {}

    def latest_time(self) -> None:
        """There is none: a store in memory is always new."""

    def store(self, module: str) -> MemoryStore:
        """The store of one module."""
        if module not in self._stores:
            self._stores[module] = MemoryStore(module, MemoryFactory(None))
        return self._stores[module]

    def close(self) -> None:
        """There is nothing to let go of."""


__all__ = ["MemoryDatabase", "MemoryFactory", "MemoryRecorder", "MemoryStore"]
