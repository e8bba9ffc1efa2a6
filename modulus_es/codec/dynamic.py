"""The plan of fields without a declared type: every value says what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from modulus_es.codec.plan import (
    MAX_DEPTH,
    MisfitError,
    Plan,
    key_part,
    pack_each,
    too_deep,
    type_name,
    unpack_each,
)
from modulus_es.codec.scalars import SCALARS

_to_json = msgspec.json.Encoder().encode
_PLAIN = frozenset((type(None), bool, int, float, str))
_TAGGED = {cls: plan for cls, plan in SCALARS.items() if cls is not None and cls not in _PLAIN}
_WIRES = {plan.tag: plan.wire for plan in _TAGGED.values()}


def _pack(value: Any, depth: int) -> Any:
    cls = type(value)
    if cls in _PLAIN:
        return SCALARS[cls].pack(value, depth)
    if cls in _TAGGED:
        plan = _TAGGED[cls]
        return {plan.tag: plan.pack(value, depth)}
    if cls not in _PACKS:
        raise MisfitError(
            f"is of type {type_name(cls)}, and a field without a type hint takes only None, "
            "numbers, text, bytes, ids, dates and times, and containers of them; "
            "give the field a type hint, or record the parts of the value"
        )
    if depth >= MAX_DEPTH:
        raise too_deep()
    return _PACKS[cls](value, depth)


def _pack_list(values: Any, depth: int) -> list[Any]:
    return pack_each(_pack, values, depth)


def _pack_set(values: Any, depth: int) -> list[Any]:
    return sorted(_pack_list(values, depth), key=_to_json)


def _pack_dict(mapping: dict[Any, Any], depth: int) -> Any:
    pairs = []
    for key, held in mapping.items():
        try:
            pairs.append([_pack(key, depth + 1), _pack(held, depth + 1)])
        except MisfitError as misfit:
            raise misfit.at(key_part(key)) from None
    return dict(pairs) if all(type(key) is str for key in mapping) else pairs


_PACKS: dict[type, Callable[[Any, int], Any]] = {
    list: _pack_list,
    tuple: lambda value, depth: {"tuple": _pack_list(value, depth)},
    set: lambda value, depth: {"set": _pack_set(value, depth)},
    frozenset: lambda value, depth: {"frozenset": _pack_set(value, depth)},
    dict: lambda value, depth: {"dict": _pack_dict(value, depth)},
}


def _unpack(raw: Any) -> Any:
    cls = type(raw)
    if cls is list:
        return unpack_each(_unpack, raw)
    if cls is not dict:
        return raw
    if len(raw) != 1:
        raise MisfitError("expected an object with one key, the name of the value's type")
    ((tag, held),) = raw.items()
    if tag not in _UNPACKS:
        raise MisfitError(f"{tag[:40]!r} is not the name of a type that is recorded")
    try:
        return _UNPACKS[tag](held)
    except (msgspec.MsgspecError, TypeError, ValueError):
        raise MisfitError(f"cannot be read as the {tag} that it says it is") from None


def _unpack_dict(held: Any) -> dict[Any, Any]:
    if type(held) is dict:
        return {key: _unpack(value) for key, value in held.items()}
    return dict(_unpack(pair) for pair in _array(held))


def _array(held: Any) -> list[Any]:
    if type(held) is not list:
        raise TypeError("an array is expected")
    return held


def _converting(wire: Any) -> Callable[[Any], Any]:
    return lambda held: msgspec.convert(held, wire)


_UNPACKS: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda held: tuple(unpack_each(_unpack, _array(held))),
    "set": lambda held: set(unpack_each(_unpack, _array(held))),
    "frozenset": lambda held: frozenset(unpack_each(_unpack, _array(held))),
    "dict": _unpack_dict,
    **{tag: _converting(wire) for tag, wire in _WIRES.items()},
}

DYNAMIC = Plan(
    "Any",
    (),
    ("null", "bool", "int", "float", "str", "array", "object"),
    wire=Any,
    pack=_pack,
    unpack=_unpack,
)
