"""The outbox in memory: its rows are the recorder's, and a queue says whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from modulus_es.envelope import Envelope
from modulus_es.stores.keyed_queue import KeyedQueue
from modulus_es.stores.memory.base import Half
from modulus_es.stores.rows import NO_SKEW, OutboxRow, Routes, Unroutable

if TYPE_CHECKING:
    from modulus_es.stores.memory.recorder import MemoryRecorder


class MemoryOutbox(Half):
    """The half of a store in memory that relays work with."""

    def __init__(self, recorder: MemoryRecorder) -> None:
        super().__init__(recorder)
        self._messages = KeyedQueue(through=True)
        self._routes: Routes | None = None
        # The types of the events that were ever in the queue; "" where commands were.
        self._types: set[str] = set()

    async def claim_outbox(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        routes: Routes,
        skew: timedelta = NO_SKEW,
    ) -> list[OutboxRow]:
        """Claim rows that are due and that ``routes`` accepts."""
        with self._lock:
            self._begin()
            self._follow(routes)
            rows: list[OutboxRow] = self._messages.take(
                owner, now, lease, limit, self._is_routed, skew
            )
            self._torn = False
            return rows

    async def renew_outbox(self, owner: str, rows: Sequence[OutboxRow], until: datetime) -> None:
        """Let the claims on these rows last until then."""
        with self._lock:
            self._begin()
            self._messages.renew(owner, rows, until)
            self._torn = False

    async def mark_delivered(self, owner: str, rows: Sequence[OutboxRow], now: datetime) -> None:
        """The transport has taken these rows."""
        with self._lock:
            self._begin()
            remove = self._messages.remove
            for row in rows:
                if row.claimed_by == owner:
                    row.attempts += 1
                    row.delivered_at = now
                    remove(row)
            self._torn = False

    async def release_outbox(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        """Give claimed rows back."""
        with self._lock:
            self._begin()
            for row in rows:
                if row.claimed_by == owner:
                    self._messages.give_back(row)
            self._torn = False

    async def retry_outbox(
        self, owner: str, row: OutboxRow, error: str, at: datetime, *, counted: bool = True
    ) -> None:
        """An attempt failed, or was in vain; the next is due at ``at``."""
        with self._lock:
            self._begin()
            if row.claimed_by == owner:
                row.attempts += counted
                row.last_error, row.available_at = error, at
                self._messages.give_back(row)
            self._torn = False

    async def bury_outbox(self, owner: str, row: OutboxRow, error: str, now: datetime) -> None:
        """The last attempt failed."""
        with self._lock:
            self._begin()
            if row.claimed_by == owner:
                row.attempts += 1
                row.last_error, row.dead_at = error, now
                self._messages.remove(row)
            self._torn = False

    async def outbox_due(
        self, owner: str, now: datetime, routes: Routes, skew: timedelta = NO_SKEW
    ) -> datetime | None:
        """When ``owner`` can next claim something."""
        with self._lock:
            self._begin()
            self._follow(routes)
            due = self._messages.due(owner, now, self._is_routed, skew)
            self._torn = False
            return due

    async def revive_outbox(
        self, row: OutboxRow, now: datetime, envelope: Envelope | None = None
    ) -> None:
        """Make a dead row of the outbox pending again."""
        with self._lock:
            self._begin()
            if row.dead_at is not None:
                row.envelope = envelope or row.envelope
                row.attempts, row.available_at, row.dead_at = 0, now, None
                self._queue_message(row)
            self._torn = False

    async def purge(self, before: datetime, limit: int = 1000) -> int:
        """Drop rows delivered before that time."""
        with self._lock:
            self._settle()
            old: list[int] = []
            for position, row in self._recorder.outbox.items():
                if len(old) == limit:
                    break
                if row.delivered_at is not None and row.delivered_at < before:
                    old.append(position)
            for position in old:
                del self._recorder.outbox[position]
            return len(old)

    def undelivered(self) -> Iterable[OutboxRow]:
        """The rows that are pending or claimed."""
        with self._lock:
            self._settle()
            return [self._recorder.outbox[position] for position in sorted(self._messages.keys())]

    def unroutable(self, routes: Routes) -> list[Unroutable]:
        """How many messages are pending that ``routes`` does not accept, the oldest first."""
        if self._types <= routes.events:
            return []
        counts = Counter(
            (row.envelope.type, row.envelope.to)
            for row in self.undelivered()
            if row.claimed_by is None and not routes.accept(row.envelope)
        )
        return [Unroutable(*what, count) for what, count in counts.items()]

    def outbox_rows(self) -> Iterable[OutboxRow]:
        """All rows, in order of position."""
        with self._lock:
            self._settle()
            return tuple(self._recorder.outbox.values())

    def _queue_message(self, row: OutboxRow) -> None:
        envelope = row.envelope
        self._types.add(envelope.type if envelope.kind == "event" else "")
        self._messages.add(row, envelope.key, scheduled=row.scheduled)

    def _follow(self, routes: Routes) -> None:
        if routes is not self._routes:
            self._routes = routes
            self._messages.reconsider()

    def _is_routed(self, row: OutboxRow) -> bool:
        envelope, routes = row.envelope, self._routes
        assert routes is not None
        if envelope.kind == "event":  # as `Routes.accept` says, for each row that is claimed
            return envelope.type in routes.events
        return routes.accept(envelope)

    def _rebuild(self) -> None:
        self._messages = KeyedQueue(through=True)
        for message in self._recorder.outbox.values():
            if message.status in ("pending", "claimed"):
                self._queue_message(message)
