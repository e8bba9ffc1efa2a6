"""A queue of rows that keeps the order of each key and lets the keys overtake each other."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import Any

Row = Any  # OutboxRow or InboxRow


class _Entry:
    """A row in the queue: offered (ready or waiting in a heap), taken, or set aside."""

    __slots__ = ("lane", "offered", "position", "row", "scheduled", "taken")

    def __init__(self, row: Row, lane: Hashable, scheduled: bool) -> None:
        self.row, self.lane, self.scheduled = row, lane, scheduled
        self.position: int = row.position
        self.taken = False
        self.offered = 0

    def __lt__(self, other: _Entry) -> bool:
        return self.position < other.position


class KeyedQueue:
    """Rows in lanes, one a key; only the first row of a lane that is not taken is on offer.

    With ``through`` the row behind a taken one is on offer too, but only to the
    owner who has taken all those before it: so one claim takes several rows of a
    lane, in order, and nobody else overtakes him.
    """

    def __init__(self, *, through: bool) -> None:
        self._through = through
        self._entries: dict[int, _Entry] = {}
        self._lanes: dict[Hashable, list[_Entry]] = {}
        self._ready: list[tuple[int, int, _Entry]] = []
        self._waiting: list[tuple[datetime, int, int, _Entry]] = []
        self._aside: list[_Entry] = []
        self._blocked: dict[str, list[_Entry]] = {}
        self._leases: dict[str, deque[tuple[datetime, _Entry]]] = {}
        self._tokens = count(1)
        self._now: datetime | None = None

    def add(self, row: Row, lane: Hashable, *, scheduled: bool = False) -> None:
        """Put a row in its lane; a scheduled one joins its lane when it is due."""
        entry = self._entries[row.position] = _Entry(row, lane, scheduled)
        if row.claimed_by is not None:
            self._mark_taken(entry)
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
        taken: list[Row] = []
        until = now + lease
        while self._ready and len(taken) < limit:
            entry = self._next_ready(owner, wanted)
            if entry is None:
                break
            entry.offered = 0
            row = entry.row
            # In this order: an interrupt between the two must not leave a claim without an end.
            row.claimed_until = until
            row.claimed_by = owner
            self._mark_taken(entry)
            taken.append(row)
            if self._through:
                self._offer_next(entry.lane)
        return taken

    def due(self, owner: str, now: datetime, wanted: Callable[[Row], bool]) -> datetime | None:
        """When ``owner`` can next take something; ``now`` if at once, None if never."""
        self._bring_up_to(owner, now)
        if self._ready and self._next_ready(owner, wanted, keep=True) is not None:
            return now
        times = [lease[0][0] for other, lease in self._leases.items() if other != owner and lease]
        while self._waiting and self._waiting[0][3].offered != self._waiting[0][2]:
            heappop(self._waiting)
        if self._waiting:
            times.append(self._waiting[0][0])
        return min(times, default=None)

    def give_back(self, row: Row) -> None:
        """A taken row is to be taken again, when ``row.available_at`` has come."""
        row.claimed_by = row.claimed_until = None
        entry = self._entries[row.position]
        entry.taken = False
        self._offer_next(entry.lane)

    def remove(self, row: Row) -> None:
        """A row is finished."""
        row.claimed_by = row.claimed_until = None
        entry = self._entries.pop(row.position, None)
        if entry is not None:
            entry.taken, entry.offered = False, 0
            self._leave(entry)

    def reconsider(self) -> None:
        """What was set aside, because nobody wanted it, may be wanted now."""
        aside, self._aside = self._aside, []
        for entry in aside:
            self._join(entry)

    def keys(self) -> Iterable[int]:
        """The positions in the queue."""
        return self._entries.keys()

    def _bring_up_to(self, owner: str, now: datetime) -> None:
        self._now = now
        if owner in self._blocked:
            for entry in self._blocked.pop(owner):
                self._offer_next(entry.lane)
        for other, leases in self._leases.items():
            while leases:
                until, entry = leases[0]
                if self._holds(other, until, entry):
                    if until > now or other == owner:
                        break
                    self.give_back(entry.row)
                leases.popleft()
        while self._waiting and self._waiting[0][0] <= now:
            _, _, token, entry = heappop(self._waiting)
            if entry.offered == token:
                entry.offered = 0
                if entry.scheduled:
                    entry.scheduled = False
                    self._join(entry)
                else:
                    self._offer(entry)

    @staticmethod
    def _holds(owner: str, until: datetime, entry: _Entry) -> bool:
        row = entry.row
        return entry.taken and row.claimed_by == owner and bool(row.claimed_until == until)

    def _mark_taken(self, entry: _Entry) -> None:
        entry.taken = True
        row = entry.row
        self._leases.setdefault(row.claimed_by, deque()).append((row.claimed_until, entry))

    def _next_ready(
        self, owner: str, wanted: Callable[[Row], bool], *, keep: bool = False
    ) -> _Entry | None:
        while self._ready:
            _, token, entry = self._ready[0]
            if entry.offered != token:
                heappop(self._ready)
            elif not wanted(entry.row):
                heappop(self._ready)
                entry.offered = 0
                self._leave(entry)
                self._aside.append(entry)
            elif self._candidate(entry.lane, owner) is not entry:
                heappop(self._ready)
                entry.offered = 0
                self._hold_back(entry)
            else:
                if not keep:
                    heappop(self._ready)
                return entry
        return None

    def _hold_back(self, entry: _Entry) -> None:
        """It is not the turn of this row: offer the one whose turn it is, if it is anybody's."""
        taker = ""
        for other in self._lanes[entry.lane]:
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
        lane = self._lanes.setdefault(entry.lane, [])
        if lane and lane[-1].position > entry.position:
            insort(lane, entry)
        else:
            lane.append(entry)
        self._offer_next(entry.lane)

    def _leave(self, entry: _Entry) -> None:
        lane = self._lanes.get(entry.lane)
        if lane is not None and entry in lane:
            lane.remove(entry)
            if lane:
                self._offer_next(entry.lane)
            else:
                del self._lanes[entry.lane]

    def _candidate(self, lane: Hashable, owner: str | None = None) -> _Entry | None:
        """The first row of a lane that is not taken, if ``owner``, or anybody, may have it."""
        for entry in self._lanes.get(lane, ()):
            if not entry.taken:
                return entry
            if not self._through or owner not in (None, entry.row.claimed_by):
                return None
        return None

    def _offer_next(self, lane: Hashable) -> None:
        entry = self._candidate(lane)
        if entry is not None and not entry.offered:
            self._offer(entry)

    def _offer(self, entry: _Entry) -> None:
        entry.offered = token = next(self._tokens)
        available = entry.row.available_at
        if self._now is None or available > self._now or entry.scheduled:
            heappush(self._waiting, (available, entry.position, token, entry))
        else:
            heappush(self._ready, (entry.position, token, entry))
