"""The notebooks that the tests open."""

from __future__ import annotations

SHOP = """
from decimal import Decimal
from uuid import UUID
from modulus_es import Aggregate, Command, IntegrationEvent, Retry, System, UnitOfWork, event

class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: Decimal) -> None:
        self.total, self.status = total, "placed"

    @event("Shipped")
    def ship(self) -> None:
        self.status = "shipped"

class OrderCreated(IntegrationEvent):
    order_id: UUID
    total: Decimal

class StockReserved(IntegrationEvent):
    order_id: UUID

class PlaceOrder(Command[UUID]):
    total: Decimal

system = System(seed=7)
orders, inventory, billing = (system.module(name) for name in ("orders", "inventory", "billing"))

@orders.handles(PlaceOrder)
async def place_order(command: PlaceOrder, uow: UnitOfWork) -> UUID:
    order = Order(command.total)
    uow.add(order)
    return order.id

@orders.projects(Order.Placed)
def order_created(placed: Order.Placed) -> OrderCreated:
    return OrderCreated(placed.originator_id, placed.total)

failures = {"left": 2}

@inventory.on(OrderCreated)
async def reserve_stock(created: OrderCreated, uow: UnitOfWork) -> None:
    if failures["left"]:
        failures["left"] -= 1
        raise RuntimeError("the warehouse does not answer")
    uow.publish(StockReserved(created.order_id))

@orders.on(StockReserved)
async def ship_order(reserved: StockReserved, uow: UnitOfWork) -> None:
    (await uow.get(Order, reserved.order_id)).ship()

broken = {"now": True}

@billing.on(OrderCreated, retry=Retry(attempts=2))
async def charge(created: OrderCreated) -> None:
    if broken["now"]:
        raise RuntimeError("card declined <script>alert(1)</script>")

for n in range(3):
    await system.send(PlaceOrder(Decimal(40 + n)))
"""

RUN = "run = await system.run()"

EXPLORE = "explorer = system.explore()\nexplorer"
