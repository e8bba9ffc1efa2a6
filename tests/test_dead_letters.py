"""Dead letters: visible, and brought back to life by decision, for what had failed and no more."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from modulus_es import (
    Aggregate,
    Command,
    DeserializationError,
    Envelope,
    IntegrationEvent,
    Module,
    ModulusError,
    System,
    UnitOfWork,
    event,
)
from modulus_es.clock import START


class Said(IntegrationEvent):
    n: int
    price: Decimal = Decimal("1.00")


class Do(Command[None]):
    n: int


class Note(Aggregate):
    @event("Written")
    def __init__(self, n: int, price: Decimal) -> None:
        self.n, self.price = n, price


class World:
    """Two handlers of one event; one of them fails until it is told otherwise."""

    def __init__(self) -> None:
        self.system = System(seed=7)
        self.sender, self.hearer = self.system.module("sender"), self.system.module("hearer")
        self.fails: Callable[[Said], bool] = lambda said: True
        self.calls: list[tuple[str, int]] = []

        @self.hearer.on(Said)
        def fine(said: Said) -> None:
            self.calls.append(("fine", said.n))

        @self.hearer.on(Said)
        def failing(said: Said, uow: UnitOfWork) -> None:
            self.calls.append(("failing", said.n))
            if self.fails(said):
                raise ValueError("out of order")
            uow.add(Note(said.n, said.price))

    async def die(self, *numbers: int) -> list[str]:
        """Let these messages die at the failing handler; answers their ids."""
        ids = []
        for n in numbers:
            said = Said(n)
            ids.append(str(said.event_id))
            await self.sender.bus.publish(said, key=f"key {n}")
        await self.system.run()
        self.calls.clear()
        return ids


def noted(module: Module) -> list[int]:
    return [module.mapper.to_domain_event(stored).n for stored in module.stored_events()]


def statuses(module: Module) -> list[tuple[str, str, int]]:
    return [(row.handler, row.status, row.attempts) for row in module.inbox]


async def test_a_dead_letter_tells_what_died_where_when_and_why() -> None:
    world = World()
    (message_id,) = await world.die(1)
    (dead,) = world.hearer.dead_letters()
    assert (dead.message_id, dead.type, dead.module, dead.handler) == (
        message_id, "Said", "hearer", "failing",
    )  # fmt: skip
    assert (dead.attempts, dead.error) == (5, "ValueError: out of order")
    assert (dead.died_at - START).total_seconds() == 15
    assert dead.body == b'{"n":1,"price":"1.00"}'


async def test_replaying_re_runs_only_the_handler_that_had_not_succeeded_and_at_once() -> None:
    world = World()
    await world.die(1)
    world.fails = lambda said: False
    now = world.system.now()
    assert await world.system.replay_dead_letters() == 1
    run = await world.system.run()
    assert run.time == now
    assert world.calls == [("failing", 1)]
    assert noted(world.hearer) == [1]
    assert statuses(world.hearer) == [("fine", "done", 1), ("failing", "done", 1)]
    assert list(world.hearer.dead_letters()) == []


async def test_a_replayed_delivery_has_all_its_attempts_again() -> None:
    world = World()
    await world.die(1)
    await world.system.replay_dead_letters()
    await world.system.run()
    assert world.calls == [("failing", 1)] * 5
    assert len(list(world.hearer.dead_letters())) == 1


async def test_replaying_when_there_is_nothing_dead_does_nothing() -> None:
    world = World()
    world.fails = lambda said: False
    await world.die(1)
    assert await world.system.replay_dead_letters() == 0
    assert (await world.system.run()).steps == 0


async def test_replaying_twice_replays_once() -> None:
    world = World()
    await world.die(1)
    assert await world.system.replay_dead_letters() == 1
    assert await world.system.replay_dead_letters() == 0


async def test_a_replay_may_pick_a_message() -> None:
    world = World()
    first, second = await world.die(1, 2)
    assert await world.system.replay_dead_letters(second) == 1
    assert await world.system.replay_dead_letters(UUID(second)) == 0
    await world.system.run(until=world.system.now())
    assert world.calls == [("failing", 2)]
    assert [dead.message_id for dead in world.hearer.dead_letters()] == [first]


@pytest.mark.parametrize(
    ("picked", "count"),
    [
        ({"module": "hearer"}, 2),
        ({"module": "sender"}, 0),
        ({"handler": "failing"}, 2),
        ({"handler": "fine"}, 0),
        ({"type": "Said"}, 2),
        ({"type": "Heard"}, 0),
        ({"module": "hearer", "handler": "failing", "type": "Said"}, 2),
    ],
)
async def test_a_replay_may_pick_by_module_handler_and_type(
    picked: dict[str, str], count: int
) -> None:
    world = World()
    await world.die(1, 2)
    assert await world.system.replay_dead_letters(**picked) == count  # type: ignore[arg-type]


async def test_a_module_may_be_given_itself_and_one_that_there_is_not_is_refused() -> None:
    world = World()
    await world.die(1)
    assert await world.system.replay_dead_letters(module=world.hearer) == 1
    with pytest.raises(KeyError, match=r"no module 'heerer'.*hearer"):
        await world.system.replay_dead_letters(module="heerer")


async def test_a_replay_is_told_in_the_trace() -> None:
    world = World()
    (message_id,) = await world.die(1)
    await world.system.replay_dead_letters()
    (record,) = world.system.trace.of_kind("replay")
    assert (record.module, record.message_id, record.handler) == ("hearer", message_id, "failing")


# Edited payloads


async def test_a_replay_takes_an_edited_payload() -> None:
    world = World()
    world.fails = lambda said: said.price <= 1
    (message_id,) = await world.die(1)
    assert await world.system.replay_dead_letters(message_id, payload={"price": Decimal(5)}) == 1
    await world.system.run()
    (stored,) = world.hearer.stored_events()
    written = world.hearer.mapper.to_domain_event(stored)
    assert (written.n, written.price) == (1, Decimal(5))


async def test_an_edited_payload_may_be_an_object_of_the_contract() -> None:
    world = World()
    (message_id,) = await world.die(1)
    world.fails = lambda said: said.n == 1
    await world.system.replay_dead_letters(message_id, payload=Said(7, Decimal(2)))
    await world.system.run()
    assert noted(world.hearer) == [7]
    assert {row.envelope.message_id for row in world.hearer.inbox} == {message_id}


async def test_an_object_of_another_contract_is_no_payload() -> None:
    class Heard(IntegrationEvent): ...

    world = World()
    (message_id,) = await world.die(1)
    with pytest.raises(DeserializationError, match="is a Said, and the payload a Heard"):
        await world.system.replay_dead_letters(message_id, payload=Heard())


async def test_an_edited_payload_is_only_for_the_handler_that_had_failed() -> None:
    world = World()
    (message_id,) = await world.die(1)
    await world.system.replay_dead_letters(message_id, payload={"n": 9})
    bodies = {row.handler: row.envelope.body for row in world.hearer.inbox}
    assert bodies["fine"] == b'{"n":1,"price":"1.00"}'
    assert bodies["failing"] == b'{"n":9,"price":"1.00"}'


async def test_a_payload_that_does_not_fit_the_contract_is_refused_and_revives_nothing() -> None:
    world = World()
    (message_id,) = await world.die(1)
    replay = world.system.replay_dead_letters
    with pytest.raises(DeserializationError, match="Said has no field m; it has n, price"):
        await replay(message_id, payload={"m": 1})
    with pytest.raises(DeserializationError, match=r"Said\.n: Expected `int`, got `str`"):
        await replay(message_id, payload={"n": "one"})
    with pytest.raises(TypeError, match="takes fields by name, or an object of Said, not 5"):
        await replay(message_id, payload=5)  # type: ignore[arg-type]
    assert [dead.message_id for dead in world.hearer.dead_letters()] == [message_id]


async def test_a_payload_edits_one_message_and_not_several() -> None:
    world = World()
    await world.die(1, 2)
    with pytest.raises(ModulusError, match="edits one message, and 2 match: give its message_id"):
        await world.system.replay_dead_letters(payload={"n": 3})


async def test_a_payload_for_nothing_is_refused() -> None:
    world = World()
    with pytest.raises(ModulusError, match="0 match"):
        await world.system.replay_dead_letters(payload={"n": 3})


async def test_a_body_that_nobody_can_read_is_replaced_by_a_complete_payload() -> None:
    world = World()
    world.fails = lambda said: False
    broken = Envelope(
        message_id=str(UUID(int=7)), kind="event", type="Said", version=1, body=b'{"n":"?"}',
        source="broker", key="k", occurred_on=START,
    )  # fmt: skip
    await world.hearer.consumer.receive([broken])
    await world.system.run()
    replay = world.system.replay_dead_letters
    with pytest.raises(DeserializationError, match=r"Said\.n: Expected `int`, got `str`"):
        await replay(broken.message_id, payload={"price": Decimal(2)})
    await replay(broken.message_id, payload={"n": 3, "price": Decimal(2)})
    await world.system.run()
    assert noted(world.hearer) == [3]


async def test_a_payload_may_be_what_the_table_shows_of_a_body() -> None:
    world = World()
    (message_id,) = await world.die(1)
    body = world.system.dead_letters().body.iloc[0]
    assert body["price"] == "1.00"
    await world.system.replay_dead_letters(message_id, payload={**body, "price": "5.00", "n": 2})
    world.fails = lambda said: False
    await world.system.run()
    assert noted(world.hearer) == [2]


async def test_mending_one_field_of_a_body_keeps_the_others_and_their_defaults() -> None:
    class Paid(IntegrationEvent):
        cents: int
        note: str = "none"
        by: str = "card"

    system = System(seed=7)
    paid: list[tuple[int, str, str]] = []

    @system.module("billing").on(Paid)
    def pay(event: Paid) -> None:
        paid.append((event.cents, event.note, event.by))

    broken = Envelope(
        message_id=str(UUID(int=7)), kind="event", type="Paid", version=1,
        body=b'{"cents":"?","note":"kept"}', source="broker", key="k", occurred_on=START,
    )  # fmt: skip
    await system["billing"].consumer.receive([broken])
    await system.run()
    await system.replay_dead_letters(broken.message_id, payload={"cents": 12})
    await system.run()
    assert paid == [(12, "kept", "card")]


# What nobody could handle


async def test_a_message_of_unknown_type_is_replayed_when_somebody_knows_it() -> None:
    system = System(seed=7)
    hearer = system.module("hearer")
    unknown = Envelope(
        message_id=str(UUID(int=7)), kind="event", type="Said", version=1, body=b'{"n":4}',
        source="broker", key="k", occurred_on=START,
    )  # fmt: skip
    await hearer.consumer.receive([unknown])
    assert await system.replay_dead_letters() == 0
    assert len(list(hearer.dead_letters())) == 1
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    assert await system.replay_dead_letters() == 1
    await system.run()
    assert heard == [4]
    assert statuses(hearer) == [("hear", "done", 1)]


async def test_bytes_that_are_no_message_stay_a_dead_letter() -> None:
    system = System(seed=7)
    hearer = system.module("hearer")
    await hearer.consumer.receive_bytes(b"nonsense")
    assert await system.replay_dead_letters() == 0
    with pytest.raises(DeserializationError, match="no module knows that type"):
        await system.replay_dead_letters(payload={"n": 1})
    assert [dead.body for dead in hearer.dead_letters()] == [b"nonsense"]


async def test_a_row_that_died_in_the_outbox_is_handed_over_again() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    receive = hearer.store.receive

    async def refuse(receipts: Any, now: Any) -> Any:
        raise ValueError("no")

    hearer.store.receive = refuse  # type: ignore[method-assign]
    await sender.bus.publish(Said(1))
    await system.run()
    (dead,) = sender.dead_letters()
    assert (dead.module, dead.handler, dead.attempts) == ("sender", "", 5)
    hearer.store.receive = receive  # type: ignore[method-assign]
    assert await system.replay_dead_letters(payload={"n": 8}) == 1
    await system.run()
    assert heard == [8]
    assert [(row.status, row.attempts) for row in sender.outbox] == [("delivered", 1)]


async def test_a_dead_command_is_replayed_too() -> None:
    system = System(seed=7)
    sender, hearer = system.module("sender"), system.module("hearer")
    done: list[int] = []

    @hearer.handles(Do)
    def do(command: Do) -> None:
        if command.n == 1:
            raise ValueError("not one")
        done.append(command.n)

    await sender.bus.send(Do(1), to="hearer")
    await system.run()
    await system.replay_dead_letters(type="Do", payload={"n": 2})
    await system.run()
    assert done == [2]


async def test_a_replayed_message_goes_before_the_later_ones_of_its_key() -> None:
    world = World()
    await world.die(1)
    world.fails = lambda said: False
    await world.sender.bus.publish(Said(2), key="key 1")
    await world.system.replay_dead_letters()
    await world.system.run()
    assert noted(world.hearer) == [1, 2]


# FAULTS scenario 32: purged, then replayed


async def test_a_purge_takes_no_inbox_row_so_a_replay_still_re_runs_only_what_failed() -> None:
    world = World()
    await world.die(1)
    await world.system.advance(30 * 86_400)
    assert await world.system.purge() == 1
    world.fails = lambda said: False
    assert await world.system.replay_dead_letters() == 1
    await world.system.run()
    assert world.calls == [("failing", 1)]


async def test_control_whoever_empties_an_inbox_by_hand_has_handlers_run_twice() -> None:
    world = World()
    world.fails = lambda said: False
    said = Said(1)
    await world.sender.bus.publish(said)
    await world.system.run()
    (first, *_) = world.hearer.inbox
    store: Any = world.hearer.store
    store._inbox.clear()
    store._held.clear()
    await world.hearer.consumer.receive([first.envelope])
    await world.system.run()
    assert world.calls == [("fine", 1), ("failing", 1)] * 2
    assert noted(world.hearer) == [1, 1]
