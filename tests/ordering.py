"""An order, as the tests of what happens inside of one module have it."""

from __future__ import annotations

from modulus_es import Aggregate, IntegrationEvent, Module, event


class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: int) -> None:
        self.total, self.status = total, "placed"

    @event("Shipped")
    def ship(self) -> None:
        self.status = "shipped"


class OrderCreated(IntegrationEvent):
    total: int


def topics(module: Module) -> list[str]:
    """The names of the events in a module's store, in order."""
    return [stored.topic for stored in module.stored_events()]
