"""What happens next: one thing at a time, and time jumps when nothing is due.

One loop at a time *drives*: it takes the next thing from a source (a relay, a
consumer) and awaits it. If that thing waits on the virtual clock, a new loop
takes over, so that waiting handlers overlap in virtual time; the one that waited
is a *strand*, and when its time has come the driving loop wakes it and waits
until it is finished, or waits again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar, copy_context
from datetime import datetime, timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from modulus_es.clock import Clock, VirtualClock, iso
from modulus_es.errors import ModulusError, StepLimitError

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

SWEEP = timedelta(seconds=5)
"""How often a live system looks for work that nobody woke it for."""

_GIVE_WAY = 0.02  # seconds of work after which an interrupt must get its chance
_SETTLE = 10  # rounds of the event loop for tasks that nobody waits for


class Step(NamedTuple):
    """One thing that happened: ``kind`` is relay, deliver, wake or wait.

    >>> from modulus_es.clock import START
    >>> Step(START, "deliver", "inventory", "OrderCreated", "ReserveStock", "done")
    <2024-01-01T00:00:00Z deliver OrderCreated to inventory.ReserveStock: done>
    """

    time: datetime
    kind: str
    module: str = ""
    type: str = ""
    handler: str = ""
    outcome: str = ""
    message_id: str = ""

    def __repr__(self) -> str:
        where = f" {'to' if self.handler else 'from'} {self.module}" if self.module else ""
        handler = f".{self.handler}" if self.handler else ""
        what = f" {self.type}" if self.type else ""
        outcome = f": {self.outcome}" if self.outcome else ""
        return f"<{iso(self.time)} {self.kind}{what}{where}{handler}{outcome}>"


class Run(NamedTuple):
    """What a run did: how many steps, when it ended, and what is blocked, if anything.

    >>> from modulus_es.clock import START
    >>> Run(3, START, ())
    <ran 3 steps to 2024-01-01T00:00:00Z; nothing is due>
    """

    steps: int
    time: datetime
    blocked: tuple[str, ...]

    def __repr__(self) -> str:
        rest = f"blocked: {'; '.join(self.blocked)}" if self.blocked else "nothing is due"
        return f"<ran {self.steps} {'step' if self.steps == 1 else 'steps'} to {iso(self.time)}; {rest}>"


class Source(Protocol):
    """Where work comes from."""

    async def work(self, limit: int) -> Step | None:
        """Do the next thing that is due, in a batch of at most ``limit``; None if nothing is."""

    async def due(self) -> datetime | None:
        """When something is due next; None if nothing is."""

    def blocked(self) -> list[str]:
        """What waits for something else than time."""

    def resume(self) -> None:
        """A new run begins: try again what was blocked."""

    async def abandon(self) -> None:
        """Give back what is claimed and not begun."""


class Strand:
    """Something that was begun and may wait on the virtual clock."""

    __slots__ = ("asleep", "settled", "token")

    def __init__(self, token: object) -> None:
        self.token = token
        self.asleep = 0
        self.settled: asyncio.Future[None] | None = None

    def settle(self) -> None:
        """It is finished, or waits again: whoever waits for that may go on."""
        if self.settled is not None and not self.settled.done():
            self.settled.set_result(None)


_strand: ContextVar[Strand | None] = ContextVar("modulus_es_strand", default=None)


class _Goal:
    __slots__ = ("done", "forever", "limit", "most", "steps", "until")

    def __init__(
        self, until: datetime | None, limit: int, most: int, forever: bool, done: Any
    ) -> None:
        self.until, self.limit, self.most, self.forever = until, limit, most, forever
        self.steps: list[Step] = []
        self.done: asyncio.Future[int] = done


class Scheduler:
    """Runs the sources of one system."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.sources: list[Source] = []
        self._virtual = clock if isinstance(clock, VirtualClock) else None
        if self._virtual is not None:
            self._virtual.on_sleep = self._falls_asleep
        self._goal: _Goal | None = None
        self._token: object | None = None
        self._driver: asyncio.Task[None] | None = None
        self._count = 0
        self._next_source = 0
        self._blocked: list[tuple[Callable[[], bool], str, Any, Strand | None]] = []
        self._spawned: set[asyncio.Task[None]] = set()
        self._woken: asyncio.Event | None = None
        self._idle: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether a run is under way."""
        return self._goal is not None

    async def run(
        self,
        until: datetime | None = None,
        limit: int = 100_000,
        *,
        most: int = 100,
        forever: bool = False,
    ) -> Run:
        """Do what is due, jumping to the next due time, not beyond ``until``.

        Raises `StepLimitError` after ``limit`` things. ``most`` is the size of
        a batch; ``forever`` goes on when nothing is due.
        """
        goal = await self._drive(until, limit, most, forever, stop_after=None)
        return Run(self._count, self.clock.now(), tuple(self._what_is_blocked()) if goal else ())

    async def step(self) -> Step | None:
        """Do exactly one thing and answer what it was; None if nothing is due."""
        goal = await self._drive(None, 2, 1, False, stop_after=1)
        return goal.steps[0] if goal.steps else None

    async def _drive(
        self, until: datetime | None, limit: int, most: int, forever: bool, stop_after: int | None
    ) -> _Goal:
        import asyncio

        if self._goal is not None:
            raise ModulusError(
                "the system is running already: a handler lets the system go on by returning, "
                "or waits with clock.sleep(); a live system needs no run()"
            )
        loop = asyncio.get_running_loop()
        goal = self._goal = _Goal(until, limit, most, forever, loop.create_future())
        self._count = 0
        self._stop_after = stop_after
        self._context = copy_context()
        self._context.run(_strand.set, None)
        self._woken = asyncio.Event()
        for source in self.sources:
            source.resume()
        self._launch()
        try:
            await goal.done
        finally:
            self._goal = None
            self._token = None
            driver = self._driver
            if driver is not None and not driver.done():
                driver.cancel()
                await asyncio.wait([driver])
            for source in self.sources:
                await source.abandon()
        return goal

    def wake(self) -> None:
        """Something may be due now: a live system looks at once."""
        if self._woken is not None:
            self._woken.set()

    async def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a strand of its own; go on when it is finished or waits."""
        await self._await_strand(self.spawn(work))

    def spawn(self, work: Coroutine[Any, Any, None]) -> Strand:
        """Begin a strand of its own, without waiting."""
        import asyncio

        strand = Strand(None)
        context = copy_context()
        context.run(_strand.set, strand)
        task = asyncio.get_running_loop().create_task(work, context=context)
        strand.settled = asyncio.get_running_loop().create_future()
        self._spawned.add(task)

        def finished(task: asyncio.Task[None]) -> None:
            self._spawned.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._fail(error)
            strand.settle()

        task.add_done_callback(finished)
        return strand

    async def until(self, condition: Callable[[], bool], why: str) -> None:
        """Wait until ``condition`` holds; a run does not wait for it, and says ``why``."""
        import asyncio

        if condition():
            return
        woken = asyncio.get_running_loop().create_future()
        self._blocked.append((condition, why, woken, self._falls_asleep()))
        try:
            await woken
        finally:
            self._blocked = [entry for entry in self._blocked if entry[2] is not woken]

    def _what_is_blocked(self) -> list[str]:
        said = {why: None for condition, why, _, _ in self._blocked if not condition()}
        for source in self.sources:
            said.update(dict.fromkeys(source.blocked()))
        return list(said)

    def _launch(self) -> None:
        import asyncio

        token = self._token = object()
        self._driver = asyncio.get_running_loop().create_task(
            self._loop(token), context=self._context.copy()
        )

    def _falls_asleep(self) -> Strand | None:
        strand = _strand.get()
        if strand is None:
            if self._goal is None and self._virtual is not None:
                self._drive_sleepers()
            return None
        strand.asleep += 1
        if strand.token is not None and strand.token is self._token:
            self._launch()
        else:
            strand.settle()
        return strand

    async def _loop(self, token: object) -> None:
        import asyncio

        goal = self._goal
        assert goal is not None
        began = perf_counter()
        strand = Strand(token)
        _strand.set(strand)
        try:
            while self._token is token:
                step = await self._next(goal)
                if step is not None:
                    self._note(goal, step)
                if self._token is not token:
                    strand.settle()
                    return
                if step is None or (
                    self._stop_after is not None and len(goal.steps) >= self._stop_after
                ):
                    self._token = None
                    _resolve(goal.done)
                    return
                if perf_counter() - began > _GIVE_WAY:
                    await asyncio.sleep(0)
                    began = perf_counter()
        except asyncio.CancelledError:
            strand.settle()
            if self._goal is goal and not goal.done.done():
                goal.done.cancel()
            raise
        except BaseException as error:
            strand.settle()
            self._fail(error)
            if not isinstance(error, Exception):
                raise

    def _note(self, goal: _Goal, step: Step) -> None:
        self._count += 1
        if self._stop_after is not None:
            goal.steps.append(step)
        if not goal.forever and self._count > goal.limit:
            raise StepLimitError(
                f"the run took more than {goal.limit} steps, the last of them {step!r}: perhaps "
                "messages cause each other without end. Look at system.trace, or give "
                "run(limit=...) more"
            )

    def _fail(self, error: BaseException) -> None:
        goal = self._goal
        if goal is not None and not goal.done.done():
            self._token = None
            goal.done.set_exception(error)

    async def _next(self, goal: _Goal) -> Step | None:
        while True:
            woken = await self._wake_one()
            if woken is not None:
                return woken
            sources = self.sources
            for offset in range(len(sources)):
                index = (self._next_source + offset) % len(sources)
                step = await sources[index].work(goal.most)
                if step is not None:
                    self._next_source = index + 1
                    return step
            if not await self._pass_time(goal):
                return None

    async def _pass_time(self, goal: _Goal) -> bool:
        due = [moment for source in self.sources if (moment := await source.due()) is not None]
        if self._virtual is not None:
            if (wake := self._virtual.next_wake()) is not None:
                due.append(wake)
            moment = min(due, default=None)
            if moment is not None and (goal.until is None or moment <= goal.until):
                self._virtual.jump(moment)
                return True
            if goal.until is not None:
                self._virtual.jump(goal.until)
        if not goal.forever:
            return False
        await self._wait_for_work(min(due, default=None))
        return True

    async def _wait_for_work(self, due: datetime | None) -> None:
        import asyncio

        assert self._woken is not None
        seconds = SWEEP.total_seconds()
        if due is not None and self._virtual is None:
            seconds = min(seconds, max(0.0, (due - self.clock.now()).total_seconds()))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            for source in self.sources:
                source.resume()
        self._woken.clear()

    async def _wake_one(self) -> Step | None:
        import asyncio

        for entry in self._blocked:
            condition, why, woken, strand = entry
            if not woken.done() and condition():
                await self._resume(woken, strand)
                return Step(self.clock.now(), "wake", outcome=f"no longer {why}")
        if self._virtual is not None and (due := self._virtual.take_due()) is not None:
            if not due[0].cancelled():
                await self._resume(*due)
            return Step(self.clock.now(), "wake")
        if self._spawned and self._virtual is None:
            await asyncio.sleep(0)
        return None

    async def _resume(self, woken: asyncio.Future[None], strand: Strand | None) -> None:
        import asyncio

        if strand is None:
            _resolve(woken)
            await _let_others_run()
            return
        strand.asleep -= 1
        strand.settled = asyncio.get_running_loop().create_future()
        _resolve(woken)
        await self._await_strand(strand)

    async def _await_strand(self, strand: Strand) -> None:
        if strand.asleep:
            # Another part of it still waits on the clock, so it may not settle.
            await _let_others_run()
        elif strand.settled is not None:
            await strand.settled
        strand.settled = None

    def _drive_sleepers(self) -> None:
        """Somebody waits outside a run: time has to pass for them all the same."""
        import asyncio

        if self._idle is None or self._idle.done():
            self._idle = asyncio.get_running_loop().create_task(self._pass_sleepers())

    async def _pass_sleepers(self) -> None:
        assert self._virtual is not None
        while True:
            await _let_others_run()
            moment = self._virtual.next_wake()
            if moment is None or self._goal is not None:
                return
            self._virtual.jump(moment)
            due = self._virtual.take_due()
            if due is not None and not due[0].cancelled():
                await self._resume(*due)


def _resolve(future: Any) -> None:
    if not future.done():
        future.set_result(None)


async def _let_others_run() -> None:
    import asyncio

    for _ in range(_SETTLE):
        await asyncio.sleep(0)


class Pending(Awaitable[T]):
    """Something that happens when it is awaited; until then it says so.

    >>> Pending("system.run()", lambda: None)
    <system.run() has not happened yet: write `await system.run()`>
    """

    def __init__(self, call: str, begin: Callable[[], Awaitable[T]]) -> None:
        self._call, self._begin = call, begin

    def __await__(self) -> Generator[Any, None, T]:
        return self._begin().__await__()

    def __repr__(self) -> str:
        return f"<{self._call} has not happened yet: write `await {self._call}`>"
