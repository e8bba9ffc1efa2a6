"""How the class of an aggregate and those of its events are made ready when it is defined."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import Parameter, signature
from threading import RLock
from types import ModuleType
from typing import Any, TypeAlias

import eventsourcing.domain as es

from modulus_es.errors import DefinitionError, ReservedFieldError
from modulus_es.events import RECORDED, AggregateCreated
from modulus_es.naming import define, qualified_name
from modulus_es.records import check_fields

Upcast: TypeAlias = Callable[[dict[str, Any]], Mapping[str, Any] | None]


def as_upcasts(
    version: int, upcast: Upcast | Mapping[int, Upcast] | None
) -> dict[str, staticmethod[[dict[str, Any]], Any]]:
    """The class attributes that upcast to ``version``, named as eventsourcing names them.

    >>> list(as_upcasts(3, lambda stored: None))
    ['upcast_v2_v3']
    """
    steps = {version - 1: upcast} if callable(upcast) else dict(upcast or {})
    return {f"upcast_v{step}_v{step + 1}": staticmethod(f) for step, f in steps.items()}


def decorators_of(cls: type) -> Iterator[es.CommandMethodDecorator]:
    """What ``@event`` made in the body of an aggregate class."""
    for value in cls.__dict__.values():
        found = value.fset if isinstance(value, property) else value
        if isinstance(found, es.CommandMethodDecorator):
            yield found


def let_explicit_classes_in(cls: type, decorators: Iterable[es.CommandMethodDecorator]) -> None:
    """Make the event classes that methods were given a part of their aggregate class."""
    # eventsourcing looks for an explicit event class in the aggregate's body;
    # one that was written elsewhere belongs there as well.
    used: set[type] = set()
    for decorator in decorators:
        given: Any = decorator.given_event_cls
        if given is None:
            continue
        if given in used:
            raise DefinitionError(
                f"{qualified_name(given)} is used by two methods of {qualified_name(cls)}: an "
                "event is recorded by one, so let the other call it or have an event of its own"
            )
        used.add(given)
        if not hasattr(cls, given.__name__):
            setattr(cls, given.__name__, given)


def refuse_reserved_parameters(cls: type, decorator: es.CommandMethodDecorator) -> None:
    """Raise `ReservedFieldError` where a parameter would shadow what every event has."""
    function = decorator.decorated_func
    names = list(signature(function).parameters)[1:]
    for name in RECORDED:
        if name in names and not (name == "id" and function.__name__ == "__init__"):
            raise ReservedFieldError(
                f"{qualified_name(cls)}.{function.__name__} takes {name!r}, which its event has "
                f"already and which it would shadow: call the parameter something else"
            )


def finish_event_class(cls: type, decorator: es.CommandMethodDecorator) -> None:
    """Give the event class of a method its name, version and defaults."""
    given = decorator.given_event_cls
    named = given.__name__ if given is not None else decorator.event_cls_name
    event_class: Any = cls.__dict__.get(named or "")
    if event_class is None:
        return
    if given is None:
        event_class.__parameter_defaults__ = _defaults(decorator.decorated_func)
    name, version, upcasts = getattr(decorator, "said", (None, 1, {}))
    if name is not None:
        define(event_class, name)
    if version > 1:
        event_class.class_version = version
        for attribute, upcast in upcasts.items():
            setattr(event_class, attribute, upcast)


def adopt(event_class: Any, cls: type[Any], name: str | None) -> None:
    """Let an event class be one of an aggregate class, and check its fields."""
    event_class.__aggregate__ = cls
    if name is not None and not event_class.__dict__.get("__pinned_name__"):
        define(event_class, f"{name}.{event_class.__name__}")
    if issubclass(event_class, AggregateCreated) and not event_class.__parameter_defaults__:
        event_class.__parameter_defaults__ = _defaults(cls.__init__)
    check_fields(event_class)


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not Parameter.empty}


def create_id_parameters(cls: Any) -> tuple[str, ...]:
    """The names that ``create_id`` takes; read once."""
    known: tuple[str, ...] | None = cls.__dict__.get("__create_id_parameters__")
    if known is None:
        known = tuple(signature(cls.create_id).parameters)
        cls.__create_id_parameters__ = known
    return known


_redefinition = RLock()


@contextmanager
def redefinition_allowed(module: str) -> Iterator[None]:
    """Let a class be defined whose name is taken: a notebook's cell runs again."""
    # eventsourcing refuses a class whose name its Python module has already,
    # and names this environment variable as the way to lift that. It also
    # imports that module, which code that was merely executed does not have.
    name = es.ENVVAR_DISABLE_REDEFINITION_CHECK
    with _redefinition:
        before = os.environ.get(name)
        nowhere = module not in sys.modules
        os.environ[name] = "y"
        if nowhere:
            sys.modules[module] = ModuleType(module)
        try:
            yield
        finally:
            if nowhere:
                del sys.modules[module]
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
