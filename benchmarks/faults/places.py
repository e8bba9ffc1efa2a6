"""The file and its disk: full, gone, locked by another process, frozen, forked, altered."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from eventsourcing.sqlite import SQLiteDatastore

from benchmarks.faults.interruptions import answer_of
from benchmarks.faults.report import Outcome, scenario
from benchmarks.faults.shop import (
    Book,
    PlaceOrder,
    look,
    shop,
    start,
    url_of,
    wait_for,
)
from modulus_es import System
from modulus_es.errors import StoreError, StoreUnavailableError

# 8: a full disk


@contextmanager
def small_disk(folder: Path) -> Iterator[tuple[Path, Callable[[], None], str]]:
    """A folder that is soon full, what makes room in it, and how it was done."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode == 0:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 1_200_000)
        try:
            yield disk, ballast.unlink, "a tmpfs of 3 MB"
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
    else:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))
        try:
            yield (
                disk,
                lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before),
                "a limit on the size of files, because mount is not permitted here",
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill_the_disk(answer: Connection, folder: Path) -> None:
    """Save until it is full, a little longer, then make room and save again."""
    with small_disk(folder) as (disk, make_room, how):
        answer.send((asyncio.run(_fill(disk, make_room)), how))


async def _fill(disk: Path, make_room: Callable[[], None]) -> tuple[Any, ...]:
    system = shop(url_of(disk / "shop.db"))
    stored, clear, other, longest = set(), 0, [], 0.0
    number = 0
    while clear + len(other) < 10:
        number += 1
        began = time.monotonic()
        try:
            await system.send(PlaceOrder(number))
            if number % 5 == 0:
                await system.run()
            stored.add(number)
        except StoreUnavailableError:
            clear += 1
        except Exception as error:
            other.append(repr(error))
        longest = max(longest, time.monotonic() - began)
    make_room()
    began = time.monotonic()
    later = 0
    for _ in range(20):
        number += 1
        await system.send(PlaceOrder(number))
        later += 1
    await system.run()
    return clear, other, longest, later, stored, look(system), time.monotonic() - began


def fill_naively(answer: Connection, folder: Path) -> None:
    """Event and message in two transactions, until the disk is full."""
    with small_disk(folder) as (disk, _, _), closing(sqlite3.connect(disk / "a.db")) as connection:
        connection.execute("CREATE TABLE events (n INTEGER)")
        connection.execute("CREATE TABLE messages (n INTEGER, body BLOB)")
        for number in range(100_000):
            try:
                connection.execute("INSERT INTO events VALUES (?)", (number,))
                connection.commit()
                connection.execute("INSERT INTO messages VALUES (?, zeroblob(3000))", (number,))
                connection.commit()
            except sqlite3.Error:
                connection.rollback()
                break
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("events", "messages")
        ]
    answer.send(counts)


@scenario(8, "disk full while orders are placed and delivered")
def disk_full(full: bool, folder: Path) -> Outcome:
    (clear, other, longest, later, stored, found, recovery), how = answer_of(fill_the_disk, folder)
    naive = folder / "naive"
    naive.mkdir()
    events, messages = answer_of(fill_naively, naive)
    lost = len(stored - found.orders.keys())
    return Outcome(
        runs=clear + len(other),
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=lost + found.missing,
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        seconds_to_recover=recovery,
        holds=not (other or lost or found.torn or found.missing or found.repeated)
        and found.reconciled
        and later == 20
        and longest < 10,
        control=f"two transactions: {events - messages} of {events:,} events without message",
        control_failed=events > messages,
        note=f"The disk was {how}. {clear} clear errors, the slowest after {longest:.2f} s; with "
        f"room again {later} of 20 saves by the same system. Unexpected: {other or 'nothing'}.",
    )


# 9: a store that cannot be opened once


@scenario(9, "folder missing at the first open, and gone for a moment later")
def gone_for_a_moment(full: bool, folder: Path) -> Outcome:
    runs = 20 if full else 3
    clear = recovered = 0
    longest = 0.0
    for number in range(runs):
        place = folder / f"store-{number}"
        url = url_of(place / "shop.db")
        clear += _refused(lambda u=url: shop(u))
        place.mkdir()
        system = shop(url)
        asyncio.run(_send(system, 1))
        away = place.rename(folder / f"away-{number}")
        clear += _refused(lambda s=system: asyncio.run(_send(s, 2)))
        away.rename(place)
        began = time.monotonic()
        asyncio.run(_send(system, 3, deliver=True))
        longest = max(longest, time.monotonic() - began)
        found = look(system)
        recovered += found.orders.keys() == {1, 3} and found.reconciled
    stock = SQLiteDatastore(str(folder / "stock" / "a.db"), pool_timeout=0.2, lock_timeout=1)
    _worked(stock)
    (folder / "stock").mkdir()
    again = sum(_worked(stock) for _ in range(3))
    return Outcome(
        runs=2 * runs,
        recorded=2 * runs,
        lost=runs - recovered,
        seconds_to_recover=longest,
        holds=clear == 2 * runs and recovered == runs,
        control=f"eventsourcing's SQLiteDatastore: {again} of 3 writes after one failed open",
        control_failed=again < 3,
    )


def _refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except StoreUnavailableError:
        return True
    return False


def _worked(datastore: SQLiteDatastore) -> bool:
    try:
        with datastore.transaction(commit=True) as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
    except Exception:
        return False
    return True


async def _send(system: System, number: int, deliver: bool = False) -> None:
    await system.send(PlaceOrder(number))
    if deliver:
        await system.run()


# 12: another process holds the lock


def hold_the_lock(answer: Connection, path: Path, seconds: float) -> None:
    """Hold SQLite's write lock for so long, in a process of its own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        answer.send("held")
        time.sleep(seconds)
        connection.execute("COMMIT")


@contextmanager
def held(path: Path, seconds: float) -> Iterator[None]:
    from multiprocessing import get_context

    ours, theirs = get_context("forkserver").Pipe()
    child = start(hold_the_lock, theirs, path, seconds)
    ours.recv()
    try:
        yield
    finally:
        child.join()


@scenario(12, "the write lock held by another process")
def lock_held(full: bool, folder: Path) -> Outcome:
    runs = 10 if full else 2
    path, timeout = folder / "shop.db", 0.4
    system = shop(url_of(path, f"?timeout={timeout}"))
    asyncio.run(_send(system, 0))
    clear = waited_out = 0
    longest = 0.0
    for number in range(runs):
        with held(path, 0.15):
            asyncio.run(_send(system, 2 * number + 1))
            waited_out += 1
        with held(path, 1.0):
            began = time.monotonic()
            clear += _refused(lambda n=number: asyncio.run(_send(system, 2 * n + 2)))
            longest = max(longest, time.monotonic() - began)
    asyncio.run(_send(system, 1000, deliver=True))
    found = look(system)
    expected = {0, 1000, *range(1, 2 * runs, 2)}
    took = _read_then_write(folder / "naive.db")
    return Outcome(
        runs=2 * runs,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=len(expected - found.orders.keys()),
        duplicated=found.repeated,
        holds=waited_out == clear == runs
        and found.orders.keys() == expected
        and found.reconciled
        and longest < timeout + 2,
        control="a transaction that reads and then writes fails with 'database is locked' after "
        f"{1000 * took:.0f} ms, though it was to wait 5 s",
        control_failed=took < 1,
        note=f"A lock released in time: {waited_out} of {runs} saved. Not released: a clear error "
        f"after {longest:.2f} s at most, with a limit of {timeout} s.",
    )


def _read_then_write(path: Path) -> float:
    with (
        closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as one,
        closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as two,
    ):
        one.execute("PRAGMA journal_mode=WAL")
        one.execute("CREATE TABLE t (n INTEGER)")
        one.execute("BEGIN")
        one.execute("SELECT count(*) FROM t").fetchone()
        two.execute("INSERT INTO t VALUES (1)")
        began = time.monotonic()
        try:
            one.execute("INSERT INTO t VALUES (2)")
        except sqlite3.OperationalError:
            return time.monotonic() - began
        return 5.0


# 13: a frozen lease holder


def handle_slowly(url: str, book: Path, signals: str) -> None:
    """Deliver; the handler notes that it has begun, and is frozen there."""
    outside = Book(book)

    def begin(number: int) -> None:
        outside.note("begun", number)
        if signals == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)

    asyncio.run(_deliver(shop(url, meanwhile=begin), outside))


async def _deliver(system: System, outside: Book) -> None:
    await system.run()
    outside.note("end", 0)


@scenario(13, "SIGSTOP in a handler, the lease runs out, SIGCONT")
def frozen_holder(full: bool, folder: Path) -> Outcome:
    runs = 12 if full else 2
    effects = repeated = not_done = naive_effects = 0
    for number in range(runs):
        url, book = url_of(folder / f"shop-{number}.db"), folder / f"book-{number}"
        asyncio.run(_send(shop(url), number))
        outside = Book(book)
        child = start(handle_slowly, url, book, "freeze")
        wait_for(lambda o=outside: bool(o.counts("begun")))
        time.sleep(0.05)
        # Its virtual clock goes on to where the lease has run out.
        other = shop(url, meanwhile=lambda n, o=outside: o.note("begun", n))
        asyncio.run(_run(other))
        not_done += look(other).reservations[number] != 1
        os.kill(child.pid or 0, signal.SIGCONT)
        child.join(20)
        found = look(shop(url))
        effects += found.reservations.total()
        repeated += found.repeated
        naive_effects += outside.counts("begun").total()
    return Outcome(
        runs=runs,
        recorded=runs,
        delivered=effects,
        effects=effects,
        lost=not_done,
        duplicated=repeated,
        holds=not (not_done or repeated) and effects == runs,
        control=f"the handler's effect outside of the store: {naive_effects} for {runs} messages",
        control_failed=naive_effects > runs,
        note="The lease runs out by the virtual clock of the process that goes on.",
    )


# 15: fork after use


@scenario(15, "os.fork() after the store was used")
def fork_after_use(full: bool, folder: Path) -> Outcome:
    url = url_of(folder / "shop.db")
    said, found = answer_of(fork_and_use, url)
    count = answer_of(fork_and_count, folder / "naive.db")
    refused = said.startswith("StoreError") and "forked" in said
    return Outcome(
        runs=1,
        recorded=found.messages.total(),
        lost=2 - len(found.orders),
        holds=refused and found.orders.keys() == {1, 3},
        control=f"sqlite3 in parent and child: two increments counted as {count}, no error",
        control_failed=count != 2,
        note=f"The child is told: {said.split(':')[0]}.",
    )


def fork_and_use(answer: Connection, url: str) -> None:
    system = shop(url)
    asyncio.run(_send(system, 1))
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            asyncio.run(_send(system, 2))
            said = "nothing"
        except StoreError as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    said = os.read(read, 4000).decode()
    asyncio.run(_send(system, 3))
    answer.send((said, look(system)))


def fork_and_count(answer: Connection, path: Path) -> None:
    connection = sqlite3.connect(path, timeout=0.2, isolation_level=None)
    connection.execute("CREATE TABLE t (n INTEGER)")
    connection.execute("INSERT INTO t VALUES (0)")
    connection.execute("BEGIN IMMEDIATE")
    (n,) = connection.execute("SELECT n FROM t").fetchone()
    if (pid := os.fork()) == 0:
        try:
            _increment(connection, n)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    with suppress(sqlite3.Error):
        _increment(connection, n)
    with closing(sqlite3.connect(path)) as fresh:
        answer.send(fresh.execute("SELECT n FROM t").fetchone()[0])


def _increment(connection: sqlite3.Connection, n: int) -> None:
    connection.execute("UPDATE t SET n = ?", (n + 1,))
    connection.execute("COMMIT")


async def _run(system: System) -> None:
    await system.run()
