"""What outlives a process: kernels killed, backups restored, rows altered, rows kept."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.faults.report import Outcome, scenario
from benchmarks.faults.shop import ROOT, Order, OrderCreated, PlaceOrder, look, shop, url_of
from modulus_es import System
from modulus_es.errors import ModulusError
from modulus_es.stores.sqlite.names import names_of

CELLS = """
import os, signal
from benchmarks.faults.shop import PlaceOrder, shop

def perhaps_die(number):
    if number == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)

system = shop(url, meanwhile=perhaps_die)
placed = 1 + sum(1 for _ in system["orders"].stored_events())
for number in range(placed, placed + 6):
    await system.send(PlaceOrder(number))
await system.run()
"""


def run_notebook(url: str, dies_at: int) -> None:
    """Run the cells in a kernel of their own, which is killed where a message is handled."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    manager.start_kernel(env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        client.execute(f"url, dies_at = {url!r}, {dies_at}\n{CELLS}\nleft = True")
        deadline = time.monotonic() + 60
        while manager.is_alive() and time.monotonic() < deadline:
            try:
                reply = client.get_shell_msg(timeout=0.1)
            except Exception:  # nothing yet
                continue
            if reply["msg_type"] == "execute_reply":
                break
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@scenario(37, "SIGKILL of a Jupyter kernel in a handler, the notebook run again")
def killed_kernel(full: bool, folder: Path) -> Outcome:
    runs = 5 if full else 1
    url = url_of(folder / "shop.db")
    for number in range(runs):
        run_notebook(url, dies_at=6 * number + 3)
    run_notebook(url, dies_at=0)
    system = shop(url)
    found = look(system)
    expected = 6 * (runs + 1)
    ids = [row.envelope.message_id for row in system["orders"].store.outbox_rows()]
    forgotten = look(shop("memory://"))
    return Outcome(
        runs=runs,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=expected - len(found.reservations),
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        holds=len(found.reservations) == expected == len(set(ids))
        and not found.repeated
        and found.reconciled,
        control=f"a store in memory: {forgotten.orders.total()} of {expected} orders are there",
        control_failed=not forgotten.orders,
        note="The notebook is the same each time; ids and time go on where the file says.",
    )


# 34: backup, restore, replay


@scenario(34, "an online backup put in the file's place; history projected again")
def backup_and_restore(full: bool, folder: Path) -> Outcome:
    return asyncio.run(_backup_and_restore(folder, 500 if full else 20))


async def _backup_and_restore(folder: Path, count: int) -> Outcome:
    path = folder / "shop.db"
    system = shop(url_of(path))
    for number in range(count):
        await system.send(PlaceOrder(number))
    await system.run()
    with (
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(folder / "copy.db")) as copy,
    ):
        source.backup(copy)
    before = [row.envelope.message_id for row in system["orders"].store.outbox_rows()]
    positions = [stored.id for stored in system["orders"].stored_events()]
    began = time.monotonic()
    restored = shop(url_of(folder / "copy.db"))
    orders = restored["orders"]
    same_positions = positions == [stored.id for stored in orders.stored_events()]
    again = await orders.replay("order_created")
    await restored.run()
    recovery = time.monotonic() - began
    rows = list(orders.store.outbox_rows())
    same_ids = {row.envelope.message_id for row in rows} == set(before)
    inventory = restored["inventory"]
    effects = sum(1 for _ in inventory.stored_events())
    await restored.send(PlaceOrder(count))
    await restored.run()
    later = sum(1 for _ in inventory.stored_events())
    # The naive way to do it again: publish what history says, under fresh ids.
    for number in range(count):
        await orders.bus.publish(OrderCreated(number))
    await restored.run()
    naive = sum(1 for _ in inventory.stored_events()) - later
    return Outcome(
        runs=1,
        recorded=len(rows),
        delivered=effects,
        effects=effects,
        lost=count - effects,
        duplicated=effects - count,
        seconds_to_recover=recovery,
        holds=same_positions and same_ids and again == count == effects and later == count + 1,
        control=f"messages with fresh ids: {naive:,} of {count:,} handled again",
        control_failed=naive > 0,
        note=f"{again:,} messages were projected again, all with the ids that they had.",
    )


# 33: rows altered by hand


@scenario(33, "bytes flipped and types renamed in the events table")
def altered_rows(full: bool, folder: Path) -> Outcome:
    return asyncio.run(_altered_rows(folder, 500 if full else 50))


async def _altered_rows(folder: Path, count: int) -> Outcome:
    path = folder / "shop.db"
    system = shop(url_of(path, "?synchronous=NORMAL"))
    for number in range(count):
        await system.send(PlaceOrder(number))
    ids = [stored.originator_id for stored in system["orders"].stored_events()]
    table = names_of("orders").events
    values = [
        ("topic", "Renamed.Placed"),
        ("topic", "os:system"),
        ("state", b"\xff\x00"),
        ("state", b"{}"),
        ("state", b'{"data": '),
    ]
    bad = {count // 2 + index: value for index, value in enumerate(values)}
    with closing(sqlite3.connect(path)) as connection:
        for position, (column, value) in bad.items():
            sql = f"UPDATE {table} SET {column} = ? WHERE position = ?"
            connection.execute(sql, (value, position))
        connection.commit()
    system = shop(url_of(path, "?synchronous=NORMAL"))
    orders = system["orders"]
    loaded, named, otherwise = 0, 0, list[str]()
    for id_ in ids:
        try:
            await orders.get(Order, id_)
            loaded += 1
        except ModulusError as error:
            named += any(str(id_) in str(part) for part in _chain(error))
        except Exception as error:
            otherwise.append(type(error).__name__)
    naive = 0
    for id_ in ids:
        try:
            await orders.get(Order, id_)
        except ModulusError:
            break
        naive += 1
    try:
        shown, why = len(system.events()), ""
    except ModulusError as error:
        shown, why = 0, f" ({type(error).__name__}: one row that cannot be read hides all)"
    await system.run()
    delivered = sum(1 for _ in system["inventory"].stored_events())
    return Outcome(
        runs=len(bad),
        recorded=count,
        delivered=delivered,
        lost=count - len(bad) - loaded,
        holds=loaded == count - len(bad)
        and named == len(bad)
        and shown >= count
        and delivered == count,
        control=f"a loop that loads all and stops at the first error: {naive} of {count} loaded",
        control_failed=naive < count - len(bad),
        note=f"{named} of {len(bad)} errors name the aggregate, the others load; the table of "
        f"events shows {shown} of {count}{why}; {delivered} messages were delivered; other errors: "
        f"{otherwise or 'none'}.",
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found


# 32: a purged inbox


@scenario(32, "the inbox's done rows deleted, then dead letters replayed")
def purged_inbox(full: bool, folder: Path) -> Outcome:
    return asyncio.run(_purged_inbox(folder, 200 if full else 20))


async def _purged_inbox(folder: Path, count: int) -> Outcome:
    path = folder / "shop.db"
    system = shop(url_of(path, "?synchronous=NORMAL"))
    broken = True
    repaired: list[int] = []

    @system["inventory"].on(OrderCreated)
    def confirm(created: OrderCreated) -> None:
        if broken:
            raise OSError("the mail server is down")
        repaired.append(created.number)

    for number in range(count):
        await system.send(PlaceOrder(number))
    await system.run()
    inbox, outbox = names_of("inventory").inbox, names_of("orders").outbox
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute(f"DELETE FROM {inbox} WHERE processed_at IS NOT NULL")
        connection.commit()
        broken = False
        replayed = await system.replay_dead_letters()
        await system.run()
        effects = sum(1 for _ in system["inventory"].stored_events())
        # The naive way to try again: send the messages once more.
        connection.execute(f"UPDATE {outbox} SET delivered_at = NULL")
        connection.commit()
    again = shop(url_of(path))
    await again.run()
    twice = sum(1 for _ in again["inventory"].stored_events()) - effects
    return Outcome(
        runs=count,
        recorded=count,
        delivered=len(repaired),
        effects=effects,
        lost=count - len(repaired),
        duplicated=effects - count,
        holds=replayed == count == effects == len(repaired),
        control=f"the messages sent once more: {twice} of {count} effects happen again",
        control_failed=twice > 0,
        note="A replay runs the handlers that were dead, and no others; it needs no row of these.",
    )


# 35: delivered rows kept


@scenario(35, "delivered rows kept in the outbox, looking for work among them")
def kept_rows(full: bool, folder: Path) -> Outcome:
    return asyncio.run(_kept_rows(folder, 300_000 if full else 20_000))


async def _kept_rows(folder: Path, count: int) -> Outcome:
    path = folder / "shop.db"
    system = shop(url_of(path))
    await system.send(PlaceOrder(1))
    await system.run()
    few = await _polling(system)
    table = names_of("orders").outbox
    with closing(sqlite3.connect(path)) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        columns = ", ".join(name for name in names if name not in ("position", "message_id"))
        connection.execute(
            f"INSERT INTO {table} (message_id, {columns}) "
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
            f"SELECT 'copy-' || i, {columns} FROM {table}, n WHERE position = 1"
        )
        connection.commit()
        many = await _polling(system)
        scan = f"SELECT count(*) FROM {table} NOT INDEXED WHERE delivered_at IS NULL"
        naive = _median(lambda: connection.execute(scan).fetchone())
    return Outcome(
        runs=1,
        recorded=count,
        lost=0,
        holds=many < 20 * few,
        control=f"a search without the partial index takes {naive / few:,.0f} times as long",
        control_failed=naive > 2 * many,
        note=f"Looking for work takes {many / few:.1f} times as long as with one row.",
    )


async def _polling(system: System) -> float:
    relay = system.new_relay(system["orders"], "poll")
    taken = []
    for _ in range(200):
        began = time.perf_counter()
        await relay.work()
        taken.append(time.perf_counter() - began)
    return median(taken)


def _median(work: Any) -> float:
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)
