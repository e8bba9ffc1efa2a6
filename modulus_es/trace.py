"""Everything that happens, as records in the order in which it happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from modulus_es.clock import iso
from modulus_es.counts import whole

if TYPE_CHECKING:
    from modulus_es.envelope import Envelope


class TraceRecord(msgspec.Struct, frozen=True, gc=False):
    """One thing that happened.

    ``time`` is when it ended, by the system's clock; ``duration`` is in seconds
    of that clock. ``kind`` is one of command, query, stream, event, commit,
    project, relay, receive, delivery, network, crash, dead, replay, failure.
    ``module`` is where it happened, ``source`` the module that a message came
    from. For a delivery, ``outcome`` is done, failed, retry, duplicate or dead.

    >>> from modulus_es.clock import START
    >>> TraceRecord(START, "delivery", "inventory", type="OrderCreated", source="orders",
    ...             handler="ReserveStock", attempt=2, outcome="done")
    <2024-01-01T00:00:00Z delivery OrderCreated orders -> inventory ReserveStock attempt 2 done>
    """

    time: datetime
    kind: str
    module: str
    message_id: str = ""
    type: str = ""
    handler: str = ""
    attempt: int = 0
    outcome: str = ""
    source: str = ""
    correlation_id: str | None = None
    causation_id: str | None = None
    error: str | None = None
    duration: float = 0.0

    def __repr__(self) -> str:
        said = " ".join(
            part
            for part in (
                self.kind,
                self.type,
                f"{self.source} -> {self.module}" if self.source else self.module,
                self.handler,
                f"attempt {self.attempt}" if self.attempt else "",
                self.outcome,
                f"({self.error})" if self.error else "",
            )
            if part
        )
        return f"<{iso(self.time)} {said}>"


def record_of(
    envelope: Envelope,
    time: datetime,
    kind: str,
    module: str,
    source: str = "",
    handler: str = "",
    attempt: int = 0,
    outcome: str = "",
    error: str | None = None,
    duration: float = 0.0,
) -> TraceRecord:
    """The record of something that happened to a message."""
    return TraceRecord(
        time,
        kind,
        module,
        envelope.message_id,
        envelope.type,
        handler,
        attempt,
        outcome,
        source,
        envelope.correlation_id,
        envelope.causation_id,
        error,
        duration,
    )


@lru_cache
def _so_many(events: int, messages: int) -> str:
    return f"{events} events, {messages} messages"


def commit_record(
    time: datetime,
    module: str,
    handler: str,
    correlation_id: str | None,
    causation_id: str | None,
    events: int = 0,
    messages: int = 0,
) -> TraceRecord:
    """The record of a commit of so many events and messages."""
    outcome = _so_many(events, messages)
    return TraceRecord(
        time, "commit", module, "", "", handler, 0, outcome, "", correlation_id, causation_id
    )


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One attempt to run one handler for one message, with its outcome.

    ``outcome`` is done, failed (a command answered a `Failure`), retry,
    duplicate or dead.

    >>> from modulus_es.clock import START
    >>> record = TraceRecord(START, "delivery", "inventory", handler="ReserveStock", outcome="done")
    >>> Delivery.of(record).outcome
    'done'
    """

    started_at: datetime
    finished_at: datetime
    message_id: str
    type: str
    source: str
    module: str
    handler: str
    attempt: int
    outcome: str
    error: str | None
    correlation_id: str | None
    causation_id: str | None

    @classmethod
    def of(cls, record: TraceRecord) -> Delivery:
        """The delivery that a trace record of kind delivery tells of."""
        return cls(
            record.time - timedelta(seconds=record.duration),
            record.time,
            record.message_id,
            record.type,
            record.source,
            record.module,
            record.handler,
            record.attempt,
            record.outcome,
            record.error,
            record.correlation_id,
            record.causation_id,
        )


class Said(msgspec.Struct, frozen=True, gc=False):
    """What is the same of each event of a class that is published: the handlers, and where."""

    module: str
    type: str
    handlers: str


class Published(msgspec.Struct, frozen=True, gc=False):
    """A domain event that was published, whose record is made when somebody looks.

    It happens so often that saying an id as text each time would be felt. Of plain
    values alone, nothing of it is for Python's garbage collector to look at.
    """

    time: datetime
    said: Said
    id: UUID
    outcome: str = "done"
    correlation_id: str | None = None
    causation_id: str | None = None

    def record(self) -> TraceRecord:
        """What is shown of it."""
        said = self.said
        return TraceRecord(
            self.time,
            "event",
            said.module,
            str(self.id),
            said.type,
            said.handlers,
            outcome=self.outcome,
            correlation_id=self.correlation_id,
            causation_id=self.causation_id,
        )


def _record(kept: TraceRecord | Published) -> TraceRecord:
    return kept if isinstance(kept, TraceRecord) else kept.record()


class Trace:
    """The last records, at most ``limit`` of them; ``dropped`` counts those before.

    >>> from modulus_es.clock import START
    >>> trace = Trace(limit=1)
    >>> trace.add(TraceRecord(START, "command", "orders", type="PlaceOrder", outcome="done"))
    >>> trace.add(TraceRecord(START, "commit", "orders", outcome="done"))
    >>> trace
    Trace(1 record, 1 dropped)
    >>> list(trace)
    [<2024-01-01T00:00:00Z commit orders done>]
    """

    def __init__(self, limit: int = 100_000) -> None:
        limit = whole(limit, "the number of records that a trace keeps")
        self.kept: deque[TraceRecord | Published] = deque(maxlen=limit)
        self.count = 0
        self.watchers: tuple[Callable[[TraceRecord], None], ...] = ()

    @property
    def limit(self) -> int:
        """How many records are kept."""
        return self.kept.maxlen or 0

    @property
    def dropped(self) -> int:
        """How many records are no longer kept."""
        return self.count - len(self.kept)

    def add(self, record: TraceRecord) -> None:
        """Keep a record, and show it to the watchers."""
        self.kept.append(record)
        self.count += 1
        if self.watchers:
            self._show(record)

    def note(self, published: Published) -> None:
        """Keep that an event was published.

        Where a call is felt as well, the same is done there: append to ``kept``, and ``count``.
        """
        if self.watchers:
            self.add(published.record())
        else:
            self.kept.append(published)
            self.count += 1

    def watch(self, watcher: Callable[[TraceRecord], None]) -> Callable[[], None]:
        """Call ``watcher`` with every record from now on; answers how to stop that.

        One that raises is logged, and not called again.
        """
        self.watchers = (*self.watchers, watcher)
        return lambda: self._stop(watcher)

    def _show(self, record: TraceRecord) -> None:
        for watcher in self.watchers:
            try:
                watcher(record)
            except Exception:
                # It looks on; what it looks at must not fail because of it.
                self._stop(watcher)
                import logging  # it is slow to import, and seldom needed

                logging.getLogger(__name__).exception(
                    "a watcher of the trace failed at %r, and is not called again", record
                )

    def _stop(self, watcher: Callable[[TraceRecord], None]) -> None:
        self.watchers = tuple(each for each in self.watchers if each is not watcher)

    def of_kind(self, *kinds: str) -> list[TraceRecord]:
        """The kept records of these kinds."""
        wanted = frozenset(kinds)
        return [
            _record(kept)
            for kept in tuple(self.kept)
            if (kept.kind if isinstance(kept, TraceRecord) else "event") in wanted
        ]

    def since(self, count: int, *kinds: str) -> Iterator[tuple[int, TraceRecord]]:
        """The kept records of these kinds that ``count`` others or more came before.

        Each comes with the number of all that came before it.
        """
        wanted, dropped = frozenset(kinds), self.dropped
        first = max(0, count - dropped)
        for number, kept in enumerate(tuple(self.kept)[first:], dropped + first):
            if (kept.kind if isinstance(kept, TraceRecord) else "event") in wanted:
                yield number, _record(kept)

    def deliveries(self) -> list[Delivery]:
        """The kept deliveries."""
        return [Delivery.of(record) for record in self.of_kind("delivery")]

    def __iter__(self) -> Iterator[TraceRecord]:
        return map(_record, tuple(self.kept))

    def __len__(self) -> int:
        return len(self.kept)

    def __repr__(self) -> str:
        records = "record" if len(self) == 1 else "records"
        return f"Trace({len(self)} {records}, {self.dropped} dropped)"
