"""Every system here commits deliveries in groups, in memory and in a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from modulus_es import System

# They reach into the store in memory, whose rows are the very objects that are claimed, or
# replace what a group does not call.
_MEMORY_ONLY = (
    "test_a_delivery_that_somebody_else_finished_meanwhile_leaves_no_effect",
    "test_a_mark_that_could_not_be_written_is_made_again",
    "test_control_whoever_empties_an_inbox_by_hand_has_handlers_run_twice",
    "test_effects_come_from_the_store_and_not_from_the_inbox",
    "test_what_ended_a_run_is_raised_though_giving_back_fails_too",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, on SQLite, what only the store in memory can be asked."""
    items[:] = [
        item
        for item in items
        if "grouped" not in str(item.path)
        or "sqlite" not in item.name
        or not item.name.startswith(_MEMORY_ONLY)
    ]


@pytest.fixture(autouse=True, params=["memory", "sqlite"])
def grouped(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Make systems so that up to 50 deliveries are committed together."""
    made: list[System] = []
    numbers = count()
    initialise = System.__init__

    def in_groups(self: System, **options: Any) -> None:
        options.setdefault("group_commit", 50)
        if request.param == "sqlite":
            options.setdefault("store", f"sqlite:///{tmp_path}/{next(numbers)}.db")
        initialise(self, **options)
        made.append(self)

    monkeypatch.setattr(System, "__init__", in_groups)
    yield
    for system in made:
        system.close()
