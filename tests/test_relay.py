"""The relay: claims, hands over, marks; a failing row holds back its own key and nobody else."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from talking import Do, Note, Said, at

from modulus_es import (
    Envelope,
    HeldBackError,
    Module,
    NoAcknowledgementError,
    OutboxRelay,
    Retry,
    System,
    TransportUnavailableError,
    UnitOfWork,
)
from modulus_es.clock import START
from modulus_es.stores.keyed_queue import KeyedQueue
from modulus_es.stores.rows import Routes


def seconds(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - START).total_seconds()


class Postman:
    """A transport that takes every event, and says of each message what it is told to say."""

    url = "test://"

    def __init__(self, answer: Callable[[Envelope], Exception | None] = lambda _: None) -> None:
        self.answer = answer
        self.batching = True
        self.batches: list[list[Envelope]] = []
        self.before: Callable[[], Any] | None = None
        self._routes = Routes(frozenset(["Said"]), frozenset())

    def routes(self) -> Routes:
        return self._routes

    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        self.batches.append(list(envelopes))
        if self.before is not None:
            await self.before()
        return [self.answer(envelope) for envelope in envelopes]

    def subscribe(self, module: Any, subscription: Any, receive: Any) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def health(self) -> str:
        return "ok"

    @property
    def taken(self) -> list[int]:
        return [number(envelope) for batch in self.batches for envelope in batch]


def number(envelope: Envelope) -> int:
    return int(envelope.body.removeprefix(b'{"n":').removesuffix(b"}"))


def posting(postman: Postman, seed: int = 7) -> tuple[System, Module, OutboxRelay]:
    """A system whose one module hands its messages to this postman."""
    system = System(seed=seed)
    sender = system.module("sender")
    relay = OutboxRelay(
        sender.store,
        postman,
        clock=system.clock,
        trace=system.trace,
        faults=system.faults,
        scheduler=system.scheduler,
        random=system.random,
    )
    system.scheduler.sources[:] = [relay]
    return system, sender, relay


async def publish(module: Module, numbers: Sequence[int], key: str | None = None) -> None:
    for n in numbers:
        await module.bus.publish(Said(n), key=key or f"key {n}")


def refuse(module: Module, poison: int) -> None:
    """Let a module's inbox refuse one message."""
    receive = module.store.receive

    async def refusing(receipts: Any, now: datetime) -> Any:
        if any(number(receipt.envelope) == poison for receipt in receipts):
            raise ValueError("poison")
        return await receive(receipts, now)

    module.store.receive = refusing  # type: ignore[method-assign]


def statuses(module: Module) -> list[str]:
    return [row.status for row in module.outbox]


# Claims


async def test_a_relay_claims_a_hundred_rows_at_a_time() -> None:
    postman = Postman()
    system, sender, _ = posting(postman)
    await publish(sender, range(250))
    await system.run()
    assert [len(batch) for batch in postman.batches] == [100, 100, 50]
    assert postman.taken == list(range(250))


async def test_a_claim_is_a_lease_of_thirty_seconds() -> None:
    postman = Postman()
    system, sender, relay = posting(postman)
    claims: list[Any] = []

    async def look() -> None:
        claims.extend((row.status, row.claimed_by, row.claimed_until) for row in sender.outbox)

    postman.before = look
    await publish(sender, [1])
    await system.run()
    assert claims == [("claimed", relay.owner, at(30))]


async def test_a_claim_that_nobody_gives_back_is_free_when_its_lease_is_out() -> None:
    system, sender, first = posting(Postman())
    await publish(sender, [1])
    routes = first.transport.routes()
    lease = timedelta(seconds=30)
    assert await sender.store.claim_outbox("frozen", at(0), lease, 100, routes)
    assert await first.work() is None
    run = await system.run()
    assert statuses(sender) == ["delivered"]
    assert run.time == at(30)


async def test_a_mark_counts_only_from_the_owner_of_the_claim() -> None:
    postman = Postman()
    system, sender, relay = posting(postman)
    await publish(sender, [1, 2, 3, 4])
    routes, lease = postman.routes(), timedelta(seconds=30)
    rows = await sender.store.claim_outbox("frozen", at(0), lease, 100, routes)
    await system.advance(30)
    postman.answer = lambda envelope: ValueError("later")
    await relay.work()
    before = [(row.status, row.attempts, row.available_at) for row in sender.outbox]
    await sender.store.mark_delivered("frozen", rows[:1], at(31))
    await sender.store.retry_outbox("frozen", rows[1], "thawed", at(99))
    await sender.store.bury_outbox("frozen", rows[2], "thawed", at(31))
    await sender.store.release_outbox("frozen", rows[3:])
    assert [(row.status, row.attempts, row.available_at) for row in sender.outbox] == before


async def test_a_relay_claims_only_what_its_own_process_can_hand_over() -> None:
    postman = Postman()
    system, sender, _ = posting(postman)
    await sender.bus.send(Do(1), to="elsewhere")
    await publish(sender, [2])
    run = await system.run()
    assert postman.taken == [2]
    assert [row.claimed_by for row in sender.outbox] == [None, None]
    assert run.blocked == ("sender: nobody handles Do for elsewhere (1 waiting)",)


# Attempts


async def test_a_row_that_fails_is_tried_five_times_and_is_then_dead() -> None:
    postman = Postman(lambda _: ValueError("no such queue"))
    system, sender, _ = posting(postman)
    await publish(sender, [1])
    await system.run()
    (row,) = sender.outbox
    assert (row.status, row.attempts) == ("dead", 5)
    assert row.last_error == "ValueError: no such queue"
    assert [envelope.attempt for batch in postman.batches for envelope in batch] == [1, 2, 3, 4, 5]
    (dead,) = sender.dead_letters()
    assert (dead.handler, dead.attempts, dead.error) == ("", 5, "ValueError: no such queue")


async def test_the_waits_between_attempts_double_from_one_second_with_jitter() -> None:
    times: list[float] = []
    postman = Postman(lambda _: ValueError("no"))
    system, sender, _ = posting(postman)

    async def note() -> None:
        times.append(seconds(system.now()))

    postman.before = note
    await publish(sender, [1])
    await system.run()
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert len(waits) == 4
    for wait, longest in zip(waits, (1, 2, 4, 8), strict=True):
        assert longest / 2 < wait <= longest
    assert waits != [1, 2, 4, 8]


def test_no_wait_is_longer_than_thirty_seconds() -> None:
    retry = OutboxRelay.retry
    assert retry == Retry(attempts=5, first=1.0, factor=2.0, longest=30.0, jitter=0.5)
    assert max(retry.wait(n, Random(7)) for n in range(1, 100)) <= 30


async def test_the_jitter_is_seeded() -> None:
    async def times(seed: int) -> list[datetime]:
        system, sender, _ = posting(Postman(lambda _: ValueError("no")), seed)
        await publish(sender, range(5))
        await system.run()
        return [record.time for record in system.trace.of_kind("relay")]

    assert await times(7) == await times(7) != await times(8)


async def test_a_failing_row_holds_back_only_its_own_key_and_that_goes_on_when_it_is_dead() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")
    heard: dict[int, float] = {}

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard[said.n] = seconds(system.now())

    refuse(hearer, 1)
    await publish(sender, [1, 2, 3], key="poisoned")
    await publish(sender, [4, 5, 6], key="fine")
    await system.run()
    assert statuses(sender) == ["dead"] + ["delivered"] * 5
    died_at = seconds(next(iter(sender.outbox)).dead_at)
    assert died_at > 5
    assert heard == {4: 0, 5: 0, 6: 0, 2: died_at, 3: died_at}


async def test_an_attempt_that_succeeds_ends_the_trouble() -> None:
    tries = Counter[int]()

    def second_time_lucky(envelope: Envelope) -> Exception | None:
        tries[number(envelope)] += 1
        return ValueError("not yet") if tries[number(envelope)] == 1 else None

    system, sender, _ = posting(Postman(second_time_lucky))
    await publish(sender, [1])
    await system.run()
    (row,) = sender.outbox
    assert (row.status, row.attempts, row.last_error) == ("delivered", 2, "ValueError: not yet")


# What consumes no attempt


async def test_a_transport_that_is_down_consumes_no_attempt_and_the_run_says_so() -> None:
    postman = Postman(lambda _: TransportUnavailableError("connection refused"))
    system, sender, _ = posting(postman)
    await publish(sender, range(3))
    run = await system.run()
    assert run.blocked == ("sender: transport down: connection refused",)
    assert system.now() == START
    assert [(row.status, row.attempts) for row in sender.outbox] == [("pending", 0)] * 3


async def test_a_transport_may_raise_that_it_is_down_instead_of_answering_it() -> None:
    postman = Postman()

    async def down() -> None:
        raise TransportUnavailableError("connection refused")

    postman.before = down
    system, sender, _ = posting(postman)
    await publish(sender, [1, 2])
    run = await system.run()
    assert run.blocked == ("sender: transport down: connection refused",)
    assert [(row.status, row.attempts) for row in sender.outbox] == [("pending", 0)] * 2
    assert len(postman.batches) == 1


async def test_where_a_transport_raises_only_the_row_that_it_raises_for_fails() -> None:
    postman = Postman()

    async def break_down() -> None:
        if any(number(envelope) == 1 for envelope in postman.batches[-1]):
            raise ValueError("poison")

    postman.before = break_down
    system, sender, _ = posting(postman)
    await publish(sender, [1, 2], key="one")
    await publish(sender, [3, 4])
    await system.run()
    rows = [(number(row.envelope), row.status, row.attempts) for row in sender.outbox]
    assert [row for row in rows if row[1] == "dead"] == [(1, "dead", 5)]
    assert [attempts for n, _, attempts in rows if n != 1] == [1, 1, 1]
    handed_over = [number(batch[0]) for batch in postman.batches if len(batch) == 1]
    assert [n for n in handed_over if n != 1] == [3, 4, 2]


async def test_the_next_run_tries_a_transport_that_was_down_at_once() -> None:
    postman = Postman(lambda _: TransportUnavailableError("down"))
    system, sender, _ = posting(postman)
    await publish(sender, range(3))
    await system.run()
    postman.answer = lambda _: None
    run = await system.run()
    assert (run.blocked, run.time) == ((), START)
    assert [(row.status, row.attempts) for row in sender.outbox] == [("delivered", 1)] * 3


async def test_while_a_transport_is_down_for_an_hour_it_is_tried_at_growing_intervals() -> None:
    tries: list[float] = []
    postman = Postman()
    system, sender, _ = posting(postman)

    async def note() -> None:
        tries.append(seconds(system.now()))

    def down_for_an_hour(_: Envelope) -> Exception | None:
        return TransportUnavailableError("down") if seconds(system.now()) < 3600 else None

    postman.before, postman.answer = note, down_for_an_hour
    await publish(sender, [1])
    await system.advance(4000)
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert [wait <= 2**n for n, wait in enumerate(waits[:5])] == [True] * 5
    assert max(waits) <= 30
    assert 120 < len(tries) < 260
    assert 3600 <= tries[-1] <= 3630
    (row,) = sender.outbox
    assert (row.status, row.attempts) == ("delivered", 1)


async def test_an_acknowledgement_that_does_not_come_is_waited_for_and_no_attempt() -> None:
    tries: list[float] = []
    postman = Postman()
    system, sender, _ = posting(postman)

    def third_time_lucky(_: Envelope) -> Exception | None:
        tries.append(seconds(system.now()))
        return NoAcknowledgementError("?") if len(tries) < 3 else None

    postman.answer = third_time_lucky
    await publish(sender, [1])
    await system.run()
    (row,) = sender.outbox
    assert (tries, row.status, row.attempts) == ([0, 1, 2], "delivered", 1)


async def test_a_message_that_is_held_back_behind_another_is_no_attempt() -> None:
    first = True

    def in_order(envelope: Envelope) -> Exception | None:
        nonlocal first
        if number(envelope) == 2:
            refused, first = first, False
            return HeldBackError("behind 1") if refused else None
        return ValueError("not yet") if first else None

    system, sender, _ = posting(Postman(in_order))
    await publish(sender, [1, 2], key="k")
    await system.run()
    assert [(row.status, row.attempts) for row in sender.outbox] == [
        ("delivered", 2),
        ("delivered", 1),
    ]


# Poison: FAULTS scenario 24


def poisoned(envelope: Envelope) -> Exception | None:
    return ValueError("poison") if number(envelope) == 437 else None


async def delivered_at_once(key: str | None) -> tuple[int, Counter[str]]:
    """How many of a thousand rows, one of them poison, go out at once; and all, in the end."""
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    refuse(hearer, 437)
    await publish(sender, range(1000), key)
    await system.run(until=START)
    at_once = statuses(sender).count("delivered")
    await system.run()
    assert len(hearer.inbox) == 999
    return at_once, Counter(statuses(sender))


async def test_one_poisoned_row_in_a_thousand_dies_and_the_rest_flows() -> None:
    assert await delivered_at_once(None) == (999, Counter(delivered=999, dead=1))


async def test_control_behind_one_key_the_poisoned_row_blocks_what_follows() -> None:
    assert await delivered_at_once("one key for all") == (437, Counter(delivered=999, dead=1))


async def test_a_transport_that_answers_for_each_row_loses_only_the_poisoned_one() -> None:
    system, sender, _ = posting(Postman(poisoned))
    await publish(sender, range(1000))
    await system.run(until=START)
    assert Counter(statuses(sender)) == Counter(delivered=999, pending=1)
    await system.run()
    assert Counter(statuses(sender)) == Counter(delivered=999, dead=1)


# Several relays: FAULTS scenarios 20 and 21


async def inversions(messages: int = 2000, keys: int = 20) -> tuple[int, int, int]:
    """Four relays on one outbox, over a slow transport: lost, doubled, out of order."""
    system = System(seed=7)
    sender = system.module("sender")
    random = Random(7)
    arrived: dict[str, list[int]] = {}

    class Slow(Postman):
        async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
            await system.scheduler.sleep(random.random())
            for envelope in envelopes:
                arrived.setdefault(envelope.key, []).append(number(envelope))
            return [None] * len(envelopes)

    relays = [
        OutboxRelay(
            sender.store, Slow(), clock=system.clock, trace=system.trace, faults=system.faults,
            scheduler=system.scheduler, random=system.random, name=f"relay{n}",
        )
        for n in range(4)
    ]  # fmt: skip
    system.scheduler.sources[:] = relays
    for n in range(messages):
        await sender.bus.publish(Said(n), key=f"key {n % keys}")
    await system.run()
    everything = [n for numbers in arrived.values() for n in numbers]
    disorder = sum(
        later < earlier
        for numbers in arrived.values()
        for earlier, later in itertools.pairwise(numbers)
    )
    return messages - len(set(everything)), len(everything) - len(set(everything)), disorder


async def test_four_relays_on_one_outbox_lose_nothing_double_nothing_and_keep_the_order() -> None:
    assert await inversions() == (0, 0, 0)


async def test_control_relays_that_overtake_each_other_disturb_the_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = KeyedQueue._candidate
    monkeypatch.setattr(KeyedQueue, "_candidate", lambda self, lane, _=None: candidate(self, lane))
    lost, doubled, disorder = await inversions()
    assert (lost, doubled) == (0, 0)
    assert disorder > 100


async def test_several_relays_share_the_work() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    relays = [system.new_relay(sender, f"extra{n}") for n in range(3)]
    await publish(sender, range(250))
    for relay in relays:
        assert await relay.work() is not None
    assert statuses(sender) == ["delivered"] * 250
    assert [row.duplicates for row in hearer.inbox] == [0] * 250


async def test_what_one_relay_carries_is_no_reason_for_another_to_let_time_pass() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    system.scheduler.sources.extend(system.new_relay(sender, f"extra{n}") for n in range(2))
    system.network.partition("sender", "hearer")
    await publish(sender, range(3))
    run = await system.run()
    assert (run.time, run.blocked) == (START, ("cut off: sender | hearer",))
    await system.advance(600)
    system.network.heal()
    await system.run()
    assert statuses(sender) == ["delivered"] * 3
    assert [(row.status, row.attempts) for row in hearer.inbox] == [("done", 1)] * 3


@pytest.mark.parametrize("store", ["memory://", "sqlite:///:memory:"])
async def test_what_is_on_its_way_is_not_read_again_each_time_that_something_arrives(
    store: str,
) -> None:
    system = System(seed=7, store=store)
    sender, hearer = system.module("sender"), system.module("hearer")

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    system.network.latency = (0.01, 0.5)
    looked: list[int] = []
    undelivered = sender.store.undelivered

    def look() -> Any:
        looked.append(1)
        return undelivered()

    sender.store.undelivered = look  # type: ignore[method-assign]

    async def looks(count: int) -> int:
        looked.clear()
        await publish(sender, range(count))
        await sender.bus.publish(Said(count), at=system.now() + timedelta(hours=1))
        await system.run()
        return len(looked)

    assert await looks(40) == await looks(5)
    assert statuses(sender) == ["delivered"] * 47


async def relay_in_two_bursts(seed: int) -> list[int]:
    system = System(seed=seed)
    sender, hearer = system.module("sender"), system.module("hearer")
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    system.scheduler.sources.append(system.new_relay(sender, "second"))
    system.network.latency = (0.01, 0.5)
    await publish(sender, range(10), key="k")
    await system.advance(0.05)
    await publish(sender, range(10, 20), key="k")
    await system.run()
    return heard


async def test_what_is_on_its_way_is_not_overtaken_by_what_is_claimed_later() -> None:
    for seed in range(20):
        assert await relay_in_two_bursts(seed) == list(range(20))


# A relay that dies: FAULTS scenario 22


async def killed(times: int) -> tuple[System, list[int]]:
    """A relay that dies so many times; and what a consumer without an inbox would have got."""
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")
    raw: list[int] = []

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    receive = hearer.consumer.receive

    async def count(envelopes: Sequence[Envelope]) -> None:
        raw.extend(number(envelope) for envelope in envelopes)
        await receive(envelopes)

    hearer.consumer.receive = count  # type: ignore[method-assign]
    hearer.consumer.changed()
    random = Random(7)
    for n in range(600):
        await sender.bus.publish(Said(n), key=f"key {n % 50}")
        if n % 10 == 0 and times > 0:
            times -= 1
            system.faults.crash(random.choice(["before_publish", "after_publish"]))
            await system.advance(1)
    await system.run()
    return system, raw


async def test_a_relay_that_was_killed_57_times_lost_nothing_and_caused_nothing_twice() -> None:
    system, raw = await killed(57)
    sender, hearer = system.modules
    assert len(system.trace.of_kind("crash")) == 57
    assert set(statuses(sender)) == {"delivered"}
    noted = [hearer.mapper.to_domain_event(stored).n for stored in hearer.stored_events()]
    assert sorted(noted) == list(range(600))
    assert sum(row.duplicates for row in hearer.inbox) == len(raw) - 600


async def test_control_without_an_inbox_every_kill_after_publishing_would_have_doubled() -> None:
    _, raw = await killed(57)
    assert len(raw) - len(set(raw)) > 20


async def test_a_relay_that_died_is_restarted_under_a_new_name_when_its_lease_is_out() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    await sender.bus.publish(Said(1))
    system.faults.crash("before_publish")
    await system.run(until=at(29))
    (row,) = sender.outbox
    assert (row.status, row.claimed_by, row.claimed_until) == ("claimed", "sender.relay-1", at(30))
    await system.run()
    assert (row.status, row.attempts, row.delivered_at) == ("delivered", 1, at(30))
