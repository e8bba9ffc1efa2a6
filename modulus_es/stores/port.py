"""What a store promises: one module's events, outbox and inbox, in one transaction.

An adapter implements `Store` on top of an ``eventsourcing`` persistence module
(factory and recorders), and its ``recorder`` is the one in use, so that
everything that works with such a recorder works with the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import Flag, auto
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from eventsourcing.persistence import ApplicationRecorder, InfrastructureFactory, StoredEvent

from modulus_es.envelope import Envelope
from modulus_es.groups import Group

T = TypeVar("T")


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """An event as a module keeps it, which reads like eventsourcing's ``StoredEvent``.

    That one is three objects to Python's garbage collector, which goes through all that a store
    in memory keeps; this is none.

    >>> row = EventRow(UUID(int=1), 1, "Order.Placed", b"{}")
    >>> EventRow.of(row.as_stored_event()) == row
    True
    """

    originator_id: UUID | str
    originator_version: int
    topic: str
    state: bytes

    @classmethod
    def of(cls, stored: StoredEvent) -> EventRow:
        """What eventsourcing stores."""
        return cls(stored.originator_id, stored.originator_version, stored.topic, stored.state)

    def as_stored_event(self) -> StoredEvent:
        """For whoever works with eventsourcing's own interfaces."""
        return StoredEvent(self.originator_id, self.originator_version, self.topic, self.state)


Stored: TypeAlias = EventRow | StoredEvent
"""A stored event, as we or as eventsourcing hand it over."""


class OutboxRow(msgspec.Struct, gc=False):
    """A message that its module has still to hand over, or has handed over.

    ``available_at`` is when it may go out: when it was created, or scheduled
    for, or when its next attempt is due; ``handler`` is the handler in whose unit
    of work it was published or sent, empty if it was projected. It is *claimed* by a relay under a
    lease until ``claimed_until``; in the end it is *delivered* or *dead*.
    """

    envelope: Envelope
    created_at: datetime
    available_at: datetime
    scheduled: bool = False
    handler: str = ""
    position: int = 0
    attempts: int = 0
    last_error: str | None = None
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    delivered_at: datetime | None = None
    dead_at: datetime | None = None

    @property
    def status(self) -> str:
        """pending, claimed, delivered or dead."""
        if self.delivered_at is not None:
            return "delivered"
        if self.dead_at is not None:
            return "dead"
        return "pending" if self.claimed_by is None else "claimed"


class InboxRow(msgspec.Struct, gc=False):
    """A message and one handler of it: waiting, done or dead.

    The key is (source, message id, module, handler). ``outcome`` is done or
    failed once processed. ``duplicates`` counts how often the message came
    again, ``out_of_order`` whether one recorded after it came before it.
    A message that could not be read, or whose type nobody here knows, has a
    row with an empty ``handler`` and is dead from the start.
    """

    envelope: Envelope
    handler: str
    received_at: datetime
    available_at: datetime
    position: int = 0
    ordered: bool = True
    attempts: int = 0
    last_error: str | None = None
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    processed_at: datetime | None = None
    outcome: str | None = None
    dead_at: datetime | None = None
    duplicates: int = 0
    out_of_order: int = 0

    @property
    def status(self) -> str:
        """pending, claimed, done or dead."""
        if self.processed_at is not None:
            return "done"
        if self.dead_at is not None:
            return "dead"
        return "pending" if self.claimed_by is None else "claimed"


class Routes(NamedTuple):
    """What can be handed over now: event types, and (module, type) of commands."""

    events: frozenset[str]
    commands: frozenset[tuple[str, str]]

    def accept(self, envelope: Envelope) -> bool:
        """Whether somebody listens for this message."""
        if envelope.kind == "event":
            return envelope.type in self.events
        return (envelope.to, envelope.type) in self.commands


class Unroutable(NamedTuple):
    """Messages of one type that nobody can be handed; ``to`` is whom a command is for."""

    type: str
    to: str | None
    waiting: int


class Unprocessed(NamedTuple):
    """Messages of one kind and type that wait for one handler."""

    handler: str
    kind: str
    type: str
    waiting: int


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """A message and the handlers that are to have it: (name, whether ordered) each."""

    envelope: Envelope
    handlers: tuple[tuple[str, bool], ...]


class Handled(msgspec.Struct, frozen=True, gc=False):
    """The inbox mark of a unit of work: this row was handled, by this owner."""

    row: InboxRow
    owner: str
    outcome: str
    at: datetime


class Capability(Flag):
    """What a store may promise beyond what every store promises.

    A store declares its own as ``capabilities``; the contract suite leaves out
    what needs one that is not declared, and nothing else.

    >>> Capability.DURABLE in Capability.DURABLE | Capability.CONNECTION
    True
    """

    DURABLE = auto()
    """What was committed is there when the store is opened again, by whatever process."""
    CONNECTION = auto()
    """`Store.begin` gives a transaction for the reader's own tables."""
    MANY_PROCESSES = auto()
    """Several processes may use it at once."""
    GROUPS = auto()
    """`Store.group` begins a group of deliveries that are committed together."""


class SnapshotRows(Protocol):
    """The latest snapshot of each aggregate: a help, which may be forgotten at any time."""

    def latest(self, id: UUID) -> EventRow | None:
        """The snapshot of an aggregate; None if there is none."""

    def keep(self, snapshot: EventRow) -> None:
        """Keep a snapshot in place of the one before; waits for nobody."""


class Store(Protocol):
    """One module's events, outbox and inbox.

    ``owner`` names a relay or consumer; a claim lasts until ``now + lease`` by
    the clock that the caller uses, unless it is renewed, and what was claimed by
    another owner may be claimed again when it has run out. Marks are guarded
    by the owner: what somebody else has claimed meanwhile is left alone.

    Per key, order is the order of positions: a row is not claimed while an
    earlier one of its key waits for its next attempt or is claimed by somebody
    else. One claim may return several rows of one key, in order; who fails one
    of them gives back the later ones. Rows scheduled for later hold nobody up
    before they are due.
    """

    url: str
    module: str
    capabilities: Capability
    factory: InfrastructureFactory[Any]
    recorder: ApplicationRecorder
    snapshots: SnapshotRows

    async def run(self, read: Callable[[], T]) -> T:
        """Call what reads from the store: in a worker thread where that takes a network."""

    def begin(self) -> Any:
        """Open the transaction that the next `commit` ends; None where there is none."""

    async def rollback(self, connection: Any) -> None:
        """Undo what was done in a transaction that `begin` opened."""

    def group(self) -> Group | None:
        """Begin a group of deliveries that are committed together; None where nothing is gained.

        Nobody else writes to this store between the first write of a group and its end.
        """

    async def commit(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
        connection: Any = None,
    ) -> Sequence[int]:
        """Write all or nothing; answers the events' positions.

        Raises eventsourcing's ``IntegrityError`` where an event's place in its
        aggregate is taken, `LeaseLostError` where the inbox row is no longer
        the owner's, `StoreUnavailableError` where the store cannot be reached.
        """

    async def holds(
        self,
        events: Sequence[EventRow],
        outbox: Sequence[OutboxRow],
        handled: Handled | None = None,
    ) -> bool:
        """Whether exactly this was committed; asked when a commit's answer did not arrive."""

    async def claim_outbox(
        self, owner: str, now: datetime, lease: timedelta, limit: int, routes: Routes
    ) -> list[OutboxRow]:
        """Claim rows that are due and that ``routes`` accepts, in order of position."""

    async def renew_outbox(self, owner: str, rows: Sequence[OutboxRow], until: datetime) -> None:
        """Let the claims on these rows last until then."""

    async def mark_delivered(self, owner: str, rows: Sequence[OutboxRow], now: datetime) -> None:
        """The transport has taken these rows."""

    async def release_outbox(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        """Give claimed rows back, as if they had never been claimed."""

    async def retry_outbox(
        self, owner: str, row: OutboxRow, error: str, at: datetime, *, counted: bool = True
    ) -> None:
        """An attempt failed, or was in vain and is not ``counted``; the next is due at ``at``."""

    async def bury_outbox(self, owner: str, row: OutboxRow, error: str, now: datetime) -> None:
        """The last attempt failed: the row is dead, and its key goes on."""

    async def outbox_due(self, owner: str, now: datetime, routes: Routes) -> datetime | None:
        """When ``owner`` can next claim something, ``now`` if at once; None if never."""

    async def receive(self, receipts: Sequence[Receipt], now: datetime) -> list[tuple[str, str]]:
        """Hold these messages for their handlers.

        What is held already is counted as a duplicate; answers (message id,
        handler) of those.
        """

    async def bury_unreadable(self, envelope: Envelope, error: str, now: datetime) -> None:
        """Keep a message that nobody here can read as a dead letter."""

    async def claim_inbox(
        self, owner: str, now: datetime, lease: timedelta, limit: int, handlers: frozenset[str]
    ) -> list[InboxRow]:
        """Claim deliveries to these handlers that are due."""

    async def release_inbox(self, owner: str, rows: Sequence[InboxRow]) -> None:
        """Give claimed deliveries back, as if they had never been claimed."""

    async def retry_delivery(self, owner: str, row: InboxRow, error: str, at: datetime) -> None:
        """An attempt failed; the next is due at ``at``."""

    async def bury_delivery(self, owner: str, row: InboxRow, error: str, now: datetime) -> None:
        """The last attempt failed: the delivery is a dead letter."""

    async def inbox_due(
        self, owner: str, now: datetime, handlers: frozenset[str]
    ) -> datetime | None:
        """When ``owner`` can next claim a delivery to these handlers; None if never."""

    async def revive_delivery(
        self, row: InboxRow, now: datetime, envelope: Envelope | None = None
    ) -> None:
        """Make a dead letter pending again, its attempts counted anew, perhaps edited."""

    async def revive_outbox(
        self, row: OutboxRow, now: datetime, envelope: Envelope | None = None
    ) -> None:
        """Make a dead row of the outbox pending again, its attempts counted anew."""

    async def forget_unreadable(self, row: InboxRow) -> None:
        """Drop a dead letter without a handler, because it was received once more."""

    async def purge(self, before: datetime, limit: int = 1000) -> int:
        """Drop at most ``limit`` rows delivered before that time; answers how many."""

    def event_rows(
        self, id: UUID, *, gt: int | None = None, lte: int | None = None
    ) -> Sequence[EventRow]:
        """The events of one aggregate, in order: those after version ``gt``, up to ``lte``."""

    def at_rest(self) -> bool:
        """Whether surely nothing is pending or claimed; False where only a look could tell."""

    def waiting(self) -> int:
        """How many rows of the outbox and the inbox are pending or claimed."""

    def undelivered(self) -> Iterable[OutboxRow]:
        """The rows that are pending or claimed."""

    def outbox_rows(self) -> Iterable[OutboxRow]:
        """All rows, in order of position."""

    def unroutable(self, routes: Routes) -> Sequence[Unroutable]:
        """How many messages are pending that ``routes`` does not accept, the oldest first.

        A run asks it when nothing else is due, so that it must not go through what waits
        only for its time.
        """

    def unprocessed(self) -> Iterable[InboxRow]:
        """The deliveries that are pending or claimed."""

    def unprocessed_kinds(self) -> Sequence[Unprocessed]:
        """How many deliveries are pending or claimed, by handler and message, the oldest first."""

    def inbox_rows(self) -> Iterable[InboxRow]:
        """All rows, in order of position."""

    def close(self) -> None:
        """Let go of what the store holds open."""


class Database(Protocol):
    """What a URL opens: the stores of any number of modules, and its session number."""

    url: str

    @property
    def session(self) -> int:
        """How many times this store was opened, this time included."""

    def latest_time(self) -> datetime | None:
        """The latest moment that was recorded in it, or None if it is new."""

    def store(self, module: str) -> Store:
        """The store of one module."""

    def close(self) -> None:
        """Let go of what the database holds open."""
