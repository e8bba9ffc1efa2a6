"""Stable names: what the store and the wire call a class, and which class that is.

A name never is an import path: it is the qualified class name without anything
up to ``<locals>.``, such as ``Order.Placed``, or what ``name=`` says. Nothing
is ever imported because a row or a message named it; a name is looked up in a
`Registry`, which knows only classes that the program itself mentioned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

from modulus_es.errors import DefinitionError, NameClashError

_definitions = count(1)
NAME = re.compile(r"[A-Za-z_][\w.\-]{0,199}", re.ASCII)


def qualified_name(obj: Any) -> str:
    """``obj.__qualname__`` without anything up to ``<locals>.``.

    >>> def outer():
    ...     class Order: ...
    ...     return Order
    >>> qualified_name(outer())
    'Order'
    """
    return str(obj.__qualname__).rpartition("<locals>.")[2]


def define(cls: type, name: str | None = None) -> None:
    """Note a class when it is defined: its pinned name, and that it is the newest."""
    if name is not None and not NAME.fullmatch(name):
        raise DefinitionError(
            f"{qualified_name(cls)}: the name {name!r} is not one: use letters, digits, '_', '.', "
            "'-', at most 200, beginning with a letter"
        )
    noted: Any = cls
    noted.__pinned_name__ = name
    noted.__stable_name__ = name or qualified_name(cls)
    noted.__definition__ = next(_definitions)


def stable_name(cls: type) -> str:
    """The name under which a class is stored and sent.

    >>> class Order: ...
    >>> stable_name(Order)
    'Order'
    """
    return cls.__dict__.get("__stable_name__") or qualified_name(cls)


def place_of(obj: Any) -> tuple[str, str]:
    """Where a class or function is defined; the same place again replaces what it was.

    >>> place_of(Registry)
    ('modulus_es.naming', 'Registry')
    """
    return obj.__module__, qualified_name(obj)


def _is_newer(cls: type, held: type) -> bool:
    # An object of the class as it was before its cell ran again may be
    # mentioned after the new one; it must not bring the old class back.
    return getattr(cls, "__definition__", 0) >= getattr(held, "__definition__", 0)


def near_misses(name: str, names: Iterable[str]) -> str:
    """A sentence naming what was perhaps meant, or nothing.

    >>> near_misses("PlaceOrdr", ["PlaceOrder", "ShipOrder"])
    '; did you mean PlaceOrder?'
    """
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""


class Registry:
    """Which class a stable name means, here.

    The same class defined again (same Python module, same qualified name)
    replaces itself; another class of that name is an error.

    >>> registry = Registry("module orders")
    >>> class Order: ...
    >>> registry.learn(Order)
    'Order'
    >>> registry.get("Order") is Order
    True
    >>> registry.get("Payment") is None
    True
    """

    get: Callable[[str], type | None]
    """The newest class of that name, or None."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._classes: dict[str, type] = {}
        # Not a function of ours around it: each event that is read asks.
        self.get = self._classes.get
        self._known: dict[type, str] = {}

    def learn(self, cls: type) -> str:
        """Take note of a class and answer its stable name; raises `NameClashError`."""
        name = self._known.get(cls)
        if name is None:
            name = self.check(cls)
            held = self._classes.get(name)
            if held is None or _is_newer(cls, held):
                self._classes[name] = cls
            self._known[cls] = name
        return name

    def check(self, cls: type) -> str:
        """The stable name of a class; raises `NameClashError` where another class has it."""
        name = stable_name(cls)
        held = self._classes.get(name)
        if held is not None and place_of(held) != place_of(cls):
            raise NameClashError(
                f"{self.owner} knows {name!r} as {'.'.join(place_of(held))}; "
                f"{'.'.join(place_of(cls))} is another class: "
                "rename one, or pin a name of its own with name="
            )
        return name

    def knows(self, cls: type) -> bool:
        """Whether this very class was mentioned before."""
        return cls in self._known

    def names(self) -> list[str]:
        """All names, in the order in which they were learned."""
        return list(self._classes)
