"""A store in a file goes on where it was, whoever opens it next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pandas as pd
import pytest
from shop import NoteOrder, Order, OrderCreated, PlaceOrder, Shop, run

from modulus_es import (
    Aggregate,
    ConcurrencyError,
    StoreError,
    StoreUnavailableError,
    StoreURLError,
    System,
    SystemClock,
    VirtualClock,
    event,
)
from modulus_es.clock import START

Open = Callable[..., Shop]


def test_what_was_saved_is_there_when_the_file_is_opened_again(open_shop: Open) -> None:
    first = open_shop()
    [order_id] = run(first.place("A1"))
    first.system.close()
    again = open_shop()
    assert run(again.orders.get(Order, order_id)).number == "A1"


def test_what_was_not_delivered_is_delivered_after_the_file_is_opened_again(
    open_shop: Open,
) -> None:
    first = open_shop()
    run(first.place("A1", "A2"))
    first.system.close()
    again = open_shop()
    run(again.system.run())
    again.agree()


def test_what_was_received_and_not_handled_is_handled_after_the_file_is_opened_again(
    open_shop: Open,
) -> None:
    first = open_shop()
    run(first.place("A1"))
    assert run(first.system.step()).kind == "relay"
    first.system.close()
    again = open_shop()
    run(again.system.run())
    again.agree()


def test_what_another_process_claimed_and_never_finished_is_free_when_its_lease_is_out(
    open_shop: Open,
) -> None:
    first = open_shop()
    run(first.place("A1"))
    store, now = first.orders.store, first.system.now()
    routes = first.system.transport.routes()
    claimed = run(store.claim_outbox("orders.relay-1", now, timedelta(seconds=30), 10, routes))
    assert len(claimed) == 1
    first.system.close()
    again = open_shop()
    run(again.system.run())
    again.agree()
    assert again.system.now() >= now + timedelta(seconds=30)


def test_attempts_and_waiting_times_outlive_the_process(open_shop: Open) -> None:
    first = open_shop()
    first.failures["A1"] = 2
    run(first.place("A1"))
    run(first.system.step())
    run(first.system.step())
    [row] = first.inventory.store.inbox_rows()
    assert (row.attempts, row.status) == (1, "pending")
    first.system.close()
    again = open_shop()
    again.failures["A1"] = 1
    run(again.system.run())
    [row] = again.inventory.store.inbox_rows()
    assert (row.attempts, row.status) == (3, "done")


def test_ids_never_collide_when_the_same_seed_opens_the_file_again(open_shop: Open) -> None:
    ids: list[UUID] = []
    for session in range(3):
        shop = open_shop()
        ids += run(shop.place(*(f"{session}-{i}" for i in range(3))))
        run(shop.system.run())
        shop.system.close()
    assert len(set(ids)) == 9
    open_shop().agree()


def test_the_first_opening_of_a_file_draws_the_ids_of_a_store_in_memory(open_shop: Open) -> None:
    assert run(open_shop().place("A1")) == run(open_shop("memory://").place("A1"))


def test_the_virtual_clock_goes_on_at_the_latest_time_of_the_store(open_shop: Open) -> None:
    first = open_shop()
    run(first.system.advance(3600))
    run(first.place("A1"))
    run(first.system.run())
    left = first.system.now()
    first.system.close()
    assert open_shop().system.now() == left


def test_the_virtual_clock_goes_on_after_what_only_an_event_tells(open_shop: Open) -> None:
    first = open_shop()
    run(first.system.advance(60))
    with first.system.current():
        run(first.inventory.save(Order("no message")))
    left = first.system.now()
    first.system.close()
    assert open_shop().system.now() == left


def test_a_virtual_clock_of_ones_own_goes_on_at_the_latest_time_too(open_shop: Open) -> None:
    first = open_shop(clock=VirtualClock(START))
    run(first.system.advance(60))
    run(first.place("A1"))
    first.system.close()
    assert open_shop(clock=VirtualClock(START)).system.now() == START + timedelta(seconds=60)


def test_the_virtual_clock_goes_on_at_the_latest_time_of_a_modules_own_store(url: str) -> None:
    for expected in (START, START + timedelta(seconds=60)):
        system = System(seed=7)
        orders = system.module("orders", store=url)
        assert system.now() == expected
        run(system.advance(60))
        run(orders.save(Order("A1")))
        system.close()


def test_the_clock_of_a_new_file_starts_where_it_is_told_to(open_shop: Open) -> None:
    start = datetime(2013, 2, 8, tzinfo=UTC)
    assert open_shop(start=start).system.now() == start


def test_two_modules_whose_names_differ_in_case_keep_apart(url: str) -> None:
    system = System(seed=7, store=url)
    for name in ("shop", "Shop", "sqlite_x", "a.b-c"):
        run(system.module(name).save(Order(name)))
    counts = system.events().groupby("module").size()
    system.close()
    assert dict(counts) == {"shop": 1, "Shop": 1, "sqlite_x": 1, "a.b-c": 1}


def test_two_systems_on_one_file_see_each_other_s_work(open_shop: Open) -> None:
    one, other = open_shop(), open_shop()
    [order_id] = run(one.place("A1"))
    assert run(other.orders.get(Order, order_id)).number == "A1"
    run(other.system.run())
    one.agree()


def test_a_stale_aggregate_is_refused_whoever_was_faster(open_shop: Open) -> None:
    one, other = open_shop(), open_shop()
    [order_id] = run(one.place("A1"))
    mine, theirs = run(one.orders.get(Order, order_id)), run(other.orders.get(Order, order_id))
    mine.note("mine")
    theirs.note("theirs")
    run(one.orders.save(mine))
    with pytest.raises(ConcurrencyError, match=r"[Ll]oad it again"):
        run(other.orders.save(theirs))
    assert run(other.orders.get(Order, order_id)).notes == 1


def test_a_command_is_tried_again_when_another_process_was_faster(open_shop: Open) -> None:
    one, other = open_shop(), open_shop()
    [order_id] = run(one.place("A1"))

    async def both() -> None:
        await asyncio.gather(
            one.system.send(NoteOrder(order_id, "one")),
            other.system.send(NoteOrder(order_id, "other")),
        )

    run(both())
    assert run(one.orders.get(Order, order_id)).notes == 2


def tables(shop: Shop) -> dict[str, pd.DataFrame]:
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
    with shop.system.current():
        await _rough_day(shop, shop.system)


async def _rough_day(shop: Shop, system: System) -> None:
    system.network.loss, system.network.duplicates, system.network.reorder = 0.2, 0.3, 0.2
    system.network.latency = (0.01, 0.2)
    shop.failures.update({"A1": 2, "A3": 99})
    ids = await shop.place(*(f"A{i}" for i in range(12)))
    await shop.orders.bus.publish(OrderCreated("later"), at=system.now() + timedelta(hours=1))
    await shop.orders.bus.publish(OrderCreated("same key 1"), key="k")
    await shop.orders.bus.publish(OrderCreated("same key 2"), key="k")
    for point in ("before_commit", "after_commit"):
        system.faults.crash(point, module="inventory")
    for point in ("before_publish", "after_publish", "before_ack"):
        system.faults.crash(point)
    await system.run()
    shop.failures.clear()
    await system.replay_dead_letters()
    await system.run()
    await system.send(NoteOrder(ids[0], "in the end"))


def test_the_same_day_in_memory_and_in_a_file_gives_the_same_tables(open_shop: Open) -> None:
    in_memory, in_file = open_shop("memory://"), open_shop()
    run(rough_day(in_memory))
    run(rough_day(in_file))
    expected, found = tables(in_memory), tables(in_file)
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(frame, found[name], obj=name)
    assert set(found["ledger"].outcome) == {"done"}


def test_the_same_day_in_sqlite_without_a_file_gives_the_same_tables(open_shop: Open) -> None:
    in_memory, without_file = open_shop("memory://"), open_shop("sqlite:///:memory:")
    run(rough_day(in_memory))
    run(rough_day(without_file))
    pd.testing.assert_frame_equal(tables(in_memory)["ledger"], tables(without_file)["ledger"])


def test_a_system_lives_in_real_time_on_a_file(open_shop: Open) -> None:
    shop = open_shop(clock=SystemClock())

    async def live() -> None:
        async with shop.system:
            await shop.place("A1", "A2", "A3")

    run(live())
    shop.agree()


def test_rows_that_were_delivered_long_ago_are_dropped_and_their_positions_never_used_again(
    open_shop: Open,
) -> None:
    shop = open_shop()
    run(shop.place("A1", "A2"))
    run(shop.system.run())
    run(shop.system.advance(1))
    assert run(shop.system.purge(older_than=timedelta(0))) == 2
    shop.system.close()
    again = open_shop()
    run(again.place("A3"))
    assert list(again.system.outbox().position) == [3]


def test_encryption_and_compression_are_chosen_by_eventsourcing_s_own_variables(
    open_shop: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eventsourcing.cipher import AESCipher

    monkeypatch.setenv("CIPHER_KEY", AESCipher.create_key(16))
    monkeypatch.setenv("COMPRESSOR_TOPIC", "eventsourcing.compressor:ZlibCompressor")
    shop = open_shop()
    run(shop.place("not to be read"))
    run(shop.system.advance(60))
    with shop.system.current():
        run(shop.inventory.save(Order("nor this")))
    left = shop.system.now()
    [stored, *_] = shop.orders.stored_events()
    assert b"not to be read" not in stored.state
    shop.system.close()
    again = open_shop()
    assert again.recorded("orders", "Order.Placed") == ["not to be read"]
    assert again.system.now() == left


def test_the_two_synchronous_settings_reach_sqlite(url: str) -> None:
    for option, expected in (("", 2), ("?synchronous=NORMAL", 1), ("?synchronous=full", 2)):
        system = System(store=url + option)
        store: Any = system.module("orders").store
        [(found,)] = store._datastore.select("PRAGMA synchronous")
        run(system.module("orders").save(Order("A1")))
        [(writing,)] = store._datastore.connections.current().execute("PRAGMA synchronous")
        system.close()
        assert (found, writing) == (expected, expected)


@pytest.mark.parametrize(
    "bad",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite://shop.db",
        "sqlite://host/shop.db",
        "sqlite:///folder/",
        "sqlite:///shop.db?timeout=soon",
        "sqlite:///shop.db?timeout=-1",
        "sqlite:///shop.db?timeout=inf",
        "sqlite:///shop.db?synchronous=OFF",
        "sqlite:///shop.db?mode=ro",
        "sqlite:///shop.db?timeout=1&timeout=2",
        "sqlite:///a%00b.db",
    ],
)
def test_a_url_that_says_something_else_is_refused(bad: str) -> None:
    with pytest.raises(StoreURLError):
        System(store=bad)


def test_a_relative_url_means_a_file_below_the_current_folder(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    system = System(store="sqlite:///here%3F.db")
    system.close()
    assert (tmp_path / "here?.db").is_file()


def test_a_store_that_was_closed_says_so(shop: Shop) -> None:
    shop.system.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        run(shop.place("A1"))
    shop.system.close()


def test_one_module_may_have_a_file_of_its_own(open_shop: Open, tmp_path: Any) -> None:
    system = System(seed=7, store=f"sqlite:///{tmp_path}/one.db")
    other = system.module("stock", store=f"sqlite:///{tmp_path}/two.db?timeout=1")
    run(other.save(Order("A1")))
    run(system.module("orders").save(Order("A2")))
    system.close()
    assert (tmp_path / "one.db").is_file()
    assert (tmp_path / "two.db").is_file()


def test_types_come_back_equal_from_a_file(open_shop: Open) -> None:
    class Priced(Aggregate):
        @event("Set")
        def __init__(self, price: Decimal, at: datetime, tags: frozenset[str]) -> None:
            self.price, self.at, self.tags = price, at, tags

    shop = open_shop()
    at = datetime(2013, 2, 8, 12, 30, 0, 7, tzinfo=UTC)
    with shop.system.current():
        priced = Priced(Decimal("1.10"), at, frozenset({"a", "b"}))
    run(shop.orders.save(priced))
    found = run(shop.orders.get(Priced, priced.id))
    assert (str(found.price), found.at, found.tags) == ("1.10", at, frozenset({"a", "b"}))


def test_a_store_error_is_an_error_of_the_store() -> None:
    with pytest.raises(StoreError):
        System(store="sqlite:///no/such/folder/shop.db")
    with pytest.raises(StoreUnavailableError, match="folder has to exist"):
        System(store="sqlite:///no/such/folder/shop.db")
    assert PlaceOrder("A1") == PlaceOrder("A1")
