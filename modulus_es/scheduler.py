"""What happens next: one thing at a time, and time passes when nothing is due.

One loop at a time *drives*: it takes the next thing from a source (a relay, a
consumer) and awaits it. If that thing waits, a new loop takes over, so that
waiting handlers overlap; the one that waited is a *strand*, and when it may go
on the driving loop wakes it, and waits until it is finished or waits again. So
only one thing happens at a time, in an order that chance has no part in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from msgspec.structs import replace

from modulus_es import ambient
from modulus_es.clock import Clock, VirtualClock
from modulus_es.errors import ModulusError, StepLimitError
from modulus_es.passing import Passing
from modulus_es.rota import Rota
from modulus_es.steps import Goal, Run, Step
from modulus_es.strands import Strand, Wait, current, holds_transaction, resolve
from modulus_es.waiting import Bystanders, WaitingRoom, let_others_run

_GIVE_WAY = 0.02  # seconds of work after which an interrupt must get its chance


class Scheduler:
    """Runs the sources of one system."""

    def __init__(self, clock: Clock, system: ambient.Source | None = None) -> None:
        self.clock = clock
        self._system = system  # which is current for all that a run does
        self._rota = Rota()
        self.sources = self._rota.sources
        self._virtual = clock if isinstance(clock, VirtualClock) else None
        if self._virtual is not None:
            self._virtual.moved_by(self.sleep)
        self._room = WaitingRoom()
        self._passing = Passing(clock, self._rota, self._room)
        self._goal: Goal | None = None
        self.driving: Strand | None = None
        self._driver: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failure: BaseException | None = None
        self._bystanders = Bystanders(self._virtual, self._room, self._let_one_go_on)
        # Whether a part of a strand waits whose other parts may be about to.
        self._parted = False

    async def run(
        self,
        until: datetime | None = None,
        limit: int = 100_000,
        *,
        more: Callable[[], int] | None = None,
        forever: bool = False,
    ) -> Run:
        """Do what is due, letting time pass to the next due time, not beyond ``until``.

        Raises `StepLimitError` after ``limit`` steps, and as many as ``more`` answers
        then; ``forever`` has no limit, and waits when nothing is due, until `finish`
        or until it is cancelled.
        """
        done = asyncio.get_running_loop().create_future()
        goal = Goal(done, until, limit, more=more, forever=forever)
        await self._reach(goal)
        return Run(goal.count, self.clock.now(), tuple(self._blocked()))

    async def step(self) -> Step | None:
        """Do exactly one thing and answer what it was; None if nothing is due."""
        goal = Goal(asyncio.get_running_loop().create_future(), single=True)
        await self._reach(goal)
        return goal.step

    def finish(self, limit: int) -> None:
        """Let a run that goes on forever end when nothing is due, after ``limit`` more steps."""
        if self._goal is not None:
            self._goal.forever, self._goal.limit = False, self._goal.count + limit
            self.wake()

    def wake(self) -> None:
        """Something may be due now; may be called from any thread."""
        self._rota.bell.ring()

    # What a part of the system does that takes time, or has to wait for others

    async def start(self, work: Coroutine[Any, Any, str], about: Step) -> None:
        """Begin a strand of its own; go on when it is finished or waits.

        ``work`` answers its outcome, for whoever lets it go on later.
        """
        loop = asyncio.get_running_loop()
        strand = Strand(self, about)
        settled = strand.settled = loop.create_future()
        context = copy_context()
        context.run(current.set, strand)
        task = loop.create_task(work, context=context)
        strand.task = task
        self._tasks.add(task)

        def finished(task: asyncio.Task[str]) -> None:
            self._tasks.discard(task)
            strand.finished = True
            if not task.cancelled():
                if (error := task.exception()) is not None:
                    self._fail(error)
                else:
                    strand.about = replace(about, outcome=task.result())
            strand.settle()

        task.add_done_callback(finished)
        await settled

    def hold(self, why: str = "") -> Wait:
        """Something to wait for that others release; see `Wait`."""
        return Wait(self, why)

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of the clock, while others go on."""
        if holds_transaction():
            raise ModulusError(
                "clock.sleep() with uow.connection in hand: the store lets nobody else write "
                "meanwhile. Wait first, and ask for the connection afterwards"
            )
        wait = Wait(self)
        if self._virtual is not None:
            self._room.add(wait, self._virtual.now() + timedelta(seconds=seconds))
            await wait
            return
        timer = asyncio.get_running_loop().call_later(seconds, wait.release)
        self._room.timed += 1
        try:
            await wait
        finally:
            self._room.timed -= 1
            timer.cancel()

    def ready(self, wait: Wait) -> None:
        """A `Wait` was released: it goes on in its turn."""
        if wait.future is not None:
            self._room.add(wait)
            self.wake()

    async def suspend(self, wait: Wait) -> None:
        """Let others drive until this `Wait` goes on."""
        wait.future = asyncio.get_running_loop().create_future()
        strand = current.get()
        if strand is None or strand.scheduler is not self:
            self.wake()
            await self._bystanders.wait(wait, running=self._goal is not None)
            return
        wait.strand = strand
        if asyncio.current_task() is not strand.task:
            self._parted = True
        if wait.why:
            self._room.held[wait] = None
        strand.waits += 1
        if self.driving is strand:
            self._hand_on(strand)
        else:
            strand.settle()
        try:
            await wait.future
        finally:
            strand.waits -= 1
            self._room.held.pop(wait, None)

    # How a run goes

    async def _reach(self, goal: Goal) -> None:
        strand = current.get()
        if (self._goal is not None and not self._goal.is_over) or (
            strand is not None and strand.scheduler is self
        ):
            raise ModulusError(
                "the system is running already: a handler lets the system go on by returning, "
                "or waits with clock.sleep(); a live system needs no run()"
            )
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if goal.until is not None and goal.until < self.clock.now():
            return
        reason: BaseException | None = None
        try:
            self._goal = goal
            # Of the run before there is something left only where that was interrupted at its end.
            await self._stop_driving()
            self._bury_the_dead()
            await self._bystanders.stop()
            self._rota.resume()
            self._launch(goal)
            await goal.done
        except BaseException as error:
            reason = error
            raise
        finally:
            self._goal = None
            if goal.done.done() and not goal.done.cancelled():
                goal.done.exception()  # it is known, whoever is told of it
            await self._stop_driving()
            await self._rota.abandon(reason)
            self._bystanders.go_on()

    async def _stop_driving(self) -> None:
        self.driving = None
        driver, self._driver = self._driver, None
        if driver is not None and not (driver.done() or driver.get_loop().is_closed()):
            driver.cancel()
            await asyncio.wait([driver])

    def _bury_the_dead(self) -> None:
        """End what waits in an event loop that was closed, so that its work is done again."""
        for task in [task for task in self._tasks if task.get_loop().is_closed()]:
            self._tasks.discard(task)
            if (coroutine := task.get_coro()) is not None:
                coroutine.close()

    def _launch(self, goal: Goal) -> None:
        strand = self.driving = Strand(self)
        loop = asyncio.get_running_loop()
        self._driver = loop.create_task(self._drive(goal, strand), context=goal.context.copy())
        strand.task = self._driver
        # A driver that waits is a strand like any other, and must not be forgotten.
        self._tasks.add(self._driver)
        self._driver.add_done_callback(self._retired)

    def _retired(self, driver: asyncio.Task[None]) -> None:
        self._tasks.discard(driver)
        if not driver.cancelled():
            driver.exception()  # such as an interrupt, which the run raises: it is known

    def _hand_on(self, strand: Strand) -> None:
        """The driver waits: let another drive, or end a run that was to take one step."""
        goal = self._goal
        assert goal is not None
        assert strand.source is not None
        self.driving = self._driver = None
        strand.about = strand.source.doing()
        try:
            goes_on = goal.counts(strand.about)
        except StepLimitError as error:
            self._fail(error)
        else:
            if goes_on:
                self._launch(goal)
            else:
                resolve(goal.done)

    async def _drive(  # noqa: C901, PLR0912 - in one frame: each delivery goes through it
        self, goal: Goal, strand: Strand
    ) -> None:
        current.set(strand)
        if self._system is not None:
            # For all that this task does, so that not each delivery has to say so.
            ambient.choose(self._system)
        room, rota, sources, batch = self._room, self._rota, self.sources, goal.batch
        began = perf_counter()
        try:
            while self.driving is strand:
                step = None if room.empty else await self._let_one_go_on()
                if step is None:
                    rota.begin()
                    while (place := rota.next_up()) is not None:
                        source = strand.source = sources[place]
                        step = await source.work(batch)
                        if step is not None:
                            rota.served(place)
                            break
                        if self.driving is not strand:
                            break
                        rota.had_nothing(place)
                if self.driving is not strand:
                    strand.about = step or strand.about
                elif step is None:
                    if not await self._pass_time(goal, strand) and self.driving is strand:
                        self._end(goal)
                elif not goal.counts(step):
                    self._end(goal)
                elif perf_counter() - began > _GIVE_WAY:
                    await asyncio.sleep(0)
                    if self._virtual is None:
                        rota.bell.ring()
                    began = perf_counter()
        except (asyncio.CancelledError, GeneratorExit):
            if self.driving is strand:
                goal.done.cancel()
            raise
        except BaseException as error:
            self._fail(error)
            if not isinstance(error, Exception):
                raise
        finally:
            strand.finished = True
            strand.settle()

    def _end(self, goal: Goal) -> None:
        self.driving = None
        resolve(goal.done)

    async def _let_one_go_on(self) -> Step | None:
        """Wake one that waits, until it is finished or waits again; None if nobody may go on."""
        wait = self._room.take(self.clock.now())
        if wait is None:
            return None
        strand = wait.strand
        if strand is None or strand.finished or strand.waits > 1:
            # Nobody can say when this has come to an end, or waits again.
            resolve(wait.future)
            await let_others_run()
        else:
            settled = strand.settled = asyncio.get_running_loop().create_future()
            resolve(wait.future)
            await settled
        if strand is None or strand.about is None:
            return Step(self.clock.now(), "wake")
        return replace(strand.about, time=self.clock.now(), kind="wake")

    async def _pass_time(self, goal: Goal, strand: Strand) -> bool:
        """Nothing is due now: let time pass; answers whether to go on."""
        if self._parted:
            self._parted = False
            await let_others_run()
            return True
        return await self._passing.pass_time(goal, strand)

    def _fail(self, error: BaseException) -> None:
        goal = self._goal
        self.driving = None
        if goal is not None and not goal.done.done():
            goal.done.set_exception(error)
        elif isinstance(error, Exception):
            # An interrupt is raised by whoever met it, and the next run has no part in it.
            self._failure = error

    def _blocked(self) -> list[str]:
        return list(dict.fromkeys([*self._room.blocked(), *self._rota.blocked()]))
