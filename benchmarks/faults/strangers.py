"""What strangers send or leave: envelopes, files, folders that nobody may write in."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from eventsourcing.utils import resolve_topic

from benchmarks.faults.interruptions import answer_of
from benchmarks.faults.report import Outcome, progress, scenario
from benchmarks.faults.shop import Order, PlaceOrder, look, shop, url_of
from modulus_es import Aggregate, Command, IntegrationEvent, System, UnitOfWork, event
from modulus_es.errors import ModulusError, StoreError
from modulus_es.stores.rows import Receipt
from modulus_es.stores.sqlite.names import names_of

STRANGERS = ("payload", "colorsys")
"""The modules that they name, and that nobody else imports."""


class Watch:
    """Notes what strangers have imported or executed; an audit hook cannot be removed.

    An import counts where they name the module, and a call of ``exec`` or
    ``eval`` where it is not the standard library that reads our own type hints.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._on = False
        sys.addaudithook(self._note)

    def _note(self, name: str, arguments: tuple[Any, ...]) -> None:
        if not self._on:
            return
        if name == "import":
            strange = str(arguments[0]).partition(".")[0] in STRANGERS
        elif name == "exec":
            caller = sys._getframe(1).f_code.co_filename
            strange = f"{os.sep}modulus_es{os.sep}" in caller or "eventsourcing" in caller
        else:
            strange = name in ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
        if strange:
            self.seen.append(f"{name} {arguments[0]}"[:80])

    @contextmanager
    def on(self) -> Iterator[None]:
        """Note it inside the block."""
        self._on = True
        try:
            yield
        finally:
            self._on = False


# 38: envelopes


class Line(IntegrationEvent):
    """A message with fields of many types."""

    number: int
    price: Decimal
    sent: datetime
    tags: list[str]
    more: dict[str, int]


class Book(Command[None]):
    """A command with one field."""

    number: int


class Booked(Aggregate):
    """What the handlers make of a message."""

    @event("Made")
    def __init__(self, number: int) -> None:
        self.number = number


WORDS: tuple[Any, ...] = (
    "", " ", "os:system", "colorsys:rgb_to_hsv", "eventsourcing.domain:Snapshot", "Line", "Book",
    "__class__", "../../etc/passwd", "' OR 1=1 --", "<script>alert(1)</script>", "\u202e", "\x00",
    "\ud800", "a" * 5000, "hearer", "other", None, True, 0, -1, 1, 2**63, 2**70, 1.5, 1e308, [], {},
    [[]], {"_type_": "decimal_str", "_data_": "1"}, "2024-01-01T00:00:00Z", "0000-00-00", "NaN",
    "9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00+14:00",
)  # fmt: skip


def sound(random: Random, number: int) -> dict[str, Any]:
    """An envelope as a module would send it."""
    command = random.random() < 0.3
    body: dict[str, Any] = {"number": number}
    if not command:
        body |= {"price": "1.10", "sent": "2024-01-01T00:00:00Z", "tags": ["a"], "more": {"b": 1}}
    return {
        "message_id": str(UUID(int=random.getrandbits(128))),
        "kind": "command" if command else "event",
        "to": "hearer" if command else None,
        "type": "Book" if command else "Line",
        "version": 1,
        "body": body,
        "source": random.choice(["sender", "other"]),
        "key": str(number % 50),
        "occurred_on": "2024-01-01T00:00:00Z",
        "position": number,
    }


def hostile_bytes(random: Random, number: int) -> bytes:
    """An envelope, altered in one of many ways; now and then it is sound."""
    wire = sound(random, number)
    kind = random.randrange(12)
    if kind < 5:
        wire[random.choice([*wire, "headers", "__init__"])] = random.choice(WORDS)
    elif kind < 8:
        wire["body"][random.choice([*wire["body"], "self", "evil"])] = random.choice(WORDS)
    elif kind == 8:
        wire["body"] = random.choice(WORDS)
    elif kind == 9:
        del wire[random.choice(list(wire))]
    data = json.dumps(wire).encode()
    if kind == 10:
        return altered_bytes(random, data)
    return data


def altered_bytes(random: Random, data: bytes) -> bytes:
    """The same bytes with something done to them that is no JSON's business."""
    at = random.randrange(len(data))
    return random.choice(
        [
            data[:at],
            data[:at] + random.randbytes(3) + data[at + 3 :],
            data + b" " * random.randrange(9) + random.choice([b"{}", b"\x00", b"]"]),
            b"\xef\xbb\xbf" + data,
            data.decode().encode("utf-16"),
            b"[" * random.choice([10, 5_000, 100_000]),
            b'{"body":' * random.choice([10, 1_000, 50_000]),
            b"",
            random.randbytes(random.randrange(1, 200)),
            data.replace(b'"kind"', b'"kind": "event", "kind"', 1),
            data.replace(b"1", b"1" * random.choice([2, 20, 5_000]), 1),
        ]
    )


def hearing(url: str) -> System:
    """A module that hears of anything, and makes something of each message."""
    system = System(seed=38, store=url)
    hearer = system.module("hearer")

    @hearer.on(Line)
    async def hear(line: Line, uow: UnitOfWork) -> None:
        uow.add(Booked(line.number))

    @hearer.handles(Book)
    async def book(command: Book, uow: UnitOfWork) -> None:
        uow.add(Booked(command.number))

    return system


@scenario(38, "generated bytes and envelopes handed to a module as if by a broker")
def hostile_envelopes(full: bool, folder: Path) -> Outcome:
    memory, file = (98_000, 2_000) if full else (700, 50)
    watch, place = Watch(), folder / "hearer.db"
    both = [
        asyncio.run(_hostile_envelopes("memory://", memory, watch)),
        asyncio.run(_hostile_envelopes(url_of(place, "?synchronous=NORMAL"), file, watch)),
    ]
    escaped = both[0]["escaped"] + both[1]["escaped"]
    total: Counter[str] = both[0]["counts"] + both[1]["counts"]
    errors, imported = _believe(Random(38), min(memory, 10_000))
    return Outcome(
        runs=memory + file,
        recorded=total["dead"] + total["done"],
        delivered=total["done"],
        effects=total["effects"],
        lost=memory + file - total["dead"] - total["done"] - total["again"],
        duplicated=total["effects"] - total["done"],
        holds=not (escaped or watch.seen)
        and total["dead"] + total["done"] + total["again"] == memory + file
        and total["effects"] == total["done"] > 0
        and all(one["alive"] for one in both),
        control=f"a consumer that looks the class up by its name and calls it: {errors:,} of "
        f"{min(memory, 10_000):,} raise out of it, and {imported:,} import what the message names",
        control_failed=errors > 0 and imported > 0,
        note=f"{total['dead']:,} dead letters, {total['done']:,} deliveries, {total['again']:,} "
        f"came again under the id of another; out of the bus came {escaped or 'nothing'}; "
        f"imported or executed: {watch.seen[:3] or 'nothing'}; a sound message is delivered "
        "afterwards.",
    )


async def _hostile_envelopes(url: str, times: int, watch: Watch) -> dict[str, Any]:
    random, escaped, numbers = Random(38), Counter[str](), iter(range(10**9))
    system = hearing(url)
    hearer = system["hearer"]

    async def hand_over(data: bytes) -> None:
        try:
            await hearer.consumer.receive_bytes(data)
        except Exception as error:
            escaped[f"{type(error).__name__}: {error}"[:80]] += 1

    warm = 20  # what the classes themselves need is looked up when they are first read
    for _ in range(warm):
        await hand_over(json.dumps(sound(random, next(numbers))).encode())
    await system.run()
    with watch.on():
        for done in range(warm, times):
            progress(done, times)
            await hand_over(hostile_bytes(random, next(numbers)))
            if done % 500 == 0 or done == times - 1:
                try:
                    await system.run()
                except Exception as error:
                    escaped[f"{type(error).__name__}: {error}"[:80]] += 1
    rows = list(hearer.store.inbox_rows())
    counts = Counter(row.status for row in rows)
    counts["again"] = sum(row.duplicates for row in rows)
    counts["effects"] = sum(1 for _ in hearer.stored_events())
    await hand_over(json.dumps(sound(random, next(numbers))).encode())
    await system.run()
    later = sum(1 for _ in hearer.stored_events())
    return {"escaped": escaped, "counts": counts, "alive": later == counts["effects"] + 1}


def _believe(random: Random, times: int) -> tuple[int, int]:
    """The naive consumer: what the message names is looked up, and called."""
    errors = imported = 0
    for number in range(times):
        data = hostile_bytes(random, number)
        try:
            wire = json.loads(data)
            if ":" in str(wire["type"]):
                resolve_topic(wire["type"])
                imported += 1
            {"Line": Line, "Book": Book}[wire["type"]](**wire["body"])
        except Exception:
            errors += 1
    return errors, imported


# 39: a file


EVENTS, OUTBOX, INBOX = (
    names_of("orders").events,
    names_of("orders").outbox,
    names_of("inventory").inbox,
)
VALUES = (
    "'payload:Evil'", "'os:system'", "'eventsourcing.domain:Snapshot'", "X'FF00'", "X''", "7", "''",
    "-1", "9223372036854775807", "1.5", "'soon'", "CAST(X'FFFE' AS TEXT)", "zeroblob(300)",
    "'<script>'", "'{}'", "X'7B7D'", "'[[[['",
)  # fmt: skip
COLUMNS = {
    EVENTS: ("topic", "state", "originator_id"),
    OUTBOX: (
        "message_id", "kind", "type", "version", "key", "headers", "body", "created_at",
        "available_at", "attempts",
    ),
    INBOX: ("message_id", "kind", "type", "version", "headers", "body", "available_at", "attempts"),
}  # fmt: skip
_ORDERS = 8


async def _fill(url: str) -> list[UUID]:
    system = shop(url)
    ids = []
    for number in range(_ORDERS):
        ids.append((await system.send(PlaceOrder(number))).value)
        if number == _ORDERS // 2 - 1:
            await system.run()
    # Two of the others were received and not handled.
    received = list(system["orders"].store.undelivered())[:2]
    await system["inventory"].store.receive(
        [Receipt(row.envelope, (("reserve", True),)) for row in received], system.now()
    )
    system.close()
    return ids


def alter(path: Path, random: Random, *, first: bool) -> dict[str, set[int]]:
    """Change one to three rows as somebody would who means no good; answers which."""
    changed: dict[str, set[int]] = {EVENTS: set(), OUTBOX: set(), INBOX: set()}
    with closing(sqlite3.connect(path)) as connection:
        for number in range(random.randint(1, 3)):
            table = random.choice([EVENTS, EVENTS, OUTBOX, INBOX])
            rows = [n for (n,) in connection.execute(f"SELECT position FROM {table}")]
            position = random.choice(rows)
            if table == EVENTS and random.random() < 0.2 and not first:
                connection.execute(
                    f"INSERT INTO {table} (originator_id, originator_version, topic, state) "
                    "SELECT originator_id, originator_version + 100, "
                    f"'eventsourcing.domain:Snapshot', state FROM {table} WHERE position = ?",
                    (position,),
                )
            else:
                column, value = random.choice(COLUMNS[table]), random.choice(VALUES)
                if first and number == 0:
                    table, column, value = EVENTS, "topic", "'payload:Evil'"
                with suppress(sqlite3.IntegrityError):
                    connection.execute(
                        f"UPDATE {table} SET {column} = {value} WHERE position = ?", (position,)
                    )
            changed[table].add(position)
        connection.commit()
    return changed


@scenario(39, "topics, names, bytes and ids altered by hand, snapshots put among the events")
def hostile_file(full: bool, folder: Path) -> Outcome:
    files, random = 150 if full else 3, Random(39)
    template, marker = folder / "template.db", folder / "executed"
    ids = asyncio.run(_fill(url_of(template)))
    (folder / "payload.py").write_text(
        f"with open({str(marker)!r}, 'a') as f: f.write('x')\nclass Evil: ...\n"
    )
    sys.path.insert(0, str(folder))
    watch, wrong, named, rows = Watch(), Counter[str](), 0, 0
    path = Path(shutil.copy(template, folder / "hostile.db"))
    untouched = {EVENTS: set[int](), OUTBOX: set[int](), INBOX: set[int]()}
    wrong.update(asyncio.run(_use(path, ids, untouched))[1])
    naive = 0
    for number in range(files):
        progress(number, files)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        shutil.copy(template, path)
        changed = alter(path, random, first=number == 0)
        with closing(sqlite3.connect(path)) as connection:
            connection.text_factory = lambda text: text.decode(errors="replace")
            topics = [t for (t,) in connection.execute(f"SELECT topic FROM {EVENTS}")]
        with watch.on():
            said, why = asyncio.run(_use(path, ids, changed))
        named += said
        rows += sum(map(len, changed.values()))
        wrong.update(why)
        naive += _believe_topics(topics)
    executed = marker.exists() and naive > 0
    sys.path.remove(str(folder))
    seen = watch.seen
    return Outcome(
        runs=files,
        recorded=files * _ORDERS,
        lost=wrong.total(),
        holds=not wrong and not seen and named > 0,
        control=f"eventsourcing's lookup of a topic: {naive:,} stored names were imported, and "
        f"the stranger's module was {'executed' if executed else 'not executed'}",
        control_failed=executed,
        note=f"{rows:,} rows altered; {named:,} aggregates were refused by name; the rest was "
        f"read and delivered; wrong: {dict(wrong) or 'nothing'}; imported or executed by us: "
        f"{seen[:3] or 'nothing'}.",
    )


async def _use(
    path: Path, ids: list[UUID], changed: dict[str, set[int]]
) -> tuple[int, Counter[str]]:
    """Open a file, read and deliver all; answers how many were refused by name, and what is wrong.

    An aggregate of which no row was altered has to load, and what was sent
    without an altered row to arrive.
    """
    wrong, named = Counter[str](), 0
    system = shop(url_of(path, "?synchronous=NORMAL"))
    try:
        orders = system["orders"]
        for number, id_ in enumerate(ids):
            try:
                loaded = await orders.get(Order, id_)
            except ModulusError as error:
                named += str(id_) in _all_that_is_said(error)
                if number + 1 not in changed[EVENTS]:
                    wrong["an aggregate that nobody altered is not read"] += 1
                elif str(id_) not in _all_that_is_said(error):
                    wrong[f"not by name: {error}"[:90]] += 1
            else:
                if loaded.number != number:
                    wrong["an aggregate is another"] += 1
        with suppress(StoreError):
            await system.run()
        for table in (system.events(), system.outbox(), system.inbox(), system.ledger()):
            table.to_string()
        reserved = look_at_numbers(system)
        intact = {
            number
            for number in range(_ORDERS)
            if number + 1 not in changed[OUTBOX] | changed[INBOX]
        }
        if missing := intact - reserved:
            wrong[f"not delivered: {len(missing)}"] += 1
        await system.send(PlaceOrder(1000))
        await system.run()
        if 1000 not in look_at_numbers(system):
            wrong["a later order is not delivered"] += 1
    except Exception as error:
        wrong[f"{type(error).__name__}: {error}"[:120]] += 1
    finally:
        system.close()
    return named, wrong


def look_at_numbers(system: System) -> set[int]:
    """The orders for which a reservation was recorded."""
    found = set()
    for stored in system["inventory"].stored_events():
        with suppress(ValueError, KeyError, TypeError):
            data = json.loads(stored.state)
            found.add(data.get("data", data)["number"])
    return found


def _all_that_is_said(error: BaseException | None) -> str:
    said = ""
    while error is not None:
        said, error = f"{said} {error}", error.__cause__
    return said


def _believe_topics(topics: list[Any]) -> int:
    """Eventsourcing's way: the class of a stored event is imported by its name."""
    imported = 0
    for topic in topics:
        if isinstance(topic, str) and ":" in topic:
            with suppress(Exception):
                resolve_topic(topic)
                imported += 1
    return imported


# 40: a folder that nobody may write in, a file that is damaged


def without_rights(answer: Connection, folder: Path) -> None:
    """Save while the folder is read-only, then damage the file, and mend it again."""
    folder.chmod(0o777)
    if os.geteuid() == 0:  # who may write whatever the rights say
        os.seteuid(65534)
    (folder / "here").mkdir()
    answer.send(asyncio.run(_without_rights(folder / "here" / "shop.db")))


def give_rights(path: Path, file: int, folder: int) -> None:
    """Say who may do what with a file and its folder."""
    path.parent.chmod(0o777)
    path.chmod(file)
    path.parent.chmod(folder)


def damage(path: Path, intact: bytes, how: str) -> None:
    """Overwrite a file's pages, or its beginning, or empty it."""
    if how == "emptied":
        path.write_bytes(b"")
    elif how == "no database":
        path.write_bytes(b"no database at all" + intact[18:])
    else:
        path.write_bytes(intact[:4096] + b"\xa5" * (len(intact) - 4096))


def mend(path: Path, intact: bytes) -> None:
    """Put the bytes back, in the same file."""
    with path.open("r+b") as file:
        file.write(intact)


def checkpointed(path: Path) -> bytes:
    """The bytes of a file when its log was copied into it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


async def _without_rights(path: Path) -> tuple[Any, ...]:
    url, clear, longest, recovery = url_of(path), 0, 0.0, 0.0
    other: list[str] = []
    system = shop(url)
    stored = set()

    async def save(number: int, opened: System | None) -> None:
        nonlocal clear, longest
        began = time.monotonic()
        try:
            using = opened or shop(url)
            await using.send(PlaceOrder(number))
            await using.run()
            stored.add(number)
        except StoreError:
            clear += 1
        except Exception as error:
            other.append(repr(error))
        longest = max(longest, time.monotonic() - began)

    async def afterwards(number: int) -> None:
        nonlocal recovery
        began = time.monotonic()
        await save(number, system)
        recovery = max(recovery, time.monotonic() - began)

    for number in range(50):
        await save(number, system)
    system.close()
    give_rights(path, 0o444, 0o555)
    for number in range(100, 105):
        await save(number, None)
    give_rights(path, 0o666, 0o777)
    system = shop(url)
    await afterwards(200)
    store: Any = system["orders"].store
    for number, how in enumerate(("pages overwritten", "no database", "emptied")):
        intact = checkpointed(path)
        store._datastore.connections.doubt()
        damage(path, intact, how)
        await save(300 + number, system)
        mend(path, intact)
        await afterwards(400 + number)
    found = look(system)
    system.close()
    return clear, other, longest, recovery, stored, found


def believing(answer: Connection, path: Path) -> None:
    """The naive way: a new file where the old one cannot be read."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (n)")
        connection.executemany("INSERT INTO orders VALUES (?)", [(n,) for n in range(50)])
        connection.commit()
    path.write_bytes(b"no database at all")
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("SELECT count(*) FROM orders")
    except sqlite3.DatabaseError:
        path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS orders (n)")
        answer.send(connection.execute("SELECT count(*) FROM orders").fetchone()[0])


@scenario(40, "chmod of file and folder; pages overwritten, no database any more, emptied")
def no_rights_and_damage(full: bool, folder: Path) -> Outcome:
    import tempfile

    runs, clear, longest, recovery, lost = 10 if full else 1, 0, 0.0, 0.0, 0
    other: list[str] = []
    recorded = delivered = effects = torn = repeated = 0
    for number in range(runs):
        progress(number, runs)
        with tempfile.TemporaryDirectory() as public:
            one = answer_of(without_rights, Path(public))
        clear += one[0]
        other += one[1]
        longest, recovery = max(longest, one[2]), max(recovery, one[3])
        found = one[5]
        lost += len(one[4] - found.orders.keys()) + found.missing
        recorded += found.messages.total()
        delivered += found.delivered
        effects += found.reservations.total()
        torn += found.torn + (not found.reconciled) + len(found.orders.keys() - one[4])
        repeated += found.repeated
    left = answer_of(believing, folder / "naive.db")
    return Outcome(
        runs=8 * runs,
        recorded=recorded,
        delivered=delivered,
        effects=effects,
        lost=lost,
        duplicated=repeated,
        seconds_to_recover=recovery,
        holds=clear == 8 * runs and not (other or lost or torn or repeated) and longest < 10,
        control=f"a new file where the old one cannot be read: {left} of 50 rows are left",
        control_failed=left < 50,
        note=f"{clear} of {8 * runs} saves were refused with a clear error, the slowest after "
        f"{longest:.2f} s; {torn} things half written; unexpected: {other[:3] or 'nothing'}; "
        "with the rights and the bytes back the same file goes on.",
    )
