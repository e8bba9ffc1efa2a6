"""The tables, and what makes a file a store of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from modulus_es.errors import StoreError
from modulus_es.stores.sqlite.failures import SQLiteFileError
from modulus_es.stores.sqlite.names import names_of

APPLICATION = 0x4D455331
"""What a store of ours says in the file's header, where SQLite keeps who made it: MES1."""

VERSION = 3
"""The version of the tables."""

OLDEST_SQLITE = (3, 35, 0)
"""The first that answers from an UPDATE, which eventsourcing asks for too."""

# The partial indexes hold only what is still to be done, so that looking for it costs the same
# however much was. A row that waits for its time (`scheduled` or `ready` is 2) is in one by time,
# and in no other before it has come: nobody goes through those that are not due.
# Positions are never used again: no event is ever dropped, and of the messages the last place is
# kept. AUTOINCREMENT would see to that too, and write one more page a commit.
CREATE = (
    """
    CREATE TABLE IF NOT EXISTS $events (
        position INTEGER PRIMARY KEY,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        UNIQUE (originator_id, originator_version)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS $outbox (
        position INTEGER PRIMARY KEY,
        message_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        type TEXT NOT NULL,
        version INTEGER NOT NULL,
        route TEXT NOT NULL,
        source TEXT NOT NULL,
        key TEXT NOT NULL,
        headers BLOB NOT NULL,
        body BLOB NOT NULL,
        handler TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        available_at INTEGER NOT NULL,
        scheduled INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        last_error TEXT,
        claimed_by TEXT,
        claimed_until INTEGER,
        delivered_at INTEGER,
        dead_at INTEGER
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS $outbox_pending ON $outbox (route, position)
    WHERE scheduled <> 2 AND delivered_at IS NULL AND dead_at IS NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS $outbox_later ON $outbox (route, available_at)
    WHERE scheduled = 2 AND delivered_at IS NULL AND dead_at IS NULL
    """,
    """
    CREATE TABLE IF NOT EXISTS $inbox (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        source TEXT NOT NULL,
        message_id TEXT NOT NULL,
        handler TEXT NOT NULL,
        kind TEXT NOT NULL,
        type TEXT NOT NULL,
        version INTEGER NOT NULL,
        key TEXT NOT NULL,
        sent_position INTEGER NOT NULL,
        headers BLOB NOT NULL,
        body BLOB NOT NULL,
        received_at INTEGER NOT NULL,
        available_at INTEGER NOT NULL,
        ordered INTEGER NOT NULL,
        ready INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        last_error TEXT,
        claimed_by TEXT,
        claimed_until INTEGER,
        processed_at INTEGER,
        processed_by TEXT,
        outcome TEXT,
        dead_at INTEGER,
        duplicates INTEGER NOT NULL DEFAULT 0,
        out_of_order INTEGER NOT NULL DEFAULT 0,
        UNIQUE (source, message_id, handler)
    )
    """,
    """
    CREATE INDEX IF NOT EXISTS $inbox_ready ON $inbox (handler, position)
    WHERE ready = 1 AND processed_at IS NULL AND dead_at IS NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS $inbox_later ON $inbox (handler, available_at)
    WHERE ready = 2 AND processed_at IS NULL AND dead_at IS NULL
    """,
    """
    CREATE INDEX IF NOT EXISTS $inbox_lane ON $inbox (handler, key, position)
    WHERE processed_at IS NULL AND dead_at IS NULL
    """,
    "CREATE INDEX IF NOT EXISTS $inbox_order ON $inbox (source, handler, key, sent_position)",
    """
    CREATE TABLE IF NOT EXISTS $snapshots (
        originator_id TEXT PRIMARY KEY,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL
    )
    """,
)


def create_tables(cursor: sqlite3.Cursor, modules: Iterable[str]) -> None:
    """Make the tables of modules, where they are not there yet."""
    for module in modules:
        for statement in CREATE:
            cursor.execute(names_of(module).fill(statement))


def check_sqlite() -> None:
    """Raise where Python's SQLite is too old."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreError(
            f"this Python has SQLite {sqlite3.sqlite_version}, and the store needs "
            f"{'.'.join(map(str, OLDEST_SQLITE))}: use a newer Python, or the store in memory"
        )


def is_empty(connection: sqlite3.Connection, place: object) -> bool:
    """Whether the file is to become a store; raises where it is neither empty nor one of ours."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not application and not version and not tables:
        return True
    if application != APPLICATION:
        raise SQLiteFileError(
            f"{place} is an SQLite file, but not a store of modulus_es: name another file"
        )
    if version > VERSION:
        raise SQLiteFileError(
            f"{place} was written by a newer modulus_es (its tables have version {version}, and "
            f"this one knows {VERSION}): upgrade modulus_es, or name another file"
        )
    if version < VERSION:
        raise SQLiteFileError(
            f"{place} was written by modulus_es before its first release (its tables have version "
            f"{version}, and this one knows {VERSION}): name another file, and run it again"
        )
    _check_untouched(connection, place)
    return False


def make_store(connection: sqlite3.Connection) -> None:
    """Turn an empty file into a store; the caller has a transaction open."""
    connection.execute("CREATE TABLE modulus_store (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
    connection.execute("INSERT INTO modulus_store VALUES ('session', 0), ('clock', 0)")
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _check_untouched(connection: sqlite3.Connection, place: object) -> None:
    """Refuse a file whose tables do what we do not know of when they are written to."""
    found = connection.execute(
        "SELECT type, name, tbl_name FROM sqlite_master WHERE type IN ('trigger', 'view') "
        "AND (name LIKE 'modulus!_%' ESCAPE '!' OR tbl_name LIKE 'modulus!_%' ESCAPE '!')"
    ).fetchone()
    if found is not None:
        raise SQLiteFileError(
            f"{place} was altered: it has a {found[0]} {found[1]!r} on {found[2]!r}, which "
            "modulus_es did not make; drop it, or name another file"
        )
