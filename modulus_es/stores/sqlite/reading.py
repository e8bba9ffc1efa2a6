"""Reading rows that somebody may have altered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

Row = tuple[Any, ...]
"""What a statement found, in the order of its columns: `sqlite3.Row` compares a name with one
after the other, which was a fourteenth of what a message costs."""


def fetch(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[Row]:
    """All rows that a statement finds, as far as anybody can read them."""
    cursor = connection.cursor()
    cursor.row_factory = None
    try:
        return cursor.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    except BaseException:
        # An interrupt, whose traceback would keep the statement open.
        cursor.close()
        raise
    # Somebody wrote bytes that are no text where text belongs: show them as they are.
    connection.text_factory = _lenient
    try:
        return cursor.execute(sql, parameters).fetchall()
    finally:
        connection.text_factory = str


def _lenient(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
