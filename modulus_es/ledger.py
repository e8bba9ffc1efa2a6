"""The ledger: what became of every message at every handler of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from modulus_es.stores.rows import InboxRow, OutboxRow

if TYPE_CHECKING:
    from modulus_es.module import Module


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """What became of one message at one of its handlers.

    ``effects`` counts what the handler's module recorded because of it: events
    and outgoing messages, by their causation id, as the store has them. It does
    not ask the inbox. ``outcome`` is done, pending, dead, unheard or lost; an
    unheard message has one row, without module and handler.

    >>> from modulus_es.clock import START
    >>> LedgerRow("m1", "OrderCreated", "orders", "", "", START, outcome="unheard").effects
    0
    """

    message_id: str
    type: str
    source: str
    module: str
    handler: str
    recorded_at: datetime
    attempts: int = 0
    effects: int = 0
    duplicates: int = 0
    out_of_order: int = 0
    outcome: str = "pending"


def ledger(modules: Sequence[Module]) -> Iterator[LedgerRow]:
    """The rows of all messages that these modules recorded, in order of module and position.

    A message that was recorded again, as by `Module.replay`, is the same message.
    """
    effects = {module.name: _effects(module) for module in modules}
    received: dict[tuple[str, str], list[tuple[str, InboxRow]]] = {}
    for module in modules:
        for row in module.store.inbox_rows():
            key = (row.envelope.source, row.envelope.message_id)
            received.setdefault(key, []).append((module.name, row))
    for module in modules:
        for sent, recorded_at in _sent(module):
            held = received.pop((module.name, sent.envelope.message_id), [])
            for name, row in held:
                yield _received(name, row, recorded_at, effects[name])
            missing = _not_received(modules, sent, {(n, r.handler) for n, r in held})
            for name, handler, outcome in missing:
                yield _on_its_way(sent, recorded_at, name, handler, outcome)
    # What came from outside, or whose row in the outbox was purged since.
    for held in received.values():
        for name, row in held:
            yield _received(name, row, row.received_at, effects[name])


def _sent(module: Module) -> Iterator[tuple[OutboxRow, datetime]]:
    """Each message once, as the copy of it that has most to do, and when it was first recorded."""
    copies: dict[str, list[OutboxRow]] = {}
    for row in module.store.outbox_rows():
        copies.setdefault(row.envelope.message_id, []).append(row)
    for rows in copies.values():
        yield min(rows, key=_rank) if len(rows) > 1 else rows[0], rows[0].created_at


def _rank(row: OutboxRow) -> int:
    return {"dead": 1, "delivered": 2}.get(row.status, 0)


def _received(
    module: str, row: InboxRow, recorded_at: datetime, effects: Counter[tuple[str, str]]
) -> LedgerRow:
    envelope = row.envelope
    return LedgerRow(
        envelope.message_id,
        envelope.type,
        envelope.source,
        module,
        row.handler,
        recorded_at,
        row.attempts,
        effects[envelope.message_id, row.handler],
        row.duplicates,
        row.out_of_order,
        "pending" if row.status == "claimed" else row.status,
    )


def _not_received(
    modules: Sequence[Module], sent: OutboxRow, held: set[tuple[str, str]]
) -> Iterator[tuple[str, str, str]]:
    """At which handlers a message has not arrived, and what that means."""
    envelope = sent.envelope
    subscribed = [
        (module.name, handler.name)
        for module in modules
        for handler in module.consumer.handlers_of(envelope)
    ]
    missing = [pair for pair in subscribed if pair not in held]
    if not missing and not held:
        missing = [("", "")]
    if sent.delivered_at is not None:
        # Who subscribed after it was handed over is not owed it; but somebody has it.
        outcome, missing = "lost", [] if held else missing
    elif sent.dead_at is not None:
        outcome = "dead"
    else:
        outcome = "pending" if subscribed else "unheard"
    for module, handler in missing:
        yield module, handler, outcome


def _on_its_way(
    sent: OutboxRow, recorded_at: datetime, module: str, handler: str, outcome: str
) -> LedgerRow:
    envelope = sent.envelope
    return LedgerRow(
        envelope.message_id,
        envelope.type,
        envelope.source,
        module,
        handler,
        recorded_at,
        sent.attempts if outcome == "dead" else 0,
        outcome=outcome,
    )


def _effects(module: Module) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for _, recorded in module.readable_events():
        if recorded.causation_id is not None:
            counts[recorded.causation_id, recorded.handler or ""] += 1
    for row in module.store.outbox_rows():
        if row.handler and row.envelope.causation_id is not None:
            counts[row.envelope.causation_id, row.handler] += 1
    return counts
