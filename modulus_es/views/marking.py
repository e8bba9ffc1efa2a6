"""The life of every message as marks, from what the stores and the trace know of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from msgspec.structs import replace

from modulus_es.envelope import Envelope
from modulus_es.stores.rows import InboxRow, OutboxRow
from modulus_es.trace import TraceRecord
from modulus_es.views.marks import INBOX, OUTBOX, UNREADABLE, Mark

_OUTCOMES = {kind: kind for kind in ("done", "failed", "retry", "dead")}
_TIME = attrgetter("time")

TRACED = ("delivery", "crash", "replay", "network", "relay", "command")
"""The kinds of records that marks are made of."""


def marks_from(
    outbox: Iterable[tuple[str, OutboxRow]],
    inbox: Iterable[tuple[str, InboxRow]],
    records: Iterable[TraceRecord],
    *,
    causes: Mapping[str, str | None] | None = None,
    now: datetime | None = None,
) -> list[Mark]:
    """The marks of everything that the stores and the trace know, in order of time.

    The stores have what the bounded trace has forgotten; the trace has every
    attempt. ``causes`` maps the id of a domain event to its causation id, so that
    a message that was projected is traced to the message before it.
    ``now`` is where what still waits is drawn to; by default the latest time there is.
    """
    sent, received, kept = list(outbox), list(inbox), list(records)
    if not (sent or received or kept):
        return []
    builder = _Builder(sent, received, kept, causes or {}, now or _latest(sent, received, kept))
    for module, row in sent:
        builder.outbox(module, row)
    for module, arrived in received:
        builder.inbox(module, arrived)
    builder.marks.extend(builder.rest())
    return sorted(builder.marks, key=_TIME)


def _latest(
    sent: list[tuple[str, OutboxRow]],
    received: list[tuple[str, InboxRow]],
    records: list[TraceRecord],
) -> datetime:
    return max(
        (
            *(record.time for record in records),
            *(row.delivered_at or row.dead_at or row.created_at for _, row in sent),
            *(row.processed_at or row.dead_at or row.received_at for _, row in received),
        )
    )


class _Builder:
    """Makes the marks of a row at a time: there may be a hundred thousand rows."""

    def __init__(
        self,
        sent: list[tuple[str, OutboxRow]],
        received: list[tuple[str, InboxRow]],
        records: list[TraceRecord],
        causes: Mapping[str, str | None],
        now: datetime,
    ) -> None:
        self.marks: list[Mark] = []
        self._causes, self._now = causes, now
        # By sender or lane, then by message: tuples of these would be as many as the rows, and
        # Python's garbage collector would look at every one.
        self._sent: dict[str, dict[str, OutboxRow]] = defaultdict(dict)
        for _, row in sent:
            self._sent[row.envelope.source][row.envelope.message_id] = row
        self._received, self._records = received, records
        self._attempts: dict[tuple[str, str], dict[str, TraceRecord | list[TraceRecord]]] = (
            defaultdict(dict)
        )
        self._replayed: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
        self._relayed: dict[tuple[str, str], list[TraceRecord]] = defaultdict(list)
        self._crashed: dict[tuple[str, str, str], list[TraceRecord]] = defaultdict(list)
        self._commands: list[TraceRecord] = []
        for record in records:
            kind = record.kind
            if kind == "delivery":
                held = self._attempts[record.module, record.handler]
                before = held.setdefault(record.message_id, record)
                if isinstance(before, list):
                    before.append(record)
                elif before is not record:
                    held[record.message_id] = [before, record]
            elif kind == "crash":
                lane = OUTBOX if record.handler == "relay" else record.handler or INBOX
                self._crashed[record.module, lane, record.message_id].append(record)
            elif kind == "replay":
                key = (record.module, record.handler, record.message_id)
                self._replayed[key].append(record.time)
            elif kind == "network" and record.outcome == "lost":
                self._relayed[record.source, record.message_id].append(record)
            elif kind == "relay" and record.outcome != "done":
                self._relayed[record.module, record.message_id].append(record)
            elif kind == "command":
                self._commands.append(record)

    def outbox(self, module: str, row: OutboxRow) -> None:
        """Recorded, waiting to be handed over, tried in vain, dead."""
        add = self.marks.append
        created = row.created_at
        recorded = self._first(module, OUTBOX, row.envelope, "recorded", created, created)
        add(recorded)
        until = row.delivered_at or row.dead_at or self._now
        if until > created:
            text = "scheduled" if row.scheduled else "in the outbox"
            pending = row.delivered_at is None and row.dead_at is None
            add(_waited(recorded, created, until, text, still=pending))
        if self._crashed:
            self.marks += self._crashes(recorded)
        if self._relayed:
            for record in self._relayed.pop((module, row.envelope.message_id), ()):
                lost = f"lost on the way to {record.module}" if record.kind == "network" else ""
                add(_moment(recorded, "retry", record, text=lost))
        if row.dead_at is not None:
            add(_of(recorded, "dead", row.dead_at, row.dead_at, row.attempts, row.last_error))

    def inbox(self, module: str, row: InboxRow) -> None:
        """In flight, waiting, attempt by attempt, and how it ended."""
        add, message, received = self.marks.append, row.envelope, row.received_at
        left, kind = received, "recorded"
        source = self._sent[message.source].get(message.message_id)
        if source is not None:
            left = source.available_at if source.scheduled else source.created_at
            left, kind = (left, "in_flight") if left < received else (received, kind)
        arrived = self._first(module, row.handler or UNREADABLE, message, kind, left, received)
        if kind == "in_flight":
            add(arrived)
        since: datetime | None = received
        tried = False
        attempts = self._attempts[module, row.handler].pop(message.message_id, [])
        for record in _listed(attempts):
            if record.outcome == "duplicate":
                add(_moment(arrived, "duplicate", record, text="came again, suppressed"))
                continue
            began = _began(record)
            if since is None:
                replayed = self._replayed[module, row.handler, message.message_id]
                since = max((at for at in replayed if at <= began), default=None)
            if since is not None and began > since:
                text = "for its next attempt" if tried else "in the inbox"
                add(_waited(arrived, since, began, text))
            if record.duration > 0:
                add(_attempt(arrived, record))
            at, outcome = record.time, _OUTCOMES.get(record.outcome, "failed")
            add(_of(arrived, outcome, at, at, record.attempt, record.error))
            tried, since = True, None if record.outcome == "dead" else record.time
        ended = row.processed_at or row.dead_at
        until = ended or self._now
        if since is not None and until > since and (ended is None or not tried):
            text = "in the inbox" if ended else "still waiting"
            add(_waited(arrived, since, until, text, still=not ended))
        if self._crashed:
            self.marks += self._crashes(arrived)
        if ended is not None and not tried:
            kind = "dead" if row.dead_at else "failed" if row.outcome == "failed" else "done"
            add(_of(arrived, kind, ended, ended, row.attempts, row.last_error))

    def rest(self) -> Iterator[Mark]:
        """Deliveries whose row is gone, and commands that were sent within their module."""
        for records in self._left():
            for record in records:
                mark = self._traced(record)
                if record.outcome == "duplicate":
                    yield _moment(mark, "duplicate", record, text="came again, suppressed")
                else:
                    yield from _tried(mark, record)
        for (_, lane, _), crashes in self._crashed.items():
            for record in crashes:
                mark = replace(self._traced(record), handler=lane)
                yield _moment(mark, "crash", record, text=f"crashed at {record.outcome}")
        over_the_bus = {
            (module, row.handler, row.envelope.message_id)
            for module, row in (self._received if self._commands else ())
        }
        for record in self._commands:
            key = (record.module, record.handler, record.causation_id or "")
            if key not in over_the_bus:
                yield from _tried(replace(self._traced(record), text="a command"), record)

    def _left(self) -> list[Sequence[TraceRecord]]:
        """The attempts that no row was found for, in order of the first of each message's."""
        left = [_listed(held) for lane in self._attempts.values() for held in lane.values()]
        if left:
            order = {id(record): index for index, record in enumerate(self._records)}
            left.sort(key=lambda records: order[id(records[0])])
        return left

    def _crashes(self, mark: Mark) -> Iterator[Mark]:
        """Where the module died while it had this message in hand."""
        for record in self._crashed.pop((*mark.lane, mark.message_id), ()):
            yield _moment(mark, "crash", record, text=f"crashed at {record.outcome}")

    def _first(
        self,
        module: str,
        handler: str,
        message: Envelope,
        kind: str,
        time: datetime,
        end: datetime,
    ) -> Mark:
        cause = message.causation_id
        if cause in self._causes:
            cause = self._cause(cause)
        return Mark(
            time, end, module, handler, kind, message.message_id, message.type, 0,
            message.correlation_id, cause, None, "", "",
        )  # fmt: skip

    def _traced(self, record: TraceRecord) -> Mark:
        return Mark(
            record.time, record.time, record.module, record.handler or UNREADABLE, "attempt",
            record.message_id, record.type, correlation_id=record.correlation_id,
            causation_id=self._cause(record.causation_id),
        )  # fmt: skip

    def _cause(self, causation_id: str | None) -> str | None:
        """The message behind a domain event, as far back as events caused each other."""
        passed = set()
        while causation_id is not None and causation_id not in passed:
            passed.add(causation_id)
            further = self._causes.get(causation_id)
            if further is None:
                break
            causation_id = further
        return causation_id


def _listed(held: TraceRecord | list[TraceRecord]) -> Sequence[TraceRecord]:
    return held if isinstance(held, list) else (held,)


def _of(
    mark: Mark,
    kind: str,
    time: datetime,
    end: datetime,
    attempt: int = 0,
    error: str | None = None,
    text: str = "",
) -> Mark:
    """Another mark of the same message in the same lane."""
    return Mark(
        time, end, mark.module, mark.handler, kind, mark.message_id, mark.type, attempt,
        mark.correlation_id, mark.causation_id, error, text, "",
    )  # fmt: skip


def _waited(mark: Mark, time: datetime, end: datetime, text: str, *, still: bool = False) -> Mark:
    made = _of(mark, "waiting", time, end, text=text)
    return replace(made, open="end") if still else made


def _moment(mark: Mark, kind: str, record: TraceRecord, text: str = "") -> Mark:
    return _of(mark, kind, record.time, record.time, record.attempt, record.error, text)


def _began(record: TraceRecord) -> datetime:
    if record.duration == 0:
        return record.time
    return record.time - timedelta(seconds=record.duration)


def _tried(mark: Mark, record: TraceRecord) -> Iterator[Mark]:
    """An attempt, if it took any time, and its outcome."""
    if record.duration > 0:
        yield _attempt(mark, record)
    yield _outcome(mark, record)


def _attempt(mark: Mark, record: TraceRecord) -> Mark:
    attempt, error = record.attempt, record.error
    return _of(mark, "attempt", _began(record), record.time, attempt, error, mark.text)


def _outcome(mark: Mark, record: TraceRecord) -> Mark:
    return _moment(mark, _OUTCOMES.get(record.outcome, "failed"), record, mark.text)
