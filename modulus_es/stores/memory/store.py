"""One module's store in memory, and the database that holds those of all modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    InfrastructureFactory,
    IntegrityError,
)

from modulus_es.errors import LeaseLostError
from modulus_es.stores.memory.inbox import MemoryInbox
from modulus_es.stores.memory.outbox import MemoryOutbox
from modulus_es.stores.memory.recorder import MemoryFactory
from modulus_es.stores.memory.snapshots import MemorySnapshots
from modulus_es.stores.port import Capability, SnapshotRows, Store
from modulus_es.stores.rows import EventRow, Handled, OutboxRow

T = TypeVar("T")


class MemoryStore(MemoryOutbox, MemoryInbox):
    """One module's events, outbox and inbox, in memory; gone with the process.

    >>> MemoryDatabase().store("orders")
    MemoryStore('orders')
    """

    def __init__(self, module: str, factory: MemoryFactory) -> None:
        super().__init__(factory.process_recorder())
        self.url = "memory://"
        self.module = module
        self.capabilities = Capability(0)
        self.factory: InfrastructureFactory[Any] = factory
        self.recorder: ApplicationRecorder = self._recorder
        self.snapshots: SnapshotRows = MemorySnapshots()

    async def run(self, read: Callable[[], T]) -> T:
        """Call what reads from the store."""
        return read()

    def begin(self) -> None:
        """There is no transaction to show."""

    async def rollback(self, connection: Any) -> None:
        """There is nothing to undo before a commit."""

    def group(self) -> None:
        """None: each commit is written at once, and there is nothing to save by fewer."""

    def commit_queue(self, size: int) -> None:
        """None, for the same reason."""

    async def commit(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
        connection: Any = None,
    ) -> Sequence[int]:
        """Write all or nothing."""
        recorder = self._recorder
        positions: Sequence[int] = ()
        with self._lock:
            self._begin()
            try:
                if events or outbox or handled is None:
                    positions = recorder.record(events, outbox, handled)
                else:
                    recorder.mark(handled)
            except (IntegrityError, LeaseLostError):
                self._torn = False  # it was refused before anything changed
                raise
            for row in outbox:
                self._queue_message(row)
            if handled is not None:
                self._deliveries.remove(handled.row)
            self._torn = False
        if events:
            recorder.tell_listeners()
        return positions

    async def holds(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
    ) -> bool:
        """Whether exactly this was committed."""
        with self._lock:
            self._settle()
            if handled is not None and handled.row.processed_at != handled.at:
                return False
            for stored in events:
                version = stored.originator_version
                found = self._recorder.event_rows(stored.originator_id, gt=version - 1, lte=version)
                if list(found) != [stored]:
                    return False
            return all(self._recorder.outbox.get(row.position) is row for row in outbox)

    def event_rows(
        self, id: UUID, *, gt: int | None = None, lte: int | None = None
    ) -> Sequence[EventRow]:
        """The events of one aggregate."""
        return self._recorder.event_rows(id, gt=gt, lte=lte)

    def at_rest(self) -> bool:
        """Whether surely nothing waits; asked so often that it takes no lock."""
        return not (self._torn or self._messages or self._deliveries)

    def waiting(self) -> int:
        """How many rows of the outbox and the inbox are pending or claimed."""
        with self._lock:
            self._settle()
            return len(self._messages) + len(self._deliveries)

    def close(self) -> None:
        """There is nothing to let go of."""

    def __repr__(self) -> str:
        return f"MemoryStore({self.module!r})"

    def _rebuild(self) -> None:
        MemoryOutbox._rebuild(self)
        MemoryInbox._rebuild(self)


class MemoryDatabase:
    """The stores in memory of one system's modules.

    >>> MemoryDatabase().session
    1
    """

    def __init__(self, url: str = "memory://") -> None:
        self.url = url
        self._stores: dict[str, MemoryStore] = {}

    @property
    def session(self) -> int:
        """It is opened once."""
        return 1

    def latest_time(self) -> None:
        """There is none: a store in memory is always new."""

    def store(self, module: str) -> Store:
        """The store of one module."""
        if module not in self._stores:
            self._stores[module] = MemoryStore(module, MemoryFactory(None))
        return self._stores[module]

    def close(self) -> None:
        """There is nothing to let go of."""
