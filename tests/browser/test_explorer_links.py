"""Choosing a node or a delivery, by mouse and by keyboard, and what follows from it."""

from __future__ import annotations

import pytest
from live_lab import Sheet

pytestmark = [pytest.mark.slow, pytest.mark.browser]

HANDLER = "inventory/handler/reserve_stock"
CHOSEN = "explorer.chosen and [explorer.chosen.kind, explorer.chosen.handler]"


def test_choosing_a_node_by_mouse_shows_its_deliveries_only(shop: Sheet) -> None:
    everything = shop.page.locator(".mes-mark").count()
    shop.node(HANDLER).click()
    shop.until("explorer.graph_view.selected", lambda value: value == HANDLER)
    assert shop.node(HANDLER).get_attribute("aria-pressed") == "true"
    names = shop.page.locator(".mes-lane").all_inner_texts()
    assert names == ["reserve_stock"]
    assert 0 < shop.page.locator(".mes-mark").count() < everything
    shop.until("explorer.timeline_view.filter.get('label')", lambda value: value == "reserve_stock")
    shop.shot("node-chosen")
    shop.press("Show the marks of all nodes")
    assert shop.page.locator(".mes-mark").count() == everything


def test_choosing_an_event_shows_the_deliveries_of_its_contract(shop: Sheet) -> None:
    shop.node("orders/event/Order.Placed").click()
    shop.until("explorer.timeline_view.filter.get('label')", lambda value: value == "Order.Placed")
    assert "charge" in shop.page.locator(".mes-lane").all_inner_texts()
    assert "place_order" not in shop.page.locator(".mes-lane").all_inner_texts()


def test_choosing_a_node_by_keyboard(shop: Sheet) -> None:
    shop.page.locator(".mes-node[tabindex='0']").focus()
    shop.page.keyboard.press("Home")
    first = shop.ask("document.activeElement.dataset.node")
    shop.page.keyboard.press("ArrowDown")
    second = shop.ask("document.activeElement.dataset.node")
    assert second != first
    assert shop.page.locator(".mes-node[tabindex='0']").count() == 1
    assert shop.ask("document.activeElement.matches(':focus-visible')")
    shop.page.keyboard.press("Enter")
    shop.until("explorer.graph_view.selected", lambda value: value == second)
    shop.page.keyboard.press("Escape")
    shop.until("explorer.graph_view.selected", lambda value: value == "")
    shop.shot("node-focused")


def test_choosing_a_delivery_by_mouse_shows_what_it_was_and_what_it_changed(shop: Sheet) -> None:
    shop.mark("done", "ship_order").click()
    shop.until(CHOSEN, lambda value: value == ["done", "ship_order"])
    inspector = shop.page.locator(".mes-inspector-area")
    inspector.locator(".mes-changed").wait_for()
    [changed] = inspector.locator(".mes-changed").all()
    assert changed.inner_text().split("\t") == ["status (changed)", "placed", "shipped"]
    assert '"order_id"' in inspector.locator("pre").first.inner_text()
    assert "traceparent" in inspector.inner_text()
    shop.shot("delivery-chosen")


def test_the_chain_of_a_delivery_is_highlighted_in_both_views(shop: Sheet) -> None:
    shop.mark("done", "ship_order").click()
    wanted = {"orders/handler/ship_order", HANDLER, "orders/command/PlaceOrder",
              "contract/StockReserved", "billing/handler/charge"}  # fmt: skip
    shop.until("explorer.graph_view.highlighted", lambda nodes: wanted <= set(nodes))
    lit = shop.ask(
        "[...document.querySelectorAll('.mes-node.mes-on')].map((node) => node.dataset.node)"
    )
    # What lies between is on the way too.
    assert {"orders/aggregate/Order", "orders/projector/order_created"} <= set(lit)
    marks = shop.page.locator(".mes-mark.mes-on").count()
    assert 0 < marks < shop.page.locator(".mes-mark").count()
    assert shop.page.locator(".mes-arrows path").count() > 0


def test_a_delivery_that_failed_shows_its_error_as_text(shop: Sheet) -> None:
    shop.mark("dead", "charge").click()
    error = shop.page.locator(".mes-inspector-area pre", has_text="card declined")
    error.wait_for()
    assert "<script>alert(1)</script>" in error.inner_text()


def test_choosing_a_delivery_by_keyboard(shop: Sheet) -> None:
    mark = shop.mark("done", "place_order")
    mark.focus()
    number = int(mark.get_attribute("data-mark"))
    shop.page.keyboard.press("ArrowDown")
    focused = int(shop.ask("document.activeElement.dataset.mark"))
    assert focused != number
    assert shop.page.locator(".mes-mark[tabindex='0']").count() == 1
    assert shop.ask("document.activeElement.matches(':focus-visible')")
    shop.page.keyboard.press(" ")
    shop.until("explorer.timeline_view.chosen", lambda value: value == focused)
    shop.page.keyboard.press("Escape")
    shop.until("explorer.chosen is None")
    shop.shot("delivery-focused")


def test_fifty_fast_clicks_are_fifty_events(shop: Sheet) -> None:
    shop.say("clicks = []\nexplorer.on_click(clicks.append)")
    shop.ask(
        """() => { const node = document.querySelector('.mes-node');
        const click = () => node.dispatchEvent(new MouseEvent('click', {bubbles: true}));
        for (let n = 0; n < 50; n += 1) click();
        }"""
    )
    shop.until("len(clicks)", lambda value: value == 50)
    # An even number of times chosen and let go again.
    shop.until("explorer.graph_view.selected", lambda value: value == "")
