"""On what, with what, and when something was measured."""

from __future__ import annotations

import platform
import sqlite3
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path

PACKAGES = ("modulus-es", "eventsourcing", "msgspec", "pandas", "numpy", "networkx", "matplotlib")


@cache
def described() -> dict[str, str]:
    """The machine, the versions and the day."""
    said = {
        "machine": f"{platform.system()} {platform.machine()}, {cpu_count()} processors, {_cpu()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    return said | versions(PACKAGES)


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
