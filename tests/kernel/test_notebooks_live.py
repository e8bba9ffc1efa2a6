"""The notebooks in a live kernel: every cell again and again, and definitions in any order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from live_kernel import ADDRESS, NOTEBOOKS, Kernel, Outcome, cells_of, defines, makes_a_system
from probes import PROBES

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture
def fresh_kernel() -> Iterator[Kernel]:
    with Kernel() as running:
        yield running


def run(kernel: Kernel, source: str, raises: bool) -> Outcome:
    """Run a cell of a notebook, as strictly as its reader would."""
    outcome = kernel.run(source, timeout=300)
    assert (outcome.error is not None) == raises, f"{source}\n{outcome.error}: {outcome.said}"
    assert not ADDRESS.search(outcome.text), f"{source}\n{outcome.text}"
    assert outcome.stderr == "", source
    return outcome


def test_there_are_notebooks_that_define_in_cells() -> None:
    assert [path for path in PATHS if any(defines(source) for source, _ in cells_of(path))]


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_any_cell_runs_twice_more_and_definitions_in_any_order(
    path: Path, fresh_kernel: Kernel
) -> None:
    kernel, cells = fresh_kernel, cells_of(path)
    for source, raises in cells:
        run(kernel, source, raises)
    kernel.ok(PROBES)
    registered = kernel.value("_registered()")
    for source, raises in cells:
        for _ in range(2):
            run(kernel, source, raises)
    assert kernel.value("_registered()") == registered
    definitions = [cell for cell in cells if defines(cell[0])]
    Random(path.name).shuffle(definitions)
    for source, raises in definitions:
        run(kernel, source, raises)
    assert sorted(kernel.value("_registered()")) == sorted(registered)
    assert kernel.value("_doubled()") == []
    assert kernel.value("_lost()") == 0
    assert kernel.value("await _replayed()") > 0


def test_what_defines_and_what_makes_a_system_is_told_apart() -> None:
    assert defines("import json\n@orders.on(Placed)\ndef log(placed): ...\nclass A: ...")
    assert not defines("class A: ...\nawait system.run()")
    assert makes_a_system("system = System(seed=7)")
    assert not makes_a_system("def new(): return System()")
