"""Rebuild aggregates from 1,000 events each, every one of them for the first time."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from benchmarks import orders
from benchmarks.harness import Row, Subject, Work
from benchmarks.marks import Mark
from benchmarks.orders import CUSTOMER, PRICE, Order, TheirOrder
from modulus_es import System

EVENTS = 1000
OURS = "modulus_es module.get"
THEIRS = "eventsourcing repository.get"
SELECT = "part: reading the rows alone"


async def ours(how: str, work: Work) -> None:
    store = orders.url(work.folder, how)
    system, module = await _saved(store, work.count)
    ids = _ids(module)
    if how != "memory":
        system.close()
        system = System(seed=7, store=store)
        module = system.module("orders")
    found: list[Any] = []
    with work.timed():
        for id_ in ids:
            found.append(await module.get(Order, id_))
    _check(work, found, ids)
    system.close()


async def theirs(how: str, work: Work) -> None:
    app = orders.their_shop(work.folder, how)
    ids: list[UUID] = []
    for _ in range(work.count):
        order = orders.with_lines(TheirOrder(CUSTOMER, PRICE), EVENTS - 1)
        app.save(order)
        ids.append(order.id)
    if how != "memory":
        app.close()
        app = orders.their_shop(work.folder, how)
    with work.timed():
        found = [app.repository.get(id_) for id_ in ids]
    _check(work, found, ids)
    app.close()


async def selecting(how: str, work: Work) -> None:
    system, module = await _saved(orders.url(work.folder, how), work.count)
    ids = _ids(module)
    with work.timed():
        found = [module.store.event_rows(id_) for id_ in ids]
    work.did(sum(len(events) == EVENTS for events in found))
    system.close()


async def _saved(store: str, count: int) -> tuple[System, Any]:
    system, module = orders.our_shop(store)
    for _ in range(count):
        await module.save(orders.with_lines(Order(CUSTOMER, PRICE), EVENTS - 1))
    return system, module


def _ids(module: Any) -> list[UUID]:
    return [UUID(row.envelope.key) for row in module.store.outbox_rows()]


def _check(work: Work, found: list[Any], ids: list[UUID]) -> None:
    work.did(len(found))
    work.same("ids", [order.id for order in found], ids)
    for order in found:
        state = (order.version, order.customer_id, order.total, order.quantity)
        work.same("state", state, (EVENTS, CUSTOMER, PRICE * EVENTS, sum(range(EVENTS - 1))))


def subjects() -> list[Subject]:
    """In memory and on a file."""
    return [
        Subject(
            f"rebuild-{how}",
            f"Rebuild an order from 1,000 events, {where}",
            "events",
            "cpu",
            8,
            [
                Row(THEIRS, "peer", partial(theirs, how)),
                Row(OURS, "ours", partial(ours, how)),
                Row(SELECT, "part", partial(selecting, how)),
            ],
            against=THEIRS,
            marks=[Mark(OURS, "faster", limit, THEIRS)],
            per=EVENTS,
            quick=3,
            rounds=2,
        )
        for how, where, limit in (("memory", "in memory", 6), ("file", "in an SQLite file", 3.6))
    ]
