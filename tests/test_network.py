"""A network that misbehaves: loss, duplicates, reordering, latency, partitions; it reconciles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from talking import Note, Said, noted, seconds

from modulus_es import Module, System, UnitOfWork
from modulus_es.clock import START
from modulus_es.ledger import ledger


def world(**knobs: Any) -> tuple[System, Module, list[Module]]:
    """A sender, and two modules that note what they hear."""
    system = System(seed=7)
    sender = system.module("sender")
    hearers = [system.module("one"), system.module("two")]
    for hearer in hearers:
        hearer.on(Said, name="note")(note)
    for name, value in knobs.items():
        setattr(system.network, name, value)
    return system, sender, hearers


def note(said: Said, uow: UnitOfWork) -> None:
    uow.add(Note(said.n))


async def publish(sender: Module, count: int, keys: int = 5) -> None:
    for n in range(count):
        await sender.bus.publish(Said(n), key=f"key {n % keys}")


def disorder(module: Module, keys: int = 5) -> int:
    lanes = [[n for n in noted(module) if n % keys == key] for key in range(keys)]
    return sum(later < earlier for lane in lanes for earlier, later in pairwise(lane))


# Each knob by itself


async def test_a_perfect_network_takes_no_time() -> None:
    system, sender, hearers = world()
    await publish(sender, 50)
    await system.run()
    assert seconds(system) == 0
    assert noted(hearers[0]) == noted(hearers[1]) == list(range(50))
    assert system.trace.of_kind("network") == []


async def test_latency_is_the_time_that_each_message_travels() -> None:
    system, sender, hearers = world(latency=(0.5, 1.5))
    await publish(sender, 50, keys=50)
    await system.run()
    arrivals = [(row.received_at - START).total_seconds() for row in hearers[0].inbox]
    assert all(0.5 <= arrival <= 1.5 for arrival in arrivals)
    assert len(set(arrivals)) == 50


async def test_latency_may_be_one_number() -> None:
    system, sender, _hearers = world(latency=2)
    await publish(sender, 1)
    await system.run()
    assert seconds(system) == 2


def test_latency_may_be_a_list() -> None:
    network = System(seed=7).network
    network.latency = [0.01, 0.2]
    assert network.latency == (0.01, 0.2)


async def test_messages_of_one_key_keep_their_order_whatever_they_travel() -> None:
    system, sender, hearers = world(latency=(0, 5), loss=0.3, duplicates=0.3)
    await publish(sender, 200)
    await system.run()
    for hearer in hearers:
        assert sorted(noted(hearer)) == list(range(200))
        assert disorder(hearer) == 0


async def test_what_is_lost_is_sent_again_after_a_second_and_costs_no_attempt() -> None:
    system, sender, hearers = world(loss=0.5)
    await publish(sender, 100, keys=100)
    await system.run()
    lost = [record for record in system.trace.of_kind("network") if record.outcome == "lost"]
    assert 100 < len(lost) < 350
    assert {row.attempts for row in sender.outbox} == {1}
    arrivals = {(row.received_at - START).total_seconds() for row in hearers[0].inbox}
    assert arrivals > {0.0, 1.0, 2.0}
    assert all(arrival.is_integer() for arrival in arrivals)


async def test_duplicates_arrive_twice_and_are_handled_once() -> None:
    system, sender, hearers = world(duplicates=0.5)
    await publish(sender, 100)
    await system.run()
    assert noted(hearers[0]) == list(range(100))
    repeated = [r for r in system.trace.of_kind("network") if r.outcome == "repeated"]
    counted = sum(row.duplicates for hearer in hearers for row in hearer.inbox)
    assert counted == len(repeated)
    assert 60 < counted < 140


async def test_reordering_lets_later_messages_of_a_key_overtake_and_is_counted() -> None:
    system, sender, hearers = world(reorder=0.3)
    await publish(sender, 200)
    await system.run()
    for hearer in hearers:
        assert sorted(noted(hearer)) == list(range(200))
        assert disorder(hearer) > 10
        assert sum(row.out_of_order for row in hearer.inbox) > 10


async def test_two_receivers_of_one_message_have_their_own_luck() -> None:
    system, sender, hearers = world(latency=(0, 10))
    await publish(sender, 20, keys=20)
    await system.run()
    first, second = ([row.received_at for row in hearer.inbox] for hearer in hearers)
    assert first != second


# Partitions


async def test_a_partition_holds_messages_until_it_is_healed_and_costs_no_attempt() -> None:
    system, sender, hearers = world()
    system.network.partition("sender", "one")
    await publish(sender, 10)
    run = await system.run()
    assert run.blocked == ("cut off: sender | one",)
    assert noted(hearers[0]) == []
    await system.advance(3600)
    system.network.heal()
    assert (await system.run()).blocked == ()
    assert noted(hearers[0]) == list(range(10))
    assert {row.attempts for row in sender.outbox} == {1}


async def test_a_partition_holds_up_nobody_else() -> None:
    system, sender, hearers = world()
    system.network.partition("sender", "one")
    await publish(sender, 100, keys=1)
    await system.run()
    assert noted(hearers[0]) == []
    assert noted(hearers[1]) == list(range(100))


async def test_a_partition_cuts_both_ways_and_only_these_two() -> None:
    system, _, hearers = world()
    system.network.partition("one", "two")
    await hearers[1].bus.publish(Said(1))
    await hearers[0].bus.publish(Said(2))
    run = await system.run()
    assert set(run.blocked) == {"cut off: two | one", "cut off: one | two"}
    assert noted(hearers[0]) == [2]
    assert noted(hearers[1]) == [1]


async def test_a_partition_catches_what_is_on_its_way() -> None:
    system, sender, hearers = world(latency=10)
    await publish(sender, 1)
    await system.run(until=START + timedelta(seconds=5))
    system.network.partition("sender", "one")
    await system.run()
    assert (noted(hearers[0]), noted(hearers[1])) == ([], [0])
    system.network.heal("one")
    await system.run()
    assert noted(hearers[0]) == [0]


async def test_a_second_copy_does_not_cross_a_cut_either() -> None:
    system, sender, hearers = world(latency=1, duplicates=0.999)
    await publish(sender, 1)
    await system.run(until=START + timedelta(seconds=1.5))
    system.network.partition("sender", "one")
    await system.run()
    assert [[row.duplicates for row in hearer.inbox] for hearer in hearers] == [[0], [1]]


@pytest.mark.parametrize(
    ("healed", "still_cut"),
    [
        ((), []),
        (("a",), [("b", "c")]),
        (("a", "b"), [("a", "c"), ("b", "c")]),
        (("c", "b"), [("a", "b"), ("a", "c")]),
        (("d",), [("a", "b"), ("a", "c"), ("b", "c")]),
    ],
)
def test_healing_mends_every_cut_those_of_one_module_or_the_one_between_two(
    healed: tuple[str, ...], still_cut: list[tuple[str, str]]
) -> None:
    network = System(seed=7).network
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    for pair in pairs:
        network.partition(*pair)
    network.heal(*healed)
    assert [pair for pair in pairs if network.is_cut(*pair)] == still_cut


async def test_what_was_on_its_way_is_not_overtaken_when_the_network_gets_well() -> None:
    system, sender, hearers = world(latency=10)
    await publish(sender, 3, keys=1)
    await system.run(until=START + timedelta(seconds=5))
    system.network.reset()
    for n in range(3, 6):
        await sender.bus.publish(Said(n), key="key 0")
    await system.run()
    assert noted(hearers[0]) == list(range(6))


# Knobs


@pytest.mark.parametrize("knob", ["loss", "duplicates", "reorder"])
@pytest.mark.parametrize("part", [-0.1, 1.5, float("nan"), "half"])
def test_a_knob_that_is_no_part_is_refused(knob: str, part: Any) -> None:
    network = System(seed=7).network
    with pytest.raises(ValueError, match=f"{knob} is a part of the messages"):
        setattr(network, knob, part)
    assert network.perfect


def test_not_all_messages_can_be_lost_because_they_are_sent_again_until_they_arrive() -> None:
    network = System(seed=7).network
    with pytest.raises(ValueError, match=r"below 1: .* use network\.partition"):
        network.loss = 1
    assert network.perfect


async def test_all_messages_may_come_twice_and_have_their_effect_once() -> None:
    system, sender, hearers = world(duplicates=1)
    await publish(sender, 5)
    await system.run()
    assert noted(hearers[0]) == list(range(5))
    assert system.ledger()["duplicates"].tolist() == [1] * len(system.ledger())


async def test_all_messages_may_be_overtaken() -> None:
    system, sender, hearers = world(reorder=1)
    await publish(sender, 5)
    await system.run()
    assert sorted(noted(hearers[0])) == list(range(5))


def test_a_knob_that_there_is_not_is_refused() -> None:
    with pytest.raises(AttributeError, match="los"):
        System(seed=7).network.los = 0.05  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "latency", [(-1, 2), (2, 1), -1, (float("nan"), 1), (0, float("inf")), (1, 2, 3), "fast", None]
)
def test_a_latency_that_makes_no_sense_is_refused(latency: Any) -> None:
    with pytest.raises(ValueError, match="latency is"):
        System(seed=7).network.latency = latency


def test_a_module_cannot_be_cut_off_from_itself() -> None:
    with pytest.raises(ValueError, match="cannot be cut off from itself"):
        System(seed=7).network.partition("a", "a")


@pytest.mark.parametrize("fault", ["partition", "heal", "crash"])
def test_a_module_that_there_is_not_is_told_with_what_was_perhaps_meant(fault: str) -> None:
    system = System(seed=7)
    system.module("orders")
    system.module("inventory")
    faults: dict[str, Callable[[str], None]] = {
        "partition": lambda name: system.network.partition("orders", name),
        "heal": system.network.heal,
        "crash": lambda name: system.faults.crash("before_commit", module=name),
    }
    with pytest.raises(ValueError, match="no module 'inventroy'; did you mean inventory"):
        faults[fault]("inventroy")
    with pytest.raises(ValueError, match="no module 'x'; the modules are orders, inventory"):
        faults[fault]("x")
    assert system.network.perfect
    assert repr(system.faults) == "Faults(none)"


def test_a_cut_that_was_made_before_there_were_modules_can_be_mended() -> None:
    system = System(seed=7)
    system.network.partition("orders", "later")
    system.module("orders")
    with pytest.raises(ValueError, match=r"no module 'x'; the modules are orders, later$"):
        system.network.heal("x")
    system.network.heal("later")
    assert system.network.perfect


async def test_a_module_may_be_given_as_itself() -> None:
    system, sender, hearers = world()
    hearer = hearers[0]
    system.network.partition(sender, hearer)
    system.faults.crash("before_commit", module=hearer)
    assert repr(system.faults) == f"Faults(1 x before_commit in {hearer.name})"
    await publish(sender, 1)
    assert (await system.run()).blocked
    system.network.heal(sender, hearer)
    assert system.network.perfect


@pytest.mark.parametrize("module", [5, None, object()])
def test_what_is_no_module_cannot_be_cut_off(module: Any) -> None:
    with pytest.raises(TypeError, match="a module, or its name, is asked for"):
        System(seed=7).network.partition(module, "orders")


def test_chance_comes_from_the_seed() -> None:
    def luck(seed: int) -> list[bool]:
        network = System(seed=seed).network
        network.loss = 0.5
        return [network.loses() for _ in range(50)]

    assert luck(7) == luck(7) != luck(8)


def test_a_network_shows_its_knobs_and_is_perfect_after_a_reset() -> None:
    network = System(seed=7).network
    network.loss, network.duplicates, network.reorder, network.latency = 0.05, 0.1, 0.2, (0, 1)
    network.partition("b", "a")
    assert repr(network) == (
        "Network(loss=0.05, duplicates=0.1, reorder=0.2, latency=(0.0, 1.0), cut: a | b)"
    )
    network.reset()
    assert repr(network) == "Network(perfect)"


# FAULTS scenario 36


class Forgetful(dict[Any, Any]):
    """What an inbox without deduplication remembers."""

    def setdefault(self, key: Any, default: Any = None) -> Any:
        return default


async def storm(handler: Callable[..., None], *, inbox: bool = True) -> System:
    """Everything at once, and a partition that is healed."""
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")
    hearer.on(Said, name="note")(handler)
    if not inbox:
        store: Any = hearer.store
        store._held_of = lambda *_: Forgetful()
    network = system.network
    network.loss, network.duplicates, network.reorder = 0.1, 0.2, 0.2
    network.latency = (0.01, 0.2)
    await publish(sender, 150)
    await system.advance(1)
    network.partition("sender", "hearer")
    await publish(sender, 150)
    await system.advance(60)
    network.heal()
    for point in ("before_commit", "after_commit", "before_ack"):
        system.faults.crash(point, times=10, module="hearer")
    for point in ("before_publish", "after_publish"):
        system.faults.crash(point, times=10)
    await system.run()
    return system


@pytest.mark.slow
async def test_after_a_storm_the_ledger_reconciles_and_every_effect_happened_once() -> None:
    system = await storm(note)
    rows = list(ledger(system.modules))
    assert len(rows) == 300
    assert {row.outcome for row in rows} == {"done"}
    assert {row.effects for row in rows} == {1}
    assert len(system.trace.of_kind("crash")) == 50
    assert sum(row.duplicates for row in rows) > 20
    assert sum(row.out_of_order for row in rows) > 5
    assert sorted(noted(system["hearer"])) == sorted([*range(150), *range(150)])


@pytest.mark.slow
async def test_control_effects_kept_outside_of_the_store_happen_more_than_once() -> None:
    outside: list[int] = []

    def careless(said: Said) -> None:
        outside.append(said.n)

    # A handler without effects in the store still commits its mark; a crash before that repeats it.
    system = await storm(careless)
    assert {row.outcome for row in ledger(system.modules)} == {"done"}
    assert len(outside) > 300


async def test_control_without_the_inbox_effects_happen_more_than_once() -> None:
    system = await storm(note, inbox=False)
    assert len(noted(system["hearer"])) > 320
