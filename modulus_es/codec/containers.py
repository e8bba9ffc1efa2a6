"""Plans of lists, tuples, sets and dicts."""

from __future__ import annotations

from typing import Any

import msgspec

from modulus_es.codec.plan import Check, Fault, Pack, Plan, Unpack, wrong_type

_to_json = msgspec.json.Encoder().encode


def _all_pass(item: Plan) -> Check | None:
    """A check that every element passes, with the exact types compared in C."""
    also, exact = item.also, item.exact
    if exact is None:
        check = item.check
        assert check is not None
        return lambda values: all(map(check, values))
    types = {exact}
    if also is None:
        return lambda values: types.issuperset(map(type, values))

    def all_pass(values: Any) -> bool:
        for value in values:
            if type(value) is not exact or not also(value):
                return False
        return True

    return all_pass


def _pack_items(item: Plan) -> Pack:
    packed = item.packed()

    def pack(values: Any, depth: int) -> list[Any]:
        result: list[Any] = []
        try:
            for value in values:
                result.append(packed(value, depth + 1))
        except Fault as fault:
            raise fault.at(f"[{len(result)}]") from None
        return result

    return pack


def _unpack_items(item: Plan) -> Unpack | None:
    unpack = item.unpack
    if unpack is None:
        return None

    def unpack_items(raw: Any) -> list[Any]:
        result: list[Any] = []
        try:
            for value in raw:
                result.append(unpack(value))
        except Fault as fault:
            raise fault.at(f"[{len(result)}]") from None
        return result

    return unpack_items


def sequence_plan(cls: type, item: Plan) -> Plan:
    """``list[T]`` and ``tuple[T, ...]``: a JSON array."""
    name = cls.__name__
    pack_items, unpack_items = _pack_items(item), _unpack_items(item)
    unpack: Unpack | None = None
    if unpack_items is not None:
        unpack = unpack_items if cls is list else lambda raw: cls(unpack_items(raw))

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls:
            raise wrong_type(value, name)
        return pack_items(value, depth)

    wire: Any = list[item.wire] if cls is list or unpack else tuple[item.wire, ...]  # type: ignore[name-defined]
    return Plan(
        tag=f"{name}[{item.tag}]" if cls is list else f"{name}[{item.tag}, ...]",
        accepts=frozenset((cls,)),
        kinds="array",
        wire=wire,
        pack=pack,
        unpack=unpack,
        direct=item.direct,
        also=_all_pass(item) if item.direct else None,
    )


def set_plan(cls: type, item: Plan) -> Plan:
    """``set[T]`` and ``frozenset[T]``: an array, sorted by the encoded elements.

    The order of a set differs from run to run; that of its bytes must not.
    """
    name = cls.__name__
    pack_items, unpack_items = _pack_items(item), _unpack_items(item)

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls:
            raise wrong_type(value, name)
        return sorted(pack_items(value, depth), key=_to_json)

    def unpack(raw: Any) -> Any:
        assert unpack_items is not None
        return cls(unpack_items(raw))

    return Plan(
        tag=f"{name}[{item.tag}]",
        accepts=frozenset((cls,)),
        kinds="array",
        wire=list[item.wire] if unpack_items else cls[item.wire],  # type: ignore[name-defined,index]
        pack=pack,
        unpack=unpack if unpack_items else None,
    )


def tuple_plan(items: list[Plan]) -> Plan:
    """``tuple[A, B]``: an array of exactly so many."""
    size = len(items)
    packs = [item.packed() for item in items]
    unpacks = [(index, item.unpack) for index, item in enumerate(items) if item.unpack]
    checks = [item.check for item in items]
    tag = f"tuple[{', '.join(item.tag for item in items) or '()'}]"

    def also(value: Any) -> bool:
        return len(value) == size and all(
            [check(item) for check, item in zip(checks, value, strict=True) if check]
        )

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not tuple:
            raise wrong_type(value, "tuple")
        if len(value) != size:
            raise Fault(f"has {len(value)} elements where {tag} is declared")
        result: list[Any] = []
        try:
            for item, packed in zip(value, packs, strict=True):
                result.append(packed(item, depth + 1))
        except Fault as fault:
            raise fault.at(f"[{len(result)}]") from None
        return result

    def unpack(raw: Any) -> Any:
        values = list(raw)
        for index, unpack_item in unpacks:
            try:
                values[index] = unpack_item(values[index])
            except Fault as fault:
                raise fault.at(f"[{index}]") from None
        return tuple(values)

    direct = all(item.direct for item in items)
    return Plan(
        tag=tag,
        accepts=frozenset((tuple,)),
        kinds="array",
        wire=tuple[tuple(item.wire for item in items)],  # type: ignore[misc]
        pack=pack,
        unpack=unpack if unpacks else None,
        direct=direct,
        also=also if direct else None,
    )


def dict_plan(key: Plan, value: Plan) -> Plan:
    """``dict[K, V]``: an object where JSON can say the keys, an array of pairs elsewhere."""
    if not key.is_key:
        return _pairs_plan(key, value)
    pack_key, pack_value = key.packed(), value.packed()
    unpack_key, unpack_value = key.unpack, value.unpack

    def pack(mapping: Any, depth: int) -> Any:
        if type(mapping) is not dict:
            raise wrong_type(mapping, "dict")
        result = {}
        for each, held in mapping.items():
            try:
                result[pack_key(each, depth + 1)] = pack_value(held, depth + 1)
            except Fault as fault:
                raise fault.at(key_part(each)) from None
        return result

    def unpack(raw: Any) -> Any:
        result = {}
        for each, held in raw.items():
            try:
                name = unpack_key(each) if unpack_key else each
                result[name] = unpack_value(held) if unpack_value else held
            except Fault as fault:
                raise fault.at(key_part(each)) from None
        return result

    direct = key.direct and value.direct
    also: Check | None = None
    if direct:
        keys_pass, values_pass = _all_pass(key), _all_pass(value)
        assert keys_pass is not None
        assert values_pass is not None

        def also(mapping: Any) -> bool:
            return keys_pass(mapping) and values_pass(mapping.values())

    return Plan(
        tag=f"dict[{key.tag}, {value.tag}]",
        accepts=frozenset((dict,)),
        kinds="object",
        wire=dict[key.wire, value.wire],  # type: ignore[name-defined]
        pack=pack,
        unpack=unpack if unpack_key or unpack_value else None,
        direct=direct,
        also=also,
    )


def _pairs_plan(key: Plan, value: Plan) -> Plan:
    pair = tuple_plan([key, value])
    pack_pairs = _pack_items(pair)
    unpack_pairs = _unpack_items(pair)

    def pack(mapping: Any, depth: int) -> Any:
        if type(mapping) is not dict:
            raise wrong_type(mapping, "dict")
        return pack_pairs(mapping.items(), depth)

    def unpack(raw: Any) -> Any:
        return dict(unpack_pairs(raw) if unpack_pairs else raw)

    return Plan(
        tag=f"dict[{key.tag}, {value.tag}]",
        accepts=frozenset((dict,)),
        kinds="array",
        wire=list[pair.wire],  # type: ignore[name-defined]
        pack=pack,
        unpack=unpack,
    )


def key_part(key: object) -> str:
    """A key in a path; only what has a short, safe text is shown."""
    if type(key) is str:
        return f"[{key[:40]!r}]"
    if type(key) is int and key.bit_length() <= 64:
        return f"[{key}]"
    return f"[a {type(key).__name__} key]"
