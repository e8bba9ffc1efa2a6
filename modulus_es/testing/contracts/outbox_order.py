"""Contract of stores: whose turn it is in the outbox."""

from __future__ import annotations

from modulus_es.stores.rows import Routes
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import StoreBench, StoreSuite, at, message, said


class OutboxOrderContract(StoreSuite):
    """Rows are claimed in the recorded order, and a key waits for its first row.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(OutboxOrderContract)).name
    'test_a_claim_takes_no_more_than_it_may'
    """

    @promise()
    async def test_positions_count_up_in_the_order_of_writing(self, bench: StoreBench) -> None:
        await bench.write(message(1), message(2, "other"))
        await bench.write(message(3))
        rows = list(bench.store.outbox_rows())
        assert said(rows) == [1, 2, 3]
        positions = [row.position for row in rows]
        assert positions == sorted(set(positions))
        assert positions[0] > 0

    @promise()
    async def test_rows_are_claimed_in_order_of_position(self, bench: StoreBench) -> None:
        await bench.write(*(message(n, f"key {n % 3}") for n in range(12)))
        assert said(await bench.claim()) == list(range(12))

    @promise()
    async def test_a_claim_takes_no_more_than_it_may(self, bench: StoreBench) -> None:
        await bench.write(*(message(n, f"key {n}") for n in range(5)))
        assert said(await bench.claim(limit=2)) == [0, 1]
        assert said(await bench.claim("bert", limit=2)) == [2, 3]

    @promise()
    async def test_a_row_is_claimed_once(self, bench: StoreBench) -> None:
        await bench.write(message(1))
        assert said(await bench.claim("anna")) == [1]
        assert said(await bench.claim("anna")) == []
        assert said(await bench.claim("bert")) == []

    @promise()
    async def test_only_what_can_be_handed_over_is_claimed(self, bench: StoreBench) -> None:
        await bench.write(
            message(1, "a", type="Unheard"),
            message(2, "b", type="Told"),
            message(3, "c", to="hearer"),
            message(4, "d", to="nobody"),
            message(5, "e", to="hearer", type="Undo"),
            message(6, "f", type="Do"),
        )
        assert said(await bench.claim()) == [2, 3]

    @promise()
    async def test_what_nobody_listens_for_waits_without_holding_up_its_key(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1, type="Unheard"), message(2))
        assert said(await bench.claim()) == [2]
        everything = Routes(frozenset({"Unheard", "Said"}), frozenset())
        assert said(await bench.claim(routes=everything)) == [1]

    @promise()
    async def test_nobody_overtakes_a_row_that_somebody_else_has_claimed(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1), message(2), message(3, "other"))
        [first] = await bench.claim("anna", limit=1)
        assert said(await bench.claim("bert")) == [3]
        await bench.store.mark_delivered("anna", [first], at(1))
        assert said(await bench.claim("bert")) == [2]

    @promise()
    async def test_who_has_a_row_may_claim_the_next_of_its_key(self, bench: StoreBench) -> None:
        await bench.write(message(1), message(2), message(3))
        assert said(await bench.claim(limit=1)) == [1]
        assert said(await bench.claim(limit=1)) == [2]
        assert said(await bench.claim()) == [3]

    @promise()
    async def test_a_row_that_waits_for_its_retry_holds_back_its_key_and_no_other(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1), message(2), message(3, "other"))
        [first] = await bench.claim(limit=1)
        await bench.store.retry_outbox("anna", first, "no", at(5))
        assert said(await bench.claim()) == [3]
        assert said(await bench.claim(seconds=5)) == [1, 2]

    @promise()
    async def test_a_dead_row_lets_its_key_go_on(self, bench: StoreBench) -> None:
        await bench.write(message(1), message(2))
        [first] = await bench.claim(limit=1)
        await bench.store.bury_outbox("anna", first, "never", at(0))
        assert said(await bench.claim("bert")) == [2]

    @promise()
    async def test_a_scheduled_row_is_never_early(self, bench: StoreBench) -> None:
        await bench.write(message(1, due=7.000001, scheduled=True))
        assert await bench.due() == 7.000001
        assert said(await bench.claim(seconds=7)) == []
        assert said(await bench.claim(seconds=7.000001)) == [1]

    @promise()
    async def test_a_scheduled_row_holds_up_nobody_before_it_is_due(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1, due=60, scheduled=True), message(2), message(3))
        assert said(await bench.claim(limit=1)) == [2]
        assert said(await bench.claim(seconds=60)) == [1, 3]

    @promise()
    async def test_a_scheduled_row_that_failed_holds_back_its_key_like_any_other(
        self, bench: StoreBench
    ) -> None:
        await bench.write(message(1, due=60, scheduled=True), message(2, due=60, scheduled=True))
        [first, second] = await bench.claim(seconds=60)
        await bench.store.retry_outbox("anna", first, "no", at(70))
        await bench.store.release_outbox("anna", [second])
        assert said(await bench.claim(seconds=60)) == []
        assert said(await bench.claim(seconds=70)) == [1, 2]

    @promise()
    async def test_it_is_known_when_there_is_something_to_claim(self, bench: StoreBench) -> None:
        assert await bench.due() is None
        await bench.write(message(0, type="Unheard"))
        assert await bench.due() is None
        await bench.write(message(1), message(2))
        assert await bench.due(seconds=3) == 3
        [first, second] = await bench.claim("anna", seconds=3)
        assert await bench.due("anna", seconds=3) is None
        assert await bench.due("bert", seconds=3) == 33
        await bench.store.release_outbox("anna", [second])
        await bench.store.retry_outbox("anna", first, "no", at(9))
        assert await bench.due("anna", seconds=3) == await bench.due("bert", seconds=3) == 9
