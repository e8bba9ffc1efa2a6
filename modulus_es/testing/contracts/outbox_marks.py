"""Contract of stores: leases, and what may become of a row of the outbox."""

from __future__ import annotations

from modulus_es.stores.rows import Routes
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import (
    ROUTES,
    StoreBench,
    StoreSuite,
    at,
    envelope,
    message,
    said,
)


class OutboxMarksContract(StoreSuite):
    """A claim lasts as long as its lease, and only its owner says what became of the row.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(OutboxMarksContract)).name
    'test_a_claim_that_is_renewed_lasts_longer'
    """

    @promise()
    async def test_a_row_tells_everything_of_its_message(self, bench: StoreBench) -> None:
        row = message(
            1,
            to="hearer",
            due=60,
            scheduled=True,
            correlation_id="c1",
            causation_id="m0",
            traceparent="00-1-2-01",
            version=3,
        )
        row.handler = "place_order"
        sent = row.envelope
        await bench.write(row)
        [found] = bench.store.outbox_rows()
        assert found.envelope == sent
        assert (found.created_at, found.available_at, found.scheduled) == (at(0), at(60), True)
        assert (found.handler, found.status, found.attempts) == ("place_order", "pending", 0)
        assert (found.claimed_by, found.claimed_until, found.last_error) == (None, None, None)

    @promise()
    async def test_a_claimed_row_says_by_whom_and_until_when(self, bench: StoreBench) -> None:
        await bench.write(message(1))
        [row] = await bench.claim("anna", seconds=5)
        [found] = bench.store.outbox_rows()
        for each in (row, found):
            assert (each.status, each.claimed_until) == ("claimed", at(35))
            assert each.claimed_by == "anna"

    @promise()
    async def test_a_delivered_row_says_when_and_with_how_many_attempts(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1))
        rows = await bench.claim()
        await bench.store.mark_delivered("anna", rows, at(5))
        [found] = bench.store.outbox_rows()
        for each in (*rows, found):
            assert (each.status, each.delivered_at, each.attempts) == ("delivered", at(5), 1)
            assert (each.claimed_by, each.claimed_until) == (None, None)

    @promise()
    async def test_a_released_row_is_as_if_it_had_never_been_claimed(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1), message(2))
        await bench.store.release_outbox("anna", await bench.claim())
        assert bench.outbox() == {1: ("pending", 0), 2: ("pending", 0)}
        assert said(await bench.claim("bert")) == [1, 2]

    @promise()
    async def test_a_failed_attempt_is_counted_and_says_why(self, bench: StoreBench) -> None:
        await bench.write(message(1))
        for attempt in range(1, 4):
            [row] = await bench.claim(seconds=attempt)
            await bench.store.retry_outbox("anna", row, f"no {attempt}", at(attempt + 1))
            assert (row.attempts, row.last_error) == (attempt, f"no {attempt}")
        [found] = bench.store.outbox_rows()
        assert (found.status, found.attempts, found.last_error) == ("pending", 3, "no 3")
        assert found.available_at == at(4)

    @promise()
    async def test_an_attempt_in_vain_is_not_counted(self, bench: StoreBench) -> None:
        await bench.write(message(1))
        [row] = await bench.claim()
        await bench.store.retry_outbox("anna", row, "no answer", at(1), counted=False)
        [found] = bench.store.outbox_rows()
        assert (found.attempts, found.last_error, found.available_at) == (0, "no answer", at(1))

    @promise()
    async def test_a_dead_row_stays_and_says_why(self, bench: StoreBench) -> None:
        await bench.write(message(1))
        [row] = await bench.claim()
        await bench.store.bury_outbox("anna", row, "never", at(5))
        [found] = bench.store.outbox_rows()
        assert (found.status, found.attempts, found.last_error) == ("dead", 1, "never")
        assert found.dead_at == at(5)
        assert await bench.claim(seconds=99) == []

    @promise()
    async def test_setting_the_clock_neither_frees_a_row_nor_keeps_it(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1))
        [row] = await bench.claim("anna", seconds=10, ahead=10)
        assert row.claimed_until == at(30)
        assert await bench.claim("bert", seconds=3629, ahead=3600) == []
        assert await bench.due("bert", seconds=3629, ahead=3600) == 3630
        assert await bench.claim("bert", seconds=-3571, ahead=-3600) == []
        assert await bench.due("bert", seconds=-3571, ahead=-3600) == -3570
        assert said(await bench.claim("bert", seconds=-3570, ahead=-3600)) == [1]

    @promise()
    async def test_a_lease_that_is_out_frees_the_row_for_others(self, bench: StoreBench) -> None:
        await bench.write(message(1), message(2))
        assert said(await bench.claim("anna")) == [1, 2]
        assert said(await bench.claim("bert", seconds=29)) == []
        assert said(await bench.claim("anna", seconds=30)) == []
        assert said(await bench.claim("bert", seconds=30)) == [1, 2]

    @promise()
    async def test_a_claim_that_is_renewed_lasts_longer(self, bench: StoreBench) -> None:
        await bench.write(message(1), message(2))
        rows = await bench.claim("anna")
        await bench.store.renew_outbox("anna", rows, at(90))
        assert [row.claimed_until for row in rows] == [at(90)] * 2
        assert [row.claimed_until for row in bench.store.outbox_rows()] == [at(90)] * 2
        assert await bench.due("bert", seconds=31) == 90
        assert said(await bench.claim("bert", seconds=89)) == []
        assert said(await bench.claim("bert", seconds=90)) == [1, 2]

    @promise()
    async def test_only_the_owner_renews_a_claim(self, bench: StoreBench) -> None:
        await bench.write(message(1))
        [mine] = await bench.claim("anna")
        await bench.store.renew_outbox("bert", [mine], at(90))
        [theirs] = await bench.claim("bert", seconds=30)
        await bench.store.renew_outbox("anna", [mine], at(900))
        [found] = bench.store.outbox_rows()
        assert found.claimed_until == theirs.claimed_until == at(60)

    @promise()
    async def test_only_the_owner_says_what_became_of_a_row(self, bench: StoreBench) -> None:
        store = bench.store
        await bench.write(message(1))
        [mine] = await bench.claim("anna")
        [theirs] = await bench.claim("bert", seconds=30)
        await store.mark_delivered("anna", [mine], at(31))
        await store.retry_outbox("anna", mine, "no", at(31))
        await store.bury_outbox("anna", mine, "never", at(31))
        await store.release_outbox("anna", [mine])
        [found] = store.outbox_rows()
        assert (found.status, found.attempts, found.last_error) == ("claimed", 0, None)
        await store.mark_delivered("bert", [theirs], at(32))
        assert bench.outbox() == {1: ("delivered", 1)}

    @promise()
    async def test_what_is_delivered_is_never_claimed_again(self, bench: StoreBench) -> None:
        await bench.write(message(1))
        rows = await bench.claim()
        await bench.store.mark_delivered("anna", rows, at(0))
        await bench.store.release_outbox("anna", rows)
        assert await bench.claim("bert", seconds=99) == []
        assert bench.outbox() == {1: ("delivered", 1)}

    @promise()
    async def test_a_store_is_not_at_rest_while_a_message_is_pending_or_claimed(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1))
        assert not bench.store.at_rest()
        await bench.claim()
        assert not bench.store.at_rest()

    @promise()
    async def test_what_is_pending_or_claimed_is_undelivered(self, bench: StoreBench) -> None:
        await bench.write(*(message(n, f"key {n}") for n in range(5)))
        first, second, third, _ = await bench.claim(limit=4)
        await bench.store.mark_delivered("anna", [first], at(0))
        await bench.store.bury_outbox("anna", second, "never", at(0))
        await bench.store.retry_outbox("anna", third, "no", at(9))
        assert said(bench.store.undelivered()) == [2, 3, 4]
        assert said(bench.store.outbox_rows()) == [0, 1, 2, 3, 4]

    @promise()
    async def test_what_nobody_is_there_for_is_counted_by_type(self, bench: StoreBench) -> None:
        await bench.write(
            message(1, type="Old"),
            message(2, to="elsewhere"),
            message(3),
            message(4, to="hearer"),
            message(5, "other", type="Old", due=60, scheduled=True),
            message(6, type="Old"),
        )
        assert list(bench.store.unroutable(ROUTES)) == [("Old", None, 3), ("Do", "elsewhere", 1)]

    @promise()
    async def test_what_a_relay_has_claimed_is_not_counted_as_left_over(
        self, bench: StoreBench
    ) -> None:
        old = Routes(frozenset({"Old"}), frozenset())
        await bench.write(message(1, type="Old"), message(2, "other", type="Old"))
        await bench.claim(limit=1, routes=old)
        assert list(bench.store.unroutable(ROUTES)) == [("Old", None, 1)]
        assert list(bench.store.unroutable(old)) == []

    @promise()
    async def test_a_dead_row_may_be_revived_and_edited(self, bench: StoreBench) -> None:
        await bench.write(message(1), message(2))
        [row, _] = await bench.claim()
        await bench.store.bury_outbox("anna", row, "never", at(0))
        [dead, _] = bench.store.outbox_rows()
        await bench.store.revive_outbox(dead, at(50), envelope(7, message_id="m7"))
        assert bench.outbox() == {7: ("pending", 0), 2: ("claimed", 0)}
        [again] = await bench.claim("anna", seconds=50, limit=1)
        assert (said([again]), again.envelope.message_id) == ([7], "m7")
        await bench.store.revive_outbox(again, at(60))
        assert bench.outbox()[7] == ("claimed", 0)

    @promise()
    async def test_a_purge_drops_what_was_delivered_long_ago_and_no_position_is_used_again(
        self, bench: StoreBench
    ) -> None:
        await bench.write(*(message(n, f"key {n}") for n in range(8)))
        rows = await bench.claim(limit=7)
        await bench.store.mark_delivered("anna", rows[:4], at(0))
        await bench.store.mark_delivered("anna", rows[4:6], at(10))
        await bench.store.bury_outbox("anna", rows[6], "never", at(0))
        assert await bench.store.purge(at(10), limit=3) == 3
        assert await bench.store.purge(at(10), limit=3) == 1
        assert await bench.store.purge(at(10), limit=3) == 0
        assert said(bench.store.outbox_rows()) == [4, 5, 6, 7]
        before = {row.position for row in bench.store.outbox_rows()} | {r.position for r in rows}
        await bench.store.mark_delivered("anna", await bench.claim(), at(10))
        await bench.store.purge(at(11))
        fresh = message(9)
        await bench.write(fresh)
        assert fresh.position > max(before)
