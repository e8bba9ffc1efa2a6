"""Work that was begun and waits: on the clock, or until somebody lets it go on."""

from __future__ import annotations

from collections.abc import Generator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

if TYPE_CHECKING:
    import asyncio

    from modulus_es.scheduler import Scheduler
    from modulus_es.steps import Source, Step


class Strand:
    """A thread of work of one scheduler; several may wait, one at a time goes on.

    ``about`` is what it does, ``source`` where it came from, if it drives;
    ``waits`` counts the parts of it that wait, because a handler may wait for
    several things at once.
    """

    __slots__ = ("about", "finished", "scheduler", "settled", "source", "task", "waits")

    def __init__(self, scheduler: Scheduler, about: Step | None = None) -> None:
        self.scheduler, self.about = scheduler, about
        self.source: Source | None = None
        self.task: asyncio.Task[Any] | None = None
        self.waits = 0
        self.finished = False
        self.settled: asyncio.Future[None] | None = None

    @property
    def drives(self) -> bool:
        """Whether it is the one that takes the next thing."""
        return self.scheduler.driving is self

    @property
    def is_over(self) -> bool:
        """Whether nothing of it goes on, also where an interrupt kept it from saying so."""
        return self.finished or (self.task is not None and self.task.done())

    def settle(self) -> None:
        """It is finished, or waits again: whoever let it go on may go on."""
        if self.settled is not None:
            resolve(self.settled)


current: ContextVar[Strand | None] = ContextVar("modulus_es_strand", default=None)
"""The strand that the running task is a part of, if it is a part of any."""


class Writer(Protocol):
    """Whoever may have the transaction of a store in hand."""

    @property
    def holds_transaction(self) -> bool:
        """Whether it has it now, and others have to wait for it."""


writer: ContextVar[ref[Writer] | None] = ContextVar("modulus_es_writer", default=None)
"""Who asked last, in the running task, for the transaction of a store, if it still lives."""


def holds_transaction() -> bool:
    """Whether the running task has the transaction of a store in hand: others wait for it."""
    asked = writer.get()
    return asked is not None and (holder := asked()) is not None and holder.holds_transaction


class Wait:
    """Waits, when it is awaited, until `release`; made by `Scheduler.hold`.

    ``why`` is what a run says of it while it is not released; empty for
    something that only takes time.
    """

    __slots__ = ("_scheduler", "future", "released", "strand", "why")

    def __init__(self, scheduler: Scheduler, why: str = "") -> None:
        self._scheduler, self.why = scheduler, why
        self.strand: Strand | None = None
        self.future: asyncio.Future[None] | None = None
        self.released = False

    def release(self) -> None:
        """Let it go on, in its turn."""
        if not self.released:
            self.released = True
            self._scheduler.ready(self)

    def __await__(self) -> Generator[Any, None, None]:
        if not self.released:
            yield from self._scheduler.suspend(self).__await__()


def resolve(future: Any) -> None:
    """Set a future that may be done or cancelled already."""
    if not future.done():
        future.set_result(None)
