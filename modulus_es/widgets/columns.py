"""Very many marks as numbers, by column: what the page gets, and what an update adds to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import numpy as np

from modulus_es.views.marks import KINDS, SPANS, Mark

_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
_LASTS = np.array([kind in SPANS for kind in KINDS])
_RECORDED = _NUMBERS["recorded"]
_LASTING = frozenset(_NUMBERS[kind] for kind in SPANS)

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
        self.lanes: dict[Lane, int] = _numbering()
        self.types: dict[str, int] = _numbering()
        self.marks: list[Mark] = list(marks)
        self._messages: dict[Any, int] = _numbering()
        self._nameless: set[int] = set()
        self._heads: list[Mark] = []
        """Of each message, by its number, the mark that knows best what it follows from."""
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

    def moments(self) -> Any:
        """Of each mark, whether it does not last."""
        return ~_LASTS[self.held["kind"]]

    def cause(self) -> Any:
        """Of each message the number of the one that it follows from, -1 without one."""
        number, heads, many = self._messages, self._heads, len(self._heads)
        cause = np.fromiter((number.get(head.causation_id or "", -1) for head in heads), "i4", many)
        if self._sent:
            for message in np.flatnonzero(cause < 0).tolist():
                head = heads[message]
                if head.message_id:
                    cause[message] = self._sent.get((head.module, head.correlation_id), -1)
        cause[cause == np.arange(many)] = -1
        return cause

    def _read(self, marks: Sequence[Mark]) -> dict[str, Any]:
        """The numbers of marks. One loop: to look at each mark is what takes the time."""
        numbers, lane_of, type_of = self._messages, self.lanes, self.types
        moments: list[datetime] = []
        begins: list[int] = []
        ends: list[int] = []
        opens = bytearray()
        lanes: list[int] = []
        kinds = bytearray()
        types: list[int] = []
        attempts: list[int] = []
        owners: list[int] = []
        heads: dict[int, Mark] = {}
        latest = until = None
        begin = end = 0
        for mark in marks:
            # What happens at one moment is mostly told with one and the same time.
            if mark.time is not latest:
                latest = mark.time
                begin = len(moments)
                moments.append(latest)
            begins.append(begin)
            kind = _NUMBERS[mark.kind]
            kinds.append(kind)
            if kind in _LASTING:
                if mark.end is not until:
                    until = mark.end
                    end = len(moments)
                    moments.append(until)
                ends.append(end)
                opens.append(mark.open in ("end", "both"))
            else:
                ends.append(begin)
                opens.append(0)
            lanes.append(lane_of[mark.module, mark.handler])
            types.append(type_of[mark.type])
            attempts.append(mark.attempt)
            # What has no id is a command's attempt with its outcome, which end together.
            owner = numbers[mark.message_id or (mark.correlation_id, mark.type, mark.end)]
            owners.append(owner)
            # How a message was recorded knows best what it follows from.
            if owner not in heads or (kind == _RECORDED and heads[owner].kind != mark.kind):
                heads[owner] = mark
        self._note(heads)
        stamps = np.fromiter(map(datetime.timestamp, moments), "f8", len(moments))
        micros = np.rint(stamps * 1e6)
        return {
            "time": micros[np.array(begins, "u4")],
            "end": micros[np.array(ends, "u4")],
            "open": np.frombuffer(opens, "u1"),
            "lane": np.array(lanes, "u4"),
            "kind": np.frombuffer(kinds, "u1"),
            "type": np.array(types, "u4"),
            "attempt": np.array(attempts, "i8"),
            "message": np.array(owners, "u4"),
        }

    def _note(self, heads: Mapping[int, Mark]) -> None:
        """Keep what is known of messages, by their numbers; new ones come in order."""
        for message, mark in heads.items():
            if message < len(self._heads):
                self._heads[message] = mark
            else:
                self._heads.append(mark)
            if not mark.message_id:
                self._nameless.add(message)
                self._sent.setdefault((mark.module, mark.correlation_id), message)


def _numbering() -> dict[Any, int]:
    """Of each value its number; what is not known yet gets the next one."""
    return defaultdict(count().__next__)


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
