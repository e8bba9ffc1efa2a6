"""From domain events to stored events and back: names, versions, what nobody knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.compressor import ZlibCompressor
from eventsourcing.persistence import StoredEvent

from modulus_es import (
    Aggregate,
    DeserializationError,
    Envelope,
    IntegrationEvent,
    Module,
    System,
    UnknownEvent,
    UnknownEventError,
    event,
)
from modulus_es.clock import START


class Order(Aggregate):
    @event("Placed")
    def __init__(self, customer: str, total: Decimal) -> None:
        self.customer, self.total = customer, total


def new_module() -> Module:
    return System(seed=7).module("orders")


def stored_by(aggregate: Any) -> list[StoredEvent]:
    return [new_module().mapper.to_stored_event(each) for each in aggregate.pending_events]


def insert(module: Module, *stored: StoredEvent) -> None:
    module.store.recorder.insert_events(stored)


def row(topic: str, data: Any, version: int = 1, **said: Any) -> StoredEvent:
    """An event as it was stored by a program that is not this one."""
    state = {"id": str(uuid4()), "at": "2024-01-01T00:00:00Z", "data": data, **said}
    return StoredEvent(uuid4(), version, topic, json.dumps(state).encode())


def in_new_version(old: type[Aggregate], new: type[Aggregate]) -> Callable[..., Any]:
    """Record with one version of a class, and rebuild with the next."""

    async def rebuilt(*arguments: Any) -> Any:
        module, aggregate = new_module(), old(*arguments)
        await module.save(aggregate)
        return await module.get(new, aggregate.id)

    return rebuilt


# What is stored


def test_a_stored_event_has_a_stable_name_and_readable_json() -> None:
    (stored,) = stored_by(Order("Ada", Decimal("4.20")))
    assert stored.topic == "Order.Placed"
    assert json.loads(stored.state)["data"] == {"customer": "Ada", "total": "4.20"}


def test_no_import_path_is_stored() -> None:
    (stored,) = stored_by(Order("Ada", Decimal(1)))
    assert __name__.encode() not in stored.state
    assert b"modulus_es" not in stored.state


async def test_correlation_causation_and_handler_are_stored_with_the_event() -> None:
    module = new_module()
    order = Order("Ada", Decimal(1))
    order.pending_events[0].__dict__.update(
        correlation_id="c", causation_id="d", recorded_by="place_order"
    )
    recorded = module.mapper.read(module.mapper.to_stored_event(order.pending_events[0]))
    assert (recorded.correlation_id, recorded.causation_id, recorded.handler) == (
        "c",
        "d",
        "place_order",
    )


async def test_a_field_may_have_the_name_of_anything_that_is_said_about_the_event() -> None:
    class Note(Aggregate):
        @event("Written")
        def __init__(self, handler: str, data: str, at: str, version: int, aggregate: str) -> None:
            self.said = (handler, data, at, version, aggregate)

    module, note = new_module(), Note("h", "d", "a", 9, "o")
    await module.save(note)
    assert (await module.get(Note, note.id)).said == ("h", "d", "a", 9, "o")


async def test_events_may_be_compressed_as_eventsourcing_does_it() -> None:
    module, order = new_module(), Order("Ada" * 100, Decimal(1))
    module.mapper.compressor = ZlibCompressor()
    await module.save(order)
    (stored,) = module.stored_events()
    assert len(stored.state) < 300
    assert (await module.get(Order, order.id)).customer == "Ada" * 100


# Unknown classes, unreadable rows


def test_nothing_is_imported_because_a_row_names_it() -> None:
    module = new_module()
    for topic in ("os.system", "antigravity", "modulus_es.mapper:EventMapper", "subprocess.Popen"):
        with pytest.raises(UnknownEventError, match="knows no class"):
            module.mapper.to_domain_event(row(topic, {}))


async def test_only_events_are_made_of_rows() -> None:
    module = new_module()
    module.learn(Order)
    with pytest.raises(UnknownEventError):
        module.mapper.to_domain_event(row("Order", {}))


async def test_an_event_whose_class_is_not_defined_is_shown_in_the_table_all_the_same() -> None:
    module = new_module()
    ghost = row("Ghost.Seen", {"where": "attic"})
    insert(module, ghost)
    (shown,) = module.system.events().to_dict("records")
    assert (shown["type"], shown["aggregate"], shown["data"]) == (
        "Ghost.Seen",
        "Ghost",
        {"where": "attic"},
    )
    assert module.mapper.unknown(ghost) == UnknownEvent(
        "Ghost.Seen", UUID(str(ghost.originator_id)), 1, {"where": "attic"}
    )


async def test_rebuilding_an_aggregate_of_an_unknown_event_says_which_class_to_define() -> None:
    module, order = new_module(), Order("Ada", Decimal(1))
    await module.save(order)
    insert(module, StoredEvent(order.id, 2, "Order.Blessed", row("Order.Blessed", {}).state))
    with pytest.raises(UnknownEventError) as caught:
        await module.get(Order, order.id)
    said = str(caught.value)
    assert "'Order.Blessed'" in said
    assert "run the cell that defines Order" in said
    assert str(order.id) in said


async def test_a_first_event_of_an_unknown_aggregate_names_the_aggregate() -> None:
    module = new_module()
    stored = row("Order.Placed", {"customer": "Ada", "total": "1"}, aggregate="Purchase")
    insert(module, stored)
    with pytest.raises(UnknownEventError, match="'Purchase'"):
        await module.get(Order, UUID(str(stored.originator_id)))


@pytest.mark.parametrize("state", [b"", b"\xff", b"{}", b'{"id":"x"}', b"[1]"], ids=repr)
def test_bytes_that_cannot_be_read_name_their_row(state: bytes) -> None:
    module = new_module()
    module.learn(Order)
    stored = StoredEvent(uuid4(), 3, "Order.Placed", state)
    with pytest.raises(DeserializationError, match=f"event 3 of {stored.originator_id}"):
        module.mapper.to_domain_event(stored)


def test_a_field_that_does_not_fit_names_the_row_and_the_field() -> None:
    module = new_module()
    module.learn(Order)
    with pytest.raises(DeserializationError) as caught:
        module.mapper.to_domain_event(row("Order.Placed", {"customer": 3, "total": "1"}))
    assert "event 1 of" in str(caught.value)
    assert caught.value.path == "Order.Placed.customer"


def test_a_flipped_byte_is_never_a_wrong_value_of_another_type() -> None:
    module = new_module()
    module.learn(Order)
    (stored,) = stored_by(Order("Ada", Decimal("4.20")))
    for index in range(len(stored.state)):
        for bit in range(8):
            flipped = bytearray(stored.state)
            flipped[index] ^= 1 << bit
            altered = StoredEvent(stored.originator_id, 1, stored.topic, bytes(flipped))
            try:
                read: Any = module.mapper.to_domain_event(altered)
            except DeserializationError:
                continue
            assert type(read.customer) is str
            assert type(read.total) is Decimal


# A field more, with a default


class Fruit(Aggregate, name="Fruit"):
    @event("Picked")
    def __init__(self, kind: str) -> None:
        self.kind = kind


def fruit_with_weight() -> type[Aggregate]:
    class Fruit(Aggregate, name="Fruit"):
        @event("Picked")
        def __init__(self, kind: str, weight: int = 7) -> None:
            self.kind, self.weight = kind, weight

    return Fruit


async def test_a_field_added_with_a_default_replays_old_events() -> None:
    rebuilt = await in_new_version(Fruit, fruit_with_weight())("pear")
    assert (rebuilt.kind, rebuilt.weight) == ("pear", 7)


async def test_a_field_added_to_a_plain_constructor_replays_old_events() -> None:
    def old() -> type[Aggregate]:
        class Leaf(Aggregate):
            def __init__(self, kind: str) -> None:
                self.kind = kind

        return Leaf

    def new() -> type[Aggregate]:
        class Leaf(Aggregate):
            def __init__(self, kind: str, colour: str = "green") -> None:
                self.kind, self.colour = kind, colour

        return Leaf

    assert (await in_new_version(old(), new())("oak")).colour == "green"


async def test_a_field_added_to_an_explicit_class_replays_old_events() -> None:
    def old() -> type[Aggregate]:
        class Leaf(Aggregate):
            class Grown(Aggregate.Created):
                kind: str

            @event(Grown)
            def __init__(self, kind: str) -> None:
                self.kind = kind

        return Leaf

    def new() -> type[Aggregate]:
        class Leaf(Aggregate):
            class Grown(Aggregate.Created):
                kind: str
                colour: str = "green"

            @event(Grown)
            def __init__(self, kind: str, colour: str) -> None:
                self.kind, self.colour = kind, colour

        return Leaf

    assert (await in_new_version(old(), new())("oak")).colour == "green"


async def test_a_field_added_without_a_default_does_not_replay_and_is_named() -> None:
    def new() -> type[Aggregate]:
        class Fruit(Aggregate, name="Fruit"):
            @event("Picked")
            def __init__(self, kind: str, weight: int) -> None: ...

        return Fruit

    with pytest.raises(DeserializationError, match=r"Fruit\.Picked.*weight"):
        await in_new_version(Fruit, new())("pear")


async def test_a_field_that_was_removed_is_ignored() -> None:
    def new() -> type[Aggregate]:
        class Fruit(Aggregate, name="Fruit"):
            @event("Picked")
            def __init__(self) -> None:
                self.kind = "?"

        return Fruit

    assert (await in_new_version(Fruit, new())("pear")).kind == "?"


# Upcasting


def versioned(upcast: Any, version: int = 2) -> type[Aggregate]:
    class Fruit(Aggregate, name="Fruit"):
        @event("Picked", version=version, upcast=upcast)
        def __init__(self, name: str, grams: int) -> None:
            self.name, self.grams = name, grams

    return Fruit


def in_place(stored: dict[str, Any]) -> None:
    stored["name"] = stored.pop("kind")
    stored["grams"] = 100


def anew(stored: dict[str, Any]) -> dict[str, Any]:
    return {"name": stored["kind"], "grams": 100}


@pytest.mark.parametrize("upcast", [in_place, anew, {1: in_place}], ids=["in place", "anew", "map"])
async def test_an_event_is_upcast_by_its_decorator(upcast: Any) -> None:
    rebuilt = await in_new_version(Fruit, versioned(upcast))("pear")
    assert (rebuilt.name, rebuilt.grams) == ("pear", 100)


async def test_what_an_upcast_answers_by_the_way_is_not_taken_for_the_event() -> None:
    class Fruit(Aggregate, name="Fruit"):
        @event(
            "Picked", version=2, upcast=lambda stored: stored.setdefault("tags", {"kind": "odd"})
        )
        def __init__(self, kind: str, tags: dict[str, str]) -> None:
            self.kind, self.tags = kind, tags

    old = globals()["Fruit"]
    rebuilt = await in_new_version(old, Fruit)("pear")
    assert (rebuilt.kind, rebuilt.tags) == ("pear", {"kind": "odd"})


async def test_upcasts_follow_each_other() -> None:
    steps = {
        1: lambda stored: stored.update(name=stored.pop("kind")),
        2: lambda stored: stored.update(grams=len(stored["name"])),
    }
    rebuilt = await in_new_version(Fruit, versioned(steps, version=3))("pear")
    assert (rebuilt.name, rebuilt.grams) == ("pear", 4)


async def test_what_was_stored_in_the_new_version_is_not_upcast() -> None:
    fruit = versioned(in_place)
    rebuilt = await in_new_version(fruit, fruit)("pear", 3)
    assert (rebuilt.name, rebuilt.grams) == ("pear", 3)


async def test_an_explicit_class_upcasts_as_eventsourcing_says() -> None:
    class Fruit(Aggregate, name="Fruit"):
        class Picked(Aggregate.Created):
            name: str
            grams: int
            class_version = 2

            @staticmethod
            def upcast_v1_v2(state: dict[str, Any]) -> None:
                in_place(state)

        @event(Picked)
        def __init__(self, name: str, grams: int) -> None:
            self.name, self.grams = name, grams

    rebuilt = await in_new_version(globals()["Fruit"], Fruit)("pear")
    assert (rebuilt.name, rebuilt.grams) == ("pear", 100)


async def test_an_upcast_that_raises_names_the_row_and_itself() -> None:
    def broken(stored: dict[str, Any]) -> None:
        stored["no such field"] += 1

    with pytest.raises(DeserializationError) as caught:
        await in_new_version(Fruit, versioned(broken))("pear")
    assert "Fruit.Picked.upcast_v1_v2: KeyError: 'no such field'" in str(caught.value)
    assert "event 1 of" in str(caught.value)


def test_an_upcast_without_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match="give version=2 or more"):
        event("Picked", upcast=in_place)


@pytest.mark.parametrize("version", [0, -1])
def test_the_version_of_an_event_is_at_least_one(version: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        event("Picked", version=version)


async def received(contract: type[IntegrationEvent], version: int, body: bytes) -> Any:
    """What a handler gets of a contract that was sent in an older version."""
    system = System(seed=7)
    inventory = system.module("inventory")
    got: list[Any] = []

    @inventory.on(contract)
    def receive(message: Any) -> None:
        got.append(message)

    await inventory.consumer.receive(
        [
            Envelope(
                message_id=str(UUID(int=1)),
                kind="event",
                type="Paid",
                version=version,
                body=body,
                source="orders",
                key="k",
                occurred_on=START,
            )
        ]
    )
    await system.run()
    return got[0]


async def test_a_contract_is_upcast_by_its_head() -> None:
    class Paid(IntegrationEvent, version=2, upcast=lambda old: {"cents": int(old["euros"]) * 100}):
        cents: int

    assert (await received(Paid, 1, b'{"euros":"3"}')).cents == 300


async def test_a_contract_upcasts_as_eventsourcing_says() -> None:
    class Paid(IntegrationEvent):
        cents: int
        class_version = 2

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["cents"] = int(state.pop("euros")) * 100

    assert (await received(Paid, 1, b'{"euros":"3"}')).cents == 300


async def test_a_newer_contract_with_all_fields_is_accepted() -> None:
    class Paid(IntegrationEvent):
        cents: int
        note: str = "none"

    paid = await received(Paid, 9, b'{"cents":3,"unheard_of":[1]}')
    assert (paid.cents, paid.note) == (3, "none")
