"""Every fault that `make faults` injects, in its short form, and its control."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.faults.everything import SCENARIOS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=f"{number} {SCENARIOS[number].title}")
        for number in sorted(SCENARIOS)
    ],
)
def test_a_fault_does_no_harm_and_its_control_does(number: int, tmp_path: Path) -> None:
    outcome = SCENARIOS[number].run(False, tmp_path)
    assert outcome.holds, outcome
    assert outcome.control_failed, outcome.control
