"""The plan of fields without a declared type: every value says what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from modulus_es.codec.plan import MAX_DEPTH, Fault, Plan, too_deep, type_name
from modulus_es.codec.scalars import SCALARS

_to_json = msgspec.json.Encoder().encode
_PLAIN = frozenset((type(None), bool, int, float, str))
_TAGGED = {cls: plan for cls, plan in SCALARS.items() if cls is not None and cls not in _PLAIN}
_BY_TAG = {plan.tag: plan.wire for plan in _TAGGED.values()}


def _pack(value: Any, depth: int) -> Any:
    cls = type(value)
    if cls in _PLAIN:
        return SCALARS[cls].pack(value, depth)
    scalar = _TAGGED.get(cls)
    if scalar is not None:
        return {scalar.tag: scalar.pack(value, depth)}
    if depth >= MAX_DEPTH:
        raise too_deep()
    if cls is list:
        return _pack_items(value, depth)
    if cls is tuple:
        return {"tuple": _pack_items(value, depth)}
    if cls is set or cls is frozenset:
        return {cls.__name__: sorted(_pack_items(value, depth), key=_to_json)}
    if cls is dict:
        return {"dict": _pack_dict(value, depth)}
    raise Fault(
        f"is of type {type_name(cls)}, and a field without a type hint takes only numbers, text, "
        "dates, ids and containers of them; "
        "give the field a type hint that names a frozen dataclass or an enum, or record its parts"
    )


def _pack_items(values: Any, depth: int) -> list[Any]:
    result: list[Any] = []
    try:
        for value in values:
            result.append(_pack(value, depth + 1))
    except Fault as fault:
        raise fault.at(f"[{len(result)}]") from None
    return result


def _pack_dict(mapping: dict[Any, Any], depth: int) -> Any:
    if all(type(key) is str for key in mapping):
        result = {}
        for key, held in mapping.items():
            try:
                result[SCALARS[str].pack(key, depth)] = _pack(held, depth + 1)
            except Fault as fault:
                raise fault.at(f"[{key[:40]!r}]") from None
        return result
    return [_pack_items(pair, depth) for pair in mapping.items()]


def _unpack(raw: Any) -> Any:
    cls = type(raw)
    if cls is list:
        return [_unpack(value) for value in raw]
    if cls is not dict:
        return raw
    if len(raw) != 1:
        raise Fault("expected an object with exactly one key, the name of the value's type")
    ((tag, held),) = raw.items()
    wire = _BY_TAG.get(tag)
    try:
        if wire is not None:
            return msgspec.convert(held, wire)
        return _CONTAINERS[tag](held)
    except (KeyError, TypeError, ValueError):
        raise Fault(f"cannot be read as the type that it names, {tag[:40]!r}") from None


def _unpack_dict(held: Any) -> dict[Any, Any]:
    if type(held) is dict:
        return {key: _unpack(value) for key, value in held.items()}
    return {_unpack(key): _unpack(value) for key, value in held}


def _unpack_into(cls: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    def unpack(held: Any) -> Any:
        if type(held) is not list:
            raise TypeError("an array is expected")
        return cls([_unpack(value) for value in held])

    return unpack


_CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "tuple": _unpack_into(tuple),
    "set": _unpack_into(set),
    "frozenset": _unpack_into(frozenset),
    "dict": _unpack_dict,
}

DYNAMIC = Plan(
    tag="Any",
    accepts=frozenset(),
    kinds="null bool int float str array object",
    wire=Any,
    pack=_pack,
    unpack=_unpack,
    dynamic=True,
)
