"""One module's inbox as a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from modulus_es.envelope import Envelope
from modulus_es.errors import LeaseLostError
from modulus_es.stores.rows import Handled, InboxRow, Receipt, Unprocessed, held_until
from modulus_es.stores.sqlite.inbox_sql import InboxSQL
from modulus_es.stores.sqlite.names import Names
from modulus_es.stores.sqlite.owners import Owners
from modulus_es.stores.sqlite.reading import Row, Select, in_order, pages, selecting
from modulus_es.stores.sqlite.rows import (
    headers,
    inbox_row,
    unreadable_delivery,
)
from modulus_es.stores.sqlite.runs import in_a_row, mine
from modulus_es.stores.sqlite.values import blob, micros
from modulus_es.stores.sqlite.waiting import Waiting, look


class Inbox:
    """Reads and changes one inbox; changes work in the transaction of the cursor they are given.

    A lane holds what one handler is to have of one key, and only its first row
    is ``ready``, so that a lane of many costs no more to look for than one of
    one. Rows that keep no order are ready from the start. Which waits for its next
    attempt sleeps, until a claim wakes it. Changes that are
    guarded by the owner answer the rows that were the owner's.
    """

    def __init__(self, names: Names, owners: Owners) -> None:
        self._sql = InboxSQL(names)
        self._table = names.inbox
        self._owners = owners

    def receive(
        self, cursor: sqlite3.Cursor, receipts: Sequence[Receipt], now: datetime
    ) -> list[tuple[str, str]]:
        """Hold messages for their handlers; answers what was held already."""
        repeated: list[tuple[str, str]] = []
        stamp = micros(now)
        who = ("", "", "")

        def each() -> Iterator[tuple[object, ...]]:
            nonlocal who
            for receipt in receipts:
                envelope = receipt.envelope
                said, body = headers(envelope), blob(envelope.body)
                for handler, ordered in receipt.handlers:
                    key, position = envelope.key, envelope.position
                    who = (envelope.source, envelope.message_id, handler)
                    what = (envelope.kind, envelope.type, envelope.version, key, position)
                    found = (said, body, stamp, stamp, int(ordered))
                    lane = (int(ordered), handler, key)
                    order = (position, position, envelope.source, handler, key)
                    yield (*who, *what, *found, *lane, *order)

        rows = each()
        while True:
            try:
                cursor.executemany(self._sql.insert, rows)
            except sqlite3.IntegrityError:
                # It is about the row that was asked for last; the rest is still to come.
                if not self._is_repeated(cursor, who):
                    raise
                repeated.append(who[1:])
            else:
                return repeated

    def bury_unreadable(
        self, cursor: sqlite3.Cursor, envelope: Envelope, error: str, now: datetime
    ) -> None:
        """Keep a message that nobody can read."""
        who = (envelope.source, envelope.message_id, "")
        what = (envelope.kind, envelope.type, envelope.version, envelope.key, envelope.position)
        stamp = micros(now)
        found = (headers(envelope), blob(envelope.body), stamp, stamp, error, stamp)
        try:
            cursor.execute(self._sql.insert_dead, (*who, *what, *found))
        except sqlite3.IntegrityError:
            if not self._is_repeated(cursor, who):
                raise

    def look(self, select: Select, handlers: frozenset[str]) -> Waiting:
        """Which of these handlers have rows."""
        return look(select, self._sql.any, self._sql.names, handlers)

    def claim(
        self,
        cursor: sqlite3.Cursor,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        waiting: Waiting,
        skew: timedelta,
    ) -> list[InboxRow]:
        """Claim deliveries that are due, in order of position, one a lane."""
        until = now - skew + lease
        claimed: list[InboxRow] = []
        altered: list[InboxRow] = []
        select = selecting(cursor)
        due = waiting.due(now)
        cursor.executemany(self._sql.wake, due)
        for row in self._waiting(select, waiting.ready.union(name for name, _ in due)):
            if row.dead_at is not None:
                altered.append(row)
            elif _due(row, owner, now, skew) == now:
                row.claimed_by, row.claimed_until = owner, until
                claimed.append(row)
                if len(claimed) == limit:
                    break
        written, stamp = self._owners.written(owner), micros(until)
        runs = [(written, stamp, run[0].position, run[-1].position) for run in in_a_row(claimed)]
        cursor.executemany(self._sql.claim, runs)
        for row in altered:
            cursor.execute(self._sql.bury_altered, (row.last_error, micros(now), row.position))
        self.go_on(cursor, altered)
        return claimed

    def due(
        self,
        select: Select,
        owner: str,
        now: datetime,
        handlers: frozenset[str],
        skew: timedelta,
    ) -> datetime | None:
        """When there is next something to claim; ``now`` if at once, None if never."""
        waiting = self.look(select, handlers)
        if waiting.due(now):
            return now
        earliest = waiting.next(now)
        for row in self._waiting(select, waiting.ready):
            # One that was altered is set aside when it is claimed.
            due = now if row.dead_at is not None else _due(row, owner, now, skew)
            if due == now:
                return now
            if due is not None and (earliest is None or due < earliest):
                earliest = due
        return earliest

    def mark(self, cursor: sqlite3.Cursor, handled: Handled) -> None:
        """Note that a delivery was handled; raises `LeaseLostError` where another one has it."""
        row, place = handled.row, handled.row.position
        owner = self._owners.written(handled.owner)
        values = (handled.outcome, micros(handled.at), place, place, owner)
        if not cursor.execute(self._sql.mark, values).rowcount:
            raise lease_lost(row)
        self.go_on(cursor, [row])

    def mark_all(self, cursor: sqlite3.Cursor, handled: Sequence[Handled]) -> list[InboxRow]:
        """Note that deliveries were handled; answers those of them that nobody else has.

        Their lanes wait until `go_on`.
        """
        marked: list[InboxRow] = []
        for said, each in groupby(handled, attrgetter("owner", "outcome", "at")):
            owner, outcome, at = said
            rows = [one.row for one in each]
            marked += self._mine(cursor, self._sql.mark, (outcome, micros(at)), owner, rows)
        return marked

    def go_on(self, cursor: sqlite3.Cursor, rows: Iterable[InboxRow]) -> None:
        """Let the lanes of rows go on that are done."""
        lanes = [(row.handler, row.envelope.key) for row in rows if row.ordered]
        cursor.executemany(self._sql.promote, lanes)

    def release(
        self, cursor: sqlite3.Cursor, owner: str, rows: Sequence[InboxRow]
    ) -> list[InboxRow]:
        """Give deliveries back."""
        return self._mine(cursor, self._sql.release, (), owner, rows)

    def retry(
        self, cursor: sqlite3.Cursor, owner: str, row: InboxRow, error: str, at: datetime
    ) -> list[InboxRow]:
        """Note a failed attempt."""
        return self._mine(cursor, self._sql.retry, (error, micros(at)), owner, [row])

    def bury(
        self, cursor: sqlite3.Cursor, owner: str, row: InboxRow, error: str, now: datetime
    ) -> list[InboxRow]:
        """Give a delivery up."""
        buried = self._mine(cursor, self._sql.bury, (error, micros(now)), owner, [row])
        self.go_on(cursor, buried)
        return buried

    def revive(
        self, cursor: sqlite3.Cursor, row: InboxRow, now: datetime, envelope: Envelope
    ) -> list[InboxRow]:
        """Make a dead delivery pending again, in its old place; answers it if it was dead."""
        changes = (
            micros(now),
            envelope.kind,
            envelope.type,
            envelope.version,
            headers(envelope),
            blob(envelope.body),
            row.position,
        )
        if not cursor.execute(self._sql.revive, changes).rowcount:
            return []
        if row.ordered:
            self.go_on(cursor, [row])
            lane = (row.handler, row.envelope.key)
            cursor.execute(self._sql.demote, (*lane, *lane))
        return [row]

    def forget(self, cursor: sqlite3.Cursor, row: InboxRow) -> None:
        """Drop a dead letter without a handler."""
        cursor.execute(self._sql.forget, (row.position,))

    def has_stuck(self, select: Select) -> bool:
        """Whether a lane waits for a row that is not there any more."""
        return bool(select(self._sql.stuck, ()))

    def mend(self, cursor: sqlite3.Cursor) -> None:
        """Let such lanes go on."""
        cursor.execute(self._sql.mend)

    def holds(self, select: Select, handled: Handled) -> bool:
        """Whether exactly this was noted of a delivery."""
        found = select(self._sql.processed, (handled.row.position,))
        mark = (self._owners.written(handled.owner), micros(handled.at))
        return [tuple(row) for row in found] == [mark]

    def waiting(self, select: Select) -> int:
        """How many deliveries are pending or claimed."""
        return int(select(self._sql.waiting, ())[0][0])

    def unprocessed(self, select: Select) -> list[InboxRow]:
        """The deliveries that are pending or claimed."""
        return [self._read(row) for row in select(self._sql.unprocessed, ())]

    def unprocessed_kinds(self, select: Select) -> list[Unprocessed]:
        """How many deliveries are pending or claimed, by handler and message, the oldest first."""
        return [
            Unprocessed(str(handler), str(kind), str(type_), count)
            for handler, kind, type_, count in select(self._sql.kinds, ())
        ]

    def rows(self, select: Select) -> Iterator[InboxRow]:
        """All rows, in order of position."""
        return map(self._read, pages(select, self._sql.all))

    def _is_repeated(self, cursor: sqlite3.Cursor, who: tuple[str, str, str]) -> bool:
        """Whether such a row is there, which has come once more then."""
        return bool(cursor.execute(self._sql.repeated, who).rowcount)

    def _waiting(self, select: Select, handlers: frozenset[str]) -> Iterator[InboxRow]:
        """The first of each lane, in order of position, fetched as far as it is read."""
        each = (pages(select, self._sql.of_handler, name) for name in handlers)
        return map(self._read, in_order(each))

    def _read(self, row: Row) -> InboxRow:
        try:
            return inbox_row(row, self._owners)
        except Exception as error:
            # Whatever can be wrong with a row that somebody altered: the others are read.
            return unreadable_delivery(row, self._table, error)

    def _mine(
        self,
        cursor: sqlite3.Cursor,
        statement: str,
        values: tuple[object, ...],
        owner: str,
        rows: Sequence[InboxRow],
    ) -> list[InboxRow]:
        return mine(cursor, self._sql.held, statement, values, self._owners.written(owner), rows)


def lease_lost(row: InboxRow) -> LeaseLostError:
    """What to raise where another one has a delivery that was handled."""
    return LeaseLostError(
        f"{row.handler} was handling {row.envelope.type} {row.envelope.message_id}, but "
        "its lease ran out and another consumer took over; this one's effects are undone"
    )


def _due(row: InboxRow, owner: str, now: datetime, skew: timedelta) -> datetime | None:
    """When it can be claimed, ``now`` if at once; None if the owner has it already."""
    if row.claimed_by is not None:
        if row.claimed_by == owner:
            return None
        if (until := held_until(row, now, skew)) is not None:
            return until
    if not row.attempts and row.last_error is None:
        # It waits for nothing, whatever the clock was set to since it came.
        return now
    return max(row.available_at, now)
