"""On what, with what, and when something was measured."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OURS = ("modulus-es", "eventsourcing", "msgspec", "pandas", "numpy", "networkx", "matplotlib")

PEERS = Path(__file__).with_name("peers") / "requirements.txt"


@cache
def described() -> dict[str, str]:
    """The machine, the versions and the day."""
    where = f"{platform.system()} {platform.machine()}"
    said = {
        "machine": f"{where}, {os.cpu_count()} processors, {_cpu()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    return said | versions(OURS) | versions(peers())


def peers() -> tuple[str, ...]:
    """The names of the packages that are measured beside modulus_es."""
    lines = PEERS.read_text("utf-8").splitlines()
    return tuple(re.split(r"[\[=]", line)[0] for line in lines if line and line[0] != "#")


def load() -> float | None:
    """How many processes wanted a processor in the last minute, this one included."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of the packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"
