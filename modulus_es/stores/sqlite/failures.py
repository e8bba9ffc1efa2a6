"""What SQLite says, in the words of the kit and of eventsourcing at once.

eventsourcing's recorders promise its own errors, and the kit promises
`StoreError` and its kin; what a file or a disk does to both of them is one
error that is caught as either.
"""

from __future__ import annotations

import sqlite3

from eventsourcing import persistence

from modulus_es.errors import StoreError, StoreUnavailableError


class SQLiteUnavailableError(StoreUnavailableError, persistence.OperationalError):
    """The file cannot be used now: locked, full, gone or write-protected."""


class SQLiteFileError(StoreError, persistence.DatabaseError):
    """The file is damaged, or is not one of ours."""


class BusyError(Exception):
    """Somebody else is writing, and nothing was begun; never seen outside the store.

    ``here`` says whether it is somebody in this process.
    """

    def __init__(self, *, here: bool) -> None:
        super().__init__("busy")
        self.here = here


_ADVICE = {
    sqlite3.SQLITE_PERM: "permission to use it was refused: look at the rights of file and folder",
    sqlite3.SQLITE_BUSY: "another process holds its lock: let it finish, and do it again",
    sqlite3.SQLITE_LOCKED: "another connection holds its lock: let it finish, and do it again",
    sqlite3.SQLITE_READONLY: (
        "it cannot be written: make the file and its folder writable, and do it again"
    ),
    sqlite3.SQLITE_IOERR: (
        "the disk could not be read or written: look at the disk, and do it again"
    ),
    sqlite3.SQLITE_FULL: "the disk is full: make room, and do it again",
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened: its folder has to exist and to be writable; then do it again"
    ),
    sqlite3.SQLITE_PROTOCOL: "too many processes open it at once: do it again",
}

_DAMAGED = {
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite file, or its beginning is damaged",
    sqlite3.SQLITE_FORMAT: "it is not an SQLite file, or its beginning is damaged",
}

_CLASSES: tuple[tuple[type[sqlite3.Error], type[Exception]], ...] = (
    (sqlite3.IntegrityError, persistence.IntegrityError),
    (sqlite3.DataError, persistence.DataError),
    (sqlite3.OperationalError, persistence.OperationalError),
    (sqlite3.InternalError, persistence.InternalError),
    (sqlite3.ProgrammingError, persistence.ProgrammingError),
    (sqlite3.NotSupportedError, persistence.NotSupportedError),
    (sqlite3.InterfaceError, persistence.InterfaceError),
    (sqlite3.DatabaseError, persistence.DatabaseError),
)


def code_of(error: BaseException) -> int:
    """SQLite's primary result code; 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_busy(error: BaseException) -> bool:
    """Whether somebody else was in the way, so that waiting helps."""
    return code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def is_about_the_file(error: BaseException) -> bool:
    """Whether the connection, and not only the statement, is to be doubted."""
    code = code_of(error)
    return (code in _ADVICE and not is_busy(error)) or code in _DAMAGED


def translated(error: sqlite3.Error, place: object) -> Exception:
    """The error to raise instead, which says what to do."""
    code = code_of(error)
    if code in _DAMAGED:
        return SQLiteFileError(
            f"the store {place} cannot be read, because {_DAMAGED[code]} ({error}): put a backup "
            "in its place, or look at it with `PRAGMA integrity_check`"
        )
    if code in _ADVICE:
        return SQLiteUnavailableError(
            f"the store {place} cannot be used now: {_ADVICE[code]} ({error})"
        )
    for raised, promised in _CLASSES:
        if isinstance(error, raised):
            return promised(error)
    return persistence.PersistenceError(error)
