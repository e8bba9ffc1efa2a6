"""The consumer side of a module: its inbox, and whose turn it is."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from modulus_es import ambient
from modulus_es.addressees import Addressees
from modulus_es.deliveries import Deliverer
from modulus_es.envelope import Envelope
from modulus_es.errors import SimulatedCrash
from modulus_es.groups import Delivering, Group, Round
from modulus_es.handlers import Handler
from modulus_es.leases import BATCH, LEASE, ClaimClock
from modulus_es.reception import Reception
from modulus_es.steps import Step
from modulus_es.stores.rows import InboxRow
from modulus_es.strands import Strand, current
from modulus_es.trace import record_of

if TYPE_CHECKING:
    from modulus_es.module import Module


_Due: TypeAlias = tuple[InboxRow, Handler]


class Consumer:
    """Holds messages in a module's inbox and runs each handler of each of them.

    Every handler of a message succeeds, is retried and dies on its own. Its
    effects in the module's store and the inbox mark are one transaction, so
    they happen exactly once, however often the message arrives.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._system, self._store, self._clock = module.system, module.store, module.system.clock
        self._faults = module.system.faults
        self._claim_clock = ClaimClock(module.system.clock)
        self._deliverer = Deliverer(module)
        self._claimed: deque[InboxRow] = deque()
        self._begun: dict[int, Strand | None] = {}
        # Claimed, and nobody is there to handle them: not to be claimed over and over.
        self._held: list[InboxRow] = []
        self._round: Round | None = None
        self._last: InboxRow | None = None
        # Whether rows may be claimed that this has lost sight of.
        self._interrupted = False
        self._lives = 1
        # Under which name it claims; a new one each time it dies and is restarted.
        self.owner = f"{module.name}.consumer-1"
        self._addressees = Addressees(module.name)
        self._reception = Reception(module, self._addressees, self._deliverer)

    def changed(self) -> None:
        """A registration changed: listen for what is handled now."""
        module = self._module
        subscription = self._addressees.learn(module.requests, module.subscribers)
        self._deliverer.changed()
        # What was held may have somebody to handle it now.
        self._interrupted = self._interrupted or bool(self._held)
        module.system.transport.subscribe(module.name, subscription, self.receive)

    def handlers_of(self, envelope: Envelope) -> list[Handler]:
        """The handlers here that a message is for."""
        found = (self._addressees.get(envelope, name) for name, _ in self._addressees.of(envelope))
        return [handler for handler in found if handler is not None]

    async def receive(self, envelopes: Sequence[Envelope]) -> None:
        """Hold messages durably; what nobody here handles becomes a dead letter."""
        await self._reception.receive(envelopes)
        if self._faults.armed:
            try:
                self._faults.reach("before_ack", self._module.name)
            except SimulatedCrash as crash:
                self._die(crash, envelopes[-1], "", envelopes[-1].attempt)
                raise

    async def receive_bytes(self, data: bytes, source: str = "unknown") -> None:
        """Hold a message as it came from a broker; bytes that are none become a dead letter."""
        envelope = await self._reception.read(data, source)
        if envelope is not None:
            await self.receive([envelope])

    def idle(self) -> bool:
        """Whether there is surely no delivery to make."""
        return not self._claimed and self._round is None and self._store.at_rest()

    async def work(self, limit: int = BATCH) -> Step | None:
        """Make the next delivery that is due; None if there is none."""
        try:
            if self._system.group_commit > 1 or self._round is not None:
                delivered = await self._deliver_together(min(limit, self._system.group_commit))
                if delivered is None:
                    return None
                row, outcome = delivered
            else:
                due = None if self._interrupted else self._next_claimed()
                if due is None and (due := await self._next(limit)) is None:
                    return None
                row, handler = due
                outcome = await self._begin(row, self._deliver(row, handler))
        except BaseException:
            self._interrupted = True
            raise
        return self._step("deliver", row, outcome)

    async def _deliver_together(self, size: int) -> tuple[InboxRow, str] | None:
        """Let one delivery of a group go on to its end; where there is none, begin a group."""
        together = self._round
        if together is not None and together.waits:
            return None
        if not together:
            self._round = None
            due = await self._next(size)
            if due is None:
                return None
            group = self._store.group() if size > 1 else None
            if group is None:
                return due[0], await self._begin(due[0], self._deliver(*due))
            together = self._round = Round(group)
            ended = await self._write_together(together, due, size)
            if ended is not None:
                return ended
        row = together.next_row()
        return row, await self._begin(row, together.go_on())

    async def _write_together(
        self, together: Round, due: _Due | None, size: int
    ) -> tuple[InboxRow, str] | None:
        """Let deliveries write as one; answers one that is at its end, because it had to wait."""
        try:
            while due is not None:
                row = due[0]
                delivering = together.write(row, self._deliver(*due, together.group))
                if outcome := await self._begin(row, delivering):
                    return row, outcome
                size -= 1
                due = self._next_claimed() if size and together.is_open else None
        finally:
            # Also where it was interrupted: what has written, has done all it had to do.
            together.group.end()
        return None

    async def _next(self, limit: int) -> _Due | None:
        """The next row that is claimed for somebody who is there to handle it."""
        if self._interrupted:
            await self._give_back()
        claimed = self._claimed
        while (due := self._next_claimed()) is None:
            now, skew = self._claim_clock.look()
            claimed.extend(
                await self._store.claim_inbox(
                    self.owner, now, LEASE, min(limit, BATCH), self._addressees.names, skew
                )
            )
            if not claimed:
                return None
        return due

    def _next_claimed(self) -> _Due | None:
        claimed = self._claimed
        while claimed:
            row = claimed.popleft()
            handler = self._addressees.get(row.envelope, row.handler)
            if handler is not None:
                return row, handler
            self._held.append(row)
        return None

    async def _begin(self, row: InboxRow, delivering: Delivering) -> str:
        """Make a delivery, or what is left of it; answers its outcome."""
        self._last = row
        attempts, is_new = row.attempts, row.processed_at is None
        # What has begun belongs to this life: the next one begins with none.
        begun, position = self._begun, row.position
        here = None if ambient.chosen() is self._system else ambient.choose(self._system)
        try:
            # Inside: an interrupt behind it must not leave a row that nobody delivers.
            begun[position] = current.get()
            return await delivering
        except SimulatedCrash as crash:
            self._die(crash, row.envelope, row.handler, attempts + is_new)
            return f"crash at {crash.point}"
        finally:
            begun.pop(position, None)
            if here is not None:
                ambient.unchoose(here)

    def doing(self) -> Step:
        """The delivery that it has begun last."""
        assert self._last is not None
        return self._step("wait", self._last, "waiting")

    def _step(self, kind: str, row: InboxRow, outcome: str) -> Step:
        envelope, name = row.envelope, self._module.name
        now = self._clock.now()
        return Step(now, kind, name, envelope.type, row.handler, outcome, envelope.message_id)

    async def due(self, *, patient: bool) -> datetime | None:
        """When there is a delivery to make next."""
        if self._claimed or (self._round and not self._round.waits):
            return self._clock.now()
        now, skew = self._claim_clock.look()
        return await self._store.inbox_due(self.owner, now, self._addressees.names, skew)

    def blocked(self) -> list[str]:
        """Deliveries whose handler is gone, or no longer takes such messages."""
        waiting: Counter[str] = Counter()
        for handler, kind, type_, count in self._store.unprocessed_kinds():
            if not self._addressees.handles(handler, kind, type_):
                what = f"handler {handler} is gone"
                if handler in self._addressees.names:
                    what = f"handler {handler} takes no {type_}"
                waiting[what] += count
        return [f"{self._module.name}: {what} ({n} waiting)" for what, n in waiting.items()]

    def resume(self) -> None:
        """Nothing here waits for anything but time."""

    async def abandon(self) -> None:
        """Give back what is claimed and not begun."""
        if self._claimed or self._held or self._interrupted:
            self._interrupted = True
            await self._give_back()

    async def _give_back(self) -> None:
        """Give back all that is claimed and not begun, whether this knows of it or not."""
        store, owner, begun = self._store, self.owner, self._begun
        for position, strand in list(begun.items()):
            if strand is not None and strand.is_over:
                del begun[position]
        rows = await store.run(lambda: list(store.unprocessed()))
        await store.release_inbox(
            owner, [row for row in rows if row.claimed_by == owner and row.position not in begun]
        )
        self._claimed.clear()
        self._held.clear()
        self._interrupted = False

    def _deliver(self, row: InboxRow, handler: Handler, group: Group | None = None) -> Delivering:
        until = row.claimed_until
        if until is not None and until <= self._claim_clock.now():
            # Others may have it by now, and may not: whoever claims it next.
            return self._let_go(row)
        return self._deliverer.deliver(row, handler, self.owner, group)

    async def _let_go(self, row: InboxRow) -> str:
        await self._store.release_inbox(self.owner, [row])
        return "lease is out"

    def _die(self, crash: SimulatedCrash, envelope: Envelope, handler: str, attempt: int) -> None:
        self._lives += 1
        self.owner = f"{self._module.name}.consumer-{self._lives}"
        together, self._round = self._round, None
        if together is not None:
            together.die()
        self._claimed.clear()
        self._held.clear()
        # What it has begun, and what waits, dies with it; the leases free those rows.
        begun, self._begun = self._begun, {}
        here = current.get()
        for strand in begun.values():
            if strand is not None and strand is not here and strand.task is not None:
                strand.task.cancel()
        said = envelope.source, handler, attempt, crash.point
        self._system.trace.add(
            record_of(envelope, self._clock.now(), "crash", self._module.name, *said)
        )

    def __repr__(self) -> str:
        return f"Consumer({self._module.name})"
