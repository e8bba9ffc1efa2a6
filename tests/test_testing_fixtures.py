"""The fixtures, as a project of its own loads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

CONFTEST = 'pytest_plugins = ["modulus_es.testing.fixtures"]\n'

TESTS = """
import pytest
from modulus_es import Aggregate, System, event

class Order(Aggregate):
    @event("Placed")
    def __init__(self) -> None: ...

def test_a_system_is_there_and_current(modulus_system):
    assert repr(modulus_system) == "System(seed=7, modules: none, 2024-01-01T00:00:00Z)"
    expected = System(seed=7).new_id()
    assert Order().id == expected

async def test_an_async_test_runs(modulus_system):
    orders = modulus_system.module("orders")
    await orders.save(Order())
    assert len(list(orders.stored_events())) == 1

class TestInAFile:
    @pytest.fixture
    def modulus_store(self, modulus_file):
        return modulus_file

    @pytest.fixture
    def modulus_seed(self):
        return 8

    async def test_a_file_and_another_seed(self, modulus_system):
        await modulus_system.module("orders").save(Order())
        assert modulus_system.seed == 8
        assert "modulus.db" in modulus_system["orders"].store.url

async def test_an_async_test_may_fail(modulus_system):
    assert 1 == 2
"""


@pytest.mark.slow
def test_a_project_s_tests_have_a_system_and_may_be_async(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [*command, "-p", "no:anydi", "-p", "no:nbval", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "1 failed" in ran.stdout
    assert "test_an_async_test_may_fail - assert 1 == 2" in ran.stdout


def test_given_needs_no_pytest() -> None:
    code = "import sys, modulus_es.testing; print('pytest' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"
