"""A little shop: a system to try stores and transports with, in this process and in others."""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from modulus_es.domain import Aggregate, event
from modulus_es.messages import Command, IntegrationEvent
from modulus_es.system import System
from modulus_es.unit_of_work import UnitOfWork


class Order(Aggregate):
    """What is placed."""

    class Placed(Aggregate.Created):
        """It was placed."""

        number: str

    class Noted(Aggregate.Event):
        """Something was written on it."""

        text: str

    @event(Placed)
    def __init__(self, number: str) -> None:
        self.number = number
        self.notes = 0

    @event(Noted)
    def note(self, text: str) -> None:
        """Write something on it."""
        self.notes += 1


class Reservation(Aggregate):
    """What the inventory makes for each order."""

    @event("Made")
    def __init__(self, number: str) -> None:
        self.number = number


class OrderCreated(IntegrationEvent):
    """What the inventory hears of an order."""

    number: str


class PlaceOrder(Command[UUID]):
    """Answers the new order's id."""

    number: str


class NoteOrder(Command[int]):
    """Answers how many notes an order has."""

    order_id: UUID
    text: str


class Shop:
    """Orders are placed, and a reservation is made for each, over the bus.

    >>> import asyncio
    >>> shop = Shop("memory://")
    >>> _ = asyncio.run(shop.place("A1", "A2"))
    >>> _ = asyncio.run(shop.system.run())
    >>> shop.recorded("inventory", "Reservation.Made")
    ['A1', 'A2']
    """

    def __init__(self, store: str, **options: Any) -> None:
        self.failures: Counter[str] = Counter()
        """How many more times the reservation for an order's number is to fail."""
        self.system = System(**{"seed": 7, "store": store, **options})
        self.orders = self.system.module("orders")
        self.inventory = self.system.module("inventory")
        self.orders.handles(PlaceOrder)(self.place_order)
        self.orders.handles(NoteOrder)(self.note_order)
        self.orders.projects(Order.Placed, name="order_created")(order_created)
        self.inventory.on(OrderCreated, name="reserve")(self.reserve)

    async def place_order(self, command: PlaceOrder, uow: UnitOfWork) -> UUID:
        """Make an order."""
        order = Order(command.number)
        uow.add(order)
        return order.id

    async def note_order(self, command: NoteOrder, uow: UnitOfWork) -> int:
        """Write something on an order."""
        order = await uow.get(Order, command.order_id)
        order.note(command.text)
        return order.notes

    async def reserve(self, created: OrderCreated, uow: UnitOfWork) -> None:
        """Make a reservation, unless it is to fail."""
        if self.failures[created.number]:
            self.failures[created.number] -= 1
            raise RuntimeError(f"no stock for {created.number}")
        uow.add(Reservation(created.number))

    async def place(self, *numbers: str) -> list[UUID]:
        """Place orders, one command each."""
        return [(await self.system.send(PlaceOrder(number))).value for number in numbers]

    def recorded(self, module: str, topic: str) -> list[str]:
        """The numbers in a module's recorded events of one type, in order."""
        frame = self.system.events()
        chosen = frame[(frame.module == module) & (frame.type == topic)]
        return [data["number"] for data in chosen.data]

    def agree(self) -> None:
        """Events and outbox agree, and everything sent had its effect exactly once."""
        placed = self.recorded("orders", "Order.Placed")
        assert len(placed) == len(set(placed))
        outbox = self.system.outbox()
        assert len(outbox) == len(placed)
        assert set(outbox.status) <= {"delivered"}
        assert sorted(self.recorded("inventory", "Reservation.Made")) == sorted(placed)
        ledger = self.system.ledger()
        assert len(ledger) == len(placed)
        assert set(ledger.outcome) <= {"done"}
        assert set(ledger.effects) <= {1}
        events = self.system.events()
        assert events.event_id.is_unique


def order_created(placed: Order.Placed) -> OrderCreated:
    """The projector of the orders."""
    return OrderCreated(placed.number)
