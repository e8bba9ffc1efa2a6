"""Reading rows that somebody may have altered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any

Row = tuple[Any, ...]
"""What a statement found, in the order of its columns: `sqlite3.Row` compares a name with one
after the other, which was a fourteenth of what a message costs."""


Select = Callable[[str, Sequence[object]], list[Row]]
"""How to run a SELECT: by itself, or in an open transaction."""

_PAGE = 100  # rows: as many as are claimed at once


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


def selecting(cursor: sqlite3.Cursor) -> Select:
    """Read in the transaction of a cursor."""

    def select(sql: str, parameters: Sequence[object]) -> list[Row]:
        return fetch(cursor.connection, sql, parameters)

    return select


def pages(select: Select, statement: str, *first: object) -> Iterator[Row]:
    """The rows of a statement that goes on after a position, fetched as far as they are read."""
    last: int | None = 0
    while last is not None:
        page = select(statement, (*first, last, _PAGE))
        yield from page
        last = page[-1][0] if len(page) == _PAGE else None


def in_order(several: Iterable[Iterator[Row]]) -> Iterator[Row]:
    """Several of those as one, in order of position."""
    each = tuple(several)
    return each[0] if len(each) == 1 else merge(*each, key=itemgetter(0))


def _lenient(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
