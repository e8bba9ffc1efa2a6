"""What a message costs, and how much memory a process takes, after 10,000 and 1,000,000 messages.

In memory one process really sends them all, or as many as it can in the time that it is given, and
a second one, which begins anew after 10,000, takes turns with it: a minute later the machine is
another. A file is filled beforehand, and a process opens it and sends some more.

yes | head -3 | python -m benchmarks.curves.growth memory
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
from statistics import fmean
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
BESIDE = 25  # how often the other process sends before a checkpoint, or each time
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


async def in_memory() -> None:
    """Send a chunk for each line that comes in, and say what it took; ``fresh`` begins anew."""
    seen: list[Decimal] = []
    wanted = totals(CHUNK)
    system, sent = System(seed=7), 0
    two_modules(system, seen, saving=False)
    for line in sys.stdin:
        if line.strip() == "fresh":
            system.close()
            system, sent = System(seed=7), 0
            two_modules(system, seen, saving=False)
        seen.clear()
        cpu, wall = time.process_time(), time.perf_counter()
        await place_all(system, wanted)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        sent += CHUNK
        held = system["inventory"].store.inbox_rows()
        if seen != wanted or len(tuple(held)) != sent:
            raise AssertionError(f"{len(seen)} of {CHUNK} messages came, or in another order")
        point = {"cpu": cpu / CHUNK, "wall": wall / CHUNK, "megabytes": megabytes()}
        print(json.dumps(point), flush=True)


class Sender:
    """A process that sends a chunk when it is asked."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def send(self, how: str = "more") -> Point:
        """What the next chunk costs a message, and the memory that was taken at most."""
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.curves.growth", "memory"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{how}\n".encode())
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise AssertionError("the process that sends has failed")
        found: Point = json.loads(line)
        return found

    async def stop(self) -> None:
        """Let it end."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()


async def growing(upto: int, seconds: float) -> list[Point]:
    """Send without end; the cost at a checkpoint is that of the half before it.

    So what happens seldom has its share in it: that the garbage collector goes through
    everything, and that a table grows. It is said in multiples of what the second half of
    10,000 messages cost a process that began anew at the same time; the first point is that one.
    """
    grows, begins = Sender(), Sender()
    began, found = time.monotonic(), []
    chunks: list[Point] = []
    anew: list[Point] = []
    first = 0
    try:
        for sent in range(CHUNK, upto + 1, CHUNK):
            chunks.append(await grows.send())
            last = next(n for n in CHECKPOINTS if n >= sent)
            if sent > last // 2 and sent % max(CHUNK, last // 2 // BESIDE) == 0:
                await begins.send("fresh")
                anew.append(await begins.send())
            if sent in CHECKPOINTS:
                point: Point = {"messages": sent, "megabytes": chunks[-1]["megabytes"]}
                for clock in ("cpu", "wall"):
                    half = chunks[sent // CHUNK // 2 :] if found else anew
                    cost = fmean(chunk[clock] for chunk in half)
                    point[clock] = cost / fmean(each[clock] for each in anew[first:])
                found.append(point)
                first = len(anew)
            if time.monotonic() - began > seconds:
                break
    finally:
        await grows.stop()
        await begins.stop()
    for clock in ("cpu", "wall"):
        usual = fmean(each[clock] for each in anew)
        for point in found:
            point[clock] *= usual
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
            self._points = {each["messages"]: each for each in await growing(upto, seconds)}
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
            note="The store in memory keeps every message, and so memory grows with them. The "
            "first row is a process that begins anew after 10,000. It takes turns with the one "
            "that goes on, whose rows are multiples of what it took at that time.",
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
            rounds=0.6,
            quick=1,
            axis="events in the store",
            figure="stores",
        ),
    ]


if __name__ == "__main__":
    if sys.argv[1] == "memory":
        asyncio.run(in_memory())
    elif sys.argv[1] == "frame":
        print(json.dumps(asyncio.run(frame(sys.argv[2], int(sys.argv[3])))))
    else:
        print(json.dumps(asyncio.run(on_file(sys.argv[2]))))
