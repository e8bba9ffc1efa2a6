"""Very many marks as numbers, by column: what the page gets, and what an update adds to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any

import numpy as np

from modulus_es.views.marks import KINDS, SPANS, Mark

_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
_LASTS = np.array([kind in SPANS for kind in KINDS])
_RECORDED = _NUMBERS["recorded"]
_LANE = attrgetter("module", "handler")

Lane = tuple[str, str]


class Columns:
    """Marks in order of time, and of each of them the numbers that travel.

    Lanes, types and messages are numbered as they are met, and keep their numbers.

    >>> from modulus_es.clock import START
    >>> columns = Columns([Mark(START, START, "m", "h", "done", id_, "T") for id_ in "ab"])
    >>> columns.replace({"a"}, [])
    >>> [mark.message_id for mark in columns.marks], columns.held["message"]
    (['b'], array([1], dtype=uint32))
    """

    def __init__(self, marks: Sequence[Mark] = ()) -> None:
        self.lanes: dict[Lane, int] = {}
        self.types: dict[str, int] = {}
        self.marks: list[Mark] = list(marks)
        self._messages: dict[Any, int] = {}
        self._nameless: set[int] = set()
        self._causes: list[str | None] = []
        self._spoke: list[tuple[str, str | None] | None] = []
        self._sent: dict[tuple[str, str | None], int] = {}
        self.held = self._read(self.marks)

    def replace(self, messages: Collection[str], marks: Sequence[Mark]) -> None:
        """Put marks in the place of all those of these messages; the empty id is all without."""
        gone = np.zeros(len(self._messages), "?")
        gone[[self._messages[id_] for id_ in messages if id_ in self._messages]] = True
        if "" in messages:
            gone[list(self._nameless)] = True
        kept = np.flatnonzero(~gone[self.held["message"]])
        added = self._read(marks)
        both = {name: np.concatenate([self.held[name][kept], added[name]]) for name in added}
        order = np.argsort(both["time"], kind="stable")
        self.held = {name: values[order] for name, values in both.items()}
        together = [*map(self.marks.__getitem__, kept.tolist()), *marks]
        self.marks = list(map(together.__getitem__, order.tolist()))

    def only_moments(self) -> dict[str, Any]:
        """The columns of those that do not last."""
        moments = ~_LASTS[self.held["kind"]]
        return {name: values[moments] for name, values in self.held.items()}

    def cause(self) -> Any:
        """Of each message the number of the one that it follows from, -1 without one."""
        number, many = self._messages, len(self._messages)
        cause = np.fromiter((number.get(id_ or "", -1) for id_ in self._causes), "i4", many)
        if self._sent:
            for message in np.flatnonzero(cause < 0).tolist():
                spoke = self._spoke[message]
                if spoke is not None:
                    cause[message] = self._sent.get(spoke, -1)
        cause[cause == np.arange(many)] = -1
        return cause

    def _read(self, marks: Sequence[Mark]) -> dict[str, Any]:
        many = len(marks)
        kinds = map(_NUMBERS.__getitem__, map(attrgetter("kind"), marks))
        kind = np.fromiter(kinds, "u1", many)
        time = _micros(map(attrgetter("time"), marks), many)
        end = time.copy()
        lasting = np.flatnonzero(_LASTS[kind])
        ends = map(attrgetter("end"), map(marks.__getitem__, lasting.tolist()))
        end[lasting] = _micros(ends, len(lasting))
        open_ = np.zeros(many, "u1")
        opens = map(attrgetter("open"), map(marks.__getitem__, lasting.tolist()))
        open_[lasting] = np.fromiter((said in ("end", "both") for said in opens), "u1")
        return {
            "time": time,
            "end": end,
            "open": open_,
            "lane": numbered(self.lanes, list(map(_LANE, marks))),
            "kind": kind,
            "type": numbered(self.types, list(map(attrgetter("type"), marks))),
            "attempt": np.fromiter(map(attrgetter("attempt"), marks), "i8", many),
            "message": self._told(marks, kind),
        }

    def _told(self, marks: Sequence[Mark], kind: Any) -> Any:
        """The numbers of the marks' messages; what each follows from is noted."""
        keys: list[Any] = list(map(attrgetter("message_id"), marks))
        nameless = [index for index, id_ in enumerate(keys) if not id_]
        for index in nameless:
            # What has no id is a command's attempt with its outcome, which end together.
            mark = marks[index]
            keys[index] = (mark.correlation_id, mark.type, mark.end)
        own = numbered(self._messages, keys)
        more = len(self._messages) - len(self._causes)
        self._causes += [None] * more
        self._spoke += [None] * more
        first = np.full(len(self._messages), -1, "i8")
        first[own[::-1]] = np.arange(len(own) - 1, -1, -1)
        # How a message was recorded knows best what it follows from.
        recorded = np.flatnonzero(kind == _RECORDED)[::-1]
        first[own[recorded]] = recorded
        told = np.flatnonzero(first >= 0)
        for message, index in zip(told.tolist(), first[told].tolist(), strict=True):
            mark = marks[index]
            self._causes[message] = mark.causation_id
            if mark.message_id:
                self._spoke[message] = (mark.module, mark.correlation_id)
        for index in nameless:
            mark, message = marks[index], int(own[index])
            self._nameless.add(message)
            self._sent.setdefault((mark.module, mark.correlation_id), message)
        return own


def numbered(known: dict[Any, int], values: Sequence[Any]) -> Any:
    """Each value's number; what is not known yet gets the next one.

    >>> numbered({"a": 0}, ["b", "a", "b"])
    array([1, 0, 1], dtype=uint32)
    """
    for value in dict.fromkeys(values):
        known.setdefault(value, len(known))
    return np.fromiter(map(known.__getitem__, values), "u4", len(values))


def in_use(numbers: Any, names: Iterable[Any]) -> list[tuple[Any, int]]:
    """The names whose numbers occur, in order of first appearance, each with its number.

    >>> in_use(np.array([2, 0, 2]), "abc")
    [('c', 2), ('a', 0)]
    """
    held = list(names)
    first = np.full(len(held), len(numbers))
    first[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)
    used = np.argsort(first, kind="stable")[: int((first < len(numbers)).sum())]
    return [(held[number], number) for number in used.tolist()]


def _micros(times: Iterable[datetime], many: int) -> Any:
    return np.rint(np.fromiter(map(datetime.timestamp, times), "f8", many) * 1e6)
