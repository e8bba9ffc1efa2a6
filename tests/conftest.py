"""What every test shares."""

from __future__ import annotations

import asyncio
import inspect
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from modulus_es import Module, System

# The helpers beside these tests can be imported, and their tests as well.
sys.path.insert(0, str(Path(__file__).parent))

# A slow, busy machine is not a failure of the code under test.
# The same examples each time: the gate judges the code, and not the luck of the draw.
# `--hypothesis-profile=default --hypothesis-seed=random` draws others, and twice as many.
settings.register_profile(
    "modulus_es", deadline=None, print_blob=True, derandomize=True, max_examples=50
)
settings.register_profile("quick", settings.get_profile("modulus_es"), max_examples=15)


def pytest_configure(config: pytest.Config) -> None:
    """Take ours unless the command line names a profile, as `make test-quick` does."""
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("modulus_es")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test in an event loop of its own, as a script would."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


# A gate that runs in the background of a shell ignores interrupts, and so would the tests of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def system() -> System:
    return System(seed=7)


@pytest.fixture
def orders(system: System) -> Module:
    return system.module("orders")
