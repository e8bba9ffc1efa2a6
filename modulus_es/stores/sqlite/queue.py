"""The commits of one module that wait for those of others who work at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from modulus_es.stores.rows import EventRow, Handled, OutboxRow
from modulus_es.stores.sqlite.batches import Batches, Record, Request

if TYPE_CHECKING:
    from modulus_es.stores.port import Store


class Queue:
    """See `modulus_es.groups.CommitQueue`."""

    def __init__(self, store: Store, batches: Batches, record: Record, size: int) -> None:
        self._store, self._batches, self._record, self._size = store, batches, record, size
        self._failed: Request | None = None

    def begin(self) -> Any:
        """A transaction of one's own, for which nobody waits."""
        return self._store.begin()

    async def rollback(self, connection: Any) -> None:
        """Undo what was done in a transaction that `begin` opened."""
        await self._store.rollback(connection)

    async def commit(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
        connection: Any = None,
    ) -> Sequence[int]:
        """Write all of it or nothing, with those who commit at the same time."""
        by_itself = handled is not None or connection is not None
        if by_itself or not self._batches.has_company():
            return await self._store.commit(events, outbox, handled, connection)
        request = Request(self._record, events, outbox)
        try:
            self._batches.put(request, self._size)
            await request.answer
            if request.error is not None:
                raise request.error
        except BaseException as error:
            if not request.take_back() and isinstance(error, asyncio.CancelledError):
                await request.until_known()
            self._failed = request
            raise
        return request.positions

    async def holds(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
    ) -> bool:
        """Whether exactly this was committed."""
        request, self._failed = self._failed, None
        if request is not None and request.events is events and request.outbox is outbox:
            return request.committed
        return await self._store.holds(events, outbox, handled)

    async def settle(self, ids: Collection[UUID]) -> bool:
        """Write now what waits of these aggregates; answers whether any did."""
        return await self._batches.settle(ids)
