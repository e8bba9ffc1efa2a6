"""Plans of single values: what JSON can say exactly, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from typing import Any
from uuid import UUID

from modulus_es.codec.plan import Check, MisfitError, Plan, type_name, wrong_type

_KEY_KINDS = frozenset(("str", "int", "float"))
_SMALL = 2**63


def _scalar(
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
            raise MisfitError(problem)
        return value

    return Plan(
        name,
        (cls,),
        (kind,),
        wire=cls,
        pack=pack,
        direct=True,
        also=also,
        is_key=kind in _KEY_KINDS,
    )


def _str_fault(value: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is no text in UTF-8; record it as bytes"
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


def _time_fault(value: datetime | time) -> str | None:
    if value.fold:
        return "has fold=1, which would be lost; record the instant in UTC"
    zone = value.tzinfo
    if zone is None or zone is UTC:
        return None
    if type(zone) is not timezone:
        return (
            f"has a tzinfo of type {type_name(type(zone))}, and only an offset can be recorded; "
            "record value.astimezone(timezone.utc), and the zone's name in a field of its own"
        )
    offset = zone.utcoffset(None)
    if offset.microseconds or offset.seconds % 60:
        return "has an offset that is no whole number of minutes; record the instant in UTC"
    if repr(zone) != repr(timezone(offset)):
        return "has an offset with a name, which would be lost; use timezone(offset) or UTC"
    return None


def _time_test(value: datetime | time) -> bool:
    zone = value.tzinfo
    if (zone is None or zone is UTC) and not value.fold:
        return True
    return _time_fault(value) is None


SCALARS: dict[Any, Plan] = {
    None: _scalar(type(None), "null"),
    type(None): _scalar(type(None), "null"),
    bool: _scalar(bool, "bool"),
    int: _scalar(int, "int", fault=_int_fault),
    float: _scalar(float, "float", also=math.isfinite, fault=_number_fault),
    str: _scalar(str, "str", fault=_str_fault),
    bytes: _scalar(bytes, "str"),
    UUID: _scalar(UUID, "str"),
    Decimal: _scalar(Decimal, "str", also=Decimal.is_finite, fault=_number_fault),
    datetime: _scalar(datetime, "str", also=_time_test, fault=_time_fault),
    date: _scalar(date, "str"),
    time: _scalar(time, "str", also=_time_test, fault=_time_fault),
    timedelta: _scalar(timedelta, "str"),
}


def enum_plan(cls: type[Enum], *, named: bool) -> Plan:
    """Plan an enum: its values where all are str or all int, else its names.

    A flag is recorded as its number, which says any combination.
    """
    values = [member._value_ for member in cls]
    types = {type(value) for value in values}
    if issubclass(cls, Flag):
        plan = _enum_plan(cls, "int", int, "_value_", cls)
    elif types == {str}:
        plan = _enum_plan(cls, "str", cls, "_value_", None)
    elif types == {int} and all(-_SMALL <= value < _SMALL for value in values):
        plan = _enum_plan(cls, "int", cls, "_value_", None)
    else:
        plan = _enum_plan(cls, "str", str, "_name_", cls.__getitem__)
    plan.named = named
    return plan


def _enum_plan(
    cls: type[Enum], kind: str, wire: Any, written: str, read: Callable[[Any], Any] | None
) -> Plan:
    name = type_name(cls)
    find = read or cls

    def unpack(raw: Any) -> Any:
        try:
            return find(raw)
        except (KeyError, ValueError):
            raise MisfitError(f"{raw!r} is no member of {name}") from None

    def pack(value: Any, depth: int) -> Any:
        if type(value) is not cls and not plan.earlier(value):
            raise wrong_type(value, name)
        raw = getattr(value, written)
        if unpack(raw) is not value and type(value) is cls:
            raise MisfitError(f"would not read back as the same member of {name}; record its value")
        return raw

    plan = Plan(
        name,
        (cls,),
        (kind,),
        wire=wire,
        pack=pack,
        unpack=unpack if read else None,
        direct=read is None,
        is_key=True,
    )
    return plan
