"""The latest moment that a store knows of, so that virtual time goes on where it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from modulus_es.stores.sqlite.values import micros

T = TypeVar("T")


class StoredClock:
    """Keeps the latest time in the file; one for all modules in it."""

    def __init__(self) -> None:
        self._latest = 0

    def knows(self, now: datetime) -> bool:
        """Whether this time, or a later one, is in the file."""
        return micros(now) <= self._latest

    def kept(
        self,
        work: Callable[[sqlite3.Cursor], T],
        then: Callable[[T], None] | None,
        now: datetime | None,
    ) -> tuple[Callable[[sqlite3.Cursor], T], Callable[[T], None] | None]:
        """The same work, which notes the time as well, where time has passed."""
        if now is None:
            return work, then
        stamp = micros(now)
        if stamp <= self._latest:
            return work, then

        def work_and_note(cursor: sqlite3.Cursor) -> T:
            cursor.execute(
                "UPDATE modulus_store SET value = :p1 WHERE name = 'clock' AND value < :p1",
                {"p1": stamp},
            )
            return work(cursor)

        def then_know(result: T) -> None:
            self._latest = max(self._latest, stamp)
            if then is not None:
                then(result)

        return work_and_note, then_know
