"""Measures rows side by side: rounds interleaved, and the outcome of every round checked.

A row is an async function of a `Work`. It sets up, does the work inside ``with work.timed():``,
and then tells what came of it, counted from the outcome and not from its own loop. A row that
was not timed, did another number of things than it was asked to, or found something else than
it should have, is an error and not a figure.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.marks import Mark


class WorkNotDoneError(Exception):
    """A row did not do what it says."""


class NotHereError(Exception):
    """What a row needs is not there: a package that is not installed, an option to come."""


class Work:
    """One round of one row: ``count`` is how many items it has to do, ``folder`` its own."""

    def __init__(self, count: int, folder: Path) -> None:
        self.count, self.folder = count, folder
        self.cpu = self.wall = -1.0
        self.also: dict[str, float] = {}
        self._done: int | None = None
        self._wrong: list[str] = []

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time the block; a row has exactly one."""
        if self.wall >= 0:
            raise WorkNotDoneError("timed twice")
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.cpu, self.wall = time.process_time() - cpu, time.perf_counter() - wall

    def took(self, cpu: float, wall: float) -> None:
        """The times of a row that is a process of its own, and has timed itself."""
        if self.wall >= 0:
            raise WorkNotDoneError("timed twice")
        self.cpu, self.wall = cpu, wall

    def note(self, what: str, figure: float) -> None:
        """Keep something else that was measured, such as the memory that it took."""
        self.also[what] = figure

    def did(self, count: int) -> None:
        """Say how many items were done, counted from the outcome."""
        self._done = count

    def same(self, what: str, found: object, wanted: object) -> None:
        """Compare a part of the outcome with what it has to be."""
        if found != wanted:
            self._wrong.append(f"{what}: {_short(found)} instead of {_short(wanted)}")

    def check(self) -> None:
        """Raise `WorkNotDoneError` unless the work was timed, complete and right."""
        wrong = list(self._wrong)
        if self.wall < 0:
            wrong.append("nothing was timed")
        if self._done != self.count:
            wrong.append(f"{self._done} items were done instead of {self.count}")
        if wrong:
            raise WorkNotDoneError("; ".join(wrong))


@dataclass(frozen=True)
class Row:
    """One way to do the work of a subject.

    ``kind`` is ours, option (ours, not by default), peer, limit, or part (of the
    work of another row). ``share`` lets a slow one do less of the work: its
    figures are an item's all the same.
    """

    name: str
    kind: str
    run: Callable[[Work], Awaitable[None]]
    share: float = 1.0
    x: float | None = None
    """Where the row is on a curve."""
    per: int = 0
    """How many units there are in one item of this row; 0 where the subject says it."""
    long: bool = False
    """Whether a quick run leaves it out, and a full one does not warm it up."""


@dataclass(frozen=True)
class Subject:
    """Rows that do the same work.

    ``clock`` is cpu, or wall for work that waits. ``per`` is how many units, as
    shown, there are in one item of the count. Where the rows are the points of a
    curve, ``axis`` says what of, and ``figure`` names the picture that it is in.
    """

    key: str
    title: str
    unit: str
    clock: str
    count: int
    rows: Sequence[Row]
    against: str
    marks: Sequence[Mark] = ()
    note: str = ""
    per: int = 1
    quick: int = 0
    """How many items in a quick run; a fifth unless it is said."""
    rounds: float = 1
    """How many times as many rounds it has as others."""
    axis: str = ""
    figure: str = ""


@dataclass
class Measured:
    """The rounds of one row, in seconds a unit; or why there are none."""

    name: str
    kind: str
    count: int
    per: int = 1
    x: float | None = None
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    also: dict[str, float] = field(default_factory=dict)
    error: str = ""
    skipped: str = ""

    def rounds(self, clock: str) -> list[float]:
        """Seconds a unit, round by round."""
        return self.cpu if clock == "cpu" else self.wall


def measure(
    subject: Subject, rounds: int, *, quick: bool = False, only: str = ""
) -> list[Measured]:
    """Run the rows in turns. The first, short turn warms up, and is no figure."""
    asked = (subject.quick or max(1, subject.count // 5)) if quick else subject.count
    chosen = [row for row in subject.rows if only in row.name and not (quick and row.long)]
    pairs = [(row, _unmeasured(row, subject, asked)) for row in chosen]
    for number in range(max(1, round(rounds * subject.rounds)) + 1):
        if number == 1:
            # What all of them have imported belongs to no row: the collector need not look at it.
            gc.collect()
            gc.freeze()
        # Nobody is always first, nor always behind the same other one.
        shift = number % len(pairs) if pairs else 0
        for row, measured in pairs[shift:] + pairs[:shift]:
            if measured.error or measured.skipped or (row.long and number == 0):
                continue
            count = max(1, measured.count // 10) if number == 0 else measured.count
            try:
                work = once(row, count)
            except NotHereError as reason:
                measured.skipped = str(reason)
            except Exception as error:
                measured.error = f"{type(error).__name__}: {error}"
            else:
                if number:
                    measured.cpu.append(work.cpu / count / measured.per)
                    measured.wall.append(work.wall / count / measured.per)
                    measured.also |= work.also
    gc.unfreeze()
    return [measured for _, measured in pairs]


def _unmeasured(row: Row, subject: Subject, asked: int) -> Measured:
    count = max(1, round(asked * row.share))
    return Measured(row.name, row.kind, count, row.per or subject.per, row.x)


def once(row: Row, count: int) -> Work:
    """One round of one row, in an event loop and a folder of its own, its outcome checked."""
    # Beside the checkout and not in /tmp, which may be in memory.
    place = Path("build")
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, prefix="bench-") as folder:
        work = Work(count, Path(folder).absolute())
        asyncio.run(_run(row, work))
    work.check()
    return work


async def _run(row: Row, work: Work) -> None:
    await row.run(work)


def ratio(over: Measured, under: Measured, clock: str) -> float | None:
    """How many times longer ``over`` takes: the median of the rounds, each against its own."""
    pairs = list(zip(over.rounds(clock), under.rounds(clock), strict=False))
    return median(a / b for a, b in pairs) if pairs and not (over.error or under.error) else None


def spread(values: Sequence[float]) -> float:
    """Half the distance between the quartiles, as a share of the median."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return (ordered[-1 - quarter] - ordered[quarter]) / 2 / median(ordered)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."
