"""Looking for work costs the same however much was done already, and however much has time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from shop import Shop, run

from modulus_es.envelope import Envelope
from modulus_es.stores.rows import OutboxRow, Receipt

LEASE = timedelta(seconds=30)


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
    connections.give_back(reader, good=True)
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
        await shop.place(str(next_number()))
        assert len(await orders.claim_outbox("one", now, LEASE, 100, routes)) == 1
        assert await orders.outbox_due("one", now, routes) is None
        assert await inventory.claim_inbox("one", now, LEASE, 100, handlers) == []
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


def message(number: int, at: datetime) -> Envelope:
    return Envelope(
        message_id=f"m{number}", kind="event", type="OrderCreated", version=1, body=b"{}",
        source="orders", key=f"k{number}", occurred_on=at, position=number,
    )  # fmt: skip


def test_looking_for_work_costs_the_same_with_2_000_messages_for_next_month(shop: Shop) -> None:
    store, now = shop.orders.store, shop.system.now()
    routes, later = shop.system.transport.routes(), now + timedelta(days=30)

    async def schedule(*numbers: int) -> None:
        sent = [OutboxRow(message(n, now), now, later, scheduled=True) for n in numbers]
        await store.commit([], sent)

    async def look() -> None:
        assert await store.claim_outbox("one", now, LEASE, 100, routes) == []
        assert await store.outbox_due("one", now, routes) == later
        assert list(store.unroutable(routes)) == []

    run(schedule(1))
    run(look())
    few = instructions(shop, look)
    run(schedule(*range(2, 2_000)))
    many = instructions(shop, look)
    assert 0 < many <= 1.2 * few
    assert len(run(store.claim_outbox("one", later, LEASE, 3_000, routes))) == 1_999


def test_looking_for_work_costs_the_same_with_500_deliveries_to_be_tried_again(
    shop: Shop,
) -> None:
    store, now = shop.inventory.store, shop.system.now()
    handlers, later = frozenset({"reserve"}), now + timedelta(seconds=8)

    async def fail(*numbers: int) -> None:
        receipts = [Receipt(message(n, now), (("reserve", True),)) for n in numbers]
        await store.receive(receipts, now)
        for row in await store.claim_inbox("one", now, LEASE, 1_000, handlers):
            await store.retry_delivery("one", row, "no", later)

    async def look() -> None:
        assert await store.claim_inbox("one", now, LEASE, 100, handlers) == []
        assert await store.inbox_due("one", now, handlers) == later

    run(fail(1))
    run(look())
    few = instructions(shop, look)
    run(fail(*range(2, 500)))
    many = instructions(shop, look)
    assert 0 < many <= 1.2 * few
    assert len(run(store.claim_inbox("one", later, LEASE, 1_000, handlers))) == 499


def test_a_row_whose_time_somebody_altered_is_set_aside_and_not_asleep_for_ever(
    shop: Shop,
) -> None:
    store, now = shop.orders.store, shop.system.now()
    routes = shop.system.transport.routes()
    later = now + timedelta(days=30)
    run(store.commit([], [OutboxRow(message(1, now), now, later, scheduled=True)]))

    def alter(cursor: Any) -> None:
        cursor.execute("UPDATE modulus_outbox_orders SET available_at = 'soon'")

    cast("Any", store)._datastore.write(alter)
    assert run(store.outbox_due("one", now, routes)) == now
    assert run(store.claim_outbox("one", now, LEASE, 100, routes)) == []
    assert [row.status for row in store.outbox_rows()] == ["dead"]
