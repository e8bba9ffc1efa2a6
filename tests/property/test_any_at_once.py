"""Any commands sent at once do what they do one after the other, whoever is cancelled."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from budgets import examples
from hypothesis import given
from hypothesis.strategies import DrawFn, booleans, composite, integers, sampled_from

from modulus_es import Command, UnitOfWork
from modulus_es.testing.shop import NoteOrder, Order, PlaceOrder, Shop


class Fail(Command[None]):
    """Its handler records something, and raises."""


@dataclass
class Sent:
    """A command, how many turns it waits before it is sent, and whether it is cancelled then."""

    kind: str
    which: int
    turns: int
    cancelled: bool


@dataclass
class Told:
    """What those who sent were told."""

    placed: int = 0
    noted: Counter[UUID] = field(default_factory=Counter)


@composite
def all_sent(draw: DrawFn) -> list[Sent]:
    kinds, small = sampled_from(["place", "note", "note", "fail"]), integers(0, 3)
    count = draw(integers(0, 30))
    return [
        Sent(draw(kinds), draw(integers(0, 2)), draw(small), draw(integers(0, 4)) == 0)
        for _ in range(count)
    ]


async def send_all(shop: Shop, sent: list[Sent], orders: list[UUID]) -> Told:
    """Send them at once, cancel some in a later turn; what was answered must have happened."""
    told = Told()

    async def send(each: Sent) -> None:
        for _ in range(each.turns):
            await asyncio.sleep(0)
        if each.kind == "place":
            assert await shop.system.send(PlaceOrder("more"))
            told.placed += 1
        elif each.kind == "note":
            note = NoteOrder(orders[each.which], "x")
            assert await shop.system.send(note, retry_conflicts=0), "it conflicted with another"
            told.noted[note.order_id] += 1
        else:
            await shop.system.send(Fail())

    tasks = [asyncio.ensure_future(send(each)) for each in sent]
    for turn in range(5):
        await asyncio.sleep(0)
        for task, each in zip(tasks, sent, strict=True):
            if each.cancelled and each.turns + 1 == turn:
                task.cancel()
    for outcome, each in zip(
        await asyncio.gather(*tasks, return_exceptions=True), sent, strict=True
    ):
        if isinstance(outcome, asyncio.CancelledError):
            assert each.cancelled
        else:
            expected = ZeroDivisionError if each.kind == "fail" else type(None)
            assert isinstance(outcome, expected), outcome
    return told


@given(all_sent(), sampled_from([2, 5, 100]), booleans())
@examples(100)
def test_what_is_sent_at_once_is_done_exactly_once_if_it_was_answered(
    sent: list[Sent], group_commit: int, saved_at_once: bool
) -> None:
    shop = Shop("sqlite:///:memory:", group_commit=group_commit)

    @shop.orders.handles
    async def fail(command: Fail, uow: UnitOfWork) -> None:
        uow.add(Order("never"))
        raise ZeroDivisionError

    async def work() -> None:
        orders = [Order(str(n)) for n in range(3)]
        if saved_at_once:
            await asyncio.gather(*map(shop.orders.save, orders))
        else:
            await shop.orders.save(*orders)
        ids = [order.id for order in orders]
        told = await send_all(shop, sent, ids)
        await shop.system.run()
        cancelled = Counter(each.kind for each in sent if each.cancelled)
        placed = shop.recorded("orders", "Order.Placed")
        assert "never" not in placed
        # Who was cancelled may have been too late.
        assert 0 <= placed.count("more") - told.placed <= cancelled["place"]
        notes = {id_: (await shop.orders.get(Order, id_)).notes for id_ in ids}
        more = sum(notes.values()) - told.noted.total()
        assert all(notes[id_] >= told.noted[id_] for id_ in ids)
        assert 0 <= more <= cancelled["note"]
        assert len(placed) == len(shop.recorded("inventory", "Reservation.Made"))

    asyncio.run(work())
    shop.system.close()
