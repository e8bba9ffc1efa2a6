"""What a domain event class means in a module, worked out once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from modulus_es.domain import DomainEvent, RecordedEvent
from modulus_es.errors import ServiceError
from modulus_es.handlers import NO_SHORTCUT, Handler, Make, Shortcut
from modulus_es.naming import place_of, stable_name
from modulus_es.trace import Said

Call: TypeAlias = Callable[[Any], Awaitable[Any]]


class EventPlan(msgspec.Struct, frozen=True, eq=False):
    """What an event class means, until a registration or a service changes.

    ``after`` are the handlers after the commit, each with what to call, or None
    where it takes something of a unit of work. Where none does, ``calls`` are
    these calls alone; where all of them are classes, ``makes`` is how they are
    made, and nothing has to be called in between. ``said`` is what the trace says of
    the handlers after the commit, ``said_before`` of those before.
    """

    before: tuple[Handler, ...]
    after: tuple[tuple[Handler, Call | None], ...]
    calls: tuple[Call, ...] | None
    makes: tuple[Make, ...]
    projectors: tuple[Handler, ...]
    said_before: Said
    said: Said
    says_correlation: bool

    @property
    def is_short(self) -> bool:
        """Whether there is nothing to do but to call the handlers, and to say so."""
        return self.calls is not None and not self.before and not self.says_correlation


def planned(
    cls: type,
    module: str,
    handlers: Mapping[str, Sequence[Handler]],
    projectors: Mapping[str, Sequence[Handler]],
) -> EventPlan:
    """The plan of an event class in the module of that name."""
    bases = [c for c in cls.__mro__ if issubclass(c, DomainEvent)]
    found = _in_order(handlers, bases)
    before = tuple(h for h in found if h.phase == "before_commit")
    after = tuple(h for h in found if h.phase == "after_commit")
    shortcuts = [_shortcut(handler) for handler in after]
    calls = tuple(each.call for each in shortcuts if each.call is not None)
    makes = tuple(each.make for each in shortcuts if each.make is not None)
    type_name = stable_name(cls)
    return EventPlan(
        before,
        tuple(zip(after, (each.call for each in shortcuts), strict=True)),
        calls if len(calls) == len(after) else None,
        makes if len(makes) == len(after) else (),
        tuple(_in_order(projectors, bases)),
        Said(module, type_name, " ".join(handler.name for handler in before)),
        Said(module, type_name, " ".join(handler.name for handler in after)),
        issubclass(cls, RecordedEvent),
    )


def _shortcut(handler: Handler) -> Shortcut:
    try:
        return handler.shortcut()
    except ServiceError:
        # What is missing may still be registered; until then running it says what it is.
        return NO_SHORTCUT


def _in_order(registered: Mapping[str, Sequence[Handler]], bases: Sequence[type]) -> list[Handler]:
    # A class of that name from another Python module is another event.
    found = {
        id(h): h
        for base in bases
        for h in registered.get(stable_name(base), ())
        if place_of(h.message) == place_of(base)
    }
    return sorted(found.values(), key=lambda handler: handler.order)
