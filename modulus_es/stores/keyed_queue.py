"""A queue of rows that keeps the order of each key and lets the keys overtake each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from modulus_es.stores.lanes import Lane, Line, Row
from modulus_es.stores.rows import NO_SKEW


class KeyedQueue:
    """Rows in lanes, one a key; only the first row of a lane that is not taken is on offer.

    With ``through`` the row behind a taken one is on offer too, but only to the
    owner who has taken all those before it: so one claim takes several rows of a
    lane, in order, and nobody else overtakes him.

    A row is taken as long as it says by whom it is claimed. The queue holds the
    rows themselves and numbers, nothing else for each: most lanes have one row,
    and are that row.
    """

    def __init__(self, *, through: bool) -> None:
        self._through = through
        self._places: dict[int, tuple[Row, Hashable]] = {}  # by position: each row and its lane
        self._lanes: dict[Hashable, Row | Lane] = {}
        self._offered: set[int] = set()  # the positions that are in a line
        self._ready = Line()  # of positions
        self._waiting = Line()  # of (available at, position)
        self._scheduled: set[int] = set()  # those of them that have still to join their lanes
        self._aside: dict[int, None] = {}  # the positions of what nobody wanted
        self._blocked: dict[str, list[Hashable]] = {}  # lanes to offer to an owner when he asks
        self._leases: dict[str, deque[tuple[datetime, list[Row]]]] = {}
        self._now: datetime | None = None

    def add(self, row: Row, lane: Hashable, *, scheduled: bool = False) -> None:
        """Put a row in its lane; a scheduled one joins its lane when it is due."""
        position = row.position
        self._places[position] = row, lane
        if row.claimed_by is not None:
            self._note_lease(row.claimed_by, row.claimed_until, [row])
        if scheduled:
            self._scheduled.add(position)
            self._offered.add(position)
            self._waiting.push((row.available_at, position))
        else:
            held: Any = self._lanes.setdefault(lane, row)
            if held is not row:
                self._join(row, lane)
            elif row.claimed_by is None:
                self._offer(row)

    def take(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        wanted: Callable[[Row], bool],
        skew: timedelta = NO_SKEW,
    ) -> list[Row]:
        """Claim rows that are due and wanted, in order of position."""
        self._bring_up_to(owner, now, skew)
        rows: list[Row] = []
        until = now - skew + lease
        through, lanes = self._through, self._lanes
        for row, lane in islice(self._ready_rows(owner, wanted), limit):
            # In this order: an interrupt between the two must not leave a claim without an end.
            row.claimed_until = until
            row.claimed_by = owner
            rows.append(row)
            if through and lanes[lane] is not row:
                self._offer_next(lane)
        if rows:
            self._note_lease(owner, until, rows)
        return rows

    def due(
        self,
        owner: str,
        now: datetime,
        wanted: Callable[[Row], bool],
        skew: timedelta = NO_SKEW,
    ) -> datetime | None:
        """When ``owner`` can next take something; ``now`` if at once, None if never."""
        self._bring_up_to(owner, now, skew)
        for row, _ in self._ready_rows(owner, wanted):
            self._offered.add(row.position)
            self._ready.put_back(row.position)
            return now
        times = [lease[0][0] + skew for other, lease in self._leases.items() if other != owner]
        while (first := self._waiting.first()) is not None:
            available, position = first
            if position in self._places:
                if wanted(self._places[position][0]):
                    times.append(available)
                else:
                    times += self._first_wanted(wanted)
                break
            self._waiting.pop()
        return min(times, default=None)

    def renew(self, owner: str, rows: Iterable[Row], until: datetime) -> None:
        """What ``owner`` has taken of these is his until then."""
        mine = [row for row in rows if row.claimed_by == owner]
        for row in mine:
            row.claimed_until = until
        if mine:
            self._note_lease(owner, until, mine)

    def give_back(self, row: Row) -> None:
        """A taken row is to be taken again, when ``row.available_at`` has come."""
        row.claimed_by = row.claimed_until = None
        key = self._places[row.position][1]
        lane = self._lanes.get(key)
        if isinstance(lane, Lane):
            lane.free_again(row)
        self._offer_next(key)

    def remove(self, row: Row) -> None:
        """A row is finished."""
        row.claimed_by = row.claimed_until = None
        places = self._places
        place = places.pop(row.position, None)
        if place is not None:
            lane = place[1]
            if self._lanes.get(lane) is row:
                del self._lanes[lane]
            else:
                self._leave(row, lane)
            if not places:
                # To go through one that held many takes as long as if it still did.
                self._places = {}
                self._leases.clear()

    def reconsider(self) -> None:
        """What was set aside, because nobody wanted it, may be wanted now."""
        aside, self._aside = self._aside, {}
        for position in aside:
            if (place := self._places.get(position)) is not None:
                self._join(*place)

    def keys(self) -> Iterable[int]:
        """The positions in the queue."""
        return self._places.keys()

    def __len__(self) -> int:
        return len(self._places)

    def _bring_up_to(self, owner: str, now: datetime, skew: timedelta) -> None:
        """Let happen what has become due by ``now``: leases run out, rows become available."""
        self._now = now
        by_claims = now - skew
        for lane in self._blocked.pop(owner, ()):
            self._offer_next(lane)
        for other, leases in tuple(self._leases.items()):
            while leases:
                until, rows = leases[0]
                if until > by_claims or other == owner:
                    # From behind: those that were taken last are finished last.
                    if any(_holds(other, until, row) for row in reversed(rows)):
                        break
                    leases.popleft()
                    continue
                leases.popleft()
                for row in [row for row in rows if _holds(other, until, row)]:
                    self.give_back(row)
            if not leases:
                del self._leases[other]
        waiting, places = self._waiting, self._places
        while (first := waiting.first()) is not None and first[0] <= now:
            waiting.pop()
            position = first[1]
            self._offered.discard(position)
            if (place := places.get(position)) is None:
                continue
            if position in self._scheduled:
                self._scheduled.remove(position)
                self._join(*place)
            else:
                self._offer(place[0])

    def _first_wanted(self, wanted: Callable[[Row], bool]) -> list[datetime]:
        """When the first of those is available that wait and are wanted, if any is."""
        places = self._places
        times = [
            available
            for available, position in (*self._waiting.in_order, *self._waiting.others)
            if position in places and wanted(places[position][0])
        ]
        return [min(times)] if times else []

    def _note_lease(self, owner: str, until: datetime, rows: list[Row]) -> None:
        leases = self._leases.get(owner)
        if leases is None:
            leases = self._leases[owner] = deque()
        leases.append((until, rows))

    def _ready_rows(
        self, owner: str, wanted: Callable[[Row], bool]
    ) -> Iterator[tuple[Row, Hashable]]:
        """The rows that are due and wanted and may be had by ``owner``, each with its lane.

        Each has left the line when it comes, and is to be taken before the next one is asked for.
        """
        next_in_line, places, lanes = self._ready.pop, self._places, self._lanes
        no_longer_offered = self._offered.discard
        while (position := next_in_line()) is not None:
            no_longer_offered(position)
            place = places.get(position)
            if place is None or place[0].claimed_by is not None:
                continue
            row, lane = place
            if not wanted(row):
                self._leave(row, lane)
                self._aside[position] = None
            elif lanes[lane] is row or self._candidate(lane, owner) is row:
                yield place
            else:
                self._hold_back(row, lane)

    def _hold_back(self, row: Row, key: Hashable) -> None:
        """It is not the turn of this row: offer the one whose turn it is, if it is anybody's."""
        taker = ""
        lane = self._lanes[key]
        assert isinstance(lane, Lane)
        for other in islice(lane, lane.start, None):
            if other is row:
                # Only who has taken those before it may have it: offer it when he asks.
                self._blocked.setdefault(taker, []).append(key)
                return
            if other.claimed_by is None:
                # A scheduled row came due, and stands before it.
                self._offer_next(key)
                return
            taker = other.claimed_by

    def _join(self, row: Row, key: Hashable) -> None:
        lane: Any = self._lanes.setdefault(key, row)
        if lane is row:
            if row.claimed_by is None:
                self._offer(row)
            return
        if not isinstance(lane, Lane):
            lane = self._lanes[key] = Lane((lane,))
        lane.join(row)
        self._offer_next(key)

    def _leave(self, row: Row, key: Hashable) -> None:
        lane = self._lanes.get(key)
        if lane is row:
            del self._lanes[key]
        elif isinstance(lane, Lane) and lane.leave(row):
            if lane.is_empty:
                del self._lanes[key]
            else:
                self._offer_next(key)

    def _candidate(self, key: Hashable, owner: str | None = None) -> Row | None:
        """The first row of a lane that is not taken, if ``owner``, or anybody, may have it."""
        lane = self._lanes.get(key)
        first: Any = lane[lane.start] if isinstance(lane, Lane) else lane
        if first is None or first.claimed_by is None:
            return first
        if not self._through or not isinstance(lane, Lane):
            return None
        index = lane.first_free()
        if index is None or not (owner is None or self._has_all(owner, lane, index)):
            return None
        return lane[index]

    def _has_all(self, owner: str, lane: Lane, end: int) -> bool:
        """Whether ``owner`` has taken all of a lane up to there."""
        if self._leases.keys() <= {owner}:
            return True
        return all(row.claimed_by == owner for row in islice(lane, lane.start, end))

    def _offer_next(self, lane: Hashable) -> None:
        row = self._candidate(lane)
        if row is not None and row.position not in self._offered:
            self._offer(row)

    def _offer(self, row: Row) -> None:
        position = row.position
        self._offered.add(position)
        # What was never tried waits for nothing, even if the clock was set back since.
        if not (row.attempts or row.last_error is not None):
            self._ready.push(position)
        elif self._now is None or row.available_at > self._now:
            self._waiting.push((row.available_at, position))
        else:
            self._ready.push(position)


def _holds(owner: str, until: datetime, row: Row) -> bool:
    return bool(row.claimed_by == owner and row.claimed_until == until)
