"""Who has something to do in a table of messages: now, or when its time has come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from modulus_es.stores.sqlite.reading import Select
from modulus_es.stores.sqlite.values import micros, moment

_LATEST = micros(datetime.max.replace(tzinfo=UTC))
_ALL = b"\xff"  # SQLite sorts bytes behind numbers and text: behind whatever stands for a time


class Waiting(NamedTuple):
    """Names with rows to look at, and names with rows that sleep until the time beside them.

    A name is a route of an outbox or a handler of an inbox. Where somebody altered
    the time, the row is to be looked at, so that it is set aside.
    """

    ready: frozenset[str]
    later: tuple[tuple[str, Any], ...]

    def is_any(self, now: datetime) -> bool:
        """Whether there is one to be looked at."""
        return bool(self.ready or self.due(now))

    def due(self, now: datetime) -> list[tuple[str, Any]]:
        """Whose rows are to be woken, and up to which time.

        >>> now = datetime(2013, 2, 8, tzinfo=UTC)
        >>> rows = (("soon", micros(now)), ("later", micros(now) + 1), ("altered", "?"))
        >>> [name for name, _ in Waiting(frozenset(), rows).due(now)]
        ['soon', 'altered']
        """
        stamp = micros(now)
        return [
            (name, stamp if _is_time(at) else _ALL)
            for name, at in self.later
            if not _is_time(at) or at <= stamp
        ]

    def next(self, now: datetime) -> datetime | None:
        """When the next of those is due that are not yet; None if there are none."""
        stamp = micros(now)
        times = [at for _, at in self.later if _is_time(at) and at > stamp]
        return moment(min(times)) if times else None


def look(select: Select, any_: str, names: str, wanted: frozenset[str]) -> Waiting:
    """Who of those that are wanted has rows: a statement answers names, and times of sleepers.

    Mostly there is nothing, which ``any_`` says in a tenth of the time.
    """
    found = select(names, ()) if select(any_, ())[0][0] else ()
    return Waiting(
        frozenset(name for name, at in found if at is None and name in wanted),
        tuple((name, at) for name, at in found if at is not None and name in wanted),
    )


def _is_time(stored: Any) -> bool:
    return type(stored) is int and stored <= _LATEST
