"""Plans of unions and literals."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import reduce
from operator import or_
from typing import Any, Literal

import msgspec

from modulus_es.codec.plan import Check, Fault, Plan, type_name

_ABSENT: Any = msgspec.UNSET


def union_plan(members: list[Plan]) -> Plan:
    """``A | B``: plain where JSON itself tells the members apart, tagged elsewhere.

    Plain, ``Decimal | None`` is ``"42.00"`` or ``null``; tagged, ``UUID | str``
    is ``{"UUID": "..."}`` or ``{"str": "..."}``.
    """
    nullable = any(member.kinds == {"null"} for member in members)
    others = [member for member in members if member.kinds != {"null"}]
    if not others:
        return members[0]
    if len(others) == 1:
        return _optional_plan(others[0], members) if nullable else others[0]
    if _distinct_in_json(others):
        return _plain_plan(members)
    return _tagged_plan(others, members, nullable)


def _distinct_in_json(members: list[Plan]) -> bool:
    kinds = [kind for member in members for kind in member.kinds]
    if len(kinds) != len(set(kinds)) or any(member.unpack for member in members):
        return False
    try:
        msgspec.json.Decoder(_either(members))
    except TypeError:
        return False
    return True


def _either(members: list[Plan]) -> Any:
    return reduce(or_, (member.wire for member in members))


def _pack_any(members: list[Plan]) -> Callable[[Any, int], tuple[Plan, Any]]:
    """Pack with the one member that takes the value; say all that are declared if none does."""
    by_type: dict[type, list[Plan]] = {}
    for member in members:
        for cls in member.accepts:
            by_type.setdefault(cls, []).append(member)
    declared = " | ".join(member.tag for member in members)

    def pack_any(value: Any, depth: int) -> tuple[Plan, Any]:
        candidates = by_type.get(type(value)) or [m for m in members if m.earlier(value)]
        faults: list[Fault] = []
        for member in candidates:
            try:
                return member, member.pack(value, depth)
            except Fault as fault:
                faults.append(fault)
        if len(faults) == 1:
            raise faults[0]
        if faults:
            reasons = "; ".join(
                f"as {member.tag}{fault.path} it {fault.message}"
                for member, fault in zip(candidates, faults, strict=True)
            )
            raise Fault(f"fits no member of {declared}: {reasons}")
        raise Fault(
            f"is of type {type_name(type(value))} where {declared} is declared; "
            "convert the value, or change the type hint"
        )

    return pack_any


def _check_any(members: list[Plan]) -> Check | None:
    if not all(member.direct for member in members):
        return None
    checks: dict[type, Check | None] = {}
    for member in members:
        if member.exact is None:
            return None
        checks[member.exact] = member.also

    def check(value: Any) -> bool:
        cls = type(value)
        if cls not in checks:
            return False
        also = checks[cls]
        return also is None or also(value)

    return check


def _accepts(members: list[Plan]) -> frozenset[type]:
    return frozenset().union(*(member.accepts for member in members))


def _kinds(members: list[Plan]) -> str:
    return " ".join(sorted(frozenset().union(*(member.kinds for member in members))))


def _plain_plan(members: list[Plan]) -> Plan:
    pack_any, check = _pack_any(members), _check_any(members)
    return Plan(
        tag=" | ".join(member.tag for member in members),
        accepts=_accepts(members),
        kinds=_kinds(members),
        wire=_either(members),
        pack=lambda value, depth: pack_any(value, depth)[1],
        direct=check is not None,
        also=check,
    )


def _optional_plan(inner: Plan, members: list[Plan]) -> Plan:
    plan = _plain_plan(members)
    unpack = inner.unpack
    if inner.wire is msgspec.Raw:
        plan.wire = msgspec.Raw
        assert unpack is not None
        plan.unpack = lambda raw: None if bytes(raw) == b"null" else unpack(raw)
    elif unpack is not None:
        plan.unpack = lambda raw: None if raw is None else unpack(raw)
    return plan


def _tagged_plan(others: list[Plan], members: list[Plan], nullable: bool) -> Plan:
    names = [member.tag for member in others]
    fields = [f"m{index}" for index in range(len(others))]
    wire: Any = msgspec.defstruct(
        "Union",
        [(field, member.wire, _ABSENT) for field, member in zip(fields, others, strict=True)],
        rename=dict(zip(fields, names, strict=True)),
        kw_only=True,
        gc=False,
    )
    unpacks = [(field, member.unpack) for field, member in zip(fields, others, strict=True)]
    pack_any = _pack_any(members)

    def pack(value: Any, depth: int) -> Any:
        member, packed = pack_any(value, depth)
        return None if value is None else {member.tag: packed}

    def unpack(raw: Any) -> Any:
        if raw is None:
            return None
        found = [(u, getattr(raw, f)) for f, u in unpacks if getattr(raw, f) is not _ABSENT]
        if len(found) != 1:
            raise Fault(f"expected exactly one of the keys {', '.join(names)}")
        unpack_one, held = found[0]
        return unpack_one(held) if unpack_one else held

    return Plan(
        tag=" | ".join(member.tag for member in members),
        accepts=_accepts(members),
        kinds="null object" if nullable else "object",
        wire=wire | None if nullable else wire,
        pack=pack,
        unpack=unpack,
    )


def literal_plan(values: tuple[Any, ...], inner: Plan) -> Plan:
    """``Literal[...]``: as the union of its values' types, with the values compared."""
    allowed = {(type(value), value) for value in values}
    shown = f"Literal[{', '.join(_shown(value) for value in values)}]"
    pack_inner, unpack_inner = inner.pack, inner.unpack

    def also(value: Any) -> bool:
        return type(value) in inner.accepts and (type(value), value) in allowed

    def pack(value: Any, depth: int) -> Any:
        if not also(value):
            raise Fault(f"is none of the values that {shown} declares")
        return pack_inner(value, depth)

    if unpack_inner is None and {type(value) for value in values} <= {str, int, type(None)}:
        wire: Any = Literal[values]
        unpack = None
    else:
        wire = inner.wire

        def unpack(raw: Any) -> Any:
            value = unpack_inner(raw) if unpack_inner else raw
            if not also(value):
                raise Fault(f"is none of the values that {shown} declares")
            return value

    return Plan(
        tag="Literal",
        accepts=inner.accepts,
        kinds=" ".join(inner.kinds),
        wire=wire,
        pack=pack,
        unpack=unpack,
        direct=inner.direct,
        also=also,
        is_key=inner.is_key and len(inner.accepts) == 1,
    )


def _shown(value: Any) -> str:
    return f"{type_name(type(value))}.{value.name}" if isinstance(value, Enum) else repr(value)
