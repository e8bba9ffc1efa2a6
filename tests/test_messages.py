"""Commands, queries and integration events: frozen records, some of them contracts."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import pytest

from modulus_es import (
    Command,
    DefinitionError,
    DeserializationError,
    DomainEvent,
    Envelope,
    IntegrationEvent,
    Module,
    Query,
    ReservedFieldError,
    SerializationError,
    StreamQuery,
    System,
    UnsupportedFieldError,
)
from modulus_es.clock import START
from modulus_es.envelope import SIZE_LIMIT
from modulus_es.errors import HandlerSignatureError
from modulus_es.messages import kind_of, result_type

T = TypeVar("T")
FOUR = ("event_id", "occurred_on", "correlation_id", "causation_id")


class OrderCreated(IntegrationEvent):
    order_id: UUID
    total: Decimal = Decimal(0)


class PlaceOrder(Command[UUID]):
    customer: str
    total: Decimal = Decimal(0)


class CountOrders(Query[int]):
    customer: str


class ListOrders(StreamQuery[str]):
    newest_first: bool = True


def pair() -> tuple[System, Module, Module]:
    system = System(seed=7)
    return system, system.module("orders"), system.module("inventory")


async def delivered(message: IntegrationEvent) -> Any:
    """What a handler in another module gets of it."""
    system, orders, inventory = pair()
    received: list[Any] = []

    @inventory.on(type(message))
    def receive(event: Any) -> None:
        received.append(event)

    await orders.bus.publish(message)
    await system.run()
    return received[0]


# Records


@pytest.mark.parametrize("message", [PlaceOrder, CountOrders, OrderCreated])
def test_a_message_is_frozen(message: Any) -> None:
    made = message(uuid4())
    with pytest.raises(FrozenInstanceError):
        made.customer = "Bob"


def test_fields_are_given_by_position_or_by_name() -> None:
    assert PlaceOrder("Ada", Decimal(1)) == PlaceOrder(total=Decimal(1), customer="Ada")
    order_id = uuid4()
    assert OrderCreated(order_id).order_id == OrderCreated(order_id=order_id).order_id


def test_a_contracts_own_four_are_filled_in() -> None:
    with System(seed=7).current():
        created = OrderCreated(uuid4())
    assert type(created.event_id) is UUID
    assert (created.occurred_on, created.correlation_id, created.causation_id) == (
        START,
        None,
        None,
    )


def test_a_contracts_own_four_are_given_by_name_only() -> None:
    created = OrderCreated(uuid4(), Decimal(1), event_id=UUID(int=1), correlation_id="c")
    assert (created.event_id, created.correlation_id) == (UUID(int=1), "c")
    with pytest.raises(TypeError):
        OrderCreated(uuid4(), Decimal(1), UUID(int=1))  # type: ignore[misc]


def test_a_message_shows_its_own_fields() -> None:
    assert repr(PlaceOrder("Ada")) == "PlaceOrder(customer='Ada', total=Decimal('0'))"


@pytest.mark.parametrize("name", FOUR)
def test_a_contract_cannot_shadow_its_four(name: str) -> None:
    with pytest.raises(ReservedFieldError, match=f"has a field '{name}'"):
        type("Paid", (IntegrationEvent,), {"__annotations__": {name: int}})


@pytest.mark.parametrize("base", [Command, Query, StreamQuery])
@pytest.mark.parametrize("name", FOUR)
def test_commands_and_queries_have_no_such_fields_and_may_use_the_names(
    base: type, name: str
) -> None:
    message = type("Find", (base,), {"__annotations__": {name: int}})
    assert getattr(message(3), name) == 3


# What can travel


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Item:
    sku: str
    quantity: int


class Everything(IntegrationEvent):
    a: UUID
    b: Decimal
    c: datetime
    d: timedelta
    e: Colour
    f: Item
    g: list[Item]
    h: tuple[int, ...]
    i: frozenset[str]
    j: dict[str, Item]
    k: int | None
    m: UUID | str


async def test_every_kind_of_field_arrives_equal_and_of_the_same_type() -> None:
    item = Item("a", 2)
    sent = Everything(
        uuid4(),
        Decimal("1.10"),
        START,
        timedelta(seconds=3),
        Colour.RED,
        item,
        [item],
        (1, 2),
        frozenset({"x"}),
        {"k": item},
        None,
        uuid4(),
    )
    received = await delivered(sent)
    for name in "abcdefghijkm":
        assert getattr(received, name) == getattr(sent, name)
        assert type(getattr(received, name)) is type(getattr(sent, name))


async def test_a_contract_arrives_equal_though_its_conversation_was_filled_in() -> None:
    sent = OrderCreated(uuid4())
    received = await delivered(sent)
    assert received == sent
    assert received.correlation_id is not None


def test_contracts_with_other_ids_or_contents_are_not_equal() -> None:
    order_id = uuid4()
    said: dict[str, Any] = {"event_id": uuid4(), "occurred_on": START}
    assert OrderCreated(order_id) != OrderCreated(order_id)
    assert OrderCreated(order_id, **said) == OrderCreated(order_id, **said)
    assert OrderCreated(order_id, **said) != OrderCreated(uuid4(), **said)


async def test_a_contract_arrives_with_its_four() -> None:
    then = datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    sent = OrderCreated(uuid4(), occurred_on=then, correlation_id="c", causation_id="d")
    received = await delivered(sent)
    assert [getattr(received, name) for name in FOUR] == [
        sent.event_id,
        then.astimezone(UTC),
        "c",
        "d",
    ]


class Unordered:
    pass


@pytest.mark.parametrize("kind", [Unordered, io.StringIO, Callable[[], None]])
def test_a_contract_with_a_field_that_cannot_travel_is_refused_when_it_is_defined(
    kind: Any,
) -> None:
    with pytest.raises(UnsupportedFieldError, match=r"Paid\.thing"):

        class Paid(IntegrationEvent):
            thing: kind


@pytest.mark.parametrize("base", [Command, Query, StreamQuery])
def test_what_stays_in_the_process_may_hold_anything(base: Any) -> None:
    class Ask(base):
        stream: io.StringIO

    assert Ask(io.StringIO("a")).stream.read() == "a"


async def test_a_command_that_holds_anything_cannot_go_on_the_bus() -> None:
    class Import(Command[None]):
        stream: io.StringIO

    system, orders, _ = pair()
    with pytest.raises(UnsupportedFieldError, match=r"Import\.stream"):
        await orders.bus.send(Import(io.StringIO()), to="inventory")
    assert len(orders.outbox) == 0
    assert system.outbox().empty


async def test_a_value_of_the_wrong_type_cannot_travel_and_nothing_is_written() -> None:
    _, orders, _ = pair()
    with pytest.raises(SerializationError) as caught:
        await orders.bus.publish(OrderCreated("17"))  # type: ignore[arg-type]
    assert caught.value.path == "OrderCreated.order_id"
    assert len(orders.outbox) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event_id", "17"),
        ("occurred_on", datetime(2024, 1, 1)),  # noqa: DTZ001
        ("occurred_on", "now"),
        ("correlation_id", UUID(int=1)),
        ("causation_id", 17),
    ],
    ids=str,
)
async def test_a_contracts_four_are_checked_by_name_too(name: str, value: Any) -> None:
    _, orders, _ = pair()
    wrong: dict[str, Any] = {name: value}
    with pytest.raises(SerializationError) as caught:
        await orders.bus.publish(OrderCreated(uuid4(), **wrong))
    assert caught.value.path == f"OrderCreated.{name}"
    assert len(orders.outbox) == 0


# Names that are not defined yet


class Packed(IntegrationEvent):
    box: Box


@dataclass(frozen=True)
class Box:
    size: int


async def test_a_type_may_be_defined_after_the_contract_that_names_it() -> None:
    assert (await delivered(Packed(Box(3)))).box == Box(3)


async def test_a_type_that_is_never_defined_is_named_when_it_is_needed() -> None:
    class Lost(IntegrationEvent):
        box: NoSuchBox  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(UnsupportedFieldError, match="'NoSuchBox' is not defined"):
        await delivered(Lost(3))


async def test_a_type_that_only_a_function_knows_is_found() -> None:
    class Unit(Enum):
        CM = "cm"

    @dataclass(frozen=True)
    class Parcel:
        size: int
        unit: Unit = Unit.CM

    class Shipped(IntegrationEvent):
        parcel: Parcel
        others: list[Parcel] = field(default_factory=list)

    assert (await delivered(Shipped(Parcel(3), [Parcel(4)]))).others == [Parcel(4)]


# What they promise


def test_a_command_or_query_promises_what_its_base_says() -> None:
    assert result_type(PlaceOrder) is UUID
    assert result_type(CountOrders) is int
    assert result_type(ListOrders) is str


def test_a_promise_is_inherited() -> None:
    class PlaceBigOrder(PlaceOrder): ...

    assert result_type(PlaceBigOrder) is UUID


def test_a_promise_written_as_text_is_resolved_where_it_was_written() -> None:
    class Find(Query["Item | None"]): ...

    assert result_type(Find) == Item | None


def test_without_a_promise_anything_is_answered() -> None:
    class Base(Command[T], Generic[T]): ...

    class Ping(Command): ...  # type: ignore[type-arg]

    assert result_type(Base) is Any
    assert result_type(Ping) is Any


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (PlaceOrder, "command"),
        (CountOrders, "query"),
        (ListOrders, "stream query"),
        (OrderCreated, "integration event"),
    ],
)
def test_each_kind_has_a_word(message: type, word: str) -> None:
    assert kind_of(message) == word


def test_what_is_no_message_has_no_word() -> None:
    with pytest.raises(HandlerSignatureError):
        kind_of(int)


# Versions


def test_a_contract_says_its_version_in_its_head_or_in_its_body() -> None:
    class Head(IntegrationEvent, version=2): ...

    class Body(IntegrationEvent):
        class_version = 3

    assert (Head.class_version, Body.class_version, OrderCreated.class_version) == (2, 3, 1)


@pytest.mark.parametrize("version", [0, -1])
def test_a_version_is_at_least_one(version: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):

        class Paid(IntegrationEvent, version=version): ...


# Envelopes


def envelope(**changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "message_id": str(UUID(int=1)),
        "kind": "event",
        "type": "OrderCreated",
        "version": 1,
        "body": b'{"a":1}',
        "source": "orders",
        "key": "k",
        "occurred_on": START,
    }
    return Envelope(**values | changes)


def test_an_envelope_reads_back_equal() -> None:
    whole = envelope(
        kind="command",
        to="inventory",
        correlation_id="c",
        causation_id="d",
        position=3,
        attempt=2,
        traceparent="00-a-b-01",
    )
    for each in (envelope(), whole):
        assert Envelope.from_bytes(each.to_bytes()) == each


def test_the_headers_say_what_the_design_names() -> None:
    headers = envelope(correlation_id="c", causation_id="d", attempt=2).headers
    named = {"correlation_id", "causation_id", "source", "key", "traceparent", "attempt"}
    assert named <= headers.keys()
    assert (headers["correlation_id"], headers["source"], headers["attempt"]) == ("c", "orders", 2)


def test_one_conversation_is_one_trace() -> None:
    first = envelope(correlation_id="c").headers["traceparent"]
    second = envelope(correlation_id="c", message_id=str(UUID(int=2))).headers["traceparent"]
    version, trace, span, flags = first.split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
    assert second.split("-")[1] == trace
    assert second.split("-")[2] != span


WIRE = envelope().to_bytes()


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"not json", b"\xff\xfe", WIRE[:-1]])
def test_bytes_that_are_no_envelope_are_refused(data: bytes) -> None:
    with pytest.raises(DeserializationError, match="not an envelope"):
        Envelope.from_bytes(data)


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        (b'"version":1', b'"version":"1"'),
        (b'"version":1', b'"version":0'),
        (b'"kind":"event"', b'"kind":"query"'),
        (b'"type":"OrderCreated"', b'"type":"os:system"'),
        (b'"type":"OrderCreated"', b'"type":""'),
        (b'"source":"orders"', b'"source":"orders","extra":1'),
        (b'"source":"orders",', b""),
        (b"00:00:00Z", b"00:00:00"),
        (b'"attempt":1', b'"attempt":0'),
        (b'"position":0', b'"position":-1'),
        (b'{"a":1}', b"[" * 100_000),
    ],
    ids=lambda part: part[:40].decode(),
)
def test_anything_that_is_not_exactly_an_envelope_is_refused(part: bytes, instead: bytes) -> None:
    assert part in WIRE
    with pytest.raises(DeserializationError, match="not an envelope"):
        Envelope.from_bytes(WIRE.replace(part, instead))


def test_an_envelope_beyond_the_size_limit_is_not_even_read() -> None:
    with pytest.raises(DeserializationError, match=f"at most {SIZE_LIMIT}"):
        Envelope.from_bytes(b" " * (SIZE_LIMIT + 1))


@pytest.mark.parametrize("base", [Command, IntegrationEvent, DomainEvent], ids=lambda c: c.__name__)
@pytest.mark.parametrize(
    ("default", "said"),
    [([], "default_factory=list"), ({"a": 1}, r"default_factory=lambda: \{'a': 1\}")],
    ids=["empty", "filled"],
)
def test_a_default_that_all_would_share_is_refused_saying_what_to_write(
    base: Any, default: Any, said: str
) -> None:
    with pytest.raises(DefinitionError, match=rf"Tagged\.tags has a .*{said}"):
        type("Tagged", (base,), {"__annotations__": {"tags": type(default)}, "tags": default})


def test_a_field_without_a_default_behind_one_that_has_it_is_refused_by_class() -> None:
    with pytest.raises(DefinitionError, match=r"Priced cannot be a record: .*'total' follows"):

        class Priced(IntegrationEvent):
            note: str = ""
            total: int
