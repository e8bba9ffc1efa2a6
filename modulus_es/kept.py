"""What a recorded event keeps of values that can change after it was recorded.

An aggregate's method is called with what the event has, and may well go on to
change it: ``self.items = items``, and later ``self.items.append(item)``. What
happened first would then be told differently when it is saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from modulus_es.errors import ModulusError
from modulus_es.records import codec_of

_FIXED = frozenset(
    [NoneType, bool, int, float, Decimal, str, bytes, UUID, date, datetime, time, timedelta]
)


def kept_of(event: Any) -> dict[str, Any]:
    """Copies of the values of an event's fields that can change, by field."""
    cls = type(event)
    names: tuple[str, ...] | None = cls.__dict__.get("__changeable__")
    if names is None:
        names = cls.__changeable__ = tuple(_changeable(cls))
    if not names:
        return {}
    state = event.__dict__
    try:
        return {name: kept(state[name]) for name in names if name in state}
    except RecursionError:
        # Too deep to be copied, and so to be saved, which says so by name.
        return {}


def kept(value: Any) -> Any:
    """A copy that stays as it is, whatever becomes of ``value``.

    >>> basket = {"items": ["tea"]}
    >>> before = kept(basket)
    >>> basket["items"].append("milk")
    >>> before
    {'items': ['tea']}
    """
    kind = type(value)
    if kind in _FIXED:
        return value
    if kind is list or kind is tuple:
        return kind(map(kept, value))
    if kind is dict:
        return {key: kept(each) for key, each in value.items()}
    try:
        return deepcopy(value)
    except Exception:
        # Saving it says by name what is wrong with it.
        return value


def _changeable(cls: Any) -> Iterator[str]:
    try:
        yield from [spec.name for spec in codec_of(cls).fields if not _is_fixed(spec.hint)]
    except ModulusError:
        # A hint names what is still to be defined: look at the values of all.
        yield from [each.name for each in fields(cls) if each.name not in cls.__base_fields__]


def _is_fixed(hint: Any) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return all(map(_is_fixed, get_args(hint)))
    if any(hint is each for each in _FIXED):
        return True
    return isinstance(hint, type) and issubclass(hint, Enum)
