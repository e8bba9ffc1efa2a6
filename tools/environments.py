"""Make the virtual environments that the Makefile works in; do nothing when they are up to date.

    environments.py main    .venv with the package (editable) and all tools
    environments.py gate    that, and .venv-3.X with what the tests need, for every other Python
    environments.py bench   .venv-bench with the package and what it is measured beside

It reads build/pythons.txt, as tools/find-pythons.sh wrote it, and needs nothing but the
standard library. `uv` does the work if it is there, `venv` and `pip` otherwise; for the gate,
which needs several environments, pip fetches uv into build/uv first, if it can.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = "modulus-es.stamp"
PEERS = ROOT / "benchmarks" / "peers" / "requirements.txt"


def fingerprint(python: str, extras: str, more: str) -> str:
    """What an environment depends on; when it changes, the environment is made again."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    relevant = [project["build-system"], project["project"], python, extras, str(ROOT), more]
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def fetched_uv(python: str) -> str | None:
    """The path of uv in build/uv; None where this Python has no pip, or pip finds no uv."""
    folder = ROOT / "build" / "uv"
    found = folder / "bin" / "uv"
    if not found.is_file():
        print("Fetching uv into build/uv: it is quicker at this than pip.", flush=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--target"]
        subprocess.run([*pip, str(folder), "uv"], cwd=ROOT, check=False)
    return str(found) if found.is_file() else None


def install(
    python: str, folder: Path, wanted: list[str], *, uv: str | None, compiled: bool
) -> None:
    """Make the environment and install into it what pip is asked for so."""
    shutil.rmtree(folder, ignore_errors=True)
    inside = str(folder / "bin" / "python")
    if uv:
        pip = [uv, "pip", "install", "--quiet", "--python", inside]
        commands = [[uv, "venv", "--quiet", "--seed", "--python", python, str(folder)]]
    else:
        pip = [inside, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
        pip += ["--prefer-binary", "--no-compile"]
        commands = [[python, "-m", "venv", str(folder)]]
    commands.append([*pip, *wanted])
    for command in commands:
        subprocess.run(command, cwd=ROOT, check=True)
    if not compiled:
        return
    # pip compiles on one core only, and tests of packages too, which nobody here imports. That some
    # file of some package is not for this Python is no reason to stop.
    compile_all = [inside, "-W", "ignore", "-m", "compileall", "-qq", "-j", "0", "-x", "/tests?/"]
    subprocess.run([*compile_all, str(folder / "lib")], cwd=ROOT, check=False)


def ensure(
    version: str,
    python: str,
    folder: Path,
    extras: str,
    requirements: Path | None = None,
    *,
    uv: str | None,
    compiled: bool = True,
) -> None:
    """Make one environment, with the package editable, unless it is there and up to date.

    One that is not ``compiled`` compiles what is imported when it is.
    """
    stamp = folder / STAMP
    more = requirements.read_text("utf-8") if requirements else ""
    wanted = fingerprint(python, extras, more)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    name = folder.relative_to(ROOT)
    print(
        f"Setting up {name} for Python {version} with {'uv' if uv else 'pip'}. "
        f"This takes {'seconds' if uv else 'a minute or two'}, and only the first time.",
        flush=True,
    )
    started = time.monotonic()
    asked = ["--editable", f".[{extras}]" if extras else "."]
    asked += ["--requirement", str(requirements)] if requirements else []
    try:
        install(python, folder, asked, uv=uv, compiled=compiled)
    except (subprocess.CalledProcessError, OSError):
        if not uv:
            raise
        print("uv could not do it; trying with venv and pip.", flush=True)
        install(python, folder, asked, uv=None, compiled=compiled)
    stamp.write_text(wanted)
    print(f"{name} is ready after {time.monotonic() - started:.0f} s.", flush=True)


def main(which: str) -> int:
    """Make what is asked for; answer the process's exit status."""
    lines = (ROOT / "build" / "pythons.txt").read_text("utf-8").splitlines()
    (version, python), *others = (line.split(" ", 1) for line in lines)
    uv = shutil.which("uv") or (fetched_uv(python) if which == "gate" else None)

    def make_others() -> None:
        for version, python in others:
            ensure(version, python, ROOT / f".venv-{version}", "test", uv=uv, compiled=False)

    try:
        if which == "bench":
            ensure(version, python, ROOT / ".venv-bench", "", PEERS, uv=uv)
            return 0
        # pip computes on one core.
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(make_others) if which == "gate" else None
            ensure(version, python, ROOT / ".venv", "dev", uv=uv)
            if made is not None:
                made.result()
    except subprocess.CalledProcessError as error:
        print(f"Set-up failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        print("Is a package index reachable? Run it again when it is.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "main"))
