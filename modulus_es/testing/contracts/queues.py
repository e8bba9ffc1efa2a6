"""Contract of stores: commits at the same time that are written together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from eventsourcing.persistence import IntegrityError

from modulus_es.groups import CommitQueue
from modulus_es.stores.port import Capability
from modulus_es.stores.rows import EventRow, Handled
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import (
    StoreBench,
    StoreSuite,
    at,
    envelope,
    message,
    recorded,
)


class CommitQueueContract(StoreSuite):
    """Those who commit at the same time have one transaction, and each its own savepoint.

    >>> from modulus_es.testing.contracts import promises
    >>> {promise.needs for promise in promises(CommitQueueContract)}
    {<Capability.GROUPS: 8>}
    """

    @promise(Capability.GROUPS)
    async def test_commits_at_the_same_time_are_written_in_the_order_in_which_they_came(
        self, bench: StoreBench
    ) -> None:
        queue = _queue(bench)
        commits = (queue.commit(recorded(n, 1), [message(n)]) for n in (2, 1, 3))
        positions = [first for first, *_ in await asyncio.gather(*commits)]
        assert bench.events() == [(2, 1), (1, 1), (3, 1)]
        assert bench.outbox() == dict.fromkeys((2, 1, 3), ("pending", 0))
        assert positions == sorted(positions)

    @promise(Capability.GROUPS)
    async def test_more_commits_than_one_transaction_takes_are_written_all_the_same(
        self, bench: StoreBench
    ) -> None:
        queue = _queue(bench, size=2)
        await asyncio.gather(*(queue.commit(recorded(n, 1), []) for n in range(1, 6)))
        assert bench.events() == [(n, 1) for n in range(1, 6)]

    @promise(Capability.GROUPS)
    async def test_a_refused_commit_undoes_its_own_writes_only(self, bench: StoreBench) -> None:
        queue = _queue(bench)
        first, second, third = await asyncio.gather(
            queue.commit(recorded(1, 1), [message(1)]),
            queue.commit(recorded(1, 1), [message(2)]),
            queue.commit(recorded(3, 1), [message(3)]),
            return_exceptions=True,
        )
        assert isinstance(second, IntegrityError)
        assert isinstance(first, Sequence)
        assert isinstance(third, Sequence)
        assert bench.events() == [(1, 1), (3, 1)]
        assert sorted(bench.outbox()) == [1, 3]

    @promise(Capability.GROUPS)
    async def test_a_commit_that_is_cancelled_before_it_is_written_leaves_nothing(
        self, bench: StoreBench
    ) -> None:
        queue = _queue(bench)
        first, second = (
            asyncio.ensure_future(queue.commit(recorded(n, 1), [message(n)])) for n in (1, 2)
        )
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first, second])
        assert first.cancelled()
        assert bench.events() == [(2, 1)]
        assert sorted(bench.outbox()) == [2]

    @promise(Capability.GROUPS)
    async def test_what_waits_of_an_aggregate_is_written_when_somebody_asks_for_it(
        self, bench: StoreBench
    ) -> None:
        queue = _queue(bench)
        waiting = asyncio.ensure_future(queue.commit(recorded(1, 1), []))
        await asyncio.sleep(0)
        await queue.settle([UUID(int=2)])
        assert bench.events() == []
        await queue.settle([UUID(int=2), UUID(int=1)])
        assert bench.events() == [(1, 1)]
        assert not waiting.done()
        await waiting
        assert bench.events() == [(1, 1)]

    @promise(Capability.GROUPS)
    async def test_it_knows_what_became_of_a_commit_that_failed(self, bench: StoreBench) -> None:
        queue = _queue(bench)
        known: list[bool] = []

        async def commit(events: list[EventRow], *, twice: bool) -> None:
            try:
                await queue.commit(events, ())
                if twice:
                    await queue.commit(events, ())
            except BaseException:
                known.append(await queue.holds(events, ()))
                raise

        events = recorded(1, 1)
        with pytest.raises(IntegrityError):
            await commit(events, twice=True)
        cancelled = asyncio.ensure_future(commit(recorded(2, 1), twice=False))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait([cancelled])
        written = asyncio.ensure_future(commit(recorded(3, 1), twice=False))
        await asyncio.sleep(0)
        await queue.settle([UUID(int=3)])
        # It is on the disk; only whoever waited for it does not know yet.
        written.cancel()
        await asyncio.wait([written])
        assert known == [False, False, True]
        assert bench.events() == [(1, 1), (3, 1)]
        assert await queue.holds(events, ())
        assert not await queue.holds(recorded(2, 1), ())

    @promise(Capability.GROUPS)
    async def test_a_mark_and_a_transaction_in_hand_wait_for_nobody(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1))
        [row] = await bench.take()
        queue = _queue(bench)
        waiting = asyncio.ensure_future(queue.commit(recorded(1, 1), []))
        await asyncio.sleep(0)
        await queue.commit(recorded(2, 1), [], Handled(row, "anna", "done", at(1)))
        assert list(bench.inbox().values()) == [("done", 1)]
        await queue.rollback(queue.begin())
        await queue.commit(recorded(3, 1), [], None, queue.begin())
        assert bench.events() == [(2, 1), (3, 1)]
        await waiting
        assert bench.events() == [(2, 1), (3, 1), (1, 1)]

    @promise(Capability.GROUPS)
    async def test_what_cannot_be_written_because_of_others_is_written_after_them(
        self, bench: StoreBench
    ) -> None:
        queue = _queue(bench)
        mine = bench.store.begin()
        waiting = asyncio.ensure_future(queue.commit(recorded(1, 1), []))
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert not waiting.done()
        await bench.store.commit(recorded(2, 1), [], None, mine)
        await waiting
        assert bench.events() == [(2, 1), (1, 1)]


def _queue(bench: StoreBench, size: int = 10) -> CommitQueue:
    queue = bench.store.commit_queue(size)
    assert queue is not None, f"{bench} declares {Capability.GROUPS} and has none"
    return queue
