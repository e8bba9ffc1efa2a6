"""Plans of nested frozen dataclasses and of named tuples: a JSON object each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec

from modulus_es.codec.fast import fields_getter, fields_test
from modulus_es.codec.hints import FieldSpec
from modulus_es.codec.plan import (
    MAX_DEPTH,
    MisfitError,
    Pack,
    Plan,
    Unpack,
    misread,
    too_deep,
    type_name,
    wrong_type,
)

ABSENT: Any = msgspec.UNSET
_to_json = msgspec.json.Encoder().encode
_IMMUTABLE = frozenset((type(None), bool, int, float, str, bytes))
Make = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class PlannedField:
    """A field of a record with the plan of its type."""

    spec: FieldSpec
    plan: Plan

    @property
    def name(self) -> str:
        """The name of the field, in Python and in JSON."""
        return self.spec.name


def written_struct(name: str, fields: Sequence[PlannedField]) -> Any:
    """Make the struct that holds packed values, in the order of the fields."""
    return msgspec.defstruct(name, [(each.name, Any) for each in fields], gc=False)


def read_struct(name: str, fields: Sequence[PlannedField]) -> Any:
    """Make the struct that msgspec reads into: typed, with the defaults."""
    return msgspec.defstruct(name, [_read_field(each) for each in fields], kw_only=True, gc=False)


def _read_field(planned: PlannedField) -> tuple[Any, ...]:
    spec, wire = planned.spec, planned.plan.wire
    if not spec.optional:
        return (spec.name, wire)
    if planned.plan.unpack is not None:
        return (spec.name, wire, ABSENT)
    if type(spec.default) in _IMMUTABLE:
        return (spec.name, wire, spec.default)
    return (spec.name, wire, msgspec.field(default_factory=spec.fill))


def unpack_fields(fields: Sequence[PlannedField]) -> Callable[[dict[str, Any]], None] | None:
    """Make what unpacks, in place, the fields that msgspec does not finish itself."""
    rest = [(each.spec, each.plan.unpack) for each in fields if each.plan.unpack is not None]
    if not rest:
        return None

    def unpack(values: dict[str, Any]) -> None:
        for spec, unpack_one in rest:
            name = spec.name
            raw = values[name]
            try:
                values[name] = spec.fill() if raw is ABSENT else unpack_one(raw)
            except MisfitError as misfit:
                raise misfit.at(f".{name}") from misfit.__cause__
            except TypeError as error:
                # What was read as a key, or as an element of a set, cannot be one.
                raise MisfitError(str(error)).at(f".{name}") from error

    return unpack


def dataclass_plan(plan: Plan, cls: type, fields: Sequence[PlannedField], *, native: bool) -> None:
    """Complete the plan of a frozen dataclass, which may contain itself.

    ``native`` says that msgspec, looking at the class, sees the same types as
    ``fields`` do, so that it may read instances itself.
    """
    name = type_name(cls)
    names = [each.name for each in fields]
    make = _maker(cls)
    pack_fields = _fields_packer(cls, fields)
    initialised = hasattr(cls, "__post_init__")

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls and not plan.earlier(value):
            raise wrong_type(value, name)
        packed = pack_fields(value, depth)
        if initialised and not keeps(value):
            again = pack_fields(make(_held(value, names)), depth)
            if _to_json(again) != _to_json(packed):
                raise MisfitError(
                    f"would read back different, because {name}.__post_init__ changes it again; "
                    "let __post_init__ only check, and convert in a classmethod"
                )
        return packed

    def keeps(value: Any) -> bool:
        """Whether ``__post_init__``, which also runs when it is read, changes nothing."""
        again = make(_held(value, names))
        return all(getattr(again, each) is getattr(value, each, ABSENT) for each in names)

    plan.pack = pack
    plan.direct = all(each.plan.direct for each in fields)
    if plan.direct:
        get = fields_getter(names, attrgetter)
        test = fields_test([each.plan for each in fields])
        plan.view = None if initialised else (get, test)
        plan.also = lambda value: test(get(value)) and not (initialised and not keeps(value))
    if native:
        plan.wire = cls
    else:
        plan.wire = read_struct(name, fields)
        plan.unpack = _record_unpacker(fields, make)


def _held(value: Any, names: Sequence[str]) -> dict[str, Any]:
    return {each: getattr(value, each) for each in names if hasattr(value, each)}


def _maker(cls: type) -> Make:
    """Make instances of a frozen dataclass without its ``__init__``, but initialised."""
    initialise: Any = getattr(cls, "__post_init__", None)
    name = type_name(cls)

    def make(values: dict[str, Any]) -> Any:
        made: Any = object.__new__(cls)
        for each, held in values.items():
            object.__setattr__(made, each, held)
        if initialise is not None:
            try:
                initialise(made)
            except Exception as error:
                raise MisfitError(f"is refused by {name}.__post_init__: {error}") from error
        return made

    return make


def _fields_packer(cls: type, fields: Sequence[PlannedField]) -> Pack:
    packs = [(each.spec, each.plan.packed()) for each in fields]
    written = written_struct(type_name(cls), fields)

    def pack_fields(value: Any, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            raise too_deep()
        result = []
        for spec, packed in packs:
            try:
                held = getattr(value, spec.name, ABSENT)
                if held is ABSENT:
                    # An instance of an earlier definition does not have newer fields.
                    if type(value) is cls or not spec.optional:
                        raise MisfitError("is missing; make a complete instance")
                    held = spec.fill()
                result.append(packed(held, depth + 1))
            except MisfitError as misfit:
                raise misfit.at(f".{spec.name}") from misfit.__cause__
        return written(*result)

    return pack_fields


def named_tuple_plan(plan: Plan, cls: Any, fields: Sequence[PlannedField]) -> None:
    """Complete the plan of a named tuple, which is recorded by the names of its fields."""
    name = type_name(cls)
    pack_fields = _fields_packer(cls, fields)

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls and not plan.earlier(value):
            raise wrong_type(value, name)
        if type(value) is cls and len(value) != len(fields):
            raise MisfitError(f"has {len(value)} elements where {name} has {len(fields)}")
        return pack_fields(value, depth)

    plan.pack = pack
    plan.wire = read_struct(name, fields)
    plan.unpack = _record_unpacker(fields, lambda values: tuple.__new__(cls, values.values()))


def _record_unpacker(fields: Sequence[PlannedField], make: Make) -> Unpack:
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
    decoders: list[msgspec.json.Decoder[Any]] = []

    def unpack(raw: Any) -> Any:
        if not decoders:
            decoders.append(msgspec.json.Decoder(plan.wire))
        try:
            value = decoders[0].decode(raw)
        except msgspec.MsgspecError as error:
            raise misread(error) from error
        return plan.unpack(value) if plan.unpack else value

    def pack(value: Any, depth: int) -> Any:
        return plan.pack(value, depth)

    return Plan(
        plan.tag,
        plan.accepts,
        plan.kinds,
        wire=msgspec.Raw,
        pack=pack,
        unpack=unpack,
        named=plan.named,
    )
