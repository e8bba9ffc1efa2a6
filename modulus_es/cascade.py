"""How deep events cause events and commands send commands, so that it has an end."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Self

from modulus_es.errors import CascadeDepthError

DEPTH_LIMIT = 32
"""How deep commands may send commands, and events cause events, before it is an error."""

_current: ContextVar[Cascade | None] = ContextVar("modulus_es_cascade", default=None)


class Cascade:
    """One level of a cascade: a command, or the handlers of events, while they run.

    Entering it raises `CascadeDepthError` where too many levels are open around
    it. A level counts as long as it is open: a task that a handler began, and
    that goes on after the handler, begins anew.

    >>> with Cascade("orders", "place_order"), Cascade("orders", "log_order") as inner:
    ...     inner.depth
    2
    """

    __slots__ = ("_is_open", "_outer", "_token", "_what", "depth")

    def __init__(self, module: str, what: str) -> None:
        self._what = (module, what)
        self._is_open = False
        self._outer: Cascade | None = None
        self._token: Token[Cascade | None] | None = None
        self.depth = 0

    def __enter__(self) -> Self:
        outer = _current.get()
        while outer is not None and not outer._is_open:
            outer = outer._outer
        self._outer = outer
        self.depth = 1 if outer is None else outer.depth + 1
        if self.depth > DEPTH_LIMIT:
            module, what = self._what
            raise CascadeDepthError(
                f"{what} in {module} is caused by {DEPTH_LIMIT} commands and events inside each "
                "other: perhaps a handler causes the event, or sends the command, that it "
                "handles. Let one of them go over the bus instead"
            )
        self._is_open = True
        self._token = _current.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        if self._token is not None:
            _current.reset(self._token)
