"""The contract of transports finds out one that breaks a promise, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from modulus_es import Envelope, System
from modulus_es.errors import HeldBackError
from modulus_es.stores.rows import Routes
from modulus_es.testing.contracts import (
    AbsenceContract,
    OrderContract,
    RoutingContract,
    TransportBench,
    TransportContract,
    broken_promises,
    promises,
    transport_bench,
)
from modulus_es.transports.memory import MemoryTransport
from modulus_es.transports.port import Subscription, TransportCapability

LIARS: list[tuple[type[MemoryTransport], tuple[type[Any], ...]]] = []


def found_out_by(*contracts: type[Any]) -> Callable[[type[Any]], type[Any]]:
    """Note a transport that breaks a promise, and which contracts have to find it out."""

    def note(liar: type[Any]) -> type[Any]:
        LIARS.append((liar, contracts))
        return liar

    return note


@found_out_by(RoutingContract, OrderContract)
class LosesEverything(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        return [None] * len(envelopes)


@found_out_by(RoutingContract, OrderContract)
class ReachesOneModuleOnly(MemoryTransport):
    def _to(self, envelope: Envelope) -> tuple[str, ...]:
        return super()._to(envelope)[:1]


@found_out_by(RoutingContract)
class ReachesEverybody(MemoryTransport):
    def _to(self, envelope: Envelope) -> tuple[str, ...]:
        return tuple(self._listeners)


@found_out_by(RoutingContract)
class TakesCommandsForEvents(MemoryTransport):
    def _to(self, envelope: Envelope) -> tuple[str, ...]:
        return tuple(
            module
            for module, (subscription, _) in self._listeners.items()
            if envelope.type in subscription.events | subscription.commands
        )


@found_out_by(RoutingContract)
class SparesTheSender(MemoryTransport):
    def _to(self, envelope: Envelope) -> tuple[str, ...]:
        return tuple(module for module in super()._to(envelope) if module != envelope.source)


@found_out_by(RoutingContract)
class DropsHeaders(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        cut = [replace(each, attempt=1, correlation_id=None) for each in envelopes]
        return await super().publish(cut)


@found_out_by(RoutingContract)
class CutsLongMessages(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        return await super().publish([each for each in envelopes if len(each.body) < 100_000]) or [
            None
        ]


@found_out_by(RoutingContract)
class KeepsOldSubscriptions(MemoryTransport):
    def subscribe(self, module: str, subscription: Subscription, receive: Any) -> None:
        if module in self._listeners:
            before, receive = self._listeners[module]
            subscription = Subscription(
                subscription.events | before.events, subscription.commands | before.commands
            )
        super().subscribe(module, subscription, receive)


@found_out_by(RoutingContract)
class MakesRoutesAnew(MemoryTransport):
    def routes(self) -> Routes:
        return Routes(*super().routes())


@found_out_by(RoutingContract)
class IsAlwaysIll(MemoryTransport):
    async def health(self) -> str:
        return "no idea"


@found_out_by(RoutingContract)
class SwallowsWhatNobodyHears(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        answers = await super().publish(envelopes)
        return [None if "nobody" in str(answer) else answer for answer in answers]


@found_out_by(OrderContract)
class TurnsTheOrderRound(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        answers = await super().publish(list(reversed(envelopes)))
        return list(reversed(answers))


@found_out_by(OrderContract)
class DeliversOneBehind(MemoryTransport):
    late: Envelope | None = None

    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        for envelope in envelopes:
            if self.late is None:
                self.late = envelope
            else:
                late, self.late = self.late, None
                await super().publish([envelope, late])
        return [None] * len(envelopes)


@found_out_by(OrderContract)
class AnswersTooLittle(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        return list(await super().publish(envelopes))[:1] or [None]


@found_out_by(OrderContract)
class CallsEveryRefusalASuccess(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        await super().publish(envelopes)
        return [None] * len(envelopes)


@found_out_by(OrderContract)
class LetsLaterOnesOvertake(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        answers: list[Exception | None] = []
        for envelope in envelopes:
            answers.extend(await super().publish([envelope]))
        return answers


@found_out_by(OrderContract)
class LetsOneKeyHoldUpTheOthers(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        answers: list[Exception | None] = []
        for envelope in envelopes:
            if any(answers):
                answers.append(HeldBackError("something failed"))
            else:
                answers.extend(await super().publish([envelope]))
        return answers


@found_out_by(OrderContract)
class LetsOneModuleHoldUpTheOthers(MemoryTransport):
    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        for envelope in envelopes:
            for module in self._missing(envelope):
                if (answer := await self._deliver(module, [envelope])) is not None:
                    return [answer] * len(envelopes)
        return [None] * len(envelopes)


@found_out_by(OrderContract)
class GivesUpAfterARefusal(MemoryTransport):
    dead = False

    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        if self.dead:
            return [HeldBackError("never again")] * len(envelopes)
        answers = await super().publish(envelopes)
        self.dead = any(answers)
        return answers


@found_out_by(AbsenceContract)
class PromisesTooMuch(MemoryTransport):
    def __init__(self, *needs: Any) -> None:
        super().__init__(*needs)
        self.capabilities = ~TransportCapability(0)


@found_out_by(AbsenceContract)
class NeverStops(PromisesTooMuch):
    """It is the same one each time that it is made."""


def bench_of(kind: type[MemoryTransport]) -> TransportBench:
    def open_it() -> MemoryTransport:
        system = System(seed=7)
        return kind(system.network, system.trace, system.scheduler)

    only = open_it()
    return TransportBench((lambda: only) if kind is NeverStops else open_it)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not arrive from memory at once never does."""
    monkeypatch.setattr(transport_bench, "PATIENCE", 0.05)


@cache
def broken_by(liar: type[MemoryTransport], contract: type[Any]) -> frozenset[str]:
    return frozenset(broken_promises(contract, lambda: bench_of(liar)))


CASES = [(liar, contract) for liar, contracts in LIARS for contract in contracts]


@pytest.mark.parametrize(
    ("liar", "contract"), CASES, ids=lambda case: getattr(case, "__name__", None)
)
def test_a_transport_that_breaks_a_promise_is_found_out(
    liar: type[MemoryTransport], contract: type[Any]
) -> None:
    assert broken_by(liar, contract)


def test_no_test_of_the_contract_is_one_that_cannot_fail() -> None:
    failed = frozenset[str]().union(*(broken_by(*case) for case in CASES))
    assert sorted({promise.name for promise in promises(TransportContract)} - failed) == []


def test_no_two_contracts_have_a_test_of_one_name() -> None:
    names = [p.name for contract in TransportContract.__bases__ for p in promises(contract)]
    assert len(names) == len(set(names)) == len(list(promises(TransportContract)))


def test_the_honest_transport_breaks_nothing() -> None:
    assert broken_promises(TransportContract, lambda: bench_of(MemoryTransport)) == {}
