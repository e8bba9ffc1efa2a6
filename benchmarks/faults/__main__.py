"""Run the scenarios, print their table, and write docs/reliability.md.

python -m benchmarks.faults              all, in full
python -m benchmarks.faults --short      all, in their short form; writes nothing
python -m benchmarks.faults 1 22         some; writes nothing
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.faults.everything import SCENARIOS
from benchmarks.faults.report import Outcome, Scenario, as_markdown, as_text

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def main(arguments: list[str]) -> int:
    full = "--short" not in arguments
    named = [int(argument) for argument in arguments if argument.isdigit()]
    rows: list[tuple[Scenario, Outcome]] = []
    failures: dict[int, str] = {}
    for number in named or sorted(SCENARIOS):
        scenario = SCENARIOS[number]
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                outcome = scenario.run(full, Path(folder))
        except Exception as error:
            failures[number] = f"the scenario itself failed with {type(error).__name__}: {error}"
            print(f"{number:>2} {scenario.title}: {failures[number]}", flush=True)
            continue
        rows.append((scenario, outcome))
        print(as_text(rows[-1:]), f"[{time.monotonic() - began:.1f} s]", flush=True)
    if full and not named:
        PAGE.write_text(as_markdown(rows, failures), "utf-8")
        print(f"written: docs/{PAGE.name}")
    bad = [s.number for s, o in rows if not (o.holds and o.control_failed)]
    print(f"{len(rows)} scenarios, {len(bad) + len(failures)} not as they should be", bad or "")
    return 1 if bad or failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
