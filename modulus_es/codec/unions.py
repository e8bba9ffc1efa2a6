"""Plans of unions and literals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Literal, Union

import msgspec

from modulus_es.codec.plan import Check, MisfitError, Plan, type_name

_ABSENT: Any = msgspec.UNSET
Choose = Callable[[Any, int], tuple[Plan, Any]]


def union_plan(members: Sequence[Plan]) -> Plan:
    """``A | B``: plain where JSON itself tells the members apart, tagged elsewhere.

    Plain, ``Decimal | None`` is ``"42.00"`` or ``null``; tagged, ``UUID | str``
    is ``{"UUID": "..."}`` or ``{"str": "..."}``.
    """
    if len(members) == 1:
        return members[0]
    others = [member for member in members if member.kinds != {"null"}]
    if len(others) == 1:
        return _optional_plan(others[0], members)
    if _distinct_in_json(members):
        return _plain_plan(members)
    return _tagged_plan(others, members)


def _distinct_in_json(members: Sequence[Plan]) -> bool:
    kinds = [kind for member in members for kind in member.kinds]
    if len(kinds) != len(set(kinds)) or any(member.unpack for member in members):
        return False
    try:
        msgspec.json.Decoder(_either(members))
    except TypeError:
        return False
    return True


def _either(members: Sequence[Plan]) -> Any:
    return Union[tuple(member.wire for member in members)]  # noqa: UP007 - there is no | of a tuple


def _tag(members: Sequence[Plan]) -> str:
    return " | ".join(member.tag for member in members)


def _chooser(members: Sequence[Plan]) -> Choose:
    """Pack with the member that takes the value; say which were tried where none does."""
    by_type: dict[type, list[Plan]] = {}
    for member in members:
        for cls in member.accepts:
            by_type.setdefault(cls, []).append(member)
    declared = _tag(members)

    def choose(value: Any, depth: int) -> tuple[Plan, Any]:
        candidates = by_type.get(type(value)) or [one for one in members if one.earlier(value)]
        misfits: list[MisfitError] = []
        for member in candidates:
            try:
                return member, member.pack(value, depth)
            except MisfitError as misfit:
                misfits.append(misfit)
        if len(misfits) == 1:
            raise misfits[0]
        if misfits:
            tried = "; ".join(
                f"as {member.tag}, its {misfit.path or 'value'} {misfit.message}"
                for member, misfit in zip(candidates, misfits, strict=True)
            )
            raise MisfitError(f"fits no member of {declared}: {tried}")
        raise MisfitError(
            f"is of type {type_name(type(value))} where {declared} is declared; "
            "convert the value, or change the type hint"
        )

    return choose


def _test_any(members: Sequence[Plan]) -> Check | None:
    tests: dict[type, Check | None] = {}
    for member in members:
        if not member.direct or member.exact is None:
            return None
        tests[member.exact] = member.also

    def test(value: Any) -> bool:
        cls = type(value)
        if cls not in tests:
            return False
        also = tests[cls]
        return also is None or also(value)

    return test


def _plain_plan(members: Sequence[Plan]) -> Plan:
    choose, test = _chooser(members), _test_any(members)
    return Plan(
        _tag(members),
        [cls for member in members for cls in member.accepts],
        [kind for member in members for kind in member.kinds],
        wire=_either(members),
        pack=lambda value, depth: choose(value, depth)[1],
        direct=test is not None,
        also=test,
    )


def _optional_plan(inner: Plan, members: Sequence[Plan]) -> Plan:
    plan = _plain_plan(members)
    unpack = inner.unpack
    if unpack is None:
        return plan
    if inner.wire is msgspec.Raw:
        plan.wire = msgspec.Raw
        plan.unpack = lambda raw: None if bytes(raw) == b"null" else unpack(raw)
    else:
        plan.unpack = lambda raw: None if raw is None else unpack(raw)
    return plan


def _tagged_plan(others: Sequence[Plan], members: Sequence[Plan]) -> Plan:
    tags = [member.tag for member in others]
    names = [f"member_{index}" for index in range(len(others))]
    struct: Any = msgspec.defstruct(
        "Union",
        [(name, member.wire, _ABSENT) for name, member in zip(names, others, strict=True)],
        rename=dict(zip(names, tags, strict=True)),
        kw_only=True,
        gc=False,
    )
    unpacks = [(name, member.unpack) for name, member in zip(names, others, strict=True)]
    choose = _chooser(members)
    nullable = any("null" in member.kinds for member in members)

    def pack(value: Any, depth: int) -> Any:
        member, packed = choose(value, depth)
        return None if value is None else {member.tag: packed}

    def unpack(raw: Any) -> Any:
        if raw is None:
            return None
        found = [
            (unpack_one, held)
            for name, unpack_one in unpacks
            if (held := getattr(raw, name)) is not _ABSENT
        ]
        if len(found) != 1:
            raise MisfitError(f"expected an object with one of the keys {', '.join(tags)}")
        unpack_one, held = found[0]
        return unpack_one(held) if unpack_one else held

    return Plan(
        _tag(members),
        [cls for member in members for cls in member.accepts],
        ("null", "object") if nullable else ("object",),
        wire=struct | None if nullable else struct,
        pack=pack,
        unpack=unpack,
    )


def literal_plan(values: Sequence[Any], inner: Plan) -> Plan:
    """``Literal[...]``: written as the union of its values' types, and compared both ways."""
    allowed = {(type(value), value) for value in values}
    shown = f"Literal[{', '.join(map(_shown, values))}]"
    pack_inner, unpack_inner = inner.pack, inner.unpack
    simple = unpack_inner is None and {type(value) for value in values} <= {str, int, type(None)}

    def test(value: Any) -> bool:
        return type(value) in inner.accepts and (type(value), value) in allowed

    def pack(value: Any, depth: int) -> Any:
        if not test(value):
            raise MisfitError(f"is none of the values that {shown} declares; pass one of them")
        return pack_inner(value, depth)

    def unpack(raw: Any) -> Any:
        value = unpack_inner(raw) if unpack_inner else raw
        if not test(value):
            raise MisfitError(f"is none of the values that {shown} declares")
        return value

    return Plan(
        "Literal",
        inner.accepts,
        inner.kinds,
        wire=Literal[tuple(values)] if simple else inner.wire,
        pack=pack,
        unpack=None if simple else unpack,
        direct=inner.direct,
        also=test,
        is_key=inner.is_key,
    )


def _shown(value: Any) -> str:
    return f"{type_name(type(value))}.{value.name}" if isinstance(value, Enum) else repr(value)
