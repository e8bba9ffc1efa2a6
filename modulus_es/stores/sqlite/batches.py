"""Commits to one file that wait for each other: a transaction for many, a savepoint each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextvars import Context
from functools import partial
from threading import Event
from typing import Any
from uuid import UUID
from weakref import ref

from modulus_es.groups import retold
from modulus_es.stores.rows import EventRow, OutboxRow
from modulus_es.stores.sqlite.clock import StoredClock
from modulus_es.stores.sqlite.committing import time_of
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.failures import BusyError, SQLiteUnavailableError
from modulus_es.stores.sqlite.interrupts import HeldOff
from modulus_es.stores.sqlite.threads import in_a_thread

Record = Callable[[sqlite3.Cursor, Sequence[EventRow], Sequence[OutboxRow], None], Sequence[int]]


class Request:
    """One commit that waits to be written with others, and what became of it."""

    __slots__ = ("answer", "batch", "committed", "error", "events", "outbox", "positions", "record")

    def __init__(
        self, record: Record, events: Sequence[EventRow], outbox: Sequence[OutboxRow]
    ) -> None:
        self.record, self.events, self.outbox = record, events, outbox
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.batch: Batch | None = None
        self.positions: Sequence[int] = ()
        self.committed = False
        self.error: Exception | None = None

    def take_back(self) -> bool:
        """Let it not be written; answers whether that was in time."""
        if self.batch is not None and self.batch.is_taken:
            return False
        if not self.answer.get_loop().is_closed():
            self.answer.cancel()
        return True

    async def until_known(self) -> None:
        """Wait, whatever happens, until it is known what became of it."""
        assert self.batch is not None
        while not self.batch.ended.done():
            try:
                await asyncio.wait([self.batch.ended])
            except asyncio.CancelledError:
                continue


class Batch:
    """Requests that are written together, in the event loop in which they wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.ended: asyncio.Future[None] = loop.create_future()
        self.requests: list[Request] = []
        self.ids: set[UUID | str] = set()
        self.is_taken = False
        self.task: asyncio.Task[None] | None = None

    def take(self) -> list[Request]:
        """The requests that nobody took back; from now on nobody can."""
        self.is_taken = True
        self.requests = [each for each in self.requests if not each.answer.done()]
        return self.requests

    def end(self, failure: Exception | None) -> None:
        """Let all of them go on; ``failure`` is what those are told that are not written."""
        for request in self.requests:
            if failure is not None and not request.committed and request.error is None:
                request.error = retold(failure)
        for future in (*(each.answer for each in self.requests), self.ended):
            if not future.done():
                future.set_result(None)


class Batches:
    """What waits to be written to one file, by whatever module."""

    def __init__(self, datastore: Datastore, clock: StoredClock) -> None:
        self._datastore, self._clock = datastore, clock
        self._waiting: list[Batch] = []
        self._last: ref[asyncio.Task[Any]] | None = None

    def has_company(self) -> bool:
        """Note who commits; answer whether others may, too: not where it was the last as well."""
        task = asyncio.current_task()
        was_last = task is not None and self._last is not None and self._last() is task
        if not was_last:
            self._last = None if task is None else ref(task)
        return not was_last or bool(self._waiting)

    def put(self, request: Request, size: int) -> None:
        """Let it wait for those of the same turn of the event loop, and for who joins them.

        They are written after a turn in which nobody joined; as many as ``size`` at once.
        """
        loop = request.answer.get_loop()
        batch = self._waiting[-1] if self._waiting else None
        if batch is None or batch.is_taken or batch.loop is not loop or len(batch.requests) >= size:
            batch = self._begin(loop, size)
        request.batch = batch
        batch.requests.append(request)
        for event in request.events:
            batch.ids.add(event.originator_id)

    async def settle(self, ids: Collection[UUID]) -> bool:
        """Write now what waits of these aggregates; answers whether any did."""
        found = False
        for batch in tuple(self._waiting):
            if batch.ids.isdisjoint(ids) or batch.loop is not asyncio.get_running_loop():
                continue
            found = True
            try:
                with HeldOff():
                    self._write_now(batch)
            except BusyError:
                await asyncio.wait([batch.ended])
        return found

    def _begin(self, loop: asyncio.AbstractEventLoop, size: int) -> Batch:
        # There must be no batch that nobody writes.
        with HeldOff():
            batch = Batch(loop)
            self._waiting = [each for each in self._waiting if not each.loop.is_closed()]
            self._waiting.append(batch)
            # Who is alone in the first turn is not kept waiting for a second.
            self._call_soon(batch, size, joined=1)
            return batch

    def _call_soon(self, batch: Batch, size: int, joined: int) -> None:
        batch.loop.call_soon(self._write_soon, batch, size, joined, context=Context())

    def _write_soon(self, batch: Batch, size: int, joined: int) -> None:
        """Write it, unless somebody joined in this turn of the loop, and there is room."""
        try:
            with HeldOff():
                if batch.is_taken:
                    return
                if joined < len(batch.requests) < size:
                    self._call_soon(batch, size, len(batch.requests))
                    return
                try:
                    self._write_now(batch)
                except BusyError:
                    self._wait_in_a_thread(batch)
        except BaseException:
            # An interrupt, perhaps before the block; what was done is not done again.
            with HeldOff():
                self._call_soon(batch, size, joined)
            raise

    def _write_now(self, batch: Batch) -> None:
        """Write it at once, with interrupts held off; raises `BusyError` where others write."""
        if batch.ended.done():
            return
        if batch.is_taken:
            raise BusyError(here=True)
        failure: Exception | None = None
        try:
            self._datastore.write(*self._work_of(batch.take()), wait=0)
        except BusyError:
            batch.is_taken = False
            raise
        except Exception as error:
            failure = error
        self._end(batch, failure)

    def _wait_in_a_thread(self, batch: Batch) -> None:
        """Let a worker thread wait for those who write, and write it then."""
        give_up = Event()
        write = partial(self._datastore.write, *self._work_of(batch.take()), give_up=give_up)

        async def wait() -> None:
            failure: Exception | None = None
            try:
                await in_a_thread(write, give_up)
            except Exception as error:
                failure = error
            finally:
                self._end(batch, failure or self._gave_up())

        def over(_: object) -> None:
            # Cancelled before it began.
            if not batch.ended.done():
                self._end(batch, self._gave_up())

        batch.task = batch.loop.create_task(wait())
        batch.task.add_done_callback(over)

    def _gave_up(self) -> Exception:
        return SQLiteUnavailableError(
            f"the store {self._datastore.place} was locked, and the task that waited for it was "
            "cancelled: do it again"
        )

    def _end(self, batch: Batch, failure: Exception | None) -> None:
        self._waiting = [each for each in self._waiting if each is not batch]
        batch.end(failure)

    def _work_of(
        self, requests: Sequence[Request]
    ) -> tuple[Callable[[sqlite3.Cursor], None], Callable[[None], None] | None]:
        def work(cursor: sqlite3.Cursor) -> None:
            if len(requests) == 1:
                _record(cursor, requests[0])
                return
            for request in requests:
                self._record_by_itself(cursor, request)

        def then(_: None) -> None:
            for request in requests:
                request.committed = request.error is None

        times = [time_of(each.outbox, None) for each in requests]
        now = max((each for each in times if each is not None), default=None)
        return self._clock.kept(work, then, now)

    def _record_by_itself(self, cursor: sqlite3.Cursor, request: Request) -> None:
        """Write one behind a savepoint: it is undone by itself where it is refused."""
        cursor.execute("SAVEPOINT request")
        try:
            _record(cursor, request)
        except Exception as error:
            if not cursor.connection.in_transaction:
                raise
            cursor.execute("ROLLBACK TO request")
            request.error = error
            if isinstance(error, sqlite3.Error):
                request.error = self._datastore.said(error)
        cursor.execute("RELEASE request")


def _record(cursor: sqlite3.Cursor, request: Request) -> None:
    request.positions = request.record(cursor, request.events, request.outbox, None)
