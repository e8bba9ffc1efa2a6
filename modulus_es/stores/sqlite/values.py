"""Values as SQLite keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


# What is written together mostly has the same moment.
@lru_cache(maxsize=1024)
def micros(moment: datetime) -> int:
    """A moment as it is stored: microseconds since 1970, in UTC.

    >>> moment(micros(datetime(2013, 2, 8, 12, 30, tzinfo=UTC))).isoformat()
    '2013-02-08T12:30:00+00:00'
    """
    return (moment - EPOCH) // _MICROSECOND


@lru_cache(maxsize=1024)
def moment(stored: int) -> datetime:
    """The moment that was stored."""
    return EPOCH + timedelta(microseconds=stored)


blob = bytearray
"""Bytes as a parameter: sqlite3 looks for an adapter of each value that is neither a number, text
nor a bytearray, which takes longer than copying a message. A bool is given as an int."""
