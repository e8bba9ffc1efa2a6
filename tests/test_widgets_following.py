"""A long timeline that is followed is the one that would be made anew."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from modulus_es import Aggregate, Command, IntegrationEvent, Retry, System, UnitOfWork, event
from modulus_es.widgets import following
from modulus_es.widgets.following import Following
from modulus_es.widgets.timeline_data import timeline_data


class Parcel(Aggregate):
    @event("Packed")
    def __init__(self, weight: int) -> None:
        self.weight = weight


class Packed(IntegrationEvent):
    weight: int


class Weighed(IntegrationEvent):
    weight: int


class Pack(Command[UUID]):
    weight: int


class Weigh(Command[None]):
    weight: int


def parcels(trace: int) -> System:
    """Commands within a module and over the bus, projections, retries, dead letters, crashes."""
    system = System(seed=7, trace=trace)
    packing, scales = system.module("packing"), system.module("scales")
    random = Random(7)

    @packing.handles(Pack)
    async def pack(command: Pack, uow: UnitOfWork) -> UUID:
        parcel = Parcel(command.weight)
        uow.add(parcel)
        return parcel.id

    @packing.projects(Parcel.Packed)
    def packed(packed: Parcel.Packed) -> Packed:
        return Packed(packed.weight)

    @scales.on(Packed, retry=Retry(attempts=2))
    async def take(packed: Packed, uow: UnitOfWork) -> None:
        if random.random() < 0.4:
            raise RuntimeError("the scales are busy")
        uow.send(Weigh(packed.weight), to="scales")

    @scales.handles(Weigh)
    async def weigh(command: Weigh, uow: UnitOfWork) -> None:
        uow.publish(Weighed(command.weight))

    @packing.on(Weighed)
    async def label(weighed: Weighed) -> None: ...

    return system


def comparable(marks: Any) -> list[str]:
    """What happens at one instant has no order."""
    return sorted(map(repr, marks))


def column(data: dict[str, Any], name: str) -> Any:
    return np.frombuffer(data[name], data["columns"][name])


@pytest.mark.parametrize("trace", [0, 60, 100_000])
def test_it_is_the_timeline_of_the_system_whatever_happened(
    monkeypatch: pytest.MonkeyPatch, trace: int
) -> None:
    monkeypatch.setattr(following, "FEW", 1)
    system, chance = parcels(trace), Random(trace)
    followed = Following(system)

    async def happen() -> None:
        for number in range(60):
            match chance.randrange(6):
                case 0 | 1:
                    await system.send(Pack(number))
                case 2:
                    system.network.duplicates = chance.choice([0.0, 0.5])
                    system.network.latency = chance.choice([0.0, 0.3])
                    await system.advance(0.2)
                case 3:
                    await system.step()
                case 4:
                    system.faults.crash("before_ack")
                    await system.run()
                case 5:
                    await system.replay_dead_letters()
            timeline = followed.timeline()
            assert comparable(timeline.marks) == comparable(system.timeline().marks)
            times = [mark.time for mark in timeline.marks]
            assert times == sorted(times)

    asyncio.run(happen())
    assert len(system.timeline().marks) > 60


def test_its_columns_are_those_of_its_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FEW", 1)
    monkeypatch.setattr("modulus_es.widgets.timeline_data.LIMIT", 1)
    system = parcels(1000)
    followed = Following(system)

    async def happen() -> None:
        for number in range(12):
            await system.send(Pack(number))
            await system.advance(0.7)
            timeline = followed.timeline()
            data = timeline_data(timeline, 1, followed.columns)
            anew = timeline_data(timeline, 1)
            for name in ("x", "end", "open", "lane", "kind", "type", "attempt", "row", "knots"):
                assert list(column(data, name)) == list(column(anew, name))
            assert [data[k] for k in ("lanes", "types", "alt")] == [
                anew[k] for k in ("lanes", "types", "alt")
            ]
            # Messages may have other numbers; what follows from what is the same.
            first = {m: i for i, m in reversed([*enumerate(column(data, "message"))])}
            other = column(anew, "message")
            for message, index in first.items():
                cause, there = column(data, "cause")[message], column(anew, "cause")[other[index]]
                assert (cause < 0) == (there < 0)
                assert cause < 0 or other[first[cause]] == there

    asyncio.run(happen())


def test_only_what_changed_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FEW", 1)
    made: list[int] = []
    marks_from = following.marks_from

    def counting(outbox: Any, *rest: Any, **more: Any) -> Any:
        made.append(len(outbox))
        return marks_from(outbox, *rest, **more)

    monkeypatch.setattr(following, "marks_from", counting)
    system = parcels(100_000)
    followed = Following(system)

    async def happen() -> None:
        for number in range(20):
            await system.send(Pack(number))
        await system.run()
        followed.timeline()
        await system.send(Pack(20))
        followed.timeline()
        followed.timeline()

    asyncio.run(happen())
    assert made[0] > 40
    assert made[1:] == [1, 1]
