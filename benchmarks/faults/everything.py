"""All families of scenarios, imported so that they register."""

from __future__ import annotations

from benchmarks.faults import (
    clocks,
    history,
    interruptions,
    kills,
    messages,
    places,
    snapshots,
    strangers,
)
from benchmarks.faults.report import SCENARIOS

FAMILIES = (kills, interruptions, places, messages, history, strangers, clocks, snapshots)

__all__ = ["FAMILIES", "SCENARIOS"]
