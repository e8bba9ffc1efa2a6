"""Cells that run twice: classes and handlers are replaced, and what was stored replays."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from modulus_es import (
    Aggregate,
    DuplicateHandlerError,
    IntegrationEvent,
    Module,
    ModulusError,
    NameClashError,
    StaleSystemError,
    System,
    UnknownEventError,
    event,
)

IMPORTS = """
from dataclasses import dataclass
from modulus_es import *
"""

ORDER = """
class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: int) -> None:
        self.total, self.status = total, "placed"
    @event("Shipped")
    def ship(self) -> None:
        self.status = "shipped"
"""

EXPLICIT = """
class Changed(Aggregate.Event):
    total: int
class Order(Aggregate):
    class Placed(Aggregate.Created):
        total: int
    @event(Placed)
    def __init__(self, total: int) -> None:
        self.total = total
    @event(Changed)
    def change(self, total: int) -> None:
        self.total = total
"""

SYSTEM = """
system = System(seed=7)
orders = system.module("orders")
inventory = system.module("inventory")
"""

HANDLERS = """
heard = []
@orders.on(Order.Placed)
def say(placed: Order.Placed) -> None:
    heard.append(("say", placed.total))
@orders.projects(Order.Placed)
def order_created(placed: Order.Placed):
    return OrderCreated(placed.total)
@inventory.on(OrderCreated)
def reserve(created: OrderCreated) -> None:
    heard.append(("reserve", created.total))
@orders.handles(PlaceOrder)
def place(command: PlaceOrder, uow: UnitOfWork) -> int:
    uow.add(Order(command.total))
    return command.total
"""

MESSAGES = """
class OrderCreated(IntegrationEvent):
    total: int
class PlaceOrder(Command[int]):
    total: int
"""


class Notebook:
    """A namespace in which cells run, as the kernel's own does."""

    def __init__(self, module: ModuleType) -> None:
        self.names = vars(module)
        self.run(IMPORTS)

    def run(self, *cells: str) -> None:
        for cell in cells:
            exec(cell, self.names)

    def __getattr__(self, name: str) -> Any:
        return self.names[name]


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    module = ModuleType("notebook_under_test")
    sys.modules[module.__name__] = module
    yield Notebook(module)
    del sys.modules[module.__name__]


# Classes


@pytest.mark.parametrize("cell", [ORDER, EXPLICIT], ids=["decorated", "explicit"])
async def test_an_aggregates_cell_may_run_any_number_of_times(
    notebook: Notebook, cell: str
) -> None:
    notebook.run(SYSTEM, cell)
    await notebook.orders.save(notebook.Order(1))
    notebook.run(cell, cell)
    await notebook.orders.save(notebook.Order(2))
    assert len(list(notebook.orders.stored_events())) == 2


async def test_old_events_replay_with_the_new_code(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER)
    old = notebook.Order(1)
    old.ship()
    await notebook.orders.save(old)
    notebook.run(ORDER.replace('"shipped"', '"on its way"'))
    rebuilt = await notebook.orders.get(notebook.Order, old.id)
    assert type(rebuilt) is notebook.Order
    assert rebuilt.status == "on its way"


async def test_asking_with_the_old_class_gives_the_new_one(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER)
    old = notebook.Order
    order = old(1)
    await notebook.orders.save(order)
    notebook.run(ORDER)
    notebook.orders.learn(notebook.Order)
    assert type(await notebook.orders.get(old, order.id)) is notebook.Order


async def test_an_aggregate_held_from_before_still_saves(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER)
    order = notebook.Order(1)
    await notebook.orders.save(order)
    notebook.run(ORDER.replace('"shipped"', '"on its way"'))
    await notebook.orders.save(notebook.Order(2))
    order.ship()
    await notebook.orders.save(order)
    assert (await notebook.orders.get(notebook.Order, order.id)).status == "on its way"


async def test_only_an_explicit_event_class_that_stands_alone_runs_again(
    notebook: Notebook,
) -> None:
    notebook.run(SYSTEM, EXPLICIT)
    order = notebook.Order(1)
    order.change(2)
    await notebook.orders.save(order)
    first, rest = EXPLICIT.split("class Order", 1)
    notebook.run(first)
    notebook.run("class Order" + rest)
    notebook.run("class Order" + rest)
    assert (await notebook.orders.get(notebook.Order, order.id)).total == 2


async def test_a_base_that_runs_alone_does_not_lose_what_derives_from_it(
    notebook: Notebook,
) -> None:
    notebook.run(SYSTEM, ORDER, "class Special(Order): ...")
    special = notebook.Special(1)
    await notebook.orders.save(special)
    notebook.run(ORDER)
    assert (await notebook.orders.get(notebook.Order, special.id)).id == special.id


async def test_a_nested_class_that_runs_alone_does_not_go_stale(notebook: Notebook) -> None:
    item = "@dataclass(frozen=True)\nclass Item:\n    sku: str\n"
    notebook.run(SYSTEM, item)
    notebook.run("class OrderCreated(IntegrationEvent):\n    items: list[Item]\n")
    notebook.run(
        "heard = []\n"
        "@inventory.on(OrderCreated)\n"
        "def reserve(created: OrderCreated) -> None:\n"
        "    heard.append(created.items)\n"
    )
    for _ in range(2):
        await notebook.orders.bus.publish(notebook.OrderCreated([notebook.Item("a")]))
        await notebook.system.run()
        assert notebook.heard.pop() == [notebook.Item("a")]
        notebook.run(item)


async def test_a_first_event_finds_its_aggregate_by_the_name_and_not_by_an_import(
    notebook: Notebook,
) -> None:
    notebook.run(SYSTEM, ORDER)
    order = notebook.Order(1)
    await notebook.orders.save(order)
    moved = ModuleType("moved_elsewhere")
    other = Notebook(moved)
    other.run(SYSTEM, ORDER)
    other.orders.store.recorder.insert_events(list(notebook.orders.stored_events()))
    assert type(await other.orders.get(other.Order, order.id)) is other.Order


async def test_code_of_a_python_module_that_nobody_can_import_works_too() -> None:
    nowhere: dict[str, Any] = {"__name__": "no_such_module_anywhere"}
    exec(IMPORTS + ORDER + SYSTEM, nowhere)
    order = nowhere["Order"](1)
    await nowhere["orders"].save(order)
    assert (await nowhere["orders"].get(nowhere["Order"], order.id)).total == 1
    assert "no_such_module_anywhere" not in sys.modules


# Handlers


async def test_no_registration_happens_twice(notebook: Notebook) -> None:
    cells = (SYSTEM, ORDER, MESSAGES, HANDLERS)
    notebook.run(*cells)
    notebook.run(ORDER, MESSAGES, HANDLERS, HANDLERS)
    await notebook.system.send(notebook.PlaceOrder(3))
    await notebook.system.run()
    assert notebook.heard == [("say", 3), ("reserve", 3)]


@pytest.mark.parametrize("again", [ORDER, MESSAGES, HANDLERS, HANDLERS + ORDER, MESSAGES + ORDER])
async def test_definition_cells_may_run_again_in_any_order(notebook: Notebook, again: str) -> None:
    notebook.run(SYSTEM, ORDER, MESSAGES, HANDLERS)
    await notebook.system.send(notebook.PlaceOrder(1))
    notebook.run(again)
    notebook.heard.clear()
    await notebook.system.send(notebook.PlaceOrder(3))
    await notebook.system.run()
    assert ("say", 3) in notebook.heard
    assert ("reserve", 3) in notebook.heard


async def test_a_handler_that_runs_again_keeps_its_place(notebook: Notebook) -> None:
    cell = "@orders.on(Order.Placed)\ndef {0}(placed) -> None:\n    heard.append('{0}{1}')\n"
    notebook.run(SYSTEM, ORDER, "heard = []", cell.format("a", 1), cell.format("b", 1))
    notebook.run(cell.format("a", 2))
    await notebook.orders.save(notebook.Order(1))
    assert notebook.heard == ["a2", "b1"]


def test_a_handler_renamed_in_its_cell_says_what_to_forget(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER, MESSAGES, HANDLERS)
    with pytest.raises(DuplicateHandlerError, match=r"orders\.forget\('place'\)"):
        notebook.run("@orders.handles(PlaceOrder)\ndef place_it(command) -> int:\n    return 1\n")


async def test_a_cell_that_fails_changes_nothing(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER, MESSAGES, HANDLERS)
    before = [(kind, handler.name, handler.target) for kind, handler in notebook.orders.handlers()]
    for wrong in (
        "@orders.handles(PlaceOrder)\ndef place(wrong: Order, thing) -> int: ...",
        "@orders.on(Order.Placed)\ndef say() -> None: ...",
        "@orders.projects(Order.Placed)\ndef order_created(placed, uow: UnitOfWork): ...",
    ):
        with pytest.raises(ModulusError):
            notebook.run(wrong)
    after = [(kind, handler.name, handler.target) for kind, handler in notebook.orders.handlers()]
    assert after == before
    await notebook.system.send(notebook.PlaceOrder(3))


# The system's own cell


def test_a_module_of_a_system_that_was_made_again_says_so(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER)
    notebook.run("system = System(seed=7)")
    for use in (
        lambda: notebook.run("@orders.on(Order.Placed)\ndef say(placed) -> None: ..."),
        lambda: notebook.orders.unit_of_work(),
        lambda: notebook.orders.use(lambda request, proceed: proceed()),
    ):
        with pytest.raises(StaleSystemError, match=r"orders = system\.module\('orders'\)"):
            use()


async def test_saving_through_a_module_of_an_old_system_says_so(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER, "system = System(seed=7)")
    with pytest.raises(StaleSystemError):
        await notebook.orders.save(notebook.Order(1))


async def test_a_system_made_again_is_empty_and_takes_what_is_registered_afterwards(
    notebook: Notebook,
) -> None:
    cells = (SYSTEM, ORDER, MESSAGES, HANDLERS)
    notebook.run(*cells)
    await notebook.system.send(notebook.PlaceOrder(1))
    notebook.run(SYSTEM)
    assert list(notebook.orders.handlers()) == []
    assert list(notebook.orders.stored_events()) == []
    notebook.run(HANDLERS)
    await notebook.system.send(notebook.PlaceOrder(3))
    assert notebook.heard == [("say", 3)]


async def test_a_system_that_is_still_held_is_not_old(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER, "first, mine = system, orders", "system = System(seed=7)")
    await notebook.mine.save(notebook.Order(1))


async def test_a_module_taken_from_an_old_system_on_purpose_works(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER, "held = [system]", "system = System(seed=7)")
    notebook.run("mine = held[0].module('orders')")
    await notebook.mine.save(notebook.Order(1))


# Names within a module and within the system


def named(base: type, where: str) -> Any:
    body = {"__module__": where, "__qualname__": "Order", "__annotations__": {"n": int}}
    return type("Order", (base,), body)


async def test_a_domain_types_name_is_unique_within_its_module(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER)
    await notebook.orders.save(notebook.Order(1))
    with pytest.raises(NameClashError, match="module orders knows 'Order"):
        await notebook.orders.save(named(Aggregate, "elsewhere")(n=1))
    assert len(list(notebook.orders.stored_events())) == 1


async def test_another_module_may_have_a_domain_type_of_that_name(notebook: Notebook) -> None:
    notebook.run(SYSTEM, ORDER)
    await notebook.orders.save(notebook.Order(1))
    await notebook.inventory.save(named(Aggregate, "elsewhere")(n=1))


async def test_a_contracts_name_is_unique_within_the_system(notebook: Notebook) -> None:
    notebook.run(SYSTEM)
    one, other = named(IntegrationEvent, "here"), named(IntegrationEvent, "there")
    await notebook.orders.bus.publish(one(1))
    with pytest.raises(NameClashError, match="the system knows 'Order'"):
        await notebook.inventory.bus.publish(other(1))
    with pytest.raises(NameClashError):
        notebook.inventory.on(other, name="hear")(lambda event: None)
    assert len(notebook.inventory.outbox) == 0


async def test_a_class_is_known_when_it_is_first_mentioned() -> None:
    class Order(Aggregate):
        @event("Placed")
        def __init__(self, total: Decimal) -> None:
            self.total = total

    def fresh_with(module: Module) -> Module:
        other = System(seed=8).module("orders")
        other.store.recorder.insert_events(list(module.stored_events()))
        return other

    module, order = System(seed=7).module("orders"), Order(Decimal(1))
    await module.save(order)
    (stored,) = module.stored_events()
    unmentioned = fresh_with(module)
    with pytest.raises(UnknownEventError):
        unmentioned.mapper.to_domain_event(stored)
    by_handler = fresh_with(module)
    by_handler.on(Order.Placed, name="h")(lambda placed: None)
    by_projector = fresh_with(module)
    by_projector.projects(Order.Placed, name="p")(lambda placed: None)
    by_loading = fresh_with(module)
    await by_loading.get(Order, order.id)
    for mentioned in (by_handler, by_projector, by_loading):
        assert isinstance(mentioned.mapper.to_domain_event(stored), Order.Placed)
