"""Contract of stores: what is there when a store is opened again, and who else may use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import msgspec
import pytest
from eventsourcing.persistence import IntegrityError

from modulus_es.errors import StoreUnavailableError
from modulus_es.stores.port import Capability
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import (
    HANDLERS,
    LEASE,
    ROUTES,
    StoreBench,
    StoreSuite,
    at,
    envelope,
    message,
    recorded,
    said,
)


class SessionContract(StoreSuite):
    """A store that is opened again goes on where it was, in a session of its own.

    >>> from modulus_es.testing.contracts import promises
    >>> {promise.needs for promise in promises(SessionContract)}
    {<Capability.DURABLE: 1>}
    """

    @promise(Capability.DURABLE)
    async def test_each_opening_is_a_session_of_its_own(self, bench: StoreBench) -> None:
        assert bench.database.session == 1
        assert [bench.open().session for _ in range(3)] == [2, 3, 4]

    @promise(Capability.DURABLE)
    async def test_everything_reads_back_after_it_was_opened_again(self, bench: StoreBench) -> None:
        store = bench.store
        await bench.write(
            message(1, "a"), message(2, "b"), message(3, "c", due=9, scheduled=True),
            message(4, "d"), events=recorded(1, 1, 2),
        )  # fmt: skip
        rows = await bench.claim()
        await store.mark_delivered("anna", rows[:1], at(1))
        await store.retry_outbox("anna", rows[1], "no", at(7))
        await store.bury_outbox("anna", rows[2], "never", at(2))
        await bench.receive(*(envelope(n, f"key {n}") for n in range(4)))
        first, second, third, _ = await bench.take()
        await bench.handle(first)
        await store.retry_delivery("anna", second, "no", at(7))
        await store.bury_delivery("anna", third, "never", at(2))
        await store.bury_unreadable(envelope(9), "what is this", at(3))
        outbox, inbox = _frozen(store.outbox_rows()), _frozen(store.inbox_rows())
        await bench.aclose()
        assert bench.events() == [(1, 1), (1, 2)]
        for before, after in (
            (outbox, bench.store.outbox_rows()),
            (inbox, bench.store.inbox_rows()),
        ):
            for old, new in zip(before, _frozen(after), strict=True):
                # Who claims is told apart by session, so that name may look different.
                assert {**old, "claimed_by": 0} == {**new, "claimed_by": 0}

    @promise(Capability.DURABLE)
    async def test_positions_go_on(self, bench: StoreBench) -> None:
        before = message(1)
        [first] = await bench.store.commit(recorded(1, 1), [before])
        await bench.aclose()
        after = message(2)
        [second] = await bench.store.commit(recorded(1, 2), [after])
        assert second > first
        assert after.position > before.position

    @promise(Capability.DURABLE)
    async def test_a_claim_from_before_the_machine_was_started_anew_holds_nobody_up(
        self, bench: StoreBench
    ) -> None:
        """The clock of claims may begin anew then, and such a claim ends in a far future."""
        await bench.write(message(1))
        await bench.receive(envelope(1))
        assert await bench.claim("anna", seconds=100_000)
        assert await bench.take("anna", seconds=100_000)
        assert (await bench.due("bert", 5), await bench.delivery_due("bert", 5)) == (5, 5)
        assert said(await bench.claim("bert", 5)) == said(await bench.take("bert", 5)) == [1]

    @promise(Capability.DURABLE)
    async def test_a_claim_outlives_its_process_until_its_lease_is_out(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1))
        await bench.receive(envelope(1))
        await bench.claim("anna")
        await bench.take("anna")
        await bench.aclose()
        # The process that follows calls its relay and its consumer the same.
        assert (await bench.claim("anna"), await bench.take("anna")) == ([], [])
        assert (await bench.due("anna"), await bench.delivery_due("anna")) == (30, 30)
        assert said(await bench.claim("anna", seconds=30)) == [1]
        assert said(await bench.take("anna", seconds=30)) == [1]

    @promise(Capability.DURABLE)
    async def test_what_was_held_is_recognised(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1), envelope(2, position=5))
        await bench.aclose()
        assert len(await bench.receive(envelope(1))) == 1
        await bench.receive(envelope(3, position=4))
        assert [row.out_of_order for row in bench.store.inbox_rows()] == [0, 0, 1]

    @promise(Capability.DURABLE)
    async def test_a_new_store_knows_no_time(self, bench: StoreBench) -> None:
        assert bench.database.latest_time() is None

    @promise(Capability.DURABLE)
    async def test_the_latest_time_of_a_message_is_known(self, bench: StoreBench) -> None:
        late = message(1)
        late.created_at = late.available_at = at(3600)
        await bench.write(message(2), late)
        await bench.aclose()
        assert bench.database.latest_time() == at(3600)

    @promise(Capability.DURABLE)
    async def test_the_latest_time_of_a_delivery_is_known(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1), seconds=60)
        [row] = await bench.take(seconds=70)
        await bench.handle(row, seconds=80)
        await bench.aclose()
        assert bench.database.latest_time() == at(80)

    @promise(Capability.DURABLE)
    async def test_the_latest_time_of_an_event_is_known(self, bench: StoreBench) -> None:
        await bench.write(events=recorded(1, 1, seconds=3600))
        await bench.aclose()
        assert bench.database.latest_time() == at(3600)

    @promise(Capability.DURABLE)
    async def test_a_closed_store_says_so(self, bench: StoreBench) -> None:
        database = bench.open()
        store = database.store("orders")
        database.close()
        with pytest.raises(StoreUnavailableError, match="closed"):
            await store.commit(recorded(1, 1), [])
        with pytest.raises(StoreUnavailableError, match="closed"):
            list(store.outbox_rows())


class SharingContract(StoreSuite):
    """Several processes may use the store at once, and each does its work once.

    The processes are played by openings of their own, in threads where they
    work at the same time.

    >>> from modulus_es.testing.contracts import promises
    >>> {promise.needs for promise in promises(SharingContract)}
    {<Capability.MANY_PROCESSES: 4>}
    """

    @promise(Capability.MANY_PROCESSES)
    async def test_one_sees_what_the_other_wrote(self, bench: StoreBench) -> None:
        one, other = (bench.open().store("orders") for _ in range(2))
        await one.commit(recorded(1, 1), [message(1)])
        assert bench.events(other) == [(1, 1)]
        await other.commit(recorded(1, 2), [message(2)])
        assert said(one.outbox_rows()) == [1, 2]

    @promise(Capability.MANY_PROCESSES)
    async def test_who_comes_second_is_refused(self, bench: StoreBench) -> None:
        one, other = (bench.open().store("orders") for _ in range(2))
        await one.commit(recorded(1, 1), [])
        with pytest.raises(IntegrityError):
            await other.commit(recorded(1, 1), [message(1)])
        assert list(one.outbox_rows()) == []

    @promise(Capability.MANY_PROCESSES)
    async def test_two_processes_never_share_an_owner_s_name(self, bench: StoreBench) -> None:
        """Relays and consumers are called the same in every process."""
        one, other = (bench.open().store("orders") for _ in range(2))
        await one.commit([], [message(1)])
        [row] = await bench.claim("anna", store=one)
        assert await bench.claim("anna", store=other) == []
        await other.mark_delivered("anna", [row], at(1))
        await other.retry_outbox("anna", row, "no", at(1))
        await other.release_outbox("anna", [row])
        [found] = one.outbox_rows()
        assert (found.status, found.attempts) == ("claimed", 0)
        await bench.receive(envelope(1))
        [delivery] = await bench.take("anna", store=bench.store)
        assert await bench.take("anna", store=other) == []
        await other.bury_delivery("anna", delivery, "never", at(1))
        assert bench.inbox() == {(1, "note"): ("claimed", 0)}

    @promise(Capability.MANY_PROCESSES)
    async def test_a_mark_after_somebody_took_over_is_ignored(self, bench: StoreBench) -> None:
        one, other = (bench.open().store("orders") for _ in range(2))
        await one.commit([], [message(1)])
        frozen = await bench.claim("anna", store=one)
        rows = await bench.claim("anna", seconds=30, store=other)
        await other.mark_delivered("anna", rows, at(31))
        await one.mark_delivered("anna", frozen, at(32))
        [found] = one.outbox_rows()
        assert (found.attempts, found.delivered_at) == (1, at(31))

    @promise(Capability.MANY_PROCESSES)
    async def test_all_may_open_it_at_once(self, bench: StoreBench) -> None:
        sessions = [bench.database.session]

        async def open_it(n: int) -> None:
            database = bench.open()
            sessions.append(database.session)
            await database.store("orders").commit(recorded(n, 1), [])

        await _at_once(open_it, 6)
        assert sorted(sessions) == list(range(1, 8))
        assert sorted(bench.events()) == [(n, 1) for n in range(1, 7)]

    @promise(Capability.MANY_PROCESSES)
    async def test_all_may_save_at_once_and_nothing_is_lost(self, bench: StoreBench) -> None:
        assert bench.events() == []

        async def save(n: int) -> None:
            store = bench.open().store("orders")
            for version in range(1, 11):
                await store.commit(recorded(n, version), [message(100 * n + version)])

        await _at_once(save, 6)
        every = [(n, version) for n in range(1, 7) for version in range(1, 11)]
        assert sorted(bench.events()) == every
        assert sorted(bench.outbox()) == [100 * n + version for n, version in every]

    @promise(Capability.MANY_PROCESSES)
    async def test_all_may_want_the_same_place_and_one_gets_it(self, bench: StoreBench) -> None:
        assert bench.events() == []
        won: list[int] = []

        async def save(n: int) -> None:
            store = bench.open().store("orders")
            for version in range(1, 11):
                try:
                    await store.commit(recorded(1, version), [message(100 * n + version)])
                except IntegrityError:
                    continue
                won.append(100 * n + version)

        await _at_once(save, 6)
        assert bench.events() == [(1, version) for version in range(1, 11)]
        assert sorted(bench.outbox()) == sorted(won)
        assert len(won) == 10

    @promise(Capability.MANY_PROCESSES)
    async def test_all_may_claim_at_once_and_each_row_has_one_owner(
        self, bench: StoreBench
    ) -> None:
        await bench.write(*(message(n, f"key {n}") for n in range(60)))
        await bench.receive(*(envelope(n, f"key {n}") for n in range(60)))
        claimed: list[int] = []
        taken: list[int] = []

        async def claim(_: int) -> None:
            store = bench.open().store("orders")
            while rows := await store.claim_outbox("anna", at(0), LEASE, 3, ROUTES):
                claimed.extend(said(rows))
            while deliveries := await store.claim_inbox("anna", at(0), LEASE, 3, HANDLERS):
                taken.extend(said(deliveries))

        await _at_once(claim, 6)
        assert sorted(claimed) == sorted(taken) == list(range(60))


async def _at_once(work: Callable[[int], Any], count: int) -> None:
    """Let so many threads work at the same moment, each in an event loop of its own."""
    start = Barrier(count)
    errors: list[BaseException] = []

    def run(n: int) -> None:
        start.wait()
        try:
            asyncio.run(work(n))
        except BaseException as error:
            errors.append(error)

    threads = [Thread(target=run, args=(n,)) for n in range(1, count + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert errors == []


def _frozen(rows: Any) -> list[dict[str, Any]]:
    return [msgspec.structs.asdict(row) for row in rows]
