"""What an operation costs on a store that holds 10,000 to 2,000,000 events already."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from benchmarks import orders
from benchmarks.curves.filled import messages_file, orders_file
from benchmarks.curves.points import flat, points
from benchmarks.end_to_end import two_modules
from benchmarks.harness import Subject, Work
from benchmarks.orders import CUSTOMER, PRICE, Order
from modulus_es import System

SIZES = (10_000, 100_000, 500_000, 2_000_000)
KEPT = (0, 10_000, 100_000, 300_000)


async def saving(events: int, work: Work) -> None:
    url, _ = await orders_file(events)
    system, module = orders.our_shop(url)
    before = module.store.recorder.max_notification_id() or 0
    with work.timed():
        for _ in range(work.count):
            await module.save(Order(CUSTOMER, PRICE))
    work.did((module.store.recorder.max_notification_id() or 0) - before)
    work.same("there before", before >= events, True)
    # Nobody listens here, and so they would pile up: the next round finds what this one found.
    connection = module.store.begin()
    connection.execute(
        "UPDATE modulus_outbox_orders SET delivered_at = created_at WHERE delivered_at IS NULL"
    )
    await module.store.commit([], [], None, connection)
    system.close()


async def rebuilding(events: int, work: Work) -> None:
    url, ids = await orders_file(events)
    system, module = orders.our_shop(url)
    step = max(1, len(ids) // work.count)
    some = [ids[(number * step) % len(ids)] for number in range(work.count)]
    with work.timed():
        found = [await module.get(Order, id_) for id_ in some]
    work.did(sum(order.version == 10 for order in found))
    work.same("ids", [order.id for order in found], some)
    system.close()


async def sweeping(kept: int, work: Work) -> None:
    """Look for due work where there is none, among delivered rows."""
    url = await messages_file(kept)
    system = System(seed=7, store=url)
    two_modules(system, [], saving=False)
    with work.timed():
        for _ in range(work.count):
            await system.run()
    work.did(work.count)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        rows = connection.execute(
            "SELECT count(*) FROM modulus_outbox_orders WHERE delivered_at IS NOT NULL"
        )
        work.same("rows kept", rows.fetchone(), (kept,))
    system.close()


def subjects() -> list[Subject]:
    """One curve for each operation."""
    held = "events in the store"
    return [
        Subject(
            "curve-store-save",
            "Save an order, in a file with events already",
            "saves",
            "cpu",
            200,
            points(saving, SIZES, 100_000),
            against=f"{SIZES[0]:,}",
            marks=flat(SIZES),
            rounds=6,
            axis=held,
            figure="stores",
        ),
        Subject(
            "curve-store-rebuild",
            "Rebuild an order of ten events, in a file with others",
            "events",
            "cpu",
            300,
            points(rebuilding, SIZES, 100_000),
            against=f"{SIZES[0]:,}",
            marks=flat(SIZES),
            per=10,
            rounds=3,
            axis=held,
            figure="stores",
        ),
        Subject(
            "curve-outbox-sweep",
            "Look for due work, with delivered messages kept",
            "sweeps",
            "cpu",
            300,
            points(sweeping, KEPT, 100_000),
            against=f"{KEPT[0]:,}",
            marks=flat(KEPT),
            rounds=3,
            axis="delivered messages kept",
            figure="outbox",
        ),
    ]
