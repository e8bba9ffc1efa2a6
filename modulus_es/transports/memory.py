"""The transport in memory: straight into the inboxes, over a network that may misbehave."""

from __future__ import annotations

from collections.abc import Sequence

from modulus_es.clock import Clock
from modulus_es.envelope import Envelope
from modulus_es.errors import NoAcknowledgementError, SimulatedCrash
from modulus_es.faults import ACKNOWLEDGEMENT_TIMEOUT, Network
from modulus_es.scheduler import Scheduler
from modulus_es.stores.port import Routes
from modulus_es.trace import Trace, TraceRecord
from modulus_es.transports.port import Receive, Subscription


class MemoryTransport:
    """Hands messages from the outboxes to the inboxes of one system's modules.

    Nothing is durable but the stores: a message counts as handed over only
    when every module that listens for it holds it in its inbox.
    """

    def __init__(
        self, clock: Clock, network: Network, trace: Trace, scheduler: Scheduler
    ) -> None:
        self.url = "memory://"
        self._clock, self._network, self._trace = clock, network, trace
        self._scheduler = scheduler
        self._listeners: dict[str, tuple[Subscription, Receive]] = {}
        self._routes = Routes(frozenset(), frozenset())
        self._targets: dict[tuple[str, str | None, str], tuple[str, ...]] = {}
        # Where a message that is still on its way to others has arrived already.
        self._arrived: dict[tuple[str, str], set[str]] = {}

    @property
    def batching(self) -> bool:
        """Whether many messages may be published in one call."""
        return self._network.perfect

    def subscribe(self, module: str, subscription: Subscription, receive: Receive) -> None:
        """Hand over to ``receive`` from now on what ``module`` listens for."""
        self._listeners[module] = (subscription, receive)
        self._targets.clear()
        self._routes = Routes(
            frozenset().union(*(s.events for s, _ in self._listeners.values())),
            frozenset(
                (module, name)
                for module, (s, _) in self._listeners.items()
                for name in s.commands
            ),
        )

    def routes(self) -> Routes:
        """What can be handed over now."""
        return self._routes

    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        """Hand over messages, in this order."""
        if self._network.perfect:
            return await self._hand_over(envelopes)
        return [await self._carry(envelope) for envelope in envelopes]

    def overtakes(self, envelope: Envelope) -> bool:
        """Whether chance lets the messages after this one overtake it."""
        return self._network.reorders()

    async def detour(self) -> None:
        """Let an overtaken message take longer."""
        await self._clock.sleep(self._network.detour())

    async def start(self) -> None:
        """There is nothing to begin."""

    async def stop(self) -> None:
        """There is nothing to end."""

    async def health(self) -> str:
        """Always ``ok``."""
        return "ok"

    def __repr__(self) -> str:
        return f"MemoryTransport({', '.join(sorted(self._listeners))})"

    def _to(self, envelope: Envelope) -> tuple[str, ...]:
        key = (envelope.kind, envelope.to, envelope.type)
        targets = self._targets.get(key)
        if targets is None:
            targets = self._targets[key] = tuple(
                module
                for module, (subscription, _) in self._listeners.items()
                if (envelope.kind == "event" and envelope.type in subscription.events)
                or (envelope.to == module and envelope.type in subscription.commands)
            )
        return targets

    async def _hand_over(self, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        by_module: dict[str, list[int]] = {}
        for index, envelope in enumerate(envelopes):
            for module in self._to(envelope):
                by_module.setdefault(module, []).append(index)
        answers: list[Exception | None] = [None] * len(envelopes)
        for module, indices in by_module.items():
            error = await self._deliver(module, [envelopes[i] for i in indices])
            if error is not None:
                for index in indices:
                    answers[index] = error
        return answers

    async def _deliver(self, module: str, envelopes: Sequence[Envelope]) -> Exception | None:
        try:
            await self._listeners[module][1](envelopes)
        except SimulatedCrash:
            return NoAcknowledgementError(f"{module} died before it acknowledged")
        except Exception as error:
            return error
        return None

    async def _carry(self, envelope: Envelope) -> Exception | None:
        arrived = self._arrived.setdefault((envelope.source, envelope.message_id), set())
        for module in self._to(envelope):
            while module not in arrived:
                await self._connected(envelope.source, module)
                if self._network.loses():
                    self._say(envelope, module, "lost")
                    await self._clock.sleep(ACKNOWLEDGEMENT_TIMEOUT.total_seconds())
                    continue
                await self._clock.sleep(self._network.travel_time())
                if self._network.is_cut(envelope.source, module):
                    continue
                error = await self._deliver(module, [envelope])
                if error is not None:
                    return error
                arrived.add(module)
                if self._network.repeats():
                    self._say(envelope, module, "repeated")
                    await self._deliver(module, [envelope])
        self._arrived.pop((envelope.source, envelope.message_id), None)
        return None

    async def _connected(self, source: str, module: str) -> None:
        if self._network.is_cut(source, module):
            await self._scheduler.until(
                lambda: not self._network.is_cut(source, module),
                f"cut off: {source} | {module}",
            )

    def _say(self, envelope: Envelope, module: str, outcome: str) -> None:
        self._trace.add(
            TraceRecord(
                self._clock.now(),
                "network",
                module,
                envelope.message_id,
                envelope.type,
                attempt=envelope.attempt,
                outcome=outcome,
                source=envelope.source,
                correlation_id=envelope.correlation_id,
                causation_id=envelope.causation_id,
            )
        )
