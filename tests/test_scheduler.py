"""The scheduler by itself: sources take turns, strands wait and go on, nothing is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from talking import at

from modulus_es import Clock, Step, SystemClock, VirtualClock
from modulus_es.clock import START
from modulus_es.passing import SWEEP
from modulus_es.scheduler import Scheduler
from modulus_es.strands import Wait


class Jobs:
    """A source of jobs, each due at a time, in the order in which they were given."""

    def __init__(self, scheduler: Scheduler, name: str = "jobs") -> None:
        self.scheduler, self.name = scheduler, name
        self.jobs: list[tuple[datetime, Callable[[], Awaitable[object]]]] = []
        self.asked = self.resumed = 0
        self.waits_for: str | None = None
        scheduler.sources.append(self)

    def give(self, job: Callable[[], Awaitable[object]], seconds: float = 0) -> None:
        self.jobs.append((at(seconds), job))

    def _step(self, kind: str) -> Step:
        return Step(self.scheduler.clock.now(), kind, self.name)

    def idle(self) -> bool:
        return False

    async def work(self, limit: int) -> Step | None:
        self.asked += 1
        now = self.scheduler.clock.now()
        for entry in self.jobs:
            if entry[0] <= now:
                self.jobs.remove(entry)
                await entry[1]()
                return self._step("deliver")
        return None

    def doing(self) -> Step:
        return self._step("wait")

    async def due(self, *, patient: bool) -> datetime | None:
        return min((moment for moment, _ in self.jobs), default=None)

    def blocked(self) -> list[str]:
        return [self.waits_for] if self.waits_for else []

    def resume(self) -> None:
        self.resumed += 1

    async def abandon(self) -> None: ...


def virtual() -> tuple[Scheduler, Jobs]:
    scheduler = Scheduler(VirtualClock(START))
    return scheduler, Jobs(scheduler)


def noting(log: list[str], what: str) -> Callable[[], Awaitable[None]]:
    async def job() -> None:
        log.append(what)

    return job


async def test_sources_take_turns() -> None:
    scheduler, first = virtual()
    second = Jobs(scheduler, "second")
    log: list[str] = []
    for n in range(3):
        first.give(noting(log, f"first {n}"))
        second.give(noting(log, f"second {n}"))
    await scheduler.run()
    assert log == ["first 0", "second 0", "first 1", "second 1", "first 2", "second 2"]


async def test_a_source_that_had_nothing_to_do_is_not_asked_again_before_anybody_wakes_it() -> None:
    scheduler, busy = virtual()
    idle = Jobs(scheduler, "idle")
    log: list[str] = []
    for n in range(50):
        busy.give(noting(log, str(n)))
    await scheduler.run()
    assert len(log) == 50
    assert idle.asked < 5


async def test_a_run_that_finds_nothing_has_asked_each_source_once() -> None:
    scheduler, first = virtual()
    second = Jobs(scheduler, "second")
    await scheduler.run()
    assert (first.asked, second.asked) == (1, 1)


async def test_work_that_nobody_announced_is_found_before_time_passes() -> None:
    scheduler, busy = virtual()
    forgetful = Jobs(scheduler, "forgetful")
    log: list[tuple[str, datetime]] = []

    async def note() -> None:
        log.append(("unannounced", scheduler.clock.now()))

    async def give() -> None:
        forgetful.give(note)

    async def later() -> None:
        log.append(("later", scheduler.clock.now()))

    forgetful.give(later, 100)
    busy.give(give)
    await scheduler.run()
    assert log == [("unannounced", at(0)), ("later", at(100))]


async def test_what_is_held_waits_until_it_is_released_and_the_run_says_why() -> None:
    scheduler, jobs = virtual()
    held = scheduler.hold("the gate is shut")
    log: list[str] = []

    async def pass_the_gate() -> None:
        await held
        log.append("through")

    jobs.give(pass_the_gate)
    assert (await scheduler.run()).blocked == ("the gate is shut",)
    assert log == []
    held.release()
    assert (await scheduler.run()).blocked == ()
    assert log == ["through"]


async def test_what_was_released_before_anybody_waited_holds_nobody_up() -> None:
    scheduler, jobs = virtual()
    held = scheduler.hold("never said")
    held.release()
    held.release()
    log: list[str] = []

    async def pass_the_gate() -> None:
        await held
        log.append("through")

    jobs.give(pass_the_gate)
    await scheduler.run()
    assert log == ["through"]


async def test_only_one_strand_goes_on_at_a_time() -> None:
    scheduler, jobs = virtual()
    inside: list[int] = []
    most = 0

    async def job() -> None:
        nonlocal most
        for _ in range(3):
            await scheduler.sleep(1)
            inside.append(1)
            most = max(most, len(inside))
            await asyncio.sleep(0)
            inside.pop()

    for _ in range(5):
        jobs.give(job)
    await scheduler.run()
    assert most == 1


async def test_a_strand_of_its_own_begins_at_once_and_is_finished_in_its_time() -> None:
    scheduler, jobs = virtual()
    log: list[tuple[str, datetime]] = []

    def note(what: str) -> None:
        log.append((what, scheduler.clock.now()))

    async def travel() -> str:
        note("off")
        await scheduler.sleep(5)
        note("there")
        return "arrived"

    async def send() -> None:
        await scheduler.start(travel(), Step(at(0), "relay", "jobs"))
        note("sent")

    jobs.give(send)
    steps = []
    while step := await scheduler.step():
        steps.append((step.kind, step.outcome))
    assert log == [("off", at(0)), ("sent", at(0)), ("there", at(5))]
    assert steps == [("deliver", ""), ("wake", "arrived")]


async def test_what_fails_in_a_strand_fails_the_run() -> None:
    scheduler, jobs = virtual()

    async def travel() -> str:
        await scheduler.sleep(5)
        raise ValueError("lost the way")

    async def send() -> None:
        await scheduler.start(travel(), Step(at(0), "relay"))

    jobs.give(send)
    with pytest.raises(ValueError, match="lost the way"):
        await scheduler.run()


async def test_what_fails_in_a_strand_between_two_runs_fails_the_next() -> None:
    scheduler, jobs = virtual()

    async def job() -> None:
        await scheduler.sleep(5)
        raise ValueError("while nobody looked")

    jobs.give(job)
    await scheduler.run(until=at(1))
    await scheduler.sleep(10)
    with pytest.raises(ValueError, match="while nobody looked"):
        await scheduler.run()
    assert (await scheduler.run()).steps == 0


async def test_what_fails_in_a_source_fails_the_run_and_only_that_run() -> None:
    scheduler, jobs = virtual()
    log: list[str] = []

    async def fail() -> None:
        raise OSError("no disk")

    jobs.give(fail)
    jobs.give(noting(log, "next"))
    with pytest.raises(OSError, match="no disk"):
        await scheduler.run()
    await scheduler.run()
    assert log == ["next"]


async def test_a_strand_that_was_cancelled_is_forgotten() -> None:
    scheduler, jobs = virtual()
    tasks: list[asyncio.Task[None] | None] = []

    async def job() -> None:
        tasks.append(asyncio.current_task())
        await scheduler.sleep(1000)

    jobs.give(job)
    await scheduler.run(until=at(1))
    assert tasks[0] is not None
    tasks[0].cancel()
    await asyncio.wait([tasks[0]])
    await scheduler.run()
    assert scheduler.clock.now() == at(1)


async def test_every_run_tries_again_what_was_blocked() -> None:
    scheduler, jobs = virtual()
    jobs.waits_for = "better days"
    assert (await scheduler.run()).blocked == ("better days",)
    await scheduler.run()
    assert jobs.resumed == 2


# For ever: in the background of a live system


async def eventually(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody tells when it holds
        await asyncio.sleep(0)


async def run_for_ever(scheduler: Scheduler, until: Callable[[], bool]) -> None:
    live = asyncio.create_task(scheduler.run(forever=True))
    await eventually(until)
    scheduler.finish(limit=1000)
    await live


async def test_a_run_for_ever_waits_for_work_until_it_is_woken() -> None:
    scheduler, jobs = virtual()
    log: list[str] = []
    live = asyncio.create_task(scheduler.run(forever=True))
    for n in range(3):
        for _ in range(20):
            await asyncio.sleep(0)
        asked = jobs.asked
        for _ in range(20):
            await asyncio.sleep(0)
        assert jobs.asked == asked, "it looks for work although nobody woke it"
        jobs.give(noting(log, str(n)))
        scheduler.wake()
        await eventually(lambda n=n: len(log) > n)
    scheduler.finish(limit=10)
    await live
    assert log == ["0", "1", "2"]


async def test_another_thread_may_wake_it() -> None:
    scheduler, jobs = virtual()
    log: list[str] = []
    live = asyncio.create_task(scheduler.run(forever=True))
    for _ in range(20):
        await asyncio.sleep(0)

    def give() -> None:
        jobs.give(noting(log, "from a thread"))
        scheduler.wake()

    thread = threading.Thread(target=give)
    thread.start()
    await eventually(lambda: bool(log))
    thread.join()
    scheduler.finish(limit=10)
    await live


async def test_a_wake_between_looking_and_waiting_is_not_lost() -> None:
    scheduler, jobs = virtual()
    log: list[str] = []

    class Late(Jobs):
        async def due(self, *, patient: bool) -> datetime | None:
            # Somebody records work after everybody was asked, and before the system waits.
            if not log and not jobs.jobs:
                jobs.give(noting(log, "just in time"))
                scheduler.wake()
            return None

    scheduler.sources.remove(jobs)
    scheduler.sources.append(jobs)
    Late(scheduler, "late")
    await run_for_ever(scheduler, lambda: bool(log))
    assert log == ["just in time"]


async def test_work_that_nobody_announced_is_found_by_sweeping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert timedelta(seconds=5) == SWEEP
    monkeypatch.setattr("modulus_es.passing.SWEEP", timedelta(seconds=0.001))
    for clock in (VirtualClock(START), SystemClock()):
        scheduler = Scheduler(clock)
        jobs = Jobs(scheduler)
        log: list[str] = []
        live = asyncio.create_task(scheduler.run(forever=True))
        for _ in range(20):
            await asyncio.sleep(0)
        jobs.give(noting(log, "swept"))
        await eventually(lambda log=log: bool(log))
        scheduler.finish(limit=10)
        await live


async def test_in_real_time_it_waits_for_what_is_due_next() -> None:
    scheduler = Scheduler(SystemClock())
    jobs = Jobs(scheduler)
    log: list[datetime] = []
    due = scheduler.clock.now() + timedelta(seconds=0.01)

    async def note() -> None:
        log.append(scheduler.clock.now())

    jobs.jobs.append((due, note))
    await run_for_ever(scheduler, lambda: bool(log))
    assert log[0] >= due


async def test_a_run_for_ever_that_is_to_finish_does_first_what_is_due() -> None:
    scheduler, jobs = virtual()
    log: list[str] = []
    live = asyncio.create_task(scheduler.run(forever=True))
    for n in range(10):
        jobs.give(noting(log, str(n)), seconds=n)
    await asyncio.sleep(0)
    scheduler.finish(limit=1000)
    await live
    assert len(log) == 10


@pytest.mark.parametrize("clock", [VirtualClock(START), SystemClock()], ids=["virtual", "real"])
async def test_what_is_given_just_before_it_is_to_finish_is_done(clock: Clock) -> None:
    scheduler = Scheduler(clock)
    jobs = Jobs(scheduler)
    log: list[str] = []
    live = asyncio.create_task(scheduler.run(forever=True))
    for _ in range(20):
        await asyncio.sleep(0)
    jobs.give(noting(log, "in the last moment"))
    scheduler.wake()
    scheduler.finish(limit=10)
    await live
    assert log == ["in the last moment"]


async def test_a_wait_is_released_for_its_own_task_only() -> None:
    scheduler, jobs = virtual()
    held = [Wait(scheduler, "first"), Wait(scheduler, "second")]
    log: list[int] = []

    async def job(n: int) -> None:
        await held[n]
        log.append(n)

    for n in range(2):
        jobs.give(lambda n=n: job(n))
    await scheduler.run()
    held[1].release()
    assert (await scheduler.run()).blocked == ("first",)
    assert log == [1]
