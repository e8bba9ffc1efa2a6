"""A file from a stranger: nothing in it is executed, the bad row is named, the rest is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from shop import Order, Shop, run

from modulus_es import DeserializationError, UnknownEventError
from modulus_es.stores.rows import Receipt

Open = Callable[..., Shop]


@pytest.fixture
def altered(open_shop: Open, url: str) -> Callable[..., Any]:
    """A shop with three orders sent and none delivered, opened again after it was altered."""

    def alter(*statements: str, received: bool = False, key: str | None = None) -> Any:
        shop: Any = open_shop()
        ids = run(shop.place("A1", "A2", "A3"))
        if received:
            receipts = [
                Receipt(
                    msgspec.structs.replace(row.envelope, key=key or row.envelope.key),
                    (("reserve", True),),
                )
                for row in shop.orders.store.outbox_rows()
            ]
            run(shop.inventory.store.receive(receipts, shop.system.now()))
        shop.system.close()
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
        again: Any = open_shop()
        again.ids = ids
        return again

    return alter


EVENTS, OUTBOX, INBOX = "modulus_events_orders", "modulus_outbox_orders", "modulus_inbox_inventory"


def test_a_topic_is_a_name_and_never_imported(altered: Callable[..., Any], tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    (tmp_path / "payload.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: ...\n")
    shop = altered(f"UPDATE {EVENTS} SET topic = 'payload:Evil' WHERE position = 2")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(tmp_path))
        assert list(shop.system.events().type) == ["Order.Placed", "payload:Evil", "Order.Placed"]
        with pytest.raises(UnknownEventError, match="payload:Evil"):
            run(shop.orders.get(Order, shop.ids[1]))
    assert not marker.exists()
    assert run(shop.orders.get(Order, shop.ids[0])).number == "A1"


def test_a_snapshot_among_the_events_is_an_unknown_event(altered: Callable[..., Any]) -> None:
    shop = altered(
        f"INSERT INTO {EVENTS} (originator_id, originator_version, topic, state) "
        f"SELECT originator_id, 2, 'eventsourcing.domain:Snapshot', state FROM {EVENTS} "
        "WHERE position = 1"
    )
    with pytest.raises(UnknownEventError, match="Snapshot"):
        run(shop.orders.get(Order, shop.ids[0]))
    assert run(shop.orders.get(Order, shop.ids[1])).number == "A2"


@pytest.mark.parametrize(
    "change",
    [
        "state = X'DEADBEEF'",
        "state = 'text where bytes belong'",
        "state = 7",
        "state = CAST(X'FFFE' AS TEXT)",
        "state = zeroblob(100)",
    ],
)
def test_altered_bytes_of_an_event_are_named_when_its_aggregate_is_loaded(
    altered: Callable[..., Any], change: str
) -> None:
    shop = altered(f"UPDATE {EVENTS} SET {change} WHERE position = 2")
    with pytest.raises(DeserializationError, match=rf"event 1 of {shop.ids[1]}.*cannot be read"):
        run(shop.orders.get(Order, shop.ids[1]))
    for id_, number in ((shop.ids[0], "A1"), (shop.ids[2], "A3")):
        assert run(shop.orders.get(Order, id_)).number == number


@pytest.mark.parametrize("change", ["originator_id = 'no uuid'", "topic = X'FF00'", "topic = 7"])
def test_an_event_with_an_altered_id_or_topic_hides_no_other(
    altered: Callable[..., Any], change: str
) -> None:
    shop = altered(f"UPDATE {EVENTS} SET {change} WHERE position = 2")
    assert [stored.id for stored in shop.orders.stored_events()] == [1, 2, 3]
    assert run(shop.orders.get(Order, shop.ids[0])).number == "A1"


BAD_MESSAGES = [
    "headers = X'00'",
    "headers = '{\"occurred_on\": 7}'",
    "body = 7",
    "body = 'text'",
    "kind = 'virus'",
    "type = 'Another'",
    "type = CAST(X'FF' AS TEXT)",
    "version = 'seven'",
    "message_id = X'00'",
    "available_at = 'soon'",
    "created_at = 9223372036854775807",
    "attempts = 'many'",
    "attempts = 9223372036854775807",
    "attempts = -1",
]


@pytest.mark.parametrize("change", BAD_MESSAGES)
def test_an_altered_row_of_the_outbox_is_set_aside_by_name_and_the_rest_flows(
    altered: Callable[..., Any], change: str
) -> None:
    shop = altered(f"UPDATE {OUTBOX} SET {change} WHERE position = 2")
    run(shop.system.run())
    assert set(shop.recorded("inventory", "Reservation.Made")) >= {"A1", "A3"}
    outbox = shop.system.outbox()
    [bad] = outbox[outbox.status != "delivered"].to_dict("records")
    assert (bad["position"], bad["status"]) == (2, "dead")
    assert "row 2 of modulus_outbox_orders cannot be read" in bad["last_error"]
    assert not list(shop.orders.store.undelivered())
    assert len(shop.system.dead_letters()) == 1


@pytest.mark.parametrize(
    "change", [each for each in BAD_MESSAGES if not each.startswith(("created_at", "type"))]
)
def test_an_altered_row_of_the_inbox_is_set_aside_by_name_and_the_rest_flows(
    altered: Callable[..., Any], change: str
) -> None:
    shop = altered(f"UPDATE {INBOX} SET {change} WHERE position = 2", received=True)
    run(shop.system.run())
    assert set(shop.recorded("inventory", "Reservation.Made")) >= {"A1", "A3"}
    inbox = shop.system.inbox()
    [bad] = inbox[inbox.position == 2].to_dict("records")
    assert bad["status"] == "dead"
    assert "row 2 of modulus_inbox_inventory cannot be read" in bad["last_error"]
    assert not list(shop.inventory.store.unprocessed())


def test_a_row_in_the_middle_of_a_lane_that_was_altered_lets_the_later_ones_go(
    altered: Callable[..., Any],
) -> None:
    shop = altered(
        f"UPDATE {INBOX} SET headers = X'00' WHERE position IN (1, 2)", received=True, key="one"
    )
    run(shop.system.run())
    assert "A3" in shop.recorded("inventory", "Reservation.Made")


def test_a_lane_whose_first_row_was_removed_goes_on(altered: Callable[..., Any]) -> None:
    shop = altered(
        f"DELETE FROM {INBOX} WHERE position = 1",
        f"DELETE FROM {OUTBOX} WHERE position = 1",
        received=True,
        key="one",
    )
    run(shop.system.run())
    assert shop.recorded("inventory", "Reservation.Made") == ["A2", "A3"]


def test_a_handler_that_nobody_knows_is_left_alone(altered: Callable[..., Any]) -> None:
    shop = altered(f"UPDATE {INBOX} SET handler = 'os:system' WHERE position = 2", received=True)
    run(shop.system.run())
    assert set(shop.recorded("inventory", "Reservation.Made")) >= {"A1", "A3"}
    [waiting] = shop.inventory.store.unprocessed()
    assert waiting.handler == "os:system"


def test_a_route_that_is_not_its_message_s_is_an_altered_row(altered: Callable[..., Any]) -> None:
    shop = altered(f"UPDATE {OUTBOX} SET route = 'inventory:OrderCreated' WHERE position = 1")
    run(shop.system.run())
    assert shop.recorded("inventory", "Reservation.Made") == ["A2", "A3"]
    [first, *_] = shop.orders.store.outbox_rows()
    assert "route" in (first.last_error or "")


def test_a_clock_beyond_all_time_is_not_believed(altered: Callable[..., Any]) -> None:
    shop = altered("UPDATE modulus_store SET value = 9223372036854775807 WHERE name = 'clock'")
    assert shop.system.now().year < 3000


def test_a_claim_that_never_ends_holds_nobody_up(altered: Callable[..., Any]) -> None:
    shop = altered(
        f"UPDATE {OUTBOX} SET claimed_by = 'mallory', claimed_until = 253370764800000000 "
        "WHERE position = 2"
    )
    run(shop.system.run())
    assert shop.recorded("inventory", "Reservation.Made") == ["A1", "A2", "A3"]


def test_names_with_quotes_in_them_stay_values(shop: Shop) -> None:
    run(shop.place("'; DROP TABLE modulus_events_orders; --", '"', "%s", "?", "\U0001f600"))
    run(shop.system.run())
    shop.agree()
