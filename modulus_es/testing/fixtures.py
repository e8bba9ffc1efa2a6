"""Fixtures for tests of your own; load them in ``conftest.py``.

``pytest_plugins = ["modulus_es.testing.fixtures"]`` gives every test the fixture
``modulus_system``, and lets ``async def`` tests run that no other plugin marked.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from modulus_es.system import System

OTHERS: Final = ("asyncio", "anyio", "trio")
"""The marks of tests that other plugins run."""


@pytest.fixture
def modulus_seed() -> int:
    """The seed of `modulus_system`; override it where a test wants another one."""
    return 7


@pytest.fixture
def modulus_store() -> str:
    """The URL of the store of `modulus_system`; override it, with `modulus_file` perhaps."""
    return "memory://"


@pytest.fixture
def modulus_file(tmp_path: Path) -> str:
    """The URL of a SQLite file that is gone after the test."""
    return f"sqlite:///{tmp_path}/modulus.db"


@pytest.fixture
def modulus_system(modulus_seed: int, modulus_store: str) -> Iterator[System]:
    """A new system, which is the current one during the test and is closed after it."""
    system = System(seed=modulus_seed, store=modulus_store)
    with system.current():
        yield system
    system.close()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an ``async def`` test in an event loop of its own, as a script would."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    if any(pyfuncitem.get_closest_marker(name) for name in OTHERS):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
