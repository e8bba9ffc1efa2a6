"""Judge the checkout: lint, format, types, tests, notebooks, on every Python that is set up.

    gate.py            everything
    gate.py --quick    without the slow tests, the notebooks and the other Pythons

Every step runs, whatever the others said. The recap at the end shows the last line of each.
One that takes longer than any honest run is ended, with all that it started, and has failed.
What computes on one core, or waits for the network, runs beside the steps that use both cores.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WHEEL = ROOT / "tests" / "test_packaging.py"
LONGEST = 1500  # seconds; on two cores that nobody else uses, the longest step takes a fifth
RUNNING: set[subprocess.Popen[str]] = set()
# Where JupyterLab is installed, this plugin takes four seconds to import, in each process.
ALONE = ["-p", "no:nbval"]
COMPARED = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=600", "notebooks"]
PARALLEL = ["-n", "2", "--dist", "loadfile"]
# Some of the slow tests take half a minute each, and they stand in few files, of which the names
# come first: each is begun when somebody is free, and none is left to the end.
BALANCED = ["-n", "2", "--dist", "load", "--maxschedchunk", "1"]
STEADY = ["-m", "not slow"]
# What takes seconds and kills processes, interrupts cells or starts kernels, once. Each test is
# named when it is done: whoever looks at a run that hangs wants to know where.
SLOW = ["-v", "-m", "slow"]
# The files with the fewest tests take longest, and are not left to the end.
BROWSER = [*PARALLEL, "--no-loadscope-reorder", "-v", "-m", "slow or browser", "tests/browser"]
# The rules are the same on every Python; the first one looks for examples that break them.
FEWER = ["--hypothesis-profile", "quick"]
# Nothing in these changes with the Python that runs them, or others show it: the notebooks that
# pictures have the same bytes everywhere, and tests/sqlite what a store makes of its Python.
ANYWHERE = [
    "--ignore=tests/grouped",
    "--ignore=tests/property",
    "--ignore=tests/test_benchmarks.py",
    "--ignore=tests/test_eventsourcing_cases.py",
    "--ignore=tests/test_import_rules.py",
    "--ignore-glob=tests/test_contracts*",
    "--ignore-glob=tests/test_views_*",
    "--ignore-glob=tests/test_widgets*",
]
# The first Python of those that are there is tested as a whole, and the last by all that might
# change with it; the one between by its notebooks, and by what reads annotations, generics and
# defaults, which each Python has its own ways with.
VERSIONED = [
    f"tests/test_{name}.py"
    for name in (
        *("codec", "discovery", "domain", "domain_events", "mapper", "messages", "naming"),
        *("public_api", "redefinition", "services"),
    )
]
# What `make test-quick` leaves to the whole gate: it may take a minute.
THOROUGH = [
    "--ignore=tests/grouped",
    "--ignore=tests/property",
    "--ignore=tests/sqlite",
    "--ignore=tests/test_benchmarks.py",
    "--ignore=tests/test_codec_properties.py",
    "--ignore=tests/test_eventsourcing_cases.py",
    "--ignore=tests/test_import_rules.py",
    "--ignore-glob=tests/test_contracts*",
]


@dataclass(frozen=True)
class Step:
    """One command of the gate.

    One that runs ``beside`` the others shows what it printed when it is done; ``needs`` is the
    title of such a one that has to be done before. What failed is tried once more where it has
    ``again``, with these words at its end, and the recap says so: a browser has its own clock.
    """

    title: str
    command: list[str]
    beside: bool = False
    needs: str = ""
    again: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What became of a step."""

    step: Step
    status: int
    last: str
    seconds: float

    def __str__(self) -> str:
        said = "FAILED" if self.status else "ok"
        return f"{said:6}  {self.seconds:5.0f} s  {self.step.title}: {self.last}"


def steps(*, quick: bool) -> list[Step]:
    """What to run, in order."""
    found = (ROOT / "build" / "pythons.txt").read_text("utf-8").split("\n")
    version, *others = (line.split(" ", 1)[0] for line in found if line)
    here = str(ROOT / ".venv" / "bin" / "python")
    checks = [
        Step("lint", [here, "-m", "ruff", "check", "."]),
        Step("format", [here, "-m", "ruff", "format", "--check", "."]),
    ]
    types = [here, "-m", "mypy"]
    pytest = ["-m", "pytest", *ALONE]
    if quick:
        quick_tests = [here, *pytest, *PARALLEL, *STEADY, *FEWER, *THOROUGH]
        title = f"tests and doctests, Python {version}, quick ones"
        return [*checks, Step("types", types), Step(title, quick_tests)]
    nbval = ["-m", "pytest", *COMPARED]
    scripts = "scripts, for the browser"
    checks += [
        Step(scripts, [here, "tools/browser_scripts.py"], beside=True),
        Step("types", types, beside=True),
        Step("the main job", [here, "tools/demo.py"], beside=True),
        Step("the wheel, outside the checkout", [here, *pytest, str(WHEEL)], beside=True),
        Step(f"notebooks, Python {version}", [here, *nbval], beside=True),
    ]
    for number, name in enumerate(others):
        other = str(ROOT / f".venv-{name}" / "bin" / "python")
        tests = [other, *pytest, *STEADY, *FEWER]
        if number:
            title = f"what reads definitions, Python {name}"
            checks.append(Step(title, [*tests, *VERSIONED], beside=True))
        else:
            title = f"tests and doctests, Python {name}"
            checks.append(Step(title, [*tests, *ANYWHERE], beside=True))
        checks.append(Step(f"notebooks, Python {name}", [other, *nbval], beside=True))
    if shutil.which("chromium"):
        browser = [here, *pytest, *BROWSER, "-o", "cache_dir=build/pytest-browser"]
        title = "the explorer in a browser"
        checks.append(Step(title, browser, needs=scripts, again=("--last-failed",)))
    else:
        print("There is no chromium here, so the explorer is not tried in a browser.")
    title = f"tests and doctests, Python {version}"
    checks.append(Step(title, [here, *pytest, *PARALLEL, *STEADY]))
    slow = [here, *pytest, *BALANCED, *SLOW, *files_of_slow_tests()]
    checks.append(Step("kills, interrupts and live kernels", slow))
    return checks


def files_of_slow_tests() -> list[str]:
    """The files that have any, but for those that have a step of their own."""
    found = sorted((ROOT / "tests").rglob("test_*.py"))
    return [
        str(path.relative_to(ROOT))
        for path in found
        if "mark.slow" in path.read_text("utf-8")
        and path != WHEEL
        and path.parent.name != "browser"
    ]


def run(step: Step) -> Verdict:
    """Run one step, showing what it prints; end it when it takes too long."""
    shown = shlex.join(step.command).replace(f"{ROOT}{os.sep}", "")
    heading = f"\n=== {step.title}\n    {shown}\n"
    begun = time.monotonic()
    said = [heading]
    if not step.beside:
        print(heading, end="", flush=True)
    with subprocess.Popen(
        step.command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that what it has started ends with it
    ) as process:
        RUNNING.add(process)
        watch = threading.Timer(LONGEST, end, (process,))
        watch.start()
        try:
            for line in process.stdout or ():
                said.append(line)
                if not step.beside:
                    print(line, end="", flush=True)
        finally:
            watch.cancel()
            RUNNING.discard(process)
    if time.monotonic() - begun > LONGEST:
        said.append(f"ended after {LONGEST} s\n")
        if not step.beside:
            print(said[-1], end="", flush=True)
    if step.beside:
        print("".join(said), end="", flush=True)
    last = next((each for line in reversed(said[1:]) if (each := line.strip(" =\n"))), "")
    seconds = time.monotonic() - begun
    if process.returncode and step.again:
        more = run(Step(f"{step.title}, what failed", [*step.command, *step.again], step.beside))
        return Verdict(step, more.status, f"{last}; then {more.last}", seconds + more.seconds)
    return Verdict(step, process.returncode, last, seconds)


def end(process: subprocess.Popen[str]) -> None:
    """End a step and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def main(*, quick: bool) -> int:
    """Run the gate; answer the process's exit status."""
    started = time.monotonic()
    planned = steps(quick=quick)
    pool = ThreadPoolExecutor(1)
    running: dict[str, Future[Verdict]] = {
        step.title: pool.submit(run, step) for step in planned if step.beside
    }
    recap = []
    try:
        for step in planned:
            if not step.beside:
                if step.needs:
                    running[step.needs].result()
                recap.append(run(step))
        recap.extend(future.result() for future in running.values())
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in tuple(RUNNING):
            end(process)
        raise
    pool.shutdown()
    failed = sum(verdict.status != 0 for verdict in recap)
    print(f"\n=== {len(recap)} steps in {time.monotonic() - started:.0f} s, {failed} failed")
    for verdict in recap:
        print(verdict)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(quick="--quick" in sys.argv[1:]))
