"""Messages: several relays, poison, failing handlers, bad networks, hostile values."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from eventsourcing.application import Application

from benchmarks.faults.report import Outcome, progress, scenario
from benchmarks.faults.shop import OrderCreated, PlaceOrder, look, shop, start, url_of
from modulus_es import Aggregate, System, event
from modulus_es.errors import ConcurrencyError, SerializationError
from modulus_es.stores.sqlite.names import names_of


async def _place(system: System, numbers: range) -> None:
    for number in numbers:
        await system.send(PlaceOrder(number))


async def _place_and_run(system: System, count: int) -> None:
    await _place(system, range(count))
    await system.run()


# 10: many writers


class Tally(Aggregate):
    """Counted by many at once."""

    @event("Opened")
    def __init__(self) -> None:
        self.count = 0

    @event("Counted")
    def up(self) -> None:
        """Count one more."""
        self.count += 1


def count_up(url: str, tally: UUID, times: int) -> None:
    """Place orders, and count on the one aggregate that everybody counts on."""
    asyncio.run(_count_up(url, tally, times))


async def _count_up(url: str, tally: UUID, times: int) -> None:
    system = shop(url)
    orders = system["orders"]
    for _ in range(times):
        await orders.save(Tally())
        while True:
            try:
                async with orders.unit_of_work() as uow:
                    (await uow.get(Tally, tally)).up()
                break
            except ConcurrencyError:
                await asyncio.sleep(0)


def count_naively(path: Path, times: int) -> None:
    """Read, and write what follows from it, in two transactions."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        for _ in range(times):
            (n,) = connection.execute("SELECT n FROM t").fetchone()
            connection.execute("UPDATE t SET n = ?", (n + 1,))


@scenario(10, "eight processes save, and count on one aggregate")
def many_writers(full: bool, folder: Path) -> Outcome:
    times = 100 if full else 8
    url = url_of(folder / "shop.db", "?timeout=60")
    system = shop(url)
    with system.current():
        tally = Tally()
    asyncio.run(system["orders"].save(tally))
    children = [start(count_up, url, tally.id, times) for _ in range(8)]
    for child in children:
        child.join()
    errors = sum(child.exitcode != 0 for child in children)
    counted = asyncio.run(system["orders"].get(Tally, tally.id)).count
    opened = sum(s.originator_version == 1 for s in system["orders"].stored_events()) - 1
    path = folder / "naive.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (n INTEGER)")
        connection.execute("INSERT INTO t VALUES (0)")
        connection.commit()
        children = [start(count_naively, path, 300) for _ in range(8)]
        for child in children:
            child.join()
        (naive,) = connection.execute("SELECT n FROM t").fetchone()
    return Outcome(
        runs=8,
        recorded=opened + counted,
        lost=2 * 8 * times - opened - counted,
        holds=not errors and opened == counted == 8 * times,
        control=f"read and write in two transactions: {2400 - naive:,} of 2,400 updates lost",
        control_failed=naive < 2400,
        note=f"{errors} of 8 processes failed.",
    )


# 17: hostile payloads


class Parcel(Aggregate):
    """Holds anything."""

    @event("Packed")
    def __init__(self, content: object) -> None:
        self.content = content


class Text(str):
    """A string that is none."""

    __slots__ = ()


def hostile(random: Random, depth: int = 0) -> Any:
    """A value that somebody may try to record."""
    plain: list[Any] = [
        None,
        random.choice([True, False]),
        random.choice(
            [0, -1, 2**31, 2**53 + 1, -(2**70), random.getrandbits(random.randint(1, 90))]
        ),
        random.choice([0.0, -0.0, 1e308, 5e-324, float("inf"), float("nan"), random.random()]),
        "".join(map(chr, random.choices(range(1, 0x3000), k=random.randint(0, 6)))),
        random.choice(
            ["\x00", "\ud800", "\u202e", "</script>", "' OR 1=1 --", "2024-01-01", "1e5"]
        ),
        random.choice([b"", b"\xff\x00", Text("text"), UUID(int=random.getrandbits(128))]),
        random.choice([Decimal("NaN"), Decimal("1.10"), Decimal("-0"), Decimal("1E+400")]),
        random.choice(
            [
                datetime(2024, 1, 1, tzinfo=UTC),
                datetime(2024, 1, 1),  # noqa: DTZ001
                date(1, 1, 1),
                time(23, 59),
                timedelta(days=-1, microseconds=1),
            ]
        ),
        random.choice([1 + 2j, object, len, range(3), ..., Random]),
    ]
    if depth < 3 and random.random() < 0.4:
        inside = [hostile(random, depth + 1) for _ in range(random.randint(0, 3))]
        keys = [random.choice(["", "__class__", "_type_", "a", 1, None, (1, 2)]) for _ in inside]
        made = random.choice(["list", "tuple", "dict", "set"])
        if made == "dict":
            return dict(zip(keys, inside, strict=True))
        if made == "set":
            return {value for value in inside if value.__hash__ is not None and _hashes(value)}
        return inside if made == "list" else tuple(inside)
    return random.choice(plain)


def _hashes(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, and of equal types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(one[a], other[b]) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (set, frozenset)):
        return sorted(map(_typed, one)) == sorted(map(_typed, other))
    return repr(one) == repr(other)


def _typed(value: object) -> str:
    return f"{type(value).__name__} {value!r}"


@scenario(17, "generated values as the fields of a recorded event")
def hostile_payloads(full: bool, folder: Path) -> Outcome:
    return asyncio.run(_hostile_payloads(100_000 if full else 1_500))


async def _hostile_payloads(times: int) -> Outcome:
    random = Random(17)
    orders = System(seed=17).module("orders")
    orders.learn(Parcel)
    refused, unnamed, changed, unreadable = 0, Counter[str](), 0, 0
    for number in range(times):
        progress(number, times)
        value = hostile(random)
        parcel = Parcel(value)
        try:
            await orders.save(parcel)
        except SerializationError as error:
            refused += 1
            if "Packed.content" not in str(error):
                unnamed[type(error).__name__] += 1
            continue
        except Exception as error:
            unnamed[type(error).__name__] += 1
            continue
        try:
            found = (await orders.get(Parcel, parcel.id)).content
        except Exception:
            unreadable += 1
            continue
        changed += not same(found, value)
    random = Random(17)
    transcoder = Application[Any](
        env={"PERSISTENCE_MODULE": "eventsourcing.popo"}
    ).mapper.transcoder
    naive_changed = naive_unreadable = 0
    for _ in range(min(times, 10_000)):
        value = hostile(random)
        try:
            data = transcoder.encode({"content": value})
        except Exception:
            continue
        try:
            naive_changed += not same(transcoder.decode(data)["content"], value)
        except Exception:
            naive_unreadable += 1
    return Outcome(
        runs=times,
        recorded=times - refused - unnamed.total(),
        lost=changed + unreadable,
        holds=not (changed or unreadable or unnamed) and 0 < refused < times,
        control=f"eventsourcing's JSON transcoder, {min(times, 10_000):,} values: "
        f"{naive_changed:,} changed, {naive_unreadable:,} unreadable",
        control_failed=naive_changed + naive_unreadable > 0,
        note=f"{refused:,} refused by name, {changed} read back changed, {unreadable} unreadable, "
        f"{unnamed.total()} refused otherwise{f' {dict(unnamed)}' if unnamed else ''}.",
    )


# 20 and 21: four relays, a network that takes time


@scenario(20, "four relays on one outbox, duplicates and crashes between them")
def four_relays(full: bool, folder: Path) -> Outcome:
    count = 600 if full else 100
    system = shop("memory://")
    for name in ("second", "third", "fourth"):
        system.new_relay(system["orders"], name)
    system.network.latency, system.network.duplicates = (0.01, 0.2), 0.1
    system.faults.crash("after_publish", times=count // 50, module="orders")
    asyncio.run(_place_and_run(system, count))
    found = look(system)
    twice = sum(row.duplicates for row in system["inventory"].store.inbox_rows())
    return Outcome(
        runs=4,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=found.missing,
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        holds=not (found.missing or found.repeated or found.torn) and found.reconciled,
        control=f"without an inbox: {twice:,} messages came more than once",
        control_failed=twice > 0,
        note="Virtual time; the crashes are simulated ones between publishing and marking.",
    )


@scenario(21, "two relays and a network with delays of 10 to 200 ms, ten keys")
def order_per_key(full: bool, folder: Path) -> Outcome:
    return asyncio.run(_order_per_key(2_000 if full else 200))


async def _order_per_key(count: int) -> Outcome:
    system = shop("memory://")
    orders, seen = system["orders"], dict[str, list[int]]()
    system.new_relay(orders, "second")
    system.network.latency = (0.01, 0.2)

    @system["inventory"].on(OrderCreated)
    def keep(created: OrderCreated) -> None:
        seen.setdefault(str(created.number % 10), []).append(created.number)

    async with orders.unit_of_work() as uow:
        for number in range(count):
            uow.publish(OrderCreated(number), key=str(number % 10))
    await system.run()
    wrong = sum(_inversions(numbers) for numbers in seen.values())
    heard = sum(map(len, seen.values()))
    random, arrivals = Random(21), list[tuple[float, int]]()
    for number in range(count):
        arrivals.append((number * 0.001 + random.uniform(0.01, 0.2), number))
    naive: dict[int, list[int]] = {}
    for _, number in sorted(arrivals):
        naive.setdefault(number % 10, []).append(number)
    inversions = sum(map(_inversions, naive.values()))
    return Outcome(
        runs=10,
        recorded=count,
        delivered=heard,
        lost=count - heard,
        out_of_order=wrong,
        holds=not wrong and heard == count,
        control=f"each message sent by itself over the same network: {inversions:,} inversions",
        control_failed=inversions > 0,
    )


def _inversions(numbers: list[int]) -> int:
    return sum(a > b for a, b in pairwise(numbers))


# 24: poison


@scenario(24, "rows of the outbox altered by hand: bytes, types, JSON")
def poison(full: bool, folder: Path) -> Outcome:
    count = 5_000 if full else 100
    path = folder / "shop.db"
    system = shop(url_of(path, "?synchronous=NORMAL"))
    asyncio.run(_place(system, range(count)))
    bad = [b"\xff\xfe", b"{", b'{"number": "x"}', b"[]", b"{}"]
    with closing(sqlite3.connect(path)) as connection:
        table = names_of("orders").outbox
        for index, body in enumerate(bad):
            at = (2 * index + 1) * count // (2 * len(bad))
            connection.execute(f"UPDATE {table} SET body = ? WHERE position = ?", (body, at))
        bodies = [row[0] for row in connection.execute(f"SELECT body FROM {table}")]
        connection.commit()
    asyncio.run(_run(system))
    inventory = system["inventory"]
    made = sum(1 for _ in inventory.stored_events())
    dead = sum(len(module.dead_letters()) for module in system.modules)
    passed = 0
    for body in bodies:
        try:
            passed += json.loads(body)["number"] >= 0
        except Exception:
            break
    return Outcome(
        runs=len(bad),
        recorded=count,
        delivered=made,
        effects=made,
        lost=count - len(bad) - made,
        duplicated=max(0, made - count + len(bad)),
        holds=made == count - len(bad) and dead == len(bad),
        control=f"a loop that reads one row after the other: stops after {passed} of {count:,}",
        control_failed=passed < count - len(bad),
        note=f"{dead} dead letters for {len(bad)} poisoned rows.",
    )


# 30: a handler that always fails


@scenario(30, "a handler that always fails, beside one that works")
def always_fails(full: bool, folder: Path) -> Outcome:
    return asyncio.run(_always_fails(200 if full else 20))


async def _always_fails(count: int) -> Outcome:
    system = shop("memory://")
    tries: Counter[int] = Counter()

    @system["inventory"].on(OrderCreated)
    def broken(created: OrderCreated) -> None:
        tries[created.number] += 1
        raise OSError("always")

    await _place_and_run(system, count)
    dead = len(system["inventory"].dead_letters())
    found = look(system)
    waiting, deliveries = list(range(count)), 0
    while waiting and deliveries < 100 * count:
        waiting.append(waiting.pop(0))
        deliveries += 1
    return Outcome(
        runs=count,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=found.missing,
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        holds=set(tries.values()) == {5}
        and dead == count
        and not (found.missing or found.repeated),
        control=f"put back into the queue at once: {deliveries:,} deliveries, and no end",
        control_failed=bool(waiting),
        note=f"{tries.total():,} attempts and {dead} dead letters of the one that fails.",
    )


# 36: a bad network


@scenario(36, "loss 20 %, duplicates 20 %, reordering 20 %, delays, a partition, healed")
def bad_network(full: bool, folder: Path) -> Outcome:
    return asyncio.run(_bad_network(folder, 1_000 if full else 60))


async def _bad_network(folder: Path, count: int) -> Outcome:
    system = shop(url_of(folder / "shop.db", "?synchronous=NORMAL"))
    network = system.network
    network.loss, network.duplicates, network.reorder = 0.2, 0.2, 0.2
    network.latency = (0.01, 0.2)
    await _place(system, range(count // 2))
    await system.advance(1)
    network.partition("orders", "inventory")
    await _place(system, range(count // 2, count))
    cut_off = await system.run()
    network.heal()
    await system.run()
    found = look(system)
    lost_once = {
        record.message_id for record in system.trace.of_kind("network") if record.outcome == "lost"
    }
    return Outcome(
        runs=1,
        recorded=found.messages.total(),
        delivered=found.delivered,
        effects=found.reservations.total(),
        lost=found.missing,
        duplicated=found.repeated,
        out_of_order=found.out_of_order,
        holds=not (found.missing or found.repeated or found.torn)
        and found.reconciled
        and bool(cut_off.blocked),
        control=f"each message sent once over the same network: {len(lost_once):,} of {count:,} "
        "lost",
        control_failed=bool(lost_once),
        note="Reordering is asked for here, so that order is counted and not promised.",
    )


async def _run(system: System) -> None:
    await system.run()
