"""Contract of stores, seen from above: whole systems live on them and go on where they were."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from modulus_es.clock import SystemClock
from modulus_es.domain import Aggregate, event
from modulus_es.errors import ConcurrencyError
from modulus_es.stores.port import Capability
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.shop import NoteOrder, Order, OrderCreated, Shop


class SystemBench:
    """Shops on one store, opened again and again.

    >>> SystemBench("memory://").capabilities
    <Capability: 0>
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url, self.options = url, dict(options or {})
        self._opened: list[Shop] = []

    @property
    def first(self) -> Shop:
        """The shop that was opened first."""
        return self._opened[0] if self._opened else self.open()

    @property
    def capabilities(self) -> Capability:
        """What the store declares."""
        return self.first.orders.store.capabilities

    def open(self, **options: Any) -> Shop:
        """Open the store, as one more process would."""
        self._opened.append(Shop(self.url, **{**self.options, **options}))
        return self._opened[-1]

    def open_again(self, **options: Any) -> Shop:
        """Close what is open, and open the store as the next process would."""
        for shop in self._opened:
            shop.system.close()
        return self.open(**options)

    async def aclose(self) -> None:
        """Close everything that was opened."""
        for shop in self._opened:
            shop.system.close()

    def __repr__(self) -> str:
        return repr(self.first.orders.store)


class SystemContract:
    """A system's day has the same tables on every store, and goes on where it ended.

    The subclass has a fixture ``store_url``, the URL of a store that is new in
    each test; ``system_options`` may say more about how systems are made.

    >>> class TestMyStore(SystemContract):
    ...     @pytest.fixture
    ...     def store_url(self, tmp_path):
    ...         return f"sqlite:///{tmp_path}/mine.db"
    """

    @pytest.fixture
    def system_options(self) -> dict[str, Any]:
        """What else each `System` is made with."""
        return {}

    @pytest.fixture
    def bench(self, store_url: str, system_options: dict[str, Any]) -> SystemBench:
        """What each test works with."""
        return SystemBench(store_url, system_options)

    @promise()
    async def test_the_same_day_gives_the_same_tables_as_in_memory(
        self, bench: SystemBench
    ) -> None:
        from pandas.testing import assert_frame_equal

        in_memory = Shop("memory://")
        await rough_day(in_memory)
        await rough_day(bench.first)
        found = tables(bench.first)
        for name, frame in tables(in_memory).items():
            assert_frame_equal(frame, found[name], obj=name)
        assert set(found["ledger"].outcome) == {"done"}
        assert set(found["ledger"].effects) == {1}

    @promise()
    async def test_a_system_lives_in_real_time(self, bench: SystemBench) -> None:
        shop = bench.open_again(clock=SystemClock())
        async with shop.system:
            await shop.place("A1", "A2", "A3")
        shop.agree()

    @promise()
    async def test_types_come_back_equal(self, bench: SystemBench) -> None:
        class Priced(Aggregate):
            @event("Set")
            def __init__(self, price: Decimal, at: datetime, tags: frozenset[str]) -> None:
                self.price, self.at, self.tags = price, at, tags

        at = datetime(2013, 2, 8, 12, 30, 0, 7, tzinfo=UTC)
        orders = bench.first.orders
        with orders.system.current():
            priced = Priced(Decimal("1.10"), at, frozenset({"a", "b"}))
        await orders.save(priced)
        found = await orders.get(Priced, priced.id)
        assert (str(found.price), found.at, found.tags) == ("1.10", at, frozenset({"a", "b"}))

    @promise()
    async def test_a_save_that_was_refused_as_stale_writes_nothing(
        self, bench: SystemBench
    ) -> None:
        orders = bench.first.orders
        [order_id] = await bench.first.place("A1")
        mine, theirs = await orders.get(Order, order_id), await orders.get(Order, order_id)
        mine.note("mine")
        theirs.note("theirs")
        await orders.save(mine)
        with pytest.raises(ConcurrencyError, match=r"[Ll]oad it again"):
            await orders.save(theirs)
        assert (await orders.get(Order, order_id)).notes == 1

    # Opened again

    @promise(Capability.DURABLE)
    async def test_what_was_saved_is_there(self, bench: SystemBench) -> None:
        [order_id] = await bench.first.place("A1")
        assert (await bench.open_again().orders.get(Order, order_id)).number == "A1"

    @promise(Capability.DURABLE)
    async def test_what_was_not_delivered_is_delivered(self, bench: SystemBench) -> None:
        await bench.first.place("A1", "A2")
        again = bench.open_again()
        await again.system.run()
        again.agree()
        assert again.recorded("inventory", "Reservation.Made") == ["A1", "A2"]

    @promise(Capability.DURABLE)
    async def test_what_was_received_and_not_handled_is_handled(self, bench: SystemBench) -> None:
        await bench.first.place("A1")
        step = await bench.first.system.step()
        assert step is not None
        assert step.kind == "relay"
        again = bench.open_again()
        await again.system.run()
        again.agree()
        assert again.recorded("inventory", "Reservation.Made") == ["A1"]

    @promise(Capability.DURABLE)
    async def test_what_was_claimed_and_never_finished_is_free_when_its_lease_is_out(
        self, bench: SystemBench
    ) -> None:
        first = bench.first
        await first.place("A1")
        now, routes = first.system.now(), first.system.transport.routes()
        lease = timedelta(seconds=30)
        await first.orders.store.claim_outbox("orders.relay-1", now, lease, 10, routes)
        again = bench.open_again()
        await again.system.run()
        again.agree()
        assert again.recorded("inventory", "Reservation.Made") == ["A1"]
        assert again.system.now() >= now + lease

    @promise(Capability.DURABLE)
    async def test_attempts_and_waiting_times_outlive_the_process(self, bench: SystemBench) -> None:
        first = bench.first
        first.failures["A1"] = 2
        await first.place("A1")
        await first.system.step()
        await first.system.step()
        [row] = first.inventory.store.inbox_rows()
        assert (row.attempts, row.status) == (1, "pending")
        again = bench.open_again()
        again.failures["A1"] = 1
        await again.system.run()
        [row] = again.inventory.store.inbox_rows()
        assert (row.attempts, row.status) == (3, "done")

    @promise(Capability.DURABLE)
    async def test_ids_never_collide_under_one_seed(self, bench: SystemBench) -> None:
        ids: list[UUID] = []
        for session in range(3):
            shop = bench.open_again() if session else bench.first
            ids += await shop.place(*(f"{session}-{i}" for i in range(3)))
            await shop.system.run()
        assert len(set(ids)) == 9
        again = bench.open_again()
        again.agree()
        assert len(again.recorded("orders", "Order.Placed")) == 9

    @promise()
    async def test_a_new_store_draws_the_ids_of_a_store_in_memory(self, bench: SystemBench) -> None:
        assert await bench.first.place("A1") == await Shop("memory://").place("A1")

    @promise(Capability.DURABLE)
    async def test_the_virtual_clock_goes_on_at_the_latest_time(self, bench: SystemBench) -> None:
        first = bench.first
        await first.system.advance(3600)
        await first.place("A1")
        await first.system.run()
        assert bench.open_again().system.now() == first.system.now()

    @promise(Capability.DURABLE)
    async def test_the_virtual_clock_goes_on_after_what_only_an_event_tells(
        self, bench: SystemBench
    ) -> None:
        first = bench.first
        await first.system.advance(60)
        with first.system.current():
            await first.inventory.save(Order("no message"))
        assert bench.open_again().system.now() == first.system.now()

    @promise(Capability.DURABLE)
    async def test_positions_of_what_was_purged_are_not_used_again(
        self, bench: SystemBench
    ) -> None:
        first = bench.first
        await first.place("A1", "A2")
        await first.system.run()
        await first.system.advance(1)
        assert await first.system.purge(older_than=timedelta(0)) == 2
        again = bench.open_again()
        await again.place("A3")
        assert list(again.system.outbox().position) == [3]

    # Several at once

    @promise(Capability.MANY_PROCESSES)
    async def test_two_systems_see_each_other_s_work(self, bench: SystemBench) -> None:
        one, other = bench.first, bench.open()
        [order_id] = await one.place("A1")
        assert (await other.orders.get(Order, order_id)).number == "A1"
        await other.system.run()
        one.agree()

    @promise(Capability.MANY_PROCESSES)
    async def test_a_stale_aggregate_is_refused_whoever_was_faster(
        self, bench: SystemBench
    ) -> None:
        one, other = bench.first, bench.open()
        [order_id] = await one.place("A1")
        mine = await one.orders.get(Order, order_id)
        theirs = await other.orders.get(Order, order_id)
        mine.note("mine")
        theirs.note("theirs")
        await one.orders.save(mine)
        with pytest.raises(ConcurrencyError, match=r"[Ll]oad it again"):
            await other.orders.save(theirs)
        assert (await other.orders.get(Order, order_id)).notes == 1

    @promise(Capability.MANY_PROCESSES)
    async def test_a_command_is_tried_again_when_another_process_was_faster(
        self, bench: SystemBench
    ) -> None:
        one, other = bench.first, bench.open()
        [order_id] = await one.place("A1")
        await asyncio.gather(
            one.system.send(NoteOrder(order_id, "one")),
            other.system.send(NoteOrder(order_id, "other")),
        )
        assert (await one.orders.get(Order, order_id)).notes == 2


def tables(shop: Shop) -> dict[str, Any]:
    """All tables of a shop's system."""
    system = shop.system
    return {
        "events": system.events(),
        "outbox": system.outbox(),
        "inbox": system.inbox(),
        "deliveries": system.deliveries(),
        "dead_letters": system.dead_letters(),
        "ledger": system.ledger(),
    }


async def rough_day(shop: Shop) -> None:
    """Loss, repetition, disorder, crashes, failures for a while and for good, and a replay."""
    system = shop.system
    with system.current():
        network = system.network
        network.loss, network.duplicates, network.reorder = 0.2, 0.3, 0.2
        network.latency = (0.01, 0.2)
        shop.failures.update({"A1": 2, "A3": 99})
        ids = await shop.place(*(f"A{i}" for i in range(12)))
        await shop.orders.bus.publish(OrderCreated("later"), at=system.now() + timedelta(hours=1))
        await shop.orders.bus.publish(OrderCreated("same key 1"), key="k")
        await shop.orders.bus.publish(OrderCreated("same key 2"), key="k")
        system.faults.crash("before_commit", module="inventory")
        system.faults.crash("after_commit", module="inventory")
        system.faults.crash("before_publish")
        system.faults.crash("after_publish")
        system.faults.crash("before_ack")
        await system.run()
        shop.failures.clear()
        await system.replay_dead_letters()
        await system.run()
        await system.send(NoteOrder(ids[0], "in the end"))
