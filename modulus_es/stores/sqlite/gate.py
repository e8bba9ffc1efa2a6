"""What is done to a file before it is written to: looked at, made, or taken up again."""

from __future__ import annotations

import sqlite3

from modulus_es.stores.sqlite.failures import SQLiteFileError
from modulus_es.stores.sqlite.tables import create_tables, is_empty, make_store
from modulus_es.stores.sqlite.url import Place


class Gate:
    """Lets a connection write to a store of ours, and makes one of an empty file.

    ``session`` is the number of this opening, 0 before the first connection has
    drawn it; ``modules`` are those whose tables have to be there.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self.session = 0
        self.modules: set[str] = set()

    def __call__(self, connection: sqlite3.Connection) -> None:
        """Look at the file; raises `SQLiteFileError` where it is not to be written to."""
        if not is_empty(connection, self._place) and not self.session:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._take_up(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise

    def _take_up(self, connection: sqlite3.Connection) -> None:
        empty = is_empty(connection, self._place)
        if not self.session:
            if empty:
                make_store(connection)
        elif empty:
            raise SQLiteFileError(
                f"the store {self._place} is empty now: put a backup in its place"
            )
        else:
            # It may be a backup: what it lacks is made, and no later opening draws our ids.
            connection.execute(
                "UPDATE modulus_store SET value = max(value, ?) WHERE name = 'session'",
                (self.session,),
            )
            create_tables(connection.cursor(), sorted(self.modules))
