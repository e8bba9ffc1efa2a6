"""Stable names, and which class each of them means."""

from __future__ import annotations

from typing import Any

import pytest

from modulus_es import (
    Aggregate,
    Command,
    DefinitionError,
    DomainEvent,
    IntegrationEvent,
    NameClashError,
    event,
)
from modulus_es.naming import Registry, near_misses, qualified_name, stable_name


def defined_in(module: str, name: str = "Order", base: type = object) -> Any:
    return type(name, (base,), {"__module__": module, "__qualname__": name})


def test_a_name_is_the_qualified_class_name_without_its_function() -> None:
    class Order:
        class Line: ...

    assert stable_name(Order.Line) == "Order.Line"
    assert "<locals>" in Order.Line.__qualname__


def test_a_name_is_never_an_import_path() -> None:
    class Placed(IntegrationEvent): ...

    assert stable_name(Placed) == "Placed"


def test_a_pinned_name_replaces_the_qualified_one() -> None:
    class Placed(IntegrationEvent, name="shop.Placed"): ...

    class Place(Command[None], name="shop.Place"): ...

    class Opened(DomainEvent, name="shop.Opened"): ...

    assert list(map(stable_name, (Placed, Place, Opened))) == [
        "shop.Placed",
        "shop.Place",
        "shop.Opened",
    ]


def test_a_pinned_name_is_not_inherited() -> None:
    class Placed(IntegrationEvent, name="shop.Placed"): ...

    class PlacedTwice(Placed): ...

    assert stable_name(PlacedTwice) == "PlacedTwice"


def test_an_aggregates_pinned_name_leads_those_of_its_events() -> None:
    class Order(Aggregate, name="shop.Order"):
        @event("Placed")
        def __init__(self) -> None: ...

        @event("Shipped")
        def ship(self) -> None: ...

    assert stable_name(Order) == "shop.Order"
    assert stable_name(Order.Placed) == "shop.Order.Placed"
    assert stable_name(Order.Shipped) == "shop.Order.Shipped"


def test_an_events_own_pinned_name_goes_before_its_aggregates() -> None:
    class Order(Aggregate, name="shop.Order"):
        class Placed(Aggregate.Created, name="order-placed"): ...

        @event(Placed)
        def __init__(self) -> None: ...

        @event("Shipped", name="order-shipped")
        def ship(self) -> None: ...

    assert stable_name(Order.Placed) == "order-placed"
    assert stable_name(Order.Shipped) == "order-shipped"


@pytest.mark.parametrize("name", ["", "1st", "a b", "x" * 201, "<script>", "über", "a/b"])
def test_a_pinned_name_that_is_none_is_refused(name: str) -> None:
    for base in (IntegrationEvent, Command, DomainEvent, Aggregate):
        with pytest.raises(DefinitionError, match="use letters, digits"):
            type("Placed", (base,), {"__module__": __name__}, name=name)


def test_the_same_class_defined_again_replaces_itself() -> None:
    registry = Registry("module orders")
    old, new = defined_in("__main__"), defined_in("__main__")
    assert registry.learn(old) == registry.learn(new) == "Order"
    assert registry.get("Order") is new


def test_a_class_from_before_does_not_come_back_when_it_is_mentioned() -> None:
    class Old(IntegrationEvent, name="Order"): ...

    class New(IntegrationEvent, name="Order"): ...

    New.__qualname__ = Old.__qualname__
    registry = Registry("module orders")
    registry.learn(New)
    registry.learn(Old)
    assert registry.get("Order") is New


def test_a_class_of_that_name_from_another_python_module_is_an_error() -> None:
    registry = Registry("module orders")
    registry.learn(defined_in("shop.orders"))
    with pytest.raises(NameClashError) as caught:
        registry.learn(defined_in("shop.purchases"))
    assert "module orders" in str(caught.value)
    assert "shop.orders.Order" in str(caught.value)
    assert "shop.purchases.Order" in str(caught.value)
    assert "name=" in str(caught.value)


def test_a_clash_leaves_the_registry_as_it_was() -> None:
    registry = Registry("module orders")
    held, other = defined_in("a"), defined_in("b")
    registry.learn(held)
    with pytest.raises(NameClashError):
        registry.learn(other)
    assert registry.get("Order") is held
    assert not registry.knows(other)


def test_two_classes_pinned_to_one_name_clash() -> None:
    class Placed(IntegrationEvent, name="shop.Placed"): ...

    class Ordered(IntegrationEvent, name="shop.Placed"): ...

    registry = Registry("the system")
    registry.learn(Placed)
    with pytest.raises(NameClashError, match=r"shop\.Placed"):
        registry.learn(Ordered)


def test_a_name_that_nobody_mentioned_means_nothing() -> None:
    assert Registry("module orders").get("os.system") is None


def test_names_come_in_the_order_in_which_they_were_learned() -> None:
    registry = Registry("module orders")
    for name in ("B", "A"):
        registry.learn(defined_in("m", name))
    assert registry.names() == ["B", "A"]


def test_near_misses_name_what_was_perhaps_meant() -> None:
    assert "PlaceOrder" in near_misses("PlaceOrdr", ["PlaceOrder", "Ship"])
    assert near_misses("Zzz", ["PlaceOrder"]) == ""


def test_a_function_in_a_function_is_named_without_it() -> None:
    def handler() -> None: ...

    assert qualified_name(handler) == "handler"
