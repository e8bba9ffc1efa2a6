"""Ids that are the same on every run with one seed, and never collide."""

from __future__ import annotations

from functools import cache
from itertools import count
from typing import Any
from uuid import UUID, SafeUUID

import msgspec

_VERSION_8 = (8 << 76) | (0b10 << 62)
_CLEAR = ~((0xF << 76) | (0b11 << 62))


def derived_id(*parts: object) -> UUID:
    """The id that belongs to these parts: the same parts give the same id.

    It is a UUID of version 8 (RFC 9562, section 5.8) over a BLAKE2b digest.

    >>> derived_id("a", 1) == derived_id("a", 1) != derived_id("a", 2)
    True
    """
    said = "\x1f".join(map(str, parts)).encode()
    return _uuid(_blake2b()(said, digest_size=16).digest())


def text(id: UUID) -> str:
    """An id as text, which `str` takes four times as long to say.

    >>> text(UUID(int=1))
    '00000000-0000-0000-0000-000000000001'
    """
    said: str = msgspec.to_builtins(id)
    return said


@cache
def _blake2b() -> Any:
    # hashlib loads OpenSSL, which takes longer than all else that is imported here.
    from hashlib import blake2b

    return blake2b


_set_number = vars(UUID)["int"].__set__
_set_safety = vars(UUID)["is_safe"].__set__
_UNKNOWN = SafeUUID.unknown


def _uuid(digest: bytes) -> UUID:
    # What UUID(int=...) does, without looking through its other five ways to make one.
    made = object.__new__(UUID)
    _set_number(made, int.from_bytes(digest, "big") & _CLEAR | _VERSION_8)
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
        self._base = _blake2b()(sessions, digest_size=16, key=self._key)
        self._counter = count(1)

    def new(self) -> UUID:
        """A fresh id."""
        digest = self._base.copy()
        digest.update(b"/%d" % next(self._counter))
        return _uuid(digest.digest())
