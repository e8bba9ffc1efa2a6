"""Who may write, and when: transactions in one file, one after the other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import uniform
from threading import Event, Lock, get_ident
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from eventsourcing.sqlite import SQLiteConnection, SQLiteCursor, SQLiteDatastore

from modulus_es.errors import StoreError
from modulus_es.stores.sqlite.connections import Connections
from modulus_es.stores.sqlite.failures import (
    BusyError,
    SQLiteUnavailableError,
    is_about_the_file,
    is_busy,
    translated,
)
from modulus_es.stores.sqlite.interrupts import HeldOff
from modulus_es.stores.sqlite.reading import Row, fetch
from modulus_es.stores.sqlite.transaction import Transaction
from modulus_es.stores.sqlite.url import Place

if TYPE_CHECKING:
    from modulus_es.stores.sqlite.group import Group

T = TypeVar("T")
Work = Callable[[sqlite3.Cursor], T]
Then = Callable[[T], None]

_TURN = 0.05  # seconds to wait for a lock without listening to interrupts
_PAUSE = (0.001, 0.008)  # seconds between two tries to get another process's lock


class Datastore(SQLiteDatastore):
    """eventsourcing's datastore, with transactions that nothing leaves open.

    All writing goes through one connection and one lock, so that threads take
    turns here, and begins with ``BEGIN IMMEDIATE``, so that a transaction which
    has begun can be finished. Whatever happens inside, the lock is given back.
    """

    def __init__(
        self,
        place: Place,
        *,
        single_row_tracking: bool = True,
        originator_id_type: Literal["uuid", "text"] = "uuid",
        accept: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        # eventsourcing's own pool is left out: it waits by the wall clock, and one failed open
        # keeps its lock for good.
        self.place = place
        self.single_row_tracking = single_row_tracking
        self.originator_id_type = originator_id_type
        self.connections = Connections(place, accept)
        self._lock = Lock()
        self._open: object | None = None
        self._open_in: int | None = None
        self._lazy: sqlite3.Connection | None = None
        self._impatient: set[int] = set()
        self._group: Group | None = None

    def write(
        self,
        work: Work[T],
        then: Then[T] | None = None,
        *,
        wait: float | None = None,
        durable: bool = True,
        give_up: Event | None = None,
    ) -> T:
        """Call ``work`` in a transaction of its own; interrupts wait until it has ended.

        ``then`` is called with its result as soon as it is committed. With
        ``wait=0`` it raises `BusyError` where somebody else writes. What is not
        ``durable`` may be forgotten in a power cut, never torn.
        """

        def use(connection: sqlite3.Connection) -> T:
            try:
                return self._finish(connection, work, then)
            finally:
                self._release()

        return self._in_turn(use, wait, durable, give_up)

    def begin(self, *, wait: float | None = None) -> Transaction:
        """Open a transaction that stays open, until `commit` or `undo`.

        With ``wait=0`` it raises `BusyError` where somebody else writes.
        """
        opened: Transaction | None = None

        def use(connection: sqlite3.Connection) -> Transaction:
            nonlocal opened
            opened = Transaction(self, connection)
            self._open, self._open_in = opened.token, get_ident()
            return opened

        try:
            return self._in_turn(use, wait)
        except BaseException:
            # An interrupt that was held off meanwhile: nobody would end it.
            if opened is not None:
                self.undo(opened)
            raise

    def reads_in(self, group: Group | None) -> None:
        """Let this thread read in the open transaction of a group from now on, or no longer."""
        self._group = group

    def commit(self, transaction: Transaction, work: Work[T], then: Then[T] | None = None) -> T:
        """Call ``work`` in an open transaction, and end it."""
        self.connections.check()
        with HeldOff():
            connection = transaction.take()
            try:
                if not connection.in_transaction:
                    raise StoreError(
                        "the transaction of this unit of work was undone by SQLite, perhaps "
                        "because the disk is full: nothing was written"
                    )
                return self._finish(connection, work, then)
            finally:
                self._end(transaction)

    def undo(self, transaction: Transaction) -> None:
        """Undo an open transaction; nothing to do for one that has ended."""
        with HeldOff():
            if transaction.is_open:
                try:
                    self.connections.undo(transaction.take())
                finally:
                    self._end(transaction)

    def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Call what reads, with a connection of its own."""
        deadline: float | None = None
        while True:
            try:
                if self._group is not None and self._open_in == get_ident():
                    return query(self.connections.current())
                if self.place.in_memory:
                    return self._read_in_memory(query)
                reader, at_its_end = self.connections.reader(), False
                try:
                    found = query(reader[1])
                    at_its_end = True
                    return found
                finally:
                    self.connections.give_back(reader, good=at_its_end)
            except sqlite3.Error as error:
                if not is_busy(error):
                    raise self.said(error) from error
                if get_ident() in self._impatient:
                    raise BusyError(here=False) from error
            deadline = deadline or monotonic() + self.place.timeout
            self._wait(BusyError(here=False), deadline, None)

    def select(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows that one statement finds."""
        return self.read(lambda connection: fetch(connection, sql, parameters))

    def read_or_raise_busy(self, read: Callable[[], T]) -> T:
        """Call something that reads; raises `BusyError` instead of waiting for another process."""
        me = get_ident()
        self._impatient.add(me)
        try:
            return read()
        finally:
            self._impatient.discard(me)

    # eventsourcing's own interface

    @contextmanager
    def transaction(self, *, commit: bool) -> Iterator[SQLiteCursor]:
        """A cursor in a transaction that ends with the block."""
        if not commit and not self.place.in_memory:
            with (
                self.get_connection(commit=False) as connection,
                connection.transaction(commit=False) as reading,
            ):
                yield reading
            return
        opened = self.begin()
        cursor = opened.cursor()
        cursor.row_factory = sqlite3.Row
        try:
            yield SQLiteCursor(cursor)
        except BaseException as error:
            self.undo(opened)
            if isinstance(error, sqlite3.Error):
                raise self.said(error) from error
            raise
        if commit:
            self.commit(opened, lambda _: None)
        else:
            self.undo(opened)

    @contextmanager
    def get_connection(self, *, commit: bool) -> Iterator[SQLiteConnection]:
        """A connection; the caller begins and ends transactions."""
        reader, at_its_end = self.connections.reader(), False
        try:
            yield SQLiteConnection(reader[1], max_age=None)
            at_its_end = True
        except sqlite3.Error as error:
            raise self.said(error) from error
        finally:
            self.connections.give_back(reader, good=at_its_end)

    def close(self) -> None:
        """Let go of the file; what other threads do with it is waited for, then refused."""
        with HeldOff():
            mine = self._open_in == get_ident() or self._lock.acquire(timeout=self.place.timeout)
            self.connections.close()
            if mine:
                self._open = self._open_in = None
                self._release()

    def __del__(self) -> None:
        """The connections close themselves."""

    def _in_turn(
        self,
        use: Callable[[sqlite3.Connection], T],
        wait: float | None = None,
        durable: bool = True,
        give_up: Event | None = None,
    ) -> T:
        """Hand the connection over, in a transaction and with the lock held, when it is free."""
        deadline: float | None = None
        turn = 0.0
        while True:
            with HeldOff():
                try:
                    connection = self._take_turn(turn, durable)
                except BusyError as busy:
                    mine = busy.here and self._open_in == get_ident()
                    if mine and self._group is not None and self._group.gives_way():
                        continue
                    if wait == 0:
                        raise
                    in_the_way = busy
                else:
                    return use(connection)
            if deadline is None:
                deadline = monotonic() + (self.place.timeout if wait is None else wait)
            turn = self._wait(in_the_way, deadline, give_up)

    def _take_turn(self, turn: float, durable: bool) -> sqlite3.Connection:
        if not self._lock.acquire(timeout=turn):
            # Nobody waits for the lock of a process that this one was forked from.
            self.connections.check()
            raise BusyError(here=True)
        try:
            connection = self.connections.writer()
            if durable == (self._lazy is connection) and self.place.synchronous == "FULL":
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._lazy = None if durable else connection
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._release()
            if is_busy(error):
                raise BusyError(here=False) from error
            raise self.said(error) from error
        except BaseException:
            self._release()
            raise
        return connection

    def _finish(self, connection: sqlite3.Connection, work: Work[T], then: Then[T] | None) -> T:
        try:
            cursor = connection.cursor()
            result = work(cursor)
            try:
                cursor.execute("COMMIT")
            except sqlite3.IntegrityError as error:
                # A constraint of the reader's own tables that is checked at the end.
                raise StoreError(f"the store {self.place} refused the commit: {error}") from error
        except BaseException as error:
            self.connections.undo(connection)
            if isinstance(error, sqlite3.Error):
                raise self.said(error) from error
            raise
        if then is not None:
            then(result)
        return result

    def _end(self, transaction: Transaction) -> None:
        if self._open is transaction.token:
            self._open = self._open_in = None
            self._release()

    def _release(self) -> None:
        try:
            self.connections.rest()
        finally:
            self._lock.release()

    def _wait(self, busy: BusyError, deadline: float, give_up: Event | None) -> float:
        """Wait a little, and answer how long to wait for the lock; raises when it is enough."""
        left = deadline - monotonic()
        in_vain = busy.here and self._open_in == get_ident()
        if left <= 0 or in_vain or (give_up is not None and give_up.is_set()):
            who = (
                "a unit of work that took uow.connection holds it: end that one first"
                if busy.here and self._open is not None
                else "others are writing to it: let them finish, or wait longer with ?timeout=30"
            )
            waited = "" if in_vain else f" for {self.place.timeout:g} s"
            raise SQLiteUnavailableError(f"the store {self.place} was locked{waited}: {who}")
        if busy.here:
            return min(_TURN, left)
        sleep(min(uniform(*_PAUSE), left))
        return 0.0

    def _read_in_memory(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Read with the one connection that there is, between the transactions of others."""
        self.connections.check()
        if self._open_in == get_ident():
            return query(self.connections.current())
        deadline = monotonic() + self.place.timeout
        turn = 0.0
        while True:
            with HeldOff():
                if self._lock.acquire(timeout=turn):
                    try:
                        return query(self.connections.writer())
                    finally:
                        self._release()
            turn = self._wait(BusyError(here=True), deadline, None)

    def said(self, error: sqlite3.Error) -> Exception:
        """The error to raise instead of SQLite's; the file may be looked at anew."""
        if is_about_the_file(error):
            self.connections.doubt()
        return translated(error, self.place)
