"""The ledger: what became of every message at every handler of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from modulus_es.stores.port import InboxRow, OutboxRow

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
    """The rows of all messages that these modules recorded, in order of module and position."""
    effects = {module.name: _effects(module) for module in modules}
    received: dict[tuple[str, str], list[tuple[str, InboxRow]]] = {}
    for module in modules:
        for row in module.store.inbox_rows():
            key = (row.envelope.source, row.envelope.message_id)
            received.setdefault(key, []).append((module.name, row))
    for module in modules:
        for sent in module.store.outbox_rows():
            envelope = sent.envelope
            held = received.pop((envelope.source, envelope.message_id), [])
            for name, row in held:
                yield _received(name, row, sent.created_at, effects[name])
            yield from _not_received(modules, sent, {(n, r.handler) for n, r in held})
    # What came from outside, or whose row in the outbox was purged since.
    for held in received.values():
        for name, row in held:
            yield _received(name, row, row.received_at, effects[name])


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
        {"done": "done", "dead": "dead"}.get(row.status, "pending"),
    )


def _not_received(
    modules: Sequence[Module], sent: OutboxRow, held: set[tuple[str, str]]
) -> Iterator[LedgerRow]:
    envelope = sent.envelope
    subscribed = [
        (module.name, handler.name)
        for module in modules
        for handler in module.consumer.handlers_of(envelope)
    ]
    missing = [pair for pair in subscribed if pair not in held]
    if sent.status == "delivered":
        # Who subscribed after it was handed over is not owed it; but somebody has it.
        outcome, missing = "lost", [] if held else (missing or [("", "")])
    elif sent.status == "dead":
        outcome, missing = "dead", missing or ([] if held else [("", "")])
    elif subscribed:
        outcome = "pending"
    else:
        outcome, missing = "unheard", [] if held else [("", "")]
    for module, handler in missing:
        yield LedgerRow(
            envelope.message_id,
            envelope.type,
            envelope.source,
            module,
            handler,
            sent.created_at,
            sent.attempts if outcome == "dead" else 0,
            outcome=outcome,
        )


def _effects(module: Module) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for stored in module.stored_events():
        recorded = module.mapper.read(stored)
        if recorded.causation_id is not None:
            counts[recorded.causation_id, recorded.handler or ""] += 1
    for row in module.store.outbox_rows():
        if row.handler and row.envelope.causation_id is not None:
            counts[row.envelope.causation_id, row.handler] += 1
    return counts
