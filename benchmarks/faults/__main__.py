"""Run the scenarios, print what they say, and write docs/reliability.md.

python -m benchmarks.faults                all, in full, and write the page
python -m benchmarks.faults --only 1,22    these, in full; writes nothing
python -m benchmarks.faults --short        in their short form; writes nothing
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.faults.everything import SCENARIOS
from benchmarks.faults.report import Outcome, Scenario, as_markdown, as_text

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
LIMIT = 900
"""Seconds after which a scenario is said to hang."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("--only", default="", help="numbers of scenarios, such as 1,22")
    parser.add_argument("--short", action="store_true", help="the short form of each")
    asked = parser.parse_args()
    # So that whoever ends this run ends its scenarios, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    numbers = [int(number) for number in asked.only.split(",") if number] or sorted(SCENARIOS)
    began = time.monotonic()
    rows: list[tuple[Scenario, Outcome]] = []
    broke_off: dict[int, str] = {}
    for index, number in enumerate(numbers, start=1):
        scenario = SCENARIOS[number]
        print(f"[{index}/{len(numbers)}] {number}, {scenario.title}", flush=True)
        started = time.monotonic()
        outcome = measured(number, full=not asked.short)
        took = f"   {time.monotonic() - started:.1f} s"
        if isinstance(outcome, str):
            broke_off[number] = outcome
            print(f"   BROKE OFF: {outcome}", took, sep="\n", flush=True)
        else:
            rows.append((scenario, outcome))
            print(as_text(scenario, outcome), took, sep="\n", flush=True)
    minutes = (time.monotonic() - began) / 60
    wrong = [s.number for s, outcome in rows if not (outcome.holds and outcome.control_failed)]
    if not (asked.short or asked.only):
        PAGE.write_text(as_markdown(rows, broke_off, minutes), "utf-8")
        print(f"written: docs/{PAGE.name}")
    print(
        f"{len(numbers)} scenarios in {minutes:.1f} min; not as they should be: "
        f"{sorted([*wrong, *broke_off]) or 'none'}"
    )
    return 1 if wrong or broke_off else 0


def measured(number: int, *, full: bool) -> Outcome | str:
    """What a scenario says, from a process of its own; a text says how it broke off."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        form = "full" if full else "short"
        command = [sys.executable, "-X", "faulthandler", "-m", "benchmarks.faults.one"]
        with subprocess.Popen(
            [*command, str(number), form, str(answer)], cwd=ROOT, start_new_session=True
        ) as process:
            try:
                status = process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                return f"it hung for {LIMIT} s"
            finally:
                # Its own children, too: some are frozen, or wait for a lock.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if status or not answer.exists():
            return f"its process ended with status {status}"
        return Outcome(**json.loads(answer.read_text("utf-8")))


if __name__ == "__main__":
    sys.exit(main())
