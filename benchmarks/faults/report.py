"""What a scenario answers, and how it is shown."""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import modulus_es


@dataclass(frozen=True)
class Outcome:
    """The figures of one scenario, and those of the same without the protection."""

    runs: int
    holds: bool
    control: str
    control_failed: bool
    recorded: int | None = None
    delivered: int | None = None
    effects: int | None = None
    lost: int | None = None
    duplicated: int | None = None
    out_of_order: int | None = None
    seconds_to_recover: float | None = None
    note: str = ""


Run = Callable[[bool, Path], Outcome]


@dataclass(frozen=True)
class Scenario:
    """One line of the matrix: ``run(full, folder)`` injects its fault."""

    number: int
    title: str
    fault: str
    run: Run


SCENARIOS: dict[int, Scenario] = {}

NEED_A_SERVER = {
    2: "kill -9 in a loop of saves, PostgreSQL",
    3: "database server stopped at once",
    4: "reply to COMMIT lost",
    11: "eight processes create the schema together, PostgreSQL",
    19: "tailing relay under eight writers, PostgreSQL",
    25: "broker down for a minute and an hour",
    26: "broker killed in mid-flow",
    27: "nobody listens, or a queue is deleted by hand",
    28: "broker never confirms",
    29: "consumer of a broker killed",
    31: "SIGTERM with prefetched messages",
}

WITHOUT_A_SERVER = {
    1: "kill -9 in a loop of saves and deliveries, SQLite",
    5: "interrupt storm on a cell",
    6: "exception at every line, memory store",
    7: "task cancelled in a save",
    8: "disk full",
    9: "store cannot be opened once",
    10: "eight processes save at once",
    12: "another process holds the lock",
    13: "lease holder frozen",
    14: "save fails, caller tries again",
    15: "fork after use",
    16: "clock jumps",
    17: "hostile payloads",
    18: "snapshot fails after the commit",
    20: "four relays on one outbox",
    21: "parallel workers",
    22: "relay killed",
    23: "slow transport",
    24: "poisoned rows",
    30: "handler that always fails",
    32: "inbox purged, then a dead letter replayed",
    33: "stored rows altered by hand",
    34: "backup and restore, replay from history",
    35: "delivered rows kept",
    36: "bad network",
    37: "kernel killed in mid-run",
    38: "hostile envelopes",
    39: "hostile file",
    40: "folder read-only, file damaged",
}


def scenario(number: int, fault: str) -> Callable[[Run], Run]:
    """Register a function as the scenario of that number."""

    def register(run: Run) -> Run:
        SCENARIOS[number] = Scenario(number, WITHOUT_A_SERVER[number], fault, run)
        return run

    return register


COLUMNS = (
    "#",
    "scenario",
    "fault",
    "runs",
    "recorded",
    "delivered",
    "effects",
    "lost",
    "duplicated",
    "out of order",
    "recovery, s",
    "holds",
    "control",
)


def cells(scenario: Scenario, outcome: Outcome) -> list[str]:
    """One row of the table."""
    figures = (
        outcome.recorded,
        outcome.delivered,
        outcome.effects,
        outcome.lost,
        outcome.duplicated,
        outcome.out_of_order,
    )
    recovery = outcome.seconds_to_recover
    failed = "fails" if outcome.control_failed else "DOES NOT FAIL"
    return [
        str(scenario.number),
        scenario.title,
        scenario.fault,
        f"{outcome.runs:,}",
        *("" if figure is None else f"{figure:,}" for figure in figures),
        "" if recovery is None else f"{recovery:.2f}",
        "yes" if outcome.holds else "NO",
        f"{failed}: {outcome.control}",
    ]


def as_text(scenario: Scenario, outcome: Outcome) -> str:
    """One row for a terminal."""
    shown = zip(COLUMNS[2:], cells(scenario, outcome)[2:], strict=True)
    said = "; ".join(f"{name} {value}" for name, value in shown if value)
    return f"   {said}" + (f"\n   {outcome.note}" if outcome.note else "")


_said = [time.monotonic()]


def progress(done: int, of: int) -> None:
    """Say now and then how far a long scenario is."""
    if time.monotonic() - _said[-1] > 10:
        _said.append(time.monotonic())
        print(f"   {done:,} of {of:,}", flush=True)


PREFACE = """\
# Reliability, measured

This page is written by `make faults`. Each scenario injects its fault for real and counts what came
of it. The truth is kept outside of the store under test: in a file that is flushed to the disk
after each line, or in the driver's memory. The control is the same fault against the usual way to
write such code; it has to fail, because a scenario whose control passes proves nothing.

*Recorded* are messages in the outbox, or commits where a scenario sends none; *delivered* are
those that an inbox holds; *effects* are what the consumers' stores recorded because of them. *Lost*
counts what was acknowledged and is gone, *duplicated* effects that happened more than once.
*Recovery* is the longest time, in seconds, from the end of the fault until everything was done. A
figure that a scenario does not have is left out. Scenarios can be run by themselves
(`python -m benchmarks.faults --only 1,22`), which writes nothing: this page comes from one run. In
20, 21, 30 and 36 the fault is simulated, on the virtual clock; in 16 the clock that jumps is the
one that the systems are given. *Holds: NO* is a promise that is not kept.
"""


def as_markdown(
    rows: list[tuple[Scenario, Outcome]], broke_off: dict[int, str], minutes: float
) -> str:
    """The page of the documentation."""
    lines = [PREFACE, f"Measured in one run of {minutes:.0f} minutes on {environment()}.", ""]
    lines.append(f"| {' | '.join(COLUMNS)} |")
    lines.append(f"|{'---|' * len(COLUMNS)}")
    for scenario, outcome in rows:
        lines.append(f"| {' | '.join(cells(scenario, outcome))} |")
    notes = [(s.number, o.note) for s, o in rows if o.note]
    if notes:
        lines += ["", "## Remarks", "", *(f"- {number}: {note}" for number, note in notes)]
    if broke_off:
        lines += ["", "## Broke off", ""]
        lines += [f"- {n}, {WITHOUT_A_SERVER[n]}: {why}." for n, why in broke_off.items()]
    not_measured = WITHOUT_A_SERVER.keys() - SCENARIOS.keys()
    if not_measured:
        lines += ["", "## Not measured", ""]
        lines += [f"- {number}, {WITHOUT_A_SERVER[number]}." for number in sorted(not_measured)]
    lines += ["", "## With a server", "", "These need a database server or a broker:", ""]
    lines += [f"- {number}, {title}." for number, title in NEED_A_SERVER.items()]
    return "\n".join(lines) + "\n"


def environment() -> str:
    """The machine and the versions, in general terms."""
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"eventsourcing {version('eventsourcing')}, {datetime.now(UTC):%Y-%m-%d}; "
        f"the sources of modulus_es, hashed, begin with {hash_of_the_package()}"
    )


def hash_of_the_package() -> str:
    """Which sources were measured."""
    package = Path(modulus_es.__file__).parent
    hashed = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        hashed.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return hashed.hexdigest()[:12]
