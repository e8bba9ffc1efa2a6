"""What a run is made of: where work comes from, its steps, its goal and what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import copy_context
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from modulus_es.clock import iso
from modulus_es.errors import StepLimitError

T = TypeVar("T")


class Step(msgspec.Struct, frozen=True):
    """One thing that happened: ``kind`` is relay, deliver, wait or wake.

    *relay* hands messages of an outbox to the transport, *deliver* runs one
    handler for one message. What begins to wait on the clock meanwhile is a
    *wait*; when it goes on, that is a *wake*.

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


class Run(msgspec.Struct, frozen=True):
    """What a run did: how many steps, when it ended, and what is blocked, if anything.

    >>> from modulus_es.clock import START
    >>> Run(3, START, ())
    <ran 3 steps to 2024-01-01T00:00:00Z; nothing is due>
    >>> Run(1, START, ("cut off: orders | inventory",))
    <ran 1 step to 2024-01-01T00:00:00Z; blocked: cut off: orders | inventory>
    """

    steps: int
    time: datetime
    blocked: tuple[str, ...]

    def __repr__(self) -> str:
        rest = f"blocked: {'; '.join(self.blocked)}" if self.blocked else "nothing is due"
        steps = "step" if self.steps == 1 else "steps"
        return f"<ran {self.steps} {steps} to {iso(self.time)}; {rest}>"


class Source(Protocol):
    """Where work comes from."""

    def idle(self) -> bool:
        """Whether it surely has nothing to do, now or later; asked often, and answered at once."""

    async def work(self, limit: int) -> Step | None:
        """Do the next thing that is due, in a batch of at most ``limit``; None if nothing is."""

    def doing(self) -> Step:
        """What it has begun last, as a step of kind wait."""

    async def due(self, *, patient: bool) -> datetime | None:
        """When something is due next; None if nothing is.

        Who is ``patient`` also counts what is tried again only because time passes.
        """

    def blocked(self) -> list[str]:
        """What waits for something else than time."""

    def resume(self) -> None:
        """A new run begins: try again what was blocked."""

    async def abandon(self) -> None:
        """Give back what is claimed and not begun."""


class Goal:
    """What one run is to do, and how far it is; ``done`` is when it has ended.

    It goes on ``until`` a time, for at most ``limit`` steps or ``forever``; or it
    takes a ``single`` step. When it reaches the limit it is given once what ``more``
    answers.
    """

    __slots__ = (
        "batch",
        "context",
        "count",
        "done",
        "forever",
        "limit",
        "more",
        "single",
        "step",
        "task",
        "until",
    )

    def __init__(
        self,
        done: asyncio.Future[None],
        until: datetime | None = None,
        limit: int = 0,
        *,
        more: Callable[[], int] | None = None,
        forever: bool = False,
        single: bool = False,
    ) -> None:
        self.done, self.until, self.limit, self.more = done, until, limit, more
        self.forever, self.single = forever, single
        self.batch = 1 if single else 100
        self.count = 0
        self.step: Step | None = None
        self.task = asyncio.current_task()
        self.context = copy_context()

    @property
    def is_over(self) -> bool:
        """Whether whoever wants it is gone, also where an interrupt kept it from saying so."""
        task = self.task
        return (
            self.done.get_loop().is_closed()
            or task is None
            or task.done()
            or task is asyncio.current_task()
        )

    def counts(self, step: Step) -> bool:
        """Count a step; answers whether the run goes on after it.

        Raises `StepLimitError` where it was one too many.
        """
        self.count += 1
        if self.single:
            self.step = step
            return False
        if self.count > self.limit and not self.forever:
            self._go_further(step)
        return True

    def _go_further(self, step: Step) -> None:
        more, self.more = self.more, None
        if more is not None:
            self.limit += more()
        if self.count > self.limit:
            raise StepLimitError(
                f"the run took more than {self.limit} steps, the last of them {step!r}: perhaps "
                "messages cause each other without end. Look at system.trace, or give "
                "run(limit=...) more"
            )


class Pending(Coroutine[Any, Any, T]):
    """Something that happens when it is awaited; until then it says so.

    It is a coroutine, so that ``asyncio.run`` and ``create_task`` take it, but
    one that may be forgotten without a warning: what it says is warning enough.

    >>> Pending("system.run()", lambda: None)
    <system.run() has not happened yet: write `await system.run()`>
    """

    def __init__(self, call: str, begin: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._call, self._begin = call, begin
        self._begun: Coroutine[Any, Any, T] | None = None

    def __await__(self) -> Generator[Any, None, T]:
        return self._begin().__await__()

    def send(self, value: Any) -> Any:
        """Go on, as an event loop lets every coroutine do."""
        if self._begun is None:
            self._begun = self._begin()
        return self._begun.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error inside, as an event loop does to cancel."""
        if self._begun is None:
            self._begun = self._begin()
        return self._begun.throw(*error)

    def close(self) -> None:
        """Give up what has begun."""
        if self._begun is not None:
            self._begun.close()

    def __repr__(self) -> str:
        return f"<{self._call} has not happened yet: write `await {self._call}`>"


class Closed(Awaitable[None]):
    """What is closed already; awaiting it cleans up what singletons hold, too.

    >>> from modulus_es import System
    >>> System(seed=7).close()
    <closed; `await system.close()` cleans up singletons, too>
    """

    def __init__(self, clean_up: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._clean_up = clean_up

    def __await__(self) -> Generator[Any, None, None]:
        return self._clean_up().__await__()

    def __repr__(self) -> str:
        return "<closed; `await system.close()` cleans up singletons, too>"
