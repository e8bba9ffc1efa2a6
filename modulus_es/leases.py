"""Claims of the outbox: how long they last, and how they outlive a slow transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, TypeVar

import msgspec

from modulus_es.clock import Clock, VirtualClock
from modulus_es.failures import told
from modulus_es.stores.port import Store
from modulus_es.stores.rows import NO_SKEW, InboxRow, OutboxRow
from modulus_es.trace import Trace, TraceRecord

T = TypeVar("T")
Claimed = TypeVar("Claimed", OutboxRow, InboxRow)

LEASE = timedelta(seconds=30)
"""How long a claim lasts that nobody gives back or renews."""

BATCH = 100
"""How many rows are claimed at a time."""


_NEVER = datetime.max.replace(tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ClaimClock:
    """What time it is for claims: one that nobody sets, the same in all processes.

    Were it the wall clock, to set it forth would end the claims of all others while they
    are at work, and to set it back would keep those of the dead. In real time it is
    `time.monotonic`, which is system-wide; virtual time is never set.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._in_jumps = isinstance(clock, VirtualClock)

    def now(self) -> datetime:
        """The time that counts for claims.

        >>> ClaimClock(VirtualClock()).now().isoformat()
        '2024-01-01T00:00:00+00:00'
        """
        return self._clock.now() if self._in_jumps else _EPOCH + timedelta(seconds=monotonic())

    def look(self) -> tuple[datetime, timedelta]:
        """The time, and how far it is ahead of the one that counts for claims."""
        now = self._clock.now()
        return now, NO_SKEW if self._in_jumps else now - self.now()

    def shown(self, rows: Iterable[Claimed]) -> Iterable[Claimed]:
        """These rows, with the ends of their claims as the clock will tell them."""
        return rows if self._in_jumps else map(self._shown, rows)

    def _shown(self, row: Claimed) -> Claimed:
        if row.claimed_until is None:
            return row
        try:
            until = row.claimed_until + self.look()[1]
        except OverflowError:  # somebody altered it
            until = row.claimed_until
        return msgspec.structs.replace(row, claimed_until=until)


class Carried:
    """The rows that one relay has handed to the transport and not heard of yet.

    As long as the relay lives, their claims do not run out. In real time a timer
    renews them. Virtual time passes in jumps, and one process owns the store:
    there it is enough to `renew` before anybody asks what is free.
    """

    def __init__(self, store: Store, clock: Clock, trace: Trace) -> None:
        self._store, self._clock, self._trace = store, clock, trace
        self._claim_clock = ClaimClock(clock)
        self._in_jumps = isinstance(clock, VirtualClock)
        # By whom: an interrupt may keep a task from saying that it is at its end.
        self._batches: dict[object, tuple[asyncio.Task[Any] | None, Sequence[OutboxRow]]] = {}
        self._fresh_until = _NEVER  # before then none of their claims is worth renewing

    @contextmanager
    def carrying(self, rows: Sequence[OutboxRow]) -> Iterator[None]:
        """These rows are on their way inside the block."""
        batch = object()
        try:
            # Inside: an interrupt behind it must not leave rows that nobody carries.
            self._batches[batch] = asyncio.current_task(), rows
            self._fresh_until = min(self._fresh_until, _fresh_until(rows))
            yield
        finally:
            self._batches.pop(batch, None)

    @property
    def is_empty(self) -> bool:
        """Whether there surely are none."""
        return not self._batches

    def rows(self) -> Iterator[OutboxRow]:
        """Those that somebody carries who is still at work."""
        for batch, (task, rows) in list(self._batches.items()):
            if task is None or not task.done():
                yield from rows
            else:
                del self._batches[batch]

    def by_others(self, owner: str) -> bool:
        """Whether some of these rows were claimed under another name than this."""
        return any(row.claimed_by != owner for row in self.rows())

    async def awaited(self, owner: str, handing_over: Awaitable[T]) -> T:
        """Wait for the transport, however long it takes."""
        if self._in_jumps:
            return await handing_over
        renewing: list[asyncio.Task[Any]] = []
        loop = asyncio.get_running_loop()
        timer = loop.call_later(
            LEASE.total_seconds() / 3,
            lambda: renewing.append(loop.create_task(self._keep_renewing(owner))),
        )
        try:
            return await handing_over
        finally:
            timer.cancel()
            for task in renewing:
                task.cancel()

    async def renew(self, owner: str) -> None:
        """Let the claims of ``owner`` on these rows last a full lease from now on.

        Most are fresh enough to be left alone.
        """
        now = self._claim_clock.now()
        if now < self._fresh_until:
            return
        mine = [row for row in self.rows() if row.claimed_by == owner]
        old = [row for row in mine if now >= _fresh_until([row])]
        if old:
            await self._store.renew_outbox(owner, old, now + LEASE)
        self._fresh_until = _fresh_until(mine)

    async def _keep_renewing(self, owner: str) -> None:
        while True:
            try:
                await self.renew(owner)
            except Exception as error:
                # Whoever claims them next may hand them over again, and they are recognised.
                said = f"claims could not be renewed: {told(error)}"
                self._trace.add(
                    TraceRecord(
                        self._clock.now(),
                        "failure",
                        self._store.module,
                        handler="relay",
                        error=said,
                    )
                )
            await asyncio.sleep(LEASE.total_seconds() / 3)


def _fresh_until(rows: Sequence[OutboxRow]) -> datetime:
    """When the first of these claims has half of its lease left."""
    ends = [row.claimed_until for row in rows if row.claimed_until is not None]
    return min(ends) - LEASE / 2 if ends else _NEVER
