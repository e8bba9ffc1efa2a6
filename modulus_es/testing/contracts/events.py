"""Contract of stores: events, their order and their positions."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from eventsourcing.persistence import IntegrityError

from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import StoreBench, StoreSuite, message, recorded


class EventsContract(StoreSuite):
    """Events read back as they were written, in one order, and each place is taken once.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(EventsContract)).name
    'test_a_commit_of_nothing_writes_nothing'
    """

    @promise()
    async def test_events_read_back_as_they_were_written(self, bench: StoreBench) -> None:
        first, second = recorded(1, 1, 2), recorded(2, 1)
        await bench.write(events=first)
        await bench.write(events=second)
        assert list(bench.store.event_rows(UUID(int=1))) == first
        assert list(bench.store.event_rows(UUID(int=2))) == second
        assert list(bench.store.event_rows(UUID(int=3))) == []

    @promise()
    async def test_a_part_of_an_aggregate_s_events_is_read_by_their_versions(
        self, bench: StoreBench
    ) -> None:
        events = recorded(1, 1, 2, 3, 4)
        await bench.write(events=events)
        read = bench.store.event_rows
        assert list(read(UUID(int=1), gt=2)) == events[2:]
        assert list(read(UUID(int=1), lte=3)) == events[:3]
        assert list(read(UUID(int=1), gt=1, lte=2)) == events[1:2]
        assert list(read(UUID(int=1), gt=4)) == []

    @promise()
    async def test_eventsourcing_s_recorder_reads_the_same(self, bench: StoreBench) -> None:
        await bench.write(events=recorded(1, 1, 2))
        found = bench.store.recorder.select_events(UUID(int=1))
        assert list(found) == [row.as_stored_event() for row in recorded(1, 1, 2)]

    @promise()
    async def test_positions_count_up_in_the_order_of_the_commits(self, bench: StoreBench) -> None:
        answered = [
            *await bench.store.commit(recorded(2, 1), ()),
            *await bench.store.commit(recorded(1, 1, 2, 3), ()),
            *await bench.store.commit(recorded(2, 2), ()),
        ]
        assert bench.events() == [(2, 1), (1, 1), (1, 2), (1, 3), (2, 2)]
        found = bench.store.recorder.select_notifications(1, 100)
        assert [each.id for each in found] == answered == sorted(set(answered))

    @promise()
    async def test_a_reader_goes_on_after_a_position(self, bench: StoreBench) -> None:
        await bench.write(events=recorded(1, *range(1, 8)))
        recorder = bench.store.recorder
        read, start = [], 1
        while page := recorder.select_notifications(start, 3):
            read += [each.originator_version for each in page]
            start = page[-1].id + 1
        assert read == list(range(1, 8))

    @promise()
    async def test_a_place_that_is_taken_is_refused_and_nothing_is_written(
        self, bench: StoreBench
    ) -> None:
        await bench.write(events=recorded(1, 1, 2))
        for events in (recorded(1, 2), [*recorded(2, 1), *recorded(1, 2)], recorded(1, 3, 2)):
            with pytest.raises(IntegrityError):
                await bench.store.commit(events, [message(1)])
        assert bench.events() == [(1, 1), (1, 2)]
        assert bench.outbox() == {}

    @promise()
    async def test_an_aggregate_goes_on_after_a_refusal(self, bench: StoreBench) -> None:
        await bench.write(events=recorded(1, 1))
        with pytest.raises(IntegrityError):
            await bench.write(events=recorded(1, 1))
        await bench.write(events=recorded(1, 2))
        assert bench.events() == [(1, 1), (1, 2)]
        found = bench.store.recorder.select_notifications(1, 100)
        assert len({each.id for each in found}) == 2

    @promise()
    async def test_one_of_many_that_want_a_place_gets_it(self, bench: StoreBench) -> None:
        async def save(n: int) -> bool:
            try:
                await bench.write(message(n), events=recorded(1, 1))
            except IntegrityError:
                return False
            return True

        won = await asyncio.gather(*(save(n) for n in range(10)))
        assert sum(won) == 1
        assert bench.events() == [(1, 1)]
        assert list(bench.outbox()) == [won.index(True)]

    @promise()
    async def test_a_commit_of_nothing_writes_nothing(self, bench: StoreBench) -> None:
        assert list(await bench.store.commit([], [])) == []
        assert bench.events() == []
        assert bench.outbox() == {}

    @promise()
    async def test_a_thousand_events_are_one_commit(self, bench: StoreBench) -> None:
        answered = await bench.store.commit(recorded(1, *range(1, 1001)), ())
        assert list(answered) == sorted(set(answered))
        assert bench.events() == [(1, version) for version in range(1, 1001)]

    @promise()
    async def test_modules_keep_apart(self, bench: StoreBench) -> None:
        names = ("orders", "Orders", "ORDERS", "or_ders", "or-ders", "or.ders", "orders_")
        for name in names:
            store = bench.database.store(name)
            assert store.module == name
            await store.commit(recorded(1, 1), [message(1, source=name)])
        for name in names:
            store = bench.database.store(name)
            assert bench.events(store) == [(1, 1)]
            assert [row.envelope.source for row in store.outbox_rows()] == [name]
