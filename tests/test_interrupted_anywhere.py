"""An interrupt before any line of ours loses nothing, repeats nothing, and leaves nothing stuck.

Python runs a signal's handler between any two instructions, so a line is a moment at which an
interrupt may come. Each is tried in a system of its own, with the real signal, so that what holds
interrupts off holds these off too.
"""

from __future__ import annotations

import asyncio
import dis
import gc
import os
import signal
import sqlite3
import sys
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import Any, Self

import pytest

import modulus_es
from modulus_es import UnitOfWork
from modulus_es.testing.shop import Order, OrderCreated, PlaceOrder, Shop

OURS = str(Path(modulus_es.__file__).parent)
NOTHING = dis.opmap["NOP"]  # no interrupt can come before one: it is there for its line alone
EVERY = int(os.environ.get("MODULUS_ES_EVERY_LINE", "97"))
"""One of so many lines is tried; 1 tries all of them, in half an hour."""

STORES = {
    "memory": ("memory://", {}),
    "file": ("sqlite:///{}/shop.db", {}),
    "file, in groups": ("sqlite:///{}/shop.db", {"group_commit": 10}),
    "file, commands at once": ("sqlite:///{}/shop.db", {"group_commit": 10}),
    "file, with a table of one's own": ("sqlite:///{}/shop.db", {}),
}


class Strike:
    """Interrupts before the n-th line of ours, or of these files, that is run inside the block."""

    def __init__(self, line: int, files: tuple[str, ...] = ()) -> None:
        self._left, self._files = line, files
        self.hit: str | None = None

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(OURS) or (self._files and not path.endswith(self._files)):
            return None
        if event == "line" and self.hit is None:
            self._left -= 1
            if self._left <= 0 and frame.f_code.co_code[frame.f_lasti] != NOTHING:
                self.hit = f"{frame.f_code.co_filename.removeprefix(OURS)}:{frame.f_lineno}"
                signal.raise_signal(signal.SIGINT)
        return self._trace


def to_its_end(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> None:
    """Run something in a loop that may have been interrupted just before it was to stop."""
    task = loop.create_task(asyncio.wait_for(work, 10))
    for _ in range(3):
        try:
            loop.run_until_complete(task)
        except RuntimeError as error:
            if "stopped before" not in str(error):
                raise
        else:
            return


def drop(loop: asyncio.AbstractEventLoop, cell: asyncio.Task[Any]) -> None:
    """As a notebook does: the cell that was interrupted goes on no longer."""

    async def ended() -> None:
        await asyncio.wait([cell])

    for _ in range(3):
        cell.cancel()
        try:
            to_its_end(loop, ended())
        except KeyboardInterrupt:  # the cell's own, once it is told
            continue
        if cell.done():
            break
    assert cell.done()
    if not cell.cancelled():
        cell.exception()


def with_a_table(shop: Shop) -> Shop:
    """The shop, where a handler keeps the numbers of orders in a table of its own."""

    async def make() -> None:
        async with shop.inventory.unit_of_work() as uow:
            uow.connection.execute("CREATE TABLE seen (number TEXT PRIMARY KEY)")

    asyncio.run(make())

    @shop.inventory.on(OrderCreated, name="see")
    async def see(created: OrderCreated, uow: UnitOfWork) -> None:
        uow.connection.execute("INSERT INTO seen VALUES (?)", (created.number,))

    return shop


def agree(shop: Shop) -> None:
    """Every order was handed over, and reached each handler once, in spite of all."""
    placed = sorted(shop.recorded("orders", "Order.Placed"))
    assert placed == sorted(set(placed))
    assert [*shop.system.outbox().status] == ["delivered"] * len(placed)
    assert sorted(shop.recorded("inventory", "Reservation.Made")) == placed
    assert set(shop.system.ledger().outcome) == {"done"}
    if len(shop.system.ledger()) > len(placed):
        store: Any = shop.inventory.store
        seen = store._datastore.select("SELECT number FROM seen ORDER BY number")
        assert [number for (number,) in seen] == placed


@contextmanager
def others_writing(shop: Shop) -> Iterator[None]:
    """Let a connection of somebody else hold the file's lock for a moment."""
    path = shop.orders.store.url.removeprefix("sqlite:///")
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = Timer(0.01, other.execute, ["COMMIT"])
    done.start()
    yield
    done.join()
    other.close()


def interrupted(shop: Shop, line: int, *, at_once: bool = False) -> Iterator[str]:
    """Interrupt a cell before that line, and work on; answers where that was, if it was."""
    loop = asyncio.new_event_loop()
    acknowledged: list[str] = []

    async def place(number: str) -> None:
        if await shop.system.send(PlaceOrder(number)):
            acknowledged.append(number)

    async def cell() -> None:
        if at_once:
            await asyncio.gather(place("A1"), place("A2"))
        else:
            await place("A1")
            await place("A2")
        await shop.system.run()

    async def work_on() -> None:
        await shop.place("A3")
        await shop.orders.save(Order("A4"))
        await shop.system.run()

    task = loop.create_task(cell())
    with Strike(line) as strike, suppress(KeyboardInterrupt):
        loop.run_until_complete(task)
    if strike.hit is not None:
        drop(loop, task)
        to_its_end(loop, work_on())
        assert {*acknowledged, "A3", "A4"} <= set(shop.recorded("orders", "Order.Placed"))
        agree(shop)
        yield strike.hit
    loop.close()


def in_shops(folder: Path, url: str, options: Mapping[str, Any]) -> Iterator[Shop]:
    """One shop after the other, each in a place of its own."""
    for number in count():
        place = folder / str(number)
        place.mkdir()
        shop = Shop(url.format(place), **options)
        yield shop
        shop.system.close()


@pytest.mark.slow
# A coroutine that was made and not awaited yet: Python says so, to nobody.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("store", STORES)
def test_an_interrupt_before_any_line_of_a_cell_loses_and_repeats_nothing(
    store: str, tmp_path: Path
) -> None:
    tried = 0
    for line, shop in zip(count(1, EVERY), in_shops(tmp_path, *STORES[store]), strict=False):
        if "table" in store:
            with_a_table(shop)
        if not list(interrupted(shop, line, at_once="at once" in store)):
            break
        tried += 1
    gc.collect()
    assert tried > 2000 // EVERY


WAITING = ("sqlite/threads.py", "sqlite/writing.py", "sqlite/batches.py", "sqlite/queue.py")
"""Where others are waited for."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("group_commit", [1, 10])
def test_who_is_interrupted_while_others_write_knows_whether_it_was_saved(
    group_commit: int, tmp_path: Path
) -> None:
    url, options = "sqlite:///{}/shop.db", {"group_commit": group_commit}
    struck: list[str] = []
    for line, shop in zip(count(1), in_shops(tmp_path, url, options), strict=False):
        loop = asyncio.new_event_loop()
        orders = [Order("A1"), Order("A2")]
        saving = [loop.create_task(shop.orders.save(order)) for order in orders]
        strike = Strike(line, WAITING)
        with others_writing(shop), strike, suppress(KeyboardInterrupt):
            loop.run_until_complete(asyncio.wait(saving))
        for cell in saving:
            drop(loop, cell)
        saved = sorted(shop.recorded("orders", "Order.Placed"))
        assert saved == [order.number for order in orders if not order.pending_events]
        to_its_end(loop, shop.orders.save(*orders))
        to_its_end(loop, shop.system.run())
        agree(shop)
        loop.close()
        if strike.hit is None:
            break
        struck.append(Path(strike.hit).name)
    gc.collect()
    assert any(place.startswith("threads.py") for place in struck)
