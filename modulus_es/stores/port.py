"""What a store promises: one module's events, outbox and inbox, in one transaction.

An adapter implements `Store` on top of an ``eventsourcing`` persistence module
(factory and recorders), and its ``recorder`` is the one in use, so that
everything that works with such a recorder works with the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import Flag, auto
from typing import Any, Protocol, TypeVar
from uuid import UUID

from eventsourcing.persistence import ApplicationRecorder, InfrastructureFactory

from modulus_es.envelope import Envelope
from modulus_es.groups import CommitQueue, Committing, Group
from modulus_es.stores.rows import (
    NO_SKEW,
    EventRow,
    InboxRow,
    OutboxRow,
    Receipt,
    Routes,
    Unprocessed,
    Unroutable,
)

T = TypeVar("T")


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
    """`Store.group` and `Store.commit_queue` write several commits in one transaction."""


class SnapshotRows(Protocol):
    """The latest snapshot of each aggregate: a help, which may be forgotten at any time."""

    def latest(self, id: UUID) -> EventRow | None:
        """The snapshot of an aggregate; None if there is none."""

    def keep(self, snapshot: EventRow) -> None:
        """Keep a snapshot in place of the one before; waits for nobody."""


class Store(Committing, Protocol):
    """One module's events, outbox and inbox.

    ``owner`` names a relay or consumer; what it has claimed may be claimed by
    another one when its lease has run out, unless it was renewed. ``now`` tells
    what is due. Claims go by a clock that nobody sets, which ``now`` is ahead of
    by ``skew``: one lasts until ``now - skew + lease``. Marks are guarded by the
    owner: what somebody else has claimed meanwhile is left alone.

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

    def group(self) -> Group | None:
        """Begin a group of deliveries that are committed together; None where nothing is gained.

        Nobody else writes to this store between the first write of a group and its end.
        """

    def commit_queue(self, size: int) -> CommitQueue | None:
        """Where up to ``size`` commits are written together; None where nothing is gained."""

    async def claim_outbox(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        routes: Routes,
        skew: timedelta = NO_SKEW,
    ) -> list[OutboxRow]:
        """Claim rows that are due and that ``routes`` accepts, in order of position."""

    async def renew_outbox(self, owner: str, rows: Sequence[OutboxRow], until: datetime) -> None:
        """Let the claims on these rows last until then, by the clock of claims."""

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

    async def outbox_due(
        self, owner: str, now: datetime, routes: Routes, skew: timedelta = NO_SKEW
    ) -> datetime | None:
        """When ``owner`` can next claim something, ``now`` if at once; None if never."""

    async def receive(self, receipts: Sequence[Receipt], now: datetime) -> list[tuple[str, str]]:
        """Hold these messages for their handlers.

        What is held already is counted as a duplicate; answers (message id,
        handler) of those.
        """

    async def bury_unreadable(self, envelope: Envelope, error: str, now: datetime) -> None:
        """Keep a message that nobody here can read as a dead letter."""

    async def claim_inbox(
        self,
        owner: str,
        now: datetime,
        lease: timedelta,
        limit: int,
        handlers: frozenset[str],
        skew: timedelta = NO_SKEW,
    ) -> list[InboxRow]:
        """Claim deliveries to these handlers that are due."""

    async def release_inbox(self, owner: str, rows: Sequence[InboxRow]) -> None:
        """Give claimed deliveries back, as if they had never been claimed."""

    async def retry_delivery(self, owner: str, row: InboxRow, error: str, at: datetime) -> None:
        """An attempt failed; the next is due at ``at``."""

    async def bury_delivery(self, owner: str, row: InboxRow, error: str, now: datetime) -> None:
        """The last attempt failed: the delivery is a dead letter."""

    async def inbox_due(
        self, owner: str, now: datetime, handlers: frozenset[str], skew: timedelta = NO_SKEW
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
