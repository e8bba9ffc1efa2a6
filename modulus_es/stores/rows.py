"""The rows that a module keeps: its events, the messages that it sends, and those it is sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from modulus_es.envelope import Envelope

NO_SKEW = timedelta(0)

LONGEST_CLAIM = timedelta(minutes=10)
"""How long a claim may last at most; one that says more was made before the machine was started
anew, and holds nobody up."""


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


def held_until(row: OutboxRow | InboxRow, now: datetime, skew: timedelta) -> datetime | None:
    """Until when somebody has a row, by the clock that tells ``now``; None if nobody has it.

    >>> now = datetime.fromisoformat("2013-02-08T00:00+00:00")
    >>> from modulus_es.testing.contracts.store_bench import message
    >>> row, later = message(1), now + timedelta(seconds=30)
    >>> row.claimed_until = later
    >>> held_until(row, now, NO_SKEW) == later, held_until(row, later, NO_SKEW)
    (True, None)
    """
    if row.claimed_until is None:
        return None
    left = row.claimed_until - (now - skew)
    return now + left if NO_SKEW < left <= LONGEST_CLAIM else None
