"""Snapshots in a SQLite file: the latest of each aggregate."""

from __future__ import annotations

import sqlite3
from uuid import UUID

from modulus_es.stores.rows import EventRow
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.failures import BusyError
from modulus_es.stores.sqlite.names import Names

_KEEP = (
    "INSERT INTO $snapshots (originator_id, originator_version, topic, state) "
    "VALUES (?, ?, ?, ?) ON CONFLICT (originator_id) DO UPDATE SET "
    "originator_version = excluded.originator_version, topic = excluded.topic, "
    "state = excluded.state"
)
_LATEST = "SELECT originator_version, topic, state FROM $snapshots WHERE originator_id = ?"
_ALL = "SELECT originator_id FROM $snapshots"


class Snapshots:
    """The latest snapshot of each aggregate of one module.

    Which aggregates have one is known without asking the file, as nearly all
    have none. Another process may have kept one since: then this one does
    without it until it keeps its own.
    """

    def __init__(self, datastore: Datastore, names: Names) -> None:
        self._datastore = datastore
        self._keep, self._latest = names.fill(_KEEP), names.fill(_LATEST)
        self._known = {row[0] for row in datastore.select(names.fill(_ALL))}

    def latest(self, id: UUID) -> EventRow | None:
        """The snapshot of an aggregate."""
        if id.hex not in self._known:
            return None
        for version, topic, state in self._datastore.select(self._latest, (id.hex,)):
            if type(version) is int and type(state) is bytes:
                return EventRow(id, version, str(topic), state)
        return None

    def keep(self, snapshot: EventRow) -> None:
        """Keep a snapshot in place of the one before; not where somebody else writes."""
        id_ = snapshot.originator_id
        written = id_.hex if isinstance(id_, UUID) else id_
        row = (written, snapshot.originator_version, snapshot.topic, snapshot.state)

        def keep(cursor: sqlite3.Cursor) -> None:
            cursor.execute(self._keep, row)

        try:
            self._datastore.write(keep, wait=0, durable=False)
        except BusyError:
            return  # whoever rebuilds it next keeps one
        self._known.add(written)
