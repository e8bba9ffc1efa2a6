"""A module's outbox, inbox and dead letters, to be looked at as plain objects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from modulus_es.stores.rows import InboxRow, OutboxRow

if TYPE_CHECKING:
    from modulus_es.leases import ClaimClock
    from modulus_es.stores.port import Store


class Outbox:
    """The messages that a module recorded, in order of position; ``module.outbox``.

    They are written with the events that caused them, in one transaction, and
    the relay hands them to the transport.

    >>> from modulus_es import System
    >>> orders = System(seed=7).module("orders")
    >>> orders.outbox, list(orders.outbox)
    (Outbox(orders: 0 pending of 0), [])
    """

    def __init__(self, store: Store, clock: ClaimClock) -> None:
        self._store, self._clock = store, clock

    def __iter__(self) -> Iterator[OutboxRow]:
        return iter(self._clock.shown(self._store.outbox_rows()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def pending(self) -> list[OutboxRow]:
        """Those that have still to be handed over."""
        return list(self._clock.shown(self._store.undelivered()))

    def dead(self) -> list[OutboxRow]:
        """Those that were given up."""
        return [row for row in self if row.dead_at is not None]

    def __repr__(self) -> str:
        return f"Outbox({self._store.module}: {len(self.pending())} pending of {len(self)})"


class Inbox:
    """The messages that a module holds, once for each handler; ``module.inbox``.

    A message that comes again is recognised by (source, message id, handler)
    and not handled again.

    >>> from modulus_es import System
    >>> System(seed=7).module("inventory").inbox
    Inbox(inventory: 0 pending of 0)
    """

    def __init__(self, store: Store, clock: ClaimClock) -> None:
        self._store, self._clock = store, clock

    def __iter__(self) -> Iterator[InboxRow]:
        return iter(self._clock.shown(self._store.inbox_rows()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def pending(self) -> list[InboxRow]:
        """Those that have still to be handled."""
        return list(self._clock.shown(self._store.unprocessed()))

    def dead(self) -> list[InboxRow]:
        """Those that were given up."""
        return [row for row in self if row.dead_at is not None]

    def __repr__(self) -> str:
        return f"Inbox({self._store.module}: {len(self.pending())} pending of {len(self)})"


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A message that a module gave up, at one handler, or in its own outbox.

    ``handler`` is empty where the relay gave up, or nobody could read it.
    `System.replay_dead_letters` brings it back.

    >>> from modulus_es import System
    >>> list(dead_letters(System(seed=7).module("inventory").store))
    []
    """

    message_id: str
    type: str
    module: str
    handler: str
    attempts: int
    error: str
    died_at: datetime
    body: bytes


def dead_letters(store: Store) -> Iterator[DeadLetter]:
    """The dead letters of one module: first those of its outbox."""
    rows: list[OutboxRow | InboxRow] = [*store.outbox_rows(), *store.inbox_rows()]
    for row in rows:
        if row.dead_at is not None:
            envelope = row.envelope
            yield DeadLetter(
                envelope.message_id,
                envelope.type,
                store.module,
                row.handler if isinstance(row, InboxRow) else "",
                row.attempts,
                row.last_error or "",
                row.dead_at,
                envelope.body,
            )
