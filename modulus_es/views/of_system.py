"""Feeds the views: from a running system to the plain rows that they take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import TYPE_CHECKING, Any

import msgspec

from modulus_es.errors import DeserializationError
from modulus_es.ids import text
from modulus_es.ledger import LedgerRow
from modulus_es.naming import stable_name
from modulus_es.views import frames
from modulus_es.views.graph_of_system import graph
from modulus_es.views.marking import TRACED, marks_from
from modulus_es.views.marks import Mark
from modulus_es.views.rows import EventRow
from modulus_es.views.sequence import SequenceDiagram
from modulus_es.views.timeline import Timeline

if TYPE_CHECKING:
    import pandas as pd
    from eventsourcing.persistence import Notification

    from modulus_es.module import Module
    from modulus_es.system import System


def events(system: System) -> pd.DataFrame:
    """The recorded domain events of all modules."""
    return frames.events_frame(row for module in system.modules for row in _events(module))


def outbox(system: System) -> pd.DataFrame:
    """The rows of all outboxes."""
    return frames.outbox_frame(
        (module.name, row) for module in system.modules for row in module.outbox
    )


def inbox(system: System) -> pd.DataFrame:
    """The rows of all inboxes."""
    return frames.inbox_frame(
        (module.name, row) for module in system.modules for row in module.inbox
    )


def deliveries(system: System) -> pd.DataFrame:
    """The traced deliveries."""
    return frames.deliveries_frame(system.trace.of_kind("delivery"))


def dead_letters(system: System) -> pd.DataFrame:
    """The dead rows of all outboxes and inboxes."""
    return frames.dead_letters_frame(
        ((m.name, row) for m in system.modules for row in m.store.outbox_rows()),
        ((m.name, row) for m in system.modules for row in m.store.inbox_rows()),
    )


def ledger(rows: Iterable[LedgerRow]) -> pd.DataFrame:
    """The ledger's rows."""
    return frames.ledger_frame(rows)


def _unreadable(module: Module, stored: Notification, error: DeserializationError) -> EventRow:
    """A row whose bytes cannot be read: shown, with what is wrong in its data."""
    return EventRow(
        stored.id,
        module.name,
        stored.topic.rpartition(".")[0],
        str(stored.originator_id),
        stored.originator_version,
        stored.topic,
        "",
        None,
        {"unreadable": str(error)},
    )


def _events(module: Module) -> Iterator[EventRow]:
    for stored in module.stored_events():
        try:
            recorded = module.mapper.read(stored)
        except DeserializationError as error:
            yield _unreadable(module, stored, error)
            continue
        cls: Any = module.registry.get(stored.topic)
        owner = getattr(cls, "__aggregate__", None)
        data = msgspec.json.decode(recorded.data)
        yield EventRow(
            stored.id,
            module.name,
            stable_name(owner) if owner else stored.topic.rpartition(".")[0],
            str(stored.originator_id),
            stored.originator_version,
            stored.topic,
            text(recorded.id),
            recorded.at.astimezone(UTC),
            data if isinstance(data, dict) else {"": data},
            recorded.correlation_id,
            recorded.causation_id,
            recorded.handler or "",
        )


def timeline(
    system: System, *, arrows: bool = False, axis: str = "broken", **filters: Any
) -> Timeline:
    """The life of every message, or of those that the filters pick."""
    whole = Timeline(_marks(system), arrows=arrows, axis=axis)
    wanted = {name: value for name, value in filters.items() if value is not None}
    return whole.filter(**wanted) if wanted else whole


def _marks(system: System) -> list[Mark]:
    causes = {
        str(recorded.id): recorded.causation_id
        for module in system.modules
        for _, recorded in module.readable_events()
        if recorded.causation_id is not None
    }
    return marks_from(
        ((m.name, row) for m in system.modules for row in m.store.outbox_rows()),
        ((m.name, row) for m in system.modules for row in m.store.inbox_rows()),
        system.trace.of_kind(*TRACED),
        causes=causes,
        now=system.now(),
    )


def sequence(system: System, correlation: str) -> SequenceDiagram:
    """One conversation, from module to module."""
    marks = Timeline(_marks(system)).filter(correlation=correlation).marks
    commands = {
        row.envelope.message_id
        for module in system.modules
        for row in module.store.outbox_rows()
        if row.envelope.kind == "command"
    }
    return SequenceDiagram(marks, commands=commands)


__all__ = [
    "dead_letters", "deliveries", "events", "graph", "inbox", "ledger", "outbox", "sequence",
    "timeline",
]  # fmt: skip
