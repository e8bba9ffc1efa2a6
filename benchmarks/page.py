"""Writes docs/performance.md and its pictures from the results, as they were last measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.report import short_time, verdict

Result = dict[str, Any]

PREFACE = """\
# Performance, measured

`make bench` writes this page: no figure on it is written by hand. Rows of one table did the same
work in the same process, in turns, so that whatever slows the machine down slows all of them. The
figure is the median of the rounds, and the spread half the distance between their quartiles. Each
round starts with a fresh system in a fresh folder, and when it has been timed its outcome is looked
at: how many messages came, in which order, with which contents. A row that did less than it says
is an error and has no figure.

Time is CPU time, where the work is computing, and wall time, where it waits for the disk. What is
measured of modulus_es are its default settings: trace, outbox, inbox and validation are on, and a
file is written with `synchronous=FULL`. What is faster by an option has a row of its own. The
limits are the same work written out bare: the loop, the queue, and sqlite3 with the same bytes in
as many transactions.

*x* is how many times as long a row takes as the row that has 1.00, round by round.
"""

SECTIONS = (
    ("publish", "Publish a domain event", ("publish-10",)),
    ("save", "Save", ("save-memory-1", "save-file-1")),
    ("rebuild", "Rebuild", ("rebuild-memory", "rebuild-file")),
    ("end-to-end", "End to end", ("end-to-end-memory", "end-to-end-file")),
    ("import", "Import", ()),
    ("first", "The first picture", ()),
    ("view", "Large views", ()),
)

CURVES = (
    ("aggregates", "Long aggregates"),
    ("stores", "Full stores"),
    ("outbox", "Delivered messages kept"),
    ("handlers", "Handlers"),
    ("modules", "Modules"),
    ("trace", "The trace"),
    ("growth", "After a million messages"),
    ("layout", "Layouts"),
)


def load(folder: Path) -> list[Result]:
    """Everything that was measured."""
    return [json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))]


def write(results: Sequence[Result], page: Path, pictures: Path) -> None:
    """Write the page, and its pictures beside it."""
    by_key = {result["key"]: result for result in results}
    lines = [PREFACE, *_measured_on(results), *_marks(results)]
    for prefix, title, drawn in SECTIONS:
        chosen = [r for r in results if r["key"].startswith(prefix) and not r["axis"]]
        if not chosen:
            continue
        lines += [f"## {title}", ""]
        if panels := [by_key[key] for key in drawn if key in by_key]:
            name = f"performance-{prefix}.svg"
            plots.bars(panels, pictures / name)
            lines += [f"![{title}]({pictures.name}/{name})", ""]
        for result in chosen:
            lines += _table(result)
    drawn_curves = [r for r in results if r["axis"]]
    if drawn_curves:
        lines += ["## How cost grows", ""]
    for figure, title in CURVES:
        chosen = [r for r in drawn_curves if r["figure"] == figure]
        if chosen:
            name = f"performance-{figure}.svg"
            plots.lines(chosen, pictures / name)
            lines += [f"### {title}", "", f"![{title}]({pictures.name}/{name})", ""]
            for result in chosen:
                lines += _table(result)
    page.write_text("\n".join(lines).rstrip() + "\n", "utf-8")


def _measured_on(results: Sequence[Result]) -> list[str]:
    known = ("machine", "python", "sqlite", "date")
    lines = []
    for said in dict.fromkeys(json.dumps(result["machine"]) for result in results):
        machine = json.loads(said)
        rest = [f"{name} {version}" for name, version in machine.items() if name not in known]
        where = f"Measured on {machine['date']}, on {machine['machine']}"
        versions = ", ".join([f"Python {machine['python']}", f"SQLite {machine['sqlite']}", *rest])
        lines += [f"{where}. Versions: {versions}.", ""]
    if loads := [result["load"] for result in results if result.get("load") is not None]:
        said = f"The load average was {min(loads)} to {max(loads)}; this run is 1 of it."
        lines += [
            f"{said} Where it is above the number of processors, take wall times lightly.",
            "",
        ]
    return lines


def _marks(results: Sequence[Result]) -> list[str]:
    lines = ["## The marks", "", "| subject | mark | figure | met |", "|---|---|---|---|"]
    verdicts = [mark["met"] for result in results for mark in result["marks"]]
    for result in results:
        for mark in result["marks"]:
            figure = "" if mark["figure"] is None else verdict(mark).rpartition(",")[0]
            met = {True: "yes", False: "**no**", None: "not measured"}[mark["met"]]
            lines.append(f"| {result['title']} | {mark['mark']} | {figure} | {met} |")
    missed, unknown = verdicts.count(False), verdicts.count(None)
    said = f"{len(verdicts)} marks: {missed} not met, {unknown} not measured."
    return [*lines, "", said, ""]


def _table(result: Result) -> list[str]:
    clock = "CPU time" if result["clock"] == "cpu" else "wall time"
    title = result["title"] if not result["axis"] else f"{result['title']}, by {result['axis']}"
    also = [name for row in result["rows"] for name in row.get("also", {})]
    also = list(dict.fromkeys(also))
    heads = ["", "time for one", f"{result['unit']}/s", "spread", "x", *also]
    if result["clock"] == "wall":
        heads.append("of it CPU")
    lines = [f"**{title}** ({clock})", "", _cells(heads), _cells(["---"] * len(heads))]
    for row in result["rows"]:
        if "seconds" not in row:
            why = row.get("skipped") or f"error: {row['error']}"
            lines.append(_cells([row["name"], why, *[""] * (len(heads) - 2)]))
            continue
        times = "" if row["times"] is None else f"{row['times']:,.2f}"
        cells = [row["name"], short_time(row["seconds"]), _rate(row["per_second"])]
        cells += [f"{row['spread']:.0%}", times]
        cells += [f"{row['also'].get(name, 0):,.0f}" for name in also]
        if result["clock"] == "wall":
            cells.append(short_time(row["cpu_seconds"]))
        lines.append(_cells(cells))
    return [*lines, "", *([result["note"], ""] if result["note"] else [])]


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.2g}"


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
