"""Group commit: commands sent at the same time share a commit, and each stands by itself."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from traceback import walk_tb
from typing import Any
from uuid import UUID

import pytest

from modulus_es import Command, Result, SimulatedCrash, UnitOfWork
from modulus_es.errors import ConcurrencyError, PublishError, StoreUnavailableError
from modulus_es.stores.sqlite.batches import Batches
from modulus_es.stores.sqlite.failures import SQLiteUnavailableError
from modulus_es.testing.shop import NoteOrder, Order, OrderCreated, PlaceOrder, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db", group_commit=10)
    yield shop
    shop.system.close()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many commits each transaction held."""
    sizes: list[int] = []
    work_of = Batches._work_of

    def noting(self: Batches, requests: Any) -> Any:
        sizes.append(len(requests))
        return work_of(self, requests)

    monkeypatch.setattr(Batches, "_work_of", noting)
    return sizes


async def place(shop: Shop, *numbers: str) -> bool:
    """Place orders, all at once; answers whether all of them were placed."""
    return all(await asyncio.gather(*placing(shop, *numbers)))


def placing(shop: Shop, *numbers: str) -> list[Coroutine[Any, Any, Result[UUID]]]:
    return [shop.system.send(PlaceOrder(number)) for number in numbers]


async def outcomes_of(*work: Awaitable[Any]) -> list[Any]:
    """What all of it answered or raised, done at once."""
    return await asyncio.gather(*work, return_exceptions=True)


def outside(shop: Shop, sql: str) -> list[Any]:
    """What another process finds in the file."""
    other = sqlite3.connect(shop.orders.store.url.removeprefix("sqlite:///"))
    try:
        return [row[0] for row in other.execute(sql)]
    finally:
        other.close()


COUNT = "SELECT count(*) FROM modulus_events_orders"


# What shares a commit


async def test_commands_sent_at_the_same_time_are_one_transaction(
    shop: Shop, written: list[int]
) -> None:
    assert await place(shop, *"ABCDEFG")
    assert written == [7]
    await shop.system.run()
    assert shop.recorded("orders", "Order.Placed") == list("ABCDEFG")
    shop.agree()


async def test_a_transaction_has_no_more_commits_than_it_was_asked_for(
    shop: Shop, written: list[int]
) -> None:
    await place(shop, *map(str, range(24)))
    assert sum(written) == 24
    assert max(written) == 10


async def test_one_command_after_the_other_is_a_transaction_each_and_waits_for_nobody(
    shop: Shop, written: list[int]
) -> None:
    for count, number in enumerate("ABC", 1):
        await shop.system.send(PlaceOrder(number))
        assert outside(shop, COUNT) == [count]
    assert written == [1]


async def test_tasks_that_each_send_one_command_after_the_other_share_their_commits(
    shop: Shop, written: list[int]
) -> None:
    async def work(name: str) -> None:
        for n in range(3):
            await shop.system.send(PlaceOrder(f"{name}{n}"))

    await asyncio.gather(*map(work, "ABC"))
    assert written == [3, 3, 3]


async def test_without_group_commit_each_command_is_a_transaction(
    tmp_path: Path, written: list[int]
) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/plain.db")
    assert await place(shop, *"ABC")
    assert written == []
    shop.system.close()


async def test_handlers_that_wait_a_little_share_a_commit_with_those_that_do_not(
    shop: Shop, written: list[int]
) -> None:
    class Think(Command[None]):
        turns: int

    @shop.orders.handles
    async def think(command: Think, uow: UnitOfWork) -> None:
        for _ in range(command.turns):
            await asyncio.sleep(0)
        uow.add(Order(str(command.turns)))

    assert all(await asyncio.gather(*(shop.system.send(Think(n)) for n in (0, 3, 0, 2, 1))))
    assert written == [5]
    assert shop.recorded("orders", "Order.Placed") == ["0", "0", "1", "2", "3"]


async def test_modules_of_one_file_share_a_commit(shop: Shop, written: list[int]) -> None:
    await asyncio.gather(shop.orders.save(Order("A")), shop.inventory.save(Order("B")))
    assert written == [2]
    assert shop.recorded("orders", "Order.Placed") == ["A"]
    assert shop.recorded("inventory", "Order.Placed") == ["B"]


async def test_saves_blocks_and_messages_share_a_commit_with_commands(
    shop: Shop, written: list[int]
) -> None:
    async def block() -> None:
        async with shop.orders.unit_of_work() as uow:
            uow.add(Order("B"))

    sending = shop.system.send(PlaceOrder("C"))
    await asyncio.gather(shop.orders.save(Order("A")), block(), sending)
    assert written == [3]
    assert shop.recorded("orders", "Order.Placed") == list("ABC")


async def test_a_block_with_the_transaction_in_hand_is_one_by_itself(
    shop: Shop, written: list[int]
) -> None:
    async with shop.orders.unit_of_work() as uow:
        uow.connection.execute("CREATE TABLE mine (n)")
        uow.add(Order("A"))
    assert written == []
    assert outside(shop, COUNT) == [1]


def test_threads_with_event_loops_of_their_own_do_not_get_in_each_others_way(shop: Shop) -> None:
    def work(name: str) -> None:
        async def rounds() -> None:
            for n in range(20):
                assert await place(shop, *(f"{name}-{n}-{i}" for i in range(5)))

        asyncio.run(rounds())

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, "ABC"))
    assert len(set(shop.recorded("orders", "Order.Placed"))) == 300


# Each stands by itself


async def test_what_is_refused_undoes_itself_and_no_others(shop: Shop, written: list[int]) -> None:
    [order_id] = await shop.place("A")
    mine, theirs = [await shop.orders.get(Order, order_id) for _ in "12"]
    mine.note("mine")
    theirs.note("theirs")
    before, after = placing(shop, "B", "C")
    saving = map(shop.orders.save, (mine, theirs))
    b, saved, refused, c = await outcomes_of(before, *saving, after)
    assert (b.is_success, saved, type(refused), c.is_success) == (
        True,
        None,
        ConcurrencyError,
        True,
    )
    assert shop.recorded("orders", "Order.Placed") == list("ABC")
    assert outside(shop, COUNT) == [4]
    assert (await shop.orders.get(Order, order_id)).notes == 1


async def test_commands_to_one_aggregate_do_not_get_in_each_others_way(shop: Shop) -> None:
    [order_id] = await shop.place("A")
    sent = (shop.system.send(NoteOrder(order_id, "x"), retry_conflicts=0) for _ in range(50))
    answers = await asyncio.gather(*sent)
    assert sorted(answer.value for answer in answers) == list(range(1, 51))
    assert (await shop.orders.get(Order, order_id)).notes == 50


async def test_one_object_that_is_saved_twice_at_once_is_saved_once(shop: Shop) -> None:
    order = Order("A")
    await asyncio.gather(shop.orders.save(order), shop.orders.save(order))
    assert outside(shop, COUNT) == [1]
    assert not order.pending_events


async def test_what_waits_to_be_written_is_there_for_who_loads_it(shop: Shop) -> None:
    order = Order("A")
    saving = asyncio.ensure_future(shop.orders.save(order))
    await asyncio.sleep(0)
    assert outside(shop, COUNT) == [0]
    assert (await shop.orders.get(Order, order.id)).number == "A"
    await saving


async def test_what_follows_a_commit_follows_it(shop: Shop) -> None:
    found: list[int] = []

    @shop.orders.on(Order.Placed)
    def look(placed: Order.Placed) -> None:
        found.extend(outside(shop, COUNT))
        if placed.number == "B":
            raise RuntimeError("not B")

    answers = await outcomes_of(*placing(shop, *"ABC"))
    assert found == [3, 3, 3]
    assert isinstance(answers[1], PublishError)
    assert outside(shop, COUNT) == [3]


async def test_a_handler_in_a_run_has_its_command_committed_before_it_goes_on(
    shop: Shop, written: list[int]
) -> None:
    seen: list[int] = []

    @shop.inventory.on(OrderCreated, name="again")
    async def again(created: OrderCreated) -> None:
        if len(created.number) == 1:
            await shop.system.send(PlaceOrder(created.number * 2))
            seen.extend(outside(shop, COUNT))

    await place(shop, "A", "B")
    await shop.system.run()
    assert written == [2]
    assert seen == [3, 4]


# What goes wrong


async def test_a_crash_takes_the_command_that_it_struck_and_no_other(shop: Shop) -> None:
    shop.system.faults.crash("before_commit", module="orders")
    answers = await outcomes_of(*placing(shop, *"ABC"))
    assert [isinstance(answer, SimulatedCrash) for answer in answers] == [True, False, False]
    await shop.system.run()
    assert shop.recorded("orders", "Order.Placed") == ["B", "C"]
    shop.agree()


async def test_where_nothing_can_be_written_everybody_is_told_and_may_do_it_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    datastore: Any = shop.orders.store._datastore  # type: ignore[attr-defined]
    orders = [Order("A"), Order("B")]

    def full(*_: Any, **__: Any) -> Any:
        raise SQLiteUnavailableError("the disk is full: make room, and do it again")

    with monkeypatch.context() as patch:
        patch.setattr(datastore, "write", full)
        outcomes = await outcomes_of(*map(shop.orders.save, orders))
    assert [type(outcome) for outcome in outcomes] == [SQLiteUnavailableError] * 2
    assert outside(shop, COUNT) == [0]
    await asyncio.gather(*map(shop.orders.save, orders))
    assert shop.recorded("orders", "Order.Placed") == ["A", "B"]


async def test_each_of_those_who_fail_together_has_an_exception_of_its_own(tmp_path: Path) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db?timeout=0.01", group_commit=50)
    other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    failures = await outcomes_of(*placing(shop, *map(str, range(50))))
    assert {type(failure) for failure in failures} == {SQLiteUnavailableError}
    assert len(set(map(id, failures))) == 50
    # The traceback that a notebook shows is that of one command, whichever it is.
    lengths = {len(list(walk_tb(failure.__traceback__))) for failure in failures}
    assert max(lengths) < 30
    other.close()
    shop.system.close()


@pytest.mark.slow
async def test_a_disk_that_fills_up_in_the_midst_undoes_all_of_it(tmp_path: Path) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db", group_commit=10)
    await place(shop, "first")
    store: Any = shop.orders.store
    [(pages,)] = store._datastore.select("PRAGMA page_count")
    store._datastore.connections.writer().execute(f"PRAGMA max_page_count = {pages + 2}")
    answers = await outcomes_of(*placing(shop, *("x" * 3000 + str(n) for n in range(5))))
    assert all(isinstance(answer, StoreUnavailableError) for answer in answers)
    assert outside(shop, COUNT) == [1]
    store._datastore.connections.writer().execute("PRAGMA max_page_count = 1000000")
    assert await place(shop, *"ABC")
    await shop.system.run()
    shop.agree()
    shop.system.close()


async def test_who_is_cancelled_has_written_nothing_and_the_others_have(shop: Shop) -> None:
    orders = [Order("A"), Order("B")]
    first, second = (asyncio.ensure_future(shop.orders.save(order)) for order in orders)
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert shop.recorded("orders", "Order.Placed") == ["B"]
    # It is pending still, and may be saved.
    await shop.orders.save(orders[0])
    assert shop.recorded("orders", "Order.Placed") == ["B", "A"]


async def test_who_is_cancelled_when_it_is_written_already_finds_it_saved(shop: Shop) -> None:
    order = Order("A")
    saving = asyncio.ensure_future(shop.orders.save(order))
    await asyncio.sleep(0)
    assert await shop.orders.get(Order, order.id)
    saving.cancel()
    await asyncio.wait([saving])
    assert saving.cancelled()
    assert not order.pending_events
    assert outside(shop, COUNT) == [1]


async def test_everybody_waits_for_another_process_that_writes(
    shop: Shop, written: list[int]
) -> None:
    other = sqlite3.connect(shop.orders.store.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    placing_all = asyncio.ensure_future(place(shop, *"ABC"))
    await asyncio.sleep(0.05)
    late = asyncio.ensure_future(place(shop, "D"))
    await asyncio.sleep(0.05)
    assert not placing_all.done()
    other.execute("COMMIT")
    assert await placing_all
    assert await late
    other.close()
    assert sorted(shop.recorded("orders", "Order.Placed")) == list("ABCD")


async def test_who_is_cancelled_while_another_process_writes_knows_what_happened(
    shop: Shop,
) -> None:
    other = sqlite3.connect(shop.orders.store.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    orders = [Order("A"), Order("B")]
    first, second = (asyncio.ensure_future(shop.orders.save(order)) for order in orders)
    await asyncio.sleep(0.05)
    first.cancel()
    await asyncio.sleep(0.05)
    assert not first.done()
    other.execute("COMMIT")
    other.close()
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert not any(order.pending_events for order in orders)
    assert shop.recorded("orders", "Order.Placed") == ["A", "B"]


async def test_a_load_waits_for_what_waits_for_another_process(shop: Shop) -> None:
    other = sqlite3.connect(shop.orders.store.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    order = Order("A")
    saving = asyncio.ensure_future(shop.orders.save(order))
    await asyncio.sleep(0)
    loading = asyncio.ensure_future(shop.orders.get(Order, order.id))
    await asyncio.sleep(0.05)
    assert not loading.done()
    other.execute("COMMIT")
    other.close()
    assert (await loading).number == "A"
    await saving


# A coroutine that nobody will await: Python says so, to nobody.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_a_loop_left_behind_is_not_in_the_way_of_the_next(shop: Shop) -> None:
    loop = asyncio.new_event_loop()
    left = loop.create_task(shop.orders.save(Order("A")))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert asyncio.run(place(shop, "B"))
    assert asyncio.run(place(shop, "C"))
    assert shop.recorded("orders", "Order.Placed") == ["B", "C"]
    assert not left.done()


async def test_all_tasks_are_cancelled_as_a_notebook_does(shop: Shop) -> None:
    placing_all = asyncio.ensure_future(place(shop, *"ABC"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    me = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not me]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert placing_all.done()
    assert await asyncio.wait_for(place(shop, *"DEF"), 5)
    await shop.system.run()
    shop.agree()


async def test_who_has_the_transaction_in_hand_does_not_wait_for_those_who_wait_for_it(
    tmp_path: Path,
) -> None:
    shop = Shop(f"sqlite:///{tmp_path}/shop.db?timeout=0.5", group_commit=10)
    [order_id] = await shop.place("A")
    noting = asyncio.ensure_future(shop.system.send(NoteOrder(order_id, "x")))
    async with shop.orders.unit_of_work() as uow:
        uow.connection.execute("CREATE TABLE mine (n)")
        await asyncio.sleep(0)
        (await uow.get(Order, order_id)).note("y")
        assert (await shop.orders.get(Order, order_id)).notes == 0
    # It was refused, because others were faster, and tried again.
    assert await noting
    assert (await shop.orders.get(Order, order_id)).notes == 2
    shop.system.close()
