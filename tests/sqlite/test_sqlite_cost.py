"""Looking for work costs the same however much was done already."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from shop import Shop, run


def instructions(shop: Shop, work: Any) -> int:
    """How many of SQLite's own instructions a piece of work takes, in tens."""
    store: Any = shop.orders.store
    connections = store._datastore.connections
    count = 0

    def tick() -> int:
        nonlocal count
        count += 1
        return 0

    reader = connections.reader()
    connections.give_back(reader)
    for connection in (reader[1], connections.current()):
        connection.set_progress_handler(tick, 10)
    run(work())
    for connection in (reader[1], connections.current()):
        connection.set_progress_handler(None, 10)
    return count


def fill(shop: Shop, rows: int) -> None:
    """As many messages that were delivered, and deliveries that were made."""
    store: Any = shop.orders.store

    def copy(cursor: Any) -> None:
        for table, unique in (
            ("modulus_outbox_orders", "message_id"),
            ("modulus_inbox_inventory", "message_id"),
        ):
            columns = [row[1] for row in cursor.execute(f"PRAGMA table_info({table})")][1:]
            chosen = ", ".join(f"{c} || n.value" if c == unique else c for c in columns)
            cursor.execute(
                "WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n "
                f"WHERE value < ?) INSERT INTO {table} ({', '.join(columns)}) "
                f"SELECT {chosen} FROM {table}, n WHERE position = 1",
                (rows,),
            )

    store._datastore.write(copy)


@pytest.mark.slow
def test_looking_for_work_costs_the_same_with_300_000_delivered_rows(shop: Shop) -> None:
    run(shop.place("A1"))
    run(shop.system.run())
    routes = shop.system.transport.routes()
    handlers = frozenset({"reserve"})
    orders, inventory = shop.orders.store, shop.inventory.store

    async def look() -> None:
        now = shop.system.now()
        lease = timedelta(seconds=30)
        await shop.place(str(next_number()))
        assert len(await orders.claim_outbox("one", now, lease, 100, routes)) == 1
        assert await orders.outbox_due("one", now, routes) is None
        assert await inventory.claim_inbox("one", now, lease, 100, handlers) == []
        assert await inventory.inbox_due("one", now, handlers) is None
        await orders.mark_delivered("one", list(orders.undelivered()), now)

    numbers = iter(range(1000))

    def next_number() -> int:
        return next(numbers)

    run(look())
    few = instructions(shop, look)
    fill(shop, 300_000)
    run(look())
    many = instructions(shop, look)
    assert few > 0
    assert many <= 1.2 * few
