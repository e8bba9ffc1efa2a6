"""Plans of nested frozen dataclasses and of named tuples: a JSON object each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import msgspec

from modulus_es.codec.hints import MISSING, missing
from modulus_es.codec.plan import (
    MAX_DEPTH,
    Check,
    Fault,
    Plan,
    Unpack,
    is_redefinition,
    too_deep,
    type_name,
    wrong_type,
)

ABSENT: Any = msgspec.UNSET
_to_json = msgspec.json.Encoder().encode
_IMMUTABLE = (type(None), bool, int, float, str, bytes)


@dataclass(frozen=True, slots=True)
class PlannedField:
    """A field of a record with the plan of its type."""

    name: str
    plan: Plan
    default: Any = field(default_factory=missing)
    default_factory: Any = field(default_factory=missing)

    @property
    def optional(self) -> bool:
        """Whether the field may be missing in what is read."""
        return self.default is not MISSING or self.default_factory is not MISSING

    def fill(self) -> Any:
        """Make the value of a field that is missing in what is read."""
        return self.default if self.default_factory is MISSING else self.default_factory()


def written_struct(name: str, fields: Sequence[PlannedField]) -> Any:
    """Make the struct that holds packed values, in the order of the fields."""
    return msgspec.defstruct(name, [(field.name, Any) for field in fields], gc=False)


def read_struct(name: str, fields: Sequence[PlannedField]) -> Any:
    """Make the struct that msgspec reads into: typed, defaults filled in."""
    return msgspec.defstruct(name, [_read_field(f) for f in fields], kw_only=True, gc=False)


def _read_field(field: PlannedField) -> tuple[Any, ...]:
    wire = field.plan.wire
    if not field.optional:
        return (field.name, wire)
    if field.plan.unpack is not None:
        return (field.name, wire, ABSENT)
    if type(field.default) in _IMMUTABLE:
        return (field.name, wire, field.default)
    return (field.name, wire, msgspec.field(default_factory=field.fill))


def unpack_fields(fields: Sequence[PlannedField]) -> Callable[[dict[str, Any]], None] | None:
    """Make what unpacks, in place, the fields that msgspec does not finish itself."""
    rest = [(field.name, field.plan.unpack, field) for field in fields if field.plan.unpack]
    if not rest:
        return None

    def unpack(values: dict[str, Any]) -> None:
        for name, unpack_one, field in rest:
            raw = values[name]
            try:
                values[name] = field.fill() if raw is ABSENT else unpack_one(raw)
            except Fault as fault:
                raise fault.at(f".{name}") from None

    return unpack


def fields_check(
    fields: Sequence[PlannedField], getter: Callable[..., Callable[[Any], Any]]
) -> Check:
    """Compose the fast check of many fields, read four at a time with ``getter``."""
    exact = [field for field in fields if field.plan.exact is not None]
    checks = [_few(exact[at : at + 4], getter) for at in range(0, len(exact), 4)]
    for field in fields:
        if field.plan.exact is None:
            checks.append(_one_inexact(getter(field.name), field.plan.check))
    if len(checks) == 1:
        return checks[0]

    def check(record: Any) -> bool:
        for each in checks:
            if not each(record):
                return False
        return True

    return check


def _one_inexact(get: Callable[[Any], Any], check: Check | None) -> Check:
    assert check is not None
    return lambda record: check(get(record))


def _few(fields: Sequence[PlannedField], getter: Callable[..., Callable[[Any], Any]]) -> Check:
    """Compare up to four types; written out, because a loop costs twice as much."""
    get = getter(*[field.name for field in fields])
    types = [field.plan.exact for field in fields]
    also = [(i, f.plan.also) for i, f in enumerate(fields) if f.plan.also is not None]
    if len(fields) == 1:
        (one,) = types
        more = also[0][1] if also else None
        if more is None:
            return lambda record: type(get(record)) is one
        return lambda record: type(value := get(record)) is one and more(value)
    types += [None] * (4 - len(types))
    first, second, third, fourth = types

    def check_two(record: Any) -> bool:
        values = get(record)
        a, b = values
        if type(a) is not first or type(b) is not second:
            return False
        for index, more in also:
            if not more(values[index]):
                return False
        return True

    def check_three(record: Any) -> bool:
        values = get(record)
        a, b, c = values
        if type(a) is not first or type(b) is not second or type(c) is not third:
            return False
        for index, more in also:
            if not more(values[index]):
                return False
        return True

    def check_four(record: Any) -> bool:
        values = get(record)
        a, b, c, d = values
        if (
            type(a) is not first
            or type(b) is not second
            or type(c) is not third
            or type(d) is not fourth
        ):
            return False
        for index, more in also:
            if not more(values[index]):
                return False
        return True

    return (check_two, check_three, check_four)[len(fields) - 2]


def dataclass_plan(plan: Plan, cls: type, fields: Sequence[PlannedField], native: bool) -> None:
    """Complete the plan of a frozen dataclass, which may contain itself.

    ``native`` says that msgspec, looking at the class, sees the same types as
    ``fields`` do, so that it may write and read instances itself.
    """
    name = type_name(cls)
    names = [field.name for field in fields]
    packs = [(field.name, field, field.plan.packed()) for field in fields]
    written = written_struct(name, fields)
    post_init = getattr(cls, "__post_init__", None)

    def pack_fields(value: Any, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            raise too_deep()
        result = []
        for each, field, packed in packs:
            try:
                held = getattr(value, each, ABSENT)
                if held is ABSENT:
                    if type(value) is cls or not field.optional:
                        raise Fault("is missing; make a complete instance")
                    held = field.fill()
                result.append(packed(held, depth + 1))
            except Fault as fault:
                raise fault.at(f".{each}") from None
        return written(*result)

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls and not is_redefinition(type(value), cls):
            raise wrong_type(value, name)
        packed = pack_fields(value, depth)
        if post_init is not None and not _initialises_equal(value, packed, depth):
            raise Fault(
                f"would read back different, because {name}.__post_init__ changes it again; "
                "let __post_init__ only validate, and convert in a classmethod"
            )
        return packed

    def _initialises_equal(value: Any, packed: Any, depth: int) -> bool:
        again = make({each: getattr(value, each) for each in names if hasattr(value, each)})
        if all(getattr(again, each) is getattr(value, each, ABSENT) for each in names):
            return True
        return bool(_to_json(pack_fields(again, depth)) == _to_json(packed))

    def make(values: dict[str, Any]) -> Any:
        made = object.__new__(cls)
        for each, held in values.items():
            object.__setattr__(made, each, held)
        if post_init is not None:
            try:
                made.__post_init__()
            except Exception as error:
                raise Fault(f"is refused by {name}.__post_init__: {error}") from error
        return made

    plan.pack = pack
    plan.direct = all(field.plan.direct for field in fields) and post_init is None
    if plan.direct:
        plan.also = fields_check(fields, attrgetter) if fields else None
    if native:
        plan.wire, plan.unpack = cls, None
    else:
        plan.wire = read_struct(name, fields)
        plan.unpack = _unpack_record(fields, make)


def named_tuple_plan(plan: Plan, cls: type, fields: Sequence[PlannedField]) -> None:
    """Complete the plan of a named tuple, which is recorded by the names of its fields."""
    name = type_name(cls)
    size = len(fields)
    packs = [(field.name, field.plan.packed()) for field in fields]
    written = written_struct(name, fields)

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls and not is_redefinition(type(value), cls):
            raise wrong_type(value, name)
        if depth >= MAX_DEPTH:
            raise too_deep()
        if len(value) != size:
            raise Fault(f"has {len(value)} elements where {name} has {size}")
        result = []
        for held, (each, packed) in zip(value, packs, strict=True):
            try:
                result.append(packed(held, depth + 1))
            except Fault as fault:
                raise fault.at(f".{each}") from None
        return written(*result)

    plan.pack = pack
    plan.wire = read_struct(name, fields)
    plan.unpack = _unpack_record(fields, lambda values: tuple.__new__(cls, values.values()))


def _unpack_record(fields: Sequence[PlannedField], make: Callable[[dict[str, Any]], Any]) -> Unpack:
    unpack_rest = unpack_fields(fields)
    as_dict = msgspec.structs.asdict
    if unpack_rest is None:
        return lambda raw: make(as_dict(raw))

    def unpack(raw: Any) -> Any:
        values = as_dict(raw)
        unpack_rest(values)
        return make(values)

    return unpack


def back_reference(plan: Plan) -> Plan:
    """Stand in for a record inside itself: read as raw bytes, and then once more."""
    decoder: list[Any] = []

    def unpack(raw: Any) -> Any:
        if not decoder:
            decoder.append(msgspec.json.Decoder(plan.wire))
        value = decoder[0].decode(raw)
        return plan.unpack(value) if plan.unpack else value

    return Plan(
        tag=plan.tag,
        accepts=plan.accepts,
        kinds="object",
        wire=msgspec.Raw,
        pack=lambda value, depth: plan.pack(value, depth),
        unpack=unpack,
    )
