"""How a recorded event is made of its fields, worked out once for each event class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from inspect import signature
from typing import Any, TypeAlias
from uuid import UUID

import eventsourcing.domain as es

from modulus_es import ambient

Make: TypeAlias = Callable[[dict[str, Any]], Any]
"""Makes an event of its fields by name; the dictionary is the event's from then on."""


def make_of(cls: Any) -> Make:
    """What ``cls(**fields)`` does, without a call for each field of a frozen dataclass.

    Raises ``TypeError`` as the class does, where fields are missing or unknown.
    """
    known: Make | None = cls.__dict__.get("__make_event__")
    if known is None:
        known = _make_of(cls)
        cls.__make_event__ = staticmethod(known)
    return known


def _make_of(cls: Any) -> Make:
    names = frozenset(signature(cls.__init__).parameters) - {"self"}

    def by_calling(state: dict[str, Any]) -> Any:
        return cls(**state)

    if (
        getattr(cls, "__own_init__", True)
        or cls.__post_init__ is not es.DomainEvent.__post_init__
        or cls.__new__ is not object.__new__
        or names != {field.name for field in fields(cls)}
    ):
        return by_calling
    new, become = object.__new__, object.__setattr__

    def make(state: dict[str, Any]) -> Any:
        if "id" not in state:
            state["id"] = ambient.new_id()
        if state.keys() != names or not isinstance(state["originator_id"], UUID):
            # It takes a default of the class, or the class says what is wrong.
            return by_calling(state)
        made = new(cls)
        become(made, "__dict__", state)
        return made

    return make
