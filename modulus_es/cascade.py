"""How deep events cause events and commands send commands, so that it has an end."""

from __future__ import annotations

from contextvars import ContextVar, Token

import msgspec

from modulus_es.errors import CascadeDepthError

DEPTH_LIMIT = 32
"""How deep commands may send commands, and events cause events, before it is an error."""

UNTRACKED = 16
"""How many levels may be open before it matters which of them are inside each other."""


class Level(msgspec.Struct):
    """One level of a cascade: a command, or the handlers of events, while they run.

    A level counts as long as it is open: a task that a handler began, and that
    goes on after the handler, begins anew.
    """

    depth: int
    outer: Level | None
    token: Token[Level | None] | None = None

    def leave(self) -> None:
        """It ends here."""
        if self.token is not None:
            _current.reset(self.token)
            self.token = None


_current: ContextVar[Level | None] = ContextVar("modulus_es_cascade", default=None)


class Cascades:
    """The open levels of one system, so that a cascade of more than `DEPTH_LIMIT` has an end.

    As long as few levels are open at all, none can be deep, and counting them
    is enough; which of them are inside each other is looked at from there on.

    >>> cascades = Cascades()
    >>> level = cascades.enter("orders", "place_order")
    >>> cascades.open
    1
    >>> cascades.leave(level)
    """

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = 0

    def enter(self, module: str, what: str) -> Level | None:
        """Begin a level, which `leave` ends; raises `CascadeDepthError` where it is too deep."""
        level = None if self.open < UNTRACKED else deeper(module, what)
        self.open += 1
        return level

    def leave(self, level: Level | None) -> None:
        """End a level."""
        self.open -= 1
        if level is not None:
            level.leave()


def deeper(module: str, what: str) -> Level:
    """Begin a level where many are open; raises `CascadeDepthError` where it is too deep."""
    outer = _current.get()
    while outer is not None and outer.token is None:
        outer = outer.outer
    depth = 1 if outer is None else outer.depth + 1
    if depth > DEPTH_LIMIT:
        raise CascadeDepthError(
            f"{what} in {module} is caused by more than {DEPTH_LIMIT} commands and events inside "
            "each other: perhaps a handler causes the event, or sends the command, that it "
            "handles. Let one of them go over the bus instead"
        )
    level = Level(depth, outer)
    level.token = _current.set(level)
    return level
