"""Stores that hold much already: some of it written by modulus_es, and copied many times in SQL."""

from __future__ import annotations

import atexit
import os
import sqlite3
import tempfile
from functools import cache
from pathlib import Path
from uuid import UUID

from benchmarks import orders
from benchmarks.end_to_end import place_all, two_modules
from benchmarks.orders import CUSTOMER, PRICE, Order
from benchmarks.peers.messaging import totals
from modulus_es import System

ORIGINALS, EVENTS = 1000, 10
"""How many orders modulus_es itself writes, and of how many events."""


@cache
def place() -> Path:
    """A folder that is there until the process ends; on a disk, and not in /tmp."""
    Path("build").mkdir(exist_ok=True)
    folder = tempfile.TemporaryDirectory(dir="build", prefix="bench-filled-")
    atexit.register(folder.cleanup)
    return Path(folder.name).absolute()


def _copies(connection: sqlite3.Connection, table: str, keys: tuple[str, ...], times: int) -> None:
    """Copy every row of a table so often, each time with other ids.

    An id's first eight characters become the copy's number.
    """
    if times < 1:
        return
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')][1:]
    picked = ", ".join(
        f"printf('%08x', copy) || substr({c}, 9)" if c in keys else c for c in columns
    )
    connection.execute(
        f"WITH RECURSIVE copies (copy) AS (SELECT 1 UNION ALL SELECT copy + 1 FROM copies "
        f'WHERE copy < {times}) INSERT INTO "{table}" ({", ".join(columns)}) '
        f'SELECT {picked} FROM copies, (SELECT * FROM "{table}" ORDER BY position) AS original'
    )


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


def _close(connection: sqlite3.Connection, path: Path) -> None:
    """Let all of it reach the disk: who is measured next must not be kept waiting by that."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("rb+") as file:
        os.fsync(file)


_made: dict[tuple[str, int], tuple[str, list[UUID]]] = {}


async def orders_file(events: int) -> tuple[str, list[UUID]]:
    """The URL of a store with so many recorded events, and the ids of orders of ten events."""
    key = ("orders", events)
    if key not in _made:
        path = place() / f"orders-{events}.db"
        url = f"sqlite:///{path}"
        system, module = orders.our_shop(f"{url}?synchronous=NORMAL")
        originals = min(ORIGINALS, events // EVENTS)
        ids = []
        for _ in range(originals):
            order = orders.with_lines(Order(CUSTOMER, PRICE), EVENTS - 1)
            await module.save(order)
            ids.append(order.id)
        system.close()
        with _open(path) as connection:
            connection.execute("UPDATE modulus_outbox_orders SET delivered_at = created_at")
            times = events // (originals * EVENTS) - 1
            _copies(connection, "modulus_events_orders", ("originator_id",), times)
            _copies(connection, "modulus_outbox_orders", ("message_id", "key"), times)
        _close(connection, path)
        _made[key] = (url, ids)
    return _made[key]


async def messages_file(messages: int) -> str:
    """The URL of a store through which so many messages went: outbox delivered, inbox done."""
    key = ("messages", messages)
    if key not in _made:
        path = place() / f"messages-{messages}.db"
        url = f"sqlite:///{path}"
        originals = min(1000, messages)
        if originals:
            system = System(seed=7, store=f"{url}?synchronous=NORMAL")
            two_modules(system, [], saving=False)
            await place_all(system, totals(originals))
            system.close()
            with _open(path) as connection:
                times = messages // originals - 1
                _copies(connection, "modulus_events_orders", ("originator_id",), times)
                _copies(connection, "modulus_outbox_orders", ("message_id", "key"), times)
                _copies(connection, "modulus_inbox_inventory", ("message_id", "key"), times)
            _close(connection, path)
        _made[key] = (url, [])
    return _made[key][0]
