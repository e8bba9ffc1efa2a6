"""`run`, `step`, `advance`: one thing after the other, until nothing is due."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from talking import Note, Said, at, pair

from modulus_es import (
    Clock,
    Command,
    MessageBus,
    Module,
    ModulusError,
    Run,
    StepLimitError,
    System,
    SystemClock,
    UnitOfWork,
)
from modulus_es.clock import START


class Wait(Command[None]):
    seconds: float


def notes(module: Module) -> list[str]:
    return [stored.topic for stored in module.stored_events()]


def statuses(module: Module) -> list[str]:
    return [row.status for row in module.inbox]


async def test_a_run_ends_when_nothing_is_due() -> None:
    system, sender, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    await sender.bus.publish(Said(1))
    run = await system.run()
    assert heard == [1]
    assert run == Run(2, START, ())
    assert await system.run() == Run(0, START, ())


async def test_a_run_answers_how_far_it_came_and_says_so() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    await sender.bus.publish(Said(1))
    assert repr(await system.run()) == "<ran 2 steps to 2024-01-01T00:00:00Z; nothing is due>"


async def test_time_jumps_to_what_is_due_next() -> None:
    system, sender, hearer = pair()
    times: list[datetime] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        times.append(system.now())

    await sender.bus.publish(Said(1), at=at(86_400))
    await sender.bus.publish(Said(2), at=at(30))
    await system.run()
    assert times == [at(30), at(86_400)]


# What runs until a time


async def test_a_run_until_a_moment_does_what_is_due_then_and_not_what_is_due_later() -> None:
    system, sender, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    for seconds in (5, 10, 10.000001):
        await sender.bus.publish(Said(int(seconds)), at=at(seconds))
    assert (await system.run(until=at(10))).time == at(10)
    assert heard == [5, 10]
    assert system.now() == at(10)


async def test_a_run_until_a_moment_ends_at_that_moment_though_nothing_is_due() -> None:
    system, _, _ = pair()
    await system.run(until=at(99))
    assert system.now() == at(99)


async def test_a_run_may_be_told_how_long() -> None:
    system, _, _ = pair()
    await system.run(until=timedelta(minutes=2))
    assert system.now() == at(120)


async def test_a_run_until_a_moment_that_is_over_does_nothing() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    await system.advance(10)
    await sender.bus.publish(Said(1))
    assert await system.run(until=at(9)) == Run(0, at(10), ("sender",)[:0])
    assert [row.status for row in sender.outbox] == ["pending"]


async def test_a_run_until_a_moment_without_a_time_zone_is_refused() -> None:
    system, _, _ = pair()
    with pytest.raises(ValueError, match="until needs a time zone"):
        await system.run(until=datetime(2030, 1, 1))  # noqa: DTZ001


async def test_a_run_until_what_is_no_time_is_refused() -> None:
    system, _, _ = pair()
    with pytest.raises(TypeError, match="until is a moment or a timedelta from now, not 5"):
        await system.run(until=5)  # type: ignore[arg-type]


async def test_advance_takes_how_long() -> None:
    system, _, _ = pair()
    await system.advance(timedelta(minutes=1))
    assert system.now() == at(60)


async def test_advance_runs_for_so_many_seconds() -> None:
    system, sender, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    await sender.bus.publish(Said(1), at=at(3))
    await system.advance(2.5)
    assert (heard, system.now()) == ([], at(2.5))
    await system.advance(0.5)
    assert (heard, system.now()) == ([1], at(3))


@pytest.mark.parametrize("span", ["soon", None, float("nan"), float("inf")], ids=repr)
async def test_an_advance_or_a_wait_by_what_is_no_span_of_time_is_refused(span: Any) -> None:
    system = System(seed=7)
    with pytest.raises((TypeError, ValueError), match=r"advance\(\) (is a number|comes to an end)"):
        await system.advance(span)
    with pytest.raises((TypeError, ValueError), match=r"a wait (is a number|comes to an end)"):
        await system.clock.sleep(span)
    assert system.now() == START


async def test_a_wait_may_be_a_timedelta() -> None:
    system = System(seed=7)
    await system.clock.sleep(timedelta(minutes=1))
    assert system.now() == START + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seed": "seven"}, "a seed is an integer, not 'seven'"),
        ({"seed": 1.5}, "a seed is an integer, not 1.5"),
        ({"clock": SystemClock}, r"clock= takes a clock, such as SystemClock\(\), not <class"),
        ({"clock": 5}, r"clock= takes a clock, such as SystemClock\(\), not 5"),
        ({"store": 5}, "no store answers to '5'"),
        ({"transport": 5}, "no transport answers to '5'"),
    ],
    ids=repr,
)
def test_what_a_system_cannot_be_made_of_is_refused_by_name(
    given: dict[str, Any], said: str
) -> None:
    with pytest.raises((TypeError, ModulusError), match=said):
        System(**given)


async def test_time_does_not_advance_backwards() -> None:
    system, _, _ = pair()
    with pytest.raises(ValueError, match="time does not go back"):
        await system.advance(-1)


# Handlers that wait


async def test_waiting_handlers_overlap_in_virtual_time() -> None:
    system, sender, hearer = pair()
    spans: dict[int, tuple[datetime, datetime]] = {}

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        began = clock.now()
        await clock.sleep(10)
        spans[said.n] = (began, clock.now())

    for n in range(5):
        await sender.bus.publish(Said(n))
    await system.run()
    assert spans == dict.fromkeys(range(5), (at(0), at(10)))


async def test_a_handler_that_waits_shows_the_wait_as_its_duration() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(30)

    await sender.bus.publish(Said(1))
    await system.run()
    (delivery,) = system.trace.deliveries()
    assert (delivery.started_at, delivery.finished_at) == (at(0), at(30))


async def test_those_due_at_the_same_moment_go_on_in_the_order_in_which_they_began() -> None:
    system, sender, hearer = pair()
    woken: list[int] = []

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(10 - clock.now().second)
        woken.append(said.n)

    for n in range(20):
        await sender.bus.publish(Said(n), at=at(n % 3))
    await system.run()
    assert woken == sorted(range(20), key=lambda n: n % 3)


async def test_a_handler_may_wait_for_several_things_at_once() -> None:
    system, sender, hearer = pair()
    log: list[tuple[str, datetime]] = []

    async def part(name: str, seconds: float, clock: Clock) -> None:
        for _ in range(2):
            await clock.sleep(seconds)
            log.append((name, clock.now()))

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await asyncio.gather(part("a", 3, clock), part("b", 2, clock))
        log.append(("both", clock.now()))

    await sender.bus.publish(Said(1))
    await system.run()
    assert log == [("b", at(2)), ("a", at(3)), ("b", at(4)), ("a", at(6)), ("both", at(6))]


async def test_a_wait_that_begins_within_a_gather_a_little_later_is_not_jumped_over() -> None:
    system, sender, hearer = pair()
    log: list[datetime] = []

    async def late(clock: Clock) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        await clock.sleep(1)
        log.append(clock.now())

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await asyncio.gather(clock.sleep(100), late(clock))

    await sender.bus.publish(Said(1))
    await system.run()
    assert log == [at(1)]


async def test_what_a_handler_leaves_behind_waits_on_the_clock_too() -> None:
    system, sender, hearer = pair()
    log: list[datetime] = []
    tasks: list[asyncio.Task[None]] = []

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        async def later() -> None:
            await clock.sleep(5)
            log.append(clock.now())

        tasks.append(asyncio.create_task(later()))
        await asyncio.sleep(0)

    await sender.bus.publish(Said(1))
    await sender.bus.publish(Said(2), at=at(60))
    await system.run()
    assert log[0] == at(5)
    assert statuses(hearer) == ["done", "done"]
    await asyncio.gather(*tasks)


async def test_a_handler_may_await_what_asyncio_offers() -> None:
    system, sender, hearer = pair()
    log: list[str] = []

    @hearer.on(Said)
    async def hear(said: Said) -> None:
        log.append(await asyncio.to_thread(str.upper, "from a thread"))

    await sender.bus.publish(Said(1))
    await system.run()
    assert log == ["FROM A THREAD"]
    assert system.now() == START


async def test_a_command_that_waits_lets_time_pass_without_a_run() -> None:
    system, sender, _ = pair()

    @sender.handles(Wait)
    async def wait(command: Wait, clock: Clock) -> None:
        await clock.sleep(command.seconds)

    results = await asyncio.gather(system.send(Wait(30)), system.send(Wait(20)))
    assert all(results)
    assert system.now() == at(30)


async def test_what_waits_when_a_run_until_a_time_ends_goes_on_in_the_next_run() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock, uow: UnitOfWork) -> None:
        await clock.sleep(10)
        uow.add(Note(said.n))

    await sender.bus.publish(Said(1))
    await system.run(until=at(4))
    assert (notes(hearer), statuses(hearer)) == ([], ["claimed"])
    await system.run()
    assert (notes(hearer), statuses(hearer)) == (["Note.Written"], ["done"])
    assert system.now() == at(10)


async def test_a_wait_outside_of_a_run_lets_time_pass_only_as_far_as_it_goes() -> None:
    system, sender, hearer = pair()
    woken: list[datetime] = []

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(10)
        woken.append(clock.now())

    await sender.bus.publish(Said(1))
    await system.run(until=at(1))
    await system.clock.sleep(2)
    assert (system.now(), woken) == (at(3), [])
    await system.clock.sleep(20)
    assert (system.now(), woken) == (at(23), [at(10)])


async def test_somebody_who_waits_outside_is_woken_in_the_middle_of_a_run() -> None:
    system, sender, hearer = pair()
    log: list[tuple[str, datetime]] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        log.append(("heard", system.now()))

    async def outside() -> None:
        await system.clock.sleep(5)
        log.append(("outside", system.now()))

    for seconds in (4, 6):
        await sender.bus.publish(Said(1), at=at(seconds))
    waiting = asyncio.create_task(outside())
    await system.run()
    await waiting
    assert log == [("heard", at(4)), ("outside", at(5)), ("heard", at(6))]


async def test_somebody_who_still_waits_outside_when_a_run_ends_is_not_forgotten() -> None:
    system, _, _ = pair()
    waiting = asyncio.create_task(system.clock.sleep(100))
    await asyncio.sleep(0)
    await system.run(until=at(1))
    await waiting
    assert system.now() == at(100)


# One step


async def test_a_step_does_exactly_one_thing_and_answers_what_it_was() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    @hearer.on(Said)
    def hear_too(said: Said) -> None: ...

    await sender.bus.publish(Said(1))
    await sender.bus.publish(Said(2))
    told = []
    while step := await system.step():
        told.append(repr(step).removeprefix("<2024-01-01T00:00:00Z ").removesuffix(">"))
    assert told == [
        "relay Said from sender",
        "deliver Said to hearer.hear: done",
        "relay Said from sender",
        "deliver Said to hearer.hear_too: done",
        "deliver Said to hearer.hear: done",
        "deliver Said to hearer.hear_too: done",
    ]


async def test_a_step_leaves_everything_else_undone() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    for n in range(3):
        await sender.bus.publish(Said(n), key="k")
    await system.step()
    assert [row.status for row in sender.outbox] == ["delivered", "pending", "pending"]
    assert statuses(hearer) == ["pending"]


async def test_a_step_with_nothing_to_do_is_none() -> None:
    system, _, _ = pair()
    assert await system.step() is None


async def test_a_handler_that_begins_to_wait_ends_the_step() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(said.n)

    await sender.bus.publish(Said(7))
    await sender.bus.publish(Said(5))
    told = []
    while step := await system.step():
        told.append((step.kind, step.outcome, step.time, step.handler))
    assert told == [
        ("relay", "", at(0), ""),
        ("wait", "waiting", at(0), "hear"),
        ("relay", "", at(0), ""),
        ("wait", "waiting", at(0), "hear"),
        ("wake", "done", at(5), "hear"),
        ("wake", "done", at(7), "hear"),
    ]


async def test_a_handler_that_waits_twice_is_woken_twice() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(1)
        await clock.sleep(1)

    await sender.bus.publish(Said(1))
    told = []
    while step := await system.step():
        told.append((step.kind, step.outcome))
    assert told == [("relay", ""), ("wait", "waiting"), ("wake", "waiting"), ("wake", "done")]


async def test_steps_and_a_run_of_single_messages_count_the_same() -> None:
    async def build() -> System:
        system, sender, hearer = pair()

        @hearer.on(Said)
        async def hear(said: Said, clock: Clock) -> None:
            await clock.sleep(3)

        await sender.bus.publish(Said(1))
        return system

    one, other = await build(), await build()
    steps = 0
    while await one.step():
        steps += 1
    assert (await other.run()).steps == steps == 3


# What is refused, and what has an end


async def test_work_that_reschedules_itself_stops_at_the_step_limit() -> None:
    system, _, hearer = pair()

    @hearer.on(Said)
    async def echo(said: Said, bus: MessageBus) -> None:
        await bus.publish(Said(said.n + 1))

    await hearer.bus.publish(Said(0))
    with pytest.raises(StepLimitError, match=r"more than 50 steps.*without end.*run\(limit=...\)"):
        await system.run(limit=50)


async def test_the_step_limit_grows_with_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modulus_es.running.STEP_LIMIT", 1)
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    for n in range(20):
        await sender.bus.publish(Said(n))
    assert (await system.run()).steps > 20
    assert len(hearer.inbox.pending()) == 0


async def test_a_run_may_take_exactly_as_many_steps_as_its_limit() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    await sender.bus.publish(Said(1))
    assert (await system.run(limit=2)).steps == 2


async def test_waits_count_as_steps_so_that_one_who_waits_for_ever_meets_the_limit() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        while True:
            await clock.sleep(1)

    await sender.bus.publish(Said(1))
    with pytest.raises(StepLimitError):
        await system.run(limit=30)
    assert statuses(hearer) == ["claimed"]


async def test_a_system_works_on_after_the_step_limit() -> None:
    system, sender, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    for n in range(10):
        await sender.bus.publish(Said(n), key="k")
    with pytest.raises(StepLimitError):
        await system.run(limit=3)
    assert heard == [0, 1, 2]
    await system.run()
    assert heard == list(range(10))


async def test_a_run_within_a_handler_is_refused_clearly() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said) -> None:
        await system.run()

    await sender.bus.publish(Said(1))
    await system.run()
    (row,) = hearer.inbox
    assert row.status == "dead"
    assert row.last_error is not None
    assert row.last_error.startswith("ModulusError: the system is running already: a handler lets")


async def test_a_step_within_a_handler_that_was_woken_outside_of_a_run_is_refused_too() -> None:
    system, sender, hearer = pair()
    refusals: list[str] = []

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(5)
        try:
            await system.step()
        except ModulusError as error:
            refusals.append(str(error))

    await sender.bus.publish(Said(1))
    await system.run(until=at(1))
    await system.clock.sleep(60)
    assert len(refusals) == 1


async def test_two_runs_at_once_are_refused() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said) -> None:
        await asyncio.sleep(0)

    await sender.bus.publish(Said(1))
    first, second = await asyncio.gather(system.run(), system.run(), return_exceptions=True)
    assert isinstance(first, Run)
    assert isinstance(second, ModulusError)


# A run that nobody awaited, and runs in several event loops


def test_a_run_that_nobody_awaited_says_so() -> None:
    system, _, _ = pair()
    assert repr(system.run()) == ("<system.run() has not happened yet: write `await system.run()`>")
    assert repr(system.step()) == (
        "<system.step() has not happened yet: write `await system.step()`>"
    )
    assert "await system.advance(3)" in repr(system.advance(3))


def test_asyncio_run_takes_a_run_as_it_is() -> None:
    system, _, _ = pair()
    assert asyncio.run(system.run()) == Run(0, START, ())  # type: ignore[arg-type]


async def test_a_run_may_be_a_task_and_be_cancelled_before_it_began() -> None:
    system, _, _ = pair()
    assert await asyncio.create_task(system.run()) == Run(0, START, ())
    task = asyncio.create_task(system.run())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await system.run() == Run(0, START, ())


def test_one_system_runs_in_one_event_loop_after_the_other() -> None:
    system, sender, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(1)
        heard.append(said.n)

    async def publish_and_run(n: int) -> None:
        await sender.bus.publish(Said(n))
        await system.run()

    for n in range(3):
        asyncio.run(publish_and_run(n))
    assert heard == [0, 1, 2]


def test_a_delivery_that_waited_when_its_event_loop_ended_is_made_again_in_the_next() -> None:
    system, sender, hearer = pair()
    begun: list[int] = []

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock, uow: UnitOfWork) -> None:
        begun.append(said.n)
        await clock.sleep(5)
        uow.add(Note(said.n))

    async def part_of_it() -> None:
        await sender.bus.publish(Said(1))
        await system.run(until=at(2))

    asyncio.run(part_of_it())
    assert (begun, notes(hearer), statuses(hearer)) == ([1], [], ["claimed"])
    asyncio.run(system.run())  # type: ignore[arg-type]
    assert (begun, notes(hearer), statuses(hearer)) == ([1, 1], ["Note.Written"], ["done"])
    assert [row.attempts for row in hearer.inbox] == [1]


def test_an_event_loop_that_is_closed_without_care_holds_nothing_up() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(5)

    async def part_of_it() -> None:
        await sender.bus.publish(Said(1))
        await system.run(until=at(2))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(part_of_it())
    for task in asyncio.all_tasks(loop):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    del loop
    asyncio.run(system.run())  # type: ignore[arg-type]
    assert statuses(hearer) == ["done"]


# Real time


async def test_on_the_systems_clock_a_run_does_what_is_due_now() -> None:
    system, sender, hearer = pair(clock=SystemClock())
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    await sender.bus.publish(Said(1))
    await sender.bus.publish(Said(2), at=system.now() + timedelta(hours=1))
    await system.run()
    assert heard == [1]


async def test_on_the_systems_clock_a_retry_is_left_for_later() -> None:
    system, sender, hearer = pair(clock=SystemClock())

    @hearer.on(Said)
    def hear(said: Said) -> None:
        raise ValueError(said.n)

    await sender.bus.publish(Said(1))
    await system.run()
    assert [(row.status, row.attempts) for row in hearer.inbox] == [("pending", 1)]


async def test_on_the_systems_clock_a_run_waits_for_the_handlers_that_it_began() -> None:
    system, sender, hearer = pair(clock=SystemClock())
    log: list[str] = []

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        log.append(f"begin {said.n}")
        await clock.sleep(0.1 if said.n == 2 else 0.001)
        log.append(f"end {said.n}")

    await sender.bus.publish(Said(2))
    await sender.bus.publish(Said(1))
    await system.run()
    assert log == ["begin 2", "begin 1", "end 1", "end 2"]


async def test_on_the_systems_clock_a_run_until_a_moment_waits_for_it() -> None:
    system, sender, hearer = pair(clock=SystemClock())
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    await sender.bus.publish(Said(1), at=system.now() + timedelta(seconds=0.01))
    # A span: on a busy machine a moment may be past before the run begins.
    began, span = system.now(), timedelta(seconds=0.05)
    await system.run(until=span)
    assert heard == [1]
    assert system.now() >= began + span


# What is blocked


async def test_a_message_that_nobody_handles_is_blocked_and_named() -> None:
    system, sender, _ = pair()
    await sender.bus.publish(Said(1))
    await sender.bus.publish(Said(2))
    await sender.bus.send(Wait(1.0), to="hearer")
    run = await system.run()
    assert run.blocked == (
        "sender: nobody handles Said (2 waiting)",
        "sender: nobody handles Wait for hearer (1 waiting)",
    )


async def test_a_delivery_whose_handler_is_gone_is_blocked_and_named() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None:
        raise ValueError("not yet")

    await sender.bus.publish(Said(1))
    await system.run(until=at(0))
    hearer.forget(hear)
    run = await system.run()
    assert run.blocked == ("hearer: handler hear is gone (1 waiting)",)
    assert run.time == at(0), "no time passes to its next attempt"


async def test_no_time_passes_to_what_nobody_will_handle() -> None:
    system, sender, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    await sender.bus.send(Wait(1.0), to="nobody", at=at(60))
    run = await system.run()
    assert (run.time, run.blocked) == (
        at(0),
        ("sender: nobody handles Wait for nobody (1 waiting)",),
    )
    # What waits behind it has its time all the same.
    await sender.bus.publish(Said(1), at=at(3600))
    assert (await system.run()).time == at(3600)
    assert heard == [1]


async def test_a_partition_is_blocked_and_named_once() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    system.network.partition("sender", "hearer")
    await sender.bus.publish(Said(1))
    await sender.bus.publish(Said(2))
    run = await system.run()
    assert run.blocked == ("cut off: sender | hearer",)
    assert repr(run).endswith("blocked: cut off: sender | hearer>")
    system.network.heal()
    assert (await system.run()).blocked == ()
