"""The relay: carries messages from a module's outbox to the transport."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from random import Random

import msgspec

from modulus_es.clock import Clock, VirtualClock
from modulus_es.envelope import Envelope
from modulus_es.errors import (
    NoAcknowledgementError,
    SimulatedCrash,
    TransportUnavailableError,
)
from modulus_es.faults import ACKNOWLEDGEMENT_TIMEOUT, Faults
from modulus_es.retry import Retry
from modulus_es.scheduler import Scheduler, Step
from modulus_es.stores.port import OutboxRow, Store
from modulus_es.trace import Trace, TraceRecord
from modulus_es.transports.port import Transport

LEASE = timedelta(seconds=30)
"""How long a claim lasts that nobody gives back."""

BATCH = 100
"""How many rows a relay claims at a time."""


class OutboxRelay:
    """Claims rows of one outbox, hands them to the transport, and marks what became of them.

    Any number of relays may work on one store; each has an ``owner`` name of
    its own. A transport that is down consumes no attempt: the relay waits.
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
    ) -> None:
        self.store, self.transport = store, transport
        self._clock, self._trace, self._faults = clock, trace, faults
        self._scheduler, self._random = scheduler, random
        self._name, self._lives = name, 1
        self._failures = 0
        self._down: str | None = None
        self._again_at: datetime | None = None

    @property
    def module(self) -> str:
        """The module whose outbox it is."""
        return self.store.module

    @property
    def owner(self) -> str:
        """Under which name it claims; a new one each time it dies and is restarted."""
        return f"{self.store.module}.{self._name}-{self._lives}"

    async def work(self, limit: int = BATCH) -> Step | None:
        """Hand over the next rows that are due; None if there are none."""
        now = self._clock.now()
        if self._again_at is not None:
            if now < self._again_at:
                return None
            self._again_at = None
        owner = self.owner
        try:
            rows = await self.store.claim_outbox(
                owner, now, LEASE, min(limit, BATCH), self.transport.routes()
            )
            if not rows:
                return None
            if self.transport.batching:
                await self._hand_over(owner, rows)
            else:
                for chain in _by_key(rows):
                    if owner != self.owner:
                        break  # it died over an earlier one: the lease frees the rest
                    await self._scheduler.start(self._survive(self._chain(owner, chain)))
        except SimulatedCrash as crash:
            self._die(crash)
        except BaseException:
            # What is claimed and not yet marked is claimed again when its lease is out.
            self._lives += 1
            raise
        first = rows[0].envelope
        more = f"{first.type} and {len(rows) - 1} more" if len(rows) > 1 else first.type
        return Step(now, "relay", self.module, more, message_id=first.message_id)

    async def due(self) -> datetime | None:
        """When there is something to claim next."""
        if self._again_at is not None:
            # To a virtual clock a transport that is down is no matter of time.
            return None if isinstance(self._clock, VirtualClock) else self._again_at
        return await self.store.outbox_due(
            self.owner, self._clock.now(), self.transport.routes()
        )

    def blocked(self) -> list[str]:
        """What waits for something else than time."""
        said = [] if self._down is None else [f"{self.module}: transport down: {self._down}"]
        routes = self.transport.routes()
        waiting: dict[str, int] = {}
        for row in self.store.undelivered():
            if row.status == "pending" and not routes.accept(row.envelope):
                to = f" for {row.envelope.to}" if row.envelope.to else ""
                what = f"{row.envelope.type}{to}"
                waiting[what] = waiting.get(what, 0) + 1
        said.extend(
            f"{self.module}: nobody handles {what} ({n} waiting)" for what, n in waiting.items()
        )
        return said

    def resume(self) -> None:
        """Try the transport again at once."""
        self._again_at = None

    async def abandon(self) -> None:
        """Nothing is claimed between two calls of `work`."""

    async def _survive(self, work: Awaitable[None]) -> None:
        try:
            await work
        except SimulatedCrash as crash:
            self._die(crash)

    async def _chain(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        """The rows of one key, one after the other; chance may let one be overtaken."""
        for index, row in enumerate(rows):
            if self.transport.overtakes(row.envelope):
                self._scheduler.spawn(self._survive(self._overtaken(owner, row)))
            elif not await self._hand_over(owner, [row]):
                await self.store.release_outbox(owner, rows[index + 1 :])
                return

    async def _overtaken(self, owner: str, row: OutboxRow) -> None:
        await self.transport.detour()
        await self._hand_over(owner, [row])

    async def _hand_over(self, owner: str, rows: Sequence[OutboxRow]) -> bool:
        if self._faults.armed:
            self._faults.reach("before_publish", self.module)
        answers = await self.transport.publish([_envelope(row) for row in rows])
        if self._faults.armed:
            self._faults.reach("after_publish", self.module)
        now = self._clock.now()
        delivered = [row for row, error in zip(rows, answers, strict=True) if error is None]
        for row in delivered:
            self._say(row, now, "relay", "done")
        await self.store.mark_delivered(owner, delivered, now)
        for row, error in zip(rows, answers, strict=True):
            if error is not None:
                await self._failed(owner, row, error, now)
        if len(delivered) < len(rows):
            return False
        self._failures, self._down = 0, None
        return True

    async def _failed(self, owner: str, row: OutboxRow, error: Exception, now: datetime) -> None:
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, TransportUnavailableError):
            if isinstance(error, NoAcknowledgementError):
                later = now + ACKNOWLEDGEMENT_TIMEOUT
                self._say(row, now, "relay", "waiting", said)
                await self.store.retry_outbox(owner, row, said, later, counted=False)
            else:
                self._say(row, now, "relay", "waiting", said)
                await self.store.release_outbox(owner, [row])
                self._failures += 1
                self._down = str(error)
                wait = self.retry.wait(self._failures, self._random)
                self._again_at = now + timedelta(seconds=wait)
        elif self.retry.is_last(row.attempts + 1):
            self._say(row, now, "dead", "dead", said)
            await self.store.bury_outbox(owner, row, said, now)
        else:
            wait = self.retry.wait(row.attempts + 1, self._random)
            self._say(row, now, "relay", "retry", said)
            await self.store.retry_outbox(owner, row, said, now + timedelta(seconds=wait))

    def _die(self, crash: SimulatedCrash) -> None:
        self._lives += 1
        self._trace.add(
            TraceRecord(
                self._clock.now(), "crash", self.module, handler="relay", outcome=crash.point
            )
        )

    def _say(
        self, row: OutboxRow, now: datetime, kind: str, outcome: str, error: str | None = None
    ) -> None:
        envelope = row.envelope
        self._trace.add(
            TraceRecord(
                now,
                kind,
                self.module,
                envelope.message_id,
                envelope.type,
                "relay" if kind == "dead" else "",
                row.attempts + 1,
                outcome,
                correlation_id=envelope.correlation_id,
                causation_id=envelope.causation_id,
                error=error,
            )
        )

    def __repr__(self) -> str:
        return f"OutboxRelay({self.owner})"


def _envelope(row: OutboxRow) -> Envelope:
    position = 0 if row.scheduled else row.position
    return msgspec.structs.replace(row.envelope, position=position, attempt=row.attempts + 1)


def _by_key(rows: Sequence[OutboxRow]) -> list[list[OutboxRow]]:
    chains: dict[str, list[OutboxRow]] = {}
    for row in rows:
        chains.setdefault(row.envelope.key, []).append(row)
    return list(chains.values())
