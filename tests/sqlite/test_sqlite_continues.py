"""A store in a file goes on where it was, whoever opens it next."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shop import Order, PlaceOrder, Shop, run

from modulus_es import (
    StoreError,
    StoreUnavailableError,
    StoreURLError,
    System,
    VirtualClock,
)
from modulus_es.clock import START

Open = Callable[..., Shop]


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


def test_a_store_error_is_an_error_of_the_store() -> None:
    with pytest.raises(StoreError):
        System(store="sqlite:///no/such/folder/shop.db")
    with pytest.raises(StoreUnavailableError, match="folder has to exist"):
        System(store="sqlite:///no/such/folder/shop.db")
    assert PlaceOrder("A1") == PlaceOrder("A1")
