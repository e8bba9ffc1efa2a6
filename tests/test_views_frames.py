"""The tables: columns, dtypes, order, and what hostile text does to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest

from modulus_es.clock import START
from modulus_es.envelope import Envelope
from modulus_es.ledger import LedgerRow
from modulus_es.stores.rows import InboxRow, OutboxRow
from modulus_es.trace import TraceRecord
from modulus_es.views import columns
from modulus_es.views.frames import (
    dead_letters_frame,
    deliveries_frame,
    events_frame,
    inbox_frame,
    ledger_frame,
    outbox_frame,
    trace_frame,
)
from modulus_es.views.rows import EventRow

TIME = "datetime64[us, UTC]"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def envelope(message_id: str = "m1", **kwargs: Any) -> Envelope:
    given = {
        "kind": "event", "type": "OrderCreated", "version": 1, "body": b'{"total":42}',
        "source": "orders", "key": "k1", "occurred_on": START,
    }  # fmt: skip
    return Envelope(message_id=message_id, **{**given, **kwargs})


def event(position: int = 1, module: str = "orders", seconds: float = 0, **kwargs: Any) -> EventRow:
    return EventRow(
        position, module, "Order", "a1", position, "Order.Placed", f"e{position}", at(seconds),
        {"total": 42}, **kwargs,
    )  # fmt: skip


def sent(message_id: str = "m1", position: int = 1, seconds: float = 0, **kwargs: Any) -> OutboxRow:
    return OutboxRow(envelope(message_id), at(seconds), at(seconds), position=position, **kwargs)


def received(message_id: str = "m1", handler: str = "reserve", **kwargs: Any) -> InboxRow:
    return InboxRow(envelope(message_id), handler, START, START, **kwargs)


def delivery(message_id: str = "m1", seconds: float = 2, **kwargs: Any) -> TraceRecord:
    given = {
        "type": "OrderCreated", "handler": "reserve", "attempt": 1, "outcome": "done",
        "source": "orders", "correlation_id": "c1", "duration": 2.0,
    }  # fmt: skip
    return TraceRecord(at(seconds), "delivery", "inventory", message_id, **{**given, **kwargs})


PROMISED = {
    "events": "position module aggregate aggregate_id version type event_id occurred_on_utc data",
    "outbox": "position module message_id type key created_at available_at attempts status"
    " last_error",
    "inbox": "message_id module handler status attempts processed_at",
    "deliveries": "started_at finished_at message_id type source module handler attempt outcome"
    " error correlation_id causation_id",
    "dead_letters": "message_id type module handler attempts error died_at body",
    "ledger": "message_id type source module handler recorded_at attempts effects duplicates"
    " out_of_order outcome",
    "trace": "time kind module message_id type handler attempt outcome",
}

EMPTY = {
    "events": events_frame([]),
    "outbox": outbox_frame([]),
    "inbox": inbox_frame([]),
    "deliveries": deliveries_frame([]),
    "dead_letters": dead_letters_frame([], []),
    "ledger": ledger_frame([]),
    "trace": trace_frame([]),
}

FULL = {
    "events": events_frame([event()]),
    "outbox": outbox_frame([("orders", sent())]),
    "inbox": inbox_frame([("inventory", received())]),
    "deliveries": deliveries_frame([delivery()]),
    "dead_letters": dead_letters_frame([("orders", sent(dead_at=START))], []),
    "ledger": ledger_frame([LedgerRow("m1", "OrderCreated", "orders", "", "", START)]),
    "trace": trace_frame([delivery()]),
}


@pytest.mark.parametrize("table", PROMISED)
def test_a_table_begins_with_the_promised_columns(table: str) -> None:
    promised = PROMISED[table].split()
    assert EMPTY[table].columns[: len(promised)].tolist() == promised


@pytest.mark.parametrize("table", PROMISED)
def test_an_empty_table_has_the_columns_and_dtypes_of_a_full_one(table: str) -> None:
    assert (len(EMPTY[table]), len(FULL[table])) == (0, 1)
    assert EMPTY[table].dtypes.to_dict() == FULL[table].dtypes.to_dict()


@pytest.mark.parametrize("table", PROMISED)
def test_every_column_is_text_a_number_a_utc_time_or_the_payload(table: str) -> None:
    dtypes = {name: str(dtype) for name, dtype in EMPTY[table].dtypes.items()}
    payload = {name for name, dtype in dtypes.items() if dtype == "object"}
    assert payload <= {"data", "body"}
    assert set(dtypes.values()) <= {"str", "int64", "float64", TIME, "object"}
    assert all(dtypes[name] == TIME for name in dtypes if name.endswith(("_at", "_utc", "until")))


def test_modules_are_merged_by_time() -> None:
    frame = events_frame([event(1, "orders", 0), event(2, "orders", 9), event(1, "inventory", 5)])
    assert list(zip(frame.module, frame.position, strict=True)) == [
        ("orders", 1), ("inventory", 1), ("orders", 2),
    ]  # fmt: skip


def test_a_module_keeps_the_order_of_its_positions_when_its_times_do_not() -> None:
    frame = events_frame([event(2, "orders", 3), event(1, "orders", 7), event(1, "inventory", 5)])
    assert list(zip(frame.module, frame.position, strict=True)) == [
        ("inventory", 1), ("orders", 1), ("orders", 2),
    ]  # fmt: skip


def test_rows_of_one_instant_keep_the_order_of_their_modules() -> None:
    frame = events_frame([event(1, "orders"), event(1, "inventory"), event(2, "orders")])
    assert frame.module.tolist() == ["orders", "orders", "inventory"]


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_a_table_that_is_read_in_pieces_is_the_same_table(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = event(3, "orders")._replace(occurred_on_utc=None, event_id="")
    rows = [event(1, correlation_id="c"), event(2, seconds=9), unreadable, event(1, "inventory", 5)]
    whole = events_frame(rows)
    monkeypatch.setattr(columns, "_CHUNK", chunk)
    pd.testing.assert_frame_equal(events_frame(iter(rows)), whole)


def test_times_of_other_zones_are_shown_in_utc() -> None:
    moment = datetime(2024, 1, 1, 5, tzinfo=timezone(timedelta(hours=5)))
    frame = events_frame([event()._replace(occurred_on_utc=moment)])
    assert frame.occurred_on_utc[0].to_pydatetime() == datetime(2024, 1, 1, tzinfo=UTC)


def test_a_delivery_started_its_duration_before_it_finished() -> None:
    frame = deliveries_frame([delivery(seconds=30, duration=0.25)])
    assert (frame.finished_at - frame.started_at).dt.total_seconds().tolist() == [0.25]


def test_deliveries_are_sorted_by_their_start() -> None:
    frame = deliveries_frame([delivery("late", 10), delivery("early", 11, duration=9.0)])
    assert frame.message_id.tolist() == ["early", "late"]


def test_only_deliveries_are_in_the_table_of_deliveries() -> None:
    commit = TraceRecord(START, "commit", "orders", outcome="done")
    assert deliveries_frame([commit, delivery()]).outcome.tolist() == ["done"]


def test_a_missing_text_is_missing_and_an_empty_one_is_not() -> None:
    frame = outbox_frame([("orders", sent()), ("orders", sent(position=2, last_error=""))])
    assert frame.last_error.isna().tolist() == [True, False]


def test_dead_letters_come_from_outboxes_and_inboxes_in_order_of_death() -> None:
    frame = dead_letters_frame(
        [("orders", sent("m1", dead_at=at(9), last_error="refused")), ("orders", sent("alive"))],
        [("inventory", received("m2", dead_at=at(5))), ("inventory", received("alive"))],
    )
    assert frame[["message_id", "module", "handler"]].to_numpy().tolist() == [
        ["m2", "inventory", "reserve"],
        ["m1", "orders", ""],
    ]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"total": 42}', {"total": 42}),
        (b"[1, 2]", [1, 2]),
        (b"{", "{"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_a_dead_body_is_shown_as_json_or_as_text(body: bytes, shown: Any) -> None:
    rows = [received(), received()]
    for row in rows:
        row.envelope, row.dead_at = envelope(body=body), START
    frame = dead_letters_frame([], [("inventory", row) for row in rows])
    assert frame.body.tolist() == [shown, shown]


def test_half_a_surrogate_pair_is_replaced() -> None:
    frame = trace_frame([delivery(error="a\ud800b"), delivery(error=None)])
    assert frame.error[0] == "a\N{REPLACEMENT CHARACTER}b"
    assert frame.error.isna().tolist() == [False, True]


def test_the_ledger_is_sorted_by_when_the_messages_were_recorded() -> None:
    frame = ledger_frame(
        [
            LedgerRow("b", "T", "orders", "x", "h", at(2)),
            LedgerRow("a", "T", "orders", "x", "h", at(1)),
        ]
    )
    assert frame.message_id.tolist() == ["a", "b"]
