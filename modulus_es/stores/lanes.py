"""What a `KeyedQueue` is made of: lanes, which keep an order, and lines, in which rows wait."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

Row = Any  # OutboxRow or InboxRow

_CROWDED = 64  # rows of a lane that have left it before their places are given up
_position = attrgetter("position")


class Lane(list[Any]):
    """The rows of one key in order of position, from ``start`` on.

    Those between ``start`` and ``free`` are taken. Both are kept, so that a lane of
    many costs no more to go along than one of one.
    """

    start = 0
    free = 0

    def join(self, row: Row) -> None:
        """Take its place among the others."""
        if self[-1].position < row.position:
            self.append(row)
        else:
            index = bisect_left(self, row.position, self.start, key=_position)
            self.insert(index, row)
            self.free = min(self.free, index)

    def free_again(self, row: Row) -> None:
        """It is no longer taken."""
        self.free = min(self.free, bisect_left(self, row.position, self.start, key=_position))

    def leave(self, row: Row) -> bool:
        """Go; answers whether it was there."""
        start = self.start
        if self[start] is row:
            self[start] = None
            start += 1
            if start >= _CROWDED and 2 * start > len(self):
                del self[:start]
                self.free, start = max(0, self.free - start), 0
            self.start = start
            return True
        index = bisect_left(self, row.position, start, key=_position)
        if index == len(self) or self[index] is not row:
            return False
        del self[index]
        if index < self.free:
            self.free -= 1
        return True

    @property
    def is_empty(self) -> bool:
        """Whether all have left."""
        return self.start == len(self)

    def first_free(self) -> int | None:
        """Where the first row is that nobody has taken."""
        index, end = max(self.start, self.free), len(self)
        while index < end and self[index].claimed_by is not None:
            index += 1
        self.free = index
        return None if index == end else index


class Line:
    """Gives back the smallest first; what comes in order, as most does, is not sorted."""

    __slots__ = ("in_order", "others")

    def __init__(self) -> None:
        self.in_order: deque[Any] = deque()
        self.others: list[Any] = []

    def push(self, item: Any) -> None:
        """Put an item where it belongs."""
        in_order = self.in_order
        if not in_order or in_order[-1] < item:
            in_order.append(item)
        else:
            heappush(self.others, item)

    def first(self) -> Any:
        """The smallest, which stays; None if there is none."""
        if not self.others:
            return self.in_order[0] if self.in_order else None
        if not self.in_order or self.others[0] < self.in_order[0]:
            return self.others[0]
        return self.in_order[0]

    def pop(self) -> Any:
        """The smallest, which goes; None if there is none."""
        if not self.others:
            return self.in_order.popleft() if self.in_order else None
        if not self.in_order or self.others[0] < self.in_order[0]:
            return heappop(self.others)
        return self.in_order.popleft()

    def put_back(self, item: Any) -> None:
        """What was popped last is the smallest again."""
        self.in_order.appendleft(item)
