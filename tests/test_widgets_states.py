"""Where the messages were, of so many that what lasts does not travel: as if it did."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from modulus_es import Command, IntegrationEvent, Retry, System, UnitOfWork
from modulus_es.clock import START
from modulus_es.views.marks import KINDS, Mark
from modulus_es.views.timeline import Timeline
from modulus_es.widgets.packing import UNIT
from modulus_es.widgets.states import LANES, PLACES, STATES
from modulus_es.widgets.timeline_data import timeline_data

WAITS = {"recorded", "retry", "crash"}


class Pack(Command[None]):
    weight: int


class Packed(IntegrationEvent):
    weight: int


def parcels() -> System:
    """Messages that are late, come twice, are tried again, die, are cut off, and still wait."""
    system = System(seed=7)
    packing, scales, doors = (system.module(name) for name in ("packing", "scales", "doors"))
    system.network.latency, system.network.duplicates = (0.1, 3.0), 0.3

    @packing.handles(Pack)
    async def pack(command: Pack, uow: UnitOfWork) -> None:
        uow.publish(Packed(command.weight))

    @scales.on(Packed, retry=Retry(attempts=2))
    async def weigh(packed: Packed) -> None:
        if system.random.random() < 0.5:
            raise RuntimeError("the scales are busy")

    @doors.on(Packed)
    async def load(packed: Packed) -> None: ...

    async def happen() -> None:
        for number in range(60):
            if number == 40:
                system.network.partition("packing", "doors")
            await system.send(Pack(number))
            await system.advance(0.2)

    asyncio.run(happen())
    return system


def as_sent(timeline: Timeline, monkeypatch: pytest.MonkeyPatch, most: int) -> dict[str, Any]:
    monkeypatch.setattr("modulus_es.widgets.timeline_data.LIMIT", 0)
    monkeypatch.setattr("modulus_es.widgets.timeline_data.SPANS_UP_TO", most)
    data = timeline_data(timeline)
    columns = {name: np.frombuffer(data[name], kind) for name, kind in data["columns"].items()}
    return {**data, **columns}


def as_the_page_counts(data: dict[str, Any], place: int) -> list[list[int]]:
    """What the page works out where everything travels: `workedOut` in timeline.js."""
    cursor = place / PLACES * UNIT
    state: dict[tuple[int, int], str] = {}
    arrived, inside = set(), set()
    sums = [[0] * len(STATES) for _ in data["lanes"]]
    for mark in range(len(data["x"])):
        if data["x"][mark] > cursor:
            continue
        lane, message = int(data["lane"][mark]), int(data["message"][mark])
        kind = KINDS[data["kind"][mark]]
        if kind == "duplicate":
            sums[lane][STATES.index(kind)] += 1
        else:
            state[message, lane] = kind
        if not data["lanes"][lane]["outbox"]:
            arrived.add(message)
        elif kind == "waiting" and (data["open"][mark] or data["end"][mark] > cursor):
            inside.add((message, lane))
    for (message, lane), kind in state.items():
        if data["lanes"][lane]["outbox"] and kind != "dead":
            handed = message in arrived and (message, lane) not in inside
            sums[lane][STATES.index("done" if handed else "waiting")] += 1
        else:
            sums[lane][STATES.index("waiting" if kind in WAITS else kind)] += 1
    return sums


def test_they_are_counted_as_the_page_does_where_everything_travels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeline = parcels().timeline()
    whole, moments = (as_sent(timeline, monkeypatch, most) for most in (10_000, 0))
    assert "states" not in whole
    assert len(moments["x"]) < len(whole["x"])
    assert moments["lanes"] == whole["lanes"]
    counts = moments["states"].reshape(len(whole["lanes"]), len(STATES), PLACES + 1)
    seen: dict[str, int] = defaultdict(int)
    for place in range(0, PLACES + 1, 20):
        wanted = as_the_page_counts(whole, place)
        assert counts[:, :, place].tolist() == wanted, place
        for lane in wanted:
            for name, many in zip(STATES, lane, strict=True):
                seen[name] = max(seen[name], many)
    assert min(seen[name] for name in STATES if name not in ("failed", "attempt")) > 0
    now = {lane["label"]: n for lane, n in zip(whole["lanes"], wanted, strict=True)}
    assert now["(outbox)"][STATES.index("waiting")] > 0  # cut off: not handed over to all


def test_what_was_never_handled_has_a_lane_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def lasting(lane: str, kind: str, message: str) -> Mark:
        return Mark(START, START, "m", lane, kind, message, "T", open="end")

    marks = [lasting("(outbox)", "recorded", "a"), lasting("h", "in_flight", "a")]
    data = as_sent(Timeline(marks), monkeypatch, 0)
    assert [lane["label"] for lane in data["lanes"]] == ["h", "(outbox)"]
    assert len(data["x"]) == 1
    counts = data["states"].reshape(2, len(STATES), PLACES + 1)
    assert dict(zip(STATES, counts[0, :, -1].tolist(), strict=True))["in_flight"] == 1
    assert dict(zip(STATES, counts[1, :, -1].tolist(), strict=True))["done"] == 1


def test_no_more_lanes_are_counted_than_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = [Mark(START, START, "m", f"h{n}", "done", "a", "T") for n in range(100)]
    data = as_sent(Timeline(marks), monkeypatch, 0)
    assert len(data["lanes"]) == 100
    assert len(data["states"]) == LANES * len(STATES) * (PLACES + 1)
