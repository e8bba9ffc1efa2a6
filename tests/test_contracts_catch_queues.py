"""The contract of commit queues finds out one that breaks a promise, whichever it is."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

import pytest
from eventsourcing.persistence import IntegrityError

from modulus_es.stores.sqlite import SQLiteDatabase
from modulus_es.testing.contracts import (
    CommitQueueContract,
    StoreBench,
    broken_promises,
    promises,
)


class Liar:
    """A queue of SQLite that keeps all promises but one."""

    def __init__(self, store: Any, size: int, queue: Any) -> None:
        self.store, self.size, self.queue = store, size, queue
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)


class LosesTheLastOfMany(Liar):
    async def commit(self, *everything: Any) -> Any:
        self.count += 1
        return () if self.count > self.size else await self.queue.commit(*everything)


class WritesTheLastFirst(Liar):
    async def commit(self, *everything: Any) -> Any:
        await asyncio.sleep(0.01 if everything[0][0].originator_id.int == 2 else 0)
        return await self.queue.commit(*everything)


class SwallowsARefusal(Liar):
    async def commit(self, *everything: Any) -> Any:
        try:
            return await self.queue.commit(*everything)
        except IntegrityError:
            return ()


class WritesNothingBesidesARefusal(Liar):
    async def commit(self, events: Any, outbox: Any, *rest: Any) -> Any:
        self.count += 1
        if self.count == 3:
            events, outbox = events[:0], ()
        return await self.queue.commit(events, outbox, *rest)


class WritesWhatWasTakenBack(Liar):
    async def commit(self, *everything: Any) -> Any:
        return await asyncio.shield(asyncio.ensure_future(self.queue.commit(*everything)))


class NeverSettles(Liar):
    async def settle(self, ids: Any) -> None: ...


class SettlesEverything(Liar):
    async def settle(self, ids: Any) -> None:
        await asyncio.sleep(0.01)


class HoldsEverything(Liar):
    async def holds(self, *_: Any) -> bool:
        return True


class HoldsNothing(Liar):
    async def holds(self, *_: Any) -> bool:
        return False


class LetsMarksWait(Liar):
    async def commit(self, *everything: Any) -> Any:
        await asyncio.sleep(0.01)
        return await self.store.commit(*everything)


class GivesUpWhereOthersWrite(Liar):
    async def commit(self, *everything: Any) -> Any:
        return await asyncio.wait_for(self.queue.commit(*everything), 0.02)


LIARS = (
    LosesTheLastOfMany,
    WritesTheLastFirst,
    SwallowsARefusal,
    WritesNothingBesidesARefusal,
    WritesWhatWasTakenBack,
    NeverSettles,
    SettlesEverything,
    HoldsEverything,
    HoldsNothing,
    LetsMarksWait,
    GivesUpWhereOthersWrite,
)


@cache
def broken_by(liar: type[Any]) -> frozenset[str]:
    def open_it() -> Any:
        database = SQLiteDatabase("sqlite:///:memory:?timeout=0.5")
        store: Any = database.store("orders")
        queue = store.commit_queue
        store.commit_queue = lambda size: liar(store, size, queue(size))
        return database

    return frozenset(broken_promises(CommitQueueContract, lambda: StoreBench(open_it)))


@pytest.mark.parametrize("liar", LIARS)
def test_a_queue_that_breaks_a_promise_is_found_out(liar: type[Any]) -> None:
    assert broken_by(liar)


def test_no_test_of_queues_is_one_that_cannot_fail() -> None:
    failed = frozenset[str]().union(*map(broken_by, LIARS))
    assert sorted({promise.name for promise in promises(CommitQueueContract)} - failed) == []
    assert broken_by(Liar) == frozenset()
