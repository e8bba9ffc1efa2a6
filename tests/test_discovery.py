"""Discovery: every handler class and decorated function below a package, each once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from modulus_es import DefinitionError, Module, NameClashError, System, handles, on, projects

FILES = {
    "__init__.py": "",
    "model.py": """
from modulus_es import *
class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: int) -> None:
        self.total = total
class OrderCreated(IntegrationEvent):
    total: int
class PlaceOrder(Command[int]):
    total: int
class CountOrders(Query[int]): ...
class ListOrders(StreamQuery[int]): ...
log = []
""",
    "application/__init__.py": "",
    "application/classes.py": """
from abc import ABC, abstractmethod
from modulus_es import *
from cornershop.model import *
class Place(CommandHandler[PlaceOrder]):
    def handle(self, command: PlaceOrder, uow: UnitOfWork) -> int:
        uow.add(Order(command.total))
        return command.total
class Count(QueryHandler[CountOrders]):
    async def handle(self, query: CountOrders) -> int:
        return 1
class List(StreamQueryHandler[ListOrders]):
    async def handle(self, query: ListOrders):
        yield 1
class Check(DomainEventHandler[Order.Placed]):
    phase = "before_commit"
    def handle(self, event: Order.Placed) -> None:
        log.append("check")
class Reserve(IntegrationEventHandler[OrderCreated]):
    retry = Retry(attempts=2)
    ordered = False
    def handle(self, event: OrderCreated) -> None:
        log.append("reserve")
class Announce(Projector[Order.Placed]):
    def project(self, event: Order.Placed) -> OrderCreated:
        return OrderCreated(event.total)
class Unfinished(ABC, CommandHandler[PlaceOrder]):
    @abstractmethod
    def handle(self, command: PlaceOrder) -> int: ...
""",
    "application/functions.py": """
from modulus_es import on, projects
from cornershop.model import *
from cornershop.application.classes import Place, Reserve
@on(Order.Placed)
def tell(placed: Order.Placed) -> None:
    log.append("tell")
@projects(Order.Placed, name="second-announcement")
def announce(placed: Order.Placed) -> None: ...
def undecorated(placed: Order.Placed) -> None: ...
""",
}

NAMES = [
    "Place",
    "Count",
    "List",
    "Check",
    "Reserve",
    "Announce",
    "tell",
    "second-announcement",
]


@pytest.fixture
def cornershop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    for name, text in FILES.items():
        path = tmp_path / "cornershop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("cornershop")
    for name in [each for each in sys.modules if each.split(".")[0] == "cornershop"]:
        del sys.modules[name]


@pytest.fixture
def orders() -> Module:
    return System(seed=7).module("orders")


def test_everything_below_a_package_is_found(cornershop: ModuleType, orders: Module) -> None:
    assert orders.discover(cornershop) == NAMES
    assert sorted(handler.name for _, handler in orders.handlers()) == sorted(NAMES)


def test_calling_it_twice_registers_once(cornershop: ModuleType, orders: Module) -> None:
    assert (
        orders.discover(cornershop)
        == orders.discover(cornershop, "cornershop.application")
        == NAMES
    )
    assert len(list(orders.handlers())) == len(NAMES)


def test_a_place_may_be_given_by_its_name(cornershop: ModuleType, orders: Module) -> None:
    assert orders.discover("cornershop.application.functions") == NAMES[-2:]


def test_several_places_are_looked_into(cornershop: ModuleType, orders: Module) -> None:
    found = orders.discover("cornershop.application.classes", "cornershop.application.functions")
    assert found == NAMES


def test_what_a_class_says_of_itself_counts(cornershop: ModuleType, orders: Module) -> None:
    orders.discover(cornershop)
    handlers = {handler.name: handler for _, handler in orders.handlers()}
    assert handlers["Check"].phase == "before_commit"
    assert handlers["Reserve"].ordered is False
    assert handlers["Reserve"].retry is not None
    assert handlers["Reserve"].retry.attempts == 2


async def test_what_is_found_works(cornershop: ModuleType, orders: Module) -> None:
    orders.discover(cornershop)
    model = importlib.import_module("cornershop.model")
    assert (await orders.send(model.PlaceOrder(3))).value == 3
    assert (await orders.query(model.CountOrders())).value == 1
    assert [n async for n in orders.stream(model.ListOrders())] == [1]
    await orders.system.run()
    assert model.log == ["check", "tell", "reserve"]


def test_a_name_that_two_python_modules_use_for_one_message_is_an_error(
    cornershop: ModuleType, orders: Module
) -> None:
    model = importlib.import_module("cornershop.model")

    def tell(placed: object) -> None: ...

    orders.on(model.Order.Placed)(tell)
    with pytest.raises(NameClashError, match="give name="):
        orders.discover(cornershop)


@pytest.mark.parametrize("wrong", [3, None, Path()], ids=repr)
def test_only_packages_and_modules_are_looked_into(orders: Module, wrong: object) -> None:
    with pytest.raises(DefinitionError, match="packages, modules or their names"):
        orders.discover(wrong)


def test_it_wants_a_place_to_look_into(orders: Module) -> None:
    with pytest.raises(DefinitionError, match="takes the packages or modules"):
        orders.discover()


def test_a_bare_decorator_marks_a_handler_that_says_which_message_it_takes(
    cornershop: ModuleType, orders: Module
) -> None:
    found = ModuleType("bare")
    model = importlib.import_module("cornershop.model")

    def reserve(created: object) -> None: ...

    reserve.__annotations__["created"] = model.OrderCreated
    reserve.__module__ = "bare"
    vars(found)["reserve"] = on(reserve)
    assert vars(found)["reserve"] is reserve
    assert orders.discover(found) == ["reserve"]
    assert [(word, handler.name) for word, handler in orders.handlers()] == [
        ("subscriber", "reserve")
    ]


@pytest.mark.parametrize("mark", [handles, on, projects])
def test_what_is_marked_is_a_handler_of_a_message(mark: Any) -> None:
    with pytest.raises(DefinitionError, match="takes the class of a message, or decorates"):
        mark(3)
