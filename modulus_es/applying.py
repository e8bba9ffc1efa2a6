"""How a recorded event changes its aggregate, worked out once for each event class."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from operator import itemgetter
from typing import Any, TypeAlias

import eventsourcing.domain as es

Apply: TypeAlias = Callable[[Any, Any], None]
"""Lets an event, the first argument, change an aggregate, the second."""


def apply_of(cls: Any) -> Apply:
    """What ``cls.apply`` does, without looking at signatures each time."""
    known: Apply | None = cls.__dict__.get("__apply_event__")
    if known is None:
        known = _apply_of(cls)
        cls.__apply_event__ = staticmethod(known)
    return known


def _apply_of(cls: Any) -> Apply:
    callers = (es.DecoratedFuncCaller, es.CanMutateAggregate)
    defined = [c for c in cls.__mro__ if "apply" in c.__dict__]
    if tuple(defined) != callers:
        # It is the user's own, or calls the user's own.
        return cls.apply if defined[0] is not es.CanMutateAggregate else _nothing
    # One that was inherited with its aggregate has the method of the one that it derives from.
    return _calling(next(es.decorated_funcs[c] for c in cls.__mro__ if c in es.decorated_funcs))


def applies(cls: Any) -> bool:
    """Whether an event class changes its aggregate beyond the version."""
    return apply_of(cls) is not _nothing


def init_of(cls: Any) -> Apply:
    """How the first event of an aggregate calls its constructor."""
    known: Apply | None = cls.__dict__.get("__begin__")
    if known is None:
        known = _calling(cls.__init__)
        cls.__begin__ = staticmethod(known)
    return known


def _calling(function: Any) -> Apply:
    """Call a method of the aggregate with those fields of the event that it takes."""
    parameters = list(signature(function).parameters.values())[1:]
    names = [parameter.name for parameter in parameters]
    fields = [
        "originator_id" if n == "id" and function.__name__ == "__init__" else n for n in names
    ]
    if any(parameter.kind is not Parameter.POSITIONAL_OR_KEYWORD for parameter in parameters):
        return _by_name(function, names, fields)
    if not names:
        return lambda event, aggregate: function(aggregate)
    take, by_name = itemgetter(*fields), _by_name(function, names, fields)
    single = len(names) == 1

    def apply(event: Any, aggregate: Any) -> None:
        try:
            values = take(event.__dict__)
        except KeyError:
            # An event from before the parameter, which then takes its default.
            by_name(event, aggregate)
            return
        if single:
            function(aggregate, values)
        else:
            function(aggregate, *values)

    return apply


def _nothing(event: Any, aggregate: Any) -> None:
    """An event without a method changes nothing but the version."""


def _by_name(function: Any, names: list[str], fields: list[str]) -> Apply:
    pairs = list(zip(names, fields, strict=True))

    def apply(event: Any, aggregate: Any) -> None:
        state = event.__dict__
        function(aggregate, **{name: state[field] for name, field in pairs if field in state})

    return apply
