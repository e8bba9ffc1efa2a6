"""Measure, print the tables, and write the results.

python -m benchmarks                      everything; writes benchmarks/results and the page
python -m benchmarks --quick              a short form of it; writes to build/benchmarks
python -m benchmarks save rebuild-file    the subjects whose key begins so
python -m benchmarks --only modulus       the rows whose name has that in it
python -m benchmarks --rounds 3           fewer rounds, or more
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks import end_to_end, publish, rebuilding, saving
from benchmarks.harness import Measured, Subject, measure
from benchmarks.report import as_text, store

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SCRATCH = ROOT / "build" / "benchmarks"

ROUNDS, QUICK_ROUNDS = 7, 3


def all_subjects() -> list[Subject]:
    """Everything that is measured in rows."""
    return [
        *publish.subjects(),
        *saving.subjects(),
        *rebuilding.subjects(),
        *end_to_end.subjects(),
    ]


def main(arguments: list[str]) -> int:
    """Measure what is asked for; 1 where a row is an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", help="the subjects whose key begins so")
    parser.add_argument("--quick", action="store_true", help="fewer items and rounds")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    parser.add_argument("--only", default="", help="the rows whose name has this in it")
    given = parser.parse_args(arguments)
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    wanted = tuple(given.subjects)
    chosen = [s for s in all_subjects() if not wanted or s.key.startswith(wanted)]
    broken: list[Measured] = []
    for subject in chosen:
        began = time.monotonic()
        measured = measure(subject, rounds, quick=given.quick, only=given.only)
        print(as_text(subject, measured), f"  [{time.monotonic() - began:.1f} s]\n", flush=True)
        store(SCRATCH if given.quick or given.only else RESULTS, subject, measured)
        broken += [each for each in measured if each.error]
    print(f"{len(chosen)} subjects, rows that are errors: {len(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
