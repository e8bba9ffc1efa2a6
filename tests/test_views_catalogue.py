"""The event catalogue: every contract, and the changes that would break a consumer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from xml.etree import ElementTree as ET

import msgspec
import pytest

from modulus_es import Aggregate, Command, IntegrationEvent, System, UnitOfWork, event
from modulus_es.errors import DeserializationError
from modulus_es.records import codec_of
from modulus_es.views.catalogue import Catalogue
from modulus_es.views.catalogue_changes import Change
from modulus_es.views.contracts import Contract, Field, contract_of


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Item:
    sku: str
    colour: Colour = Colour.RED


class OrderCreated(IntegrationEvent, version=2):
    """An order was placed.

    And more about it.
    """

    order_id: UUID
    items: list[Item]
    total: Decimal | None = None
    placed_by: UUID | str = ""
    paid_by: UUID | str = ""
    way: Literal["post", "van"] = "post"


class OrderShipped(IntegrationEvent):
    at: datetime


class Refunded(IntegrationEvent):
    pass


class Order(Aggregate):
    @event("Placed")
    def __init__(self, item: str) -> None:
        self.item = item


def announce(placed: Order.Placed) -> OrderShipped:
    return OrderShipped(placed.timestamp)


async def reserve(created: OrderCreated, uow: UnitOfWork) -> None:
    """Nothing to do."""


async def refund(shipped: OrderShipped, uow: UnitOfWork) -> None:
    uow.publish(Refunded())


def shop() -> Catalogue:
    system = System(seed=1)
    system.module("orders").projects(Order.Placed)(announce)
    system.module("inventory").on(OrderCreated)(reserve)
    system.module("billing").on(OrderShipped)(refund)
    return system.catalogue()


def test_every_contract_is_in_the_catalogue_in_order_of_name() -> None:
    assert [contract.name for contract in shop()] == ["OrderCreated", "OrderShipped", "Refunded"]


def test_a_contract_says_who_publishes_and_who_consumes_it() -> None:
    shipped = shop()["OrderShipped"]
    assert (shipped.publishers, shipped.consumers) == (("orders",), (("billing", "refund"),))


def test_an_event_that_a_handler_publishes_is_a_contract_of_its_module() -> None:
    assert shop()["Refunded"].publishers == ("billing",)


def test_a_contract_has_its_fields_types_version_and_description() -> None:
    contract = shop()["OrderCreated"]
    assert (contract.version, contract.description) == (2, "An order was placed.")
    assert [(field.name, field.type, field.required) for field in contract.fields] == [
        ("order_id", "UUID", True),
        ("items", "list[Item]", True),
        ("total", "Decimal | None", False),
        ("placed_by", "UUID | str", False),
        ("paid_by", "UUID | str", False),
        ("way", "Literal['post', 'van']", False),
    ]
    assert contract.types == {"Item": (Field("sku", "str"), Field("colour", "Colour", False))}
    assert contract.enums == {"Colour": {"RED": "'red'", "BLUE": "'blue'"}}


def test_what_every_event_has_is_no_field_of_a_contract() -> None:
    assert contract_of(Refunded).fields == ()


class Reserve(Command[None]):
    item: str
    count: int = 1


class Look(Command[None]):
    pass


class Unsent(Command[None]):
    pass


async def ask(shipped: OrderShipped, uow: UnitOfWork) -> None:
    uow.send(Reserve("book"), to="inventory")


async def look(reserve: Reserve) -> None:
    Look()


async def see(look: Look) -> None:
    """Nothing to do."""


async def rest(unsent: Unsent) -> None:
    """Nothing to do."""


def asking() -> System:
    system = System(seed=1)
    system.module("billing").on(OrderShipped)(ask)
    inventory = system.module("inventory")
    inventory.handles(Reserve)(look)
    inventory.handles(Look)(see)
    inventory.handles(Unsent)(rest)
    return system


def test_a_command_that_a_handler_sends_to_another_module_is_a_contract() -> None:
    reserve = asking().catalogue()["Reserve"]
    assert (reserve.kind, reserve.publishers) == ("command", ("billing",))
    assert reserve.consumers == (("inventory", "look"),)
    assert reserve.fields == (Field("item", "str"), Field("count", "int", False))
    assert reserve.json_schema["required"] == ["item"]


def test_a_command_that_stays_in_its_module_is_no_contract() -> None:
    assert [contract.name for contract in asking().catalogue()] == ["OrderShipped", "Reserve"]


async def test_a_command_that_was_seen_on_the_bus_is_a_contract() -> None:
    system = asking()
    await system.module("inventory").bus.send(Look(), to="inventory")
    look = system.catalogue()["Look"]
    assert (look.kind, look.publishers, look.consumers) == (
        "command", ("inventory",), (("inventory", "see"),),
    )  # fmt: skip


def test_a_field_that_a_command_requires_anew_is_named(tmp_path: Path) -> None:
    file = asking().catalogue().save(tmp_path / "catalogue.json")
    changed = asking()

    class Reserve(Command[None]):
        item: str
        count: int

    async def look(reserve: Reserve) -> None:
        """Nothing to do."""

    changed.module("inventory").forget("look")
    changed.module("inventory").handles(Reserve)(look)
    assert [str(change) for change in changed.catalogue().check(file)] == [
        "Reserve.count had a default and is required now"
    ]


def test_a_catalogue_that_was_saved_before_it_knew_commands_is_read(tmp_path: Path) -> None:
    file = contract(TOTAL).save(tmp_path / "catalogue.json")
    file.write_text(file.read_text("utf-8").replace(',\n      "kind": "event"', ""), "utf-8")
    assert "kind" not in file.read_text("utf-8")
    assert contract(TOTAL).check(file) == []


def valid(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Whether a value is as its schema says: the few words of JSON Schema that we write."""
    if "$ref" in schema:
        return valid(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema:
        return any(valid(value, part, root) for part in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "null": type(None)}
    if not isinstance(value, kinds[schema["type"]]):
        return False
    if isinstance(value, list):
        return all(valid(item, schema["items"], root) for item in value)
    if isinstance(value, dict):
        known = schema["properties"]
        return set(schema["required"]) <= set(value) and all(
            valid(held, known[name], root) for name, held in value.items()
        )
    return True


def test_the_json_schema_is_that_of_the_recorded_body() -> None:
    created = OrderCreated(UUID(int=1), [Item("a", Colour.BLUE)], Decimal("1.5"), UUID(int=2), "me")
    own = {name: getattr(created, name) for name in OrderCreated.__annotations__}
    body = json.loads(codec_of(OrderCreated).encode(own))
    schema = contract_of(OrderCreated).json_schema
    assert schema["title"] == "OrderCreated"
    assert schema["required"] == ["order_id", "items"]
    assert valid(body, schema, schema)
    assert not valid({**body, "items": [{"sku": 3}]}, schema, schema)
    assert not valid({key: body[key] for key in ("items", "total")}, schema, schema)


class Unclear(IntegrationEvent):
    what: NotDefinedAnywhere  # type: ignore[name-defined]  # noqa: F821


def test_a_contract_that_mentions_what_is_not_defined_says_so() -> None:
    contract = contract_of(Unclear)
    assert contract.fields == ()
    assert "'NotDefinedAnywhere' is not defined" in contract.description


def contract(*fields: Field, version: int = 1, **kwargs: Any) -> Catalogue:
    return Catalogue([Contract("Paid", version, fields, **kwargs)])


TOTAL, NOTE = Field("total", "int"), Field("note", "str", False)
ITEMS = Field("items", "list[Item]")


def items(*fields: Field) -> Catalogue:
    return contract(ITEMS, types={"Item": fields})


def colours(**members: str) -> Catalogue:
    return contract(Field("colour", "Colour"), enums={"Colour": members})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (contract(TOTAL), Catalogue([]), "Paid is gone"),
        (contract(version=2), contract(), "Paid was version 2 and is version 1"),
        (contract(), contract(kind="command"), "Paid was an event and is a command"),
        (contract(TOTAL, NOTE), contract(TOTAL), "Paid.note was removed"),
        (contract(TOTAL), contract(Field("sum", "int")), "Paid.total was renamed to sum"),
        (contract(TOTAL), contract(Field("total", "str")), "Paid.total was int and is str"),
        (
            contract(NOTE), contract(Field("note", "str")),
            "Paid.note had a default and is required now",
        ),
        (
            contract(), contract(TOTAL),
            "Paid.total was added without a default, and older messages do not have it",
        ),
        (items(TOTAL, NOTE), items(TOTAL), "Paid: Item.note was removed"),
        (colours(RED="1", BLUE="2"), colours(RED="1"), "Paid: Colour.BLUE was removed"),
        (colours(RED="1"), colours(RED="3"), "Paid: Colour.RED was 1 and is 3"),
        (
            colours(RED="1"), colours(RED="1", BLUE="2"),
            "Paid: Colour.BLUE was added, and a consumer does not know it",
        ),
    ],
)  # fmt: skip
def test_a_change_that_would_break_a_consumer_is_named(
    before: Catalogue, after: Catalogue, said: str, tmp_path: Path
) -> None:
    file = before.save(tmp_path / "catalogue.json")
    assert [str(change) for change in after.check(file)] == [said]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (contract(TOTAL), contract(TOTAL)),
        (contract(TOTAL), contract(TOTAL, NOTE)),
        (contract(TOTAL, NOTE), contract(NOTE, TOTAL)),
        (contract(Field("note", "str")), contract(NOTE)),
        (contract(TOTAL), contract(TOTAL, version=2)),
        (Catalogue([]), contract(TOTAL)),
        (items(TOTAL), items(TOTAL, NOTE)),
        (contract(TOTAL), contract(TOTAL, publishers=("other",), description="New.")),
    ],
)
def test_what_is_only_added_passes(before: Catalogue, after: Catalogue, tmp_path: Path) -> None:
    assert after.check(before.save(tmp_path / "catalogue.json")) == []


def test_two_fields_of_one_type_are_not_taken_for_renamed(tmp_path: Path) -> None:
    file = contract(TOTAL, Field("tax", "int")).save(tmp_path / "catalogue.json")
    changed = contract(Field("a", "int", False), Field("b", "int", False)).check(file)
    assert [change.kind for change in changed] == ["removed", "removed"]


def test_a_change_says_where_it_is(tmp_path: Path) -> None:
    file = items(TOTAL, NOTE).save(tmp_path / "catalogue.json")
    (change,) = items(TOTAL).check(file)
    assert change == Change("removed", "Paid", "Item.note", "Paid: Item.note was removed")


def test_a_saved_catalogue_of_a_system_is_unchanged_and_the_same_every_time(tmp_path: Path) -> None:
    one, other = shop().save(tmp_path / "one.json"), shop().save(str(tmp_path / "other.json"))
    assert one.read_bytes() == other.read_bytes()
    assert shop().check(one) == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b"\xff", b'{"format": 1, "contracts": [{}]}', b"[" * 100_000]
)
def test_a_file_that_is_no_catalogue_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.json"
    file.write_bytes(content)
    with pytest.raises(DeserializationError, match=r"catalogue\.json is no catalogue"):
        shop().check(file)


def test_a_catalogue_of_another_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.json"
    file.write_bytes(msgspec.json.encode({"format": 9, "contracts": []}))
    with pytest.raises(DeserializationError, match="of format 9, not 1"):
        shop().check(file)


def test_a_contract_that_there_is_not_is_no_key() -> None:
    with pytest.raises(KeyError, match="Nothing"):
        shop()["Nothing"]


def test_the_text_has_every_contract_with_its_fields() -> None:
    lines = shop().to_text().splitlines()
    assert lines[0] == "OrderCreated, version 2 - An order was placed."
    assert "  items: list[Item]" in lines
    assert "  total: Decimal | None (may be missing)" in lines
    assert "  where Item is sku: str, colour: Colour" in lines
    assert "  published by nobody; consumed by inventory reserve" in lines
    lines = asking().catalogue().to_text().splitlines()
    assert "Reserve, a command, version 1" in lines
    assert "  sent by billing; handled by inventory look" in lines


def test_the_frame_has_a_row_for_each_field_and_keeps_its_dtypes_when_empty() -> None:
    full, empty = shop().to_frame(), Catalogue([]).to_frame()
    assert full[full.contract == "OrderCreated"].field.tolist()[:2] == ["order_id", "items"]
    assert full[full.contract == "Refunded"].field.isna().tolist() == [True]
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()


def test_a_notebook_shows_a_table_and_each_json_schema() -> None:
    shown = shop()._repr_mimebundle_()
    page = ET.fromstring(f"<div>{shown['text/html'].replace('<br>', '<br/>')}</div>")
    assert page.findtext("table/caption") == "Event catalogue: 3 contracts"
    assert len(page.findall("table/tbody/tr")) == 3
    assert [found.text for found in page.findall("details/summary")] == [
        "JSON Schema of OrderCreated", "JSON Schema of OrderShipped", "JSON Schema of Refunded",
    ]  # fmt: skip
    assert shown["text/plain"] == shop().to_text()


def test_an_empty_catalogue_says_so() -> None:
    assert Catalogue([])._repr_mimebundle_()["text/plain"] == "Catalogue(0 contracts)"
