"""A SQLite file as the database of a system's modules."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, cast

from eventsourcing.utils import Environment

from modulus_es.errors import DeserializationError
from modulus_es.mapper import EventMapper
from modulus_es.stores.sqlite.clock import StoredClock
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.factory import ModulusSQLiteFactory
from modulus_es.stores.sqlite.gate import Gate
from modulus_es.stores.sqlite.names import module_of, names_of
from modulus_es.stores.sqlite.recorders import ModulusApplicationRecorder
from modulus_es.stores.sqlite.store import SQLiteStore
from modulus_es.stores.sqlite.tables import check_sqlite, create_tables
from modulus_es.stores.sqlite.url import parse
from modulus_es.stores.sqlite.values import moment

if TYPE_CHECKING:
    from modulus_es.stores.sqlite.batches import Batches

_LAST_EVENTS = 100


class SQLiteDatabase:
    """The stores of any number of modules in one SQLite file.

    ``url`` is ``sqlite:///relative/path.db``, ``sqlite:////absolute/path.db`` or
    ``sqlite:///:memory:``; ``?synchronous=NORMAL`` trades the last commits before
    a power cut for speed, ``?timeout=30`` waits so many seconds for other
    writers instead of 5. The file is made when it is first opened.

    Raises `StoreURLError` for another URL, `StoreError` for a file of somebody
    else or of a newer version, `StoreUnavailableError` where it cannot be
    opened.

    >>> database = SQLiteDatabase("sqlite:///:memory:")
    >>> database.session
    1
    >>> database.store("orders")
    SQLiteStore('orders', 'sqlite:///:memory:')
    >>> database.close()
    """

    def __init__(self, url: str) -> None:
        check_sqlite()
        self.url = url
        self._place = parse(url)
        self._clock = StoredClock()
        self._stores: dict[str, SQLiteStore] = {}
        self._batches: Batches | None = None
        self._gate = Gate(self._place)
        self._datastore = Datastore(self._place, accept=self._gate)
        self._gate.session = self._datastore.write(_next_session)

    @property
    def session(self) -> int:
        """How many times this store was opened, this time included."""
        return self._gate.session

    def latest_time(self) -> datetime | None:
        """The latest moment that was recorded in it, or None if it is new."""
        moments: list[datetime] = []
        with suppress(IndexError, OverflowError, TypeError):
            sql = "SELECT value FROM modulus_store WHERE name = 'clock' AND value > 0"
            moments.append(moment(self._datastore.select(sql)[0][0]))
        tables = self._datastore.select("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables:
            if (module := module_of(table)) is not None:
                moments.extend(self._times_of_events(module))
        return max(moments, default=None)

    def store(self, module: str) -> SQLiteStore:
        """The store of one module."""
        store = self._stores.get(module)
        if store is None:
            factory = self._factory(module)
            recorder = ModulusApplicationRecorder(
                self._datastore, module=module, session=self.session
            )
            self._make_tables(module)
            if recorder.inbox.has_stuck(self._datastore.select):
                self._datastore.write(recorder.inbox.mend)
            self._gate.modules.add(module)
            store = self._stores[module] = SQLiteStore(
                module, factory, recorder, self._clock, self._batches_of_all
            )
        return store

    def close(self) -> None:
        """Let go of the file; what is asked of it afterwards raises `StoreUnavailableError`."""
        self._datastore.close()

    def __repr__(self) -> str:
        return f"SQLiteDatabase({self.url!r})"

    def _batches_of_all(self) -> Batches:
        """What waits to be committed, of all modules."""
        if self._batches is None:
            from modulus_es.stores.sqlite.batches import Batches  # it needs asyncio

            self._batches = Batches(self._datastore, self._clock)
        return self._batches

    def _factory(self, module: str) -> ModulusSQLiteFactory:
        name = self._place.path
        environment = Environment(module, {**os.environ, ModulusSQLiteFactory.SQLITE_DBNAME: name})
        return ModulusSQLiteFactory(environment, datastore=self._datastore)

    def _make_tables(self, module: str) -> None:
        latest = names_of(module).snapshots  # the table that came last
        sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        if not self._datastore.select(sql, (latest,)):
            self._datastore.write(lambda cursor: create_tables(cursor, [module]))

    def _times_of_events(self, module: str) -> list[datetime]:
        """When the last events of a module happened, as far as they can be read here."""
        mapper = cast("EventMapper", self._factory(module).mapper(mapper_class=EventMapper))
        recorder = ModulusApplicationRecorder(self._datastore, module=module)
        last = recorder.max_notification_id() or 0
        times: list[datetime] = []
        for stored in recorder.select_notifications(last - _LAST_EVENTS + 1, _LAST_EVENTS):
            with suppress(DeserializationError):
                times.append(mapper.read(stored).at)
        return times


def _next_session(cursor: sqlite3.Cursor) -> int:
    sql = "UPDATE modulus_store SET value = value + 1 WHERE name = 'session' RETURNING value"
    return int(cursor.execute(sql).fetchone()[0])
