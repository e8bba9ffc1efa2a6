"""Interrupts, cancellations and exceptions in the middle of a save."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate as StockAggregate
from eventsourcing.popo import POPOApplicationRecorder

from benchmarks.faults.report import Outcome, progress, scenario
from benchmarks.faults.shop import Order, PlaceOrder, look, shop, start, url_of
from modulus_es import System


class ChildDiedError(Exception):
    """A child process ended without an answer."""


def answer_of(target: Callable[..., None], *arguments: Any) -> Any:
    """What a child process answers; in a process of its own, signals hurt nobody else."""
    ours, theirs = get_context("forkserver").Pipe()
    child = start(target, theirs, *arguments)
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        child.join()
        raise ChildDiedError(f"{target.__name__} ended with status {child.exitcode}") from None
    child.join()
    return answer


# 5: interrupts


def _storm(times: int, longest: float, cell: Callable[[], None]) -> int:
    """Interrupt a cell at random moments, so many times; answers how many cells that took."""
    random, hits, cells, armed = Random(5), 0, 0, False

    def ring(number: int, frame: FrameType | None) -> None:
        if armed:  # and not between two cells
            signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, ring)
    while hits < times and cells < 20 * times:
        cells += 1
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, longest))
            cell()
            armed = False
        except KeyboardInterrupt:
            armed = False
            hits += 1
            progress(hits, times)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return cells


def interrupted_cells(answer: Connection, url: str, times: int) -> None:
    """Interrupt cells that place orders and deliver; afterwards do it twenty times in peace."""
    system = shop(url)
    # As a kernel's, this loop lets KeyboardInterrupt through, and lives on.
    loop = asyncio.new_event_loop()
    stored: list[int] = []
    errors: list[str] = []
    dropped = 0
    numbers = iter(range(10**9))

    async def cell() -> None:
        for _ in range(8):
            number = next(numbers)
            result = await system.send(PlaceOrder(number))
            stored.extend([number] if result else [])
        await system.run()

    def once() -> None:
        nonlocal dropped
        try:
            task = loop.create_task(cell())
            try:
                loop.run_until_complete(task)
            except KeyboardInterrupt:
                # As a kernel does: the cell that is interrupted goes on no longer.
                task.cancel()
                _, forgotten = loop.run_until_complete(asyncio.wait([task], timeout=1))
                for each in forgotten:
                    # The interrupt came while asyncio was about to wake it, which it then
                    # never does, nor ends it: so the rest of the cell is dropped.
                    each.get_coro().close()
                    dropped += 1
                raise
        except Exception as error:
            errors.append(repr(error))

    cells = _storm(times, 0.012, once)
    before = len(errors)
    for _ in range(20):
        once()
    worked = 20 - (len(errors) - before)
    loop.run_until_complete(_run(system))
    loop.close()
    found = look(system)
    unknown = [n for n in stored if n not in found.orders]
    answer.send((cells, before, worked, found, len(unknown), dropped))


def interrupted_plainly(answer: Connection, path: Path, times: int) -> None:
    """The same storm on a save with nothing but sqlite3."""
    connection = sqlite3.connect(path, isolation_level=None)
    # Where a commit waits for the disk most interrupts come while it does, and wait for its end.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE saved (n INTEGER)")

    def save() -> None:
        for _ in range(500):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO saved VALUES (1)")
            connection.execute("COMMIT")

    def once() -> None:
        try:
            save()
        except sqlite3.OperationalError:
            return

    _storm(times, 0.012, once)
    worked = 0
    for _ in range(20):
        try:
            save()
            worked += 1
        except sqlite3.OperationalError:
            continue
    answer.send(worked)


@scenario(5, "SIGINT at random moments of cells that save and deliver")
def interrupt_storm(full: bool, folder: Path) -> Outcome:
    times = 1000 if full else 40
    cells, errors, worked, found, unknown, dropped = answer_of(
        interrupted_cells, url_of(folder / "shop.db"), times
    )
    plainly = answer_of(interrupted_plainly, folder / "plain.db", times)
    return Outcome(
        runs=times,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=unknown + found.missing,
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        holds=not (errors or unknown or found.torn or found.missing or found.repeated)
        and worked == 20
        and cells < 20 * times
        and found.reconciled,
        control=f"sqlite3 without holding interrupts off: {plainly} of 20 later saves work",
        control_failed=plainly < 20,
        note=f"{cells:,} cells were run for {times:,} interrupts that hit; {errors} errors "
        f"during the storm, {worked} of 20 later cells work. {dropped} of the interrupts came "
        "while asyncio was about to wake a cell, which it then forgets: those were dropped.",
    )


# 6: an exception at every line


class BrokenError(Exception):
    """Raised where no line of the program raises."""


def raise_at(line: int, where: Callable[[str], bool], work: Callable[[], None]) -> bool:
    """Do the work, and raise before its n-th line; answers whether it had so many."""
    left = line

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if not where(frame.f_code.co_filename):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise BrokenError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except BrokenError:
        pass
    finally:
        sys.settrace(before)
    return left <= 0


class ObviousRecorder(POPOApplicationRecorder):
    """An outbox in memory as one would write it first."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: list[str] = []

    def _insert_events(self, stored_events: Any, **kwargs: Any) -> Any:
        positions = super()._insert_events(stored_events, **kwargs)
        for stored in stored_events:
            self.outbox.append(str(stored.originator_id))
        return positions


@scenario(6, "an exception before every line of a save in turn")
def exception_at_every_line(full: bool, folder: Path) -> Outcome:
    torn = stuck = lines = 0

    def in_memory_store(filename: str) -> bool:
        return "stores/memory" in filename or filename.endswith(("popo.py", "/commit.py"))

    while True:
        system = shop("memory://")
        loop = asyncio.new_event_loop()
        with system.current():
            order = Order(1)
        save = system["orders"].save(order)
        if not raise_at(
            lines + 1, in_memory_store, lambda loop=loop, save=save: loop.run_until_complete(save)
        ):
            loop.close()
            break
        lines += 1
        torn += bool(look(system).torn)
        loop.run_until_complete(system.send(PlaceOrder(2)))
        if order.pending_events:
            loop.run_until_complete(system["orders"].save(order))
        loop.run_until_complete(system.run())
        loop.close()
        found = look(system)
        stuck += found.orders.keys() != {1, 2} or bool(found.torn) or not found.reconciled
    obvious, points = _obvious_way()
    return Outcome(
        runs=lines,
        lost=stuck,
        holds=lines > 20 and not torn and not stuck,
        control=f"an outbox list beside eventsourcing's recorder: {obvious} of {points} points "
        "leave events and messages that disagree",
        control_failed=obvious > 0,
        note="After each exception another command is sent, and the save is tried again.",
    )


def _obvious_way() -> tuple[int, int]:
    points = inconsistent = 0
    while True:
        recorder = ObviousRecorder()
        application = Application[Any](env={"PERSISTENCE_MODULE": "eventsourcing.popo"})
        stored = application.mapper.to_stored_event(StockAggregate().pending_events[0])

        def everywhere(filename: str) -> bool:
            return filename.endswith(("popo.py", Path(__file__).name))

        if not raise_at(
            points + 1, everywhere, lambda r=recorder, s=stored: _ignored(r.insert_events([s]))
        ):
            return inconsistent, points
        points += 1
        # Its own bookkeeping is looked at: reading needs the lock that may be held.
        inconsistent += len(recorder._stored_events) != len(recorder.outbox)


def _ignored(value: object) -> None:
    """Drop a value."""


# 7: cancellations


@dataclass
class Cancelled:
    """What came of cancelled tasks."""

    runs: int = 0
    wrong: int = 0
    errors: list[str] = field(default_factory=list)
    said: int = 0
    found: Any = None


def cancelled_cells(answer: Connection, url: str, times: int) -> None:
    """Cancel cells that place orders and deliver, at random moments."""
    answer.send(asyncio.run(_cancelled_cells(url, times)))


async def _cancelled_cells(url: str, times: int) -> Cancelled:
    random, numbers, outcome = Random(7), iter(range(10**9)), Cancelled()
    system = shop(url)
    stored: list[int] = []

    async def cell() -> None:
        for _ in range(3):
            number = next(numbers)
            result = await system.send(PlaceOrder(number))
            stored.extend([number] if result else [])
        await system.run()

    while outcome.runs < times and len(outcome.errors) < 10:
        task = asyncio.create_task(cell())
        asyncio.get_running_loop().call_later(random.uniform(0.0, 0.012), task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            outcome.runs += 1
            progress(outcome.runs, times)
        except Exception as error:
            outcome.errors.append(repr(error))
        if outcome.runs % 20 == 0:
            await cell()
    for _ in range(20):
        await cell()
    outcome.said = len(stored)
    outcome.found = look(system)
    outcome.wrong = sum((Counter(stored) - outcome.found.orders).values())
    return outcome


def cancelled_saves(answer: Connection, url: str, times: int) -> None:
    """Cancel saves at random moments, while a thread of another system keeps the lock busy."""
    answer.send(asyncio.run(_cancelled_saves(url, times)))


async def _cancelled_saves(url: str, times: int) -> Cancelled:
    random, outcome = Random(8), Cancelled()
    path = Path(url.removeprefix("sqlite:///"))
    system = shop(url)
    orders = system["orders"]
    other = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    stored: set[int] = set()
    not_stored: set[int] = set()

    def hold(seconds: float) -> None:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("COMMIT")

    number = 0
    while outcome.runs < times and number < 20 * times:
        number += 1
        uow = orders.unit_of_work()

        async def save(uow: Any = uow, number: int = number) -> None:
            async with uow:
                await asyncio.sleep(0)
                uow.add(Order(number))

        holding = asyncio.create_task(asyncio.to_thread(hold, random.uniform(0, 0.004)))
        await asyncio.sleep(random.uniform(0, 0.001))
        task = asyncio.create_task(save())
        await asyncio.sleep(random.uniform(0, 0.004))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            outcome.runs += 1
            progress(outcome.runs, times)
        (stored if uow.committed else not_stored).add(number)
        await holding
    other.close()
    await system.run()
    outcome.said = len(stored)
    outcome.found = look(system)
    orders_there = outcome.found.orders.keys()
    outcome.wrong = len(stored - orders_there) + len(not_stored & orders_there)
    return outcome


def cancelled_threads(answer: Connection, path: Path, times: int) -> None:
    """The naive way: the save in a thread, and what was cancelled counts as not stored."""
    answer.send(asyncio.run(_cancelled_threads(path, times)))


async def _cancelled_threads(path: Path, times: int) -> int:
    random, cancelled = Random(7), set()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE saved (n INTEGER)")

        def save(number: int) -> None:
            with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as mine:
                mine.execute("INSERT INTO saved VALUES (?)", (number,))

        for number in range(times):
            task = asyncio.create_task(asyncio.to_thread(save, number))
            await asyncio.sleep(random.uniform(0, 0.0005))
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                cancelled.add(number)
        await asyncio.get_running_loop().shutdown_default_executor()
        return len({n for (n,) in connection.execute("SELECT n FROM saved")} & cancelled)


@scenario(7, "tasks cancelled at random moments: cells, and saves while the lock is contended")
def cancellations(full: bool, folder: Path) -> Outcome:
    times = 1000 if full else 40
    cells = answer_of(cancelled_cells, url_of(folder / "cells.db"), times)
    saves = answer_of(cancelled_saves, url_of(folder / "saves.db"), times)
    ambiguous = answer_of(cancelled_threads, folder / "naive.db", 60)
    both = (cells, saves)
    lost = sum(one.wrong + one.found.missing for one in both)
    repeated = sum(one.found.repeated for one in both)
    return Outcome(
        runs=cells.runs + saves.runs,
        recorded=sum(one.found.messages.total() for one in both),
        delivered=sum(one.found.delivered for one in both),
        effects=sum(one.found.reservations.total() for one in both),
        lost=lost,
        duplicated=repeated,
        out_of_order=sum(one.found.out_of_order for one in both),
        holds=not (lost or repeated)
        and cells.runs == saves.runs == times
        and not any(one.errors or one.found.torn for one in both)
        and all(one.found.reconciled for one in both),
        control=f"the save in a thread, cancelled: {ambiguous} of 60 are stored all the same",
        control_failed=ambiguous > 0,
        note=f"{cells.runs:,} cells and {saves.runs:,} saves were cancelled; {cells.said:,} orders "
        f"and {saves.said:,} units of work were said to be stored, {lost} of it wrong; errors: "
        f"{(cells.errors + saves.errors) or 'none'}; 20 later cells work.",
    )


# 14: a save fails, and the caller tries again


class FullError(Exception):
    """What a recorder says that cannot record now."""


def fail_once(recorder: Any, name: str, error: Exception) -> None:
    """Let a method raise at its next call, and work again afterwards."""
    method = getattr(recorder, name)

    def fails(*arguments: Any, **options: Any) -> Any:
        setattr(recorder, name, method)
        raise error

    setattr(recorder, name, fails)


@scenario(14, "a save fails, and is tried again")
def tried_again(full: bool, folder: Path) -> Outcome:
    times = 200 if full else 20
    lost = 0
    for number in range(times):
        url = url_of(folder / "shop.db") if number % 2 else "memory://"
        system = shop(url)
        lost += asyncio.run(_try_again(system, number))
    application = Application[Any](env={"PERSISTENCE_MODULE": "eventsourcing.popo"})
    aggregate = StockAggregate()
    fail_once(application.recorder, "insert_events", FullError())
    for _ in range(2):
        try:
            application.save(aggregate)
        except FullError:
            continue
    silent = not application.recorder.select_events(aggregate.id)
    return Outcome(
        runs=times,
        recorded=times - lost,
        lost=lost,
        holds=not lost,
        control="eventsourcing's Application.save: the second save says nothing and stores "
        + ("nothing" if silent else "it"),
        control_failed=silent,
    )


async def _try_again(system: System, number: int) -> int:
    orders = system["orders"]
    with system.current():
        order = Order(number)
    fail_once(orders.store, "commit", FullError())
    try:
        await orders.save(order)
    except FullError:
        await orders.save(order)
    return int(look(system).orders[number] != 1 or look(system).messages[number] != 1)


async def _run(system: System) -> None:
    await system.run()
