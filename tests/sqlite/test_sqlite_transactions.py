"""Everything that belongs together is one transaction, and nothing leaves one open."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate as TheirAggregate
from shop import Order, OrderCreated, Reservation, Shop, python, run

from modulus_es import (
    ModulusError,
    Query,
    StoreError,
    StoreUnavailableError,
    UnitOfWork,
    VirtualClock,
)
from modulus_es.stores.sqlite import interrupts
from modulus_es.stores.sqlite.interrupts import HeldOff
from modulus_es.stores.sqlite.reading import fetch

Open = Callable[..., Shop]


def read_beside(shop: Shop, sql: str) -> list[Any]:
    """What somebody else sees who opens the file."""
    connection = sqlite3.connect(shop.orders.store.url.removeprefix("sqlite:///").partition("?")[0])
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def with_totals(shop: Shop) -> Shop:
    """A read model of our own in the inventory: how many reservations there are."""

    async def make() -> None:
        async with shop.inventory.unit_of_work() as uow:
            uow.connection.execute("CREATE TABLE totals (number TEXT PRIMARY KEY) WITHOUT ROWID")

    run(make())

    @shop.inventory.on(OrderCreated, name="count")
    async def count(created: OrderCreated, uow: UnitOfWork) -> None:
        uow.connection.execute("INSERT INTO totals VALUES (?)", (created.number,))
        uow.add(Reservation(created.number))
        if shop.failures[f"after {created.number}"]:
            shop.failures[f"after {created.number}"] -= 1
            raise RuntimeError("after the insert")

    return shop


def test_a_table_of_our_own_commits_with_the_events_and_the_inbox_mark(shop: Shop) -> None:
    with_totals(shop)
    run(shop.place("A1", "A2"))
    run(shop.system.run())
    assert read_beside(shop, "SELECT number FROM totals ORDER BY 1") == [("A1",), ("A2",)]


def test_a_table_of_our_own_is_rolled_back_with_the_rest(shop: Shop) -> None:
    with_totals(shop)
    shop.failures["after A1"] = 3
    run(shop.place("A1"))
    run(shop.system.run())
    assert read_beside(shop, "SELECT number FROM totals") == [("A1",)]
    assert shop.recorded("inventory", "Reservation.Made") == ["A1", "A1"]
    assert set(shop.system.ledger().effects) == {1}


@pytest.mark.parametrize("refused", [False, True])
def test_a_before_commit_handler_may_be_the_first_to_use_the_connection(
    shop: Shop, refused: bool
) -> None:
    @shop.orders.on(Order.Placed, phase="before_commit")
    def note(placed: Order.Placed, uow: UnitOfWork) -> None:
        uow.connection.execute("CREATE TABLE IF NOT EXISTS mine (number)")
        uow.connection.execute("INSERT INTO mine VALUES (?)", (placed.number,))
        if refused and placed.number == "A2":
            raise ValueError("no")

    run(shop.place("A1"))
    if refused:
        with pytest.raises(ValueError, match="no"):
            run(shop.place("A2"))
    run(shop.place("A3"))
    assert shop.recorded("orders", "Order.Placed") == ["A1", "A3"]
    assert read_beside(shop, "SELECT number FROM mine") == [("A1",), ("A3",)]


def test_a_handler_that_sleeps_with_the_connection_in_hand_is_told_and_the_rest_flows(
    shop: Shop,
) -> None:
    asleep: list[str] = []

    @shop.inventory.on(OrderCreated)
    async def doze(created: OrderCreated, uow: UnitOfWork, clock: VirtualClock) -> None:
        await clock.sleep(1)
        uow.connection.execute("CREATE TABLE IF NOT EXISTS mine (number)")
        asleep.append(created.number)
        await clock.sleep(1)

    for number in ("A1", "A2"):
        run(shop.place(number))
    run(shop.system.run())
    dead = shop.system.dead_letters()
    assert dead.handler.tolist() == ["doze", "doze"]
    assert dead.error.str.contains("with uow.connection in hand").all()
    assert sorted(shop.recorded("inventory", "Reservation.Made")) == ["A1", "A2"]
    assert asleep.count("A1") == asleep.count("A2") == 5


def test_a_handler_may_sleep_again_when_its_unit_of_work_has_ended(shop: Shop) -> None:
    async def work() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.connection.execute("CREATE TABLE mine (number)")
        await shop.system.clock.sleep(1)

    run(work())
    assert read_beside(shop, "SELECT count(*) FROM mine") == [(0,)]


def test_a_block_that_raises_writes_nothing(shop: Shop) -> None:
    async def work() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.connection.execute("CREATE TABLE mine (a)")
            uow.add(Order("A1"))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(work())
    assert shop.recorded("orders", "Order.Placed") == []
    assert read_beside(shop, "SELECT name FROM sqlite_master WHERE name = 'mine'") == []


def test_rows_of_our_own_tables_are_tuples_unless_asked_for_otherwise(shop: Shop) -> None:
    async def work() -> tuple[Any, Any]:
        async with shop.orders.unit_of_work() as uow:
            plain = uow.connection.execute("SELECT 1 AS one").fetchone()
            uow.connection.row_factory = sqlite3.Row
            return plain, uow.connection.execute("SELECT 1 AS one").fetchone()["one"]

    assert run(work()) == ((1,), 1)


@pytest.mark.parametrize(
    "sql",
    ["COMMIT", "-- done\n end", "/* x */ rollback", "begin", "VACUUM", "ATTACH 'x' AS y"],
)
def test_only_the_unit_of_work_ends_its_transaction(shop: Shop, sql: str) -> None:
    async def work() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.connection.execute(sql)

    with pytest.raises(StoreError, match="leave that to it"):
        run(work())


def test_savepoints_are_the_reader_s_own(shop: Shop) -> None:
    async def work() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.connection.execute("CREATE TABLE mine (a)")
            uow.connection.execute("SAVEPOINT here")
            uow.connection.executemany("INSERT INTO mine VALUES (?)", [(1,), (2,)])
            uow.connection.execute("ROLLBACK TO here")
            uow.connection.execute("INSERT INTO mine VALUES (3)")

    run(work())
    assert read_beside(shop, "SELECT a FROM mine") == [(3,)]


@pytest.mark.parametrize("method", ["commit", "rollback"])
def test_the_transaction_of_a_unit_of_work_cannot_be_ended_by_its_methods(
    shop: Shop, method: str
) -> None:
    async def work() -> None:
        async with shop.orders.unit_of_work() as uow:
            getattr(uow.connection, method)()

    with pytest.raises(StoreError, match="unit of work"):
        run(work())


def test_a_transaction_that_has_ended_says_so(shop: Shop) -> None:
    async def work() -> Any:
        async with shop.orders.unit_of_work() as uow:
            return uow.connection

    with pytest.raises(StoreError, match="has ended"):
        run(work()).execute("SELECT 1")


def test_a_unit_of_work_that_is_dropped_holds_nobody_up(shop: Shop) -> None:
    uow: Any = shop.orders.unit_of_work()
    uow.connection.execute("CREATE TABLE mine (a)")
    del uow
    run(shop.place("A1"))
    assert read_beside(shop, "SELECT name FROM sqlite_master WHERE name = 'mine'") == []


def test_a_second_open_transaction_in_one_thread_is_refused_at_once(open_shop: Open) -> None:
    shop = open_shop()

    async def work() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.connection.execute("SELECT 1")
            async with shop.inventory.unit_of_work() as inner:
                inner.connection.execute("SELECT 1")

    with pytest.raises(StoreUnavailableError, match="end that one first"):
        run(work())
    run(shop.place("A1"))


def test_who_waits_for_an_open_transaction_gets_its_turn_when_it_ends(shop: Shop) -> None:
    async def work() -> None:
        waiting: asyncio.Task[Any] | None = None
        async with shop.orders.unit_of_work() as uow:
            uow.connection.execute("CREATE TABLE mine (a)")
            waiting = asyncio.create_task(shop.place("A1"))  # type: ignore[arg-type]
            await asyncio.sleep(0.05)
            assert not waiting.done()
        await waiting

    run(work())
    assert shop.recorded("orders", "Order.Placed") == ["A1"]


def test_who_waits_for_an_open_transaction_in_vain_is_told_why(open_shop: Open, url: str) -> None:
    shop = open_shop(f"{url}?timeout=0.2")

    async def work() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.connection.execute("CREATE TABLE mine (a)")
            await shop.place("A1")

    with pytest.raises(StoreUnavailableError, match=r"uow\.connection holds it"):
        run(work())
    run(shop.place("A2"))
    assert shop.recorded("orders", "Order.Placed") == ["A2"]


def test_a_constraint_that_is_checked_at_the_end_is_no_conflict_of_aggregates(
    shop: Shop,
) -> None:
    async def work() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
            uow.connection.execute(
                "CREATE TABLE b (a INTEGER REFERENCES a DEFERRABLE INITIALLY DEFERRED)"
            )

    run(work())
    store: Any = shop.orders.store
    store._datastore.connections.current().execute("PRAGMA foreign_keys=ON")

    async def break_it() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.add(Order("A1"))
            uow.connection.execute("INSERT INTO b VALUES (7)")

    with pytest.raises(StoreError, match="refused the commit: FOREIGN KEY") as raised:
        run(break_it())
    assert type(raised.value) is StoreError
    run(shop.place("A2"))
    assert shop.recorded("orders", "Order.Placed") == ["A2"]


def test_a_save_that_failed_can_be_tried_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    store: Any = shop.orders.store
    with shop.system.current():
        order = Order("A1")

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("not now")

    with monkeypatch.context() as patched:
        patched.setattr(store._outbox, "insert", fails)
        with pytest.raises(Exception, match="not now"):
            run(shop.orders.save(order))
    assert shop.recorded("orders", "Order.Placed") == []
    run(shop.orders.save(order))
    run(shop.system.run())
    shop.agree()


def test_threads_may_save_at_once(shop: Shop) -> None:
    errors: list[BaseException] = []

    def save(thread: int) -> None:
        async def work() -> None:
            for i in range(10):
                await shop.orders.save(Order(f"{thread}-{i}"))

        try:
            asyncio.run(work())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=save, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(shop.recorded("orders", "Order.Placed")) == 80
    run(shop.system.run())
    shop.agree()


def test_threads_may_save_at_once_without_a_file(open_shop: Open) -> None:
    test_threads_may_save_at_once(open_shop("sqlite:///:memory:"))


FORK = """
import asyncio, os, sys
from shop import Shop, Order, run
shop = Shop(sys.argv[1])
run(shop.place("A1"))
child = os.fork()
if not child:
    try:
        if sys.argv[2] == "save":
            run(shop.place("A2"))
        else:
            shop.system.events()
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
run(shop.place("A3"))
print(shop.recorded("orders", "Order.Placed"))
"""


@pytest.mark.parametrize("what", ["save", "read"])
def test_a_forked_child_is_refused_and_its_parent_goes_on(url: str, what: str) -> None:
    said, errors = python(FORK, url, what).communicate()
    child, parent = said.splitlines()
    assert child.startswith("StoreError")
    assert "make the system in the child" in child
    assert parent == "['A1', 'A3']", errors


class Storm:
    """Interrupts the main thread at a random moment, again and again."""

    def __init__(self, seed: int, longest: float) -> None:
        self._random = random.Random(seed)
        self._longest = longest
        self._over = threading.Event()

    def rounds(self, count: int) -> Generator[threading.Thread, None, None]:
        for _ in range(count):
            self._over.clear()
            delay = self._random.uniform(0, self._longest)
            thread = threading.Thread(target=self._strike, args=(delay,))
            try:
                yield thread
            finally:
                # Also when the test leaves the loop: a storm that goes on would hit what follows.
                self._over.set()
                if thread.is_alive():
                    thread.join()

    def _strike(self, delay: float) -> None:
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGINT)
        # Python drops an interrupt that falls into a finaliser; then strike again.
        while not self._over.wait(5):
            os.kill(os.getpid(), signal.SIGINT)


INTERRUPTS = int(os.environ.get("MODULUS_ES_INTERRUPTS", "50"))


async def save_until_interrupted(shop: Shop, known: dict[str, bool | None]) -> None:
    while True:
        number = str(uuid4())
        known[number] = None
        uow: Any = UnitOfWork(shop.orders)
        try:
            async with uow:
                uow.add(Order(number))
        finally:
            known[number] = uow.committed


@pytest.mark.slow
def test_an_interrupt_at_any_moment_leaves_the_store_working_and_its_word_true(
    shop: Shop,
) -> None:
    known: dict[str, bool | None] = {}
    loop = asyncio.new_event_loop()

    def be_struck(strike: threading.Thread) -> None:
        strike.start()
        loop.run_until_complete(save_until_interrupted(shop, known))

    for strike in Storm(7, 0.02).rounds(INTERRUPTS):
        with pytest.raises(KeyboardInterrupt):
            be_struck(strike)
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with suppress(asyncio.CancelledError, KeyboardInterrupt):
                loop.run_until_complete(task)
        loop.run_until_complete(shop.orders.save(Order("still works")))
    loop.close()
    stored = set(shop.recorded("orders", "Order.Placed"))
    assert {n for n, committed in known.items() if committed} <= stored
    assert not {n for n, committed in known.items() if committed is False} & stored
    assert len(shop.system.outbox()) == len(shop.system.events())


@pytest.mark.slow
def test_the_same_storm_wedges_eventsourcing_s_own_store(tmp_path: Any) -> None:
    app = Application[Any](
        env={
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(tmp_path / "theirs.db"),
        }
    )
    app.factory.datastore.pool.pool_timeout = 0.2  # type: ignore[attr-defined]
    survived = 0
    with closing(Storm(7, 0.02).rounds(max(300, INTERRUPTS))) as storm:
        for strike in storm:
            with suppress(KeyboardInterrupt):
                strike.start()
                while True:
                    try:
                        app.save(TheirAggregate())
                    except Exception:
                        break
                # It may have wedged before the strike, which must not hit the test instead.
                time.sleep(0.05)
            try:
                app.save(TheirAggregate())
            except Exception:
                break
            survived += 1
    assert survived < 300


@pytest.mark.parametrize("through", ["a query", "eventsourcing's recorders"])
def test_an_interrupted_look_at_the_file_is_not_what_others_see_afterwards(
    shop: Shop, through: str
) -> None:
    store: Any = shop.orders.store
    datastore = store._datastore
    kept: list[sqlite3.Cursor] = []  # as a notebook keeps the traceback of its last error

    def look(connection: sqlite3.Connection) -> None:
        kept.append(connection.execute("SELECT name FROM sqlite_schema"))
        raise KeyboardInterrupt

    def look_as_they_do() -> None:
        with datastore.get_connection(commit=False) as theirs:
            look(theirs._sqlite_conn)

    run(shop.orders.save(Order("before")))
    with pytest.raises(KeyboardInterrupt):
        datastore.read(look) if through == "a query" else look_as_they_do()
    run(shop.orders.save(Order("after")))
    assert datastore.select("SELECT count(*) FROM modulus_outbox_orders") == [(2,)]


class StruckCursor(sqlite3.Cursor):
    """A cursor whose owner is interrupted before it has all rows."""

    def fetchall(self) -> list[Any]:
        raise KeyboardInterrupt


class StruckConnection(sqlite3.Connection):
    """A connection that has such cursors."""

    def cursor(self, factory: Any = StruckCursor) -> Any:
        return super().cursor(factory)


def test_an_interrupt_before_all_rows_are_fetched_ends_their_statement() -> None:
    with closing(sqlite3.connect(":memory:", factory=StruckConnection)) as connection:
        connection.execute("CREATE TABLE seen (n INTEGER)")
        connection.execute("INSERT INTO seen VALUES (1), (2)")
        with pytest.raises(KeyboardInterrupt) as kept:
            fetch(connection, "SELECT n FROM seen", ())
        # SQLite refuses it while a statement reads the table.
        connection.execute("DROP TABLE seen")
        assert kept.traceback


def test_an_interrupt_inside_a_transaction_comes_when_it_has_ended() -> None:
    seen: list[str] = []

    def work() -> None:
        with HeldOff():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            seen.append("to the end")
        seen.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen == ["to the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_inside_two_of_them_comes_once() -> None:
    seen: list[str] = []

    def work() -> None:
        with HeldOff():
            with HeldOff():
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
            seen.append("between both")
        seen.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen == ["between both"]


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with HeldOff():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_have_nothing_to_hold_off() -> None:
    seen: list[Any] = []

    def look() -> None:
        with HeldOff():
            seen.append(interrupts.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_a_transaction_that_was_left_open_is_undone_by_whoever_comes_next(shop: Shop) -> None:
    store: Any = shop.orders.store
    run(shop.place("A1"))
    connection = store._datastore.connections.current()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("DELETE FROM modulus_events_orders")
    run(shop.place("A2"))
    assert shop.recorded("orders", "Order.Placed") == ["A1", "A2"]


CANCELLATIONS = int(os.environ.get("MODULUS_ES_CANCELLATIONS", "50"))


def test_a_cancelled_save_that_waits_for_the_lock_knows_what_became_of_it(
    open_shop: Open,
) -> None:
    shop, other = open_shop(), open_shop()
    chance = random.Random(7)
    known: dict[str, bool | None] = {}

    async def save(number: str) -> None:
        uow: Any = UnitOfWork(shop.orders)
        try:
            async with uow:
                uow.add(Order(number))
        finally:
            known[number] = uow.committed

    async def storm() -> None:
        for i in range(CANCELLATIONS):
            # Somebody else holds the lock, so that the save has to wait in a thread.
            async with other.orders.unit_of_work() as uow:
                uow.connection.execute("CREATE TABLE IF NOT EXISTS theirs (a)")
                task = asyncio.create_task(save(str(i)))
                await asyncio.sleep(chance.uniform(0, 0.01))
                if i % 2:
                    task.cancel()
            await asyncio.sleep(chance.uniform(0, 0.004))
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    run(storm())
    stored = set(shop.recorded("orders", "Order.Placed"))
    assert stored == {number for number, committed in known.items() if committed}
    assert len(known) > CANCELLATIONS // 2
    assert None not in known.values()
    run(shop.place("still works"))
    assert len(shop.system.outbox()) == len(shop.system.events())


def test_a_cancelled_run_gives_up_between_deliveries_and_the_next_one_finishes(
    shop: Shop,
) -> None:
    chance = random.Random(7)

    async def storm() -> None:
        for i in range(20):
            await shop.place(*(f"{i}-{n}" for n in range(3)))
            task = asyncio.ensure_future(shop.system.run())
            await asyncio.sleep(chance.uniform(0, 0.01))
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await shop.system.run()

    run(storm())
    shop.agree()


def test_an_error_in_the_middle_of_a_commit_writes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = shop.orders.store
    insert = store._outbox.insert

    def insert_and_fail(cursor: Any, rows: Any) -> None:
        insert(cursor, rows)
        raise ModulusError("after the outbox")

    monkeypatch.setattr(store._outbox, "insert", insert_and_fail)
    with pytest.raises(ModulusError, match="after the outbox"):
        run(shop.orders.save(Order("A1")))
    assert len(shop.system.events()) == len(shop.system.outbox()) == 0


def test_what_a_query_does_in_the_transaction_is_undone(shop: Shop) -> None:
    class CountReservations(Query[int]): ...

    with_totals(shop)

    @shop.inventory.handles(CountReservations)
    def count(query: CountReservations, uow: UnitOfWork) -> int:
        uow.connection.execute("INSERT INTO totals VALUES ('never')")
        [(counted,)] = uow.connection.execute("SELECT count(*) FROM totals")
        return int(counted)

    assert run(shop.system.query(CountReservations())).value == 1
    assert read_beside(shop, "SELECT count(*) FROM totals") == [(0,)]
    # Nothing is left open either.
    run(shop.place("A1"))
    run(shop.system.run())
    assert read_beside(shop, "SELECT number FROM totals") == [("A1",)]
