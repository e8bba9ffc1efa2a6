"""The methods of an aggregate that record an event when they are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import Parameter, signature
from typing import Any

import eventsourcing.domain as es


def command_methods_of(cls: type) -> Iterator[tuple[str, es.CommandMethodDecorator]]:
    """What ``@event`` made of the methods of an aggregate class, by name.

    Constructors, properties and what ``@event(...) def _`` says of another's event are no such
    methods.
    """
    for name, value in tuple(vars(cls).items()):
        if (
            type(value) is es.CommandMethodDecorator
            and value.decorated_property is None
            and value.decorated_func.__name__ not in ("__init__", "_")
            and value in es.decorated_func_callers
        ):
            yield name, value


def recording(decorator: es.CommandMethodDecorator) -> Callable[..., None]:
    """The method that ``@event`` means, as a plain function.

    eventsourcing makes an object for each call of it, and asks twice what it takes.
    """
    function: Any = decorator.decorated_func
    event_class: Any = es.decorated_func_callers[decorator]
    parameters = list(signature(function).parameters.values())[1:]
    names = tuple(parameter.name for parameter in parameters)
    # Otherwise eventsourcing sorts out which argument is which field.
    is_plain = all(p.kind is Parameter.POSITIONAL_OR_KEYWORD for p in parameters) and (
        set(names) <= set(signature(event_class).parameters)
    )
    count = len(names) if is_plain else -1

    @wraps(function)
    def record(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) == count and not kwargs:
            self.trigger_event(event_class, **dict(zip(names, args, strict=True)))
        else:
            es.BoundCommandMethodDecorator(decorator, self)(*args, **kwargs)

    record.__decorated__ = function  # type: ignore[attr-defined]
    return record
