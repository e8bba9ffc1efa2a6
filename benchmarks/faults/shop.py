"""The little system that most scenarios torture, and the ledger outside of its store."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import UUID

from modulus_es import Aggregate, Command, IntegrationEvent, System, UnitOfWork, event
from modulus_es.ledger import ledger

ROOT = Path(__file__).parents[2]


class Order(Aggregate):
    """What a customer ordered."""

    @event("Placed")
    def __init__(self, number: int) -> None:
        self.number = number


class Reservation(Aggregate):
    """What was put aside for an order."""

    @event("Made")
    def __init__(self, number: int) -> None:
        self.number = number


class OrderCreated(IntegrationEvent):
    """Tells other modules of an order."""

    number: int


class PlaceOrder(Command[UUID]):
    """Asks for an order."""

    number: int


def shop(
    url: str,
    *,
    seed: int = 7,
    projected: bool = True,
    meanwhile: Callable[[int], None] = lambda number: None,
    **options: Any,
) -> System:
    """Orders, and an inventory that makes a reservation for each.

    Without ``projected``, the message is somebody else's business. ``meanwhile``
    is called inside the consumer's handler.
    """
    system = System(seed=seed, store=url, **options)
    orders, inventory = system.module("orders"), system.module("inventory")

    @orders.handles(PlaceOrder)
    async def place_order(command: PlaceOrder, uow: UnitOfWork) -> UUID:
        order = Order(command.number)
        uow.add(order)
        return order.id

    if projected:

        @orders.projects(Order.Placed)
        def order_created(placed: Order.Placed) -> OrderCreated:
            return OrderCreated(placed.number)

    @inventory.on(OrderCreated)
    async def reserve(created: OrderCreated, uow: UnitOfWork) -> None:
        meanwhile(created.number)
        uow.add(Reservation(created.number))

    return system


class Book:
    """The ledger outside: a text file, flushed to the disk after each line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)

    def note(self, what: str, number: int) -> None:
        """Write a line; when this returns, a killed process has written it."""
        os.write(self._file, f"{what} {number}\n".encode())
        os.fsync(self._file)

    def counts(self, what: str) -> Counter[int]:
        """How often each number was noted."""
        lines = (line.split() for line in self.path.read_text().splitlines())
        return Counter(int(line[1]) for line in lines if len(line) == 2 and line[0] == what)


@dataclass
class Found:
    """What the stores say, counted."""

    orders: Counter[int]
    messages: Counter[int]
    delivered: int
    reservations: Counter[int]
    reconciled: bool
    out_of_order: int

    @property
    def torn(self) -> int:
        """Events without their message, and messages without their event."""
        return sum(((self.orders - self.messages) + (self.messages - self.orders)).values())

    @property
    def repeated(self) -> int:
        """Effects beyond the first."""
        return sum(count - 1 for count in self.reservations.values())

    @property
    def missing(self) -> int:
        """Messages without an effect."""
        return sum((self.messages - self.reservations).values())


def look(system: System) -> Found:
    """Count what is recorded: from the events themselves, not from what the inbox says."""
    orders, inventory = system["orders"], system["inventory"]
    rows = list(ledger(system.modules))
    return Found(
        _numbers(stored.state for stored in orders.stored_events()),
        _numbers(row.envelope.body for row in orders.store.outbox_rows()),
        sum(row.status == "done" for row in inventory.store.inbox_rows()),
        _numbers(stored.state for stored in inventory.stored_events()),
        all(row.outcome == "done" and row.effects == 1 for row in rows),
        sum(row.out_of_order for row in rows),
    )


def _numbers(recorded: Iterable[bytes]) -> Counter[int]:
    return Counter(
        data.get("data", data)["number"] for data in (json.loads(text) for text in recorded)
    )


def url_of(path: Path, options: str = "") -> str:
    """The URL of a SQLite store in that file."""
    return f"sqlite:///{path}{options}"


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A process of its own, forked from a clean one that has everything imported."""
    context = multiprocessing.get_context("forkserver")
    known = os.environ.get("PYTHONPATH", "")
    if str(ROOT) not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), known)))
    context.set_forkserver_preload(["benchmarks.faults.everything"])
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def wait_for(condition: Callable[[], bool], seconds: float = 30.0, pause: float = 0.002) -> None:
    """Wait until something is so; raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("a child did not get where it should")
        time.sleep(pause)
