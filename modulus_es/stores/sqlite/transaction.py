"""The open transaction that a reader's own tables are written in."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modulus_es.errors import StoreError

if TYPE_CHECKING:
    from modulus_es.stores.sqlite.datastore import Datastore

Parameters = Sequence[Any] | Mapping[str, Any]

_ENDS_IT = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    r"(?:BEGIN|COMMIT|END|ROLLBACK(?!\s+(?:TRANSACTION\s+)?TO\b)|ATTACH|DETACH|VACUUM)\b",
    re.IGNORECASE | re.DOTALL,
)


class Transaction:
    """What ``uow.connection`` is on SQLite: for tables of your own, in the same transaction.

    It behaves like a ``sqlite3.Connection`` between ``BEGIN`` and ``COMMIT``,
    which are the unit of work's business::

        uow.connection.execute("INSERT INTO totals VALUES (?, ?)", (day, total))

    From its first use until the unit of work ends, nobody else can write to the
    file: do not wait for anything in between.
    """

    def __init__(self, datastore: Datastore, connection: sqlite3.Connection) -> None:
        self._datastore = datastore
        self._connection: sqlite3.Connection | None = connection
        self.row_factory: Any = None
        self.token = object()

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self._connection is not None

    @property
    def in_transaction(self) -> bool:
        """Whether SQLite still holds it open; a full disk may have undone it."""
        return self._connection is not None and self._connection.in_transaction

    def cursor(self) -> sqlite3.Cursor:
        """A cursor; its rows are tuples, unless `row_factory` says otherwise."""
        cursor = self._opened().cursor()
        cursor.row_factory = self.row_factory
        return cursor

    def execute(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Run one statement."""
        self._check(sql)
        return self.cursor().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Parameters]) -> sqlite3.Cursor:
        """Run one statement for each set of parameters."""
        self._check(sql)
        return self.cursor().executemany(sql, parameters)

    def commit(self) -> None:
        """Refused: the unit of work commits."""
        raise StoreError("the unit of work commits this transaction, when it commits itself")

    def rollback(self) -> None:
        """Refused: the unit of work rolls back."""
        raise StoreError("the unit of work undoes this transaction, when something raises in it")

    def take(self) -> sqlite3.Connection:
        """The connection behind it, which it lets go of; for whoever ends it."""
        connection = self._opened()
        self._connection = None
        return connection

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(
                "this transaction has ended with its unit of work: take uow.connection from the "
                "unit of work that is to write"
            )
        return self._connection

    @staticmethod
    def _check(sql: str) -> None:
        if _ENDS_IT.match(sql):
            raise StoreError(
                f"{sql.strip()[:40]!r} would end the unit of work's transaction: leave that to it"
            )

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self._datastore.undo(self)

    def __repr__(self) -> str:
        return f"<transaction in {self._datastore.place}, {'open' if self.is_open else 'ended'}>"
