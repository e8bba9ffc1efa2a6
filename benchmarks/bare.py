"""SQLite by itself: the rows that modulus_es writes, in as many transactions, and nothing else.

The rows are taken from a file that modulus_es wrote, and so are the tables and their indexes, so
that the limit writes the same bytes. It encodes nothing, decides nothing and handles nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import orders
from benchmarks.harness import Work
from modulus_es import System

Row = tuple[Any, ...]


class Written(NamedTuple):
    """What a run of modulus_es left in its file: the tables and, of each, the rows."""

    schema: tuple[str, ...]
    rows: dict[str, list[Row]]


def read_file(path: Path) -> Written:
    """Take a store's file apart."""
    with sqlite3.connect(path) as connection:
        made = connection.execute(
            "SELECT sql, type, name FROM sqlite_master WHERE sql IS NOT NULL "
            "AND name NOT LIKE 'sqlite%' ORDER BY type DESC"
        ).fetchall()
        rows = {
            name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall()
            for _, kind, name in made
            if kind == "table"
        }
    connection.close()
    return Written(tuple(sql for sql, _, _ in made), rows)


def written_by(run: Callable[[System], Any]) -> Written:
    """What modulus_es writes into a fresh file in this run."""
    with tempfile.TemporaryDirectory() as folder:
        system = System(seed=7, store=f"sqlite:///{folder}/ours.db?synchronous=NORMAL")
        asyncio.run(run(system))
        system.close()
        return read_file(Path(folder) / "ours.db")


def open_bare(folder: Path, schema: Sequence[str], synchronous: str) -> sqlite3.Connection:
    """A file with those tables, as a store of ours is opened."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA page_size=1024")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    for statement in schema:
        connection.execute(statement)
    return connection


def insert_into(table: str, row: Row) -> str:
    """The statement that writes such a row."""
    return f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(row))})'


@lru_cache(maxsize=8)
def saved_orders(count: int, lines: int) -> Written:
    """What saving so many orders with so many lines writes."""

    async def run(system: System) -> None:
        module = system.module("orders")
        orders.project_placed(module)
        for _ in range(count):
            order = orders.Order(orders.CUSTOMER, orders.PRICE)
            await module.save(orders.with_lines(order, lines))

    return written_by(run)


async def save(lines: int, synchronous: str, work: Work) -> None:
    """Insert an order's events and its message in one transaction each."""
    written = await asyncio.to_thread(saved_orders, work.count, lines)
    events = written.rows["modulus_events_orders"]
    messages = written.rows["modulus_outbox_orders"]
    connection = open_bare(work.folder, written.schema, synchronous)
    insert_event = insert_into("modulus_events_orders", events[0])
    insert_message = insert_into("modulus_outbox_orders", messages[0])
    size = lines + 1
    with work.timed():
        for number, message in enumerate(messages):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(insert_event, events[number * size : (number + 1) * size])
            connection.execute(insert_message, message)
            connection.execute("COMMIT")
    connection.close()
    found = read_file(work.folder / "bare.db")
    work.did(len(found.rows["modulus_outbox_orders"]))
    work.same("rows", found.rows["modulus_events_orders"], events)
