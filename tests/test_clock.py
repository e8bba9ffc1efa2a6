"""Time: a virtual clock jumps, the system's clock is the machine's, and all of it is UTC."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from modulus_es import Clock, IntegrationEvent, System, SystemClock, VirtualClock
from modulus_es.clock import START, iso, to_utc


class Said(IntegrationEvent):
    n: int


def seconds_since_start(system: System) -> float:
    return (system.now() - START).total_seconds()


def test_a_system_with_a_seed_begins_at_a_fixed_instant() -> None:
    assert System(seed=7).now() == System(seed=8).now() == START


def test_a_system_without_a_seed_begins_at_the_wall_clocks_time() -> None:
    before = datetime.now(UTC)
    assert before <= System().now() <= datetime.now(UTC)


def test_start_says_where_virtual_time_begins() -> None:
    moment = datetime(2013, 2, 8, 5, tzinfo=timezone(timedelta(hours=-5)))
    assert System(seed=7, start=moment).now() == datetime(2013, 2, 8, 10, tzinfo=UTC)


def test_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="start needs a time zone"):
        System(seed=7, start=datetime(2013, 2, 8))  # noqa: DTZ001


def test_start_and_a_clock_together_are_refused() -> None:
    with pytest.raises(ValueError, match="a clock knows its own time"):
        System(start=START, clock=VirtualClock())


def test_times_are_utc_whatever_zone_they_were_given_in() -> None:
    there = datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert iso(to_utc(there)) == "2024-01-01T00:00:00Z"


def test_a_virtual_clock_never_goes_back() -> None:
    clock = VirtualClock(START)
    clock.jump(START - timedelta(days=1))
    assert clock.now() == START


async def test_a_virtual_clock_that_no_system_has_moves_itself() -> None:
    clock = VirtualClock(START)
    await clock.sleep(30)
    await clock.sleep_until(START + timedelta(seconds=40))
    assert clock.now() == START + timedelta(seconds=40)


async def test_sleeping_until_a_moment_that_is_over_takes_no_time() -> None:
    system = System(seed=7)
    assert isinstance(system.clock, VirtualClock)
    await system.clock.sleep_until(START - timedelta(days=1))
    await system.clock.sleep(0)
    await system.clock.sleep(-1)
    assert system.now() == START


async def test_waiting_outside_of_a_run_lets_virtual_time_pass() -> None:
    system = System(seed=7)
    await system.clock.sleep(90)
    assert seconds_since_start(system) == 90


async def test_those_who_wait_outside_of_a_run_overlap() -> None:
    system = System(seed=7)
    woken: list[tuple[str, float]] = []

    async def wait(name: str, seconds: float) -> None:
        await system.clock.sleep(seconds)
        woken.append((name, seconds_since_start(system)))

    await asyncio.gather(wait("a", 3), wait("b", 1), wait("c", 2))
    assert woken == [("b", 1), ("c", 2), ("a", 3)]


async def test_a_wait_outside_of_a_run_that_is_cancelled_holds_nobody_up() -> None:
    system = System(seed=7)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await system.clock.sleep(1000)
    await system.clock.sleep(1)
    assert seconds_since_start(system) == 1


async def test_asyncio_sleep_passes_no_virtual_time() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")

    @hearer.on(Said)
    async def hear(said: Said) -> None:
        await asyncio.sleep(0.001)

    await sender.bus.publish(Said(1))
    await system.run()
    assert system.now() == START


async def test_the_clock_of_the_system_is_injected_under_all_its_types() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")
    injected: list[object] = []

    @hearer.on(Said)
    def by_protocol(said: Said, clock: Clock) -> None:
        injected.append(clock)

    @hearer.on(Said)
    def by_class(said: Said, clock: VirtualClock) -> None:
        injected.append(clock)

    await sender.bus.publish(Said(1))
    await system.run()
    assert injected == [system.clock, system.clock]


async def test_a_singleton_may_keep_the_clock_and_the_system() -> None:
    class Watch:
        def __init__(self, clock: Clock, system: System) -> None:
            self.clock, self.system = clock, system

    system = System(seed=7)
    system.services.singleton(Watch)
    kept: list[Watch] = []

    @system.module("hearer").on(Said)
    def hear(said: Said, watch: Watch) -> None:
        kept.append(watch)

    await system["hearer"].bus.publish(Said(1))
    await system.run()
    assert [(watch.clock, watch.system) for watch in kept] == [(system.clock, system)]


async def test_the_systems_clock_is_the_machines() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0.002)
    assert (clock.now() - before).total_seconds() >= 0.001
    assert before.tzinfo is UTC
