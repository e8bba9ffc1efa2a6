"""The tables, as pandas DataFrames.

Every table has the same columns and dtypes however many rows it has: text is
``str``, where what is missing is NaN; times are ``datetime64[us, UTC]``,
numbers ``int64``. Rows of several modules are merged by time, and each module's
own rows keep the order in which it recorded them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from modulus_es.ledger import LedgerRow
from modulus_es.stores.rows import InboxRow, OutboxRow
from modulus_es.trace import TraceRecord
from modulus_es.views import columns
from modulus_es.views.rows import EventRow

if TYPE_CHECKING:
    import pandas as pd


def events_frame(rows: Iterable[EventRow]) -> pd.DataFrame:
    """The recorded domain events.

    >>> from modulus_es.clock import START
    >>> row = EventRow(1, "orders", "Order", "a1", 1, "Order.Placed", "e1", START, {"total": 42})
    >>> events_frame([row])[["position", "module", "type", "data"]]
       position  module          type           data
    0         1  orders  Order.Placed  {'total': 42}
    """
    made = columns.gathered(
        rows,
        position=columns.integers,
        module=columns.repeated_text,
        aggregate=columns.repeated_text,
        aggregate_id=columns.repeated_text,
        version=columns.integers,
        type=columns.repeated_text,
        event_id=columns.text,
        occurred_on_utc=columns.times,
        data=columns.objects,
        correlation_id=columns.repeated_text,
        causation_id=columns.repeated_text,
        handler=columns.repeated_text,
    )
    return _merged(made, "occurred_on_utc")


def outbox_frame(rows: Iterable[tuple[str, OutboxRow]]) -> pd.DataFrame:
    """The outboxes: (module, row) pairs.

    >>> outbox_frame([]).columns[:5].tolist()
    ['position', 'module', 'message_id', 'type', 'key']
    """
    made = _of_rows(
        OutboxRow,
        rows,
        position=columns.integers,
        module=columns.text,
        message_id=columns.text,
        type=columns.text,
        key=columns.text,
        created_at=columns.times,
        available_at=columns.times,
        attempts=columns.integers,
        status=columns.text,
        last_error=columns.text,
        kind=columns.text,
        to=columns.text,
        version=columns.integers,
        correlation_id=columns.text,
        causation_id=columns.text,
        claimed_until=columns.times,
        delivered_at=columns.times,
        dead_at=columns.times,
    )
    return _merged(made, "created_at")


def inbox_frame(rows: Iterable[tuple[str, InboxRow]]) -> pd.DataFrame:
    """The inboxes: (module, row) pairs, a row for each handler of each message.

    >>> inbox_frame([]).columns[:6].tolist()
    ['message_id', 'module', 'handler', 'status', 'attempts', 'processed_at']
    """
    made = _of_rows(
        InboxRow,
        rows,
        message_id=columns.text,
        module=columns.text,
        handler=columns.text,
        status=columns.text,
        attempts=columns.integers,
        processed_at=columns.times,
        outcome=columns.text,
        last_error=columns.text,
        type=columns.text,
        source=columns.text,
        key=columns.text,
        position=columns.integers,
        received_at=columns.times,
        available_at=columns.times,
        dead_at=columns.times,
        duplicates=columns.integers,
        out_of_order=columns.integers,
        correlation_id=columns.text,
        causation_id=columns.text,
    )
    return _merged(made, "received_at")


def dead_letters_frame(
    outbox: Iterable[tuple[str, OutboxRow]], inbox: Iterable[tuple[str, InboxRow]]
) -> pd.DataFrame:
    """What died, in outboxes (without a handler) and inboxes, in order of death.

    The body is read as JSON; one that is not JSON is shown as text.

    >>> dead_letters_frame([], []).columns[:4].tolist()
    ['message_id', 'type', 'module', 'handler']
    """
    buried: list[tuple[str, str, OutboxRow | InboxRow]] = [
        (module, "", unsent) for module, unsent in outbox if unsent.status == "dead"
    ]
    buried += [
        (module, failed.handler, failed) for module, failed in inbox if failed.status == "dead"
    ]
    rows = [row for _, _, row in buried]
    sent = [row.envelope for row in rows]
    frame = _frame(
        message_id=columns.text([message.message_id for message in sent]),
        type=columns.text([message.type for message in sent]),
        module=columns.text([module for module, _, _ in buried]),
        handler=columns.text([handler for _, handler, _ in buried]),
        attempts=columns.integers([row.attempts for row in rows]),
        error=columns.text([row.last_error for row in rows]),
        died_at=columns.times([row.dead_at for row in rows]),
        body=columns.objects([readable_body(message.body) for message in sent]),
        source=columns.text([message.source for message in sent]),
        correlation_id=columns.text([message.correlation_id for message in sent]),
        causation_id=columns.text([message.causation_id for message in sent]),
    )
    return _by_time(frame, "died_at")


def deliveries_frame(records: Iterable[TraceRecord]) -> pd.DataFrame:
    """Every attempt to run a handler; records of other kinds are passed over.

    >>> from datetime import timedelta
    >>> from modulus_es.clock import START
    >>> record = TraceRecord(START + timedelta(seconds=2), "delivery", "inventory", duration=2.0)
    >>> deliveries_frame([record]).started_at[0]
    Timestamp('2024-01-01 00:00:00+0000', tz='UTC')
    """
    import numpy as np

    held = [record for record in records if record.kind == "delivery"]
    finished = columns.times([record.time for record in held])
    seconds = np.array([record.duration for record in held], dtype="float64")
    lasted = np.rint(seconds * 1e6).astype("int64").astype("timedelta64[us]")
    frame = _frame(
        started_at=finished - lasted,
        finished_at=finished,
        message_id=columns.text([record.message_id for record in held]),
        type=columns.text([record.type for record in held]),
        source=columns.text([record.source for record in held]),
        module=columns.text([record.module for record in held]),
        handler=columns.text([record.handler for record in held]),
        attempt=columns.integers([record.attempt for record in held]),
        outcome=columns.text([record.outcome for record in held]),
        error=columns.text([record.error for record in held]),
        correlation_id=columns.text([record.correlation_id for record in held]),
        causation_id=columns.text([record.causation_id for record in held]),
    )
    return _by_time(frame, "started_at")


def ledger_frame(rows: Iterable[LedgerRow]) -> pd.DataFrame:
    """What became of every message at every handler.

    >>> ledger_frame([]).columns[-3:].tolist()
    ['duplicates', 'out_of_order', 'outcome']
    """
    held = list(rows)
    frame = _frame(
        message_id=columns.text([row.message_id for row in held]),
        type=columns.text([row.type for row in held]),
        source=columns.text([row.source for row in held]),
        module=columns.text([row.module for row in held]),
        handler=columns.text([row.handler for row in held]),
        recorded_at=columns.times([row.recorded_at for row in held]),
        attempts=columns.integers([row.attempts for row in held]),
        effects=columns.integers([row.effects for row in held]),
        duplicates=columns.integers([row.duplicates for row in held]),
        out_of_order=columns.integers([row.out_of_order for row in held]),
        outcome=columns.text([row.outcome for row in held]),
    )
    return _by_time(frame, "recorded_at")


def trace_frame(records: Iterable[TraceRecord]) -> pd.DataFrame:
    """Everything that happened, in the order in which it happened.

    >>> from modulus_es.clock import START
    >>> trace_frame([TraceRecord(START, "commit", "orders", outcome="done")]).kind.tolist()
    ['commit']
    """
    import numpy as np

    held = list(records)
    return _frame(
        time=columns.times([record.time for record in held]),
        kind=columns.text([record.kind for record in held]),
        module=columns.text([record.module for record in held]),
        message_id=columns.text([record.message_id for record in held]),
        type=columns.text([record.type for record in held]),
        handler=columns.text([record.handler for record in held]),
        attempt=columns.integers([record.attempt for record in held]),
        outcome=columns.text([record.outcome for record in held]),
        source=columns.text([record.source for record in held]),
        correlation_id=columns.text([record.correlation_id for record in held]),
        causation_id=columns.text([record.causation_id for record in held]),
        error=columns.text([record.error for record in held]),
        duration=np.array([record.duration for record in held], dtype="float64"),
    )


def readable_body(body: bytes) -> Any:
    """A message's body as its JSON value, or as text where it is none.

    >>> readable_body(b'{"total": 42}'), readable_body(b"{")
    ({'total': 42}, '{')
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _of_rows(
    kind: type, rows: Iterable[tuple[str, Any]], /, **makers: Callable[[Sequence[Any]], Any]
) -> dict[str, Any]:
    """The columns of (module, row) pairs: what a row does not say itself, its message does."""
    held = list(rows)
    modules, rows_alone = [module for module, _ in held], [row for _, row in held]
    made = {}
    for name, make in makers.items():
        said = attrgetter(name if hasattr(kind, name) else f"envelope.{name}")
        made[name] = make(modules if name == "module" else list(map(said, rows_alone)))
    return made


def _frame(**given: Any) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(given)


def _by_time(frame: pd.DataFrame, time: str) -> pd.DataFrame:
    return frame.sort_values(time, kind="stable", ignore_index=True)


def _merged(made: dict[str, Any], time: str) -> pd.DataFrame:
    """Merge the modules by time, each module's rows staying in order of position."""
    import numpy as np
    import pandas as pd

    modules = pd.factorize(made["module"])[0]
    order = np.lexsort((made["position"], modules))
    reached = pd.Series(made[time]).iloc[order].groupby(modules[order], sort=False).cummax()
    order = order[reached.argsort(kind="stable")]
    if np.any(order[1:] < order[:-1]):
        # One after the other, so that no more than one is there twice.
        for name, column in made.items():
            made[name] = column.take(order)
    return pd.DataFrame(made, copy=False)
