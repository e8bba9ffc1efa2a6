"""What records an event when it is called: an aggregate's class, and its methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from inspect import Parameter, Signature, get_annotations, signature
from operator import attrgetter
from typing import Any

import eventsourcing.domain as es

from modulus_es.beginning import beginning


class RecordingType(es.MetaAggregate[Any]):
    """Makes an aggregate of its constructor's arguments, by way of its first event."""

    @property
    def __signature__(cls) -> Signature:  # noqa: N805 - of a metaclass
        """What the constructor takes; a notebook shows it, and would else show ``*args``."""
        made: Any = cls
        taken = signature(made.__init__)
        return taken.replace(parameters=list(taken.parameters.values())[1:])

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - of a metaclass
        """A new aggregate, with the event that made it pending."""
        own = cls.__dict__
        names = own.get("__positional__")
        if names is None or kwargs or len(args) != len(names):
            # eventsourcing sorts out which argument is which field, or says what is wrong.
            return super().__call__(*args, **kwargs)
        if "__first_event__" not in own:
            # It also chooses the event; the choice stays the same.
            made: Any = super().__call__(*args)
            first = min(made.pending_events, key=attrgetter("originator_version"))
            begin = beginning(cls, type(first), names)
            cls.__beginning__ = begin and staticmethod(begin)
            cls.__first_event__ = type(first)
            return made
        if cls.__beginning__ is not None:
            return cls.__beginning__(args)
        fields = dict(zip(names, args, strict=True))
        return cls._create(event_class=own["__first_event__"], **fields)


def takes_id(cls: type) -> bool:
    """Whether a class that is being defined has its id among its constructor's arguments."""
    return "id" in get_annotations(cls)


def positional(cls: Any) -> tuple[str, ...] | None:
    """What the constructor of an aggregate class takes, where that can be given in order."""
    parameters = list(signature(cls.__init__).parameters.values())[1:]
    plain = all(p.kind is Parameter.POSITIONAL_OR_KEYWORD for p in parameters)
    return tuple(parameter.name for parameter in parameters) if plain else None


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

    vars(record)["__decorated__"] = function
    return record
