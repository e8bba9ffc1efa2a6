"""A little shop: what the tests of the SQLite store run, in their own process and in others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

from modulus_es import Aggregate, Command, IntegrationEvent, System, UnitOfWork, event


class Order(Aggregate):
    @event("Placed")
    def __init__(self, number: str) -> None:
        self.number = number
        self.notes = 0

    @event("Noted")
    def note(self, text: str) -> None:
        self.notes += 1


class Reservation(Aggregate):
    @event("Made")
    def __init__(self, number: str) -> None:
        self.number = number


class OrderCreated(IntegrationEvent):
    number: str


class PlaceOrder(Command[UUID]):
    number: str


class NoteOrder(Command[int]):
    order_id: UUID
    text: str


class Shop:
    """Orders are placed, and a reservation is made for each, over the bus."""

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
        order = Order(command.number)
        uow.add(order)
        return order.id

    async def note_order(self, command: NoteOrder, uow: UnitOfWork) -> int:
        order = await uow.get(Order, command.order_id)
        order.note(command.text)
        return order.notes

    async def reserve(self, created: OrderCreated, uow: UnitOfWork) -> None:
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


def order_created(placed: Order.Placed) -> OrderCreated:  # type: ignore[name-defined]
    return OrderCreated(placed.number)


def run(work: Any) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(work)


def python(
    script: str, *arguments: object, interpreter: str = sys.executable, **options: Any
) -> subprocess.Popen[str]:
    """Another Python, which finds this module, running a piece of code."""
    head = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    return subprocess.Popen(
        [interpreter, "-c", head + script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
