"""Make the helpers beside these tests importable; one live kernel a test file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from live_kernel import Kernel


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """A Jupyter kernel that runs as long as the tests of one file do."""
    with Kernel() as running:
        yield running
