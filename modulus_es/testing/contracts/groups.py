"""Contract of stores: deliveries that are committed together, each undone by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from eventsourcing.persistence import IntegrityError

from modulus_es.errors import LeaseLostError
from modulus_es.groups import Group, Round
from modulus_es.stores.port import Capability
from modulus_es.stores.rows import Handled, InboxRow
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import (
    StoreBench,
    StoreSuite,
    at,
    envelope,
    message,
    recorded,
)


class GroupContract(StoreSuite):
    """Many deliveries are one transaction, and one that fails undoes only what it wrote.

    >>> from modulus_es.testing.contracts import promises
    >>> {promise.needs for promise in promises(GroupContract)}
    {<Capability.GROUPS: 8>}
    """

    @promise(Capability.GROUPS)
    async def test_what_a_group_wrote_is_there_when_it_has_ended(self, bench: StoreBench) -> None:
        rows = await _claimed(bench, 3)
        round_ = _begun(bench)
        for n, row in enumerate(rows):
            await round_.write(row, _deliver(round_.group, row, n))
        round_.group.end()
        assert round_.group.failure is None
        assert [await round_.go_on() for _ in rows] == ["done"] * 3
        assert bench.events() == [(1, 1), (2, 1), (3, 1)]
        assert bench.outbox() == dict.fromkeys(range(3), ("pending", 0))
        assert set(bench.inbox().values()) == {("done", 1)}

    @promise(Capability.GROUPS)
    async def test_a_delivery_sees_what_those_before_it_wrote(self, bench: StoreBench) -> None:
        rows = await _claimed(bench, 2)
        round_ = _begun(bench)
        await round_.write(rows[0], _deliver(round_.group, rows[0], 0))
        assert bench.events() == [(1, 1)]
        await round_.write(rows[1], _deliver(round_.group, rows[1], 1))
        round_.group.undo()
        round_.die()
        assert bench.events() == []

    @promise(Capability.GROUPS)
    async def test_a_refused_delivery_undoes_its_own_writes_only(self, bench: StoreBench) -> None:
        rows = await _claimed(bench, 3)
        round_ = _begun(bench)
        await round_.write(rows[0], _deliver(round_.group, rows[0], 0))
        with pytest.raises(IntegrityError):
            await round_.write(rows[1], _deliver(round_.group, rows[1], 0))
        await round_.write(rows[2], _deliver(round_.group, rows[2], 2))
        round_.group.end()
        assert [await round_.go_on() for _ in range(2)] == ["done"] * 2
        assert bench.events() == [(1, 1), (3, 1)]
        assert [status for status, _ in bench.inbox().values()] == ["done", "claimed", "done"]
        assert sorted(bench.outbox()) == [0, 2]

    @promise(Capability.GROUPS)
    async def test_a_delivery_whose_lease_was_lost_undoes_its_own_writes_only(
        self, bench: StoreBench
    ) -> None:
        rows = await _claimed(bench, 2)
        await bench.take("bert", seconds=31, limit=1)
        round_ = _begun(bench)
        with pytest.raises(LeaseLostError):
            await round_.write(rows[0], _deliver(round_.group, rows[0], 0))
        await round_.write(rows[1], _deliver(round_.group, rows[1], 1))
        round_.group.end()
        assert await round_.go_on() == "done"
        assert bench.events() == [(2, 1)]
        assert [status for status, _ in bench.inbox().values()] == ["claimed", "done"]

    @promise(Capability.GROUPS)
    async def test_a_delivery_that_wrote_nothing_and_whose_lease_was_lost_is_not_marked(
        self, bench: StoreBench
    ) -> None:
        rows = await _claimed(bench, 3)
        await bench.take("bert", seconds=31, limit=1)
        round_ = _begun(bench)
        group = round_.group
        for row in rows:
            await round_.write(row, _mark(group, row))
        group.end()
        assert group.failure is None
        assert [await round_.go_on() for _ in rows] == ["lost", "done", "done"]
        assert [status for status, _ in bench.inbox().values()] == ["claimed", "done", "done"]
        lost, kept = (Handled(row, "anna", "done", at(0)) for row in rows[:2])
        assert not await group.holds([], [], lost)
        assert await group.holds([], [], kept)

    @promise(Capability.GROUPS)
    async def test_a_group_that_is_undone_wrote_nothing(self, bench: StoreBench) -> None:
        rows = await _claimed(bench, 2)
        round_ = _begun(bench)
        for n, row in enumerate(rows):
            await round_.write(row, _deliver(round_.group, row, n))
        round_.die()
        assert (bench.events(), bench.outbox()) == ([], {})
        assert set(bench.inbox().values()) == {("claimed", 0)}
        await bench.handle(rows[0], events=recorded(1, 1))
        assert bench.events() == [(1, 1)]

    @promise(Capability.GROUPS)
    async def test_what_failed_and_what_was_given_up_are_written_with_the_group(
        self, bench: StoreBench
    ) -> None:
        rows = await _claimed(bench, 2)
        round_ = _begun(bench)
        group = round_.group

        async def fail() -> str:
            await group.retry_delivery("anna", rows[0], "not yet", at(5))
            return "retry"

        async def give_up() -> str:
            await group.bury_delivery("anna", rows[1], "never", at(5))
            return "dead"

        await round_.write(rows[0], fail())
        await round_.write(rows[1], give_up())
        group.end()
        assert [await round_.go_on() for _ in rows] == ["retry", "dead"]
        assert list(bench.inbox().values()) == [("pending", 1), ("dead", 1)]

    @promise(Capability.GROUPS)
    async def test_after_its_end_a_group_hands_everything_to_the_store(
        self, bench: StoreBench
    ) -> None:
        [row] = await _claimed(bench, 1)
        group = _begun(bench).group
        group.end()
        assert group.ended
        await group.commit(recorded(1, 1), [], Handled(row, "anna", "done", at(1)))
        assert await group.holds(recorded(1, 1), [])
        assert bench.events() == [(1, 1)]
        assert bench.inbox() == {(0, "note"): ("done", 1)}

    @promise(Capability.GROUPS)
    async def test_a_group_that_nobody_used_holds_up_nobody(self, bench: StoreBench) -> None:
        group = _begun(bench).group
        await bench.write(events=recorded(1, 1))
        group.end()
        await bench.write(events=recorded(1, 2))
        assert bench.events() == [(1, 1), (1, 2)]


async def _claimed(bench: StoreBench, count: int) -> Sequence[InboxRow]:
    await bench.receive(*(envelope(n, f"key {n}") for n in range(count)))
    return await bench.take()


def _begun(bench: StoreBench) -> Round:
    group = bench.store.group()
    assert group is not None, f"{bench} declares {Capability.GROUPS} and has none"
    return Round(group)


async def _deliver(group: Group, row: InboxRow, n: int) -> str:
    """Record one event of an aggregate, send one message, and mark the delivery."""
    mark: Any = Handled(row, "anna", "done", at(0))
    await group.commit(recorded(n + 1, 1), [message(n)], mark)
    return "done"


async def _mark(group: Group, row: InboxRow) -> str:
    """Mark a delivery that has written nothing."""
    try:
        await group.commit([], [], Handled(row, "anna", "done", at(0)))
    except LeaseLostError:
        return "lost"
    return "done"
