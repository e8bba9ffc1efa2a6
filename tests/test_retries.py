"""Delivery retries are scheduled, not slept: five attempts, 1, 2, 4 and 8 seconds apart."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import Do, Said, pair

from modulus_es import (
    IntegrationEventHandler,
    Module,
    Retry,
    System,
)
from modulus_es.clock import START


def failing(system: System, module: Module, **options: Any) -> list[float]:
    """A handler that always fails, and the times at which it is tried."""
    times: list[float] = []

    @module.on(Said, name="failing", **options)
    def hear(said: Said) -> None:
        times.append((system.now() - START).total_seconds())
        raise ValueError("always")

    return times


async def test_a_delivery_is_tried_five_times_after_1_2_4_and_8_seconds() -> None:
    system, sender, hearer = pair()
    times = failing(system, hearer)
    await sender.bus.publish(Said(1))
    run = await system.run()
    assert times == [0, 1, 3, 7, 15]
    assert (run.time - START).total_seconds() == 15


async def test_each_attempt_is_told_with_its_outcome_and_error() -> None:
    system, sender, hearer = pair()
    failing(system, hearer)
    await sender.bus.publish(Said(1))
    await system.run()
    deliveries = system.trace.deliveries()
    assert [(d.attempt, d.outcome) for d in deliveries] == [
        (1, "retry"), (2, "retry"), (3, "retry"), (4, "retry"), (5, "dead"),
    ]  # fmt: skip
    assert {d.error for d in deliveries} == {"ValueError: always"}


async def test_between_attempts_the_delivery_is_pending_with_its_due_time_and_last_error() -> None:
    system, sender, hearer = pair()
    failing(system, hearer)
    await sender.bus.publish(Said(1))
    await system.advance(1.5)
    (row,) = hearer.inbox
    assert (row.status, row.attempts, row.last_error) == ("pending", 2, "ValueError: always")
    assert (row.available_at - START).total_seconds() == 3
    assert row.claimed_by is None


async def test_a_retry_does_not_re_run_a_handler_that_succeeded() -> None:
    system, sender, hearer = pair()
    failing(system, hearer)
    calls: list[int] = []

    @hearer.on(Said)
    def fine(said: Said) -> None:
        calls.append(said.n)

    await sender.bus.publish(Said(1))
    await system.run()
    assert calls == [1]


async def test_a_handler_may_have_a_retry_of_its_own() -> None:
    system, sender, hearer = pair()
    times = failing(system, hearer, retry=Retry(attempts=3, first=10, factor=3))
    await sender.bus.publish(Said(1))
    await system.run()
    assert times == [0, 10, 40]


async def test_a_class_handler_may_say_how_it_is_retried() -> None:
    system, sender, hearer = pair()
    times: list[float] = []

    class Hear(IntegrationEventHandler[Said]):
        retry = Retry(attempts=2, first=5)

        def handle(self, said: Said) -> None:
            times.append((system.now() - START).total_seconds())
            raise ValueError("always")

    hearer.on(Hear)
    await sender.bus.publish(Said(1))
    await system.run()
    assert times == [0, 5]


async def test_a_system_may_have_a_retry_for_all_its_handlers() -> None:
    system, sender, hearer = pair(retry=Retry(attempts=2))
    times = failing(system, hearer)
    await sender.bus.publish(Said(1))
    await system.run()
    assert times == [0, 1]


async def test_a_command_over_the_bus_may_have_a_retry_of_its_own() -> None:
    system, sender, hearer = pair()

    @hearer.handles(Do, retry=Retry(attempts=2))
    def do(command: Do) -> None:
        raise ValueError("always")

    await sender.bus.send(Do(1), to="hearer")
    await system.run()
    assert [(row.status, row.attempts) for row in hearer.inbox] == [("dead", 2)]


async def test_no_wait_is_longer_than_thirty_seconds() -> None:
    system, sender, hearer = pair()
    times = failing(system, hearer, retry=Retry(attempts=9))
    await sender.bus.publish(Said(1))
    await system.run()
    assert times == [0, 1, 3, 7, 15, 31, 61, 91, 121]


async def test_jitter_is_seeded() -> None:
    async def times(seed: int) -> list[float]:
        system = System(seed=seed, retry=Retry(jitter=0.5))
        sender, hearer = system.module("sender"), system.module("hearer")
        tried = failing(system, hearer)
        await sender.bus.publish(Said(1))
        await system.run()
        return tried

    assert await times(7) == await times(7) != await times(8)


async def test_a_handler_that_always_fails_costs_its_attempts_and_one_dead_letter() -> None:
    """FAULTS scenario 30: naive, one such handler cost 12,780 deliveries in three seconds."""
    system, sender, hearer = pair()
    times = failing(system, hearer)
    fine: list[int] = []

    @hearer.on(Said)
    def sibling(said: Said) -> None:
        fine.append(said.n)

    for n in range(20):
        await sender.bus.publish(Said(n), key=f"key {n}")
    await system.run()
    await system.advance(86_400)
    assert len(times) == 20 * 5
    assert fine == list(range(20))
    assert len(list(hearer.dead_letters())) == 20


async def test_control_without_an_end_of_attempts_it_would_go_on_for_ever() -> None:
    system, sender, hearer = pair()
    times = failing(system, hearer, retry=Retry(attempts=10**9))
    await sender.bus.publish(Said(1))
    await system.advance(3600)
    assert len(times) > 100


# The schedule by itself


@given(
    attempts=st.integers(1, 100),
    first=st.floats(0, 100),
    factor=st.floats(1, 10),
    longest=st.floats(0, 1000),
    jitter=st.floats(0, 1),
)
def test_waits_grow_up_to_the_longest_and_jitter_only_shortens(
    attempts: int, first: float, factor: float, longest: float, jitter: float
) -> None:
    plain = Retry(attempts, first, factor, longest)
    shaken = Retry(attempts, first, factor, longest, jitter)
    waits = [plain.wait(attempt) for attempt in range(1, 200)]
    assert waits == sorted(waits)
    assert max(waits) <= longest
    assert waits[0] == min(first, longest)
    for attempt, wait in enumerate(waits, 1):
        assert wait * (1 - jitter) <= shaken.wait(attempt, Random(attempt)) <= wait


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"attempts": 0}, "the number of attempts is at least 1, not 0"),
        ({"first": -1}, "waits are not negative"),
        ({"factor": 0.5}, "do not shrink"),
        ({"longest": -1}, "waits are not negative"),
        ({"longest": 1e300}, "no wait is longer than a century"),
        ({"jitter": 1.5}, "jitter is a part of the wait"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Retry(**wrong)
