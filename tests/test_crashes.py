"""Crashes, told beforehand: a component dies exactly there, and starts again from its store."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from talking import Do, Note, Said, noted, seconds

from modulus_es import (
    Clock,
    Module,
    SimulatedCrash,
    System,
    UnitOfWork,
)
from modulus_es.clock import START
from modulus_es.faults import CRASH_POINTS, CrashPoint
from modulus_es.ledger import ledger


def pair() -> tuple[System, Module, Module, list[int]]:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")
    calls: list[int] = []

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        calls.append(said.n)
        uow.add(Note(said.n))

    @sender.handles(Do)
    def do(command: Do, uow: UnitOfWork) -> None:
        uow.add(Note(command.n))
        uow.publish(Said(command.n))

    return system, sender, hearer, calls


def test_there_are_five_points() -> None:
    assert get_args(CrashPoint) == CRASH_POINTS
    assert CRASH_POINTS == (
        "before_commit", "after_commit", "before_publish", "after_publish", "before_ack",
    )  # fmt: skip


# What each point means

MEANING: dict[str, tuple[str | None, list[int], int, float]] = {
    # point: (module, calls of the handler, duplicates, seconds until all is done)
    "before_commit": ("hearer", [1, 1], 0, 30),
    "after_commit": ("hearer", [1], 0, 0),
    "before_publish": (None, [1], 0, 30),
    "after_publish": (None, [1], 1, 30),
    "before_ack": (None, [1], 1, 1),
}


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_after_a_crash_at_any_point_the_work_is_finished_and_done_once(
    point: CrashPoint,
) -> None:
    system, sender, hearer, calls = pair()
    module, expected, duplicates, until = MEANING[point]
    await sender.bus.publish(Said(1))
    system.faults.crash(point, module=module)
    await system.run()
    assert calls == expected
    assert noted(hearer) == [1]
    (row,) = ledger(system.modules)
    assert (row.outcome, row.effects, row.duplicates) == ("done", 1, duplicates)
    assert seconds(system) == until
    (crash,) = system.trace.of_kind("crash")
    assert (crash.outcome, crash.type) == (point, "Said")


@pytest.mark.parametrize("point", CRASH_POINTS)
async def test_a_crash_is_no_attempt(point: CrashPoint) -> None:
    system, sender, hearer, _ = pair()
    await sender.bus.publish(Said(1))
    system.faults.crash(point, times=20, module=MEANING[point][0])
    await system.run()
    assert [(row.status, row.attempts) for row in sender.outbox] == [("delivered", 1)]
    assert [(row.status, row.attempts) for row in hearer.inbox] == [("done", 1)]


async def test_what_arrived_at_one_module_is_not_sent_there_again_for_another() -> None:
    system, sender, hearer, _ = pair()

    @system.module("other").on(Said)
    def hear(said: Said) -> None: ...

    system.faults.crash("before_ack", module="hearer")
    await sender.bus.publish(Said(1))
    await system.run()
    assert [row.duplicates for row in hearer.inbox] == [1]
    assert [row.duplicates for row in system["other"].inbox] == [0]


async def test_a_crash_happens_as_often_as_it_was_told() -> None:
    system, sender, _hearer, calls = pair()
    system.faults.crash("before_commit", times=3, module="hearer")
    await sender.bus.publish(Said(1))
    await system.run()
    assert len(system.trace.of_kind("crash")) == 3
    assert calls == [1, 1, 1, 1]
    assert repr(system.faults) == "Faults(none)"


async def test_a_crash_waits_for_its_module() -> None:
    system, sender, _hearer, _ = pair()
    system.faults.crash("before_commit", module="hearer")
    await sender.bus.publish(Said(1))
    assert repr(system.faults) == "Faults(1 x before_commit in hearer)"
    await system.run()
    assert [record.module for record in system.trace.of_kind("crash")] == ["hearer"]


async def test_a_crash_without_a_module_takes_whichever_comes_first() -> None:
    system, sender, _, _ = pair()
    system.faults.crash("before_commit")
    with pytest.raises(SimulatedCrash) as caught:
        await sender.bus.publish(Said(1))
    assert caught.value.module == "sender"


async def test_crashes_that_have_not_happened_can_be_called_off() -> None:
    system, sender, _hearer, calls = pair()
    system.faults.crash("before_commit")
    system.faults.clear()
    await sender.bus.publish(Said(1))
    await system.run()
    assert calls == [1]


@pytest.mark.parametrize("wrong", [{"point": "in_the_shower"}, {"times": 0}])
def test_a_crash_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a crash point is one of|times is at least 1"):
        System(seed=7).faults.crash(**{"point": "before_commit", **wrong})


# Where the caller is in the way


@pytest.mark.parametrize(("point", "committed"), [("before_commit", False), ("after_commit", True)])
async def test_a_caller_in_the_way_sees_the_crash_and_the_store_says_what_was_committed(
    point: CrashPoint, committed: bool
) -> None:
    system, sender, hearer, _ = pair()
    system.faults.crash(point)
    with pytest.raises(SimulatedCrash) as caught:
        await system.send(Do(1))
    assert (caught.value.point, caught.value.module) == (point, "sender")
    assert caught.value.committed is committed
    assert noted(sender) == ([1] if committed else [])
    await system.run()
    assert noted(hearer) == noted(sender)


async def test_a_crash_is_no_exception_that_a_handler_could_swallow() -> None:
    assert not issubclass(SimulatedCrash, Exception)


async def test_a_crash_in_a_command_that_a_handler_sends_kills_the_consumer() -> None:
    system, sender, _, _ = pair()
    calls: list[int] = []

    @sender.on(Said)
    async def relayed(said: Said) -> None:
        calls.append(said.n)
        await sender.send(Do(said.n))

    await sender.bus.publish(Said(1))
    system.faults.crash("before_commit", module="sender")
    await system.run(limit=500, until=START)
    assert calls == [1]
    assert [record.outcome for record in system.trace.of_kind("crash")] == ["before_commit"]


# A dead component does nothing more


async def test_handlers_that_wait_die_with_their_consumer_and_run_again() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")
    begun: list[tuple[int, float]] = []
    ended: list[tuple[int, float]] = []

    @hearer.on(Said)
    async def rest(said: Said, clock: Clock, uow: UnitOfWork) -> None:
        begun.append((said.n, seconds(system)))
        await clock.sleep(20)
        ended.append((said.n, seconds(system)))
        uow.add(Note(said.n))

    await sender.bus.publish(Said(1))
    await system.advance(5)
    system.faults.crash("before_ack", module="hearer")
    await sender.bus.publish(Said(2))
    await system.run()
    # The dead one's handler does not go on; its lease, taken at 0, is out at 30.
    assert begun == [(1, 0), (2, 5), (1, 30)]
    assert ended == [(2, 25), (1, 50)]
    assert noted(hearer) == [2, 1]


async def test_a_dead_relay_marks_nothing_though_its_messages_arrive() -> None:
    system, sender, hearer, calls = pair()
    system.network.latency = 5
    await sender.bus.publish(Said(1), key="one")
    await system.advance(1)
    system.faults.crash("before_publish")
    await sender.bus.publish(Said(2), key="two")
    await system.advance(6)
    assert calls == [1]
    assert [row.status for row in sender.outbox] == ["claimed", "claimed"]
    await system.run()
    assert calls == [1, 2]
    assert [row.status for row in sender.outbox] == ["delivered", "delivered"]
    assert [row.duplicates for row in hearer.inbox] == [1, 0]


async def test_what_others_do_goes_on_while_a_component_is_dead() -> None:
    system, sender, hearer, _ = pair()
    other = system.module("other")
    times: list[float] = []

    @other.on(Said)
    def hear(said: Said) -> None:
        times.append(seconds(system))

    system.faults.crash("before_commit", module="hearer")
    await sender.bus.publish(Said(1))
    await system.run()
    assert times == [0]
    assert noted(hearer) == [1]


@pytest.mark.parametrize("seed", range(10))
async def test_crashes_everywhere_lose_nothing_and_double_nothing(seed: int) -> None:
    system = System(seed=seed)
    modules = [system.module(f"m{n}") for n in range(3)]
    for module in modules:
        module.on(Said, name="note")(note)
    for n in range(20):
        await modules[0].bus.publish(Said(n), key=f"key {n % 3}")
    for point in CRASH_POINTS:
        system.faults.crash(point, times=8)
    await system.run()
    rows = list(ledger(system.modules))
    assert {(row.outcome, row.effects) for row in rows} == {("done", 1)}
    assert len(rows) == 3 * 20


def note(said: Said, uow: UnitOfWork) -> None:
    uow.add(Note(said.n))
