"""A queue of rows that keeps the order of each key and lets the keys overtake each other."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count, islice
from typing import Any

Row = Any  # OutboxRow or InboxRow

_CROWDED = 64  # entries of a lane that have left it before their places are given up


class _Entry:
    """A row in the queue: offered (ready or waiting for a time), taken, or set aside.

    ``offered`` is the number of the offer that holds, 0 if there is none.
    """

    __slots__ = ("lane", "offered", "position", "row", "scheduled", "taken")

    def __init__(self, row: Row, lane: Hashable, scheduled: bool) -> None:
        self.row, self.lane, self.scheduled = row, lane, scheduled
        self.position: int = row.position
        self.taken = False
        self.offered = 0

    def __lt__(self, other: _Entry) -> bool:
        return self.position < other.position


class _Lane(list[Any]):
    """The entries of one key in order of position, from ``start`` on.

    Those between ``start`` and ``free`` are taken. Both are kept, so that a lane of
    many costs no more to go along than one of one; most have one entry, and are
    nothing but a list.
    """

    start = 0
    free = 0


class _Line:
    """Gives back the smallest first; what comes in order, as most does, is not sorted."""

    __slots__ = ("_in_order", "_others")

    def __init__(self) -> None:
        self._in_order: deque[Any] = deque()
        self._others: list[Any] = []

    def push(self, item: Any) -> None:
        if not self._in_order or self._in_order[-1] < item:
            self._in_order.append(item)
        else:
            heappush(self._others, item)

    def first(self) -> Any:
        """The smallest, which stays; None if there is none."""
        if not self._others:
            return self._in_order[0] if self._in_order else None
        if not self._in_order or self._others[0] < self._in_order[0]:
            return self._others[0]
        return self._in_order[0]

    def pop(self) -> None:
        """Drop the smallest."""
        if self._others and (not self._in_order or self._others[0] < self._in_order[0]):
            heappop(self._others)
        else:
            self._in_order.popleft()


class KeyedQueue:
    """Rows in lanes, one a key; only the first row of a lane that is not taken is on offer.

    With ``through`` the row behind a taken one is on offer too, but only to the
    owner who has taken all those before it: so one claim takes several rows of a
    lane, in order, and nobody else overtakes him.
    """

    def __init__(self, *, through: bool) -> None:
        self._through = through
        self._entries: dict[int, _Entry] = {}
        self._lanes: dict[Hashable, _Lane] = {}
        self._ready = _Line()  # of (position, offer, entry)
        self._waiting = _Line()  # of (available at, position, offer, entry)
        self._aside: list[_Entry] = []
        self._blocked: dict[str, list[_Entry]] = {}
        self._leases: dict[str, deque[tuple[datetime, list[_Entry]]]] = {}
        self._offers = count(1)
        self._now: datetime | None = None

    def add(self, row: Row, lane: Hashable, *, scheduled: bool = False) -> None:
        """Put a row in its lane; a scheduled one joins its lane when it is due."""
        entry = self._entries[row.position] = _Entry(row, lane, scheduled)
        if row.claimed_by is not None:
            entry.taken = True
            self._note_lease(row.claimed_by, row.claimed_until, [entry])
        if scheduled:
            self._offer(entry)
        else:
            self._join(entry)

    def take(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        wanted: Callable[[Row], bool],
    ) -> list[Row]:
        """Claim rows that are due and wanted, in order of position."""
        self._bring_up_to(owner, now)
        entries: list[_Entry] = []
        until = now + lease
        while len(entries) < limit and (entry := self._next_ready(owner, wanted)) is not None:
            self._ready.pop()
            entry.offered = 0
            row = entry.row
            # In this order: an interrupt between the two must not leave a claim without an end.
            row.claimed_until = until
            row.claimed_by = owner
            entry.taken = True
            entries.append(entry)
            if self._through and self._lanes[entry.lane][-1] is not entry:
                self._offer_next(entry.lane)
        if entries:
            self._note_lease(owner, until, entries)
        return [entry.row for entry in entries]

    def due(self, owner: str, now: datetime, wanted: Callable[[Row], bool]) -> datetime | None:
        """When ``owner`` can next take something; ``now`` if at once, None if never."""
        self._bring_up_to(owner, now)
        if self._next_ready(owner, wanted) is not None:
            return now
        times = [lease[0][0] for other, lease in self._leases.items() if other != owner]
        while (first := self._waiting.first()) is not None:
            available, _, offer, entry = first
            if entry.offered == offer:
                times.append(available)
                break
            self._waiting.pop()
        return min(times, default=None)

    def renew(self, owner: str, rows: Iterable[Row], until: datetime) -> None:
        """What ``owner`` has taken of these is his until then."""
        mine = [row for row in rows if row.claimed_by == owner]
        for row in mine:
            row.claimed_until = until
        if mine:
            self._note_lease(owner, until, [self._entries[row.position] for row in mine])

    def give_back(self, row: Row) -> None:
        """A taken row is to be taken again, when ``row.available_at`` has come."""
        row.claimed_by = row.claimed_until = None
        entry = self._entries[row.position]
        entry.taken = False
        lane = self._lanes.get(entry.lane)
        if lane is not None and len(lane) > 1:
            lane.free = min(lane.free, bisect_left(lane, entry, lane.start))
        self._offer_next(entry.lane)

    def remove(self, row: Row) -> None:
        """A row is finished."""
        row.claimed_by = row.claimed_until = None
        entry = self._entries.pop(row.position, None)
        if entry is not None:
            entry.taken, entry.offered = False, 0
            self._leave(entry)
            if not self._entries:
                # To go through one that held many takes as long as if it still did.
                self._entries = {}

    def reconsider(self) -> None:
        """What was set aside, because nobody wanted it, may be wanted now."""
        aside, self._aside = self._aside, []
        for entry in aside:
            self._join(entry)

    def keys(self) -> Iterable[int]:
        """The positions in the queue."""
        return self._entries.keys()

    def __len__(self) -> int:
        return len(self._entries)

    def _bring_up_to(self, owner: str, now: datetime) -> None:
        """Let happen what has become due by ``now``: leases run out, rows become available."""
        self._now = now
        for entry in self._blocked.pop(owner, ()):
            self._offer_next(entry.lane)
        for other, leases in tuple(self._leases.items()):
            while leases:
                until, entries = leases[0]
                held = [entry for entry in entries if _holds(other, until, entry)]
                if held and (until > now or other == owner):
                    break
                leases.popleft()
                for entry in held:
                    self.give_back(entry.row)
            if not leases:
                del self._leases[other]
        while (first := self._waiting.first()) is not None and first[0] <= now:
            self._waiting.pop()
            _, _, offer, entry = first
            if entry.offered == offer:
                entry.offered = 0
                if entry.scheduled:
                    entry.scheduled = False
                    self._join(entry)
                else:
                    self._offer(entry)

    def _note_lease(self, owner: str, until: datetime, entries: list[_Entry]) -> None:
        leases = self._leases.get(owner)
        if leases is None:
            leases = self._leases[owner] = deque()
        leases.append((until, entries))

    def _next_ready(self, owner: str, wanted: Callable[[Row], bool]) -> _Entry | None:
        """The first row that is due and wanted and may be had by ``owner``; it stays ready."""
        ready = self._ready
        while (first := ready.first()) is not None:
            _, offer, entry = first
            if entry.offered != offer:
                ready.pop()
            elif not wanted(entry.row):
                ready.pop()
                entry.offered = 0
                self._leave(entry)
                self._aside.append(entry)
            elif self._candidate(entry.lane, owner) is not entry:
                ready.pop()
                entry.offered = 0
                self._hold_back(entry)
            else:
                return entry
        return None

    def _hold_back(self, entry: _Entry) -> None:
        """It is not the turn of this row: offer the one whose turn it is, if it is anybody's."""
        taker = ""
        lane = self._lanes[entry.lane]
        for other in islice(lane, lane.start, None):
            if other is entry:
                # Only who has taken those before it may have it: offer it when he asks.
                self._blocked.setdefault(taker, []).append(entry)
                return
            if not other.taken:
                # A scheduled row came due, and stands before it.
                self._offer_next(entry.lane)
                return
            taker = other.row.claimed_by

    def _join(self, entry: _Entry) -> None:
        lane = self._lanes.get(entry.lane)
        if lane is None:
            self._lanes[entry.lane] = _Lane((entry,))
        elif lane[-1].position < entry.position:
            lane.append(entry)
        else:
            index = bisect_left(lane, entry, lane.start)
            lane.insert(index, entry)
            lane.free = min(lane.free, index)
        self._offer_next(entry.lane)

    def _leave(self, entry: _Entry) -> None:
        lane = self._lanes.get(entry.lane)
        if lane is None:
            return
        start = lane.start
        if lane[start] is entry:
            lane[start] = None
            start += 1
            if start == len(lane):
                del self._lanes[entry.lane]
                return
            if start >= _CROWDED and 2 * start > len(lane):
                del lane[:start]
                lane.free, start = max(0, lane.free - start), 0
            lane.start = start
        else:
            index = bisect_left(lane, entry, start)
            if index == len(lane) or lane[index] is not entry:
                return  # it was set aside
            del lane[index]
            if index < lane.free:
                lane.free -= 1
        self._offer_next(entry.lane)

    def _candidate(self, key: Hashable, owner: str | None = None) -> _Entry | None:
        """The first row of a lane that is not taken, if ``owner``, or anybody, may have it."""
        lane = self._lanes.get(key)
        if lane is None:
            return None
        first: _Entry = lane[lane.start]
        if not first.taken:
            return first
        if not self._through:
            return None
        index, end = max(lane.start, lane.free), len(lane)
        while index < end and lane[index].taken:
            index += 1
        lane.free = index
        if index == end or not (owner is None or self._has_all(owner, lane, index)):
            return None
        return lane[index]  # type: ignore[no-any-return]

    def _has_all(self, owner: str, lane: _Lane, end: int) -> bool:
        """Whether ``owner`` has taken all of a lane up to there."""
        if self._leases.keys() <= {owner}:
            return True
        return all(entry.row.claimed_by == owner for entry in islice(lane, lane.start, end))

    def _offer_next(self, lane: Hashable) -> None:
        entry = self._candidate(lane)
        if entry is not None and not entry.offered:
            self._offer(entry)

    def _offer(self, entry: _Entry) -> None:
        entry.offered = offer = next(self._offers)
        row = entry.row
        # What was never tried waits for nothing, even if the clock was set back since.
        tried = row.attempts or row.last_error is not None
        if entry.scheduled or (tried and (self._now is None or row.available_at > self._now)):
            self._waiting.push((row.available_at, entry.position, offer, entry))
        else:
            self._ready.push((entry.position, offer, entry))


def _holds(owner: str, until: datetime, entry: _Entry) -> bool:
    row = entry.row
    return entry.taken and row.claimed_by == owner and bool(row.claimed_until == until)
