"""Plans of lists, tuples, sets and dicts."""

from __future__ import annotations

from functools import partial
from types import GenericAlias
from typing import Any

import msgspec

from modulus_es.codec.blame import blame
from modulus_es.codec.fast import elements_test, fields_test
from modulus_es.codec.plan import (
    Check,
    MisfitError,
    Plan,
    Unpack,
    key_part,
    pack_each,
    unpack_each,
    wrong_type,
)

_to_json = msgspec.json.Encoder().encode


def list_plan(item: Plan) -> Plan:
    """``list[T]``: a JSON array."""
    return _array_plan(list, item, f"list[{item.tag}]", GenericAlias(list, item.wire))


def variadic_tuple_plan(item: Plan) -> Plan:
    """``tuple[T, ...]``: a JSON array of any length."""
    wire = GenericAlias(tuple, (item.wire, ...))
    return _array_plan(tuple, item, f"tuple[{item.tag}, ...]", wire)


def _array_plan(cls: Any, item: Plan, tag: str, wire: Any) -> Plan:
    packed = item.packed()

    def pack(value: Any, depth: int) -> list[Any]:
        if type(value) is not cls:
            raise wrong_type(value, cls.__name__)
        return pack_each(packed, value, depth)

    return Plan(
        tag,
        (cls,),
        ("array",),
        wire=wire,
        pack=pack,
        unpack=_unpack_into(cls, item),
        direct=item.direct,
        also=elements_test(item) if item.direct else None,
    )


def _unpack_into(cls: type, item: Plan) -> Unpack | None:
    unpack = item.unpack
    if unpack is None:
        return None
    if cls is list:
        return partial(unpack_each, unpack)
    return lambda raw: cls(unpack_each(unpack, raw))


def set_plan(cls: Any, item: Plan) -> Plan:
    """``set[T]`` and ``frozenset[T]``: an array, sorted by the encoded elements.

    The order of a set differs from run to run; that of its bytes must not.
    """
    packed, unpack = item.packed(), _unpack_into(cls, item)

    def pack(value: Any, depth: int) -> list[Any]:
        if type(value) is not cls:
            raise wrong_type(value, cls.__name__)
        elements = pack_each(packed, value, depth)
        try:
            return sorted(elements, key=_to_json)
        except Exception as error:
            raise blame(elements) from error

    return Plan(
        f"{cls.__name__}[{item.tag}]",
        (cls,),
        ("array",),
        # What is still to be unpacked may not be hashable yet.
        wire=(list if unpack else cls)[item.wire],
        pack=pack,
        unpack=unpack,
    )


def tuple_plan(items: list[Plan]) -> Plan:
    """``tuple[A, B]``: an array of exactly so many."""
    size = len(items)
    packs = [item.packed() for item in items]
    unpacks = [(index, item.unpack) for index, item in enumerate(items) if item.unpack]
    tag = f"tuple[{', '.join(item.tag for item in items) or '()'}]"
    test = fields_test(items)

    def pack(value: Any, depth: int) -> list[Any]:
        if type(value) is not tuple:
            raise wrong_type(value, "tuple")
        if len(value) != size:
            raise MisfitError(
                f"has {len(value)} elements where {tag} is declared; "
                "give it as many as declared, or change the type hint"
            )
        remaining = iter(packs)

        def pack_next(held: Any, deeper: int) -> Any:
            return next(remaining)(held, deeper)

        return pack_each(pack_next, value, depth)

    def unpack(raw: Any) -> Any:
        values = list(raw)
        for index, unpack_one in unpacks:
            try:
                values[index] = unpack_one(values[index])
            except MisfitError as misfit:
                raise misfit.at(f"[{index}]") from misfit.__cause__
        return tuple(values)

    return Plan(
        tag,
        (tuple,),
        ("array",),
        wire=GenericAlias(tuple, tuple(item.wire for item in items)),
        pack=pack,
        unpack=unpack if unpacks else None,
        direct=all(item.direct for item in items),
        also=lambda value: len(value) == size and test(value),
    )


def dict_plan(key: Plan, value: Plan) -> Plan:
    """``dict[K, V]``: an object where JSON can say the keys, an array of pairs elsewhere."""
    if not key.is_key:
        return _pairs_plan(key, value)
    pack_key, pack_value = key.packed(), value.packed()
    unpack_key, unpack_value = key.unpack, value.unpack

    def pack(mapping: Any, depth: int) -> dict[Any, Any]:
        if type(mapping) is not dict:
            raise wrong_type(mapping, "dict")
        result = {}
        for each, held in mapping.items():
            try:
                result[pack_key(each, depth + 1)] = pack_value(held, depth + 1)
            except MisfitError as misfit:
                raise misfit.at(key_part(each)) from misfit.__cause__
        return result

    def unpack(raw: Any) -> dict[Any, Any]:
        result = {}
        for each, held in raw.items():
            try:
                name = unpack_key(each) if unpack_key else each
                result[name] = unpack_value(held) if unpack_value else held
            except MisfitError as misfit:
                raise misfit.at(key_part(each)) from misfit.__cause__
        return result

    direct = key.direct and value.direct
    return Plan(
        f"dict[{key.tag}, {value.tag}]",
        (dict,),
        ("object",),
        wire=GenericAlias(dict, (key.wire, value.wire)),
        pack=pack,
        unpack=unpack if unpack_key or unpack_value else None,
        direct=direct,
        also=_entries_test(key, value) if direct else None,
    )


def _entries_test(key: Plan, value: Plan) -> Check:
    keys_test, values_test = elements_test(key), elements_test(value)
    return lambda mapping: keys_test(mapping) and values_test(mapping.values())


def _pairs_plan(key: Plan, value: Plan) -> Plan:
    pair = tuple_plan([key, value])
    pack_key, pack_value, unpack = key.packed(), value.packed(), _unpack_into(list, pair)

    def pack(mapping: Any, depth: int) -> list[Any]:
        if type(mapping) is not dict:
            raise wrong_type(mapping, "dict")
        pairs = []
        for each, held in mapping.items():
            try:
                pairs.append([pack_key(each, depth + 1), pack_value(held, depth + 1)])
            except MisfitError as misfit:
                raise misfit.at(key_part(each)) from misfit.__cause__
        return pairs

    return Plan(
        f"dict[{key.tag}, {value.tag}]",
        (dict,),
        ("array",),
        wire=GenericAlias(list, pair.wire),
        pack=pack,
        unpack=lambda raw: dict(unpack(raw) if unpack else raw),
    )
