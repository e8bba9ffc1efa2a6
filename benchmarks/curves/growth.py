"""What a message costs, and how much memory a process takes, after 10,000 and 1,000,000 messages.

In memory one process really sends them all, or as many as it can in the time that it is given. A
file is filled beforehand, and a process opens it and sends some more.

python -m benchmarks.curves.growth memory 1000000 60
python -m benchmarks.curves.growth file sqlite:////folder/file.db
python -m benchmarks.curves.growth frame sqlite:////folder/file.db 10000
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.curves.filled import messages_file, orders_file
from benchmarks.curves.points import flat, points
from benchmarks.curves.stores import SIZES
from benchmarks.end_to_end import place_all, two_modules
from benchmarks.harness import NotHereError, Row, Subject, Work
from benchmarks.marks import Mark
from benchmarks.peers.messaging import totals
from modulus_es import System

CHECKPOINTS = (10_000, 100_000, 300_000, 1_000_000)
FILES = (10_000, 100_000, 1_000_000)
CHUNK = 5_000
SECONDS, QUICK_SECONDS = 900, 10
Point = dict[str, float]


def megabytes() -> float:
    """What this process has taken at most."""
    # getrusage() knows only the peak that a process inherits from the one that started it.
    try:
        status = Path("/proc/self/status").read_text("utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak) / 1024


async def in_memory(upto: int, seconds: float) -> list[Point]:
    """Send without end in one process; the cost at a checkpoint is that of the half before it.

    So what happens seldom has its share in it: that the garbage collector goes through
    everything, and that a table grows.
    """
    seen: list[Decimal] = []
    system = System(seed=7)
    two_modules(system, seen, saving=False)
    wanted = totals(CHUNK)
    began, found = time.monotonic(), []
    spent: dict[int, tuple[float, float]] = {}
    for sent in range(CHUNK, upto + 1, CHUNK):
        seen.clear()
        await place_all(system, wanted)
        if seen != wanted:
            raise AssertionError(f"{len(seen)} of {CHUNK} messages came, or in another order")
        spent[sent] = cpu, wall = time.process_time(), time.perf_counter()
        if sent in CHECKPOINTS:
            half = sent // 2
            point = {"cpu": (cpu - spent[half][0]) / half, "wall": (wall - spent[half][1]) / half}
            found.append({"messages": sent, **point, "megabytes": megabytes()})
        if time.monotonic() - began > seconds:
            break
    held = sum(1 for _ in system["inventory"].store.inbox_rows())
    if found and held < found[-1]["messages"]:
        raise AssertionError(f"the inbox holds {held} messages")
    return found


async def on_file(url: str) -> list[Point]:
    """Open a file and send some messages."""
    seen: list[Decimal] = []
    system = System(seed=7, store=url)
    two_modules(system, seen, saving=False)
    await place_all(system, totals(100))
    seen.clear()
    wanted = totals(500)
    cpu, wall = time.process_time(), time.perf_counter()
    await place_all(system, wanted)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if seen != wanted:
        raise AssertionError(f"{len(seen)} of 500 messages came, or in another order")
    return [{"cpu": cpu / 500, "wall": wall / 500, "megabytes": megabytes()}]


async def frame(url: str, events: int) -> list[Point]:
    """Make the table of a file's events."""
    system = System(seed=7, store=url)
    system.module("orders")
    System(seed=7).events()  # imports pandas
    cpu, wall = time.process_time(), time.perf_counter()
    made = system.events()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if len(made) < events:
        raise AssertionError(f"{len(made)} rows of {events}")
    size = float(made.memory_usage(deep=True).sum()) / 2**20
    found = {"cpu": cpu / len(made), "wall": wall / len(made), "megabytes": megabytes()}
    return [found | {"of them the table": size}]


async def child(*arguments: str) -> Any:
    """What a process of its own measures."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.curves.growth",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return json.loads(said)


class Grown:
    """One long run in memory, whose points are the rows."""

    def __init__(self) -> None:
        self._points: dict[float, Point] | None = None

    async def at(self, messages: int, work: Work) -> None:
        """The cost after so many messages; the first call lets the run happen."""
        if self._points is None:
            quick = work.count == 1
            upto, seconds = (20_000, QUICK_SECONDS) if quick else (CHECKPOINTS[-1], SECONDS)
            points = await child("memory", str(upto), str(seconds))
            self._points = {point["messages"]: point for point in points}
        point = self._points.get(messages)
        if point is None:
            raise NotHereError(f"{messages:,} messages are not sent in the time that there is")
        work.took(point["cpu"] * work.count, point["wall"] * work.count)
        work.note("megabytes", point["megabytes"])
        work.did(work.count)


async def filled(messages: int, work: Work) -> None:
    """A process that opens a file of so many messages."""
    (point,) = await child("file", await messages_file(messages))
    work.took(point["cpu"] * work.count, point["wall"] * work.count)
    work.note("megabytes", point["megabytes"])
    work.did(work.count)


async def framed(events: int, work: Work) -> None:
    """A process that makes the table of a file of so many events."""
    url, _ = await orders_file(events)
    (point,) = await child("frame", url, str(events))
    work.took(point["cpu"] * events, point["wall"] * events)
    for what in ("megabytes", "of them the table"):
        work.note(what, point[what])
    work.did(1)


def subjects() -> list[Subject]:
    """In memory, where all of it is kept, and in a file, where memory has to be bounded."""
    grown = Grown()
    return [
        Subject(
            "curve-growth-memory",
            "A message end to end in memory, after so many in one process",
            "messages",
            "cpu",
            100,
            [
                Row(f"{n:,}", "ours", partial(grown.at, n), x=n, long=n > 10_000)
                for n in CHECKPOINTS
            ],
            against="10,000",
            marks=[Mark("1,000,000", "cost", 1.1, "10,000")],
            note="The store in memory keeps every message, and so memory grows with them.",
            rounds=0.1,
            quick=1,
            axis="messages before",
            figure="growth",
        ),
        Subject(
            "curve-growth-file",
            "A message end to end in a file, after so many",
            "messages",
            "cpu",
            1,
            [Row(f"{n:,}", "ours", partial(filled, n), x=n, long=n > 10_000) for n in FILES],
            against="10,000",
            marks=[Mark("1,000,000", "cost", 1.1, "10,000")],
            # Two processes after each other differ by more than the mark.
            rounds=3,
            quick=1,
            axis="messages before",
            figure="growth",
        ),
        Subject(
            "curve-store-frame",
            "system.events(), of a file, in a process of its own",
            "events",
            "cpu",
            1,
            [replace(row, per=int(row.x or 1)) for row in points(framed, SIZES, 100_000)],
            against=f"{SIZES[0]:,}",
            marks=flat(SIZES),
            rounds=0.3,
            quick=1,
            axis="events in the store",
            figure="stores",
        ),
    ]


if __name__ == "__main__":
    if sys.argv[1] == "memory":
        print(json.dumps(asyncio.run(in_memory(int(sys.argv[2]), float(sys.argv[3])))))
    elif sys.argv[1] == "frame":
        print(json.dumps(asyncio.run(frame(sys.argv[2], int(sys.argv[3])))))
    else:
        print(json.dumps(asyncio.run(on_file(sys.argv[2]))))
