"""A transport that takes its time: no transaction waits for it, and no claim runs out meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from talking import Said

from modulus_es import Module, System, SystemClock
from modulus_es.clock import START
from modulus_es.envelope import Envelope
from modulus_es.leases import LEASE, Carried
from modulus_es.stores.rows import Routes


class SlowPost:
    """A transport that needs some time for each call, and notes what it was given."""

    url = "test://"
    batching = True

    def __init__(self, wait: Callable[[], Any]) -> None:
        self._wait = wait
        self.got: list[str] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    def routes(self) -> Routes:
        return Routes(frozenset(["Said"]), frozenset())

    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        self.got.extend(envelope.message_id for envelope in envelopes)
        self.meanwhile()
        await self._wait()
        return [None] * len(envelopes)


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"


def with_two_relays(
    url: str, wait: Callable[[System], Any], **options: Any
) -> tuple[System, Module, SlowPost]:
    system = System(seed=7, store=url, **options)
    sender = system.module("sender")
    post = SlowPost(lambda: wait(system))
    relays = [system.new_relay(sender, f"r{n}") for n in range(2)]
    for relay in relays:
        relay.transport = post
    system.scheduler.sources[:] = relays
    return system, sender, post


async def publish(sender: Module) -> None:
    for n in range(60):
        await sender.bus.publish(Said(n))
    # One is due while the others are on their way, so that somebody looks for work.
    await sender.bus.publish(Said(60), at=START + timedelta(seconds=35))


@pytest.mark.parametrize("seconds", [6, 40, 400])
async def test_a_slow_broker_is_given_every_message_once(url: str, seconds: float) -> None:
    system, sender, post = with_two_relays(url, lambda system: system.clock.sleep(seconds))
    await publish(sender)
    await system.run()
    assert sorted(post.got) == sorted(row.envelope.message_id for row in sender.outbox)
    assert {(row.status, row.attempts) for row in sender.outbox} == {("delivered", 1)}
    system.close()


async def test_control_without_renewed_claims_a_slow_broker_is_given_messages_twice(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leave(*_: object) -> None: ...

    monkeypatch.setattr(Carried, "renew", leave)
    system, sender, post = with_two_relays(url, lambda system: system.clock.sleep(40))
    await publish(sender)
    await system.run(until=timedelta(hours=1))
    assert len(post.got) > len(set(post.got)) == 61
    system.close()


async def test_no_transaction_is_open_while_the_transport_takes_its_time(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    url = f"sqlite:///{path}"
    system, sender, post = with_two_relays(url, lambda system: system.clock.sleep(6))
    wrote: list[int] = []

    def write() -> None:
        # Another process, which waits for nobody.
        other = sqlite3.connect(path, timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE IF NOT EXISTS mine (n)")
        other.execute("COMMIT")
        other.close()
        wrote.append(1)

    post.meanwhile = write
    await sender.bus.publish(Said(1))
    await system.run()
    assert wrote == [1]
    system.close()


@pytest.mark.slow
async def test_in_real_time_a_timer_renews_the_claims(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = timedelta(seconds=0.3)
    monkeypatch.setattr("modulus_es.leases.LEASE", short)
    monkeypatch.setattr("modulus_es.relay.LEASE", short)
    ends: list[Any] = []

    async def wait(system: System) -> None:
        # Nobody in this process looks meanwhile.
        for _ in range(5):
            await asyncio.sleep(0.2)
            (row,) = sender.outbox
            ends.append((row.claimed_until or system.now()) - system.now())

    system, sender, _ = with_two_relays(url, wait, clock=SystemClock())
    await sender.bus.publish(Said(1))
    await system.run()
    assert len(ends) == 5
    assert all(left > timedelta(0) for left in ends)
    system.close()


def test_a_claim_lasts_half_a_minute() -> None:
    assert timedelta(seconds=30) == LEASE
