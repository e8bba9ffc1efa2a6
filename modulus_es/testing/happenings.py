"""Events and messages as a test names them, and how what was expected differs from what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import ndiff
from typing import Any
from uuid import UUID

from modulus_es.naming import near_misses, qualified_name, stable_name


class Happened:
    """An event or message by its class, and those of its fields that matter; see `happened`.

    >>> from modulus_es import IntegrationEvent
    >>> class Shipped(IntegrationEvent):
    ...     carrier: str
    >>> Happened(Shipped, None, {"carrier": "DHL"}).matches(Shipped("DHL"))
    True
    """

    __slots__ = ("aggregate_id", "cls", "fields")

    def __init__(self, cls: type[Any], aggregate_id: UUID | None, said: Mapping[str, Any]) -> None:
        self.cls, self.aggregate_id, self.fields = cls, aggregate_id, dict(said)

    def matches(self, found: Any) -> bool:
        """Whether this is what happened."""
        if not _is_a(found, self.cls):
            return False
        if self.aggregate_id is not None and found.originator_id != self.aggregate_id:
            return False
        return all(getattr(found, name) == value for name, value in self.fields.items())

    def __repr__(self) -> str:
        said = [f"{name}={value!r}" for name, value in self.fields.items()]
        if self.aggregate_id is not None:
            said.insert(0, f"<of {self.aggregate_id}>")
        if set(own_fields(self.cls)) - set(self.fields):
            said.append("...")
        return f"{qualified_name(self.cls)}({', '.join(said)})"


def happened(
    event_class: type[Any], aggregate_id: UUID | None = None, /, **fields: Any
) -> Happened:
    """Something that happened before a test, or that it expects.

    Before a test all fields are needed that have no default; what is expected
    has to agree in the fields that are given. ``aggregate_id`` says which
    aggregate; without it, before a test, all events belong to one. Raises
    `TypeError` where there is no such field.

    >>> from modulus_es import Aggregate, event
    >>> class Order(Aggregate):
    ...     @event("Placed")
    ...     def __init__(self, customer: str, total: int) -> None: ...
    >>> happened(Order.Placed, total=42)
    Order.Placed(total=42, ...)
    """
    given: object = event_class
    if not isinstance(given, type) or not hasattr(event_class, "__base_fields__"):
        raise TypeError(f"happened() takes the class of an event or message, not {event_class!r}")
    known = own_fields(event_class)
    for name in fields:
        if name not in known:
            hint = near_misses(name, known) or f"; its fields are: {', '.join(known) or 'none'}"
            raise TypeError(f"{qualified_name(event_class)} has no field {name!r}{hint}")
    return Happened(event_class, aggregate_id, fields)


def own_fields(cls: type[Any]) -> list[str]:
    """The fields of an event or message class, without those that all of its kind have."""
    return [each.name for each in fields(cls) if each.name not in cls.__base_fields__]


def as_expected(given: Any) -> Happened:
    """What a test expects: a class, an object, or what `happened` made."""
    if isinstance(given, Happened):
        return given
    if isinstance(given, type):
        return happened(given)
    cls = type(given)
    if not hasattr(cls, "__base_fields__"):
        raise TypeError(
            f"an event or message is expected as its class, as an object of it, or as "
            f"happened(...), not as {given!r}"
        )
    state = vars(given)
    said = {name: state[name] for name in own_fields(cls) if name in state}
    return Happened(cls, state.get("originator_id"), said)


def difference(expected: Sequence[Any], found: Sequence[Any]) -> list[str]:
    """The lines that tell what was expected from what came; none where all is as expected.

    >>> from modulus_es import IntegrationEvent
    >>> class Shipped(IntegrationEvent):
    ...     carrier: str
    >>> for line in difference([Shipped("DHL")], [Shipped("UPS")]):
    ...     print(line)
    - Shipped(carrier='DHL')
    ?                  ^^^
    + Shipped(carrier='UPS')
    ?                  ^^^
    """
    wanted = [as_expected(each) for each in expected]
    same = len(wanted) == len(found)
    if same and all(want.matches(came) for want, came in zip(wanted, found, strict=True)):
        return []
    came = [
        _shown(each, wanted[index] if index < len(wanted) else None)
        for index, each in enumerate(found)
    ]
    return [line.rstrip() for line in ndiff([repr(each) for each in wanted], came)]


def _shown(found: Any, wanted: Happened | None) -> str:
    """What came, in as much detail as was asked for."""
    if wanted is None or not _is_a(found, wanted.cls):
        return repr(found)
    said = {name: getattr(found, name) for name in wanted.fields}
    id_ = None if wanted.aggregate_id is None else found.originator_id
    return repr(Happened(wanted.cls, id_, said))


def _is_a(found: Any, cls: type[Any]) -> bool:
    # By name too: a cell that ran again has made the class anew.
    return isinstance(found, cls) or stable_name(type(found)) == stable_name(cls)
