"""How a failed test tells its story."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def told(things: Sequence[Any]) -> str:
    """Several things in one line.

    >>> told([1, 2]), told([])
    ('1, 2', 'nothing')
    """
    return ", ".join(map(repr, things)) or "nothing"


def complain(story: str, what: str, lines: Iterable[str] = ()) -> AssertionError:
    """The error of a test that failed: what was given, what was done, and what is wrong."""
    return AssertionError("\n".join([story, what, *(f"  {line}" for line in lines)]))
