"""Group commit: many commits in one transaction, each undone by itself where it fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Coroutine, Generator, Sequence
from contextlib import suppress
from copy import copy
from datetime import datetime
from types import coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from modulus_es.errors import SimulatedCrash

if TYPE_CHECKING:
    from modulus_es.stores.rows import EventRow, Handled, InboxRow, OutboxRow

E = TypeVar("E", bound=BaseException)

Delivering = Coroutine[Any, Any, str]
"""A delivery that has begun; it answers its outcome."""


class Committing(Protocol):
    """Where a unit of work is written: in a store, a group of deliveries or a commit queue."""

    def begin(self) -> Any:
        """Open the transaction that the next `commit` ends; None where there is none."""

    async def rollback(self, connection: Any) -> None:
        """Undo what was done in a transaction that `begin` opened."""

    async def commit(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
        connection: Any = None,
    ) -> Sequence[int]:
        """Write all or nothing; answers the events' positions.

        Raises eventsourcing's ``IntegrityError`` where an event's place in its
        aggregate is taken, `LeaseLostError` where the inbox row is no longer
        the owner's, `StoreUnavailableError` where the store cannot be reached.
        """

    async def holds(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
    ) -> bool:
        """Whether exactly this was committed; asked when a commit's answer did not arrive."""


class Group(Committing, Protocol):
    """A store for some deliveries, which writes all of them in one transaction.

    Each writes behind a savepoint of its own and then waits, by `until_ended`, for
    the transaction to end. Where it has ended, or cannot begin at once, everything
    goes to the store itself. ``failure`` is why the transaction could not be
    committed, None where it was.
    """

    ended: bool
    failure: BaseException | None

    @property
    def taken(self) -> bool:
        """Whether a delivery has the open transaction in hand, as ``uow.connection``."""

    async def retry_delivery(self, owner: str, row: InboxRow, error: str, at: datetime) -> None:
        """See `Store.retry_delivery`."""

    async def bury_delivery(self, owner: str, row: InboxRow, error: str, now: datetime) -> None:
        """See `Store.bury_delivery`."""

    def leave(self) -> None:
        """The delivery at hand waits for something else: nobody ends the group but itself."""

    def end(self) -> None:
        """Commit what was written; where that fails, ``failure`` says why."""

    def undo(self) -> None:
        """Undo all that was written."""


class CommitQueue(Committing, Protocol):
    """Where those who work at the same time commit: their commits are one transaction.

    A commit waits for those of the same turn of the event loop, and many for a turn in
    which nobody joins them. Each has a savepoint of its own, and is over when all of them
    are on the disk. What has the store's transaction in hand, or is the mark of a delivery,
    goes to the store itself, and so does a task that commits again with nobody in between.
    """

    async def settle(self, ids: Collection[UUID]) -> bool:
        """Write now what waits of these aggregates, so that it is found; answers if any did."""


class _Parked:
    """What a delivery yields that waits for its group to end."""


PARKED = _Parked()


@coroutine
def until_ended() -> Generator[_Parked, None, None]:
    """Wait until the group has ended; raises what kept it from being committed."""
    yield PARKED


class _Written(NamedTuple):
    """A delivery that has written in a group, or has ended without."""

    row: InboxRow
    delivering: Delivering | None
    outcome: str


class Round:
    """The deliveries of one group: first all of them write, then each goes on by itself."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._written: deque[_Written] = deque()
        self._waits = False

    def __len__(self) -> int:
        """How many have written and are not at their end."""
        return len(self._written)

    @property
    def is_open(self) -> bool:
        """Whether more may write in it."""
        return not self.group.ended

    @property
    def waits(self) -> bool:
        """Whether it is open because a delivery waits that has the transaction in hand."""
        return self._waits and not self.group.ended

    async def write(self, row: InboxRow, delivering: Delivering) -> str:
        """Let a delivery run up to its commit.

        Answers its outcome where it waited for something else meanwhile, and so
        ended the group for all others; else nothing.
        """
        try:
            awaited = delivering.send(None)
        except StopIteration as done:
            self._written.append(_Written(row, None, done.value))
            return ""
        if awaited is PARKED:
            self._written.append(_Written(row, delivering, ""))
            return ""
        if self.group.taken:
            self._waits = True
            self.group.leave()
        else:
            self.group.end()
        try:
            return await going_on(delivering, awaited)
        finally:
            self.group.end()

    def next_row(self) -> InboxRow:
        """Whose delivery goes on next."""
        return self._written[0].row

    async def go_on(self) -> str:
        """Let the next delivery go on to its end; answers its outcome."""
        _, delivering, outcome = self._written.popleft()
        if delivering is None:
            return outcome
        failure = self.group.failure
        return await after_group(delivering, None if failure is None else retold(failure))

    def die(self) -> None:
        """Forget all of them, and undo what was not committed: their component has died."""
        self.group.undo()
        written, self._written = self._written, deque()
        for each in written:
            if each.delivering is not None:
                _close(each.delivering)


def retold(failure: E) -> E:
    """The same failure, for one of many whom it is told.

    Each raises it where it waits, and one object would have the traceback of all of them.
    """
    told = failure
    with suppress(Exception):  # a reader's own class may want to be made in another way
        told = copy(failure)
        told.__cause__, told.__context__ = failure.__cause__, failure.__context__
        told.__suppress_context__ = failure.__suppress_context__
        if hasattr(failure, "__notes__"):
            told.__notes__ = [*failure.__notes__]
    return told.with_traceback(failure.__traceback__)


@coroutine
def after_group(delivering: Delivering, failure: BaseException | None) -> Generator[Any, Any, str]:
    """Go on with a delivery whose group has ended."""
    try:
        awaited = delivering.send(None) if failure is None else delivering.throw(failure)
    except StopIteration as done:
        return str(done.value)
    return (yield from _going_on(delivering, awaited))


@coroutine
def going_on(delivering: Delivering, awaited: Any) -> Generator[Any, Any, str]:
    """Go on with a delivery that was begun by hand, and waits for something."""
    return (yield from _going_on(delivering, awaited))


def _going_on(delivering: Delivering, awaited: Any) -> Generator[Any, Any, str]:
    while True:
        try:
            try:
                answer = yield awaited
            except BaseException as error:
                awaited = delivering.throw(error)
            else:
                awaited = delivering.send(answer)
        except StopIteration as done:
            return str(done.value)


def _close(delivering: Delivering) -> None:
    try:
        delivering.close()
    except (SimulatedCrash, RuntimeError):
        # It is dead; what it says, or waits for, in the end is nobody's business.
        return
