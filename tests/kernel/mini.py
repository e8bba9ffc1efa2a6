"""A small notebook as cells: what people edit and run again."""

from __future__ import annotations

IMPORTS = """
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID
from modulus_es import (
    Aggregate, Command, ConcurrencyError, IntegrationEvent, StaleSystemError, System,
    UnitOfWork, event,
)
"""

MONEY = """
@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str = "EUR"
"""

ORDER = """
class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: Money) -> None:
        self.total, self.status = total, "placed"

    @event("Shipped")
    def ship(self, by: str = "mail") -> None:
        self.status = "shipped"
"""

CONTRACTS = """
class OrderCreated(IntegrationEvent):
    order_id: UUID
    total: Money

class PlaceOrder(Command[UUID]):
    total: Money
"""

STOCK = """
class Reservation(Aggregate):
    @event("Made")
    def __init__(self, order_id: UUID, total: Money) -> None:
        self.order_id, self.total = order_id, total
"""

SYSTEM = """
system = System(seed=7)
orders = system.module("orders")
inventory = system.module("inventory")
"""

HEARD = "heard, answered = [], []"

HANDLERS = """
@orders.handles(PlaceOrder)
async def place_order(command: PlaceOrder, uow: UnitOfWork) -> UUID:
    answered.append("first")
    order = Order(command.total)
    uow.add(order)
    return order.id

@orders.projects(Order.Placed)
def order_created(placed: Order.Placed) -> OrderCreated:
    return OrderCreated(placed.originator_id, placed.total)

@orders.on(Order.Shipped)
def note_shipped(shipped: Order.Shipped) -> None:
    heard.append("shipped")
"""

SUBSCRIBER = """
@inventory.on(OrderCreated)
class ReserveStock:
    async def handle(self, created: OrderCreated, uow: UnitOfWork) -> None:
        heard.append("first")
        uow.add(Reservation(created.order_id, created.total))
"""

DEFINITIONS = (IMPORTS, MONEY, ORDER, CONTRACTS, STOCK, HANDLERS, SUBSCRIBER)
BEFORE_SYSTEM = (IMPORTS, MONEY, ORDER, CONTRACTS, STOCK)
ALL = (*BEFORE_SYSTEM, SYSTEM, HEARD, HANDLERS, SUBSCRIBER)

PLACE = """
result = await system.send(PlaceOrder(Money(Decimal("42.00"))))
await system.run()
"""
