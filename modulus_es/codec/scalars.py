"""Plans of single values: what JSON can say exactly, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from typing import Any
from uuid import UUID

from modulus_es.codec.plan import Check, Fault, Plan, is_redefinition, type_name, wrong_type

_UTC = timezone.utc


def scalar(
    cls: type,
    kind: str,
    *,
    also: Check | None = None,
    fault: Callable[[Any], str | None] | None = None,
) -> Plan:
    """Make the plan of a type that msgspec itself writes and reads exactly."""
    name = type_name(cls)

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls:
            raise wrong_type(value, name)
        problem = fault(value) if fault is not None else None
        if problem is not None:
            raise Fault(problem)
        return value

    return Plan(
        tag=name,
        accepts=frozenset((cls,)),
        kinds=kind,
        wire=cls,
        pack=pack,
        direct=True,
        also=also,
        is_key=kind != "bool",
    )


def _str_fault(value: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is not text in UTF-8; record it as bytes"
    return None


def _int_fault(value: int) -> str | None:
    try:
        str(value)
    except ValueError:
        return "has more digits than Python writes or reads as text; record it as bytes"
    return None


def _number_fault(value: float | Decimal) -> str | None:
    finite = value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)
    return None if finite else "is not a finite number; record None or a status instead"


def _fold_and_zone_fault(value: datetime | time) -> str | None:
    if value.fold:
        return "has fold=1, which would be lost; record the instant: value.astimezone(timezone.utc)"
    zone = value.tzinfo
    if zone is None or zone is _UTC:
        return None
    if type(zone) is not timezone:
        return (
            f"has the time zone class {type_name(type(zone))}, and only an offset can be recorded; "
            "record value.astimezone(timezone.utc), and the zone's name in a field of its own"
        )
    offset = zone.utcoffset(None)
    if offset.microseconds or offset.seconds % 60:
        return "has an offset that is no whole number of minutes; record it in UTC"
    if repr(zone) != repr(timezone(offset)):
        return "has a named offset, and the name would be lost; use timezone(offset) or UTC"
    return None


def _plain_time(value: datetime | time) -> bool:
    zone = value.tzinfo
    if (zone is None or zone is _UTC) and not value.fold:
        return True
    return _fold_and_zone_fault(value) is None


SCALARS: dict[Any, Plan] = {
    None: scalar(type(None), "null"),
    type(None): scalar(type(None), "null"),
    bool: scalar(bool, "bool"),
    int: scalar(int, "int", fault=_int_fault),
    float: scalar(float, "float", also=math.isfinite, fault=_number_fault),
    str: scalar(str, "str", fault=_str_fault),
    bytes: scalar(bytes, "str"),
    UUID: scalar(UUID, "str"),
    Decimal: scalar(Decimal, "str", also=Decimal.is_finite, fault=_number_fault),
    datetime: scalar(datetime, "str", also=_plain_time, fault=_fold_and_zone_fault),
    date: scalar(date, "str"),
    time: scalar(time, "str", also=_plain_time, fault=_fold_and_zone_fault),
    timedelta: scalar(timedelta, "str"),
}


def enum_plan(cls: type[Enum]) -> Plan:
    """Record a member by its value where all are str or all int, a flag by its
    number, and any other member by its name."""
    values = {type(member.value) for member in cls}
    if issubclass(cls, Flag):
        return _enum_plan(cls, "int", int, lambda member: member.value, cls)
    if values in ({str}, {int}):
        kind = "str" if values == {str} else "int"
        return _enum_plan(cls, kind, cls, lambda member: member.value, None)
    return _enum_plan(cls, "str", str, lambda member: member.name, cls.__getitem__)


def _enum_plan(
    cls: type[Enum],
    kind: str,
    wire: Any,
    write: Callable[[Any], Any],
    read: Callable[[Any], Any] | None,
) -> Plan:
    name = type_name(cls)
    find = read or cls

    def unpack(raw: Any) -> Any:
        try:
            return find(raw)
        except (KeyError, ValueError):
            raise Fault(f"{raw!r} is no member of {name}") from None

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls:
            if not is_redefinition(type(value), cls):
                raise wrong_type(value, name)
            unpack(write(value))
        return write(value)

    return Plan(
        tag=name,
        accepts=frozenset((cls,)),
        kinds=kind,
        wire=wire,
        pack=pack,
        unpack=unpack if read else None,
        direct=read is None,
        is_key=True,
    )
