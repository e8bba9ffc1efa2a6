"""What the explorer says when something does not go as it should."""

from __future__ import annotations

import pytest
from live_lab import Sheet

pytestmark = [pytest.mark.slow, pytest.mark.browser]

STATUS = "explorer.view.status"
ENDLESS = """
import asyncio

class Again(IntegrationEvent):
    number: int

@orders.on(Again)
async def again(told: Again, uow: UnitOfWork) -> None:
    await asyncio.sleep(0.05)
    uow.publish(Again(told.number + 1))

await orders.bus.publish(Again(0))
"""

# In the table of what was where: one waits in an outbox, and billing has given four up.
HELD = """() => {
    const rows = [...document.querySelectorAll('.mes-states tr')].map((row) => row.innerText.split('\\t'));
    const sums = Object.fromEntries(rows.map(([name, ...sums]) => [name, sums.join(' ')]));
    return sums['orders (outbox)'] === '1 0 0 3 0 0 0' && sums['billing charge'] === '0 0 0 0 0 4 0';
}"""  # noqa: E501


def test_an_error_of_a_run_is_shown_in_the_explorer(shop: Sheet) -> None:
    shop.say("await system.start()")
    shop.press("Run")
    said = shop.until(STATUS, lambda value: "ModulusError" in value)
    assert "running already" in said
    assert shop.page.locator(".mes-explorer.mes-alarm .mes-status").inner_text() == said
    shop.shot("run-failed")
    shop.say("await system.stop()")
    shop.press("Run")
    shop.until(STATUS, lambda value: "nothing is due" in value)
    assert shop.page.locator(".mes-explorer.mes-alarm").count() == 0


def test_a_run_that_is_blocked_says_what_blocks_it(shop: Sheet) -> None:
    shop.page.get_by_label("between", exact=True).last.select_option("orders")
    shop.page.get_by_label("and", exact=True).last.select_option("inventory")
    shop.press("Cut off")
    shop.until("system.network.is_cut('orders', 'inventory')")
    shop.say("await system.send(PlaceOrder(Decimal(7)))")
    shop.press("Run")
    said = shop.until(STATUS, lambda value: "blocked" in value)
    assert "inventory | orders" in said or "orders | inventory" in said
    # It has come to billing, and is held for inventory.
    shop.sees(HELD)
    shop.shot("blocked")
    shop.press("Step")
    shop.until(STATUS, lambda value: value.startswith("No step: blocked"))
    shop.press("Heal")
    shop.until("system.network.is_cut('orders', 'inventory')", lambda value: not value)
    shop.press("Run")
    shop.until(STATUS, lambda value: value.startswith("Ran") and "nothing is due" in value)
    assert shop.value("(system.ledger().outcome == 'pending').sum().item()") == 0


def test_a_run_that_does_not_end_can_be_stopped(shop: Sheet) -> None:
    shop.say(ENDLESS)
    before = shop.value("len(system.trace)")
    shop.press("Run")
    shop.until("len(system.trace)", lambda value: value > before + 20)
    shop.shot("running")
    shop.press("Stop")
    shop.until(STATUS, lambda value: value.startswith("Stopped"))


def test_a_handler_that_is_defined_anew_while_it_is_open_takes_effect(shop: Sheet) -> None:
    shop.say(
        "@billing.on(StockReserved)\n"
        "async def send_invoice(reserved: StockReserved) -> None: ...\n"
        "@billing.on(OrderCreated)\nasync def charge(created: OrderCreated) -> None: ..."
    )
    # No message has told of it yet.
    shop.node("billing/handler/send_invoice").wait_for()
    shop.say("await system.send(PlaceOrder(Decimal(7)))")
    shop.press("Run")
    shop.until(STATUS, lambda value: "nothing is due" in value)
    handlers = "sorted({m.handler for m in explorer.marks if m.kind == 'done'})"
    shop.until(handlers, lambda value: {"charge", "send_invoice"} <= set(value))
    shop.mark("done", "charge").wait_for()
    shop.mark("done", "send_invoice").wait_for()
