"""Several deliveries in one transaction, a savepoint each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from modulus_es.errors import StoreError
from modulus_es.groups import until_ended
from modulus_es.stores.rows import EventRow, Handled, InboxRow, OutboxRow
from modulus_es.stores.sqlite.committing import noted, noting, time_of
from modulus_es.stores.sqlite.failures import BusyError
from modulus_es.stores.sqlite.inbox import Inbox, lease_lost
from modulus_es.stores.sqlite.interrupts import HeldOff
from modulus_es.stores.sqlite.rows import changing
from modulus_es.stores.sqlite.transaction import Transaction

if TYPE_CHECKING:
    from modulus_es.stores.port import Store
    from modulus_es.stores.sqlite.clock import StoredClock
    from modulus_es.stores.sqlite.datastore import Datastore

T = TypeVar("T")


class Group:
    """See `modulus_es.groups.Group`.

    The transaction begins with the first write and is on the connection that
    writes, which reads for everybody on this thread as long as it is open: what a
    delivery wrote is there for the next one of the group.
    """

    def __init__(
        self,
        store: Store,
        datastore: Datastore,
        clock: StoredClock,
        inbox: Inbox,
        record: Callable[..., Sequence[int]],
    ) -> None:
        self._store, self._datastore, self._clock = store, datastore, clock
        self._inbox, self._record = inbox, record
        self._transaction: Transaction | None = None
        self._then: list[Callable[[], None]] = []
        self._written: set[int] = set()
        # Marks that wait for the end of the group, where a statement does for many.
        self._marks: list[Handled] = []
        self._lost: set[int] = set()
        self._in_hand: Transaction | None = None
        self._left = False
        self._committed = False
        self.ended = False
        self.failure: BaseException | None = None

    @property
    def taken(self) -> bool:
        """Whether a delivery has the transaction in hand."""
        return self._in_hand is not None

    def begin(self) -> Any:
        """The transaction, from a savepoint on, for the reader's own tables."""
        if self.ended or self._left or not self._opened():
            return self._store.begin()
        with HeldOff():
            self._connection().execute("SAVEPOINT delivery")
            self._in_hand = Transaction(self._datastore, self._connection())
        return self._in_hand

    async def rollback(self, connection: Any) -> None:
        """Undo what was done since the savepoint."""
        if connection is None or connection is not self._in_hand:
            await self._store.rollback(connection)
            return
        with HeldOff():
            self._put_down(undo=True)
        if self._left:
            self.end()

    async def commit(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
        connection: Any = None,
    ) -> Sequence[int]:
        """Write all of it or nothing, and wait until the group is committed."""
        in_hand = connection is not None and connection is self._in_hand
        if (connection is not None and not in_hand) or not self._opened():
            return await self._store.commit(events, outbox, handled, connection)
        only = None if events or outbox or in_hand else handled
        if only is not None and self._clock.knows(only.at):
            await self._mark(only)
            return ()

        def work(cursor: sqlite3.Cursor) -> Sequence[int]:
            return self._record(cursor, events, outbox, handled)

        position = None if handled is None else handled.row.position
        return await self._write(work, noting(handled), time_of(outbox, handled), position)

    async def holds(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
    ) -> bool:
        """Whether exactly this was committed."""
        if handled is not None and handled.row.position in self._written:
            return self._committed
        return self.ended and await self._store.holds(events, outbox, handled)

    async def retry_delivery(self, owner: str, row: InboxRow, error: str, at: datetime) -> None:
        """An attempt failed; the next is due at ``at``."""
        if not self._opened():
            await self._store.retry_delivery(owner, row, error, at)
            return
        await self._write(
            lambda cursor: self._inbox.retry(cursor, owner, row, error, at),
            changing(1, last_error=error, available_at=at),
        )

    async def bury_delivery(self, owner: str, row: InboxRow, error: str, now: datetime) -> None:
        """The last attempt failed."""
        if not self._opened():
            await self._store.bury_delivery(owner, row, error, now)
            return
        await self._write(
            lambda cursor: self._inbox.bury(cursor, owner, row, error, now),
            changing(1, last_error=error, dead_at=now),
            now,
        )

    def leave(self) -> None:
        """The delivery at hand waits: the group ends with it."""
        self._left = True
        self._datastore.reads_in(None)

    def end(self) -> None:
        """Commit what was written; where that fails, ``failure`` says why."""
        with HeldOff():
            if self.ended:
                return
            self.ended = True
            transaction, self._transaction = self._transaction, None
            if transaction is None:
                return
            self._datastore.reads_in(None)
            try:
                self._datastore.commit(transaction, self._mark_all, self._note)
            except Exception as error:
                if self._committed:
                    raise
                self.failure = error

    def undo(self) -> None:
        """Undo all that was written, if it was not committed."""
        with HeldOff():
            self.ended = True
            self._datastore.reads_in(None)
            if self._in_hand is not None:
                self._in_hand.take()
            self._in_hand, transaction, self._transaction = None, self._transaction, None
            if transaction is not None:
                self._datastore.undo(transaction)

    def gives_way(self) -> bool:
        """Somebody else on this thread wants to write: end, unless a delivery is in the midst."""
        if self.ended or self.taken or self._left:
            return False
        self.end()
        return True

    def _mark_all(self, cursor: sqlite3.Cursor) -> None:
        marked = self._inbox.mark_all(cursor, self._marks)
        self._inbox.go_on(cursor, marked)
        self._lost = {each.row.position for each in self._marks}
        self._lost.difference_update(row.position for row in marked)
        self._written -= self._lost

    def _note(self, _: object) -> None:
        self._committed = True
        for then in self._then:
            then()
        for handled in self._marks:
            if handled.row.position not in self._lost:
                noted(handled)

    def _opened(self) -> bool:
        """Whether the transaction is open, or could be opened without waiting for anybody."""
        if self.ended:
            return False
        if self._transaction is None:
            try:
                self._transaction = self._datastore.begin(wait=0)
            except BusyError:
                self.ended = True
                return False
            self._datastore.reads_in(self)
        return True

    def _connection(self) -> sqlite3.Connection:
        return self._datastore.connections.current()

    async def _mark(self, handled: Handled) -> None:
        """Write a mark and nothing else, at the end: there is nothing to undo where it fails."""
        self._marks.append(handled)
        self._written.add(handled.row.position)
        await self._parked()
        if handled.row.position in self._lost:
            raise lease_lost(handled.row)

    async def _write(
        self,
        work: Callable[[sqlite3.Cursor], T],
        then: Callable[[T], None],
        now: datetime | None = None,
        position: int | None = None,
    ) -> T:
        """Write behind a savepoint, and wait until the group is committed."""
        work, then_note = self._clock.kept(work, then, now)
        with HeldOff():
            connection = self._connection()
            if self._in_hand is None:
                connection.execute("SAVEPOINT delivery")
            try:
                result = work(connection.cursor())
            except BaseException as error:
                self._put_down(undo=True)
                if isinstance(error, sqlite3.Error):
                    raise self._datastore.said(error) from error
                raise
            self._put_down(undo=False)
            if then_note is not None:
                self._then.append(lambda: then_note(result))
            if position is not None:
                self._written.add(position)
        await self._parked()
        return result

    async def _parked(self) -> None:
        """Wait until the group is committed; the delivery that left it commits it."""
        if self._left:
            self.end()
            if self.failure is not None:
                raise self.failure
        else:
            await until_ended()

    def _put_down(self, *, undo: bool) -> None:
        """End the savepoint."""
        if self._in_hand is not None:
            self._in_hand.take()
            self._in_hand = None
        connection = self._connection()
        self._check_open(connection)
        if undo:
            connection.execute("ROLLBACK TO delivery")
        connection.execute("RELEASE delivery")

    @staticmethod
    def _check_open(connection: sqlite3.Connection) -> None:
        if not connection.in_transaction:
            raise StoreError(
                "the transaction of this group was undone by SQLite, perhaps because the disk is "
                "full: nothing was written"
            )
