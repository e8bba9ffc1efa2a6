"""Importing, in fresh processes: the package, all its names, and up to a first picture."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial

from benchmarks.harness import Row, Subject, Work
from benchmarks.marks import Mark

THEIRS = "import eventsourcing.application"
OURS = "import modulus_es"
NAMES = "from modulus_es import *"
SVG = "modulus_es: quickstart to the graph as SVG"
SHOWN = "modulus_es: quickstart to the graph as a notebook shows it"
LEDGER = "modulus_es: quickstart to the ledger"

TIMED = """
import time
cpu, wall = time.process_time(), time.perf_counter()
{code}
print(time.process_time() - cpu, time.perf_counter() - wall, {proof})
"""

QUICKSTART = """
import asyncio
from decimal import Decimal
from uuid import UUID
from modulus_es import Aggregate, Command, IntegrationEvent, System, UnitOfWork, event

class Order(Aggregate):
    @event("Placed")
    def __init__(self, customer_id: UUID, total: Decimal) -> None:
        self.customer_id, self.total = customer_id, total

class Reservation(Aggregate):
    @event("Made")
    def __init__(self, order_id: UUID) -> None:
        self.order_id = order_id

class OrderCreated(IntegrationEvent):
    order_id: UUID
    total: Decimal

class PlaceOrder(Command[UUID]):
    customer_id: UUID
    total: Decimal

system = System(seed=7)
orders, inventory = system.module("orders"), system.module("inventory")

@orders.handles(PlaceOrder)
async def place_order(command: PlaceOrder, uow: UnitOfWork) -> UUID:
    order = Order(command.customer_id, command.total)
    uow.add(order)
    return order.id

@orders.projects(Order.Placed)
def order_created(placed: Order.Placed) -> OrderCreated:
    return OrderCreated(placed.originator_id, placed.total)

@inventory.on(OrderCreated)
async def reserve_stock(created: OrderCreated, uow: UnitOfWork) -> None:
    uow.add(Reservation(created.order_id))

async def main():
    for total in ("42.00", "7.50", "19.99"):
        assert (await system.send(PlaceOrder(UUID(int=1), Decimal(total)))).is_success
    await system.run()

asyncio.run(main())
"""


async def child(code: str, proof: str, wanted: str, work: Work) -> None:
    """Run the code in a process of its own, which times it and proves what it did."""
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    # Where it is set, every process would compile anew what it imports.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        TIMED.format(code=code, proof=proof),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    cpu, wall, *proven = said.decode().split()
    work.took(float(cpu), float(wall))
    work.same("proof", proven, [wanted])
    work.did(1)


def subjects() -> list[Subject]:
    """The import, and what a reader waits for first."""
    importing = Subject(
        "import",
        "Import, in a fresh process",
        "imports",
        "cpu",
        1,
        [
            Row(
                THEIRS,
                "peer",
                partial(
                    child,
                    THEIRS,
                    "hasattr(eventsourcing.application, 'Application')",
                    "True",
                ),
            ),
            Row(OURS, "ours", partial(child, OURS, "hasattr(modulus_es, '__all__')", "True")),
            Row(NAMES, "ours", partial(child, NAMES, "System.__name__", "System")),
        ],
        against=THEIRS,
        marks=[Mark(OURS, "cost", 1.5, THEIRS)],
        rounds=4,
    )
    picture = Subject(
        "first-picture",
        "From the import to the first picture of the quickstart, in a fresh process",
        "pictures",
        "cpu",
        1,
        [
            Row(
                SVG,
                "ours",
                partial(child, f"{QUICKSTART}\nmade = system.graph().to_svg()", "made[:4]", "<svg"),
            ),
            Row(
                SHOWN,
                "ours",
                partial(
                    child,
                    f"{QUICKSTART}\nmade = system.graph()._repr_mimebundle_()",
                    "'text/html' in (made[0] if isinstance(made, tuple) else made)",
                    "True",
                ),
            ),
            Row(
                LEDGER,
                "ours",
                partial(
                    child, f"{QUICKSTART}\nmade = system.ledger()", "int(made.effects.sum())", "3"
                ),
            ),
        ],
        against=SVG,
    )
    return [importing, picture]
