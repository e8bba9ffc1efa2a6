"""What the codec accepts, refuses, writes and reads, one behaviour a test."""

from __future__ import annotations

import enum
import inspect
import sys
import threading
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field, make_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from eventsourcing.domain import Aggregate, event

from modulus_es.codec import MISSING, FieldSpec, RecordCodec, field_specs
from modulus_es.errors import DeserializationError, SerializationError, UnsupportedFieldError

T = TypeVar("T")
Number = TypeVar("Number", bound=int)
ID = UUID(int=7)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Ratio(enum.Enum):
    HALF = 0.5


@dataclass(frozen=True)
class Item:
    sku: str
    qty: int


class SpecialItem(Item):
    pass


@dataclass(frozen=True)
class Order:
    items: list[Item]
    by_name: dict[str, Item] = field(default_factory=dict)


@dataclass(frozen=True)
class Money:
    amount: Decimal

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise ValueError("an amount is not negative")


@dataclass(frozen=True)
class Drifting:
    count: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", self.count + 1)


@dataclass(frozen=True)
class Sum:
    a: int
    b: int
    total: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.a + self.b)


@dataclass(frozen=True)
class Node:
    value: int
    next: Node | None = None


@dataclass(frozen=True)
class Box(Generic[T]):
    held: T


class IntBox(Box[int]):
    pass


@dataclass(frozen=True)
class Labelled(Box[int], Generic[T]):
    label: T


@dataclass(frozen=True)
class Bounded(Generic[Number]):
    number: Number


@dataclass(frozen=True)
class Either(Generic[T]):
    held: T | list[int]


@dataclass(frozen=True)
class Constrained:
    number: Annotated[int, msgspec.Meta(gt=10)]


class Point(NamedTuple):
    x: int
    y: int = 0


class Plain:
    pass


@dataclass
class Mutable:
    x: int


@dataclass(frozen=True, eq=False)
class Unequal:
    x: int


@dataclass(frozen=True)
class Initialised:
    x: int
    y: InitVar[int]


@dataclass(frozen=True)
class Sized(str):
    __slots__ = ("x",)
    x: int


@dataclass(frozen=True)
class Forward:
    count: int
    parcel: Parcel  # noqa: F821 - not defined, on purpose


@dataclass(frozen=True)
class Holder:
    action: Callable[[], None]


class Empty(enum.Enum):
    pass


class Text(str):
    __slots__ = ()


def numbered(*cases: tuple[Any, ...]) -> list[Any]:
    """Cases under plain numbers, because types and values make poor names."""
    return [pytest.param(*case, id=str(number)) for number, case in enumerate(cases)]


def one(hint: Any, **more: Any) -> RecordCodec:
    return RecordCodec("Order.Placed", [FieldSpec("field", hint, **more)])


def round_trip(hint: Any, value: Any) -> Any:
    codec = one(hint)
    return codec.decode(codec.encode({"field": value}))["field"]


def refusal(hint: Any, value: Any) -> SerializationError:
    with pytest.raises(SerializationError) as raised:
        one(hint).encode({"field": value})
    assert str(raised.value).startswith(raised.value.path)
    return raised.value


# What is written


def test_a_record_is_a_json_object_of_exactly_its_fields() -> None:
    codec = RecordCodec("Paid", [FieldSpec("amount", Decimal), FieldSpec("on", date)])
    values = {"on": date(2013, 2, 8), "amount": Decimal("4.20"), "other": object()}
    assert codec.encode(values) == b'{"amount":"4.20","on":"2013-02-08"}'


def test_a_record_without_fields_is_an_empty_object() -> None:
    codec = RecordCodec("Shipped", [])
    assert codec.encode({"other": 1}) == b"{}"
    assert codec.decode(b"{}") == {}


@pytest.mark.parametrize(
    ("hint", "value", "json"),
    numbered(
        (Decimal | None, Decimal("1.0"), b'"1.0"'),
        (Decimal | None, None, b"null"),
        (UUID | str, "x", b'{"str":"x"}'),
        (UUID | str | None, None, b"null"),
        (int | float, 1.0, b"1.0"),
        (date | datetime | str, date(2013, 2, 8), b'{"date":"2013-02-08"}'),
        (list[int] | tuple[int, ...], (1,), b'{"tuple[int, ...]":[1]}'),
        (Item | Point, Point(1), b'{"Point":{"x":1,"y":0}}'),
        (Box[int] | Box[str], Box("a"), b'{"Box[str]":{"held":"a"}}'),
        (set[int], {10, 9}, b"[10,9]"),
        (dict[str, int], {"b": 1, "a": 2}, b'{"b":1,"a":2}'),
        (dict[tuple[int, int], str], {(1, 2): "a"}, b'[[[1,2],"a"]]'),
        (dict[bool, int], {True: 1}, b"[[true,1]]"),
        (Color, Color.RED, b'"red"'),
        (Ratio, Ratio.HALF, b'"HALF"'),
        (Any, [1, (ID,)], b'[1,{"tuple":[{"UUID":"00000000-0000-0000-0000-000000000007"}]}]'),
        (Any, {"a": {1: b"x"}}, b'{"dict":{"a":{"dict":[[1,{"bytes":"eA=="}]]}}}'),
    ),
)  # fmt: skip
def test_plain_json_where_it_is_clear_and_tagged_where_it_is_not(
    hint: Any, value: Any, json: bytes
) -> None:
    assert one(hint).encode({"field": value}) == b'{"field":' + json + b"}"
    assert round_trip(hint, value) == value


def test_the_order_of_a_dict_is_kept() -> None:
    assert list(round_trip(dict[str, int], {"b": 1, "a": 2, "c": 3})) == ["b", "a", "c"]


# What is refused when it is recorded


REFUSED: dict[str, tuple[Any, Any]] = {
    "a bool for an int": (int, True),
    "an int for a bool": (bool, 1),
    "an int for a float": (float, 1),
    "a float for an int": (int, 1.0),
    "a Decimal for an int": (int, Decimal(1)),
    "a subclass of str": (str, Text("a")),
    "bytes for text": (str, b"a"),
    "a lone surrogate": (str, "\ud800"),
    "a bytearray": (bytes, bytearray(b"a")),
    "5001 digits": (int, 10**5000),
    "not a number": (float, float("nan")),
    "an infinite float": (float, float("inf")),
    "Decimal NaN": (Decimal, Decimal("NaN")),
    "Decimal sNaN": (Decimal, Decimal("sNaN")),
    "an infinite Decimal": (Decimal, Decimal("-Infinity")),
    "the text of a UUID": (UUID, str(ID)),
    "a datetime for a date": (date, datetime(2013, 2, 8, tzinfo=UTC)),
    "a date for a datetime": (datetime, date(2013, 2, 8)),
    "fold": (datetime, datetime(2013, 11, 3, 1, 30, fold=1)),  # noqa: DTZ001
    "a time zone": (datetime, datetime(2013, 2, 8, tzinfo=ZoneInfo("America/New_York"))),
    "an offset of seconds": (datetime, datetime(2013, 2, 8, tzinfo=timezone(timedelta(0, 30)))),
    "a named offset": (datetime, datetime(2013, 2, 8, tzinfo=timezone(timedelta(0, 60), "CET"))),
    "a time in a time zone": (time, time(1, tzinfo=ZoneInfo("Europe/Berlin"))),
    "the value of an enum member": (Color, "red"),
    "a bool for a literal 1": (Literal["a", 1], True),
    "an int for a literal True": (Literal[True, 2], 1),
    "another literal": (Literal["a"], "b"),
    "a tuple for a list": (list[int], (1,)),
    "a list for a tuple": (tuple[int, ...], [1]),
    "a shorter tuple": (tuple[int, int], (1,)),
    "a frozenset for a set": (set[int], frozenset([1])),
    "another mapping": (dict[str, int], types.MappingProxyType({})),
    "a dict for a dataclass": (Item, {"sku": "a", "qty": 1}),
    "a subclass of a dataclass": (Item, SpecialItem("a", 1)),
    "a subclass of a dataclass in a list": (list[Item], [Item("a", 1), SpecialItem("a", 1)]),
    "a tuple for a named tuple": (Point, (1, 2)),
    "an object without a type hint": (Any, Plain()),
    "a dataclass without a type hint": (Any, Item("a", 1)),
    "an enum member without a type hint": (Any, Color.RED),
    "a subclass without a type hint": (Any, Text("a")),
    "no member of a union": (UUID | str, 1),
    "a mixture of the members of a union": (list[int] | list[str], [1, "a"]),
}


@pytest.mark.parametrize(("hint", "value"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_would_not_read_back_the_same_is_refused_by_name(
    hint: Any, value: Any
) -> None:
    assert refusal(hint, value).path.startswith("Order.Placed.field")


@pytest.mark.parametrize(
    ("hint", "value", "path"),
    numbered(
        (Order, Order([Item("a", 1), Item("b", True)]), ".items[1].qty"),
        (Order, Order([Item("\ud800", 1)]), ".items[0].sku"),
        (Order, Order([], {"x": Item("a", 1.0)}), ".by_name['x'].qty"),  # type: ignore[arg-type]
        (dict[UUID, int], {ID: "a"}, "[a UUID key]"),
        (dict[str, int], {"\ud800": 1}, "['\\ud800']"),
        (dict[tuple[int, int], Item], {(1, 2): Item("a", True)}, "[a tuple key].qty"),
        (tuple[int, str], (1, 2), "[1]"),
        (frozenset[str], frozenset(["\ud800"]), "[0]"),
        (Point | None, Point("a"), ".x"),  # type: ignore[arg-type]
        (Any, {"a": [1, {2: Plain()}]}, "['a'][1][2]"),
        (UUID | str, "\ud800", ""),
        (Node, Node(1, Node(2, Node("c"))), ".next.next.value"),  # type: ignore[arg-type]
    ),
)
def test_a_refusal_names_the_path_of_the_part_that_does_not_fit(
    hint: Any, value: Any, path: str
) -> None:
    assert refusal(hint, value).path == f"Order.Placed.field{path}"


def test_a_refusal_says_what_was_found_what_is_declared_and_what_to_do() -> None:
    assert str(refusal(int, True)) == (
        "Order.Placed.field is of type bool where int is declared; "
        "convert the value, or change the type hint"
    )


def test_a_time_zone_is_refused_with_the_way_to_record_the_instant() -> None:
    error = refusal(datetime, datetime(2013, 2, 8, tzinfo=ZoneInfo("America/New_York")))
    assert "astimezone(timezone.utc)" in str(error)


def test_a_missing_field_is_refused_by_name() -> None:
    with pytest.raises(SerializationError, match="is missing") as raised:
        one(int).encode({})
    assert raised.value.path == "Order.Placed.field"


def test_an_incomplete_instance_is_refused_by_name() -> None:
    assert refusal(Item, object.__new__(Item)).path == "Order.Placed.field.sku"
    incomplete = object.__new__(Order)
    object.__setattr__(incomplete, "items", [])
    assert refusal(Order, incomplete).path == "Order.Placed.field.by_name"


@pytest.mark.parametrize(
    ("size", "wrong"), [(size, wrong) for size in range(1, 7) for wrong in range(size)]
)
def test_every_field_is_checked_however_many_there_are(size: int, wrong: int) -> None:
    names = [f"f{index}" for index in range(size)]
    values: dict[str, Any] = dict.fromkeys(names, 1) | {f"f{wrong}": True}
    cls = make_dataclass("Made", [(name, int) for name in names], frozen=True)
    for hint, value in [(cls, cls(**values)), (list[cls], [cls(**values)])]:  # type: ignore[valid-type]
        assert refusal(hint, value).path.endswith(f".f{wrong}")
    with pytest.raises(SerializationError) as raised:
        RecordCodec("Placed", [FieldSpec(name, int) for name in names]).encode(values)
    assert raised.value.path == f"Placed.f{wrong}"


def test_a_value_that_contains_itself_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert "contains itself" in str(refusal(Any, cycle))


def chain(length: int) -> Node:
    node = Node(0)
    for value in range(1, length):
        node = Node(value, node)
    return node


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    ("hint", "value"),
    numbered(
        (Node, chain(64)),
        (Any, nested(64, lambda inner: [inner])),
        (Any, nested(64, lambda inner: {1: inner})),
        (Any, nested(64, lambda inner: frozenset([inner]))),
        (list[Any], [nested(63, lambda inner: (inner,))]),
    ),
)
def test_64_levels_are_recorded_and_read_back(hint: Any, value: Any) -> None:
    assert round_trip(hint, value) == value


@pytest.mark.parametrize(
    ("hint", "value"),
    numbered(
        (Node, chain(65)),
        (Any, nested(65, lambda inner: [inner])),
        (Any, nested(65, lambda inner: {1: inner})),
        (Any, nested(100_000, lambda inner: [inner])),
    ),
)
def test_more_than_64_levels_are_refused(hint: Any, value: Any) -> None:
    assert "64 levels" in str(refusal(hint, value))


def test_no_values_at_all_are_refused_with_the_one_error() -> None:
    with pytest.raises(SerializationError):
        one(int).encode(None)  # type: ignore[arg-type]


# What is read


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff", b'{"field": 1} 2'])
def test_bytes_that_are_no_record_raise_the_one_error(data: bytes) -> None:
    with pytest.raises(DeserializationError) as raised:
        one(int).decode(data)
    assert raised.value.path == "Order.Placed"


@pytest.mark.parametrize(
    ("hint", "json", "path"),
    numbered(
        (Order, b'{"items":[{"sku":"a","qty":"x"}]}', ".items[0].qty"),
        (Order, b'{"items":[{"sku":"a"}]}', ".items[0].qty"),
        (Node, b'{"value":1,"next":{"value":2,"next":{"value":"x"}}}', ".next.next.value"),
        (set[Ratio], b'["HALF","x"]', "[1]"),
        (dict[int, str], b'{"x":"a"}', ""),
        (UUID | str, b'{"UUID":"x"}', ".UUID"),
        (UUID | str, b'{"int":1}', ""),
        (UUID | str, b'{"str":"x","UUID":"00000000-0000-0000-0000-000000000007"}', ""),
        (Literal[True], b"false", ""),
        (Any, b'[{"set":[[]]}]', "[0]"),
        (Any, b'{"Item":{"sku":"a","qty":1}}', ""),
        (Money, b'{"amount":"-1"}', ""),
    ),
)
def test_an_unreadable_part_is_named(hint: Any, json: bytes, path: str) -> None:
    with pytest.raises(DeserializationError) as raised:
        one(hint).decode(b'{"field":' + json + b"}")
    assert raised.value.path == f"Order.Placed.field{path}"


def test_json_nested_without_end_raises_the_one_error() -> None:
    with pytest.raises(DeserializationError):
        one(Any).decode(b'{"field":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_a_missing_required_field_is_named() -> None:
    with pytest.raises(
        DeserializationError, match="required field `field`: give it a default"
    ) as raised:
        one(int).decode(b"{}")
    assert raised.value.path == "Order.Placed.field"


@pytest.mark.parametrize(
    ("hint", "default"),
    numbered(
        (int, 3),
        (Decimal, Decimal(1)),
        (UUID | str, "x"),
        (Any, (1,)),
        (list[int], []),
        (Item, None),
    ),
)
def test_a_missing_field_takes_its_default(hint: Any, default: Any) -> None:
    assert one(hint, default=default).decode(b"{}") == {"field": default}


def test_a_default_factory_makes_a_new_value_each_time() -> None:
    codec = one(list[int], default_factory=list)
    first = codec.decode(b"{}")["field"]
    first.append(1)
    assert codec.decode(b"{}") == {"field": []}


def test_unknown_fields_are_ignored_at_every_level() -> None:
    json = b'{"new":1,"field":{"new":[],"sku":"a","qty":1}}'
    assert one(Item).decode(json) == {"field": Item("a", 1)}


def test_a_field_added_with_a_default_reads_old_records_in_nested_classes_too() -> None:
    assert one(Order).decode(b'{"field":{"items":[]}}') == {"field": Order([], {})}
    assert one(Point).decode(b'{"field":{"x":1}}') == {"field": Point(1, 0)}


def test_what_is_read_has_the_types_of_nested_records() -> None:
    read = round_trip(Order, Order([Item("a", 1)], {"b": Item("b", 2)}))
    assert [type(each) for each in (read, read.items[0], read.by_name["b"])] == [Order, Item, Item]


def test_the_offset_of_an_instant_is_kept() -> None:
    instant = datetime(2013, 2, 8, 12, tzinfo=timezone(timedelta(hours=-5)))
    assert round_trip(datetime, instant).utcoffset() == timedelta(hours=-5)


def test_minus_zero_and_trailing_zeros_are_kept() -> None:
    assert str(round_trip(float, -0.0)) == "-0.0"
    assert str(round_trip(Decimal, Decimal("-0.00"))) == "-0.00"


# __post_init__


def test_a_post_init_that_checks_runs_when_a_record_is_read() -> None:
    assert round_trip(Money, Money(Decimal(1))) == Money(Decimal(1))


def test_a_post_init_that_derives_a_field_is_kept() -> None:
    assert round_trip(Sum, Sum(1, 2)).total == 3


@pytest.mark.parametrize(
    ("hint", "value"), numbered((Drifting, Drifting(1)), (list[Drifting], [Drifting(1)]))
)
def test_a_post_init_that_would_change_the_value_again_is_refused(hint: Any, value: Any) -> None:
    assert "__post_init__ changes it again" in str(refusal(hint, value))


# Generics


@pytest.mark.parametrize(
    ("hint", "good", "bad"),
    numbered(
        (Box[int], Box(1), Box("a")),
        (Box[Box[str]], Box(Box("a")), Box(Box(1))),
        (Labelled[str], Labelled(1, "a"), Labelled("a", "a")),
        (Bounded, Bounded(1), Bounded("a")),
    ),
)
def test_type_variables_are_bound(hint: Any, good: Any, bad: Any) -> None:
    assert round_trip(hint, good) == good
    refusal(hint, bad)


@pytest.mark.parametrize("held", numbered((None,), (ID,), ("a",), ([1],)))
def test_a_union_inside_a_union_is_one_more_member(held: Any) -> None:
    assert round_trip(Either[UUID | str | None], Either(held)) == Either(held)


def test_metadata_of_a_hint_constrains_nothing() -> None:
    assert round_trip(Constrained, Constrained(1)) == Constrained(1)


def test_a_generic_class_without_arguments_is_self_describing() -> None:
    assert round_trip(Box, Box((1, ID))) == Box((1, ID))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type aliases came with Python 3.12")
def test_type_aliases_are_followed_and_endless_ones_refused() -> None:
    alias = typing.TypeAliasType  # type: ignore[attr-defined]
    assert round_trip(alias("Amount", Decimal | None), Decimal(1)) == Decimal(1)
    namespace: dict[str, Any] = {}
    exec("type Json = list[Json] | int", namespace)
    with pytest.raises(UnsupportedFieldError, match="contains itself"):
        one(namespace["Json"])


# What is refused when the class is defined


@pytest.mark.parametrize(
    ("hint", "shown"),
    numbered(
        (Plain, "Plain"),
        (list[Plain], "Plain"),
        (Mutable, "frozen=True"),
        (Unequal, "eq=False"),
        (Initialised, "InitVar 'y'"),
        (Sized, "built-in"),
        (Text, "base class"),
        (Empty, "no members"),
        (Callable[[int], int], "Callable"),
        (Sequence[int], "Sequence"),
        (Iterator[int], "Iterator"),
        (type, "type"),
        (ClassVar[int], "ClassVar"),
        (set[list[int]], "hashed"),
        (dict[dict[str, int], int], "hashed"),
        (tuple[int, *tuple[str, ...]], "tuple"),
        (tuple[int, typing.Unpack[tuple[str, ...]]], "tuple"),  # noqa: UP044
        ("Item", "not resolved"),
        (len, "builtin_function"),
        ([], "no type"),
    ),
)
def test_a_type_that_cannot_be_recorded_is_refused_by_name(hint: Any, shown: str) -> None:
    with pytest.raises(UnsupportedFieldError, match=r"^Order\.Placed\.field: ") as raised:
        one(hint)
    assert shown in str(raised.value)


def test_a_type_inside_a_nested_class_is_refused_with_its_path() -> None:
    with pytest.raises(UnsupportedFieldError, match=r"^Order\.Placed\.field\.action: Callable"):
        one(Holder)


def test_two_classes_of_one_name_in_a_tagged_union_are_refused() -> None:
    def another() -> type:
        @dataclass(frozen=True)
        class Item:
            other: int

        return Item

    with pytest.raises(UnsupportedFieldError, match="two of its members are named Item"):
        one(Item | another())


# field_specs


def test_field_specs_resolve_string_hints_and_keep_defaults() -> None:
    specs = {spec.name: spec for spec in field_specs(Order)}
    assert specs["items"].hint == list[Item]
    assert not specs["items"].optional
    assert specs["by_name"].fill() == {}


def test_field_specs_leave_out_what_is_excluded() -> None:
    assert [spec.name for spec in field_specs(Item, exclude={"qty"})] == ["sku"]


def test_field_specs_keep_annotated_metadata() -> None:
    @dataclass(frozen=True)
    class Tagged:
        field: Annotated[int, "metadata"]

    assert field_specs(Tagged)[0].hint == Annotated[int, "metadata"]


def test_a_name_that_is_not_defined_is_named_with_its_field() -> None:
    with pytest.raises(UnsupportedFieldError, match=r"Forward\.parcel.*'Parcel' is not defined"):
        field_specs(Forward)


def test_a_parameter_without_a_hint_makes_a_self_describing_field() -> None:
    class Ticket(Aggregate):
        @event("Opened")
        def __init__(self, title: str, owner, tags=()) -> None:  # type: ignore[no-untyped-def]
            self.title = title

    specs = field_specs(Ticket.Opened, exclude={"originator_topic"})  # type: ignore[attr-defined]
    hints = {spec.name: spec.hint for spec in specs}
    assert hints["title"] is str
    assert hints["owner"] is hints["tags"] is Any


@pytest.mark.parametrize(
    "hint", numbered((Any,), (object,), (inspect.Parameter.empty,), (MISSING,))
)
def test_a_field_without_a_type_reads_back_equal_and_of_the_same_type(hint: Any) -> None:
    value = {"a": (1, {ID}, [Decimal("1.0"), b"x", None, timedelta(1)], frozenset([date.min]))}
    assert round_trip(hint, value) == value


# json_schema


def test_the_schema_describes_the_body() -> None:
    codec = RecordCodec(
        "Placed", [FieldSpec("id", UUID), FieldSpec("items", list[Item]), FieldSpec("n", int, 3)]
    )
    schema = codec.json_schema()
    assert schema["title"] == "Placed"
    assert schema["required"] == ["id", "items"]
    assert schema["properties"]["id"] == {"type": "string", "format": "uuid"}
    assert schema["properties"]["n"] == {"type": "integer", "default": 3}
    assert schema["$defs"]["Item"]["required"] == ["sku", "qty"]


def test_the_schema_of_a_tagged_union_names_its_tags() -> None:
    schema = one(UUID | str).json_schema()
    (union,) = schema["$defs"].values()
    assert list(union["properties"]) == ["UUID", "str"]


# Definition cells that run again


CELL = """
from dataclasses import dataclass
import enum

@dataclass(frozen=True)
class Parcel:
    kilos: int

class Status(enum.Enum):
    OPEN = "open"
"""
PLACED = """
@dataclass(frozen=True)
class Placed:
    parcels: list[Parcel]
    status: Status
"""


class Notebook:
    """A module whose cells can be run again."""

    def __init__(self, name: str) -> None:
        self.module = types.ModuleType(name)
        sys.modules[name] = self.module

    def run(self, cell: str) -> None:
        exec(compile(cell, "<cell>", "exec", dont_inherit=True), vars(self.module))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    made = Notebook("a_notebook")
    made.run(CELL)
    made.run(PLACED)
    yield made
    del sys.modules["a_notebook"]


def test_values_of_a_class_that_was_defined_again_are_recorded_and_read_as_the_new_class(
    notebook: Notebook,
) -> None:
    codec = RecordCodec("Placed", field_specs(notebook.Placed))
    notebook.run(CELL)
    values = {"parcels": [notebook.Parcel(1)], "status": notebook.Status.OPEN}
    assert codec.decode(codec.encode(values)) == values


def test_old_records_are_read_as_the_class_that_was_defined_again(notebook: Notebook) -> None:
    codec = RecordCodec("Placed", field_specs(notebook.Placed))
    old = codec.encode({"parcels": [notebook.Parcel(1)], "status": notebook.Status.OPEN})
    notebook.run(CELL.replace("kilos: int", "kilos: int\n    fragile: bool = False"))
    assert codec.decode(old)["parcels"] == [notebook.Parcel(1, False)]


LINE = """
@dataclass(frozen=True)
class Line:
    parcel: Parcel

@dataclass(frozen=True)
class Listed:
    lines: list[Line]
"""


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_a_class_inside_a_class_that_was_not_defined_again_is_followed_too(
    notebook: Notebook, future: str
) -> None:
    notebook.run(future + LINE)
    codec = RecordCodec("Listed", field_specs(notebook.Listed))
    old = codec.encode({"lines": [notebook.Line(notebook.Parcel(1))]})
    before = notebook.Parcel
    for _ in range(2):
        notebook.run(CELL)
        assert codec.decode(old) == {"lines": [notebook.Line(notebook.Parcel(1))]}
        values = {"lines": [notebook.Line(notebook.Parcel(2))]}
        assert codec.decode(codec.encode(values)) == values
    assert type(codec.decode(old)["lines"][0].parcel) is not before


def test_values_from_before_a_class_was_defined_again_are_still_recorded(
    notebook: Notebook,
) -> None:
    held = {"parcels": [notebook.Parcel(1)], "status": notebook.Status.OPEN}
    notebook.run(CELL.replace("kilos: int", "kilos: int\n    fragile: bool = False"))
    codec = RecordCodec("Placed", field_specs(notebook.Placed))
    read = codec.decode(codec.encode(held))
    assert read == {"parcels": [notebook.Parcel(1, False)], "status": notebook.Status.OPEN}


def test_a_value_from_before_that_no_longer_fits_is_refused(notebook: Notebook) -> None:
    codec = RecordCodec("Placed", field_specs(notebook.Placed))
    held = {"parcels": [notebook.Parcel(1)], "status": notebook.Status.OPEN}
    notebook.run(CELL.replace("kilos: int", "grams: int"))
    codec.decode(b'{"parcels":[],"status":"open"}')
    with pytest.raises(SerializationError) as raised:
        codec.encode(held)
    assert raised.value.path == "Placed.parcels[0].grams"


def test_a_class_that_was_defined_again_and_cannot_be_recorded_is_refused_as_such(
    notebook: Notebook,
) -> None:
    codec = RecordCodec("Placed", field_specs(notebook.Placed))
    notebook.run(CELL.replace("frozen=True", "frozen=False"))
    values = {"parcels": [notebook.Parcel(1)], "status": notebook.Status.OPEN}
    with pytest.raises(UnsupportedFieldError, match=r"Placed\.parcels: Parcel .* can be changed"):
        codec.encode(values)
    with pytest.raises(UnsupportedFieldError, match=r"Placed\.parcels: Parcel .* can be changed"):
        codec.decode(b'{"parcels":[],"status":"open"}')


def test_two_local_classes_of_one_name_are_two_types() -> None:
    def make() -> type:
        @dataclass(frozen=True)
        class Local:
            x: int

        return Local

    first, second = make(), make()
    assert "another class of that name" in str(refusal(first, second(1)))  # type: ignore[call-arg]


def test_many_threads_share_a_codec_while_a_class_is_defined_again(notebook: Notebook) -> None:
    codec = RecordCodec("Placed", field_specs(notebook.Placed))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for kilos in range(200):
                values = {"parcels": [notebook.Parcel(kilos)], "status": notebook.Status.OPEN}
                read = codec.decode(codec.encode(values))
                assert read["parcels"][0].kilos == kilos
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        notebook.run(CELL)
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_key_that_can_be_none_is_refused_by_the_name_of_its_field() -> None:
    codec = RecordCodec("Placed", [FieldSpec("field", dict)])
    with pytest.raises(DeserializationError, match=r"^Placed\.field: unhashable") as caught:
        codec.decode(b'{"field":[[[],null]]}')
    assert caught.value.path == "Placed.field"
