"""Under which names a notebook holds a system, so that a module of an old one can say so."""

from __future__ import annotations

import sys
from typing import Any


class Bindings:
    """The global names that held an owner when it was used.

    It is stale when all of them hold another object of its class, and nothing
    else in those namespaces holds it: the cell that made it ran again.

    >>> class Owner: ...
    >>> namespace = {"owner": Owner()}
    >>> bindings = Bindings(namespace["owner"])
    >>> bindings.note(namespace)
    >>> namespace["owner"] = Owner()
    >>> bindings.stale_name
    'owner'
    """

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self.held: list[tuple[dict[str, Any], str]] = []

    def note(self, names: dict[str, Any]) -> None:
        """Remember under which of these names the owner is held."""
        if self.stale_name is not None:
            # Whoever reaches it all the same holds it on purpose.
            self.held.clear()
        for name, value in tuple(names.items()):
            if value is self._owner and (names, name) not in self.held:
                self.held.append((names, name))

    def note_caller(self, depth: int) -> None:
        """The same with the global names of the function that called, so many frames up."""
        self.note(sys._getframe(depth).f_globals)

    @property
    def stale_name(self) -> str | None:
        """The name that holds another one now; None as long as the owner is held."""
        for names, name in self.held:
            value = names.get(name)
            if value is self._owner or type(value) is not type(self._owner):
                return None
        if not self.held:
            return None
        for names, _ in self.held:
            if any(value is self._owner for value in tuple(names.values())):
                return None
        return self.held[0][1]
