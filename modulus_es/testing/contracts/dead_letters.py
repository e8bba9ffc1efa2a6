"""Contract of stores: dead letters stay, and may be brought back."""

from __future__ import annotations

from modulus_es.stores.rows import InboxRow
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import (
    StoreBench,
    StoreSuite,
    at,
    envelope,
    recorded,
    said,
)


class DeadLetterContract(StoreSuite):
    """What was given up is visible, and comes back at its old place, edited or not.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(DeadLetterContract)).name
    'test_a_revived_delivery_begins_anew_before_the_later_ones_of_its_key'
    """

    @promise()
    async def test_a_revived_delivery_begins_anew_before_the_later_ones_of_its_key(
        self, bench: StoreBench
    ) -> None:
        await bench.receive(envelope(1), envelope(2))
        await _die(bench)
        await bench.store.revive_delivery(_first(bench), at(50))
        assert bench.inbox() == {(1, "note"): ("pending", 0), (2, "note"): ("pending", 0)}
        [row] = await bench.take(seconds=50)
        assert said([row]) == [1]
        await bench.handle(row, seconds=50)
        assert said(await bench.take(seconds=50)) == [2]

    @promise()
    async def test_a_revived_delivery_may_be_edited(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1))
        await _die(bench)
        edited = envelope(7, message_id=envelope(1).message_id)
        await bench.store.revive_delivery(_first(bench), at(50), edited)
        [row] = await bench.take(seconds=50)
        assert row.envelope == edited
        assert len(await bench.receive(envelope(1))) == 1

    @promise()
    async def test_only_the_dead_are_revived(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1))
        [row] = await bench.take()
        await bench.handle(row, events=recorded(1, 1))
        await bench.store.revive_delivery(_first(bench), at(50))
        assert bench.inbox() == {(1, "note"): ("done", 1)}

    @promise()
    async def test_a_revived_delivery_may_die_again(self, bench: StoreBench) -> None:
        await bench.receive(envelope(1))
        await _die(bench)
        await bench.store.revive_delivery(_first(bench), at(50))
        await _die(bench, seconds=50)
        assert bench.inbox() == {(1, "note"): ("dead", 1)}

    @promise()
    async def test_what_cannot_be_read_is_a_dead_letter_from_the_start(
        self, bench: StoreBench
    ) -> None:
        await bench.store.bury_unreadable(envelope(1), "no such type", at(5))
        row = _first(bench)
        assert (row.handler, row.status, row.dead_at) == ("", "dead", at(5))
        assert (row.last_error, row.attempts, row.envelope) == ("no such type", 0, envelope(1))
        assert await bench.take(seconds=99, handlers=frozenset({"", "note"})) == []

    @promise()
    async def test_what_cannot_be_read_and_comes_again_is_counted(self, bench: StoreBench) -> None:
        for _ in range(3):
            await bench.store.bury_unreadable(envelope(1), "no such type", at(5))
        [row] = bench.store.inbox_rows()
        assert row.duplicates == 2

    @promise()
    async def test_what_can_be_read_now_is_forgotten_as_a_dead_letter(
        self, bench: StoreBench
    ) -> None:
        await bench.store.bury_unreadable(envelope(1), "no such type", at(5))
        await bench.receive(envelope(2))
        await bench.store.forget_unreadable(_first(bench))
        assert bench.inbox() == {(2, "note"): ("pending", 0)}
        await bench.receive(envelope(1))
        assert len(bench.inbox()) == 2


def _first(bench: StoreBench) -> InboxRow:
    return next(iter(bench.store.inbox_rows()))


async def _die(bench: StoreBench, seconds: float = 0) -> None:
    [row] = await bench.take(seconds=seconds)
    await bench.store.bury_delivery("anna", row, "never", at(seconds))
