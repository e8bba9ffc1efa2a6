"""Finds handlers below packages: classes on the generic bases, and decorated functions."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from modulus_es.domain import DomainEvent
from modulus_es.errors import DefinitionError
from modulus_es.handler_bases import HandlerBase, bound_messages
from modulus_es.handlers import handler_name
from modulus_es.messages import Message

if TYPE_CHECKING:
    from modulus_es.module import Module

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__modulus_registrations__"


def handles(message: Any, **options: Any) -> Callable[[F], F]:
    """Mark the handler of a command or query, for ``module.discover(...)`` to find.

    The options are those of `Module.handles`.

    >>> from modulus_es import Command
    >>> class Ping(Command[None]): ...
    >>> @handles(Ping)
    ... def ping(command: Ping) -> None: ...
    """
    return _marker("handles", message, options)


def on(message: Any, **options: Any) -> Callable[[F], F]:
    """Mark a handler of an event, for ``module.discover(...)`` to find.

    The options are those of `Module.on`.

    >>> from modulus_es import DomainEvent
    >>> class Opened(DomainEvent): ...
    >>> @on(Opened)
    ... def greet(opened: Opened) -> None: ...
    """
    return _marker("on", message, options)


def projects(message: Any, **options: Any) -> Callable[[F], F]:
    """Mark a projector, for ``module.discover(...)`` to find.

    The options are those of `Module.projects`.

    >>> from modulus_es import Aggregate, event
    >>> class Shop(Aggregate):
    ...     @event("Opened")
    ...     def __init__(self) -> None: ...
    >>> @projects(Shop.Opened)
    ... def shop_opened(opened: Shop.Opened) -> None: ...
    """
    return _marker("projects", message, options)


def _marker(call: str, message: Any, options: dict[str, Any]) -> Callable[[F], F]:
    def mark(target: F) -> F:
        marks = list(target.__dict__.get(_MARK, ()))
        marks.append((call, message, options))
        setattr(target, _MARK, marks)
        return target

    if isinstance(message, type) and issubclass(message, (Message, DomainEvent)):
        return mark
    if options or not callable(message):
        raise DefinitionError(
            f"{call}() takes the class of a message, or decorates a handler that says which one "
            f"it takes, not {message!r}"
        )
    target, message = message, None
    return cast("Callable[[F], F]", mark(target))


def discover(module: Module, *places: Any) -> list[str]:
    """Register what is found below these packages and modules; see `Module.discover`."""
    if not places:
        raise DefinitionError("discover() takes the packages or modules to look into")
    names: dict[str, None] = {}
    for place in places:
        for python_module in _below(place):
            for target in _defined_in(python_module):
                names.update(dict.fromkeys(_register(module, target)))
    return list(names)


def _below(place: Any) -> Iterator[ModuleType]:
    import pkgutil

    root = importlib.import_module(place) if isinstance(place, str) else place
    if not isinstance(root, ModuleType):
        raise DefinitionError(f"discover() takes packages, modules or their names, not {place!r}")
    yield root
    for info in pkgutil.walk_packages(getattr(root, "__path__", ()), f"{root.__name__}."):
        yield importlib.import_module(info.name)


def _defined_in(python_module: ModuleType) -> Iterator[Any]:
    for value in tuple(vars(python_module).values()):
        if getattr(value, "__module__", None) != python_module.__name__:
            continue
        marked = _MARK in getattr(value, "__dict__", {})
        is_handler = (
            inspect.isclass(value)
            and issubclass(value, HandlerBase)
            and not inspect.isabstract(value)
            and bound_messages(value)
        )
        if marked or is_handler:
            yield value


def _register(module: Module, target: Any) -> Iterator[str]:
    marks = target.__dict__.get(_MARK, ())
    for call, message, options in marks:
        if message is None:
            getattr(module, call)(target)
        else:
            getattr(module, call)(message, **options)(target)
        yield handler_name(target, options.get("name"))
    if not marks:
        module.registrations.add_found(target)
        yield handler_name(target)
