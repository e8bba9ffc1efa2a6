"""The current system: where ids and times come from when nobody names a system.

An aggregate is made by calling its class, without naming a system. Its id and
times come from the current one: the last that was made, the one of ``with
system.current():``, or, while a handler runs, that handler's own. Without any
they are random and the wall clock's. Nothing else is ambient.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid4


class Source(Protocol):
    """Draws ids and tells the time."""

    def new_id(self) -> UUID:
        """A fresh id."""

    def now(self) -> datetime:
        """The time, in UTC."""


_chosen: ContextVar[Source | None] = ContextVar("modulus_es_current", default=None)
_last: Source | None = None


def make_last(source: Source) -> None:
    """Make ``source`` the one that is current where none was chosen."""
    global _last  # noqa: PLW0603 - it is the one ambient thing, by design
    _last = source


# Not functions of ours around these: every event that is published calls them.
chosen = _chosen.get
"""The source that was made current here, and stays it whatever others are made meanwhile."""

choose = _chosen.set
"""Make a source current from here on, until `unchoose` of the token that it answers."""

reset = _chosen.reset
"""Undo what `choose` did; raises `ValueError` elsewhere than where that was."""


def unchoose(token: Token[Source | None]) -> None:
    """Undo what `choose` did."""
    try:
        reset(token)
    except ValueError:
        # Its event loop was closed under it: what ends it now runs elsewhere, and
        # where it was chosen is gone.
        return


class Use:
    """Makes a source current inside a ``with`` block."""

    __slots__ = ("_source", "_token")

    _token: Token[Source | None]

    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> None:
        self._token = choose(self._source)

    def __exit__(self, *_: object) -> None:
        unchoose(self._token)


class _Nobody:
    """Where ids and times come from without a system."""

    new_id = staticmethod(uuid4)

    @staticmethod
    def now() -> datetime:
        return datetime.now(UTC)


_nobody = _Nobody()


def source() -> Source:
    """The current system, or random ids and the wall clock's time."""
    return _chosen.get() or _last or _nobody


def new_id() -> UUID:
    """A fresh id from the current system, or a random one.

    >>> new_id() == new_id()
    False
    """
    return (_chosen.get() or _last or _nobody).new_id()


def now() -> datetime:
    """The time of the current system, or the wall clock's; always in UTC.

    >>> now().tzinfo
    datetime.timezone.utc
    """
    return (_chosen.get() or _last or _nobody).now()
