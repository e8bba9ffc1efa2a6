"""Where a SQLite store lies: its URL, taken apart."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from modulus_es.errors import StoreURLError

LOCK_TIMEOUT = 5.0
"""How many seconds a writer waits for another one, unless the URL says otherwise."""

MEMORY = ":memory:"

_HOW = (
    "write sqlite:///relative/path.db, sqlite:////absolute/path.db or sqlite:///:memory:, "
    "with ?synchronous=NORMAL or ?timeout=30 behind it"
)


class Place(NamedTuple):
    """A file, or ``:memory:``, and how it is to be used."""

    url: str
    path: str
    timeout: float = LOCK_TIMEOUT
    synchronous: str = "FULL"

    @property
    def in_memory(self) -> bool:
        """Whether it is gone with the process."""
        return ":memory:" in self.path or "mode=memory" in self.path

    def __str__(self) -> str:
        return self.url


def parse(url: str) -> Place:
    """Take a URL apart; raises `StoreURLError` saying what is wrong with it.

    >>> parse("sqlite:///:memory:?timeout=30")
    Place(url='sqlite:///:memory:?timeout=30', path=':memory:', timeout=30.0, synchronous='FULL')
    >>> parse("sqlite://shop.db")
    Traceback (most recent call last):
        ...
    modulus_es.errors.StoreURLError: 'sqlite://shop.db' names no file: write ...
    """
    rest, _, query = url.removeprefix("sqlite://").partition("?")
    if not url.startswith("sqlite://") or not rest.startswith("/") or len(rest) == 1:
        raise StoreURLError(f"{url!r} names no file: {_HOW}")
    path = unquote(rest[1:])
    if "\0" in path or path.endswith("/"):
        raise StoreURLError(f"{url!r} names no file: {_HOW}")
    timeout, synchronous = LOCK_TIMEOUT, "FULL"
    seen: set[str] = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in seen:
            raise StoreURLError(f"{url!r} says {name} twice")
        seen.add(name)
        if name == "timeout":
            timeout = _seconds(url, value)
        elif name == "synchronous":
            synchronous = value.upper()
            if synchronous not in ("FULL", "NORMAL"):
                raise StoreURLError(
                    f"{url!r}: synchronous is FULL, where what is committed survives a power cut, "
                    f"or NORMAL, where it survives only the end of the process; not {value!r}"
                )
        else:
            raise StoreURLError(f"{url!r}: there is no option {name!r}; {_HOW}")
    return Place(url, path if path == MEMORY else str(Path(path).absolute()), timeout, synchronous)


def _seconds(url: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not isfinite(seconds) or seconds < 0:
        raise StoreURLError(f"{url!r}: timeout is a number of seconds, not {value!r}")
    return seconds
