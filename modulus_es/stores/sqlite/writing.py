"""What every part of a store in a file does: read at once, and write when it is its turn."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from threading import Event
from typing import TypeVar

from modulus_es.stores.sqlite.clock import StoredClock
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.failures import BusyError
from modulus_es.stores.sqlite.reading import Row
from modulus_es.stores.sqlite.threads import in_a_thread

T = TypeVar("T")


class Writing:
    """Reads and writes a file, on the event loop where nobody has to be waited for."""

    def __init__(self, datastore: Datastore, clock: StoredClock) -> None:
        self._datastore, self._clock = datastore, clock

    async def run(self, read: Callable[[], T]) -> T:
        """Call what reads from the store."""
        try:
            return self._datastore.read_or_raise_busy(read)
        except BusyError:
            pass  # and whatever comes of waiting is no failure inside of this one
        return await in_a_thread(read)

    def _select(self, sql: str, parameters: Sequence[object]) -> list[Row]:
        return self._datastore.select(sql, parameters)

    async def _write(
        self,
        work: Callable[[sqlite3.Cursor], T],
        then: Callable[[T], None] | None = None,
        *,
        now: datetime | None = None,
        durable: bool = True,
    ) -> T:
        work, then = self._clock.kept(work, then, now)
        try:
            return self._datastore.write(work, then, wait=0, durable=durable)
        except BusyError:
            pass
        give_up = Event()
        write = partial(self._datastore.write, work, then, durable=durable, give_up=give_up)
        return await in_a_thread(write, give_up)
