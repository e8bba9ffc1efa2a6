"""Commits to one file that wait for each other: a transaction for many, a savepoint each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Sequence
from contextvars import Context
from functools import partial
from threading import Event
from uuid import UUID

from modulus_es.stores.rows import EventRow, OutboxRow
from modulus_es.stores.sqlite.clock import StoredClock
from modulus_es.stores.sqlite.committing import time_of
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.failures import BusyError, SQLiteUnavailableError
from modulus_es.stores.sqlite.interrupts import HeldOff
from modulus_es.stores.sqlite.threads import in_a_thread
from modulus_es.turns import give_way

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
    """Requests that are written together, by a task of the loop in which they wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.ended: asyncio.Future[None] = loop.create_future()
        self.requests: list[Request] = []
        self.ids: set[UUID | str] = set()
        self.is_taken = False

    def take(self) -> list[Request]:
        """The requests that nobody took back; from now on nobody can."""
        self.is_taken = True
        self.requests = [each for each in self.requests if not each.answer.done()]
        return self.requests

    def end(self, failure: Exception | None) -> None:
        """Let all of them go on; ``failure`` is what those are told that are not written."""
        for request in self.requests:
            if not request.committed and request.error is None:
                request.error = failure
        for future in (*(each.answer for each in self.requests), self.ended):
            if not future.done():
                future.set_result(None)


class Batches:
    """What waits to be written to one file, by whatever module."""

    def __init__(self, datastore: Datastore, clock: StoredClock) -> None:
        self._datastore, self._clock = datastore, clock
        self._waiting: list[Batch] = []

    def put(self, request: Request, size: int) -> None:
        """Let it wait with others, for a turn of the event loop after the last of them.

        As many as ``size`` wait no longer.
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
            task = loop.create_task(self._write_soon(batch, size), context=Context())
            task.add_done_callback(partial(self._write_at_last, batch))
            return batch

    async def _write_soon(self, batch: Batch, size: int) -> None:
        joined = 0
        while joined < len(batch.requests) < size:
            joined = len(batch.requests)
            await give_way()
        try:
            self._write_now(batch)
        except BusyError:
            await self._write_in_a_thread(batch)

    def _write_now(self, batch: Batch) -> None:
        """Write it at once, without an interrupt; raises `BusyError` where others write."""
        with HeldOff():
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

    async def _write_in_a_thread(self, batch: Batch) -> None:
        """Wait in a worker thread for those who write, then write it there."""
        failure: Exception | None = None
        give_up = Event()
        write = partial(self._datastore.write, *self._work_of(batch.take()), give_up=give_up)
        try:
            await in_a_thread(write, give_up)
        except Exception as error:
            failure = error
        finally:
            self._end(batch, failure or self._gave_up())

    def _write_at_last(self, batch: Batch, task: asyncio.Task[None]) -> None:
        """Its task has ended: where that was before it was written, this is the last chance."""
        with HeldOff():
            if not batch.ended.done():
                batch.is_taken = False
                try:
                    self._write_now(batch)
                except BusyError:
                    self._end(batch, self._gave_up())
            if not task.cancelled():
                task.exception()

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
            for request in requests:
                self._record(cursor, request)

        def then(_: None) -> None:
            for request in requests:
                request.committed = request.error is None

        times = [time_of(each.outbox, None) for each in requests]
        now = max((each for each in times if each is not None), default=None)
        return self._clock.kept(work, then, now)

    def _record(self, cursor: sqlite3.Cursor, request: Request) -> None:
        """Write one behind a savepoint: it is undone by itself where it is refused."""
        cursor.execute("SAVEPOINT request")
        try:
            request.positions = request.record(cursor, request.events, request.outbox, None)
        except Exception as error:
            if not cursor.connection.in_transaction:
                raise
            cursor.execute("ROLLBACK TO request")
            request.error = error
            if isinstance(error, sqlite3.Error):
                request.error = self._datastore.said(error)
        cursor.execute("RELEASE request")
