"""Time: a machine's clock that jumps, and a transport that takes longer than a claim lasts."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import struct
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

from eventsourcing import persistence
from eventsourcing.sqlite import SQLiteDatastore

from benchmarks.faults.report import Outcome, progress, scenario
from benchmarks.faults.shop import Book, PlaceOrder, look, shop, start, url_of, wait_for
from modulus_es import Envelope, System, SystemClock, leases, relay

# 16: the clock jumps


class Offset:
    """How far the machine's clock is off, for all processes that look at one file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_RDWR)
        if os.fstat(self._file).st_size == 0:
            self.jump(0.0)

    def jump(self, seconds: float) -> None:
        """Let the clock be off by so much from now on."""
        os.pwrite(self._file, struct.pack("d", seconds), 0)

    def now(self) -> float:
        """By how many seconds it is off."""
        return float(struct.unpack("d", os.pread(self._file, 8, 0))[0])


class JumpingClock(SystemClock):
    """The machine's clock, when somebody sets it."""

    def __init__(self, offset: Offset) -> None:
        self._offset = offset

    def now(self) -> datetime:
        """The time that the machine tells."""
        return super().now() + timedelta(seconds=self._offset.now())


def live_while_it_jumps(url: str, book: Path, offset: Path, first: int, count: int) -> None:
    """Place orders, and relay and deliver live, until everything is done."""
    outside, off, real = Book(book), Offset(offset), time.time
    time.time = lambda: real() + off.now()
    clock = JumpingClock(off)

    def take_a_while(number: int) -> None:
        outside.note("begun", number)
        if number == 0:
            # Who begins meanwhile must not take it for left behind.
            wait_for(lambda: any(stored >= count for stored in outside.counts("stored")))
            time.sleep(0.2)
        time.sleep(0.003)

    system = shop(url, clock=clock, meanwhile=take_a_while)
    asyncio.run(_live(system, outside, first, count))


async def _live(system: System, outside: Book, first: int, count: int) -> None:
    async with system:
        for number in range(first, first + count):
            try:
                await system.send(PlaceOrder(number))
                outside.note("stored", number)
            except Exception:
                outside.note("error", number)
            await asyncio.sleep(0.01)
        outside.note("placed", first)
        await asyncio.to_thread(wait_for, lambda: bool(outside.counts("end")), 300, 0.1)


@scenario(16, "the clock of two live processes on one file set an hour forth and back, again")
def clock_jumps(full: bool, folder: Path) -> Outcome:
    jumps, count = (60, 300) if full else (10, 20)
    random = Random(16)
    url, book, file = url_of(folder / "shop.db"), folder / "book", folder / "offset"
    outside, offset = Book(book), Offset(file)
    shop(url).close()
    # The second one begins when the clock is wrong, and knows of no jump.
    children = [start(live_while_it_jumps, url, book, file, 0, count)]
    wait_for(lambda: bool(outside.counts("begun")))
    offset.jump(3600.0)
    children.append(start(live_while_it_jumps, url, book, file, count, count))
    wait_for(lambda: any(number >= count for number in outside.counts("stored")))
    done = 0
    while done < jumps or len(outside.counts("placed")) < 2:
        done += 1
        offset.jump(random.choice([-3600.0, 3600.0]) if done % 3 else 0.0)
        time.sleep(0.1)
        progress(done, jumps)
    offset.jump(0.0)
    began = time.monotonic()
    system = shop(url)
    wait_for(lambda: look(system).reservations.total() >= 2 * count, seconds=120, pause=0.2)
    recovery = time.monotonic() - began
    outside.note("end", 0)
    for child in children:
        child.join(30)
    found = look(system)
    begun = outside.counts("begun")
    twice = sum(n - 1 for n in begun.values())
    errors = outside.counts("error").total()
    false, tries = _pool_while_it_jumps(folder / "naive.db", 30 if full else 6)
    return Outcome(
        runs=done,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=2 * count - len(found.reservations),
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        seconds_to_recover=recovery,
        holds=not (found.torn or found.missing or found.repeated or errors or twice)
        and found.reconciled
        and all(child.exitcode == 0 for child in children),
        control=f"eventsourcing's pool of connections, which looks at the wall clock: {false} of "
        f"{tries} waits for a connection time out",
        control_failed=false > 0,
        note=f"{errors} saves failed; {twice} of {begun.total():,} deliveries were begun by both "
        "processes. The clock is the one that a system is given.",
    )


def _pool_while_it_jumps(path: Path, jumps: int) -> tuple[int, int]:
    """Wait for the one connection of a pool while the wall clock jumps forth."""
    datastore = SQLiteDatastore(str(path), pool_size=1, max_overflow=0, pool_timeout=60)
    real, off = time.time, [0.0]
    kept = persistence.time  # type: ignore[attr-defined]
    persistence.time = lambda: real() + off[0]  # type: ignore[attr-defined]
    said: list[bool] = []

    def use() -> None:
        try:
            with datastore.get_connection(commit=False):
                time.sleep(0.005)
            said.append(True)
        except persistence.PersistenceError:
            said.append(False)

    try:
        for _ in range(jumps):
            waiting = [Thread(target=use) for _ in range(8)]
            for thread in waiting:
                thread.start()
            time.sleep(0.01)
            off[0] += 3600
            for thread in waiting:
                thread.join()
    finally:
        persistence.time = kept  # type: ignore[attr-defined]
        datastore.close()
    return said.count(False), len(said)


# 23: a slow transport


def relay_slowly(
    url: str, book: Path, pause: float, lease: float | None, renewing: bool, orders: int
) -> None:
    """Relay live over a transport that takes so long for each message."""
    if lease is not None:
        leases.LEASE = relay.LEASE = timedelta(seconds=lease)
    if not renewing:
        leases.Carried.renew = _leave_it  # type: ignore[method-assign]
    outside = Book(book)
    system = shop(url, clock=SystemClock())
    transport: Any = system.transport
    publish = transport.publish
    path = url.removeprefix("sqlite:///")

    async def publish_slowly(envelopes: Sequence[Envelope]) -> list[Exception | None]:
        answers: list[Exception | None] = []
        for envelope in envelopes:
            outside.note("sent", envelope.position)
            await asyncio.sleep(pause / 2)
            if not await asyncio.to_thread(_can_write, path):
                outside.note("locked", envelope.position)
            await asyncio.sleep(pause / 2)
            answers += await publish([envelope])
        return answers

    transport.publish = publish_slowly
    asyncio.run(_relay_until_done(system, outside, orders))


async def _leave_it(self: leases.Carried, owner: str) -> None:
    """Let a claim run out."""


def _can_write(path: str) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=2, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    return True


async def _relay_until_done(system: System, outside: Book, orders: int) -> None:
    async with system:
        await asyncio.to_thread(
            wait_for, lambda: look(system).reservations.total() >= orders, 300, 0.2
        )
        outside.note("end", 0)


def relayed_slowly(
    folder: Path, pause: float, lease: float | None, renewing: bool
) -> tuple[Any, Book, float]:
    """Two processes relay eight messages; what they found, what was sent, and how long it took."""
    folder.mkdir()
    url, outside = url_of(folder / "shop.db"), Book(folder / "book")
    asyncio.run(_place_eight(url))
    began = time.monotonic()
    children = [
        start(relay_slowly, url, folder / "book", pause, lease, renewing, 8) for _ in range(2)
    ]

    def is_over() -> bool:
        sent = outside.counts("sent")
        return outside.counts("end").total() == 2 or (not renewing and sent.total() > len(sent) + 3)

    wait_for(is_over, seconds=300, pause=0.1)
    for child in children:
        # Without renewing they would take the messages from each other for ever.
        child.join(30 if renewing else 0)
        child.kill()
    return look(shop(url)), outside, time.monotonic() - began


async def _place_eight(url: str) -> None:
    system = shop(url)
    for number in range(8):
        await system.send(PlaceOrder(number))
    system.close()


@scenario(23, "6 s for each message in a batch of eight, two relaying processes, leases of 30 s")
def slow_transport(full: bool, folder: Path) -> Outcome:
    pause, lease = (6.0, None) if full else (0.3, 1.0)
    found, outside, took = relayed_slowly(folder / "renewed", pause, lease, True)
    _, control, _ = relayed_slowly(folder / "not-renewed", pause, lease, False)
    sent, naive = outside.counts("sent"), control.counts("sent")
    twice = sent.total() - len(sent)
    locked = outside.counts("locked").total()
    return Outcome(
        runs=8,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=found.missing,
        duplicated=twice,
        out_of_order=found.out_of_order,
        holds=not (twice or locked or found.missing or found.repeated) and found.reconciled,
        control=f"the same without renewing the claims: {len(naive)} messages are "
        f"sent {naive.total()} times, and it does not end",
        control_failed=naive.total() > len(naive),
        note=f"Duplicated counts what was sent twice. It took {took:.0f} s; {locked} times could "
        "somebody else not write to the file while a message was on its way.",
    )
