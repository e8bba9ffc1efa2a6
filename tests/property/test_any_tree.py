"""Any tree of commands, events, projectors and faults reconciles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from budgets import examples
from hypothesis import given
from hypothesis.strategies import sampled_from
from plans import ALWAYS, Hearer, Message, Plan, Record, Weather, Work, plans
from reconcile import complaints
from worlds import World

from modulus_es import SimulatedCrash


def played(plan: Plan, how: str = "run", sabotage: Callable[[World], None] | None = None) -> World:
    """A world in which everything happened."""
    world = World(plan)
    if sabotage is not None:
        sabotage(world)
    asyncio.run(world.play(how))
    return world


@given(plans())
@examples(100)
def test_any_tree_reconciles_whatever_the_network_and_the_crashes_do(plan: Plan) -> None:
    assert complaints(played(plan)) == []


@given(plans(most=8))
@examples(40)
def test_any_tree_reconciles_step_by_step(plan: Plan) -> None:
    assert complaints(played(plan, "steps")) == []


@given(plans(most=8))
@examples(30)
def test_any_tree_reconciles_in_pieces_of_virtual_time(plan: Plan) -> None:
    assert complaints(played(plan, "pieces")) == []


@given(plans(fair=True, most=25))
@examples(30)
def test_larger_trees_reconcile_in_fair_weather(plan: Plan) -> None:
    assert complaints(played(plan)) == []


@given(plans(most=12), sampled_from([1, 3, 100]))
@examples(40)
def test_any_tree_reconciles_in_a_database_whose_deliveries_are_committed_in_groups(
    plan: Plan, group_commit: int
) -> None:
    world = World(plan, "sqlite:///:memory:", group_commit)
    try:
        asyncio.run(world.play())
        assert complaints(world) == []
    finally:
        world.system.close()


# The controls: one tree, in bad weather, with a protection switched off or another expectation.


def sample(**weather: Any) -> Plan:
    """Orders, each told to two handlers, of which one fails twice and another for ever."""
    hearers = (Hearer("hear_0_0", 0, 1), Hearer("hear_0_1", 0, 2), Hearer("hear_0_2", 0, 2))

    def told(node: int) -> Message:
        works = {
            "hear_0_0": Work((Record(),)),
            "hear_0_1": Work((Record(),), fails=2),
            "hear_0_2": Work((Record(),), fails=ALWAYS),
        }
        return Message(node, 0, works=works)

    roots = tuple(
        Message(n, to=0, works={"do_0": Work((Record((told(n + 100),)),))}) for n in range(20)
    )
    return Plan(3, hearers, roots, (0.0,) * len(roots), Weather(**weather), seed=7)


BAD: dict[str, Any] = {"loss": 0.3, "duplicates": 0.3, "latency": (0.0, 0.2)}


def test_the_sample_of_the_controls_reconciles() -> None:
    world = played(sample(**BAD))
    assert complaints(world) == []
    assert world.system.ledger().duplicates.sum() > 0


def inbox_forgets(world: World) -> None:
    """What arrives again has another id, so that no inbox knows it."""
    for module in world.modules:
        receive, seen = module.store.receive, set[str]()

        async def renamed(receipts: Any, now: Any, receive: Any = receive, seen: Any = seen) -> Any:
            for number, receipt in enumerate(receipts):
                envelope = receipt.envelope
                if envelope.message_id in seen:
                    other = str(world.system.new_id())
                    receipts[number] = msgspec.structs.replace(
                        receipt, envelope=_renamed(envelope, other)
                    )
                seen.add(envelope.message_id)
            return await receive(receipts, now)

        module.store.receive = renamed  # type: ignore[method-assign]


def _renamed(envelope: Any, message_id: str) -> Any:
    import msgspec

    return msgspec.structs.replace(envelope, message_id=message_id)


def inbox_drops(world: World) -> None:
    """Every third message is acknowledged and not held."""
    for module in world.modules:
        receive, count = module.store.receive, [0]

        async def some(receipts: Any, now: Any, receive: Any = receive, count: Any = count) -> Any:
            count[0] += 1
            return await receive([] if count[0] % 3 == 0 else receipts, now)

        module.store.receive = some  # type: ignore[method-assign]


def two_transactions(world: World) -> None:
    """Events are committed first, and the outbox afterwards, if nothing dies in between."""
    store: Any = world.modules[0].store
    commit, count = store.commit, [0]

    async def halves(events: Any, outbox: Any, *rest: Any) -> Any:
        count[0] += 1
        positions = await commit(events, [], *rest)
        if count[0] % 5 == 0:
            raise SimulatedCrash("after_commit", "m0", committed=True)
        await commit([], outbox)
        return positions

    store.commit = halves


def relay_is_sure(world: World) -> None:
    """What the network lost is taken for delivered."""
    transport: Any = world.system.transport
    publish, count = transport.publish, [0]

    async def hope(envelopes: Any) -> Any:
        count[0] += 1
        return [None for _ in envelopes] if count[0] % 4 == 0 else await publish(envelopes)

    transport.publish = hope


@pytest.mark.parametrize(
    ("sabotage", "said"),
    [
        (inbox_forgets, "reached hear_0_0 twice"),
        (inbox_drops, "marked as delivered, and in no inbox"),
        (two_transactions, "ledger (104, 'hear_0_0'): None"),
        (relay_is_sure, "('lost', 0, 0), and should be ('done', 1, 1)"),
    ],
)
def test_without_a_protection_it_does_not_reconcile(
    sabotage: Callable[[World], None], said: str
) -> None:
    found = complaints(played(sample(**BAD), sabotage=sabotage))
    assert [complaint for complaint in found if said in complaint] != []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attempts": 2}, "ledger (100, 'hear_0_1'): ('done', 3, 1), and should be ('dead', 2, 0)"),
        ({"contract": 1}, "ledger (100, 'hear_0_1'): ('done', 3, 1), and should be None"),
    ],
)
def test_another_expectation_is_not_met(change: Any, said: str) -> None:
    plan = sample(**BAD)
    first, second, third = plan.hearers
    other = replace(plan, hearers=(first, replace(second, **change), third))
    assert said in complaints(played(plan), other)


def test_an_order_that_is_given_up_is_noticed() -> None:
    """Without its waiting line, a handler has the later messages of a key before the retried."""
    plan = ordered = sample()
    works = [
        {**m.works, "do_0": replace(m.works["do_0"], records=(), publishes=_of_one_key(m))}
        for m in plan.roots
    ]
    roots = tuple(replace(m, works=w) for m, w in zip(plan.roots, works, strict=True))
    ordered = replace(plan, roots=roots, hearers=plan.hearers[:1])
    lax = replace(ordered, hearers=(replace(plan.hearers[0], ordered=False),))
    assert [c for c in complaints(played(ordered)) if "too late" in c] == []
    assert [c for c in complaints(played(lax), ordered) if "too late" in c] != []


def _of_one_key(root: Message) -> tuple[Message, ...]:
    (record,) = root.works["do_0"].records
    (told,) = record.told
    fails = int(told.node % 3 == 0)
    return (replace(told, key="a", works={"hear_0_0": Work((Record(),), fails=fails)}),)
