"""A message from the command that causes it to the handler in the other module."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from eventsourcing.system import ProcessApplication, SingleThreadedRunner
from eventsourcing.system import System as Pipes

from benchmarks import bare, orders
from benchmarks.harness import NotHereError, Row, Subject, Work
from benchmarks.marks import Mark
from benchmarks.orders import CUSTOMER, Order, OrderCreated, PlaceOrder, TheirOrder
from benchmarks.peers import messaging
from benchmarks.peers.messaging import totals
from modulus_es import Aggregate, System, UnitOfWork, event

OURS = "modulus_es"
SAVING = "modulus_es, the handler saves an aggregate"
NORMAL = "modulus_es, synchronous=NORMAL"
GROUPED = "modulus_es, group commit of 100, one command after the other"
GROUPED_AT_ONCE = "modulus_es, group commit of 100, 100 commands at once"
GROUPED_TOGETHER = "modulus_es, group commit of 100, 100 orders in one save"
THEIRS = "eventsourcing follower, SingleThreadedRunner"
THEIRS_TOGETHER = "eventsourcing follower, 100 aggregates in one save"
QUEUE = "limit: asyncio.Queue"
ENCODED = "limit: asyncio.Queue, encoded and decoded by msgspec"
FULL = "limit: bare sqlite3, same bytes and transactions"
HANDLED_TOGETHER = "limit: bare sqlite3, a transaction a save, one for 100 handled"
BATCHED = "limit: bare sqlite3, 100 messages a transaction"


Send = Callable[[System, list[Decimal]], Awaitable[None]]
"""Sends so many orders, and delivers what comes of them."""


class Reservation(Aggregate):
    """What the consumer keeps."""

    @event("Made")
    def __init__(self, order_id: UUID) -> None:
        self.order_id = order_id


class Upstream(ProcessApplication[UUID]):
    """The sender, by eventsourcing alone."""


class Downstream(ProcessApplication[UUID]):
    """The consumer, by eventsourcing alone."""

    seen: ClassVar[list[Decimal]] = []

    def policy(self, domain_event: Any, processing_event: Any) -> None:
        """Note what came."""
        if isinstance(domain_event, TheirOrder.Placed):
            self.seen.append(domain_event.total)


def two_modules(system: System, seen: list[Decimal], *, saving: bool) -> None:
    """A module that sends and one that listens."""
    sender, listener = system.module("orders"), system.module("inventory")
    orders.project_placed(sender)
    orders.handle_orders(sender)
    if saving:

        @listener.on(OrderCreated)
        async def reserve(created: OrderCreated, uow: UnitOfWork) -> None:
            uow.add(Reservation(created.order_id))
            seen.append(created.total)

    else:

        @listener.on(OrderCreated)
        async def note(created: OrderCreated) -> None:
            seen.append(created.total)


async def place_all(system: System, wanted: list[Decimal]) -> None:
    """Send the commands, and deliver what comes of them, a hundred at a time."""
    for start in range(0, len(wanted), 100):
        for total in wanted[start : start + 100]:
            await system.send(PlaceOrder(CUSTOMER, total))
        await system.run()


async def place_all_at_once(system: System, wanted: list[Decimal]) -> None:
    """The same, with a hundred commands that wait for their answers at the same time."""
    for start in range(0, len(wanted), 100):
        some = wanted[start : start + 100]
        await asyncio.gather(*(system.send(PlaceOrder(CUSTOMER, total)) for total in some))
        await system.run()


def placed_in(system: System) -> list[Decimal]:
    """The totals of the orders, as they were recorded."""
    module = system["orders"]
    events = map(module.mapper.to_domain_event, module.stored_events())
    return [event.total for event in events if isinstance(event, Order.Placed)]


async def save_all(system: System, wanted: list[Decimal]) -> None:
    """The same without commands: a hundred orders in one save."""
    for start in range(0, len(wanted), 100):
        some = wanted[start : start + 100]
        await system["orders"].save(*(Order(CUSTOMER, total) for total in some))
        await system.run()


async def ours(
    how: str, work: Work, *, saving: bool = False, send: Send = place_all, **options: Any
) -> None:
    for name in options:
        if name not in inspect.signature(System).parameters:
            raise NotHereError(f"System has no {name}= yet")
    seen: list[Decimal] = []
    system = System(seed=7, store=orders.url(work.folder, how), **options)
    two_modules(system, seen, saving=saving)
    wanted = totals(work.count)
    with work.timed():
        await send(system, wanted)
    work.did(len(seen))
    work.same("contents", sorted(seen), wanted)
    # Who sends many at once is told by the store in which order they came.
    work.same("order", seen, placed_in(system) if send is place_all_at_once else wanted)
    inbox = list(system["inventory"].store.inbox_rows())
    work.same("inbox", [row.status for row in inbox], ["done"] * work.count)
    outbox = list(system["orders"].store.outbox_rows())
    work.same("outbox", [row.status for row in outbox], ["delivered"] * work.count)
    effects = system["inventory"].store.recorder.max_notification_id() or 0
    work.same("effects", effects, work.count if saving else 0)
    system.close()


async def theirs(how: str, work: Work, *, at_once: int = 1) -> None:
    """Their follower is prompted by each save; ``at_once`` orders are saved together."""
    seen = Downstream.seen = []
    env: dict[str, str] = {}
    for prefix in ("UPSTREAM_", "DOWNSTREAM_"):
        env |= orders.their_env(work.folder, how, prefix)
    runner = SingleThreadedRunner[UUID](Pipes([[Upstream, Downstream]]), env=env)
    runner.start()
    upstream, downstream = runner.get(Upstream), runner.get(Downstream)
    wanted = totals(work.count)
    with work.timed():
        for start in range(0, len(wanted), at_once):
            some = wanted[start : start + at_once]
            upstream.save(*(TheirOrder(CUSTOMER, total) for total in some))
    work.did(len(seen))
    work.same("contents and order", seen, wanted)
    work.same("tracked", downstream.recorder.max_tracking_id("Upstream"), work.count)
    runner.stop()


async def queue(encoded: bool, work: Work) -> None:
    waiting: asyncio.Queue[Any] = asyncio.Queue()
    seen: list[Decimal] = []
    wanted = totals(work.count)
    encode = msgspec.json.Encoder().encode
    decode = msgspec.json.Decoder(type=Told).decode

    with work.timed():
        for start in range(0, len(wanted), 100):
            for total in wanted[start : start + 100]:
                told = Told(CUSTOMER, total)
                await waiting.put(encode(told) if encoded else told)
            while not waiting.empty():
                told = await waiting.get()
                seen.append(decode(told).total if encoded else told.total)
    work.did(len(seen))
    work.same("contents and order", seen, wanted)


class Told(msgspec.Struct):
    """The least that a message can be."""

    customer_id: UUID
    total: Decimal


@lru_cache(maxsize=4)
def sent_orders(count: int) -> bare.Written:
    """What sending so many messages writes."""

    async def run(system: System) -> None:
        two_modules(system, [], saving=False)
        await place_all(system, totals(count))

    return bare.written_by(run)


async def bare_messages(saved: int, handled: int, work: Work) -> None:
    """The rows of so many messages, so many of them saved or handled in a transaction."""
    written = await asyncio.to_thread(sent_orders, work.count)
    events, outbox, inbox = (
        written.rows[f"modulus_{table}"]
        for table in ("events_orders", "outbox_orders", "inbox_inventory")
    )
    connection = bare.open_bare(work.folder, written.schema, "FULL")
    run, many = connection.execute, connection.executemany
    insert_event = bare.insert_into("modulus_events_orders", events[0])
    # As they are when they are new: their last columns are set later.
    insert_sent = bare.insert_into("modulus_outbox_orders", outbox[0])
    insert_received = bare.insert_into("modulus_inbox_inventory", inbox[0])
    sent = [(*row[:14], 0, None, None, None, None, None) for row in outbox]
    received = [(*row[:15], 0, *[None] * 6, None, 0, 0) for row in inbox]
    positions = [(row[0],) for row in outbox]
    with work.timed():
        for start in range(0, work.count, 100):
            stop = min(start + 100, work.count)
            for first in range(start, stop, saved):
                last = min(first + saved, stop)
                run("BEGIN IMMEDIATE")
                many(insert_event, events[first:last])
                many(insert_sent, sent[first:last])
                run("COMMIT")
            some = positions[start:stop]
            run("BEGIN IMMEDIATE")
            many("UPDATE modulus_outbox_orders SET claimed_by = 'relay' WHERE position = ?", some)
            run("COMMIT")
            run("BEGIN IMMEDIATE")
            many(insert_received, received[start:stop])
            run("COMMIT")
            run("BEGIN IMMEDIATE")
            many(
                "UPDATE modulus_outbox_orders SET claimed_by = NULL, delivered_at = 1, "
                "attempts = attempts + 1 WHERE position = ? AND claimed_by = 'relay'",
                some,
            )
            run("COMMIT")
            run("BEGIN IMMEDIATE")
            many("UPDATE modulus_inbox_inventory SET claimed_by = 'me' WHERE position = ?", some)
            run("COMMIT")
            for first in range(start, stop, handled):
                run("BEGIN IMMEDIATE")
                many(
                    "UPDATE modulus_inbox_inventory SET processed_at = 1, outcome = 'done', "
                    "claimed_by = NULL WHERE position = ? AND claimed_by = 'me'",
                    positions[first : min(first + handled, stop)],
                )
                run("COMMIT")
    (done,) = run(
        "SELECT count(*) FROM modulus_inbox_inventory JOIN modulus_outbox_orders USING (position) "
        "WHERE processed_at = 1 AND delivered_at = 1"
    ).fetchone()
    work.did(done)
    connection.close()


def subjects() -> list[Subject]:
    """In memory and on a file."""
    memory = Subject(
        "end-to-end-memory",
        "Command, save, outbox, relay, inbox, handler, in memory",
        "messages",
        "cpu",
        3000,
        [
            Row(THEIRS, "peer", partial(theirs, "memory")),
            Row(THEIRS_TOGETHER, "peer", partial(theirs, "memory", at_once=100)),
            Row(OURS, "ours", partial(ours, "memory")),
            Row(SAVING, "ours", partial(ours, "memory", saving=True)),
            Row(QUEUE, "limit", partial(queue, False)),
            Row(ENCODED, "limit", partial(queue, True)),
            *messaging.memory_rows(),
        ],
        against=THEIRS,
        marks=[Mark(OURS, "rate", 40_000), Mark(OURS, "faster", 2.5, THEIRS)],
        rounds=2,
        note="A handler that counts, unless it says more; eventsourcing's follower records how "
        "far it is with each message, as our inbox does.",
    )
    file = Subject(
        "end-to-end-file",
        "Command, save, outbox, relay, inbox, handler, in an SQLite file",
        "messages",
        "wall",
        1000,
        [
            Row(THEIRS, "peer", partial(theirs, "file")),
            Row(THEIRS_TOGETHER, "peer", partial(theirs, "file", at_once=100)),
            Row(OURS, "ours", partial(ours, "file")),
            Row(SAVING, "ours", partial(ours, "file", saving=True)),
            Row(NORMAL, "option", partial(ours, "normal")),
            Row(GROUPED, "option", partial(ours, "file", group_commit=100)),
            Row(
                GROUPED_AT_ONCE,
                "option",
                partial(ours, "file", group_commit=100, send=place_all_at_once),
            ),
            Row(GROUPED_TOGETHER, "option", partial(ours, "file", group_commit=100, send=save_all)),
            Row(FULL, "limit", partial(bare_messages, 1, 1)),
            Row(HANDLED_TOGETHER, "limit", partial(bare_messages, 1, 100)),
            Row(BATCHED, "limit", partial(bare_messages, 100, 100)),
            *messaging.file_rows(),
        ],
        against=THEIRS,
        marks=[
            Mark(OURS, "faster", 2, THEIRS),
            Mark(GROUPED, "faster", 8, THEIRS),
            Mark(GROUPED_AT_ONCE, "faster", 8, THEIRS),
            Mark(GROUPED_TOGETHER, "faster", 8, THEIRS),
        ],
        rounds=2,
        note="One commit a message when it is saved and one when it is handled, unless it says "
        "otherwise. A group commit has one for a hundred deliveries, each of which can be undone "
        "by itself, and one for what is sent at once; the peers send one message after the other. "
        "eventsourcing's two applications have a file each.",
    )
    return [memory, file]
