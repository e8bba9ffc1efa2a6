"""The same domain for modulus_es and for eventsourcing: an order and its lines."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import eventsourcing.application as es_application
import eventsourcing.domain as es

from modulus_es import Aggregate, Command, IntegrationEvent, Module, System, UnitOfWork, event

CUSTOMER = UUID("7c9e6679-7425-40de-944b-e07fc1f90ae7")
PRICE = Decimal("19.99")


class Order(Aggregate):
    """An order of ours."""

    @event("Placed")
    def __init__(self, customer_id: UUID, total: Decimal) -> None:
        self.customer_id, self.total, self.quantity = customer_id, total, 0

    @event("LineAdded")
    def add_line(self, sku: str, quantity: int, price: Decimal) -> None:
        """One more."""
        self.total += price
        self.quantity += quantity


class OrderCreated(IntegrationEvent):
    """What other modules see of an order."""

    order_id: UUID
    customer_id: UUID
    total: Decimal


class PlaceOrder(Command[UUID]):
    """Place an order."""

    customer_id: UUID
    total: Decimal


class TheirOrder(es.Aggregate):
    """The same order, by eventsourcing alone."""

    @es.event("Placed")
    def __init__(self, customer_id: UUID, total: Decimal) -> None:
        self.customer_id, self.total, self.quantity = customer_id, total, 0

    @es.event("LineAdded")
    def add_line(self, sku: str, quantity: int, price: Decimal) -> None:
        """One more."""
        self.total += price
        self.quantity += quantity


def with_lines(order: Any, lines: int) -> Any:
    """Add lines to an order of either kind."""
    for number in range(lines):
        order.add_line("SKU-0001", number, PRICE)
    return order


def url(folder: Path, how: str) -> str:
    """The store that ``how`` names: memory, file, or file with an option."""
    if how == "memory":
        return "memory://"
    option = "?synchronous=NORMAL" if how == "normal" else ""
    return f"sqlite:///{folder / 'ours.db'}{option}"


def their_env(folder: Path, how: str, prefix: str = "") -> dict[str, str]:
    """The same for eventsourcing."""
    if how == "memory":
        return {}
    return {
        f"{prefix}PERSISTENCE_MODULE": "eventsourcing.sqlite",
        f"{prefix}SQLITE_DBNAME": str(folder / f"{prefix}theirs.db"),
    }


def project_placed(module: Module) -> None:
    """Let the module's placed orders be told to others, as one integration event each."""

    @module.projects(Order.Placed)
    def order_created(placed: Order.Placed) -> OrderCreated:
        return OrderCreated(placed.originator_id, placed.customer_id, placed.total)


def our_shop(store: str, **options: Any) -> tuple[System, Module]:
    """A system with default settings whose module saves orders and projects an event of each."""
    system = System(seed=7, store=store, **options)
    orders = system.module("orders")
    project_placed(orders)
    return system, orders


def handle_orders(orders: Module) -> None:
    """Let the module place orders by command."""

    @orders.handles(PlaceOrder)
    async def place_order(command: PlaceOrder, uow: UnitOfWork) -> UUID:
        order = Order(command.customer_id, command.total)
        uow.add(order)
        return order.id


def their_shop(folder: Path, how: str) -> Any:
    """The application that eventsourcing brings, as its documentation shows it."""
    return es_application.Application[UUID](env=their_env(folder, how))
