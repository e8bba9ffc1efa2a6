"""A system's timeline again and again: only what became of some message is made anew."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modulus_es.errors import DeserializationError
from modulus_es.views.marks import TRACED, Mark, marks_from
from modulus_es.views.timeline import Timeline
from modulus_es.widgets.columns import Columns

if TYPE_CHECKING:
    from modulus_es.stores.port import InboxRow, OutboxRow
    from modulus_es.system import System
    from modulus_es.trace import TraceRecord

FEW = 5_000
"""Of fewer rows than these, all is made anew about as quickly."""

Outbox = Sequence[tuple[str, "OutboxRow"]]
Inbox = Sequence[tuple[str, "InboxRow"]]


class Following:
    """Makes the timeline of a system, and its `Columns` where it is long.

    A message is looked at again when the trace tells of it, when the trace has
    forgotten something of it, and as long as one of its rows is not settled.

    >>> from modulus_es import System
    >>> following = Following(System(seed=7))
    >>> following.timeline(), following.columns
    (Timeline(nothing yet), None)
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._begin()

    def _begin(self) -> None:
        self.columns: Columns | None = None
        self._causes: dict[str, str | None] = {}
        self._read: dict[str, int] = {}
        self._told = 0
        self._records: dict[str, list[TraceRecord]] = {}
        self._order: deque[tuple[int, str]] = deque()
        self._settled: set[tuple[str, int, bool]] = set()

    def timeline(self) -> Timeline:
        """The timeline as it is now, the same as that of the system."""
        modules = self._system.modules
        outbox = [(each.name, row) for each in modules for row in each.store.outbox_rows()]
        inbox = [(each.name, row) for each in modules for row in each.store.inbox_rows()]
        if len(outbox) + len(inbox) < FEW:
            self._begin()
            return self._system.timeline()
        if self._system.trace.dropped > self._told:
            self._begin()  # what was dropped was never seen
        changed = self._traced()
        if not self._unsettled(outbox, inbox, changed):
            self._begin()  # rows are gone
            changed = self._traced()
            self._unsettled(outbox, inbox, changed)
        self._read_events()
        if self.columns is None:
            made = self._marks(outbox, inbox, [r for held in self._records.values() for r in held])
            self.columns = Columns(made)
        else:
            self.columns.replace(changed, self._marks_of(changed, outbox, inbox))
        return Timeline(self.columns.marks)

    def _traced(self) -> dict[str, None]:
        """The messages of which the trace tells something new, or no longer."""
        trace = self._system.trace
        changed: dict[str, None] = {}
        fresh = trace.since(self._told)
        number = trace.count - len(fresh)
        self._told = trace.count
        for record in fresh:
            if record.kind in TRACED:
                self._records.setdefault(record.message_id, []).append(record)
                self._order.append((number, record.message_id))
                changed[record.message_id] = None
            number += 1
        while self._order and self._order[0][0] < trace.dropped:
            _, message = self._order.popleft()
            del self._records[message][0]
            changed[message] = None
        return changed

    def _unsettled(self, outbox: Outbox, inbox: Inbox, changed: dict[str, None]) -> bool:
        """Add the messages whose rows may change; answer whether all settled rows are there."""
        settled, before, known = self._settled, len(self._settled), 0
        for module, sent in outbox:
            place = (module, sent.position, True)
            ended = sent.delivered_at is not None or sent.dead_at is not None
            if place in settled:
                known += 1
                if ended:
                    continue
                settled.discard(place)  # a dead letter that is replayed
            elif ended:
                settled.add(place)
            changed[sent.envelope.message_id] = None
        for module, row in inbox:
            place = (module, row.position, False)
            ended = row.processed_at is not None or row.dead_at is not None
            if place in settled:
                known += 1
                if ended:
                    continue
                settled.discard(place)  # a dead letter that is replayed
            elif ended:
                settled.add(place)
            changed[row.envelope.message_id] = None
        return known == before

    def _read_events(self) -> None:
        """Learn which message is behind each event that was recorded since."""
        for module in self._system.modules:
            for stored in module.stored_events(self._read.get(module.name, 0) + 1):
                self._read[module.name] = stored.id
                try:
                    recorded = module.mapper.read(stored)
                except DeserializationError:
                    continue
                self._causes[str(recorded.id)] = recorded.causation_id

    def _marks_of(self, changed: dict[str, None], outbox: Outbox, inbox: Inbox) -> list[Mark]:
        records = [record for id_ in changed for record in self._records.get(id_, ())]
        # A command that came over the bus has a row, and is then no mark of its own.
        wanted = changed.keys() | {r.causation_id or "" for r in records if not r.message_id}
        made = self._marks(
            [(module, row) for module, row in outbox if row.envelope.message_id in changed],
            [(module, row) for module, row in inbox if row.envelope.message_id in wanted],
            records,
        )
        return [mark for mark in made if mark.message_id in changed]

    def _marks(self, outbox: Outbox, inbox: Inbox, records: Iterable[TraceRecord]) -> list[Mark]:
        now = self._system.now()
        return marks_from(outbox, inbox, records, causes=self._causes, now=now)
