"""What is noted in a unit of work until it commits, and how that is said."""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Sized
from datetime import datetime
from typing import Any, NamedTuple

from modulus_es.naming import qualified_name


class Outgoing(NamedTuple):
    """A message that a unit of work is to put into the outbox."""

    message: Any
    to: str | None
    at: datetime | None
    key: str | None


class Noted(Awaitable[None]):
    """It is noted already; awaiting it does nothing more, so that ``await`` is never wrong."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield

    def __repr__(self) -> str:
        return "<noted; it is written when the unit of work commits>"


NOTED = Noted()


def said_of(value: Any) -> str:
    """What somebody gave who should have given something else."""
    if isinstance(value, type):
        return f"the class {qualified_name(value)} (an object of it is needed)"
    return qualified_name(type(value))


def counted(things: Sized, word: str) -> str:
    """So many of these, as a sentence has it."""
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"
