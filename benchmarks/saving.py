"""Create orders and save them: ours with a projected message each, eventsourcing's without."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from benchmarks import bare, orders
from benchmarks.harness import Row, Subject, Work
from benchmarks.marks import Mark
from benchmarks.orders import CUSTOMER, PRICE, Order, TheirOrder

OURS = "modulus_es, with a message in the outbox"
NORMAL = "modulus_es, synchronous=NORMAL"
THEIRS = "eventsourcing Application.save, no outbox"
FULL = "limit: bare sqlite3, same bytes and transactions"
BARE_NORMAL = "limit: bare sqlite3, synchronous=NORMAL"


async def ours(lines: int, how: str, work: Work) -> None:
    system, module = orders.our_shop(orders.url(work.folder, how))
    ids: list[UUID] = []
    with work.timed():
        for _ in range(work.count):
            order = Order(CUSTOMER, PRICE)
            for number in range(lines):
                order.add_line("SKU-0001", number, PRICE)
            await module.save(order)
            ids.append(order.id)
    rows = list(module.store.outbox_rows())
    bodies: list[dict[str, Any]] = [msgspec.json.decode(row.envelope.body) for row in rows]
    work.did(len(rows))
    work.same("messages", [UUID(body["order_id"]) for body in bodies], ids)
    work.same("events", module.store.recorder.max_notification_id(), work.count * (lines + 1))
    for id_ in ids[:: max(1, len(ids) // 10)]:
        found = await module.get(Order, id_)
        work.same("order", *_both(found, id_, lines))
    system.close()


async def theirs(lines: int, how: str, work: Work) -> None:
    app = orders.their_shop(work.folder, how)
    ids: list[UUID] = []
    with work.timed():
        for _ in range(work.count):
            order = TheirOrder(CUSTOMER, PRICE)
            for number in range(lines):
                order.add_line("SKU-0001", number, PRICE)
            app.save(order)
            ids.append(order.id)
    events = app.recorder.max_notification_id()
    work.did((events or 0) // (lines + 1))
    work.same("events", events, work.count * (lines + 1))
    for id_ in ids[:: max(1, len(ids) // 10)]:
        work.same("order", *_both(app.repository.get(id_), id_, lines))
    app.close()


async def creating(cls: Any, lines: int, work: Work) -> None:
    """The part of the work that is before the save."""
    made: list[Any] = []
    with work.timed():
        for _ in range(work.count):
            order = cls(CUSTOMER, PRICE)
            for number in range(lines):
                order.add_line("SKU-0001", number, PRICE)
            made.append(order)
            if len(made) > 100:
                del made[:50]
    work.did(work.count)
    work.same("order", *_both(made[-1], made[-1].id, lines))
    work.same("pending", len(made[-1].pending_events), lines + 1)
    await asyncio.sleep(0)


def _both(order: Any, id_: UUID, lines: int) -> tuple[object, object]:
    found = (order.id, order.version, order.customer_id, order.total, order.quantity)
    return found, (id_, lines + 1, CUSTOMER, PRICE * (lines + 1), sum(range(lines)))


def subjects() -> list[Subject]:
    """In memory and on a file, with one line, three and ten."""
    made = []
    for lines, count in ((1, 1000), (3, 600), (10, 300)):
        said = f"Create and save an order with {lines} line{'s' if lines > 1 else ''}"
        made.append(
            Subject(
                f"save-memory-{lines}",
                f"{said}, in memory",
                "events",
                "cpu",
                count,
                [
                    Row(THEIRS, "peer", partial(theirs, lines, "memory")),
                    Row(OURS, "ours", partial(ours, lines, "memory")),
                    Row("modulus_es, creating alone", "part", partial(creating, Order, lines)),
                    Row(
                        "eventsourcing, creating alone",
                        "part",
                        partial(creating, TheirOrder, lines),
                    ),
                ],
                against=THEIRS,
                marks=[Mark(OURS, "faster", 1.3, THEIRS)],
                rounds=2,
                per=lines + 1,
            )
        )
        made.append(
            Subject(
                f"save-file-{lines}",
                f"{said}, in an SQLite file",
                "events",
                "wall",
                count,
                [
                    Row(THEIRS, "peer", partial(theirs, lines, "file")),
                    Row(OURS, "ours", partial(ours, lines, "file")),
                    Row(NORMAL, "option", partial(ours, lines, "normal")),
                    Row(FULL, "limit", partial(bare.save, lines, "FULL")),
                    Row(BARE_NORMAL, "limit", partial(bare.save, lines, "NORMAL")),
                ],
                against=THEIRS,
                marks=[Mark(OURS, "faster", 1.3, THEIRS)],
                rounds=2,
                per=lines + 1,
            )
        )
    return made
