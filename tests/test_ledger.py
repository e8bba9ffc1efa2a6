"""The ledger accounts for every message at every handler: what became of it, and what it caused."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from talking import Do, Note, Said, pair

from modulus_es import (
    Clock,
    Envelope,
    IntegrationEvent,
    Mediator,
    MessageBus,
    System,
    UnitOfWork,
)
from modulus_es.clock import START
from modulus_es.ledger import LedgerRow, ledger


class Other(IntegrationEvent):
    n: int


def rows(system: System) -> list[LedgerRow]:
    return list(ledger(system.modules))


def outcomes(system: System) -> dict[tuple[str, str], str]:
    return {(row.module, row.handler): row.outcome for row in rows(system)}


async def test_a_message_has_one_row_for_each_handler_subscribed_to_it() -> None:
    system, sender, hearer = pair()
    other = system.module("other")

    @hearer.on(Said)
    def one(said: Said) -> None: ...

    @hearer.on(Said)
    def two(said: Said) -> None: ...

    @other.on(Said)
    def three(said: Said) -> None: ...

    await sender.bus.publish(Said(1))
    assert set(outcomes(system).values()) == {"pending"}
    await system.run()
    assert outcomes(system) == {
        ("hearer", "one"): "done",
        ("hearer", "two"): "done",
        ("other", "three"): "done",
    }


async def test_a_row_says_what_it_was_where_from_and_when_it_was_recorded() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    await system.advance(5)
    said = Said(1)
    await sender.bus.publish(said, at=START + timedelta(seconds=60))
    await system.run()
    assert rows(system) == [
        LedgerRow(
            str(said.event_id), "Said", "sender", "hearer", "hear",
            START + timedelta(seconds=5), attempts=1, effects=1, outcome="done",
        )
    ]  # fmt: skip


async def test_commands_over_the_bus_are_accounted_for_too() -> None:
    system, sender, hearer = pair()

    @hearer.handles(Do)
    def do(command: Do) -> None: ...

    await sender.bus.send(Do(1), to="hearer")
    await system.run()
    assert outcomes(system) == {("hearer", "do"): "done"}


async def test_an_event_without_subscriber_has_one_row_and_is_unheard() -> None:
    system, sender, _ = pair()
    await sender.bus.publish(Said(1))
    await system.run()
    (row,) = rows(system)
    assert (row.module, row.handler, row.outcome, row.attempts) == ("", "", "unheard", 0)


async def test_what_died_at_a_handler_is_dead() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None:
        raise ValueError("always")

    await sender.bus.publish(Said(1))
    await system.run(until=START)
    (row,) = rows(system)
    assert (row.outcome, row.attempts) == ("pending", 1)
    await system.run()
    (row,) = rows(system)
    assert (row.outcome, row.attempts, row.effects) == ("dead", 5, 0)


async def test_what_died_in_the_outbox_is_dead_at_every_handler() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def one(said: Said) -> None: ...

    @hearer.on(Said)
    def two(said: Said) -> None: ...

    async def refuse(receipts: Any, now: Any) -> Any:
        raise ValueError("no")

    hearer.store.receive = refuse  # type: ignore[method-assign]
    await sender.bus.publish(Said(1))
    await system.run()
    assert outcomes(system) == {("hearer", "one"): "dead", ("hearer", "two"): "dead"}
    assert {row.attempts for row in rows(system)} == {5}


async def test_what_was_of_unknown_type_is_dead_without_a_handler() -> None:
    system, _, hearer = pair()
    stranger = Envelope(
        message_id=str(UUID(int=1)), kind="event", type="Unknown", version=1, body=b"{}",
        source="broker", key="k", occurred_on=START,
    )  # fmt: skip
    await hearer.consumer.receive([stranger])
    (row,) = rows(system)
    assert (row.source, row.module, row.handler, row.outcome) == ("broker", "hearer", "", "dead")


async def test_who_subscribes_after_a_message_was_handed_over_is_not_owed_it() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def early(said: Said) -> None: ...

    await sender.bus.publish(Said(1))
    await system.run()

    @hearer.on(Said)
    def late(said: Said) -> None: ...

    assert outcomes(system) == {("hearer", "early"): "done"}


async def test_a_handler_that_is_gone_keeps_its_rows() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def done(said: Said) -> None: ...

    @hearer.on(Said)
    def left(said: Said) -> None:
        raise ValueError("not yet")

    await sender.bus.publish(Said(1))
    await system.run(until=START)
    hearer.forget(done)
    hearer.forget(left)
    assert outcomes(system) == {("hearer", "done"): "done", ("hearer", "left"): "pending"}


# Effects


async def test_effects_count_what_the_consumers_store_recorded_because_of_the_message() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def busy(said: Said, uow: UnitOfWork, bus: MessageBus) -> None:
        uow.add(Note(1), Note(2))
        await bus.publish(Other(3))
        uow.send(Do(4), to="sender")

    @hearer.on(Said)
    def idle(said: Said) -> None: ...

    await sender.bus.publish(Said(1))
    await system.run()
    assert {row.handler: row.effects for row in rows(system) if row.type == "Said"} == {
        "busy": 4,
        "idle": 0,
    }


async def test_effects_of_a_command_that_the_handler_sent_are_its_effects() -> None:
    system, sender, hearer = pair()

    @hearer.handles(Do)
    def do(command: Do, uow: UnitOfWork) -> None:
        uow.add(Note(command.n))

    @hearer.on(Said)
    async def hear(said: Said, mediator: Mediator) -> None:
        await mediator.send(Do(said.n))

    await sender.bus.publish(Said(1))
    await system.run()
    (row,) = rows(system)
    assert row.effects == 1


async def test_effects_come_from_the_store_and_not_from_the_inbox() -> None:
    """Somebody who forgets the inbox cannot hide that a handler's effects happened twice."""
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    await sender.bus.publish(Said(1))
    await system.run()
    (held,) = hearer.inbox
    store: Any = hearer.store
    store._inbox.clear()
    store._held.clear()
    await hearer.consumer.receive([held.envelope])
    await system.run()
    (row,) = rows(system)
    assert (row.outcome, row.attempts, row.effects) == ("done", 1, 2)


async def test_what_is_recorded_for_other_reasons_is_no_effect() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    await hearer.save(Note(7))
    await sender.bus.publish(Said(1))
    await sender.bus.publish(Said(2))
    await system.run()
    assert [row.effects for row in rows(system)] == [1, 1]


# Duplicates, order, and the trace


async def test_duplicates_and_disorder_are_counted_though_the_trace_keeps_nothing() -> None:
    system, sender, hearer = pair(trace=0)

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    system.network.duplicates, system.network.reorder = 0.5, 0.5
    for n in range(200):
        await sender.bus.publish(Said(n), key=f"key {n % 5}")
    await system.run()
    assert len(system.trace) == 0
    counted = Counter[str]()
    for row in rows(system):
        counted.update(duplicates=row.duplicates, out_of_order=row.out_of_order, done=1)
        assert row.outcome == "done"
    assert counted["done"] == 200
    assert 60 < counted["duplicates"] < 140
    assert counted["out_of_order"] > 20


async def test_without_reordering_nothing_is_out_of_order() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    network = system.network
    network.loss, network.duplicates, network.latency = 0.2, 0.2, (0.0, 2.0)
    for n in range(100):
        await sender.bus.publish(Said(n), key=f"key {n % 5}")
    await system.run()
    assert sum(row.out_of_order for row in rows(system)) == 0


# Recorded again, and purged


async def test_a_message_recorded_again_by_a_replay_is_one_message_and_none_is_lost() -> None:
    system, sender, hearer = pair()

    @sender.projects(Note.Written)
    def said(written: Note.Written) -> Said:
        return Said(written.n)

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    await sender.save(Note(1))
    await system.run()
    before = rows(system)
    assert await sender.replay(said) == 1
    assert rows(system) == before
    await system.run()
    (row,) = rows(system)
    assert (row.outcome, row.effects, row.duplicates) == ("done", 1, 1)


async def test_a_replay_owes_the_message_to_who_subscribed_later() -> None:
    system, sender, hearer = pair()

    @sender.projects(Note.Written)
    def said(written: Note.Written) -> Said:
        return Said(written.n)

    @hearer.on(Said)
    def early(said: Said) -> None: ...

    await sender.save(Note(1))
    await system.run()

    @hearer.on(Said)
    def late(said: Said) -> None: ...

    await sender.replay(said)
    assert outcomes(system) == {("hearer", "early"): "done", ("hearer", "late"): "pending"}
    await system.run()
    assert outcomes(system) == {("hearer", "early"): "done", ("hearer", "late"): "done"}


async def test_an_event_published_twice_is_one_message() -> None:
    system, sender, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    said = Said(1)
    await sender.bus.publish(said)
    await sender.bus.publish(said)
    await system.run()
    (row,) = rows(system)
    assert (row.outcome, row.duplicates, heard) == ("done", 1, [1])


async def test_a_purge_changes_nothing_but_when_the_message_was_recorded() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    system.network.latency = 5
    await sender.bus.publish(Said(1))
    await system.run()
    (before,) = rows(system)
    assert await system.purge(timedelta(seconds=-1)) == 1
    (after,) = rows(system)
    assert before.recorded_at == START
    assert after.recorded_at == START + timedelta(seconds=5)
    assert (after.outcome, after.effects, after.attempts) == ("done", 1, 1)


async def test_two_senders_of_one_key_are_not_out_of_order() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    for n in range(3):
        await sender.bus.publish(Said(n), key="k")
    await system.run()
    await system.module("another").bus.publish(Said(9), key="k")
    await system.run()
    assert [row.out_of_order for row in rows(system)] == [0, 0, 0, 0]


async def test_what_a_handler_is_at_is_pending() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        await clock.sleep(10)

    await sender.bus.publish(Said(1))
    await system.run(until=timedelta(seconds=5))
    assert [(row.handler, row.outcome) for row in rows(system)] == [("hear", "pending")]


async def test_a_message_is_recorded_when_it_was_first_recorded() -> None:
    class Told(IntegrationEvent): ...

    system, sender, _ = pair()

    @sender.projects(Note.Written)
    def tell(written: Note.Written) -> Told:
        return Told()

    with system.current():
        await sender.save(Note(1))
    await system.advance(60)
    await sender.replay(tell)
    assert [row.recorded_at for row in rows(system)] == [START]


async def test_a_message_that_was_purged_is_no_effect_any_more() -> None:
    class Echoed(IntegrationEvent): ...

    system, sender, hearer = pair()

    @hearer.on(Said)
    def echo(said: Said, uow: UnitOfWork) -> None:
        uow.publish(Echoed())

    @sender.on(Echoed)
    def hear(echoed: Echoed) -> None: ...

    await sender.bus.publish(Said(1))
    await system.run()
    before = [(row.handler, row.effects) for row in rows(system)]
    await system.purge(timedelta(seconds=-1))
    assert before == [("echo", 1), ("hear", 0)]
    assert sorted((row.handler, row.effects) for row in rows(system)) == [("echo", 0), ("hear", 0)]


async def test_the_rows_are_in_order_of_module_and_position() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    for n in range(3):
        await hearer.bus.publish(Other(n))
        await sender.bus.publish(Said(n))
    await system.run()
    assert [(row.source, row.type) for row in rows(system)] == (
        [("sender", "Said")] * 3 + [("hearer", "Other")] * 3
    )
