"""The connections to one file, and whether it still is that file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import get_ident
from weakref import finalize

from modulus_es.errors import StoreError
from modulus_es.stores.sqlite.failures import SQLiteUnavailableError
from modulus_es.stores.sqlite.url import Place

Reader = tuple[int, sqlite3.Connection]

_IDLE_READERS = 8
_STATEMENTS = 512  # every module has its own; preparing one anew costs more than running it
_CACHE = 16_000  # KiB
_CHECKPOINT = 1_000  # pages of the log: as long as it has not been that long, every commit has
# to make it longer, which costs the file system more than writing over what is there
_PAGE = 1024  # bytes: a commit logs every page it touches, and what it adds to one is little


class Connections:
    """One connection that writes, and those that read, to one place.

    A file that was moved away, or replaced by a backup, is noticed before it is
    used: what is written to the old one would be lost. A connection that was
    doubted is replaced at its next use. None is closed while another thread uses
    it, which SQLite answers with a crash of the process: whoever uses it closes
    it when done.

    ``accept`` looks at each new connection that is to write, and raises where
    the file is none of ours.
    """

    def __init__(self, place: Place, accept: Callable[[sqlite3.Connection], None] | None) -> None:
        self.place = place
        self._accept = accept
        self._process = os.getpid()
        self._path = None if place.in_memory or place.path.startswith("file:") else place.path
        self._identity: tuple[int, int] | None = None
        self._writer: sqlite3.Connection | None = None
        self._writer_generation = 0
        self._readers: list[Reader] = []
        self._generation = 0
        self._doubted = False
        self._closed = False
        self._opened: set[sqlite3.Connection] = set()
        self._users: dict[sqlite3.Connection, int] = {}
        # Not __del__: in a heap of garbage the connections could be finalised first.
        finalize(self, _close_unused, self._opened, self._users, self._process)

    def check(self) -> None:
        """Raise where this process may not use them."""
        if self._closed:
            raise SQLiteUnavailableError(
                f"the store {self.place} is closed: make the system again to open it"
            )
        if os.getpid() != self._process:
            raise StoreError(
                f"the store {self.place} was opened before this process was forked, and SQLite "
                "does not survive that: make the system in the child, or start the child with "
                "multiprocessing's 'spawn'"
            )

    def writer(self) -> sqlite3.Connection:
        """The connection that writes, outside of a transaction; `rest` when it has ended.

        The caller holds the lock.
        """
        self.check()
        self._follow_the_file()
        connection = self._writer
        if connection is not None and self._writer_generation != self._generation:
            self._writer = None
            self._close(connection)
            connection = None
        if connection is None:
            connection = self._connect()
            try:
                if self._accept is not None:
                    self._accept(connection)
                self._log_ahead(connection)
            except BaseException:
                self._close(connection)
                raise
            self._writer, self._writer_generation = connection, self._generation
            if self._path is not None:
                found = Path(self._path).stat()
                self._identity = found.st_dev, found.st_ino
        else:
            self._users[connection] = get_ident()
            if self._closed:
                self._refuse(connection)
            if connection.in_transaction:
                # Whoever was interrupted here could not say so.
                connection.rollback()
        return connection

    def rest(self) -> None:
        """Nobody writes any more; the caller still holds the lock."""
        if self._writer is not None:
            self._users.pop(self._writer, None)
            if self._closed:
                self._close(self._writer)

    def current(self) -> sqlite3.Connection:
        """The connection that writes, even in a transaction."""
        assert self._writer is not None
        return self._writer

    def reader(self) -> Reader:
        """A connection to read with; give it back."""
        self.check()
        self._follow_the_file()
        try:
            reader = self._readers.pop()
        except IndexError:
            return self._generation, self._connect()
        self._users[reader[1]] = get_ident()
        if self._closed:
            self._refuse(reader[1])
        return reader

    def give_back(self, reader: Reader, *, good: bool) -> None:
        """Keep it for the next who reads, if it is still good.

        It is not where reading was interrupted: a statement that is not at its end, which
        a traceback may keep alive, would show the file as it was then to all who read later.
        """
        generation, connection = reader
        good = good and not self._closed and generation == self._generation
        if good and not connection.in_transaction and len(self._readers) < _IDLE_READERS:
            self._users.pop(connection, None)
            self._readers.append(reader)
            if self._closed:  # in between, by a thread that saw this one at work
                self._close_readers()
        else:
            self._close(connection)

    def undo(self, connection: sqlite3.Connection) -> None:
        """Roll a transaction back, if there is one and it is this process's."""
        try:
            if os.getpid() == self._process and connection.in_transaction:
                connection.rollback()
        except sqlite3.Error:
            self.doubt()

    def doubt(self) -> None:
        """Open the file anew before its next use: it may be another, or another's."""
        if self._path is not None:
            self._doubted = True

    def close(self) -> None:
        """Let go of the file: at once, or where another thread uses it, when that is done."""
        self._closed = True
        _close_unused(self._opened, self._users, self._process)

    def _follow_the_file(self) -> None:
        if self._path is None:
            return
        if self._identity is not None:
            try:
                found = os.stat(self._path)  # noqa: PTH116 - twice as fast as a Path
            except OSError as error:
                raise SQLiteUnavailableError(
                    f"the store {self.place} is gone ({error.strerror}): put the file back where "
                    "it was, and do it again"
                ) from None
            if (found.st_dev, found.st_ino) != self._identity:
                self._doubted = True
        if self._doubted:
            self._doubted = False
            self._generation += 1
            self._close_readers()

    def _close_readers(self) -> None:
        while self._readers:
            with suppress(IndexError):  # taken by another thread in between
                self._close(self._readers.pop()[1])

    def _refuse(self, connection: sqlite3.Connection) -> None:
        """It was closed just now, by a thread that perhaps saw nobody use this one."""
        self._close(connection)
        self.check()

    def _close(self, connection: sqlite3.Connection) -> None:
        if os.getpid() == self._process:
            _close_once(connection, self._opened, self._users)

    def _connect(self) -> sqlite3.Connection:
        database = self.place.path
        if self._path is not None:
            mode = "rwc" if self._identity is None else "rw"
            database = f"{Path(self._path).as_uri()}?mode={mode}"
        connection = sqlite3.connect(
            database,
            timeout=0,  # who waits, and for how long, is decided where it is known who waits
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
            uri=True,
        )
        self._users[connection] = get_ident()
        self._opened.add(connection)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA trusted_schema=OFF")
            # It counts for a file that is made now; one that is there has its own.
            connection.execute(f"PRAGMA page_size={_PAGE}")
            connection.execute(f"PRAGMA synchronous={self.place.synchronous}")
            connection.execute(f"PRAGMA cache_size=-{_CACHE}")
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT}")
        except BaseException:
            self._close(connection)
            raise
        return connection

    def _log_ahead(self, connection: sqlite3.Connection) -> None:
        if self.place.in_memory:
            return
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise SQLiteUnavailableError(
                f"the store {self.place} cannot keep a write-ahead log there (mode {mode}): put "
                "the file on a local disk"
            )


def _close_unused(
    opened: set[sqlite3.Connection], users: dict[sqlite3.Connection, int], process: int
) -> None:
    """Close what no other thread uses; what this one uses, it was interrupted in."""
    me = get_ident()
    # A forked child must not even close what it inherits: that could end its parent's locks.
    if os.getpid() == process:
        for connection in list(opened):
            if users.get(connection, me) == me:
                _close_once(connection, opened, users)


def _close_once(
    connection: sqlite3.Connection,
    opened: set[sqlite3.Connection],
    users: dict[sqlite3.Connection, int],
) -> None:
    users.pop(connection, None)
    try:
        opened.remove(connection)
    except KeyError:
        return
    connection.close()
