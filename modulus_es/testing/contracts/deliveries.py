"""Contract of stores: whose turn it is in the inbox, and what may become of a delivery."""

from __future__ import annotations

import pytest

from modulus_es.errors import LeaseLostError
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import StoreBench, StoreSuite, at, envelope, said

BOTH = (("note", True), ("count", True))
UNORDERED = (("note", False),)


class DeliveryContract(StoreSuite):
    """Each handler of a message succeeds, waits and dies by itself, in order per key.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(DeliveryContract)).name
    'test_a_claim_takes_no_more_deliveries_than_it_may'
    """

    @promise()
    async def test_one_delivery_a_key_and_handler_is_claimed_at_a_time(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1), envelope(2), envelope(3, "other"), handlers=BOTH)
        rows = await bench.take()
        assert [(n, row.handler) for n, row in zip(said(rows), rows, strict=True)] == [
            (1, "note"),
            (1, "count"),
            (3, "note"),
            (3, "count"),
        ]
        assert await bench.take() == []

    @promise()
    async def test_the_next_of_a_key_comes_when_the_first_is_done(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1), envelope(2))
        for n in (1, 2):
            [row] = await bench.take()
            assert said([row]) == [n]
            await bench.handle(row)
        assert bench.inbox() == {(1, "note"): ("done", 1), (2, "note"): ("done", 1)}

    @promise()
    async def test_a_claim_takes_no_more_deliveries_than_it_may(self, bench: StoreBench) -> None:
        await bench.receive(*(envelope(n, f"key {n}") for n in range(5)))
        assert said(await bench.take(limit=2)) == [0, 1]
        assert said(await bench.take("bert", limit=2)) == [2, 3]

    @promise()
    async def test_a_handler_that_needs_no_order_gets_all_at_once(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1), envelope(2), handlers=UNORDERED)
        assert said(await bench.take()) == [1, 2]

    @promise()
    async def test_only_deliveries_to_handlers_that_are_there_are_claimed(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1), handlers=[("gone", True), ("note", True)])
        [row] = await bench.take()
        assert row.handler == "note"
        [row] = await bench.take(handlers=frozenset({"gone"}))
        assert row.handler == "gone"

    @promise()
    async def test_a_failed_attempt_holds_up_its_key_and_its_handler_only(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1), envelope(2), handlers=BOTH)
        note, count = await bench.take()
        await bench.store.retry_delivery("anna", note, "not yet", at(5))
        await bench.handle(count)
        [row] = await bench.take()
        assert (said([row]), row.handler) == ([2], "count")
        [row] = await bench.take(seconds=5)
        assert (said([row]), row.handler, row.attempts, row.last_error) == (
            [1],
            "note",
            1,
            "not yet",
        )

    @promise()
    async def test_a_handler_that_needs_no_order_does_not_wait_for_a_retry(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1), handlers=UNORDERED)
        [row] = await bench.take()
        await bench.store.retry_delivery("anna", row, "not yet", at(5))
        await bench.receive(envelope(2), handlers=UNORDERED)
        assert said(await bench.take()) == [2]

    @promise()
    async def test_a_dead_delivery_lets_its_key_go_on(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1), envelope(2))
        [row] = await bench.take()
        await bench.store.bury_delivery("anna", row, "never", at(5))
        found = next(iter(bench.store.inbox_rows()))
        assert (found.status, found.attempts, found.last_error) == ("dead", 1, "never")
        assert found.dead_at == at(5)
        assert said(await bench.take("bert")) == [2]

    @promise()
    async def test_a_released_delivery_is_as_if_it_had_never_been_claimed(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1), envelope(2))
        await bench.store.release_inbox("anna", await bench.take())
        assert set(bench.inbox().values()) == {("pending", 0)}
        assert said(await bench.take("bert")) == [1]

    @promise()
    async def test_a_lease_that_is_out_frees_the_delivery_for_others(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1), envelope(2))
        [row] = await bench.take("anna")
        assert (row.claimed_by, row.claimed_until) == ("anna", at(30))
        assert await bench.take("bert", seconds=29) == []
        assert await bench.take("anna", seconds=30) == []
        [row] = await bench.take("bert", seconds=30)
        assert (said([row]), row.claimed_by, row.claimed_until) == ([1], "bert", at(60))

    @promise()
    async def test_setting_the_clock_neither_frees_a_delivery_nor_keeps_it(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1))
        [row] = await bench.take("anna", seconds=10, ahead=10)
        assert row.claimed_until == at(30)
        assert await bench.take("bert", seconds=3629, ahead=3600) == []
        assert await bench.delivery_due("bert", seconds=3629, ahead=3600) == 3630
        assert await bench.take("bert", seconds=-3571, ahead=-3600) == []
        assert await bench.delivery_due("bert", seconds=-3571, ahead=-3600) == -3570
        assert said(await bench.take("bert", seconds=-3570, ahead=-3600)) == [1]

    @promise()
    async def test_only_the_owner_says_what_became_of_a_delivery(self, bench: StoreBench) -> None:
        store = bench.store
        await bench.receive(envelope(1))
        [mine] = await bench.take("anna")
        [theirs] = await bench.take("bert", seconds=30)
        await store.retry_delivery("anna", mine, "no", at(31))
        await store.bury_delivery("anna", mine, "never", at(31))
        await store.release_inbox("anna", [mine])
        with pytest.raises(LeaseLostError):
            await bench.handle(mine, "anna", 31)
        [found] = store.inbox_rows()
        assert (found.status, found.attempts, found.last_error) == ("claimed", 0, None)
        await bench.handle(theirs, "bert", 32)
        assert bench.inbox() == {(1, "note"): ("done", 1)}

    @promise()
    async def test_what_is_done_is_never_claimed_again(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1))
        [row] = await bench.take()
        await bench.handle(row)
        await bench.store.release_inbox("anna", [row])
        await bench.store.retry_delivery("anna", row, "no", at(1))
        assert await bench.take("bert", seconds=99) == []
        assert bench.inbox() == {(1, "note"): ("done", 1)}

    @promise()
    async def test_a_store_is_not_at_rest_while_a_delivery_is_pending_or_claimed(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1))
        assert not bench.store.at_rest()
        await bench.take()
        assert not bench.store.at_rest()

    @promise()
    async def test_what_is_pending_or_claimed_is_unprocessed(self, bench: StoreBench) -> None:
        await bench.receive(*(envelope(n, f"key {n}") for n in range(5)))
        first, second, third, _ = await bench.take(limit=4)
        await bench.handle(first)
        await bench.store.bury_delivery("anna", second, "never", at(0))
        await bench.store.retry_delivery("anna", third, "no", at(9))
        assert said(bench.store.unprocessed()) == [2, 3, 4]
        assert said(bench.store.inbox_rows()) == [0, 1, 2, 3, 4]

    @promise()
    async def test_what_is_unprocessed_is_counted_by_handler_and_message(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1), envelope(2), handlers=[("note", True), ("count", False)])
        await bench.receive(envelope(3, to="hearer"), envelope(4, "other"))
        first, *_ = await bench.take(limit=1)
        await bench.handle(first)
        assert list(bench.store.unprocessed_kinds()) == [
            ("count", "event", "Said", 2),
            ("note", "event", "Said", 2),
            ("note", "command", "Do", 1),
        ]

    @promise()
    async def test_it_is_known_when_there_is_something_to_deliver(self, bench: StoreBench) -> None:
        assert await bench.delivery_due() is None
        await bench.receive(envelope(0), handlers=[("gone", True)])
        assert await bench.delivery_due() is None
        await bench.receive(envelope(1), envelope(2))
        assert await bench.delivery_due(seconds=3) == 3
        [row] = await bench.take("anna", seconds=3)
        assert await bench.delivery_due("anna", seconds=3) is None
        assert await bench.delivery_due("bert", seconds=3) == 33
        await bench.store.retry_delivery("anna", row, "no", at(9))
        assert await bench.delivery_due("anna", seconds=3) == 9
        assert await bench.delivery_due("bert", seconds=12) == 12
