"""Run the scenarios, print their table, and write docs/reliability.md.

python -m benchmarks.faults              all, in full
python -m benchmarks.faults 1 22         some, in full; the page keeps the others as last measured
python -m benchmarks.faults --short      all, in their short form; writes nothing
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.everything import SCENARIOS
from benchmarks.faults.report import Outcome, Scenario, as_markdown, as_text

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "build" / "faults"
PAGE = ROOT / "docs" / "reliability.md"


def main(arguments: list[str]) -> int:
    full = "--short" not in arguments
    named = [int(argument) for argument in arguments if argument.isdigit()]
    numbers = named or sorted(SCENARIOS)
    if full:
        MEASURED.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            (MEASURED / f"{number}.json").unlink(missing_ok=True)
    wrong = []
    for number in numbers:
        scenario = SCENARIOS[number]
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                outcome = scenario.run(full, Path(folder))
        except Exception as error:
            print(f"{number:>2} {scenario.title}: broke off, {type(error).__name__}: {error}")
            wrong.append(number)
            continue
        if not (outcome.holds and outcome.control_failed):
            wrong.append(number)
        if full:
            (MEASURED / f"{number}.json").write_text(json.dumps(asdict(outcome)), "utf-8")
        print(as_text([(scenario, outcome)]), f"[{time.monotonic() - began:.1f} s]", flush=True)
    if full:
        PAGE.write_text(as_markdown(measured()), "utf-8")
        print(f"written: docs/{PAGE.name}")
    print(f"{len(numbers)} scenarios, not as they should be: {wrong or 'none'}")
    return 1 if wrong else 0


def measured() -> list[tuple[Scenario, Outcome]]:
    """What was measured in full, in order."""
    return [
        (SCENARIOS[number], Outcome(**json.loads(file.read_text("utf-8"))))
        for number in sorted(SCENARIOS)
        if (file := MEASURED / f"{number}.json").exists()
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
