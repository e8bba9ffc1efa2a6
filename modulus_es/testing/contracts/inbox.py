"""Contract of stores: the inbox holds each message once for each of its handlers."""

from __future__ import annotations

from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import StoreBench, StoreSuite, at, envelope

BOTH = (("note", True), ("count", True))


class InboxContract(StoreSuite):
    """A delivery's key is (source, message id, module, handler), and what comes again is known.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(InboxContract)).name
    'test_a_delivery_tells_everything_of_its_message'
    """

    @promise()
    async def test_a_message_has_one_row_for_each_of_its_handlers(self, bench: StoreBench) -> None:
        assert await bench.receive(envelope(1), handlers=BOTH) == []
        assert bench.inbox() == {(1, "note"): ("pending", 0), (1, "count"): ("pending", 0)}

    @promise()
    async def test_a_delivery_tells_everything_of_its_message(self, bench: StoreBench) -> None:
        sent = envelope(
            1,
            to="hearer",
            correlation_id="c1",
            causation_id="m0",
            traceparent="00-1-2-01",
            version=3,
            position=17,
            attempt=2,
        )
        await bench.receive(sent, handlers=[("note", False)], seconds=5)
        [row] = bench.store.inbox_rows()
        assert row.envelope == sent
        assert (row.handler, row.ordered, row.received_at) == ("note", False, at(5))
        assert (row.status, row.attempts, row.duplicates, row.out_of_order) == ("pending", 0, 0, 0)
        assert (row.last_error, row.outcome, row.processed_at) == (None, None, None)

    @promise()
    async def test_what_comes_again_is_counted_and_not_held_again(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1), handlers=BOTH)
        again = [(envelope(1).message_id, "note"), (envelope(1).message_id, "count")]
        assert await bench.receive(envelope(1), envelope(2), handlers=BOTH) == again
        assert await bench.receive(envelope(1), handlers=BOTH) == again
        found = {(row.envelope.body, row.handler): row for row in bench.store.inbox_rows()}
        assert len(found) == 4
        assert found[b'{"n":1}', "note"].duplicates == 2
        assert found[b'{"n":2}', "note"].duplicates == 0

    @promise()
    async def test_what_comes_twice_at_once_is_held_once(self, bench: StoreBench) -> None:
        assert len(await bench.receive(envelope(1), envelope(1))) == 1
        [row] = bench.store.inbox_rows()
        assert row.duplicates == 1

    @promise()
    async def test_what_comes_again_after_it_was_handled_is_not_handled_again(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1))
        [row] = await bench.take()
        await bench.handle(row)
        assert len(await bench.receive(envelope(1))) == 1
        assert bench.inbox() == {(1, "note"): ("done", 1)}
        assert await bench.take("bert", seconds=99) == []

    @promise()
    async def test_the_same_id_from_another_source_is_another_message(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1))
        assert await bench.receive(envelope(1, source="forger")) == []
        assert len(list(bench.store.inbox_rows())) == 2

    @promise()
    async def test_a_handler_that_came_later_gets_what_the_others_have_already(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1))
        repeated = await bench.receive(envelope(1), handlers=BOTH)
        assert repeated == [(envelope(1).message_id, "note")]
        assert len(bench.inbox()) == 2

    @promise()
    async def test_what_was_overtaken_on_its_way_is_counted(self, bench: StoreBench) -> None:
        for n, position in ((2, 2), (1, 1), (3, 3)):
            await bench.receive(envelope(n, position=position))
        await bench.receive(envelope(4, "other", position=1))
        await bench.receive(envelope(5, position=1, source="another"))
        await bench.receive(envelope(6, position=0))
        rows = {row.envelope.body: row.out_of_order for row in bench.store.inbox_rows()}
        assert list(rows.values()) == [0, 1, 0, 0, 0, 0]
