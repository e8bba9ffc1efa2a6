"""What an aggregate costs when it has 10 to 100,000 events."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from benchmarks import orders
from benchmarks.curves.filled import place
from benchmarks.harness import Row, Subject, Work
from benchmarks.marks import Mark
from benchmarks.orders import CUSTOMER, PRICE, Order
from modulus_es import System

SIZES = (10, 100, 1_000, 10_000, 100_000)
_made: dict[int, tuple[str, UUID]] = {}


async def order_file(events: int) -> tuple[str, UUID]:
    """The URL of a store with an order of so many events, and its id."""
    if events not in _made:
        url = f"sqlite:///{place() / f'order-{events}.db'}"
        system, module = orders.our_shop(f"{url}?synchronous=NORMAL")
        order = orders.with_lines(Order(CUSTOMER, PRICE), events - 1)
        await module.save(order)
        system.close()
        _made[events] = (url, order.id)
    return _made[events]


async def rebuilding(events: int, work: Work) -> None:
    url, id_ = await order_file(events)
    found = []
    with work.timed():
        for _ in range(work.count):
            # A system that never saw it, so that nothing is remembered from the last time.
            system = System(seed=7, store=url)
            order = await system.module("orders").get(Order, id_)
            found.append((order.id, order.version, order.total))
            system.close()
    work.did(len(found))
    work.same("state", set(found), {(id_, events, PRICE * events)})


def subjects() -> list[Subject]:
    """Rebuild an order; the time to open the file is in it."""
    return [
        Subject(
            "curve-aggregate",
            "Open a file and rebuild an order of so many events",
            "events",
            "cpu",
            200,
            [
                Row(
                    f"{size:,}",
                    "ours",
                    partial(rebuilding, size),
                    share=min(1, 20 / size),
                    x=size,
                    per=size,
                    long=size > 10_000,
                )
                for size in SIZES
            ],
            against="1,000",
            marks=[Mark("100,000", "cost", 1.1, "1,000")],
            rounds=0.5,
            axis="events of the order",
            figure="aggregates",
        )
    ]
