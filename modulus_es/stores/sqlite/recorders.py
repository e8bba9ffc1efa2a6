"""eventsourcing's recorders over our tables: events, outbox and inbox in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent, Tracking
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteProcessRecorder,
)

from modulus_es.stores.rows import EventRow, Handled, OutboxRow, Stored
from modulus_es.stores.sqlite.committing import noting
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.inbox import Inbox
from modulus_es.stores.sqlite.names import names_of
from modulus_es.stores.sqlite.outbox import Outbox
from modulus_es.stores.sqlite.owners import Owners
from modulus_es.stores.sqlite.tables import CREATE
from modulus_es.stores.sqlite.values import blob

# eventsourcing's own table has no column called position; both have a rowid.
_INSERT = (
    "INSERT INTO $events (originator_id, originator_version, topic, state) VALUES (?, ?, ?, ?)"
)
_SELECT = (
    "SELECT rowid AS position, originator_id, originator_version, topic, state FROM $events "
    "WHERE originator_id = ? "
)
_SELECT_ALL = (
    "SELECT rowid AS position, originator_id, originator_version, topic, state FROM $events "
)


class ModulusApplicationRecorder(SQLiteApplicationRecorder):
    """Records events, outbox rows and an inbox mark together, or nothing of them.

    Without a module it works on the tables of eventsourcing's own recorder, so
    that a file which that one wrote goes on.
    """

    datastore: Datastore

    def __init__(
        self, datastore: SQLiteDatastore, *, module: str | None = None, session: int = 0
    ) -> None:
        assert isinstance(datastore, Datastore)
        names = self._names = names_of(module)
        super().__init__(datastore, events_table_name=names.fill("$events"))
        owners = Owners(session)
        self.outbox = Outbox(names, owners)
        self.inbox = Inbox(names, owners)
        self.insert_events_statement = names.fill(_INSERT)
        self.select_events_statement = names.fill(_SELECT)

    def construct_create_table_statements(self) -> list[str]:
        """The statements that make the tables."""
        statements = super().construct_create_table_statements()
        # In place of eventsourcing's own table of events, which is not for several modules.
        theirs = [sql for sql in statements if self.events_table_name not in sql]
        return [*map(self._names.fill, CREATE), *theirs]

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        outbox: Sequence[OutboxRow] = (),
        handled: Handled | None = None,
        **kwargs: Any,
    ) -> Sequence[int] | None:
        """Record events, with the rows and the mark that belong to them; answers positions.

        Waits for other writers in this thread. Raises ``IntegrityError`` where
        an event's place is taken, `LeaseLostError` where the row is somebody
        else's, `StoreUnavailableError` where the file cannot be written.
        """

        def insert(cursor: sqlite3.Cursor) -> Sequence[int] | None:
            return self._insert_events(
                SQLiteCursor(cursor), stored_events, outbox=outbox, handled=handled, **kwargs
            )

        return self.datastore.write(insert, noting(handled))

    def _insert_events(
        self,
        c: SQLiteCursor,
        stored_events: Sequence[StoredEvent],
        *,
        outbox: Sequence[OutboxRow] = (),
        handled: Handled | None = None,
        **_: Any,
    ) -> Sequence[int] | None:
        return self.record(c.sqlite_cursor, stored_events, outbox, handled)

    def record(
        self,
        cursor: sqlite3.Cursor,
        events: Sequence[Stored],
        outbox: Sequence[OutboxRow],
        handled: Handled | None,
    ) -> Sequence[int]:
        """Write all of it in the transaction of a cursor."""
        if handled is not None:
            self.inbox.mark(cursor, handled)
        positions: list[int] = []
        insert = self.insert_events_statement
        id_: UUID | str | None = None
        written: str | None = None
        for event in events:
            if event.originator_id is not id_:
                id_ = event.originator_id
                written = id_.hex if isinstance(id_, UUID) else id_
            cursor.execute(
                insert,
                (
                    written,
                    event.originator_version,
                    event.topic,
                    blob(event.state),
                ),
            )
            positions.append(cursor.lastrowid or 0)
        if outbox:
            self.outbox.insert(cursor, outbox)
        return positions

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The recorded events of one aggregate."""
        rows = self.event_rows(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
        return [row.as_stored_event() for row in rows]

    def event_rows(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[EventRow]:
        """The same, as rows."""
        statement = self.select_events_statement
        parameters: list[Any] = [
            originator_id.hex if isinstance(originator_id, UUID) else originator_id
        ]
        if gt is not None:
            statement += "AND originator_version>? "
            parameters.append(gt)
        if lte is not None:
            statement += "AND originator_version<=? "
            parameters.append(lte)
        statement += f"ORDER BY originator_version {'DESC' if desc else 'ASC'} "
        if limit is not None:
            statement += "LIMIT ?"
            parameters.append(limit)
        id_ = self.convert_originator_id(parameters[0])
        return [
            EventRow(id_, version, str(topic), _bytes(state))
            for _, _, version, topic, state in self.datastore.select(statement, parameters)
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Recorded events in order of position, from ``start``."""
        where: list[str] = []
        parameters: list[Any] = []
        if start is not None:
            where.append("rowid >= ?" if inclusive_of_start else "rowid > ?")
            parameters.append(start)
        if stop is not None:
            where.append("rowid <= ?")
            parameters.append(stop)
        if topics:
            where.append(f"topic IN ({', '.join('?' * len(topics))})")
            parameters.extend(topics)
        statement = self._names.fill(_SELECT_ALL)
        if where:
            statement += f"WHERE {' AND '.join(where)} "
        statement += "ORDER BY rowid LIMIT ?"
        return [
            Notification(
                self.convert_originator_id(id_), version, str(topic), _bytes(state), position
            )
            for position, id_, version, topic, state in self.datastore.select(
                statement, [*parameters, limit]
            )
        ]

    def convert_originator_id(self, originator_id: str) -> UUID | str:
        """The id of an aggregate; as it is, where it was altered and is no UUID any more."""
        try:
            return super().convert_originator_id(originator_id)
        except (ValueError, AttributeError, TypeError):
            return str(originator_id)


class ModulusProcessRecorder(ModulusApplicationRecorder, SQLiteProcessRecorder):
    """The same, which records how far an upstream application was followed, too."""

    def _insert_events(
        self,
        c: SQLiteCursor,
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,
    ) -> Sequence[int] | None:
        positions = super()._insert_events(c, stored_events, **kwargs)
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(c, tracking)
        return positions


def _bytes(state: Any) -> bytes:
    return state if isinstance(state, bytes) else str(state).encode("utf-8", "backslashreplace")
