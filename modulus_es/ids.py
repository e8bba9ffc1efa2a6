"""Ids that are the same on every run with one seed, and never collide.

Ids of one session of a system differ in a counter at their end. So those that are
made together lie together in the index of a database, which writes and reads few
pages for many of them (RFC 9562, section 6.13, says so of keys).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from itertools import count
from typing import Any
from uuid import UUID, SafeUUID

import msgspec

_VERSION_8 = (8 << 76) | (0b10 << 62)
_CLEAR = ~((0xF << 76) | (0b11 << 62))
_COUNTED = (1 << 40) - 1
"""The bits that a counter begins with; it never reaches those that say the version."""


def derived_id(*parts: object) -> UUID:
    """The id that belongs to these parts: the same parts give the same id.

    It is a UUID of version 8 (RFC 9562, section 5.8) over a BLAKE2b digest.

    >>> derived_id("a", 1) == derived_id("a", 1) != derived_id("a", 2)
    True
    """
    return _uuid(_digest(b"", "\x1f".join(map(str, parts)).encode()) & _CLEAR | _VERSION_8)


def projected_id(event_id: UUID, projector: str, index: int) -> UUID:
    """The id of a message that a projector makes of an event, the first one of index 0.

    All but the counter of the event's id is exchanged for what belongs to the
    projector: what was counted together stays together.

    >>> ids = Ids(7)
    >>> first = projected_id(ids.new(), "order_created", 0)
    >>> first.int + 1 == projected_id(ids.new(), "order_created", 0).int
    True
    """
    return _uuid((event_id.int ^ _mask(projector, index)) & _CLEAR | _VERSION_8)


# Not a function of ours around it: every message says several.
text: Callable[[UUID], str] = msgspec.to_builtins
"""An id as text, which `str` takes four times as long to say."""


@cache
def _blake2b() -> Any:
    # hashlib loads OpenSSL, which takes longer than all else that is imported here.
    from hashlib import blake2b

    return blake2b


def _digest(key: bytes, said: bytes) -> int:
    return int.from_bytes(_blake2b()(said, digest_size=16, key=key).digest(), "big")


@lru_cache(maxsize=1024)
def _mask(projector: str, index: int) -> int:
    return _digest(b"projected", f"{index}/{projector}".encode()) & ~_COUNTED


_new = object.__new__
_set_number = vars(UUID)["int"].__set__
_set_safety = vars(UUID)["is_safe"].__set__
_UNKNOWN = SafeUUID.unknown


def _uuid(number: int) -> UUID:
    # What UUID(int=...) does, without looking through its other five ways to make one.
    made = _new(UUID)
    _set_number(made, number)
    _set_safety(made, _UNKNOWN)
    return made


class Ids:
    """Draws ids from (seed, session, counter).

    ``session`` tells apart the times that one store was opened, so that a
    notebook run again on the same file draws new ids.

    >>> first, again = Ids(7), Ids(7)
    >>> first.new() == again.new()
    True
    >>> again.enter_session(2)
    >>> first.new() == again.new()
    False
    """

    def __init__(self, seed: int) -> None:
        self._key = f"modulus_es:{seed}".encode()
        self.enter_session(1)

    def enter_session(self, *numbers: int) -> None:
        """Draw from now on for these sessions of the stores in use."""
        sessions = b":".join(b"%d" % number for number in numbers)
        digest = _digest(self._key, sessions)
        first = digest & _CLEAR & ~_COUNTED | _VERSION_8
        # One call, which no other thread comes between.
        self._next = count(first + 1).__next__

    def new(self) -> UUID:
        """A fresh id."""
        made = _new(UUID)
        _set_number(made, self._next())
        _set_safety(made, _UNKNOWN)
        return made
