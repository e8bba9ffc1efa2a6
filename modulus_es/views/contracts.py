"""What crosses the bus as contracts: its fields, their types, their JSON Schema."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal

import msgspec

from modulus_es.codec import FieldSpec, field_specs
from modulus_es.codec.compiler import Compiler
from modulus_es.codec.hints import current, declared_fields, resolve
from modulus_es.codec.plan import type_name
from modulus_es.errors import UnsupportedFieldError
from modulus_es.messages import Command
from modulus_es.naming import stable_name

_NONE = re.compile(r"\bNoneType\b")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Field(msgspec.Struct, frozen=True):
    """A field of a contract, or of a record in it.

    >>> Field("total", "Decimal")
    Field(name='total', type='Decimal', required=True)
    """

    name: str
    type: str
    required: bool = True


class Contract(msgspec.Struct, frozen=True):
    """An integration event or a command: what its body holds, who sends it, who takes it.

    ``types`` has the fields of the records that its fields mention, ``enums``
    the members of the enums, by name; ``publishers`` are modules, ``consumers``
    (module, handler) pairs. ``kind`` is event or command.

    >>> Contract("OrderCreated", 1, (Field("total", "int"),)).fields[0].type
    'int'
    """

    name: str
    version: int
    fields: tuple[Field, ...]
    types: dict[str, tuple[Field, ...]] = msgspec.field(default_factory=dict)
    enums: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    publishers: tuple[str, ...] = ()
    consumers: tuple[tuple[str, str], ...] = ()
    description: str = ""
    json_schema: dict[str, Any] = msgspec.field(default_factory=dict, name="schema")
    kind: Literal["event", "command"] = "event"


def contract_of(
    cls: Any, publishers: tuple[str, ...] = (), consumers: tuple[tuple[str, str], ...] = ()
) -> Contract:
    """The contract that the class of an integration event or of a command is.

    A class that mentions a name which is not defined has no fields yet, and
    says so in its description.

    >>> from modulus_es import IntegrationEvent
    >>> class OrderCreated(IntegrationEvent):
    ...     total: int
    ...     note: str = ""
    >>> contract = contract_of(OrderCreated)
    >>> [(field.name, field.type, field.required) for field in contract.fields]
    [('total', 'int', True), ('note', 'str', False)]
    >>> contract.json_schema["required"]
    ['total']
    """
    name, version = stable_name(cls), cls.class_version
    try:
        specs = field_specs(cls, exclude=cls.__base_fields__)
        fields = tuple(_field(spec) for spec in specs)
        schema = _schema(name, specs)
    except UnsupportedFieldError as error:
        fields, specs, schema = (), [], {"title": name}
        said = str(error)
    else:
        said = _description(cls)
    types: dict[str, tuple[Field, ...]] = {}
    enums: dict[str, dict[str, str]] = {}
    for spec in specs:
        _collect(spec.hint, types, enums)
    return Contract(
        name, version, fields, dict(sorted(types.items())), dict(sorted(enums.items())),
        publishers, consumers, said, {"$schema": _DIALECT, **schema},
        "command" if issubclass(cls, Command) else "event",
    )  # fmt: skip


def _field(spec: FieldSpec) -> Field:
    return Field(spec.name, _written(spec.hint), not spec.optional)


def _written(hint: Any) -> str:
    """The type as it is read in a table; a literal with its values."""
    if typing.get_origin(hint) is Literal:
        return f"Literal[{', '.join(repr(value) for value in typing.get_args(hint))}]"
    if isinstance(hint, typing.TypeVar):
        return hint.__name__
    return _NONE.sub("None", Compiler("a contract").plan(hint, {}).tag)


def _schema(name: str, specs: list[FieldSpec]) -> dict[str, Any]:
    """The JSON Schema of a body, exactly as it is on the wire."""
    properties: dict[str, Any] = {}
    known: dict[str, Any] = {}
    for spec in specs:
        wire = Compiler(name).plan(spec.hint, {}).wire
        try:
            made = msgspec.json.schema(wire)
        except (KeyError, TypeError):
            # msgspec cannot tell two tagged unions within one field apart: it may be anything.
            made = {}
        inside = made.pop("$defs", {})
        renamed = {
            held: f"{held}.{spec.name}" if known.get(held, shape) != shape else held
            for held, shape in inside.items()
        }
        properties[spec.name] = _renamed(made, renamed)
        known.update({renamed[held]: _renamed(shape, renamed) for held, shape in inside.items()})
    schema = {
        "title": name,
        "type": "object",
        "properties": properties,
        "required": [spec.name for spec in specs if not spec.optional],
    }
    return {**schema, "$defs": known} if known else schema


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """The schema with its references to definitions that have another name here."""
    if isinstance(schema, list):
        return [_renamed(part, names) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _renamed(part, names) for key, part in schema.items()}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix("#/$defs/")
        found["$ref"] = f"#/$defs/{names.get(name, name)}"
    return found


def _collect(
    hint: Any, types: dict[str, tuple[Field, ...]], enums: dict[str, dict[str, str]]
) -> None:
    """Note the records and enums that a type mentions, and those that they mention."""
    for cls in _classes(hint):
        if issubclass(cls, Enum):
            enums[type_name(cls)] = {name: repr(m.value) for name, m in cls.__members__.items()}
            continue
        if type_name(cls) in types:
            continue
        hints = [
            dataclasses.replace(spec, hint=resolve(spec.hint, owner, type_name(cls)))
            for spec, owner in declared_fields(cls)
        ]
        types[type_name(cls)] = tuple(_field(spec) for spec in hints)
        for spec in hints:
            _collect(spec.hint, types, enums)


def _classes(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) is Literal:
        return
    if hasattr(hint, "__value__"):
        yield from _classes(hint.__value__)
        return
    origin = typing.get_origin(hint) or hint
    if isinstance(origin, type):
        cls = current(origin, [])[0]
        if issubclass(cls, Enum) or dataclasses.is_dataclass(cls) or hasattr(cls, "_fields"):
            yield cls
    for argument in typing.get_args(hint):
        yield from _classes(argument)


def _description(cls: Any) -> str:
    """The first line of the class's docstring, unless a dataclass has written it."""
    said = inspect.cleandoc(cls.__dict__.get("__doc__") or "").partition("\n")[0]
    return "" if said.startswith(f"{cls.__name__}(") else said
