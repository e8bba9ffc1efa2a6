"""Judge the checkout: lint, format, types, tests, notebooks, on every Python that is set up.

    gate.py            everything
    gate.py --quick    without the slow tests, the notebooks and the other Pythons

Every step runs, whatever the others said. The recap at the end shows the last line of each.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARALLEL = ["-n", "2", "--dist", "loadfile"]
# Some of the slow tests take a minute each, and half of these stand in one file.
BALANCED = ["-n", "2", "--dist", "worksteal"]
STEADY = ["-m", "not slow"]
# What takes seconds and kills processes, interrupts cells or starts kernels, once.
SLOW = ["-m", "slow", "tests", "--ignore=tests/browser", "--ignore=tests/test_packaging.py"]
# The rules are the same on every Python; the first one looks for examples that break them.
FEWER = ["--hypothesis-profile", "quick"]
# What `make test-quick` leaves to the whole gate: it may take a minute.
THOROUGH = [
    "--ignore=tests/grouped",
    "--ignore=tests/property",
    "--ignore=tests/sqlite",
    "--ignore=tests/test_codec_properties.py",
    "--ignore=tests/test_eventsourcing_cases.py",
    "--ignore-glob=tests/test_contracts*",
]


@dataclass(frozen=True)
class Step:
    """One command of the gate."""

    title: str
    command: list[str]


def steps(*, quick: bool) -> list[Step]:
    """What to run, in order."""
    found = (ROOT / "build" / "pythons.txt").read_text("utf-8").split("\n")
    version, *others = (line.split(" ", 1)[0] for line in found if line)
    here = str(ROOT / ".venv" / "bin" / "python")
    checks = [
        Step("lint", [here, "-m", "ruff", "check", "."]),
        Step("format", [here, "-m", "ruff", "format", "--check", "."]),
        Step("types", [here, "-m", "mypy"]),
    ]
    if quick:
        quick_tests = [here, "-m", "pytest", *PARALLEL, *STEADY, *FEWER, *THOROUGH]
        return [*checks, Step(f"tests and doctests, Python {version}, quick ones", quick_tests)]
    pythons = {version: here}
    pythons |= {other: str(ROOT / f".venv-{other}" / "bin" / "python") for other in others}
    nbval = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=600", "notebooks"]
    for name, python in pythons.items():
        pytest = [python, "-m", "pytest", *PARALLEL]
        examples = [] if name == version else FEWER
        checks.append(Step(f"tests and doctests, Python {name}", [*pytest, *STEADY, *examples]))
        checks.append(Step(f"notebooks, Python {name}", [*pytest, *nbval]))
    kills = [here, "-m", "pytest", *BALANCED, *SLOW]
    checks.append(Step(f"kills, interrupts and live kernels, Python {version}", kills))
    checks.append(Step("the main job", [here, "tools/demo.py"]))
    if shutil.which("chromium"):
        checks.append(Step("axe-core, for the browser", [here, "tools/axe.py"]))
        browser = [here, "-m", "pytest", *PARALLEL, "-m", "slow or browser", "tests/browser"]
        checks.append(Step(f"the explorer in a browser, Python {version}", browser))
    else:
        print("There is no chromium here, so the explorer is not tried in a browser.")
    packaging = [here, "-m", "pytest", "tests/test_packaging.py"]
    checks.append(Step("the wheel, outside the checkout", packaging))
    return checks


def run(step: Step) -> tuple[int, str]:
    """Run one step, showing what it prints; answer its exit status and its last line."""
    shown = shlex.join(step.command).replace(f"{ROOT}{os.sep}", "")
    print(f"\n=== {step.title}\n    {shown}", flush=True)
    last = ""
    with subprocess.Popen(
        step.command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip(" =\n") or last
    return process.returncode, last


def main(*, quick: bool) -> int:
    """Run the gate; answer the process's exit status."""
    recap = []
    started = time.monotonic()
    for step in steps(quick=quick):
        begun = time.monotonic()
        status, last = run(step)
        verdict = "FAILED" if status else "ok"
        seconds = time.monotonic() - begun
        recap.append((verdict, f"{verdict:6}  {seconds:5.0f} s  {step.title}: {last}"))
    failed = sum(verdict == "FAILED" for verdict, _ in recap)
    print(f"\n=== {len(recap)} steps in {time.monotonic() - started:.0f} s, {failed} failed")
    for _, line in recap:
        print(line)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(quick="--quick" in sys.argv[1:]))
