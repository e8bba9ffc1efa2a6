"""Measure, print the tables, and write the results and the page.

python -m benchmarks                      everything; writes benchmarks/results and the page
python -m benchmarks --quick              less of it, and no curves; writes to build/benchmarks
python -m benchmarks save rebuild-file    the subjects whose key begins so; the page keeps the rest
python -m benchmarks --only modulus       the rows whose name has that in it; writes to build
python -m benchmarks --rounds 3           fewer rounds, or more
python -m benchmarks --no-curves          without how cost grows; --curves: only that
python -m benchmarks --page               measure nothing, write the page from the last results
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import end_to_end, importing, looking, page, publish, rebuilding, saving
from benchmarks.curves import aggregates, fanout, growth, layouts, stores
from benchmarks.harness import Measured, Subject, measure
from benchmarks.report import as_text, store

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCRATCH = ROOT / "build" / "benchmarks"
PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "pictures"

ROUNDS, QUICK_ROUNDS = 5, 3


def all_subjects() -> list[Subject]:
    """Everything that is measured: first rows side by side, then curves."""
    return [
        subject
        for part in (
            publish,
            saving,
            rebuilding,
            end_to_end,
            importing,
            looking,
            aggregates,
            stores,
            fanout,
            growth,
            layouts,
        )
        for subject in part.subjects()
    ]


def run(
    subjects: Sequence[Subject], rounds: int, results: Path, *, quick: bool = False, only: str = ""
) -> list[Measured]:
    """Measure the subjects and store their results; answers the rows that are errors."""
    broken: list[Measured] = []
    for subject in subjects:
        began = time.monotonic()
        measured = measure(subject, rounds, quick=quick, only=only)
        if not measured:
            continue
        print(as_text(subject, measured), f"  [{time.monotonic() - began:.1f} s]\n", flush=True)
        store(results, subject, measured)
        broken += [each for each in measured if each.error]
    return broken


def main(arguments: list[str]) -> int:
    """Measure what is asked for; 1 where a row is an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", help="the subjects whose key begins so")
    parser.add_argument("--quick", action="store_true", help="fewer items and rounds")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    parser.add_argument("--only", default="", help="the rows whose name has this in it")
    parser.add_argument("--curves", action="store_true", help="only how cost grows")
    parser.add_argument("--no-curves", action="store_true", help="without how cost grows")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    broken: list[Measured] = []
    lasting = not (given.quick or given.only)
    if not given.page:
        wanted = tuple(given.subjects)
        short = not (wanted or given.curves)
        chosen = [
            subject
            for subject in all_subjects()
            if (not wanted or subject.key.startswith(wanted))
            and not (given.curves and not subject.axis)
            and not (subject.axis and (given.no_curves or (given.quick and short)))
        ]
        rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
        results = RESULTS if lasting else SCRATCH
        broken = run(chosen, rounds, results, quick=given.quick, only=given.only)
        print(f"{len(chosen)} subjects in {time.monotonic() - began:.0f} s", end=", ")
        print(f"rows that are errors: {len(broken)}")
    if lasting:
        order = [subject.key for subject in all_subjects()]
        found = [result for result in page.load(RESULTS) if result["key"] in order]
        found.sort(key=lambda result: order.index(result["key"]))
        page.write(found, PAGE, PICTURES)
        print(f"written: docs/{PAGE.name}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
