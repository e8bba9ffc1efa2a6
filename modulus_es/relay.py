"""The relay: carries messages from a module's outbox to the transport."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from modulus_es.clock import Clock
from modulus_es.envelope import Envelope
from modulus_es.errors import (
    HeldBackError,
    NoAcknowledgementError,
    SimulatedCrash,
    TransportUnavailableError,
)
from modulus_es.failures import told
from modulus_es.faults import ACKNOWLEDGEMENT_TIMEOUT, Faults
from modulus_es.leases import BATCH, LEASE, Carried, ClaimClock
from modulus_es.retry import Retry
from modulus_es.steps import Step
from modulus_es.stores.port import Store
from modulus_es.stores.rows import OutboxRow, held_until
from modulus_es.trace import Trace, record_of
from modulus_es.transports.port import Transport

if TYPE_CHECKING:
    from modulus_es.scheduler import Scheduler


class OutboxRelay:
    """Claims rows of one outbox, hands them to the transport, and marks what became of them.

    A module has one that a run lets work. Any number of others may work on the
    same store, each under a name of its own; see `System.new_relay`. A transport
    that is down consumes no attempt: the relay waits.

    >>> from modulus_es import System
    >>> system = System(seed=7)
    >>> system.new_relay(system.module("orders"), "second")
    OutboxRelay(orders.second-1)
    """

    retry = Retry(attempts=5, first=1.0, longest=30.0, jitter=0.5)

    def __init__(
        self,
        store: Store,
        transport: Transport,
        *,
        clock: Clock,
        trace: Trace,
        faults: Faults,
        scheduler: Scheduler,
        random: Random,
        name: str = "relay",
        peers: Sequence[OutboxRelay] | None = None,
    ) -> None:
        self.store, self.transport = store, transport
        self.module = store.module
        self._clock, self._trace, self._faults = clock, trace, faults
        self._claim_clock = ClaimClock(clock)
        self._scheduler, self._random = scheduler, random
        self._name, self._lives = name, 1
        # Under which name it claims; a new one each time it dies and is restarted.
        self.owner = f"{self.module}.{name}-1"
        self._failures = 0
        self._down: str | None = None
        self._again_at: datetime | None = None
        self._last: Envelope | None = None
        # The relays of this system on the same outbox, this one among them.
        self._peers = [self] if peers is None else peers
        self._carried = Carried(store, clock, trace)
        # Whether rows may be claimed that this has lost sight of.
        self._interrupted = False
        # Who hands over a batch; an interrupt may keep it from saying that it is at its end.
        self._busy: asyncio.Task[Any] | None = None

    def idle(self) -> bool:
        """Whether there is surely nothing to hand over."""
        return self._again_at is None and self.store.at_rest()

    async def work(self, limit: int = BATCH) -> Step | None:
        """Hand over the next rows that are due; None if there are none."""
        if self._is_busy():
            return None  # its rows must not be overtaken by later ones of their keys
        if self._interrupted:
            await self._give_back()
        now = self._clock.now()
        if self._again_at is not None and now < self._again_at:
            return None
        self._again_at = None
        owner = self.owner
        try:
            await self._renew()
            then, skew = self._claim_clock.look()
            rows = await self.store.claim_outbox(
                owner, then, LEASE, min(limit, BATCH), self.transport.routes(), skew
            )
            if not rows:
                return None
            first = self._last = rows[0].envelope
            if self.transport.batching:
                try:
                    self._busy = asyncio.current_task()
                    await self._carry(owner, rows)
                finally:
                    self._busy = None
            else:
                await self._send_off(owner, rows)
        except BaseException:
            self._interrupted = True
            raise
        more = f"{first.type} and {len(rows) - 1} more" if len(rows) > 1 else first.type
        return Step(now, "relay", self.module, more, message_id=first.message_id)

    def doing(self) -> Step:
        """What it has begun last."""
        return self._about(self._last, "wait")

    async def due(self, *, patient: bool) -> datetime | None:
        """When there is something to claim next; a transport that is down is asked if patient."""
        if self._is_busy():
            return None
        if self._again_at is not None:
            return self._again_at if patient else None
        await self._renew()
        (now, skew), routes = self._claim_clock.look(), self.transport.routes()
        due = await self.store.outbox_due(self.owner, now, routes, skew)
        if due is None:
            return None
        if due <= now or not any(peer._carried.by_others(self.owner) for peer in self._peers):
            return due
        # That the lease of what a living relay carries will be out is no reason to let time
        # pass: a partition would have the relays take the same rows over from each other for ever.
        # What is carried under the name asked for, the store has left out by itself.
        carried = {row.position for peer in self._peers for row in peer._carried.rows()}
        times = [
            held_until(row, now, skew) or row.available_at
            for row in await self.store.run(lambda: list(self.store.undelivered()))
            if row.position not in carried and routes.accept(row.envelope)
        ]
        return min((moment for moment in times if moment > now), default=None)

    def blocked(self) -> list[str]:
        """What waits for something else than time."""
        said = [] if self._down is None else [f"{self.module}: transport down: {self._down}"]
        for type_, to, count in self.store.unroutable(self.transport.routes()):
            what = f"{type_} for {to}" if to else type_
            said.append(f"{self.module}: nobody handles {what} ({count} waiting)")
        return said

    def resume(self) -> None:
        """Try the transport again at once."""
        self._again_at = None

    async def abandon(self) -> None:
        """Give back what an interrupt left claimed; otherwise nothing is, between two calls."""
        if self._interrupted:
            await self._give_back()

    async def _renew(self) -> None:
        """Before anybody asks what is free: what living relays carry is not."""
        for relay in self._peers:
            if not relay._carried.is_empty:
                await relay._carried.renew(relay.owner)

    def _is_busy(self) -> bool:
        return self._busy is not None and not self._busy.done()

    async def _give_back(self) -> None:
        """Something interrupted it: give back what it has claimed and lost sight of."""
        rows = await self.store.run(lambda: list(self.store.undelivered()))
        owner, carried = self.owner, {row.position for row in self._carried.rows()}
        await self.store.release_outbox(
            owner, [r for r in rows if r.claimed_by == owner and r.position not in carried]
        )
        self._interrupted = False

    async def _send_off(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        """Each row travels by itself; the transport keeps the order of each key."""
        for row in rows:
            if owner != self.owner:
                return  # it died over an earlier one: the lease frees the rest
            about = self._about(row.envelope, "relay")
            await self._scheduler.start(self._travel(owner, row), about)

    async def _travel(self, owner: str, row: OutboxRow) -> str:
        await self._carry(owner, [row])
        return row.status

    async def _carry(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        """Hand rows over that are this relay's until it is known what became of them."""
        attempt = rows[0].attempts + 1
        try:
            with self._carried.carrying(rows):
                await self._hand_over(owner, rows)
        except SimulatedCrash as crash:
            self._die(crash, rows[0].envelope, attempt)
        except BaseException:
            self._interrupted = True
            raise

    async def _hand_over(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        if self._faults.armed:
            self._faults.reach("before_publish", self.module)
        # No transaction is open meanwhile: the claims were committed.
        answers = await self._published(owner, [_envelope(row) for row in rows])
        if owner != self.owner:
            return  # it died meanwhile, and the dead mark nothing
        if self._faults.armed:
            self._faults.reach("after_publish", self.module)
        now = self._clock.now()
        delivered = [row for row, error in zip(rows, answers, strict=True) if error is None]
        if delivered:
            self._failures, self._down = 0, None
            for row in delivered:
                self._say(row, now, "relay", "done")
            await self.store.mark_delivered(owner, delivered, now)
        if len(delivered) < len(rows):
            for row, error in zip(rows, answers, strict=True):
                if error is not None:
                    await self._failed(owner, row, error, now)

    async def _published(
        self, owner: str, envelopes: Sequence[Envelope]
    ) -> Sequence[Exception | None]:
        """What became of each of them, also where the transport raises instead of saying so."""
        try:
            return await self._carried.awaited(owner, self.transport.publish(envelopes))
        except Exception as error:
            if len(envelopes) == 1 or isinstance(error, TransportUnavailableError):
                return [error] * len(envelopes)
        # One at a time finds out which it was; the others must not pay for it.
        answers: list[Exception | None] = []
        held: set[str] = set()
        for envelope in envelopes:
            answer: Exception | None = HeldBackError("an earlier message of its key failed")
            if envelope.key not in held:
                [answer] = await self._published(owner, [envelope])
            if answer is not None:
                held.add(envelope.key)
            answers.append(answer)
        return answers

    async def _failed(self, owner: str, row: OutboxRow, error: Exception, now: datetime) -> None:
        said = told(error)
        if isinstance(error, HeldBackError):
            await self.store.release_outbox(owner, [row])
        elif isinstance(error, NoAcknowledgementError):
            self._say(row, now, "relay", "waiting", said)
            later = now + ACKNOWLEDGEMENT_TIMEOUT
            await self.store.retry_outbox(owner, row, said, later, counted=False)
        elif isinstance(error, TransportUnavailableError):
            self._say(row, now, "relay", "waiting", said)
            await self.store.release_outbox(owner, [row])
            self._wait(str(error), now)
        elif self.retry.is_last(row.attempts + 1):
            self._say(row, now, "dead", "dead", said)
            await self.store.bury_outbox(owner, row, said, now)
        else:
            wait = self.retry.wait(row.attempts + 1, self._random)
            self._say(row, now, "relay", "retry", said)
            await self.store.retry_outbox(owner, row, said, now + timedelta(seconds=wait))

    def _wait(self, why: str, now: datetime) -> None:
        """The transport is down: leave it alone for a while, longer each time."""
        self._down = why
        if self._again_at is None:
            self._failures += 1
            self._again_at = now + timedelta(seconds=self.retry.wait(self._failures, self._random))

    def _die(self, crash: SimulatedCrash, envelope: Envelope, attempt: int) -> None:
        self._lives += 1
        self.owner = f"{self.module}.{self._name}-{self._lives}"
        said = "", "relay", attempt, crash.point
        self._trace.add(record_of(envelope, self._clock.now(), "crash", self.module, *said))

    def _about(self, envelope: Envelope | None, kind: str) -> Step:
        now = self._clock.now()
        if envelope is None:
            return Step(now, kind, self.module)
        return Step(now, kind, self.module, envelope.type, "", "", envelope.message_id)

    def _say(
        self, row: OutboxRow, now: datetime, kind: str, outcome: str, error: str | None = None
    ) -> None:
        who = "relay" if kind == "dead" else ""
        attempt = row.attempts + 1
        self._trace.add(
            record_of(row.envelope, now, kind, self.module, "", who, attempt, outcome, error)
        )

    def __repr__(self) -> str:
        return f"OutboxRelay({self.owner})"


def _envelope(row: OutboxRow) -> Envelope:
    position = 0 if row.scheduled else row.position
    return msgspec.structs.replace(row.envelope, position=position, attempt=row.attempts + 1)
