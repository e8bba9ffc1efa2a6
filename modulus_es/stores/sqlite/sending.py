"""The half of a store in a file that relays work with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from modulus_es.envelope import Envelope
from modulus_es.stores.rows import NO_SKEW, OutboxRow, Routes, Unroutable
from modulus_es.stores.sqlite.outbox import Outbox, recorded_routes
from modulus_es.stores.sqlite.rows import changing
from modulus_es.stores.sqlite.writing import Writing


class Sending(Writing):
    """One module's outbox, as relays claim it and mark what became of its rows."""

    _outbox: Outbox
    _routes: tuple[Routes, frozenset[str]] | None = None

    async def claim_outbox(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        routes: Routes,
        skew: timedelta = NO_SKEW,
    ) -> list[OutboxRow]:
        """Claim rows that are due and that ``routes`` accepts."""
        wanted = self._wanted(routes)
        waiting = await self.run(lambda: self._outbox.look(self._select, wanted))
        if not waiting.is_any(now):
            return []
        return await self._write(
            lambda cursor: self._outbox.claim(cursor, owner, now, lease, limit, waiting, skew),
            now=now,
            durable=False,
        )

    async def renew_outbox(self, owner: str, rows: Sequence[OutboxRow], until: datetime) -> None:
        """Let the claims on these rows last until then."""

        def note(mine: Sequence[OutboxRow]) -> None:
            for row in mine:
                row.claimed_until = until

        await self._write(
            lambda cursor: self._outbox.renew(cursor, owner, rows, until), note, durable=False
        )

    async def mark_delivered(self, owner: str, rows: Sequence[OutboxRow], now: datetime) -> None:
        """The transport has taken these rows."""

        def note(mine: Sequence[OutboxRow]) -> None:
            for row in mine:
                row.attempts += 1
                row.claimed_by = row.claimed_until = None
                row.delivered_at = now

        if rows:
            await self._write(
                lambda cursor: self._outbox.deliver(cursor, owner, rows, now),
                note,
                now=now,
                durable=False,
            )

    async def release_outbox(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        """Give claimed rows back."""
        if rows:
            await self._write(
                lambda cursor: self._outbox.release(cursor, owner, rows),
                changing(0),
                durable=False,
            )

    async def retry_outbox(
        self, owner: str, row: OutboxRow, error: str, at: datetime, *, counted: bool = True
    ) -> None:
        """An attempt failed, or was in vain; the next is due at ``at``."""
        await self._write(
            lambda cursor: self._outbox.retry(cursor, owner, row, error, at, counted),
            changing(counted, last_error=error, available_at=at),
        )

    async def bury_outbox(self, owner: str, row: OutboxRow, error: str, now: datetime) -> None:
        """The last attempt failed."""
        await self._write(
            lambda cursor: self._outbox.bury(cursor, owner, row, error, now),
            changing(1, last_error=error, dead_at=now),
            now=now,
        )

    async def outbox_due(
        self, owner: str, now: datetime, routes: Routes, skew: timedelta = NO_SKEW
    ) -> datetime | None:
        """When ``owner`` can next claim something."""
        wanted = self._wanted(routes)
        return await self.run(lambda: self._outbox.due(self._select, owner, now, wanted, skew))

    async def revive_outbox(
        self, row: OutboxRow, now: datetime, envelope: Envelope | None = None
    ) -> None:
        """Make a dead row of the outbox pending again."""
        new = envelope or row.envelope
        await self._write(
            lambda cursor: self._outbox.revive(cursor, row, now, new),
            changing(-row.attempts, envelope=new, available_at=now, dead_at=None),
        )

    async def purge(self, before: datetime, limit: int = 1000) -> int:
        """Drop rows delivered before that time."""
        return await self._write(lambda cursor: self._outbox.purge(cursor, before, limit))

    def at_rest(self) -> bool:
        """Other processes write to the file as well, so that only a look tells."""
        return False

    def undelivered(self) -> Iterable[OutboxRow]:
        """The rows that are pending or claimed."""
        return self._outbox.undelivered(self._select)

    def unroutable(self, routes: Routes) -> list[Unroutable]:
        """How many messages are pending that ``routes`` does not accept, the oldest first."""
        return self._outbox.unroutable(self._select, self._wanted(routes))

    def outbox_rows(self) -> Iterable[OutboxRow]:
        """All rows, in order of position."""
        return self._outbox.rows(self._select)

    def _wanted(self, routes: Routes) -> frozenset[str]:
        if self._routes is None or self._routes[0] is not routes:
            self._routes = (routes, recorded_routes(routes))
        return self._routes[1]
