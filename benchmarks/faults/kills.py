"""Processes killed with SIGKILL, at random moments."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.faults.report import Outcome, progress, scenario
from benchmarks.faults.shop import (
    Book,
    OrderCreated,
    PlaceOrder,
    System,
    look,
    shop,
    start,
    url_of,
    wait_for,
)


def place_and_deliver(url: str, book: Path, first: int, naive: bool) -> None:
    """Place orders for ever; with every third one the messages are delivered.

    The naive way saves the order, and then, in a second transaction, its message.
    """
    asyncio.run(_place_and_deliver(shop(url, projected=not naive), Book(book), first, naive))


async def _place_and_deliver(system: System, book: Book, number: int, naive: bool) -> None:
    while True:
        number += 1
        book.note("try", number)
        await system.send(PlaceOrder(number))
        if naive:
            await system["orders"].bus.publish(OrderCreated(number))
        book.note("stored", number)
        if number % 3 == 0:
            await system.run()


def kill_often(url: str, book: Path, kills: int, naive: bool, random: Random) -> int:
    """Start, and kill after a while, so many times; answers how many died as they should."""
    killed = 0
    for life in range(kills):
        progress(life, kills)
        tried = Book(book).counts("try")
        size = book.stat().st_size
        child = start(place_and_deliver, url, book, max(tried, default=0), naive)
        wait_for(lambda size=size: book.stat().st_size > size)
        time.sleep(random.uniform(0, 0.2))
        child.kill()
        child.join()
        killed += child.exitcode == -9
    return killed


@scenario(1, "kill -9 at random moments of commands and deliveries")
def kill_in_a_loop(full: bool, folder: Path) -> Outcome:
    random, kills = Random(1), 200 if full else 6
    url, book = url_of(folder / "shop.db"), folder / "book"
    killed = kill_often(url, _empty(book), kills, False, random)
    began = time.monotonic()
    system = shop(url)
    asyncio.run(_run(system))
    recovery = time.monotonic() - began
    found = look(system)
    stored, tried = Book(book).counts("stored"), Book(book).counts("try")
    lost = sum((stored - found.orders).values())
    invented = sum((found.orders - tried).values())
    naive_url, naive_book = url_of(folder / "naive.db"), folder / "naive-book"
    _empty(naive_book)
    for _ in range(4 if full else 10):
        kill_often(naive_url, naive_book, 10, True, random)
        wrong = look(shop(naive_url, projected=False))
        if wrong.torn and not full:
            break
    return Outcome(
        runs=killed,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=lost + found.missing,
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        seconds_to_recover=recovery,
        holds=killed == kills
        and not (lost or invented or found.torn or found.missing or found.repeated)
        and found.reconciled,
        control=f"event and message in two transactions: {wrong.torn} of "
        f"{wrong.orders.total():,} events without message",
        control_failed=wrong.torn > 0,
        note=f"{stored.total():,} saves were acknowledged, all of them are there; "
        f"{found.torn} events without message or messages without event.",
    )


def relay_for_ever(url: str, book: Path) -> None:
    """Relay and deliver what waits; the handler also leaves a line outside of its store."""
    outside = Book(book)
    system = shop(url, meanwhile=lambda number: outside.note("effect", number))
    asyncio.run(_run(system))
    outside.note("end", 0)


@scenario(22, "kill -9 of the process that relays and delivers")
def kill_the_relay(full: bool, folder: Path) -> Outcome:
    random, kills = Random(22), 57 if full else 4
    url, book = url_of(folder / "shop.db"), folder / "book"
    _empty(book)
    placed, killed, recovery = 0, 0, 0.0
    each = 60 if full else 20
    for life in range(kills):
        progress(life, kills)
        asyncio.run(_place(shop(url), range(placed, placed + each)))
        placed += each
        lines = book.read_text().count("\n")
        wanted = random.randint(1, each // 3)
        began = time.monotonic()
        child = start(relay_for_ever, url, book)
        wait_for(lambda lines=lines: book.read_text().count("\n") > lines)
        if killed:
            recovery = max(recovery, time.monotonic() - began)
        wait_for(lambda lines=lines, n=wanted: book.read_text().count("\n") >= lines + n, pause=0)
        child.kill()
        child.join()
        killed += child.exitcode == -9
    outside = Book(book)
    system = shop(url, meanwhile=lambda number: outside.note("effect", number))
    asyncio.run(_run(system))
    found = look(system)
    sent_twice = sum(count - 1 for count in outside.counts("effect").values())
    return Outcome(
        runs=killed,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=placed - len(found.reservations),
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        seconds_to_recover=recovery,
        holds=len(found.reservations) == placed and not found.repeated and found.reconciled,
        control=f"the same handler's effect in a file, outside of the store's transaction: "
        f"{sent_twice} of {placed:,} happened twice",
        control_failed=sent_twice > 0,
        note="Recovery is the time from starting a process to its first delivery.",
    )


async def _run(system: System) -> None:
    await system.run()


async def _place(system: System, numbers: range) -> None:
    for number in numbers:
        await system.send(PlaceOrder(number))


def _empty(path: Path) -> Any:
    path.touch()
    return path
