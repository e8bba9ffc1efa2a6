"""The figures of a subject: as a table for a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.harness import Measured, Subject, ratio, spread
from benchmarks.marks import Mark


def figures(subject: Subject, measured: Sequence[Measured]) -> dict[str, Any]:
    """A subject's result: all that the tables, the page and the plots show."""
    by_name = {each.name: each for each in measured}
    rows = []
    for each in measured:
        row: dict[str, Any] = {"name": each.name, "kind": each.kind, "count": each.count}
        if each.x is not None:
            row["x"] = each.x
        if each.error or each.skipped:
            row |= {"error": each.error} if each.error else {"skipped": each.skipped}
        else:
            rounds = each.rounds(subject.clock)
            against = by_name.get(subject.against)
            row |= {
                "seconds": median(rounds),
                "per_second": 1 / median(rounds),
                "spread": spread(rounds),
                "times": ratio(each, against, subject.clock) if against else None,
                "cpu_seconds": median(each.cpu),
                "wall_seconds": median(each.wall),
                "rounds": rounds,
                "also": each.also,
            }
        rows.append(row)
    return {
        "key": subject.key,
        "title": subject.title,
        "unit": subject.unit,
        "clock": subject.clock,
        "against": subject.against,
        "axis": subject.axis,
        "figure": subject.figure,
        "note": subject.note,
        "machine": machine.described(),
        "load": machine.load(),
        "rows": rows,
        "marks": [judged(mark, subject, by_name) for mark in subject.marks],
    }


def judged(mark: Mark, subject: Subject, by_name: dict[str, Measured]) -> dict[str, Any]:
    """A mark beside its figure; without one where a row has none."""
    row, against = by_name.get(mark.row), by_name.get(mark.against)
    figure = None
    if row is None or row.error or not row.cpu:
        pass
    elif mark.what == "rate":
        figure = 1 / median(row.rounds(subject.clock))
    elif mark.what == "within":
        figure = median(row.rounds(subject.clock)) * row.count * row.per
    elif against is not None and against.cpu:
        pair = (row, against) if mark.what == "cost" else (against, row)
        figure = ratio(*pair, subject.clock)
    met = None if figure is None else mark.met(figure)
    return {"mark": str(mark), "what": mark.what, "figure": figure, "met": met}


def as_text(subject: Subject, measured: Sequence[Measured]) -> str:
    """The table for a terminal."""
    result = figures(subject, measured)
    width = max((len(row["name"]) for row in result["rows"]), default=0)
    clock = "CPU" if subject.clock == "cpu" else "wall"
    lines = [f"{subject.title} ({subject.key}; {clock} time)"]
    for row in result["rows"]:
        if "seconds" not in row:
            said = f"skipped: {row['skipped']}" if "skipped" in row else f"ERROR: {row['error']}"
        else:
            said = (
                f"{short_time(row['seconds']):>9} {row['per_second']:>12,.0f} {subject.unit}/s"
                f"  +-{row['spread']:>4.0%}"
            )
            said += f"  {row['times']:>9.2f} x" if row["times"] is not None else ""
            said += "".join(f"  {what} {figure:,.0f}" for what, figure in row["also"].items())
            if subject.clock == "wall":
                said += f"  (CPU {short_time(row['cpu_seconds'])})"
        lines.append(f"  {row['name']:<{width}}  {said}")
    lines += [f"  mark: {mark['mark']}: {verdict(mark)}" for mark in result["marks"]]
    return "\n".join(lines)


def verdict(mark: dict[str, Any]) -> str:
    """What became of a mark, in words."""
    if mark["figure"] is None:
        return "not measured"
    figure = mark["figure"]
    shown = {"rate": f"{figure:,.0f} /s", "within": f"{figure:.2f} s"}.get(
        mark["what"], f"{figure:.2f} x"
    )
    return f"{shown}, {'met' if mark['met'] else 'NOT met'}"


def short_time(seconds: float) -> str:
    """A duration with a unit that suits it."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def store(folder: Path, subject: Subject, measured: Sequence[Measured]) -> None:
    """Write the subject's JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures(subject, measured), indent=1)
    (folder / f"{subject.key}.json").write_text(text + "\n", "utf-8")
