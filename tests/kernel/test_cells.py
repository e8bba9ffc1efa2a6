"""Cells that run again in a live kernel: what is replaced, and what stays."""

from __future__ import annotations

from random import Random

import mini
import pytest
from live_kernel import ADDRESS, Kernel
from probes import PROBES

pytestmark = pytest.mark.slow


@pytest.fixture
def notebook(kernel: Kernel) -> Kernel:
    """A kernel in which the small notebook has run, and one order was placed."""
    kernel.ok("%reset -f")
    for cell in (*mini.ALL, PROBES, mini.PLACE):
        kernel.ok(cell)
    return kernel


def test_every_cell_runs_twice_more_and_definitions_in_any_order(notebook: Kernel) -> None:
    registered = notebook.value("_registered()")
    assert len(registered) == 4
    for cell in (mini.IMPORTS, mini.MONEY, mini.ORDER, mini.CONTRACTS, mini.STOCK, mini.HANDLERS):
        notebook.ok(cell)
        notebook.ok(cell)
    for seed in range(3):
        cells = list(mini.DEFINITIONS)
        Random(seed).shuffle(cells)
        for cell in cells:
            notebook.ok(cell)
        assert sorted(notebook.value("_registered()")) == sorted(registered)
        notebook.ok(mini.PLACE)
    assert notebook.value("_doubled()") == []
    assert notebook.value("len(system.ledger())") == 4
    assert notebook.value("heard.count('first')") == 4
    assert notebook.value("system.ledger().effects.tolist()") == [1, 1, 1, 1]
    assert notebook.value("await _replayed()") == 8


def test_a_handler_that_was_registered_twice_would_be_noticed(notebook: Kernel) -> None:
    again = mini.SUBSCRIBER.replace("ReserveStock", "ReserveAgain")
    registered = notebook.value("_registered()")
    notebook.ok(again)
    assert notebook.value("_registered()") != registered
    notebook.ok(mini.PLACE)
    assert notebook.value("heard.count('first')") == 3


def test_an_aggregate_held_from_before_still_saves_and_is_loaded_with_the_new_class(
    notebook: Kernel,
) -> None:
    notebook.ok("held = await orders.get(Order, result.value)\nold = Order")
    notebook.ok(mini.ORDER.replace('"shipped"', '"on its way"'))
    notebook.ok("held.ship()\nawait orders.save(held)")
    notebook.ok("found = await orders.get(Order, result.value)")
    assert notebook.value("[found.status, type(found) is Order, Order is old]") == [
        "on its way",
        True,
        False,
    ]
    notebook.ok("found.ship('rail')\nawait orders.save(found)")
    assert notebook.value("(await orders.get(Order, result.value)).version") == 3


def test_an_event_replays_with_a_field_that_was_added_with_a_default(notebook: Kernel) -> None:
    notebook.ok(mini.ORDER.replace("total: Money)", 'total: Money, note: str = "none")'))
    notebook.ok(mini.HANDLERS)
    assert notebook.value("(await orders.get(Order, result.value)).status") == "placed"
    notebook.ok(mini.PLACE)
    assert notebook.value("system.dead_letters().empty") is True


def test_a_nested_dataclass_that_was_defined_again_is_the_new_one(notebook: Kernel) -> None:
    notebook.ok(mini.MONEY + "\n    note: str = 'new'\n")
    assert notebook.value("(await orders.get(Order, result.value)).total.note") == "new"
    assert notebook.value("type((await orders.get(Order, result.value)).total) is Money") is True
    notebook.ok(mini.PLACE)
    assert notebook.value("system.dead_letters().empty") is True


def test_a_contract_that_was_defined_again_reaches_the_same_handler(notebook: Kernel) -> None:
    notebook.ok(
        mini.CONTRACTS.replace("total: Money\n\n", "total: Money\n    gift: bool = True\n\n")
    )
    notebook.ok(mini.PLACE)
    assert notebook.value("system.ledger().outcome.tolist()") == ["done", "done"]
    assert notebook.value("heard.count('first')") == 2


def test_a_handler_with_another_body_answers_from_now_on(notebook: Kernel) -> None:
    notebook.ok(mini.HANDLERS.replace('"first"', '"second"'))
    notebook.ok(mini.SUBSCRIBER.replace('"first"', '"second"'))
    notebook.ok(mini.PLACE)
    assert notebook.value("answered") == ["first", "second"]
    assert notebook.value("heard") == ["first", "second"]


def test_the_cell_that_makes_the_system_gives_an_empty_one(notebook: Kernel) -> None:
    notebook.ok("old_orders = orders")
    notebook.ok(mini.SYSTEM)
    assert notebook.value("[len(system.events()), _registered()]") == [0, []]
    outcome = notebook.run("old_orders.projects(Order.Placed)(order_created)")
    assert outcome.error == "StaleSystemError"
    assert "orders = system.module('orders')" in outcome.said
    stale = notebook.run("await old_orders.save(Order(Money(Decimal(1))))")
    assert stale.error == "StaleSystemError"
    for cell in (mini.HANDLERS, mini.SUBSCRIBER, mini.PLACE):
        notebook.ok(cell)
    assert notebook.value("system.ledger().outcome.tolist()") == ["done"]


FAILING = {
    "HandlerSignatureError": mini.SUBSCRIBER.replace("async def handle", "async def handel"),
    "ZeroDivisionError": mini.HANDLERS.replace("@orders.projects", "1 / 0\n@orders.projects"),
    "ReservedFieldError": "class OrderCreated(IntegrationEvent):\n    event_id: int\n",
    "DuplicateHandlerError": (
        "@inventory.handles(PlaceOrder)\ndef other(command: PlaceOrder) -> UUID: ..."
    ),
    "NameClashError": (
        "Order = type('Order', (Aggregate,), {'__module__': 'elsewhere'})\n"
        "await orders.save(Order())"
    ),
}


@pytest.mark.parametrize("error", FAILING)
def test_a_cell_that_fails_changes_nothing(notebook: Kernel, error: str) -> None:
    registered = notebook.value("_registered()")
    outcome = notebook.run(FAILING[error])
    assert outcome.error == error, outcome.said
    assert not ADDRESS.search(outcome.said)
    assert notebook.value("_registered()") == registered
    if error != "NameClashError":  # there the name Order is the reader's own new class now
        notebook.ok(mini.PLACE)
        assert notebook.value("system.ledger().outcome.tolist()") == ["done", "done"]
        assert notebook.value("await _replayed()") == 4


def test_what_a_cell_shows_has_no_address(notebook: Kernel) -> None:
    shown = "system, orders, inventory, orders.bus, orders.mediator, system.network, system.faults"
    things = (
        f"{shown}, result, system.trace, system.clock, orders.unit_of_work(), list(system.trace)"
    )
    outcome = notebook.ok(f"({things})")
    assert "System(seed=7" in outcome.repr
    assert not ADDRESS.search(outcome.text)


@pytest.mark.parametrize("call", ["system.run()", "system.step()", "system.advance(5)"])
def test_a_call_without_await_says_so_and_does_nothing(notebook: Kernel, call: str) -> None:
    outcome = notebook.ok(call)
    assert f"await {call}" in outcome.repr
    assert not ADDRESS.search(outcome.text)
    notebook.ok("import gc\n_ = gc.collect()")
    assert notebook.ok("1").stderr == outcome.stderr == ""


def test_the_control_for_addresses_finds_one(notebook: Kernel) -> None:
    assert ADDRESS.search(notebook.ok("object()").text)
