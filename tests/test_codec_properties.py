"""What the codec promises for every value, tried on very many.

``MODULUS_ES_HOSTILE_PAYLOADS=100000`` tries that many hostile values instead of 2000.
"""

from __future__ import annotations

import enum
import hashlib
import math
import os
import random
import subprocess
import sys
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any, Generic, Literal, NamedTuple, NewType, TypeVar, get_args, get_origin
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from eventsourcing.persistence import DatetimeAsISO, DecimalAsStr, JSONTranscoder, UUIDAsHex
from hypothesis import given, settings
from hypothesis import strategies as st

from modulus_es.codec import FieldSpec, RecordCodec
from modulus_es.errors import DeserializationError, SerializationError

T = TypeVar("T")
CustomerId = NewType("CustomerId", UUID)


class Status(enum.StrEnum):
    OPEN = "open"
    SHIPPED = "shipped"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Weight(enum.Enum):
    LIGHT = 0.5
    PAIR = (1, 2)


class Size(enum.Enum):
    SMALL = 1
    HUGE = 2**70


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Mode(enum.IntFlag):
    FAST = 1
    SAFE = 4


@dataclass(frozen=True)
class Item:
    sku: str
    qty: int


@dataclass(frozen=True, slots=True)
class Money:
    amount: Decimal
    currency: str = "EUR"

    def __post_init__(self) -> None:
        if len(self.currency) != 3:
            raise ValueError("a currency has three letters")


@dataclass(frozen=True)
class Line:
    item: Item
    price: Money
    tags: frozenset[str] = frozenset()
    note: str | None = None


@dataclass(frozen=True)
class Tree:
    value: int
    children: list[Tree] = field(default_factory=list)
    left: Tree | None = None


@dataclass(frozen=True)
class Box(Generic[T]):
    held: T


@dataclass(frozen=True)
class Pair(Box[int], Generic[T]):
    other: T


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Str(str):
    __slots__ = ()


class Int(int):
    pass


class Anything:
    pass


@dataclass
class Mutable:
    x: int


Plain = namedtuple("Plain", "a b")  # noqa: PYI024 - without types, on purpose


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, of one type, and so at every level."""
    if type(one) is not type(other):
        return False
    if isinstance(one, enum.Enum):
        return one is other
    if isinstance(one, float):
        return repr(one) == repr(other) and not math.isnan(one)
    if isinstance(one, Decimal):
        return one.is_finite() and str(one) == str(other)
    if isinstance(one, datetime | time):
        alike = repr(one) == repr(other) and type(one.tzinfo) is type(other.tzinfo)
        return one == other and alike and one.utcoffset() == other.utcoffset()
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(one[a], other[b]) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, set | frozenset):
        partners = {each: each for each in other}
        return one == other and all(same(each, partners[each]) for each in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if is_dataclass(one):
        names = [each.name for each in fields(one)]
        return one == other and all(same(getattr(one, n), getattr(other, n)) for n in names)
    return bool(one == other)


HINTS: list[Any] = [
    Any,
    int,
    str,
    float,
    bool,
    None,
    bytes,
    UUID,
    CustomerId,
    Decimal,
    datetime,
    date,
    time,
    timedelta,
    Status,
    Level,
    Weight,
    Right,
    Mode,
    Item,
    Money,
    Line,
    Tree,
    Point,
    Plain,
    Box[int],
    Box[UUID | str],
    Pair[str],
    Literal["a", 1] | None,
    Literal[True, "a", Status.OPEN],
    list,
    dict,
    list[Item],
    list[int],
    list[Any],
    tuple[int, str],
    tuple[Decimal, ...],
    set[UUID],
    frozenset[str],
    set[int | str],
    dict[str, int],
    dict[int, Item],
    dict[UUID, str],
    dict[Status, Decimal],
    dict[tuple[int, int], str],
    dict[Any, Any],
    Decimal | None,
    UUID | str,
    Decimal | float,
    int | float,
    date | datetime | str,
    list[int] | tuple[int, ...] | None,
    Item | Money | None,
    dict[str, int] | Item,
]


class Hostile:
    """Make junk out of a seed: what careless or malicious code could put into an event."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        """Make one value; the deeper, the simpler."""
        if depth > 3 or self.random.random() < 0.5:
            return self.leaf()
        return self.container(depth + 1)

    def leaf(self) -> Any:
        choose = self.random.choice
        return choose(
            [
                lambda: choose([0, 1, -1, True, False, None, 2**63, -(2**64), 10**400, 10**5000]),
                lambda: choose([0.0, -0.0, 1.0, 5e-324, 1e308, math.inf, -math.inf, math.nan]),
                lambda: self.random.uniform(-1e6, 1e6),
                lambda: choose(["", "a", "é", "\0", "\ud800", "\U0001f600", "1", "null", "NaN"]),
                lambda: choose([b"", b"\xff", bytearray(b"a"), memoryview(b"a"), 1j, Fraction(1)]),
                lambda: Decimal(choose(["0", "-0.00", "1.00", "1E+30", "NaN", "sNaN", "Infinity"])),
                lambda: UUID(int=self.random.getrandbits(128)),
                self.instant,
                lambda: choose(
                    [date.min, date.max, time.max, time(1, fold=1), time(2, tzinfo=UTC)]
                ),
                lambda: choose([timedelta.max, timedelta.min, timedelta(0, 0, -1)]),
                lambda: choose([Status.OPEN, Level.HIGH, Weight.PAIR, Right(3), Right(0), Mode(9)]),
                lambda: choose([Str("a"), Int(1), Anything(), Anything, len, Mutable(1), ...]),
                lambda: choose(
                    [Item("a", 1), Item("a", True), Item(Str("a"), 1), Item("\udfff", 2)]
                ),
                lambda: choose([Money(Decimal(1)), Money(Decimal("NaN")), Money(1.0)]),
                lambda: choose([Point(1.0), Point(1, 2), Plain(1, "a"), Box(1), Box(True)]),
                lambda: choose([{"_type_": "uuid_hex", "_data_": "x"}, {"UUID": "x"}, {"set": 1}]),
            ]
        )()

    def instant(self) -> datetime:
        zones = [None, UTC, ZoneInfo("America/New_York"), timezone(timedelta(hours=5, minutes=30))]
        zones += [timezone(timedelta(seconds=30)), timezone(timedelta(hours=1), "CET")]
        return datetime(
            self.random.choice([1, 999, 2013, 9999]),
            11,
            3,
            1,
            microsecond=self.random.randrange(1000000),
            tzinfo=self.random.choice(zones),
            fold=int(self.random.random() < 0.1),
        )

    def container(self, depth: int) -> Any:
        items = [self.value(depth) for _ in range(self.random.randrange(4))]
        kind = self.random.randrange(9)
        if kind <= 1:
            return items
        if kind == 2:
            return tuple(items)
        if kind in (3, 4):
            hashable = [each for each in items if _hashable(each)]
            return set(hashable) if kind == 3 else frozenset(hashable)
        if kind in (5, 6):
            keys = [self.leaf() for _ in items]
            return {k: v for k, v in zip(keys, items, strict=True) if _hashable(k)}
        if kind == 7:
            return self.random.choice([OrderedDict(a=items), defaultdict(list), iter(items)])
        return self.random.choice([Box(items), Tree(1, items), [_cycle()], _deep(200), _deep(20)])

    def twist(self, value: Any) -> Any:
        """Copy a value with some of its parts replaced by junk."""
        if self.random.random() < 0.2:
            return self.leaf()
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self.twist, value))
        if isinstance(value, list | tuple):
            return type(value)(map(self.twist, value))
        if isinstance(value, set | frozenset):
            return type(value)(each for each in map(self.twist, value) if _hashable(each))
        if isinstance(value, dict):
            pairs = ((self.twist(key), self.twist(held)) for key, held in value.items())
            return {key: held for key, held in pairs if _hashable(key)}
        if is_dataclass(value):
            made = object.__new__(type(value))
            for each in fields(value):
                object.__setattr__(made, each.name, self.twist(getattr(value, each.name)))
            return made
        return value


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _cycle() -> Any:
    value: list[Any] = []
    value.append({"self": value})
    return value


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


PAYLOADS = int(os.environ.get("MODULUS_ES_HOSTILE_PAYLOADS", "2000"))

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
zones = st.none() | offsets
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
plain_int = st.integers() | st.integers(-(10**60), 10**60)
finite = st.floats(allow_nan=False, allow_infinity=False)
items = st.builds(Item, text, plain_int)
money = st.builds(Money, decimals, st.sampled_from(["EUR", "USD"]))

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    type(None): st.none(),
    bool: st.booleans(),
    int: plain_int,
    float: finite,
    str: text,
    bytes: st.binary(max_size=8),
    UUID: st.uuids(),
    Decimal: decimals,
    datetime: st.datetimes(timezones=zones).map(lambda each: each.replace(fold=0)),
    date: st.dates(),
    time: st.times(timezones=zones).map(lambda each: each.replace(fold=0)),
    timedelta: st.timedeltas(),
    Status: st.sampled_from(Status),
    Level: st.sampled_from(Level),
    Weight: st.sampled_from(Weight),
    Size: st.sampled_from(Size),
    Right: st.integers(0, 3).map(Right),
    Mode: st.integers(0, 20).map(Mode),
    Item: items,
    Money: money,
    Line: st.builds(Line, items, money, st.frozensets(text, max_size=3), st.none() | text),
    Point: st.builds(Point, finite, finite),
    Tree: st.recursive(
        st.builds(Tree, plain_int),
        lambda trees: st.builds(Tree, plain_int, st.lists(trees, max_size=2), st.none() | trees),
        max_leaves=5,
    ),
}


SIZES, CHOICES = st.integers(0, 3), st.integers(0, 59)
LEAVES = sorted(SCALARS, key=lambda hint: hint.__name__)
KEYS = [str, int, float, bool, UUID, Decimal, date, datetime, Status, Level, Weight, Mode, Item]


def draw_hint(draw: Any, depth: int) -> Any:
    """Draw a type hint, of at most three levels."""

    def inner() -> Any:
        return draw_hint(draw, depth + 1)

    key = KEYS[draw(CHOICES) % len(KEYS)]
    return [
        lambda: LEAVES[draw(CHOICES) % len(LEAVES)],
        lambda: LEAVES[draw(CHOICES) % len(LEAVES)],
        lambda: list[inner()],  # type: ignore[misc]
        lambda: tuple[inner(), ...],  # type: ignore[misc]
        lambda: tuple[inner(), inner()],  # type: ignore[misc]
        lambda: set[key],
        lambda: frozenset[key],
        lambda: dict[key, inner()],  # type: ignore[misc]
        lambda: inner() | inner(),
        lambda: inner() | None,
        lambda: Box[inner()],  # type: ignore[misc]
        lambda: Pair[inner()],  # type: ignore[misc]
    ][draw(CHOICES) % (12 if depth < 3 else 1)]()


def draw_value(draw: Any, hint: Any) -> Any:
    """Draw a value that a hint declares."""
    if hint in SCALARS:
        return draw(SCALARS[hint])
    origin, arguments = get_origin(hint), get_args(hint)
    first = arguments[0]
    if origin is dict:
        return {draw_value(draw, first): draw_value(draw, arguments[1]) for _ in range(draw(SIZES))}
    if origin is tuple and arguments[1] is not ...:
        return tuple(draw_value(draw, each) for each in arguments)
    if origin in (list, tuple, set, frozenset):
        return origin(draw_value(draw, first) for _ in range(draw(SIZES)))
    if origin is Box:
        return Box(draw_value(draw, first))
    if origin is Pair:
        return Pair(draw(SCALARS[int]), draw_value(draw, first))
    return draw_value(draw, arguments[draw(CHOICES) % len(arguments)])


@st.composite
def typed(draw: Any) -> tuple[Any, Any]:
    """Draw a type hint together with a value that it declares."""
    hint = draw_hint(draw, 0)
    return hint, draw_value(draw, hint)


@given(typed())
@settings(max_examples=150)
def test_every_typed_value_reads_back_equal_and_of_the_same_type(case: tuple[Any, Any]) -> None:
    hint, value = case
    codec = RecordCodec("Placed", [FieldSpec("field", hint)])
    assert same(codec.decode(codec.encode({"field": value}))["field"], value)


@given(typed(), st.integers())
@settings(max_examples=150)
def test_a_value_with_wrong_parts_is_refused_or_reads_back_exactly_equal(
    case: tuple[Any, Any], seed: int
) -> None:
    hint, value = case[0], Hostile(seed).twist(case[1])
    codec = RecordCodec("Placed", [FieldSpec("field", hint)])
    try:
        encoded = codec.encode({"field": value})
    except SerializationError:
        return
    assert same(codec.decode(encoded)["field"], value)


plain_values = st.recursive(
    st.one_of(*[
        strategy for cls, strategy in SCALARS.items()
        if cls.__module__ in ("builtins", "uuid", "decimal", "datetime")
    ]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(plain_int | text, max_size=3),
        st.frozensets(st.uuids() | decimals, max_size=3),
        st.dictionaries(text, inner, max_size=3),
        st.dictionaries(plain_int | st.tuples(text, st.uuids()), inner, max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip


@given(plain_values)
@settings(max_examples=100)
def test_every_value_of_an_untyped_field_reads_back_equal_and_of_the_same_type(
    value: object,
) -> None:
    codec = RecordCodec("Placed", [FieldSpec("field", Any)])
    assert same(codec.decode(codec.encode({"field": value}))["field"], value)


def test_hostile_values_are_refused_by_name_or_read_back_exactly_equal() -> None:
    hostile, chooser = Hostile(seed=17), random.Random(17)
    codecs = [RecordCodec("Placed", [FieldSpec("field", hint)]) for hint in HINTS]
    accepted, refused = 0, set()
    for number in range(PAYLOADS):
        value = hostile.value()
        # Half of them go where anything may go, and half where something else is declared.
        codec = codecs[0] if number % 2 else chooser.choice(codecs)
        try:
            data = codec.encode({"field": value})
        except SerializationError as error:
            refused.add(error.path)
        else:
            accepted += 1
            assert same(codec.decode(data)["field"], value), (number, data)
    assert all(path.startswith("Placed.field") for path in refused)
    assert PAYLOADS / 20 < accepted < PAYLOADS / 2


def test_the_stock_transcoder_changes_or_loses_some_of_the_same_values() -> None:
    transcoder = JSONTranscoder()
    for transcoding in (UUIDAsHex(), DecimalAsStr(), DatetimeAsISO()):
        transcoder.register(transcoding)
    hostile, changed, unreadable = Hostile(seed=17), 0, 0
    for _ in range(2000):
        value = hostile.value()
        try:
            data = transcoder.encode({"field": value})
        except Exception:
            continue
        try:
            changed += not same(transcoder.decode(data)["field"], value)
        except Exception:
            unreadable += 1
    assert changed > 0
    assert unreadable > 0


@given(st.sampled_from(HINTS), st.binary(max_size=60))
def test_arbitrary_bytes_raise_nothing_but_the_one_error(hint: Any, data: bytes) -> None:
    codec = RecordCodec("Placed", [FieldSpec("field", hint)])
    with pytest.raises(DeserializationError) as raised:
        codec.decode(data)
    assert raised.value.path.startswith("Placed")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | text | st.just("2013-02-08T10:00:00Z"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            text | st.sampled_from(["set", "dict", "tuple", "UUID", "str", "sku", "held", "value"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=6,
)


@given(st.sampled_from(HINTS), json_values)
@settings(max_examples=150)
def test_arbitrary_json_is_read_or_raises_the_one_error(hint: Any, value: Any) -> None:
    codec = RecordCodec("Placed", [FieldSpec("field", hint)])
    try:
        paths = list(codec.decode(msgspec.json.encode({"field": value})))
    except DeserializationError as error:
        paths = [error.path.removeprefix("Placed.")]
    assert paths[0].startswith("field")


def digest_of_many() -> str:
    """Encode many values; called in processes with different hash seeds."""
    hostile, digest = Hostile(seed=5), hashlib.sha256()
    codecs = [RecordCodec("Placed", [FieldSpec("field", hint)]) for hint in HINTS]
    for number in range(2000):
        codec = codecs[number % 2 and number % len(codecs)]
        try:
            digest.update(codec.encode({"field": hostile.value()}))
        except SerializationError:
            continue
    return digest.hexdigest()


SCRIPT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("examples", sys.argv[1])
sys.modules["examples"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.digest_of_many())
"""


def test_the_bytes_are_the_same_whatever_the_hash_seed() -> None:
    def digest(seed: str) -> str:
        path = os.pathsep.join(each for each in sys.path if each)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        command = [sys.executable, "-c", SCRIPT, __file__]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout

    first = digest("1")
    assert len(first.strip()) == 64
    assert first == digest("2")
