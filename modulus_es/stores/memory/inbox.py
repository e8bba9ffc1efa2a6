"""The inbox in memory: what a module was sent, once for each handler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from modulus_es.envelope import Envelope
from modulus_es.stores.keyed_queue import KeyedQueue
from modulus_es.stores.memory.base import Half
from modulus_es.stores.rows import NO_SKEW, InboxRow, Receipt, Unprocessed

if TYPE_CHECKING:
    from modulus_es.stores.memory.recorder import MemoryRecorder


class MemoryInbox(Half):
    """The half of a store in memory that consumers work with.

    ``_inbox`` is the truth; what else there is helps to find rows in it.
    """

    def __init__(self, recorder: MemoryRecorder) -> None:
        super().__init__(recorder)
        self._inbox: dict[int, InboxRow] = {}
        # By sending module and handler, and then by message id: a table with a tuple for each
        # message is one that the garbage collector goes through, again and again as it grows.
        self._held: dict[tuple[str, str], dict[str, InboxRow]] = {}
        # How far each key is, by sending module and handler.
        self._latest: dict[tuple[str, str], dict[str, int]] = {}
        self._last_received = 0
        self._deliveries = KeyedQueue(through=False)
        self._handlers: frozenset[str] | None = None

    async def receive(self, receipts: Sequence[Receipt], now: datetime) -> list[tuple[str, str]]:
        """Hold these messages for their handlers."""
        repeated: list[tuple[str, str]] = []
        with self._lock:
            self._begin()
            for receipt in receipts:
                envelope = receipt.envelope
                source, message_id = envelope.source, envelope.message_id
                for handler, ordered in receipt.handlers:
                    row = InboxRow(envelope, handler, now, now, 0, ordered)
                    held = self._held_of(envelope, handler).setdefault(message_id, row)
                    if held is row:
                        self._note_order(row, source)
                        self._keep(row)
                        self._queue_delivery(row)
                    else:
                        held.duplicates += 1
                        repeated.append((message_id, handler))
            self._torn = False
        return repeated

    async def bury_unreadable(self, envelope: Envelope, error: str, now: datetime) -> None:
        """Keep a message that nobody here can read as a dead letter."""
        with self._lock:
            self._begin()
            row = InboxRow(envelope, "", now, now, last_error=error, dead_at=now)
            held = self._held_of(envelope, "").setdefault(envelope.message_id, row)
            if held is row:
                self._keep(row)
            else:
                held.duplicates += 1
            self._torn = False

    async def claim_inbox(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        handlers: frozenset[str],
        skew: timedelta = NO_SKEW,
    ) -> list[InboxRow]:
        """Claim deliveries to these handlers that are due."""
        with self._lock:
            self._begin()
            self._serve(handlers)
            rows: list[InboxRow] = self._deliveries.take(
                owner, now, lease, limit, self._is_served, skew
            )
            self._torn = False
            return rows

    async def release_inbox(self, owner: str, rows: Sequence[InboxRow]) -> None:
        """Give claimed deliveries back."""
        with self._lock:
            self._begin()
            for row in rows:
                if row.claimed_by == owner and row.processed_at is None:
                    self._deliveries.give_back(row)
            self._torn = False

    async def retry_delivery(self, owner: str, row: InboxRow, error: str, at: datetime) -> None:
        """An attempt failed; the next is due at ``at``."""
        with self._lock:
            self._begin()
            if row.claimed_by == owner:
                row.attempts += 1
                row.last_error, row.available_at = error, at
                self._deliveries.give_back(row)
            self._torn = False

    async def bury_delivery(self, owner: str, row: InboxRow, error: str, now: datetime) -> None:
        """The last attempt failed."""
        with self._lock:
            self._begin()
            if row.claimed_by == owner:
                row.attempts += 1
                row.last_error, row.dead_at = error, now
                self._deliveries.remove(row)
            self._torn = False

    async def inbox_due(
        self, owner: str, now: datetime, handlers: frozenset[str], skew: timedelta = NO_SKEW
    ) -> datetime | None:
        """When ``owner`` can next claim a delivery to these handlers."""
        with self._lock:
            self._begin()
            self._serve(handlers)
            due = self._deliveries.due(owner, now, self._is_served, skew)
            self._torn = False
            return due

    async def revive_delivery(
        self, row: InboxRow, now: datetime, envelope: Envelope | None = None
    ) -> None:
        """Make a dead letter pending again."""
        with self._lock:
            self._begin()
            if row.dead_at is not None:
                row.envelope = envelope or row.envelope
                row.attempts, row.available_at, row.dead_at = 0, now, None
                self._queue_delivery(row)
            self._torn = False

    async def forget_unreadable(self, row: InboxRow) -> None:
        """Drop a dead letter without a handler."""
        with self._lock:
            self._begin()
            self._inbox.pop(row.position, None)
            self._held_of(row.envelope, row.handler).pop(row.envelope.message_id, None)
            self._torn = False

    def unprocessed(self) -> Iterable[InboxRow]:
        """The deliveries that are pending or claimed."""
        with self._lock:
            self._settle()
            return [self._inbox[position] for position in sorted(self._deliveries.keys())]

    def unprocessed_kinds(self) -> list[Unprocessed]:
        """How many deliveries are pending or claimed, by handler and message, the oldest first."""
        counts = Counter(
            (row.handler, row.envelope.kind, row.envelope.type) for row in self.unprocessed()
        )
        return [Unprocessed(*what, count) for what, count in counts.items()]

    def inbox_rows(self) -> Iterable[InboxRow]:
        """All rows, in order of position."""
        with self._lock:
            self._settle()
            return tuple(self._inbox.values())

    def _held_of(self, envelope: Envelope, handler: str) -> dict[str, InboxRow]:
        """What a handler is to have, or has had, of the messages of a sender, by their ids."""
        held = self._held.get((envelope.source, handler))
        if held is None:
            held = self._held[envelope.source, handler] = {}
        return held

    def _keep(self, row: InboxRow) -> None:
        position = self._last_received = row.position = self._last_received + 1
        self._inbox[position] = row

    def _note_order(self, row: InboxRow, source: str) -> None:
        envelope = row.envelope
        position = envelope.position
        if position:
            latest = self._latest.get((source, row.handler))
            if latest is None:
                latest = self._latest[source, row.handler] = {}
            if position < latest.get(envelope.key, 0):
                row.out_of_order = 1
            else:
                latest[envelope.key] = position

    def _queue_delivery(self, row: InboxRow) -> None:
        lane = (row.handler, row.envelope.key if row.ordered else row.position)
        self._deliveries.add(row, lane)

    def _serve(self, handlers: frozenset[str]) -> None:
        if handlers is not self._handlers:
            self._handlers = handlers
            self._deliveries.reconsider()

    def _is_served(self, row: InboxRow) -> bool:
        assert self._handlers is not None
        return row.handler in self._handlers

    def _rebuild(self) -> None:
        self._deliveries = KeyedQueue(through=False)
        self._held.clear()
        for row in self._inbox.values():
            self._held_of(row.envelope, row.handler)[row.envelope.message_id] = row
            if row.status in ("pending", "claimed"):
                self._queue_delivery(row)
