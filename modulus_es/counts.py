"""Numbers of things, as somebody says them: how often, how many, how much at most."""

from __future__ import annotations

from operator import index
from typing import Any


def whole(number: Any, what: str, least: int = 0) -> int:
    """A whole number; raises `TypeError` for what is none, `ValueError` for one that is too small.

    >>> whole(3, "limit")
    3
    >>> whole("3", "limit")
    Traceback (most recent call last):
        ...
    TypeError: limit is a whole number, not '3'
    >>> whole(0, "limit", 1)
    Traceback (most recent call last):
        ...
    ValueError: limit is at least 1, not 0
    """
    try:
        counted = index(number)
    except TypeError:
        raise TypeError(f"{what} is a whole number, not {number!r}") from None
    if counted < least:
        raise ValueError(f"{what} is at least {least}, not {number!r}")
    return counted
