"""Reading rows that somebody may have altered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any


def fetch(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> list[sqlite3.Row]:
    """All rows that a statement finds, as far as anybody can read them."""
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    # Somebody wrote bytes that are no text where text belongs: show them as they are.
    connection.text_factory = _lenient
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.text_factory = str


def _lenient(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
