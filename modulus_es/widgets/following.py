"""A system's timeline again and again: only what became of some message is made anew."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING

from modulus_es.errors import DeserializationError
from modulus_es.views.marking import TRACED, marks_from
from modulus_es.views.marks import Mark
from modulus_es.views.timeline import Timeline
from modulus_es.widgets.columns import Columns

if TYPE_CHECKING:
    from modulus_es.stores.rows import InboxRow, OutboxRow
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
        self._causes: dict[str, str] = {}
        self._read: dict[str, int] = {}
        self._told = 0
        self._records: dict[str, list[TraceRecord]] = defaultdict(list)
        # Of each of them its number and its message, not as pairs: they are as many as the
        # records, and Python's garbage collector would look at every one. So with the positions.
        self._numbers: deque[int] = deque()
        self._messages: deque[str] = deque()
        self._settled: dict[tuple[str, type], set[int]] = defaultdict(set)

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
        told, self._told = self._told, trace.count
        for number, record in trace.since(told, *TRACED):
            self._records[record.message_id].append(record)
            self._numbers.append(number)
            self._messages.append(record.message_id)
            changed[record.message_id] = None
        while self._numbers and self._numbers[0] < trace.dropped:
            self._numbers.popleft()
            message = self._messages.popleft()
            del self._records[message][0]
            changed[message] = None
        return changed

    def _unsettled(self, outbox: Outbox, inbox: Inbox, changed: dict[str, None]) -> bool:
        """Add the messages whose rows may change; answer whether all settled rows are there."""
        rows: Iterable[tuple[str, OutboxRow | InboxRow, datetime | None]] = chain(
            ((module, sent, sent.delivered_at or sent.dead_at) for module, sent in outbox),
            ((module, received, received.processed_at or received.dead_at)
             for module, received in inbox),
        )  # fmt: skip
        before, known = sum(map(len, self._settled.values())), 0
        for module, row, ended in rows:
            settled = self._settled[module, type(row)]
            if row.position in settled:
                known += 1
                if ended is not None:
                    continue
                settled.discard(row.position)  # a dead letter that is replayed
            elif ended is not None:
                settled.add(row.position)
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
                if recorded.causation_id is not None:
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
