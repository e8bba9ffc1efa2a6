"""The transport in memory: straight into the inboxes, over a network that may misbehave."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from modulus_es.envelope import Envelope
from modulus_es.errors import HeldBackError, NoAcknowledgementError, SimulatedCrash
from modulus_es.faults import ACKNOWLEDGEMENT_TIMEOUT, Network
from modulus_es.steps import Step
from modulus_es.stores.rows import Routes
from modulus_es.trace import Trace, record_of
from modulus_es.transports.port import Receive, Subscription, TransportCapability

if TYPE_CHECKING:
    from modulus_es.scheduler import Scheduler
    from modulus_es.strands import Wait

Answer: TypeAlias = Exception | None


class MemoryTransport:
    """Hands messages from the outboxes to the inboxes of one system's modules.

    Nothing is durable but the stores: a message counts as handed over only
    when every module that listens for it holds it in its inbox.

    >>> from modulus_es import System
    >>> System(seed=7).transport.routes()
    Routes(events=frozenset(), commands=frozenset())
    """

    def __init__(self, network: Network, trace: Trace, scheduler: Scheduler) -> None:
        self.url = "memory://"
        self.capabilities = TransportCapability.KNOWS_INBOXES
        self._network, self._trace, self._scheduler = network, trace, scheduler
        self._listeners: dict[str, tuple[Subscription, Receive]] = {}
        self._routes = Routes(frozenset(), frozenset())
        self._targets: dict[tuple[str, str | None, str], tuple[str, ...]] = {}
        # Where a message has arrived that did not arrive everywhere.
        self._arrived: dict[tuple[str, str], set[str]] = {}
        # What travels, the first one, and waits behind it: by sender, key and receiver.
        self._lanes: dict[tuple[str, str, str], deque[Wait]] = {}
        self._cut_off: list[tuple[str, str, Wait]] = []
        network.watch(self._network_changed)

    @property
    def batching(self) -> bool:
        """Whether all messages arrive at once; a network that takes time takes each by itself."""
        # What still travels must not be overtaken when the network gets well.
        return self._network.perfect and not self._lanes

    def subscribe(self, module: str, subscription: Subscription, receive: Receive) -> None:
        """Hand over to ``receive`` from now on what ``module`` listens for."""
        self._listeners[module] = (subscription, receive)
        self._targets.clear()
        self._routes = Routes(
            frozenset().union(*(s.events for s, _ in self._listeners.values())),
            frozenset(
                (module, name) for module, (s, _) in self._listeners.items() for name in s.commands
            ),
        )
        self._scheduler.wake()

    def routes(self) -> Routes:
        """What can be handed over now."""
        return self._routes

    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Answer]:
        """Hand over messages, in this order."""
        if self.batching:
            return await self._hand_over(envelopes)
        return [await self._carry(envelope) for envelope in envelopes]

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

    def _missing(self, envelope: Envelope) -> tuple[str, ...]:
        """Where a message has still to go."""
        targets = self._to(envelope)
        if self._arrived:
            arrived = self._arrived.get((envelope.source, envelope.message_id), ())
            return tuple(module for module in targets if module not in arrived)
        return targets

    def _answer(self, envelope: Envelope, answers: dict[str, Answer]) -> Answer:
        """What became of a message, from what became of it at each module."""
        key = (envelope.source, envelope.message_id)
        failure = next((answer for answer in answers.values() if answer is not None), None)
        if failure is not None:
            arrived = [module for module, answer in answers.items() if answer is None]
            self._arrived.setdefault(key, set()).update(arrived)
        elif self._arrived.pop(key, None) is None and not answers:
            return HeldBackError(f"nobody listens for {envelope.type} any more")
        return failure

    # A perfect network: everything arrives at once

    async def _hand_over(self, envelopes: Sequence[Envelope]) -> Sequence[Answer]:
        by_module: dict[str, list[Envelope]] = {}
        missing = self._missing if self._arrived else self._to
        for envelope in envelopes:
            for module in missing(envelope) or ("",):
                by_module.setdefault(module, []).append(envelope)
        plain = not self._arrived and "" not in by_module
        by_module.pop("", None)
        failed: dict[str, list[Answer]] = {}
        for module, batch in by_module.items():
            answer = await self._deliver(module, batch)
            if answer is not None:
                failed[module] = await self._one_by_one(module, batch, answer)
        if plain and not failed:
            return [None] * len(envelopes)
        answers: dict[str, dict[str, Answer]] = {e.message_id: {} for e in envelopes}
        for module, batch in by_module.items():
            for envelope, said in zip(batch, failed.get(module, [None] * len(batch)), strict=True):
                answers[envelope.message_id][module] = said
        return [self._answer(envelope, answers[envelope.message_id]) for envelope in envelopes]

    async def _one_by_one(
        self, module: str, envelopes: Sequence[Envelope], answer: Exception
    ) -> list[Answer]:
        if len(envelopes) == 1 or isinstance(answer, NoAcknowledgementError):
            return [answer] * len(envelopes)
        # One of them is to blame, and only its own key may suffer for it.
        answers: list[Answer] = []
        held: set[str] = set()
        for envelope in envelopes:
            if envelope.key in held:
                answers.append(_held_back(envelope))
            else:
                answers.append(await self._deliver(module, [envelope]))
                if answers[-1] is not None:
                    held.add(envelope.key)
        return answers

    async def _deliver(self, module: str, envelopes: Sequence[Envelope]) -> Answer:
        try:
            await self._listeners[module][1](envelopes)
        except SimulatedCrash:
            return NoAcknowledgementError(f"{module} died before it acknowledged")
        except Exception as error:
            return error
        return None

    # A network that misbehaves: each message takes its own way to each module

    async def _carry(self, envelope: Envelope) -> Answer:
        targets = self._missing(envelope)
        answers: dict[str, Answer] = {}
        if len(targets) == 1:
            answers[targets[0]] = await self._take_turn(envelope, targets[0])
        elif targets:
            everywhere = self._scheduler.hold()

            async def take(module: str) -> str:
                answers[module] = await self._take_turn(envelope, module)
                if len(answers) == len(targets):
                    everywhere.release()
                return _outcome(answers[module])

            for module in targets:
                await self._scheduler.start(take(module), self._about(envelope, module))
            await everywhere
        return self._answer(envelope, answers)

    async def _take_turn(self, envelope: Envelope, module: str) -> Answer:
        """Travel behind the earlier messages of the key, unless chance lets later ones overtake."""
        if self._network.reorders():
            self._say(envelope, module, "overtaken")
            await self._scheduler.sleep(self._network.detour())
            return await self._travel(envelope, module)
        key = (envelope.source, envelope.key, module)
        lane = self._lanes.setdefault(key, deque())
        turn = self._scheduler.hold()
        lane.append(turn)
        answer: Answer = _held_back(envelope)
        try:
            if lane[0] is not turn:
                await turn
            if lane and lane[0] is turn:
                answer = await self._travel(envelope, module)
        finally:
            if lane and lane[0] is turn:
                lane.popleft()
                if answer is not None:
                    # Those behind it must not arrive before it does.
                    for waiting in lane:
                        waiting.release()
                    lane.clear()
                elif lane:
                    lane[0].release()
            elif turn in lane:
                lane.remove(turn)
            if not lane and self._lanes.get(key) is lane:
                del self._lanes[key]
        return answer

    async def _travel(self, envelope: Envelope, module: str) -> Answer:
        network, sleep = self._network, self._scheduler.sleep
        while True:
            while network.is_cut(envelope.source, module):
                cut_off = self._scheduler.hold(f"cut off: {envelope.source} | {module}")
                self._cut_off.append((envelope.source, module, cut_off))
                await cut_off
            if network.loses():
                self._say(envelope, module, "lost")
                await sleep(ACKNOWLEDGEMENT_TIMEOUT.total_seconds())
                continue
            if seconds := network.travel_time():
                await sleep(seconds)
                if network.is_cut(envelope.source, module):
                    continue
            if module not in self._to(envelope):
                return HeldBackError(f"{module} no longer listens for {envelope.type}")
            answer = await self._deliver(module, [envelope])
            if answer is None and network.repeats():
                self._say(envelope, module, "repeated")
                await self._scheduler.start(
                    self._travel_again(envelope, module), self._about(envelope, module)
                )
            return answer

    async def _travel_again(self, envelope: Envelope, module: str) -> str:
        """The second copy of a message: nobody waits for it, or sends it again."""
        if seconds := self._network.travel_time():
            await self._scheduler.sleep(seconds)
        if not self._network.is_cut(envelope.source, module) and module in self._to(envelope):
            return _outcome(await self._deliver(module, [envelope]))
        return "lost"

    def _network_changed(self) -> None:
        waiting, self._cut_off = self._cut_off, []
        for source, module, cut_off in waiting:
            if self._network.is_cut(source, module):
                self._cut_off.append((source, module, cut_off))
            else:
                cut_off.release()
        self._scheduler.wake()

    def _about(self, envelope: Envelope, module: str) -> Step:
        now = self._scheduler.clock.now()
        return Step(now, "relay", module, envelope.type, "", "", envelope.message_id)

    def _say(self, envelope: Envelope, module: str, outcome: str) -> None:
        said = envelope.source, "", envelope.attempt, outcome
        self._trace.add(record_of(envelope, self._scheduler.clock.now(), "network", module, *said))


def _held_back(envelope: Envelope) -> HeldBackError:
    return HeldBackError(f"an earlier message of key {envelope.key} has not arrived")


def _outcome(answer: Answer) -> str:
    return "arrived" if answer is None else f"{type(answer).__name__}: {answer}"
