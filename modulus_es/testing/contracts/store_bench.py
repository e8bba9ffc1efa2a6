"""What the contracts of stores work with: a store, and short ways to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from modulus_es.clock import START
from modulus_es.envelope import Envelope
from modulus_es.mapper import Recorded
from modulus_es.stores.port import Capability, Database, Store
from modulus_es.stores.rows import EventRow, Handled, InboxRow, OutboxRow, Receipt, Routes

LEASE = timedelta(seconds=30)
"""How long the claims of the contracts last."""

ROUTES = Routes(frozenset({"Said", "Told"}), frozenset({("hearer", "Do")}))
"""What can be handed over in the contracts: two events, and a command for one module."""

HANDLERS = frozenset({"note", "count"})
"""The handlers that the contracts claim deliveries for."""


def at(seconds: float) -> datetime:
    """A moment, in seconds after the beginning of virtual time.

    >>> at(90).isoformat()
    '2024-01-01T00:01:30+00:00'
    """
    return START + timedelta(seconds=seconds)


def recorded(aggregate: int, *versions: int, seconds: float = 0) -> list[EventRow]:
    """Events of one aggregate, as a store is given them.

    >>> [event.originator_version for event in recorded(1, 1, 2)]
    [1, 2]
    """
    return [
        EventRow(
            UUID(int=aggregate),
            version,
            "Note.Written",
            msgspec.json.encode(
                Recorded(
                    UUID(int=aggregate * 1_000_000 + version),
                    at(seconds),
                    msgspec.Raw(b'{"n":%d}' % version),
                )
            ),
        )
        for version in versions
    ]


def envelope(n: int, key: str = "k", **said: Any) -> Envelope:
    """A message on its way, whose body says ``n``.

    >>> envelope(7).body
    b'{"n":7}'
    """
    usual: dict[str, Any] = {
        "message_id": str(UUID(int=n)),
        "kind": "event" if said.get("to") is None else "command",
        "type": "Said" if said.get("to") is None else "Do",
        "version": 1,
        "body": b'{"n":%d}' % n,
        "source": "sender",
        "key": key,
        "occurred_on": at(0),
    }
    return Envelope(**{**usual, **said})


def message(
    n: int, key: str = "k", *, due: float = 0, scheduled: bool = False, **said: Any
) -> OutboxRow:
    """A row of an outbox that was not written yet; its body says ``n``.

    >>> message(7).status
    'pending'
    """
    return OutboxRow(envelope(n, key, **said), at(0), at(due), scheduled=scheduled)


def said(rows: Iterable[OutboxRow | InboxRow]) -> list[int]:
    """What the bodies of these rows say.

    >>> said([message(1), message(2)])
    [1, 2]
    """
    return [msgspec.json.decode(row.envelope.body)["n"] for row in rows]


class StoreBench:
    """A store of the backend under test, the rows in it, and the way to open it again.

    ``open_database`` opens the same place each time that it is called; for a
    backend that keeps nothing, it may as well make a new one.

    >>> from modulus_es.stores.memory import MemoryDatabase
    >>> StoreBench(MemoryDatabase).store
    MemoryStore('orders')
    """

    def __init__(self, open_database: Callable[[], Database]) -> None:
        self._open = open_database
        self._opened: list[Database] = []

    @property
    def database(self) -> Database:
        """What was opened first."""
        return self._opened[0] if self._opened else self.open()

    @property
    def store(self) -> Store:
        """The store of one module in it."""
        return self.database.store("orders")

    @property
    def capabilities(self) -> Capability:
        """What the store declares."""
        return self.store.capabilities

    def open(self) -> Database:
        """Open the place once more, as another process would."""
        self._opened.append(self._open())
        return self._opened[-1]

    async def aclose(self) -> None:
        """Close everything that was opened."""
        while self._opened:
            self._opened.pop().close()

    def __repr__(self) -> str:
        return repr(self.store)

    # Writing and reading

    async def write(self, *rows: OutboxRow, events: Sequence[EventRow] = ()) -> None:
        """Commit these rows and events."""
        await self.store.commit(events, rows)

    def events(self, store: Store | None = None) -> list[tuple[int, int]]:
        """Aggregate and version of every event, in order of position."""
        found = (store or self.store).recorder.select_notifications(1, 10_000)
        return [(UUID(str(each.originator_id)).int, each.originator_version) for each in found]

    def outbox(self) -> dict[int, tuple[str, int]]:
        """Status and attempts of every row of the outbox, by what it says."""
        rows = list(self.store.outbox_rows())
        return {n: (row.status, row.attempts) for n, row in zip(said(rows), rows, strict=True)}

    def inbox(self) -> dict[tuple[int, str], tuple[str, int]]:
        """Status and attempts of every delivery, by what it says and its handler."""
        rows = list(self.store.inbox_rows())
        numbers = zip(said(rows), rows, strict=True)
        return {(n, row.handler): (row.status, row.attempts) for n, row in numbers}

    # Relays

    async def claim(
        self,
        owner: str = "anna",
        seconds: float = 0,
        limit: int = 100,
        routes: Routes = ROUTES,
        store: Store | None = None,
        ahead: float = 0,
    ) -> list[OutboxRow]:
        """Claim rows of the outbox; the clock is so many seconds ahead of that of claims."""
        chosen, skew = store or self.store, timedelta(seconds=ahead)
        return await chosen.claim_outbox(owner, at(seconds), LEASE, limit, routes, skew)

    async def due(self, owner: str = "anna", seconds: float = 0, ahead: float = 0) -> float | None:
        """When an owner can claim a row of the outbox, in seconds; None if never."""
        skew = timedelta(seconds=ahead)
        moment = await self.store.outbox_due(owner, at(seconds), ROUTES, skew)
        return None if moment is None else (moment - START).total_seconds()

    # Consumers

    async def receive(
        self,
        *envelopes: Envelope,
        handlers: Sequence[tuple[str, bool]] = (("note", True),),
        seconds: float = 0,
    ) -> list[tuple[str, str]]:
        """Hold messages for handlers, each named with whether it keeps the order."""
        receipts = [Receipt(each, tuple(handlers)) for each in envelopes]
        return await self.store.receive(receipts, at(seconds))

    async def take(
        self,
        owner: str = "anna",
        seconds: float = 0,
        limit: int = 100,
        handlers: frozenset[str] = HANDLERS,
        store: Store | None = None,
        ahead: float = 0,
    ) -> list[InboxRow]:
        """Claim deliveries; the clock is so many seconds ahead of that of claims."""
        chosen, skew = store or self.store, timedelta(seconds=ahead)
        return await chosen.claim_inbox(owner, at(seconds), LEASE, limit, handlers, skew)

    async def handle(
        self,
        row: InboxRow,
        owner: str = "anna",
        seconds: float = 0,
        outcome: str = "done",
        events: Sequence[EventRow] = (),
        rows: Sequence[OutboxRow] = (),
    ) -> None:
        """Commit the effects of a delivery, and the mark that it was handled."""
        await self.store.commit(events, rows, Handled(row, owner, outcome, at(seconds)))

    async def delivery_due(
        self, owner: str = "anna", seconds: float = 0, ahead: float = 0
    ) -> float | None:
        """When an owner can claim a delivery, in seconds; None if never."""
        skew = timedelta(seconds=ahead)
        moment = await self.store.inbox_due(owner, at(seconds), HANDLERS, skew)
        return None if moment is None else (moment - START).total_seconds()


class StoreSuite:
    """Base of the contracts of stores: a subclass has a fixture ``open_database``.

    The fixture answers a function that opens the database, the same place each
    time; for a backend that keeps nothing, a new one.
    """

    @pytest.fixture
    def bench(self, open_database: Callable[[], Database]) -> StoreBench:
        """What each test works with."""
        return StoreBench(open_database)
