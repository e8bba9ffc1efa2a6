"""The outbox: what leaves a module is written with what caused it, in order, and held until due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from talking import Do, Said, at, pair

from modulus_es import (
    Aggregate,
    IntegrationEvent,
    Mediator,
    MessageBus,
    Module,
    SerializationError,
    System,
    UnitOfWork,
    event,
)
from modulus_es.clock import START
from modulus_es.stores.rows import OutboxRow


class Anything(IntegrationEvent):
    value: object


class Note(Aggregate):
    @event("Written")
    def __init__(self, n: int) -> None:
        self.n = n

    @event("Changed")
    def change(self, n: int) -> None:
        self.n = n


def only(module: Module) -> OutboxRow:
    (row,) = module.outbox
    return row


def hears(module: Module, heard: list[Any]) -> None:
    """Let a module note what it hears, and when."""

    @module.on(Said, name="hears")
    def hear(said: Said) -> None:
        heard.append((said.n, (module.system.now() - START).total_seconds()))


# What a row holds


async def test_a_row_tells_everything_of_the_message_on_its_way() -> None:
    _, sender, _ = pair()
    said = Said(1, correlation_id="c1")
    await sender.bus.publish(said)
    row = only(sender)
    assert (row.position, row.attempts, row.status, row.last_error) == (1, 0, "pending", None)
    assert (row.created_at, row.available_at) == (START, START)
    assert (row.claimed_by, row.claimed_until, row.delivered_at, row.dead_at) == (None,) * 4
    envelope = row.envelope
    assert envelope.message_id == str(said.event_id)
    assert (envelope.type, envelope.version, envelope.body) == ("Said", 1, b'{"n":1}')
    assert (envelope.kind, envelope.source, envelope.to) == ("event", "sender", None)
    assert envelope.correlation_id == "c1"
    assert envelope.occurred_on == said.occurred_on


async def test_a_row_that_was_delivered_says_when_and_with_how_many_attempts() -> None:
    system, sender, hearer = pair()
    hears(hearer, [])
    await system.advance(5)
    await sender.bus.publish(Said(1))
    await system.run()
    row = only(sender)
    assert (row.status, row.delivered_at, row.attempts) == ("delivered", at(5), 1)
    assert (row.claimed_by, row.claimed_until) == (None, None)


async def test_positions_count_up_by_module() -> None:
    system, sender, hearer = pair()
    for module in (sender, hearer):
        for n in range(3):
            await module.bus.publish(Said(n))
    assert [row.position for row in sender.outbox] == [1, 2, 3]
    assert [row.position for row in hearer.outbox] == [1, 2, 3]
    assert system.now() == START


# All or none


async def test_events_and_messages_are_written_together() -> None:
    _, sender, _ = pair()
    async with sender.unit_of_work() as uow:
        uow.add(Note(1))
        uow.publish(Said(1))
        uow.send(Do(2), to="hearer")
    assert [stored.topic for stored in sender.stored_events()] == ["Note.Written"]
    assert [row.envelope.type for row in sender.outbox] == ["Said", "Do"]


async def test_what_cannot_be_serialised_fails_at_the_commit_by_name_and_nothing_is_written() -> (
    None
):
    _, sender, _ = pair()
    uow = UnitOfWork(sender)
    uow.add(Note(1))
    uow.publish(Said(1))
    uow.publish(Anything(object()))
    with pytest.raises(SerializationError, match=r"Anything\.value"):
        await uow.commit()
    assert uow.committed is False
    assert list(sender.stored_events()) == []
    assert list(sender.outbox) == []


async def test_a_unit_of_work_that_raises_leaves_no_message() -> None:
    _, sender, _ = pair()

    async def work() -> None:
        async with sender.unit_of_work() as uow:
            uow.publish(Said(1))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await work()
    assert list(sender.outbox) == []


# Keys


async def test_the_key_of_a_projected_message_is_the_aggregates_id() -> None:
    _, sender, _ = pair()

    @sender.projects(Note.Written)
    def project(written: Note.Written) -> Said:
        return Said(written.n)

    note = Note(1)
    await sender.save(note)
    assert only(sender).envelope.key == str(note.id)


async def test_the_key_of_a_message_published_outside_is_its_correlation() -> None:
    _, sender, _ = pair()
    async with sender.unit_of_work() as uow:
        uow.publish(Said(1))
        uow.send(Do(2), to="hearer")
    said, do = sender.outbox
    assert said.envelope.key == said.envelope.correlation_id
    assert do.envelope.key == do.envelope.correlation_id == said.envelope.key


async def test_a_key_may_be_given() -> None:
    _, sender, _ = pair()
    async with sender.unit_of_work() as uow:
        uow.publish(Said(1), key="mine")
        uow.send(Do(2), to="hearer", key="yours")
    await sender.bus.publish(Said(3), key="ours")
    await sender.bus.send(Do(4), to="hearer", key="theirs")
    assert [row.envelope.key for row in sender.outbox] == ["mine", "yours", "ours", "theirs"]


async def test_what_a_handler_publishes_has_the_key_of_the_message_being_handled() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def pass_on(said: Said, bus: MessageBus, uow: UnitOfWork) -> None:
        await bus.publish(Said(said.n + 1))
        uow.send(Do(said.n), to="sender")
        uow.publish(Said(said.n + 2), key="another")

    await sender.bus.publish(Said(1), key="k")
    await system.step()
    await system.step()
    assert [row.envelope.key for row in hearer.outbox] == ["k", "k", "another"]


async def test_the_key_of_a_command_being_handled_is_passed_on_too() -> None:
    system, sender, hearer = pair()

    @hearer.handles(Do)
    async def do(command: Do, bus: MessageBus) -> None:
        await bus.publish(Said(command.n))

    await sender.bus.send(Do(1), to="hearer", key="k")
    await system.run()
    assert only(hearer).envelope.key == "k"


async def test_a_command_that_a_handler_sends_passes_the_key_on() -> None:
    system, sender, hearer = pair()

    @hearer.handles(Do)
    async def do(command: Do, bus: MessageBus) -> None:
        await bus.publish(Anything(None))

    @hearer.on(Said)
    async def hear(said: Said, mediator: Mediator) -> None:
        await mediator.send(Do(said.n))

    await sender.bus.publish(Said(1), key="k")
    await system.run()
    assert only(hearer).envelope.key == "k"


async def test_an_after_commit_handler_passes_the_key_on() -> None:
    system, sender, hearer = pair()

    @hearer.on(Note.Written)
    async def written(event: Note.Written, bus: MessageBus) -> None:
        await bus.publish(Anything(None))

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    await sender.bus.publish(Said(1), key="k")
    await system.run()
    assert only(hearer).envelope.key == "k"


# Correlation and causation


async def test_a_message_s_own_correlation_is_its_key_where_nothing_else_is() -> None:
    system = System(seed=7)
    sender = system.module("sender")
    await sender.bus.publish(Said(1, correlation_id="my own"))
    async with sender.unit_of_work() as uow:
        uow.publish(Said(2, correlation_id="another"))
        uow.publish(Said(3, correlation_id="another"), key="given")
        uow.publish(Said(4))
    alone, own, given, units = (row.envelope for row in sender.store.outbox_rows())
    assert (alone.key, own.key, given.key) == ("my own", "another", "given")
    assert units.key == units.correlation_id == uow.conversation


async def test_correlation_flows_from_the_message_being_handled_to_what_it_causes() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def pass_on(said: Said, uow: UnitOfWork) -> None:
        uow.send(Do(said.n), to="sender")
        uow.publish(Anything(None, correlation_id="my own"))

    await sender.bus.publish(Said(1, correlation_id="c1"))
    await system.run()
    sent = only(sender).envelope
    do, anything = (row.envelope for row in hearer.outbox)
    assert (do.correlation_id, do.causation_id) == ("c1", sent.message_id)
    assert (anything.correlation_id, anything.causation_id) == ("my own", sent.message_id)


# Order, and time


async def test_messages_of_one_key_arrive_in_the_recorded_order() -> None:
    system, sender, hearer = pair()
    heard: list[Any] = []
    hears(hearer, heard)
    for n in range(250):
        await sender.bus.publish(Said(n), key="k")
    await system.run()
    assert [n for n, _ in heard] == list(range(250))


async def test_a_scheduled_message_is_never_early() -> None:
    system, sender, hearer = pair()
    heard: list[Any] = []
    hears(hearer, heard)
    for seconds in (7, 3.000001, 90_000):
        await sender.bus.publish(Said(int(seconds)), at=at(seconds))
    await sender.bus.send(Do(1), to="hearer", at=at(4))
    await system.run(until=at(3))
    assert heard == []
    await system.run()
    assert heard == [(3, 3.000001), (7, 7.0), (90_000, 90_000.0)]


async def test_a_scheduled_message_holds_up_none_of_its_key_before_it_is_due() -> None:
    system, sender, hearer = pair()
    heard: list[Any] = []
    hears(hearer, heard)
    await sender.bus.publish(Said(1), key="k", at=at(60))
    await sender.bus.publish(Said(2), key="k")
    await system.run()
    assert heard == [(2, 0), (1, 60)]
    assert [row.out_of_order for row in hearer.inbox] == [0, 0]


async def test_a_message_scheduled_for_a_time_that_is_over_goes_at_once_and_in_order() -> None:
    system, sender, hearer = pair()
    heard: list[Any] = []
    hears(hearer, heard)
    await sender.bus.publish(Said(1), key="k", at=at(-60))
    await sender.bus.publish(Said(2), key="k")
    await system.run()
    assert heard == [(1, 0), (2, 0)]


async def test_a_time_zone_is_needed_to_schedule_and_nothing_is_written_without() -> None:
    _, sender, _ = pair()
    with pytest.raises(ValueError, match="at needs a time zone"):
        await sender.bus.publish(Said(1), at=datetime(2030, 1, 1))  # noqa: DTZ001
    assert list(sender.outbox) == []


# Nobody listens


async def test_a_message_without_subscriber_is_held_and_delivered_when_one_appears() -> None:
    system, sender, hearer = pair()
    await sender.bus.publish(Said(1))
    await system.run()
    assert only(sender).status == "pending"
    await system.advance(3600)
    heard: list[Any] = []
    hears(hearer, heard)
    await system.run()
    assert heard == [(1, 3600)]
    assert (only(sender).status, only(sender).attempts) == ("delivered", 1)


async def test_a_message_without_subscriber_does_not_hold_up_its_key() -> None:
    system, sender, hearer = pair()
    heard: list[Any] = []
    hears(hearer, heard)
    await sender.bus.publish(Anything(None), key="k")
    await sender.bus.publish(Said(1), key="k")
    await system.run()
    assert heard == [(1, 0)]


async def test_a_command_is_held_until_its_module_handles_it() -> None:
    system, sender, hearer = pair()
    done: list[int] = []

    @sender.handles(Do)
    def not_this_module(command: Do) -> None:
        raise AssertionError

    await sender.bus.send(Do(1), to="hearer")
    assert (await system.run()).blocked == ("sender: nobody handles Do for hearer (1 waiting)",)
    sender.forget(not_this_module)

    @hearer.handles(Do)
    def do(command: Do) -> None:
        done.append(command.n)

    await system.run()
    assert done == [1]


async def test_a_message_is_delivered_only_when_every_subscribed_module_holds_it() -> None:
    system, sender, hearer = pair()
    other = system.module("other")
    hears(hearer, [])
    hears(other, [])
    system.network.partition("sender", "other")
    await sender.bus.publish(Said(1))
    await system.run()
    assert [row.status for row in hearer.inbox] == ["done"]
    assert only(sender).status == "claimed"
    system.network.heal()
    await system.run()
    assert only(sender).status == "delivered"
    assert len(other.inbox) == len(hearer.inbox) == 1


async def test_a_message_whose_last_subscriber_is_gone_before_it_arrives_is_kept() -> None:
    system, sender, hearer = pair()
    heard: list[Any] = []
    hears(hearer, heard)
    system.network.latency = 5
    await sender.bus.publish(Said(1))
    await system.run(until=at(1))
    hearer.forget("hears")
    assert (await system.run()).blocked == ("sender: nobody handles Said (1 waiting)",)
    assert (only(sender).status, list(hearer.inbox)) == ("pending", [])
    hears(hearer, heard)
    await system.run()
    assert heard == [(1, 10)]


# Retention


async def test_nothing_is_purged_by_itself() -> None:
    system, sender, hearer = pair()
    hears(hearer, [])
    await sender.bus.publish(Said(1))
    await system.run()
    await system.advance(400 * 86_400)
    assert len(sender.outbox) == 1


async def test_a_purge_drops_what_was_delivered_more_than_seven_days_ago_and_nothing_else() -> None:
    system, sender, hearer = pair()
    hears(hearer, [])
    await sender.bus.publish(Anything(None))
    await sender.bus.publish(Said(1))
    await system.run()
    await system.advance(86_400)
    await sender.bus.publish(Said(2))
    await system.run()
    await system.advance(6 * 86_400)
    assert await system.purge() == 0
    await system.advance(1)
    assert await system.purge() == 1
    assert [(row.position, row.status) for row in sender.outbox] == [
        (1, "pending"),
        (3, "delivered"),
    ]


async def test_a_purge_works_in_batches() -> None:
    system, sender, hearer = pair()
    hears(hearer, [])
    for n in range(2_500):
        await sender.bus.publish(Said(n))
    await system.run()
    later = datetime.now(UTC) + timedelta(days=40_000)
    assert await sender.store.purge(later, limit=1000) == 1000
    assert await system.purge(timedelta(seconds=-1)) == 1_500
