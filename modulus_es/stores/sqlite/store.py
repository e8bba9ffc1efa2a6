"""The store of one module in a SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventsourcing.persistence import ApplicationRecorder, InfrastructureFactory

from modulus_es.envelope import Envelope
from modulus_es.stores.port import Capability, SnapshotRows
from modulus_es.stores.rows import (
    NO_SKEW,
    EventRow,
    Handled,
    InboxRow,
    OutboxRow,
    Receipt,
    Unprocessed,
)
from modulus_es.stores.sqlite.clock import StoredClock
from modulus_es.stores.sqlite.committing import noted, time_of
from modulus_es.stores.sqlite.factory import ModulusSQLiteFactory
from modulus_es.stores.sqlite.group import Group
from modulus_es.stores.sqlite.names import names_of
from modulus_es.stores.sqlite.recorders import ModulusApplicationRecorder
from modulus_es.stores.sqlite.rows import changing
from modulus_es.stores.sqlite.sending import Sending
from modulus_es.stores.sqlite.snapshots import Snapshots
from modulus_es.stores.sqlite.transaction import Transaction

if TYPE_CHECKING:
    from modulus_es.groups import CommitQueue
    from modulus_es.stores.sqlite.batches import Batches


class SQLiteStore(Sending):
    """One module's events, outbox and inbox, in the tables of a SQLite file.

    What nobody else holds up happens on the event loop, because a hop to
    another thread takes longer than the commit; who has to wait does so in a
    worker thread, no longer than the lock time-out.
    """

    def __init__(
        self,
        module: str,
        factory: ModulusSQLiteFactory,
        recorder: ModulusApplicationRecorder,
        clock: StoredClock,
        batches: Callable[[], Batches],
    ) -> None:
        super().__init__(recorder.datastore, clock)
        self.module = module
        self._batches = batches
        self.factory: InfrastructureFactory[Any] = factory
        self.recorder: ApplicationRecorder = recorder
        self.snapshots: SnapshotRows = Snapshots(recorder.datastore, names_of(module))
        self._record, self._event_rows = recorder.record, recorder.event_rows
        self._outbox, self._inbox = recorder.outbox, recorder.inbox
        self._latest: _Outcome | None = None
        place = self._datastore.place
        self.url = place.url
        self.capabilities = Capability.CONNECTION | Capability.GROUPS
        if not place.in_memory:
            self.capabilities |= Capability.DURABLE | Capability.MANY_PROCESSES

    def begin(self) -> Transaction:
        """Open the transaction that the next `commit` ends."""
        return self._datastore.begin()

    async def rollback(self, connection: Any) -> None:
        """Undo what was done in a transaction that `begin` opened."""
        if connection is not None:
            self._datastore.undo(connection)

    def group(self) -> Group:
        """Begin a group: deliveries that are written in one transaction, a savepoint each."""
        return Group(self, self._datastore, self._clock, self._inbox, self._record)

    def commit_queue(self, size: int) -> CommitQueue:
        """Where commits wait for others, of this module or of others in the file."""
        from modulus_es.stores.sqlite.queue import Queue  # it needs asyncio, slow to import

        return Queue(self, self._batches(), self._record, size)

    async def commit(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
        connection: Any = None,
    ) -> Sequence[int]:
        """Write all or nothing; answers the events' positions."""
        now = time_of(outbox, handled)

        def work(cursor: sqlite3.Cursor) -> Sequence[int]:
            return self._record(cursor, events, outbox, handled)

        committed = False

        def then(_: object) -> None:
            nonlocal committed
            committed = True
            if handled is not None:
                noted(handled)

        try:
            if connection is None:
                return await self._write(work, then, now=now)
            return self._datastore.commit(connection, *self._clock.kept(work, then, now))
        except BaseException:
            self._latest = _Outcome(committed, events, outbox, handled)
            raise

    async def holds(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
    ) -> bool:
        """Whether exactly this was committed; asked after a failure, when the file may be gone."""
        outcome, self._latest = self._latest, None
        if outcome is not None and outcome.is_of(events, outbox, handled):
            return outcome.committed
        return await self.run(lambda: self._holds(events, outbox, handled))

    async def receive(self, receipts: Sequence[Receipt], now: datetime) -> list[tuple[str, str]]:
        """Hold these messages for their handlers."""
        return await self._write(lambda cursor: self._inbox.receive(cursor, receipts, now), now=now)

    async def bury_unreadable(self, envelope: Envelope, error: str, now: datetime) -> None:
        """Keep a message that nobody here can read as a dead letter."""
        await self._write(
            lambda cursor: self._inbox.bury_unreadable(cursor, envelope, error, now), now=now
        )

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
        waiting = await self.run(lambda: self._inbox.look(self._select, handlers))
        if not waiting.is_any(now):
            return []
        return await self._write(
            lambda cursor: self._inbox.claim(cursor, owner, now, lease, limit, waiting, skew),
            now=now,
            durable=False,
        )

    async def release_inbox(self, owner: str, rows: Sequence[InboxRow]) -> None:
        """Give claimed deliveries back."""
        if rows:
            await self._write(
                lambda cursor: self._inbox.release(cursor, owner, rows),
                changing(0),
                durable=False,
            )

    async def retry_delivery(self, owner: str, row: InboxRow, error: str, at: datetime) -> None:
        """An attempt failed; the next is due at ``at``."""
        await self._write(
            lambda cursor: self._inbox.retry(cursor, owner, row, error, at),
            changing(1, last_error=error, available_at=at),
        )

    async def bury_delivery(self, owner: str, row: InboxRow, error: str, now: datetime) -> None:
        """The last attempt failed."""
        await self._write(
            lambda cursor: self._inbox.bury(cursor, owner, row, error, now),
            changing(1, last_error=error, dead_at=now),
            now=now,
        )

    async def inbox_due(
        self, owner: str, now: datetime, handlers: frozenset[str], skew: timedelta = NO_SKEW
    ) -> datetime | None:
        """When ``owner`` can next claim a delivery to these handlers."""
        return await self.run(lambda: self._inbox.due(self._select, owner, now, handlers, skew))

    async def revive_delivery(
        self, row: InboxRow, now: datetime, envelope: Envelope | None = None
    ) -> None:
        """Make a dead letter pending again."""
        new = envelope or row.envelope
        await self._write(
            lambda cursor: self._inbox.revive(cursor, row, now, new),
            changing(-row.attempts, envelope=new, available_at=now, dead_at=None),
        )

    async def forget_unreadable(self, row: InboxRow) -> None:
        """Drop a dead letter without a handler."""
        await self._write(lambda cursor: self._inbox.forget(cursor, row))

    def waiting(self) -> int:
        """How many rows of the outbox and the inbox are pending or claimed."""
        return self._outbox.waiting(self._select) + self._inbox.waiting(self._select)

    def unprocessed(self) -> Iterable[InboxRow]:
        """The deliveries that are pending or claimed."""
        return self._inbox.unprocessed(self._select)

    def unprocessed_kinds(self) -> list[Unprocessed]:
        """How many deliveries are pending or claimed, by handler and message, the oldest first."""
        return self._inbox.unprocessed_kinds(self._select)

    def event_rows(
        self, id: UUID, *, gt: int | None = None, lte: int | None = None
    ) -> Sequence[EventRow]:
        """The events of one aggregate, in order."""
        return self._event_rows(id, gt=gt, lte=lte)

    def inbox_rows(self) -> Iterable[InboxRow]:
        """All rows, in order of position."""
        return self._inbox.rows(self._select)

    def close(self) -> None:
        """Let go of the file, for every module in it."""
        self._datastore.close()

    def __repr__(self) -> str:
        return f"SQLiteStore({self.module!r}, {self.url!r})"

    def _holds(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None,
    ) -> bool:
        if handled is not None and not self._inbox.holds(self._select, handled):
            return False
        for event in events:
            version = event.originator_version
            found = self._event_rows(event.originator_id, gt=version - 1, lte=version)
            if list(found) != [event]:
                return False
        return self._outbox.holds(self._select, outbox)


class _Outcome:
    """What became of one call of `SQLiteStore.commit` that raised."""

    __slots__ = ("_of", "committed")

    def __init__(self, committed: bool, *of: object) -> None:
        self.committed = committed
        self._of = of

    def is_of(self, *of: object) -> bool:
        """Whether it is the outcome of that call."""
        return all(one is other for one, other in zip(self._of, of, strict=True))
