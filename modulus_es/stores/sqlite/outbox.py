"""One module's outbox as a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from modulus_es.envelope import Envelope
from modulus_es.stores.rows import OutboxRow, Routes, Unroutable, held_until
from modulus_es.stores.sqlite.names import Names
from modulus_es.stores.sqlite.outbox_sql import OutboxSQL
from modulus_es.stores.sqlite.owners import Owners
from modulus_es.stores.sqlite.reading import Row, Select, in_order, pages, selecting
from modulus_es.stores.sqlite.rows import headers, outbox_row, route, unreadable_message
from modulus_es.stores.sqlite.runs import in_a_row, mine
from modulus_es.stores.sqlite.values import blob, micros
from modulus_es.stores.sqlite.waiting import Waiting, look


class Outbox:
    """Reads and changes one outbox; changes work in the transaction of the cursor they are given.

    Changes that are guarded by the owner answer the rows that were the owner's.
    """

    def __init__(self, names: Names, owners: Owners) -> None:
        self._sql = OutboxSQL(names)
        self._table = names.outbox
        self._owners = owners

    def insert(self, cursor: sqlite3.Cursor, rows: Sequence[OutboxRow]) -> None:
        """Append rows, and note their positions in them."""
        for row in rows:
            envelope, created = row.envelope, micros(row.created_at)
            cursor.execute(
                self._sql.insert,
                (
                    envelope.message_id,
                    envelope.kind,
                    envelope.type,
                    envelope.version,
                    route(envelope),
                    envelope.source,
                    envelope.key,
                    headers(envelope),
                    blob(envelope.body),
                    row.handler,
                    created,
                    created if row.available_at is row.created_at else micros(row.available_at),
                    2 if row.scheduled else 0,
                ),
            )
            row.position = cursor.lastrowid or 0

    def look(self, select: Select, routes: frozenset[str]) -> Waiting:
        """Which of these routes have rows."""
        return look(select, self._sql.any, self._sql.names, routes)

    def claim(
        self,
        cursor: sqlite3.Cursor,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        waiting: Waiting,
        skew: timedelta,
    ) -> list[OutboxRow]:
        """Claim rows that are due, in order of position."""
        lanes, until = _Lanes(owner, now, skew), now - skew + lease
        claimed: list[OutboxRow] = []
        altered: list[tuple[str | None, int, int]] = []
        select = selecting(cursor)
        due = waiting.due(now)
        cursor.executemany(self._sql.wake, due)
        for row in self._waiting(select, waiting.ready.union(name for name, _ in due)):
            if row.dead_at is not None:
                altered.append((row.last_error, micros(now), row.position))
            elif lanes.due(row) == now:
                row.claimed_by, row.claimed_until = owner, until
                claimed.append(row)
                if len(claimed) == limit:
                    break
        written, stamp = self._owners.written(owner), micros(until)
        runs = [(written, stamp, run[0].position, run[-1].position) for run in in_a_row(claimed)]
        cursor.executemany(self._sql.claim, runs)
        cursor.executemany(self._sql.bury_altered, altered)
        return claimed

    def due(
        self,
        select: Select,
        owner: str,
        now: datetime,
        routes: frozenset[str],
        skew: timedelta,
    ) -> datetime | None:
        """When there is next something to claim; ``now`` if at once, None if never."""
        lanes = _Lanes(owner, now, skew)
        waiting = self.look(select, routes)
        earliest = waiting.next(now)
        for row in self._waiting(select, waiting.ready, waiting.due(now)):
            # One that was altered is set aside when it is claimed.
            due = now if row.dead_at is not None else lanes.due(row)
            if due == now:
                return now
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        return earliest

    def renew(
        self, cursor: sqlite3.Cursor, owner: str, rows: Sequence[OutboxRow], until: datetime
    ) -> list[OutboxRow]:
        """Let claims last until then."""
        return self._mine(cursor, self._sql.renew, (micros(until),), owner, rows)

    def deliver(
        self, cursor: sqlite3.Cursor, owner: str, rows: Sequence[OutboxRow], now: datetime
    ) -> list[OutboxRow]:
        """Mark rows delivered."""
        return self._mine(cursor, self._sql.deliver, (micros(now),), owner, rows)

    def release(
        self, cursor: sqlite3.Cursor, owner: str, rows: Sequence[OutboxRow]
    ) -> list[OutboxRow]:
        """Give rows back."""
        return self._mine(cursor, self._sql.release, (), owner, rows)

    def retry(
        self,
        cursor: sqlite3.Cursor,
        owner: str,
        row: OutboxRow,
        error: str,
        at: datetime,
        counted: bool,
    ) -> list[OutboxRow]:
        """Note a failed attempt."""
        return self._mine(cursor, self._sql.retry, (counted, error, micros(at)), owner, [row])

    def bury(
        self, cursor: sqlite3.Cursor, owner: str, row: OutboxRow, error: str, now: datetime
    ) -> list[OutboxRow]:
        """Give a row up."""
        return self._mine(cursor, self._sql.bury, (error, micros(now)), owner, [row])

    def revive(
        self, cursor: sqlite3.Cursor, row: OutboxRow, now: datetime, envelope: Envelope
    ) -> list[OutboxRow]:
        """Make a dead row pending again; answers it if it was dead."""
        changes = (
            micros(now),
            envelope.message_id,
            envelope.kind,
            envelope.type,
            envelope.version,
            route(envelope),
            envelope.key,
            headers(envelope),
            blob(envelope.body),
            row.position,
        )
        return [row] if cursor.execute(self._sql.revive, changes).rowcount else []

    def purge(self, cursor: sqlite3.Cursor, before: datetime, limit: int) -> int:
        """Drop rows that were delivered before that time."""
        stamp = micros(before)
        count = cursor.execute(self._sql.purge, (stamp, limit)).rowcount
        if count < limit:
            count += cursor.execute(self._sql.purge_last, (stamp,)).rowcount
            cursor.execute(self._sql.forget_places)
        return count

    def holds(self, select: Select, rows: Sequence[OutboxRow]) -> bool:
        """Whether these rows are there."""
        return all(select(self._sql.is_there, (r.position, r.envelope.message_id)) for r in rows)

    def waiting(self, select: Select) -> int:
        """How many rows are pending or claimed."""
        return int(select(self._sql.waiting, ())[0][0])

    def undelivered(self, select: Select) -> list[OutboxRow]:
        """The rows that are pending or claimed."""
        return [self._read(row) for row in select(self._sql.undelivered, ())]

    def unroutable(self, select: Select, routes: frozenset[str]) -> list[Unroutable]:
        """How many rows are pending for other routes than these, the oldest first."""
        counted = []
        for name in {name for name, _ in select(self._sql.names, ())} - routes:
            [(kind, type_, first, count)] = select(self._sql.pending, (name,))
            if count:
                to = None if kind == "event" else str(name).removesuffix(f":{type_}")
                counted.append((first, Unroutable(str(type_), to, count)))
        return [what for _, what in sorted(counted)]

    def rows(self, select: Select) -> Iterator[OutboxRow]:
        """All rows, in order of position."""
        return map(self._read, pages(select, self._sql.all))

    def _waiting(
        self, select: Select, routes: frozenset[str], due: Sequence[tuple[str, Any]] = ()
    ) -> Iterator[OutboxRow]:
        """What is pending or claimed, in order of position, fetched as far as it is read."""
        each = [pages(select, self._sql.of_route, name) for name in routes]
        each += [pages(select, self._sql.sleeping, *asleep) for asleep in due]
        return map(self._read, in_order(each))

    def _read(self, row: Row) -> OutboxRow:
        try:
            return outbox_row(row, self._owners)
        except Exception as error:
            # Whatever can be wrong with a row that somebody altered: the others are read.
            return unreadable_message(row, self._table, error)

    def _mine(
        self,
        cursor: sqlite3.Cursor,
        statement: str,
        values: tuple[object, ...],
        owner: str,
        rows: Sequence[OutboxRow],
    ) -> list[OutboxRow]:
        return mine(cursor, self._sql.held, statement, values, self._owners.written(owner), rows)


def recorded_routes(routes: Routes) -> frozenset[str]:
    """What can be handed over, as the rows call it."""
    return routes.events.union(f"{module}:{name}" for module, name in routes.commands)


class _Lanes:
    """Keeps the order of each key while rows are looked through in order of position."""

    def __init__(self, owner: str, now: datetime, skew: timedelta) -> None:
        self._owner, self._now, self._skew = owner, now, skew
        self._held: set[str] = set()

    def due(self, row: OutboxRow) -> datetime | None:
        """When it can be claimed, ``now`` if at once; None if another one has to move first."""
        key = row.envelope.key
        if key in self._held:
            return None
        if row.claimed_by is not None:
            if row.claimed_by == self._owner:
                # Who has it hands it over before what he claims now.
                return None
            if (until := held_until(row, self._now, self._skew)) is not None:
                self._held.add(key)
                return until
        if row.available_at > self._now:
            again = row.attempts or row.last_error is not None
            if again:
                self._held.add(key)
            if again or row.scheduled:
                return row.available_at
            # It waits for nothing: the clock was set back since it was recorded.
        return self._now
