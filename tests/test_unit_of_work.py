"""The unit of work: all or none, in this order, and what is known afterwards."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Self
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate as BareAggregate
from eventsourcing.domain import event as bare_event
from ordering import Order, OrderCreated, topics

from modulus_es import (
    Aggregate,
    AggregateNotFoundError,
    CascadeDepthError,
    Command,
    ConcurrencyError,
    DomainEvent,
    Mediator,
    MessageBus,
    Module,
    ModulusError,
    PublishError,
    SimulatedCrash,
    StoreUnavailableError,
    System,
    UnitOfWork,
    event,
)
from modulus_es.clock import START


class Special(Order): ...


class Invoice(Aggregate):
    @event("Written")
    def __init__(self, order_id: UUID) -> None:
        self.order_id = order_id


class Pack(Command[None]):
    total: int


class Noticed(DomainEvent):
    what: str


def sent(module: Module) -> list[str]:
    return [row.envelope.type for row in module.outbox]


def break_commits(module: Module, error: BaseException, *, after: bool = False) -> list[int]:
    """Let the store's next commit fail, before or after it has happened."""
    commit, calls = module.store.commit, []

    async def broken(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            return await commit(*arguments)
        if after:
            await commit(*arguments)
        raise error

    module.store.commit = broken  # type: ignore[method-assign]
    return calls


# What belongs to it


async def test_what_it_adds_is_saved_when_it_commits(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        order = Order(42)
        uow.add(order)
        assert topics(orders) == []
    assert topics(orders) == ["Order.Placed"]
    assert uow.committed is True


async def test_what_it_loads_is_saved_when_it_commits(orders: Module) -> None:
    order = Order(42)
    await orders.save(order)
    async with orders.unit_of_work() as uow:
        (await uow.get(Order, order.id)).ship()
    assert topics(orders) == ["Order.Placed", "Order.Shipped"]


async def test_events_outbox_rows_and_all_of_several_aggregates_are_one_transaction(
    orders: Module,
) -> None:
    async with orders.unit_of_work() as uow:
        uow.add(Order(1), Order(2))
        uow.publish(OrderCreated(3))
        uow.send(Pack(4), to="inventory")
    assert topics(orders) == ["Order.Placed", "Order.Placed"]
    assert sent(orders) == ["OrderCreated", "Pack"]


async def test_a_block_that_raises_writes_nothing(orders: Module) -> None:
    uow = orders.unit_of_work()

    async def raise_in_the_block() -> None:
        async with uow:
            uow.add(Order(1))
            uow.publish(OrderCreated(3))
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await raise_in_the_block()
    assert uow.committed is False
    assert (topics(orders), sent(orders)) == ([], [])


async def test_asking_for_an_aggregate_twice_gives_the_same_object(orders: Module) -> None:
    order = Order(42)
    await orders.save(order)
    async with orders.unit_of_work() as uow:
        first = await uow.get(Order, order.id)
        assert await uow.get(Order, order.id) is first


async def test_what_was_added_can_be_asked_for(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        order = Special(42)
        uow.add(order)
        assert await uow.get(Order, order.id) is order


async def test_what_was_added_is_not_given_as_another_class(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        order = Order(42)
        uow.add(order)
        with pytest.raises(AggregateNotFoundError, match=r"no Invoice .*: there is Order"):
            await uow.get(Invoice, order.id)


async def test_an_aggregate_of_a_version_is_a_copy_and_not_saved(orders: Module) -> None:
    order = Order(42)
    order.ship()
    await orders.save(order)
    async with orders.unit_of_work() as uow:
        current = await uow.get(Order, order.id)
        then = await uow.get(Order, order.id, version=1)
        assert (then.status, current.status) == ("placed", "shipped")
        then.ship()
    assert len(topics(orders)) == 2


async def test_what_a_raising_method_left_half_changed_is_discarded(orders: Module) -> None:
    class Fragile(Order):
        @event("Broken")
        def half_done(self) -> None:
            self.status = "half"
            raise ValueError("in the middle")

    order = Fragile(42)
    await orders.save(order)
    with pytest.raises(ValueError, match="in the middle"):
        async with orders.unit_of_work() as uow:
            (await uow.get(Fragile, order.id)).half_done()
    async with orders.unit_of_work() as uow:
        assert (await uow.get(Fragile, order.id)).status == "placed"
    assert topics(orders) == ["Fragile.Placed"]


@pytest.mark.parametrize("known_by", ["saving", "loading"])
async def test_an_aggregate_of_another_module_is_refused(
    system: System, orders: Module, known_by: str
) -> None:
    billing = system.module("billing")
    order = Order(42)
    await orders.save(order)
    if known_by == "loading":
        order = await orders.get(Order, order.id)
    order.ship()
    with pytest.raises(AggregateNotFoundError, match=r"billing has no Order .* belongs to orders"):
        await billing.save(order)
    assert topics(billing) == []
    await orders.save(order)
    assert topics(orders) == ["Order.Placed", "Order.Shipped"]


async def test_an_aggregate_of_a_system_that_was_made_again_is_refused(orders: Module) -> None:
    order = Order(42)
    await orders.save(order)
    order.ship()
    again = System(seed=7).module("orders")
    with pytest.raises(AggregateNotFoundError, match="'orders' of another system"):
        await again.save(order)


async def test_an_aggregate_is_saved_by_whoever_opens_its_file_again(tmp_path: Path) -> None:
    def open_orders() -> Module:
        return System(seed=7, store=f"sqlite:///{tmp_path}/shop.db").module("orders")

    order, first = Order(42), open_orders()
    await first.save(order)
    first.system.close()
    order.ship()
    second = open_orders()
    await second.save(order)
    assert topics(second) == ["Order.Placed", "Order.Shipped"]
    second.system.close()


async def test_a_copy_of_an_aggregate_belongs_where_the_original_does(orders: Module) -> None:
    order = Order(42)
    await orders.save(order)
    copied = deepcopy(order)
    assert copied == order == await orders.get(Order, order.id)
    copied.ship()
    await orders.save(copied)
    assert topics(orders) == ["Order.Placed", "Order.Shipped"]


async def test_save_is_the_unit_of_work_in_one_line(orders: Module) -> None:
    await orders.save(Order(1), Order(2))
    assert len(topics(orders)) == 2


async def test_saving_nothing_writes_nothing(orders: Module) -> None:
    await orders.save()
    assert topics(orders) == []


async def test_add_publish_and_send_may_be_awaited_and_need_not_be(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        assert await uow.add(Order(1)) is None
        assert await uow.publish(OrderCreated(1)) is None
        assert await uow.send(Pack(1), to="inventory") is None
        assert "written when the unit of work commits" in repr(uow.add())


async def test_in_memory_there_is_no_connection(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        assert uow.connection is None


async def test_it_shows_what_it_holds_and_how_it_stands(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        uow.add(Order(1))
        assert repr(uow) == "UnitOfWork(orders: 1 aggregate, 0 messages, open)"
    assert repr(uow) == "UnitOfWork(orders: 1 aggregate, 0 messages, committed)"


# What it is given wrong


@pytest.mark.parametrize("wrong", [Order, OrderCreated(1), None, "order"], ids=repr)
async def test_only_aggregates_are_added(orders: Module, wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes aggregates"):
        await orders.save(wrong)


async def test_another_copy_of_an_aggregate_is_refused(orders: Module) -> None:
    order = Order(42)
    await orders.save(order)
    with pytest.raises(ModulusError, match="holds another copy of Order"):
        async with orders.unit_of_work() as uow:
            uow.add(await orders.get(Order, order.id), await orders.get(Order, order.id))


@pytest.mark.parametrize("wrong", [Noticed("a"), Pack(1), OrderCreated, None], ids=repr)
async def test_only_integration_events_are_published(orders: Module, wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes an integration event"):
        async with orders.unit_of_work() as uow:
            uow.publish(wrong)


@pytest.mark.parametrize("wrong", [OrderCreated(1), Pack, None], ids=repr)
async def test_only_commands_are_sent(orders: Module, wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes a command"):
        async with orders.unit_of_work() as uow:
            uow.send(wrong, to="inventory")


@pytest.mark.parametrize("wrong", [None, "", 3])
async def test_a_command_is_sent_to_a_module(orders: Module, wrong: Any) -> None:
    with pytest.raises(TypeError, match="names the module"):
        async with orders.unit_of_work() as uow:
            uow.send(Pack(1), to=wrong)


async def test_a_command_may_be_sent_to_a_module_object(system: System, orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        uow.send(Pack(1), to=system.module("inventory"))  # type: ignore[arg-type]
    assert next(iter(orders.outbox)).envelope.to == "inventory"


async def test_a_time_without_a_zone_is_refused_where_it_is_given(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        with pytest.raises(ValueError, match="at needs a time zone"):
            uow.publish(OrderCreated(1), at=datetime(2024, 1, 1))  # noqa: DTZ001
    assert sent(orders) == []


@pytest.mark.parametrize(
    "use",
    [
        lambda uow: uow.add(Order(1)),
        lambda uow: uow.publish(OrderCreated(1)),
        lambda uow: uow.send(Pack(1), to="inventory"),
        lambda uow: uow.mediator.publish(Noticed("a")),
        lambda uow: uow.get(Order, uuid4()),
        lambda uow: uow.commit(),
        lambda uow: uow.connection,
    ],
    ids=["add", "publish", "send", "mediator", "get", "commit", "connection"],
)
async def test_using_it_after_the_commit_says_how_to_begin_a_new_one(
    orders: Module, use: Callable[[UnitOfWork], Any]
) -> None:
    async with orders.unit_of_work() as uow:
        pass
    with pytest.raises(ModulusError, match=r"committed already.*async with orders\.unit_of_work"):
        await use(uow)


async def test_committing_early_ends_it(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        uow.add(Order(1))
        await uow.commit()
        assert topics(orders) == ["Order.Placed"]
    assert uow.committed is True


async def test_a_handler_commits_nothing_itself(system: System, orders: Module) -> None:
    @orders.handles(Pack)
    async def pack(command: Pack, uow: UnitOfWork) -> None:
        uow.add(Order(1))
        await uow.commit()

    with pytest.raises(ModulusError, match="commits when it has answered"):
        await system.send(Pack(1))
    assert topics(orders) == []


# The order inside


async def test_before_commit_projectors_commit_after_commit(orders: Module) -> None:
    log: list[str] = []

    @orders.on(Order.Placed)
    async def after(placed: Order.Placed, uow: UnitOfWork) -> None:
        log.append(f"after, {len(topics(orders))} stored")
        uow.add(Invoice(placed.originator_id))

    @orders.on(Order.Placed, phase="before_commit")
    async def before(placed: Order.Placed, uow: UnitOfWork) -> None:
        log.append(f"before, {len(topics(orders))} stored")
        order = await uow.get(Order, placed.originator_id)
        order.ship()

    @orders.projects(Order.Placed)
    def placed_projector(placed: Order.Placed) -> None:
        log.append(f"project placed, {len(topics(orders))} stored")

    @orders.projects(Order.Shipped)
    def shipped_projector(shipped: Order.Shipped) -> None:
        log.append(f"project shipped, {len(topics(orders))} stored")

    @orders.on(Invoice.Written)
    def written(event: Invoice.Written) -> None:
        log.append(f"after the second, {len(topics(orders))} stored")

    await orders.save(Order(1))
    assert log == [
        "before, 0 stored",
        "project placed, 0 stored",
        "project shipped, 0 stored",
        "after, 2 stored",
        "after the second, 3 stored",
    ]


async def test_before_commit_handlers_get_what_they_add_themselves(orders: Module) -> None:
    log: list[str] = []

    @orders.on(Order.Placed, phase="before_commit")
    def invoice(placed: Order.Placed, uow: UnitOfWork) -> None:
        uow.add(Invoice(placed.originator_id))

    @orders.on(Invoice.Written, phase="before_commit")
    async def notice(written: Invoice.Written, mediator: Mediator) -> None:
        await mediator.publish(Noticed("written"))

    @orders.on(Noticed, phase="before_commit")
    def noticed(noticed: Noticed) -> None:
        log.append(noticed.what)

    await orders.save(Order(1))
    assert log == ["written"]
    assert topics(orders) == ["Order.Placed", "Invoice.Written"]


async def test_a_failing_before_commit_handler_aborts_everything(orders: Module) -> None:
    @orders.on(Order.Placed, phase="before_commit")
    def refuse(placed: Order.Placed) -> None:
        raise PermissionError("not today")

    order = Order(1)
    with pytest.raises(PermissionError, match="not today"):
        await orders.save(order)
    assert topics(orders) == []
    assert len(order.pending_events) == 1


async def test_after_commit_handlers_have_a_unit_of_work_each(orders: Module) -> None:
    units: list[UnitOfWork] = []

    @orders.on(Order.Placed)
    def one(placed: Order.Placed, uow: UnitOfWork) -> None:
        units.append(uow)
        uow.publish(OrderCreated(1))

    @orders.on(Order.Placed)
    def two(placed: Order.Placed, uow: UnitOfWork) -> None:
        units.append(uow)
        uow.publish(OrderCreated(2))
        raise ValueError("mine only")

    with pytest.raises(PublishError):
        await orders.save(Order(1))
    assert [uow.committed for uow in units] == [True, False]
    assert sent(orders) == ["OrderCreated"]


@pytest.mark.parametrize("phase", ["before_commit", "after_commit"])
async def test_events_that_cause_each_other_without_end_stop_with_a_clear_error(
    orders: Module, phase: str
) -> None:
    @orders.on(Order.Placed, phase=phase)
    def again(placed: Order.Placed, uow: UnitOfWork) -> None:
        uow.add(Order(placed.total + 1), Order(placed.total + 1))

    with pytest.raises((CascadeDepthError, PublishError)) as caught:
        await orders.save(Order(1))
    error = caught.value
    if isinstance(error, PublishError):
        (error,) = error.exceptions
    assert isinstance(error, CascadeDepthError)
    assert "Order.Placed" in str(error)
    assert "perhaps a" in str(error)


async def test_a_cascade_is_noticed_wherever_it_goes(system: System, orders: Module) -> None:
    @orders.on(Order.Placed)
    async def again(placed: Order.Placed) -> None:
        await asyncio.gather(orders.save(Order(placed.total + 1)))

    with pytest.raises(PublishError) as caught:
        await orders.save(Order(1))
    assert [type(each) for each in caught.value.exceptions] == [CascadeDepthError]


async def test_commands_that_send_themselves_stop_with_a_clear_error(
    system: System, orders: Module
) -> None:
    @orders.handles(Pack)
    async def pack(command: Pack) -> None:
        await system.send(command)

    with pytest.raises(CascadeDepthError, match=r"pack in orders.*Let one of them go over the bus"):
        await system.send(Pack(1))


async def test_a_long_chain_of_tasks_is_no_cascade(orders: Module) -> None:
    tasks: list[asyncio.Task[None]] = []

    @orders.on(Order.Placed)
    async def spawn(placed: Order.Placed) -> None:
        if placed.total < 100:
            tasks.append(asyncio.create_task(orders.save(Order(placed.total + 1))))

    await orders.save(Order(1))
    for task in tasks:
        await task
    assert len(topics(orders)) == 100


async def test_a_big_unit_of_work_is_no_cascade(orders: Module) -> None:
    @orders.on(Noticed, phase="before_commit")
    def unrelated(noticed: Noticed) -> None: ...

    await orders.save(*(Order(n) for n in range(10_001)))
    assert len(topics(orders)) == 10_001


# Conflicts and other failed commits


async def test_a_stale_aggregate_raises_and_says_to_load_it_again(orders: Module) -> None:
    order = Order(42)
    await orders.save(order)
    stale = await orders.get(Order, order.id)
    order.ship()
    await orders.save(order)
    stale.ship()
    with pytest.raises(ConcurrencyError) as caught:
        await orders.save(stale)
    assert f"Order {order.id}" in str(caught.value)
    assert "Load it again" in str(caught.value)


async def test_of_a_conflict_nothing_is_written_and_it_stays_one(orders: Module) -> None:
    order = Order(42)
    await orders.save(order)
    stale = await orders.get(Order, order.id)
    order.ship()
    await orders.save(order)
    stale.ship()
    for _ in range(2):
        uow = orders.unit_of_work()
        uow.add(stale, Order(1))
        uow.publish(OrderCreated(1))
        with pytest.raises(ConcurrencyError):
            await uow.commit()
        assert uow.committed is False
    assert topics(orders) == ["Order.Placed", "Order.Shipped"]
    assert sent(orders) == []


async def test_a_failed_commit_leaves_what_is_pending_and_can_be_tried_again(
    orders: Module,
) -> None:
    order = Order(42)
    order.ship()
    break_commits(orders, StoreUnavailableError("the disk is full"))
    with pytest.raises(StoreUnavailableError):
        await orders.save(order)
    assert len(order.pending_events) == 2
    assert topics(orders) == []
    await orders.save(order)
    assert topics(orders) == ["Order.Placed", "Order.Shipped"]
    assert order.pending_events == []


def test_the_control_eventsourcing_itself_loses_what_a_failed_save_had_pending() -> None:
    class BareOrder(BareAggregate):
        @bare_event("Placed")
        def __init__(self, total: int) -> None:
            self.total = total

    application: Application[UUID] = Application()
    order = BareOrder(42)
    recorder: Any = application.recorder
    insert, recorder.insert_events = recorder.insert_events, lambda *_, **__: 1 / 0
    with pytest.raises(ZeroDivisionError):
        application.save(order)
    recorder.insert_events = insert
    application.save(order)
    assert list(application.notification_log.select(1, 10)) == []


async def test_a_failing_projector_leaves_what_is_pending(orders: Module) -> None:
    fail = True

    @orders.projects(Order.Placed)
    def project(placed: Order.Placed) -> OrderCreated:
        if fail:
            raise LookupError("no rate for today")
        return OrderCreated(placed.total)

    order = Order(42)
    with pytest.raises(LookupError):
        await orders.save(order)
    assert topics(orders) == []
    fail = False
    await orders.save(order)
    assert (topics(orders), sent(orders)) == (["Order.Placed"], ["OrderCreated"])


async def test_what_is_tried_again_is_the_same_to_the_byte(orders: Module) -> None:
    order = Order(42)
    written: list[bytes] = []
    commit = orders.store.commit

    async def watched(events: Any, *rest: Any) -> Any:
        written.append(events[0].state)
        if len(written) == 1:
            raise StoreUnavailableError("gone")
        return await commit(events, *rest)

    orders.store.commit = watched  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        await orders.save(order)
    await orders.save(order)
    assert written[0] == written[1]


async def test_a_commit_whose_answer_was_lost_is_no_error(orders: Module) -> None:
    order = Order(42)
    break_commits(orders, StoreUnavailableError("connection reset"), after=True)
    async with orders.unit_of_work() as uow:
        uow.add(order)
    assert uow.committed is True
    assert order.pending_events == []
    assert topics(orders) == ["Order.Placed"]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("after", [False, True])
async def test_an_interrupted_commit_is_raised_when_its_outcome_is_known(
    orders: Module, interrupt: type[BaseException], after: bool
) -> None:
    order, uow = Order(42), orders.unit_of_work()
    break_commits(orders, interrupt(), after=after)
    with pytest.raises(interrupt):
        async with uow:
            uow.add(order)
    assert uow.committed is after
    assert len(topics(orders)) == int(after)
    assert len(order.pending_events) == int(not after)
    await orders.save(order, Order(1))
    assert len(topics(orders)) == 2


async def test_what_is_recorded_while_it_commits_stays_pending(
    orders: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(1)
    commit = orders.store.commit

    async def slow(*written: Any) -> Any:
        positions = await commit(*written)
        if order.version == 1:
            order.ship()
        return positions

    monkeypatch.setattr(orders.store, "commit", slow)
    await orders.save(order)
    assert [type(event).__name__ for event in order.pending_events] == ["Shipped"]
    await orders.save(order)
    assert topics(orders) == ["Order.Placed", "Order.Shipped"]


async def test_a_cancelled_save_is_known_to_be_stored_or_not(orders: Module) -> None:
    release = asyncio.Event()

    @orders.on(Order.Placed, phase="before_commit")
    async def wait(placed: Order.Placed) -> None:
        await release.wait()

    async def place(uow: UnitOfWork) -> None:
        async with uow:
            uow.add(Order(1))

    uow = orders.unit_of_work()
    task = asyncio.create_task(place(uow))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert uow.committed is False
    assert topics(orders) == []
    release.set()
    await orders.save(Order(2))
    assert len(topics(orders)) == 1


async def test_a_save_cancelled_in_an_after_commit_handler_is_stored(orders: Module) -> None:
    begun = asyncio.Event()

    @orders.on(Order.Placed)
    async def wait(placed: Order.Placed) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def place(uow: UnitOfWork) -> None:
        async with uow:
            uow.add(Order(1))

    uow = orders.unit_of_work()
    task = asyncio.create_task(place(uow))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert uow.committed is True


async def test_a_simulated_crash_says_whether_it_was_committed(
    system: System, orders: Module
) -> None:
    system.faults.crash("before_commit")
    with pytest.raises(SimulatedCrash) as crash:
        await orders.save(Order(1))
    assert (crash.value.committed, topics(orders)) == (False, [])
    system.faults.crash("after_commit")
    with pytest.raises(SimulatedCrash) as crash:
        await orders.save(Order(1))
    assert (crash.value.committed, topics(orders)) == (True, ["Order.Placed"])


# The scope


class Session:
    pass


async def test_what_lives_as_long_as_it_is_cleaned_up_after_it(
    system: System, orders: Module
) -> None:
    log: list[str] = []

    def session() -> Iterator[Session]:
        yield Session()
        log.append(f"closed with {len(topics(orders))} stored")

    system.services.scoped(Session, session)

    @orders.handles(Pack)
    def pack(command: Pack, session: Session, uow: UnitOfWork) -> None:
        uow.add(Order(1))

    await system.send(Pack(1))
    assert log == ["closed with 1 stored"]


def cannot_close() -> Iterator[Session]:
    yield Session()
    raise OSError("cannot close")


async def test_a_failing_clean_up_does_not_hide_that_it_was_committed(
    system: System, orders: Module
) -> None:
    system.services.scoped(Session, cannot_close)

    @orders.handles(Pack)
    def pack(command: Pack, session: Session, uow: UnitOfWork) -> None:
        uow.add(Order(1))

    with pytest.raises(PublishError, match="clean up") as caught:
        await system.send(Pack(1))
    assert caught.value.result.is_success
    assert topics(orders) == ["Order.Placed"]


async def test_a_failing_clean_up_does_not_hide_what_went_wrong(
    system: System, orders: Module
) -> None:
    system.services.scoped(Session, cannot_close)

    @orders.handles(Pack)
    def pack(command: Pack, session: Session) -> None:
        raise LookupError("the real reason")

    with pytest.raises(LookupError, match="the real reason") as caught:
        await system.send(Pack(1))
    assert any("cannot close" in note for note in caught.value.__notes__)
    (record,) = system.trace.of_kind("failure")
    assert "clean up" in (record.error or "")


# What flows from it


async def test_everything_that_it_emits_is_one_conversation(orders: Module) -> None:
    @orders.projects(Order.Placed)
    def project(placed: Order.Placed) -> OrderCreated:
        return OrderCreated(placed.total)

    async with orders.unit_of_work() as uow:
        uow.add(Order(1), Order(2))
        uow.publish(OrderCreated(3))
        uow.send(Pack(4), to="inventory")
    recorded = [orders.mapper.read(stored) for stored in orders.stored_events()]
    said = {each.correlation_id for each in recorded}
    said |= {row.envelope.correlation_id for row in orders.outbox}
    assert said == {uow.correlation_id}


async def test_an_event_may_set_a_conversation_of_its_own(orders: Module) -> None:
    async with orders.unit_of_work() as uow:
        uow.publish(OrderCreated(1, correlation_id="mine", causation_id="yours"))
    (row,) = orders.outbox
    assert (row.envelope.correlation_id, row.envelope.causation_id) == ("mine", "yours")


async def test_after_commit_handlers_continue_the_conversation(orders: Module) -> None:
    @orders.on(Order.Placed)
    def invoice(placed: Order.Placed, uow: UnitOfWork) -> None:
        uow.add(Invoice(placed.originator_id))

    await orders.save(Order(1))
    placed, written = (orders.mapper.read(stored) for stored in orders.stored_events())
    assert written.correlation_id == placed.correlation_id
    assert written.causation_id == str(placed.id)
    assert written.handler == "invoice"


async def test_a_key_is_what_it_was_given_or_the_conversation(orders: Module) -> None:
    chosen = uuid4()
    async with orders.unit_of_work() as uow:
        uow.publish(OrderCreated(1))
        uow.publish(OrderCreated(2), key="k")
        uow.send(Pack(3), to="inventory", key=chosen)
    assert [row.envelope.key for row in orders.outbox] == [uow.correlation_id, "k", str(chosen)]


async def test_a_message_may_be_scheduled(orders: Module) -> None:
    later = START + timedelta(seconds=30)
    async with orders.unit_of_work() as uow:
        uow.publish(OrderCreated(1), at=later)
        uow.send(Pack(1), to="inventory", at=START - timedelta(seconds=30))
    assert [row.available_at for row in orders.outbox] == [later, START]


async def test_a_bus_in_a_unit_of_work_belongs_to_it(system: System, orders: Module) -> None:
    @orders.handles(Pack)
    async def pack(command: Pack, bus: MessageBus, uow: UnitOfWork) -> None:
        await bus.publish(OrderCreated(command.total))
        assert sent(orders) == []
        if command.total < 0:
            raise ValueError("negative")

    with pytest.raises(ValueError, match="negative"):
        await system.send(Pack(-1))
    assert sent(orders) == []
    await system.send(Pack(1))
    assert sent(orders) == ["OrderCreated"]


# An exception at every line


class Bomb:
    """Raises at the n-th line that the package executes."""

    def __init__(self, line: int, error: type[BaseException]) -> None:
        self.left, self.error, self.went_off = line, error, False

    def __enter__(self) -> Self:
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, what: str, _: Any) -> Any:
        if not frame.f_globals.get("__name__", "").startswith("modulus_es."):
            return None
        if what == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                self.went_off = True
                raise self.error("here")
        return self._trace


async def blow_up_at(line: int, error: type[BaseException]) -> bool:
    """Save with an exception at that line of the package; answers whether it came so far."""
    orders = System(seed=7).module("orders")

    @orders.projects(Order.Placed)
    def project(placed: Order.Placed) -> OrderCreated:
        return OrderCreated(placed.total)

    @orders.on(Order.Placed, phase="before_commit")
    def ship(placed: Order.Placed, uow: UnitOfWork) -> None:
        uow.aggregates[placed.originator_id].ship()

    first, order, uow = Order(1), Order(42), orders.unit_of_work()
    await orders.save(first)
    with Bomb(line, error) as bomb:
        try:
            uow.add(order)
            await uow.commit()
        except error:
            assert bomb.went_off
    stored = len(topics(orders)) - 2
    where = f"at line {line}: {stored} stored, {uow}"
    assert stored in (0, 2), where
    assert len(sent(orders)) - 1 == stored / 2, where
    if uow.committed is not None:
        assert uow.committed is bool(stored), where
        assert bool(order.pending_events) is not bool(stored), where
    later = Order(3)
    await orders.save(later)
    assert len(topics(orders)) == stored + 4, where
    if not stored:
        await orders.save(order)
        assert len(sent(orders)) == 3, where
    await orders.system.run()
    assert {row.status for row in orders.outbox} == {"pending"}
    return bomb.went_off


@pytest.mark.slow
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
async def test_with_an_exception_at_every_line_it_is_all_or_none(
    error: type[BaseException],
) -> None:
    line = 1
    while await blow_up_at(line, error):
        line += 1
    assert line > 100
