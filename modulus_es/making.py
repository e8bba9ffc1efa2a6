"""How a recorded event is made of its fields, worked out once for each event class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
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
        known = _with_factories(cls, _make_of(cls))
        cls.__make_event__ = staticmethod(known)
    return known


def is_plain(cls: Any) -> bool:
    """Whether an event is nothing but its fields: nobody had a say in how it is made."""
    return (
        not getattr(cls, "__own_init__", True)
        and cls.__post_init__ is es.DomainEvent.__post_init__
        and cls.__new__ is object.__new__
        and _taken_by(cls) == {field.name for field in fields(cls)}
    )


def _taken_by(cls: Any) -> frozenset[str]:
    return frozenset(signature(cls.__init__).parameters) - {"self"}


def _make_of(cls: Any) -> Make:
    def by_calling(state: dict[str, Any]) -> Any:
        return cls(**state)

    if not is_plain(cls):
        return by_calling
    names = _taken_by(cls)
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


def _with_factories(cls: Any, make: Make) -> Make:
    """``make``, where the aggregate is a dataclass whose fields are made by factories.

    A dataclass knows them inside its constructor only; from outside, its default
    is a mark in their place.
    """
    aggregate: Any = getattr(cls, "__aggregate__", None)
    constructor = getattr(aggregate, "__init__", None)
    if constructor is None or not is_dataclass(aggregate):
        return make
    taken = signature(constructor).parameters
    marks = {name: parameter.default for name, parameter in taken.items()}
    factories = {
        field.name: field.default_factory
        for field in fields(aggregate)
        if field.init and field.default_factory is not MISSING
    }

    def make_with_factories(state: dict[str, Any]) -> Any:
        for name, factory in factories.items():
            if state.get(name) is marks[name]:
                state[name] = factory()
        return make(state)

    return make_with_factories if factories else make
