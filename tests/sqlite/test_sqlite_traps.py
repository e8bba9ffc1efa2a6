"""Traps in the ground that is built on, each stepped into: SQLite's, and those of pools."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from shop import Order, Shop, run

from modulus_es import StoreUnavailableError
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.url import parse

Open = Callable[..., Shop]


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def test_a_purge_leaves_the_place_of_the_newest_message_until_there_is_a_newer_one(
    open_shop: Open, url: str
) -> None:
    def in_the_file() -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(path_of(url))) as connection:
            return connection.execute(
                "SELECT position, kind, message_id, length(body) FROM modulus_outbox_orders"
            ).fetchall()

    shop = open_shop()
    for number, place in ((1, 2), (2, 3)):
        run(shop.place(f"A{number}", f"B{number}") if number == 1 else shop.place(f"A{number}"))
        run(shop.system.run())
        run(shop.system.advance(1))
        assert run(shop.system.purge(timedelta(0))) == (2 if number == 1 else 1)
        assert run(shop.system.purge(timedelta(0))) == 0
        assert list(shop.orders.store.outbox_rows()) == []
        shop.system.close()
        assert in_the_file() == [(place, "purged", "", 0)]
        shop = open_shop()
    run(shop.place("A3"))
    assert [row.position for row in shop.orders.store.outbox_rows()] == [4]


def test_control_a_plain_rowid_is_used_again() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE events (body)")
        connection.execute("INSERT INTO events VALUES (1), (2)")
        connection.execute("DELETE FROM events WHERE rowid = 2")
        connection.execute("INSERT INTO events VALUES (3)")
        assert connection.execute("SELECT max(rowid) FROM events").fetchone() == (2,)


def test_a_dump_that_is_read_again_keeps_every_position(
    open_shop: Open, url: str, tmp_path: Path
) -> None:
    shop = open_shop()
    run(shop.place("A1", "A2", "A3"))
    shop.system.close()
    with closing(sqlite3.connect(path_of(url))) as connection:
        connection.execute("DELETE FROM modulus_events_orders WHERE position = 2")
        connection.commit()
        dump = "\n".join(connection.iterdump())
        marks = [
            (name, connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("application_id", "user_version")
        ]
    restored = tmp_path / "restored.db"
    with closing(sqlite3.connect(restored)) as connection:
        connection.executescript(dump)
        for name, value in marks:
            connection.execute(f"PRAGMA {name} = {value}")
        connection.commit()
    again = open_shop(f"sqlite:///{restored}")
    assert [stored.id for stored in again.orders.stored_events()] == [1, 3]
    run(again.place("A4"))
    assert [stored.id for stored in again.orders.stored_events()] == [1, 3, 4]


def test_a_store_without_a_file_is_the_same_in_every_thread() -> None:
    shop = Shop("sqlite:///:memory:")
    run(shop.place("A1"))
    found: list[object] = []

    def use() -> None:
        run(shop.orders.save(Order("A2")))
        found.extend(shop.recorded("orders", "Order.Placed"))

    thread = Thread(target=use)
    thread.start()
    thread.join(20)
    assert found == ["A1", "A2"]
    shop.system.close()


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_who_waits_for_a_lock_waits_by_no_clock_that_can_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    path = tmp_path / "shop.db"
    datastore = Datastore(parse(f"sqlite:///{path}?timeout=20"))
    datastore.write(lambda cursor: cursor.execute("CREATE TABLE seen (n)"))
    real, waiting = time.time, Event()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")

        def write() -> None:
            waiting.set()
            datastore.write(lambda cursor: cursor.execute("INSERT INTO seen VALUES (1)"))

        thread = Thread(target=write)
        thread.start()
        assert waiting.wait(20)
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        thread.join(0.05)
        assert thread.is_alive()
        other.execute("COMMIT")
    thread.join(20)
    assert datastore.select("SELECT count(*) FROM seen")[0][0] == 1
    datastore.close()


def test_a_limit_of_a_wait_is_kept_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.db"
    datastore = Datastore(parse(f"sqlite:///{path}?timeout=0.1"))
    datastore.write(lambda cursor: cursor.execute("CREATE TABLE seen (n)"))
    real, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() - 3600 * next(calls))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="was locked for"):
            datastore.write(lambda cursor: cursor.execute("INSERT INTO seen VALUES (1)"))
    datastore.close()


def test_who_waited_in_vain_is_not_told_how_it_was_found_out(open_shop: Open, url: str) -> None:
    shop = open_shop(f"{url}?timeout=0.01")
    with closing(sqlite3.connect(path_of(url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="was locked for") as raised:
            run(shop.place("A1"))
    # A notebook shows all that an error happened inside of.
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None


def test_the_environment_names_no_other_file_and_no_other_code(
    open_shop: Open, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.db"
    for name, value in {
        "SQLITE_DBNAME": str(other),
        "ORDERS_SQLITE_DBNAME": str(other),
        "PERSISTENCE_MODULE": "payload",
        "APPLICATION_RECORDER_TOPIC": "payload:Recorder",
    }.items():
        monkeypatch.setenv(name, value)
    shop = open_shop()
    run(shop.place("A1"))
    run(shop.system.run())
    shop.agree()
    assert not other.exists()
    assert path_of(url).exists()
