"""Contract of stores: what belongs together is written together, or not at all."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from eventsourcing.persistence import IntegrityError

from modulus_es.errors import LeaseLostError
from modulus_es.stores.port import Capability
from modulus_es.stores.rows import Handled
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import (
    StoreBench,
    StoreSuite,
    at,
    envelope,
    message,
    recorded,
)


class TransactionContract(StoreSuite):
    """Events, messages and the mark of a delivery are one transaction.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(TransactionContract)).name
    'test_a_commit_that_is_cancelled_at_any_moment_is_whole_or_not_there'
    """

    @promise()
    async def test_events_and_messages_are_written_together(self, bench: StoreBench) -> None:
        await bench.write(message(1), message(2), events=recorded(1, 1))
        assert bench.events() == [(1, 1)]
        assert bench.outbox() == {1: ("pending", 0), 2: ("pending", 0)}

    @promise()
    async def test_a_message_knows_its_position_once_it_is_written(self, bench: StoreBench) -> None:
        rows = [message(n) for n in range(3)]
        await bench.write(*rows)
        assert [row.position for row in rows] == [row.position for row in bench.store.outbox_rows()]

    @promise()
    async def test_effects_and_the_mark_are_written_together(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1))
        [row] = await bench.take()
        await bench.handle(row, seconds=5, events=recorded(1, 1), rows=[message(2)])
        assert bench.events() == [(1, 1)]
        assert bench.outbox() == {2: ("pending", 0)}
        assert bench.inbox() == {(1, "note"): ("done", 1)}
        [found] = bench.store.inbox_rows()
        assert (found.processed_at, found.outcome) == (at(5), "done")

    @promise()
    async def test_a_delivery_may_fail_for_good_and_be_done(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1))
        [row] = await bench.take()
        await bench.handle(row, outcome="failed")
        [found] = bench.store.inbox_rows()
        assert (found.status, found.outcome) == ("done", "failed")

    @promise()
    async def test_a_refused_event_leaves_the_delivery_to_be_made(self, bench: StoreBench) -> None:
        await bench.write(events=recorded(1, 1))
        await bench.receive(envelope(1))
        [row] = await bench.take()
        with pytest.raises(IntegrityError):
            await bench.handle(row, events=recorded(1, 1), rows=[message(2)])
        assert bench.inbox() == {(1, "note"): ("claimed", 0)}
        assert bench.outbox() == {}
        await bench.handle(row, events=recorded(1, 2))
        assert bench.inbox() == {(1, "note"): ("done", 1)}

    @promise()
    async def test_a_mark_whose_lease_was_lost_writes_nothing(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1))
        [slow] = await bench.take("anna")
        [row] = await bench.take("bert", seconds=31)
        with pytest.raises(LeaseLostError):
            await bench.handle(slow, "anna", 31, events=recorded(1, 1), rows=[message(2)])
        assert (bench.events(), bench.outbox()) == ([], {})
        await bench.handle(row, "bert", 31, events=recorded(2, 1))
        assert bench.events() == [(2, 1)]

    @promise()
    async def test_a_delivery_is_marked_once(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1))
        [row] = await bench.take()
        await bench.handle(row, events=recorded(1, 1))
        [found] = bench.store.inbox_rows()
        with pytest.raises(LeaseLostError):
            await bench.handle(found, events=recorded(2, 1))
        assert bench.events() == [(1, 1)]

    @promise()
    async def test_the_store_knows_what_it_holds(self, bench: StoreBench) -> None:
        store, events, rows = bench.store, recorded(1, 1), [message(1)]
        assert not await store.holds(events, [])
        await store.commit(events, rows)
        assert await store.holds(events, rows)
        assert not await store.holds(recorded(1, 1, 2), [])
        [other] = recorded(1, 1, seconds=5)
        assert not await store.holds([other], [])
        await bench.receive(envelope(1))
        [row] = await bench.take()
        mark = Handled(row, "anna", "done", at(5))
        assert not await store.holds([], [], mark)
        await store.commit([], [], mark)
        assert await store.holds([], [], mark)

    @promise()
    async def test_a_commit_that_is_cancelled_at_any_moment_is_whole_or_not_there(
        self, bench: StoreBench
    ) -> None:
        for n in range(1, 31):
            events, rows = recorded(n, 1, 2), [message(n), message(1000 + n)]
            saving = asyncio.ensure_future(bench.store.commit(events, rows))
            for _ in range(n % 5):
                await asyncio.sleep(0)
            saving.cancel()
            with suppress(asyncio.CancelledError):
                await saving
            there = await bench.store.holds(events, rows)
            assert [(n, 1) in bench.events(), (n, 2) in bench.events()] == [there] * 2
            assert [n in bench.outbox(), 1000 + n in bench.outbox()] == [there] * 2
        await bench.write(message(5000), events=recorded(99, 1))
        assert (99, 1) in bench.events()


class ConnectionContract(StoreSuite):
    """The reader's own tables take part in the transaction.

    >>> from modulus_es.testing.contracts import promises
    >>> {promise.needs for promise in promises(ConnectionContract)}
    {<Capability.CONNECTION: 2>}
    """

    @promise(Capability.CONNECTION)
    async def test_a_table_of_our_own_commits_with_the_events(self, bench: StoreBench) -> None:
        await _make_table(bench)
        connection = bench.store.begin()
        connection.execute("INSERT INTO totals VALUES ('A1')")
        await bench.store.commit(recorded(1, 1), [message(1)], None, connection)
        assert await _totals(bench) == ["A1"]
        assert (bench.events(), list(bench.outbox())) == ([(1, 1)], [1])

    @promise(Capability.CONNECTION)
    async def test_a_table_of_our_own_is_rolled_back_on_demand(self, bench: StoreBench) -> None:
        await _make_table(bench)
        connection = bench.store.begin()
        connection.execute("INSERT INTO totals VALUES ('A1')")
        await bench.store.rollback(connection)
        assert await _totals(bench) == []
        await bench.write(events=recorded(1, 1))
        assert bench.events() == [(1, 1)]

    @promise(Capability.CONNECTION)
    async def test_a_table_of_our_own_is_rolled_back_with_a_refused_event(
        self, bench: StoreBench
    ) -> None:
        await _make_table(bench)
        await bench.write(events=recorded(1, 1))
        connection = bench.store.begin()
        connection.execute("INSERT INTO totals VALUES ('A1')")
        with pytest.raises(IntegrityError):
            await bench.store.commit(recorded(1, 1), [message(1)], None, connection)
        await bench.store.rollback(connection)
        assert await _totals(bench) == []
        assert bench.outbox() == {}

    @promise(Capability.CONNECTION)
    async def test_a_table_of_our_own_is_rolled_back_with_a_lost_lease(
        self, bench: StoreBench
    ) -> None:
        await _make_table(bench)
        await bench.receive(envelope(1))
        [slow] = await bench.take("anna")
        await bench.take("bert", seconds=31)
        connection = bench.store.begin()
        connection.execute("INSERT INTO totals VALUES ('A1')")
        with pytest.raises(LeaseLostError):
            await bench.store.commit([], [], Handled(slow, "anna", "done", at(31)), connection)
        await bench.store.rollback(connection)
        assert await _totals(bench) == []

    @promise(Capability.CONNECTION)
    async def test_the_next_transaction_sees_what_was_committed(self, bench: StoreBench) -> None:
        await _make_table(bench)
        connection = bench.store.begin()
        connection.execute("INSERT INTO totals VALUES ('A1')")
        await bench.store.commit([], [], None, connection)
        connection = bench.store.begin()
        connection.execute("UPDATE totals SET number = 'A2' WHERE number = 'A1'")
        await bench.store.commit([], [], None, connection)
        assert await _totals(bench) == ["A2"]


async def _make_table(bench: StoreBench) -> None:
    connection = bench.store.begin()
    connection.execute("CREATE TABLE totals (number TEXT PRIMARY KEY)")
    await bench.store.commit([], [], None, connection)


async def _totals(bench: StoreBench) -> list[str]:
    connection = bench.store.begin()
    found = connection.execute("SELECT number FROM totals ORDER BY number").fetchall()
    await bench.store.rollback(connection)
    return [row[0] for row in found]
