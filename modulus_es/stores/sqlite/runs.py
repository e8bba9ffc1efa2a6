"""Changing rows by runs of positions: a statement for each run, and not for each row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import TypeVar

from modulus_es.stores.rows import InboxRow, OutboxRow

AnyRow = TypeVar("AnyRow", OutboxRow, InboxRow)


def in_a_row(rows: Sequence[AnyRow]) -> Iterator[Sequence[AnyRow]]:
    """Rows by runs whose positions follow each other: a statement does for each run.

    >>> at = lambda position: OutboxRow(None, None, None, position=position)
    >>> [[row.position for row in run] for run in in_a_row([at(1), at(2), at(5), at(6), at(4)])]
    [[1, 2], [5, 6], [4]]
    """
    places = [row.position for row in rows]
    if not places or places == list(range(places[0], places[0] + len(places))):
        yield from [rows] if rows else ()
        return
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or places[end] != places[end - 1] + 1:
            yield rows[start:end]
            start = end


def mine(
    cursor: sqlite3.Cursor,
    held: str,
    statement: str,
    values: tuple[object, ...],
    owner: str,
    rows: Sequence[AnyRow],
) -> list[AnyRow]:
    """Run a statement over those of the rows that their owner still has; answers which.

    ``held`` counts those between two positions, and ``statement`` changes them.
    """
    changed: list[AnyRow] = []
    for run in in_a_row(rows):
        first, last = run[0].position, run[-1].position
        if len(run) > 1 and cursor.execute(held, (first, last, owner)).fetchone()[0] == len(run):
            cursor.execute(statement, (*values, first, last, owner))
            changed += run
        else:
            changed += [
                row
                for row in run
                if cursor.execute(statement, (*values, row.position, row.position, owner)).rowcount
            ]
    return changed
