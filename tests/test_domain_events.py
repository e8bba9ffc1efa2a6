"""Domain events: in process, in registration order, every handler, all failures in one group."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from ordering import topics

from modulus_es import (
    Aggregate,
    Clock,
    Command,
    DomainEvent,
    DomainEventHandler,
    Error,
    HandlerSignatureError,
    IntegrationEvent,
    Mediator,
    Module,
    ModulusError,
    NameClashError,
    PublishError,
    Retry,
    Success,
    System,
    UnitOfWork,
    event,
)
from modulus_es.clock import START
from modulus_es.dispatcher import Strategy


class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: int) -> None:
        self.total = total

    @event("Shipped")
    def ship(self) -> None: ...


class Special(Order): ...


class Noticed(DomainEvent):
    what: str = ""


class LoudlyNoticed(Noticed): ...


class Ping(Command[int]): ...


class OrderCreated(IntegrationEvent): ...


def failing(module: Module, message: type, *names: str, log: list[str]) -> None:
    """Handlers, sync and async in turn, that note that they ran; those with an x fail."""
    for index, name in enumerate(names):

        def handle(event: Any, name: str = name) -> None:
            log.append(name)
            if "x" in name:
                raise ValueError(name)

        def sync(event: Any, name: str = name) -> None:
            handle(event, name)

        async def wait(event: Any, name: str = name) -> None:
            await asyncio.sleep(0)
            handle(event, name)

        module.on(message, name=name)(wait if index % 2 else sync)


# Reaching the handlers


async def test_handlers_run_in_registration_order_awaited_by_the_caller(orders: Module) -> None:
    log: list[str] = []

    @orders.on(Noticed)
    async def slow(event: Noticed) -> None:
        await asyncio.sleep(0.001)
        log.append("slow")

    @orders.on(Noticed)
    def quick(event: Noticed) -> None:
        log.append("quick")

    @orders.on(Noticed)
    class Last:
        async def handle(self, event: Noticed) -> None:
            log.append("last")

    await orders.publish(Noticed())
    assert log == ["slow", "quick", "last"]


@pytest.mark.parametrize("route", ["system", "module", "mediator"])
async def test_system_module_and_mediator_publish_alike(
    system: System, orders: Module, route: str
) -> None:
    log: list[str] = []

    @orders.on(Noticed)
    def notice(event: Noticed) -> None:
        log.append(event.what)

    routes: dict[str, Any] = {"system": system, "module": orders, "mediator": orders.mediator}
    await routes[route].publish(Noticed("a"))
    assert log == ["a"]


async def test_no_handler_is_a_silent_success(system: System, orders: Module) -> None:
    await orders.publish(Noticed())
    await system.publish(Noticed())
    await orders.save(Order(1))
    assert topics(orders) == ["Order.Placed"]


async def test_a_base_typed_variable_reaches_the_handler_of_the_runtime_type(
    orders: Module,
) -> None:
    log: list[str] = []

    @orders.on(LoudlyNoticed)
    def loud(event: LoudlyNoticed) -> None:
        log.append(type(event).__name__)

    event: DomainEvent = LoudlyNoticed()
    await orders.publish(event)
    assert log == ["LoudlyNoticed"]


async def test_an_event_that_only_has_the_name_of_another_is_not_handled() -> None:
    class Opened(DomainEvent): ...

    other: Any = type("Opened", (DomainEvent,), {"__module__": "elsewhere"})
    other.__qualname__ = Opened.__qualname__
    system = System(seed=7)
    heard: list[DomainEvent] = []

    @system.module("orders").on(Opened)
    def hear(opened: Opened) -> None:
        heard.append(opened)

    await system.publish(other())
    assert heard == []


async def test_an_event_reaches_the_handlers_of_its_bases_too_in_registration_order(
    orders: Module,
) -> None:
    log: list[str] = []
    failing(orders, Noticed, "base", log=log)
    failing(orders, LoudlyNoticed, "own", log=log)
    failing(orders, DomainEvent, "any", log=log)
    await orders.publish(LoudlyNoticed())
    assert log == ["base", "own", "any"]
    log.clear()
    await orders.publish(Noticed())
    assert log == ["base", "any"]


async def test_events_of_an_inherited_aggregate_reach_the_handlers_of_its_base(
    orders: Module,
) -> None:
    log: list[str] = []

    @orders.on(Order.Placed)
    def placed(event: Order.Placed) -> None:
        log.append(type(event).__qualname__)

    await orders.save(Special(1))
    assert log == ["Special.Placed"]


async def test_one_handler_may_take_all_events_of_an_aggregate(orders: Module) -> None:
    log: list[str] = []

    @orders.on(Order.Event)
    def any_of_order(event: Order.Event) -> None:
        log.append(type(event).__name__)

    order = Order(1)
    order.ship()
    await orders.save(order)
    assert log == ["Placed", "Shipped"]


async def test_a_handler_of_several_events_is_registered_for_each(orders: Module) -> None:
    log: list[str] = []

    @orders.on(Order.Placed)
    @orders.on(Order.Shipped)
    def both(event: DomainEvent) -> None:
        log.append(type(event).__name__)

    order = Order(1)
    order.ship()
    await orders.save(order)
    assert log == ["Placed", "Shipped"]


async def test_events_stay_in_their_module(system: System, orders: Module) -> None:
    log: list[str] = []

    @system.module("inventory").on(Order.Placed)
    def spy(event: Order.Placed) -> None:
        log.append("heard")

    await orders.save(Order(1))
    await orders.publish(Noticed())
    assert log == []


async def test_recorded_events_are_handled_in_the_order_recorded(orders: Module) -> None:
    log: list[Any] = []

    @orders.on(DomainEvent)
    def note(event: DomainEvent) -> None:
        log.append((type(event).__name__, getattr(event, "total", None)))

    first, second = Order(1), Order(2)
    first.ship()
    await orders.save(first, second)
    assert log == [("Placed", 1), ("Shipped", None), ("Placed", 2)]


async def test_a_class_on_the_generic_base_says_event_and_phase_itself(orders: Module) -> None:
    log: list[str] = []

    @orders.on
    class Audit(DomainEventHandler[Order.Placed]):
        phase = "before_commit"

        def handle(self, event: Order.Placed) -> None:
            log.append(f"{len(topics(orders))} stored")

    await orders.save(Order(1))
    assert log == ["0 stored"]


async def test_a_crash_after_the_commit_loses_after_commit_handlers_and_nothing_else(
    system: System, orders: Module
) -> None:
    log: list[str] = []

    @orders.on(Order.Placed)
    def missed(placed: Order.Placed) -> None:
        log.append("handled")

    @orders.projects(Order.Placed)
    def project(placed: Order.Placed) -> OrderCreated:
        return OrderCreated()

    system.faults.crash("after_commit")
    with pytest.raises(BaseException, match="crash at after_commit"):
        await orders.save(Order(1))
    assert log == []
    assert topics(orders) == ["Order.Placed"]
    assert len(orders.outbox) == 1


# Failures


async def test_every_handler_runs_then_one_group_carries_all_failures(orders: Module) -> None:
    log: list[str] = []
    failing(orders, Noticed, "x1", "a", "x2", "b", log=log)
    with pytest.raises(PublishError) as caught:
        await orders.publish(Noticed())
    assert log == ["x1", "a", "x2", "b"]
    assert [str(error) for error in caught.value.exceptions] == ["x1", "x2"]
    assert isinstance(caught.value, ExceptionGroup)
    assert "2 handlers of Noticed failed" in str(caught.value)


async def test_a_failure_in_one_module_keeps_no_other_from_its_handlers(
    system: System, orders: Module
) -> None:
    log: list[str] = []
    failing(orders, Noticed, "x1", log=log)
    failing(system.module("inventory"), Noticed, "a", "x2", log=log)
    with pytest.raises(PublishError) as caught:
        await system.publish(Noticed())
    assert log == ["x1", "a", "x2"]
    assert [str(error) for error in caught.value.exceptions] == ["x1", "x2"]


async def test_a_failure_says_which_handler_it_came_from(orders: Module) -> None:
    failing(orders, Noticed, "x1", log=[])
    with pytest.raises(PublishError) as caught:
        await orders.publish(Noticed())
    assert caught.value.exceptions[0].__notes__ == ["raised by x1, a handler of Noticed"]


async def test_except_star_takes_the_group_apart(orders: Module) -> None:
    failing(orders, Noticed, "x1", log=[])
    caught: list[BaseException] = []
    try:
        await orders.publish(Noticed())
    except* ValueError as group:
        caught.extend(group.exceptions)
    assert [str(error) for error in caught] == ["x1"]


async def test_one_group_carries_the_failures_of_all_events(orders: Module) -> None:
    log: list[str] = []
    failing(orders, Order.Placed, "x1", log=log)
    failing(orders, Order.Shipped, "x2", log=log)
    order = Order(1)
    order.ship()
    with pytest.raises(PublishError) as caught:
        await orders.save(order)
    assert [str(error) for error in caught.value.exceptions] == ["x1", "x2"]
    assert topics(orders) == ["Order.Placed", "Order.Shipped"]


async def test_what_fails_further_down_is_in_the_same_group(orders: Module) -> None:
    @orders.on(Order.Placed)
    async def notice(placed: Order.Placed, mediator: Mediator) -> None:
        await mediator.publish(Noticed())

    failing(orders, Noticed, "x1", log=[])
    with pytest.raises(PublishError) as caught:
        await orders.save(Order(1))
    assert [type(error) for error in caught.value.exceptions] == [ValueError]


# Inside a unit of work


async def test_an_event_published_inside_a_unit_of_work_belongs_to_it(
    system: System, orders: Module
) -> None:
    log: list[str] = []

    @orders.on(Noticed, phase="before_commit")
    def before(event: Noticed, uow: UnitOfWork) -> None:
        log.append(f"before, {len(topics(orders))} stored")

    @orders.on(Noticed)
    def after(event: Noticed) -> None:
        log.append(f"after, {len(topics(orders))} stored")

    @orders.handles(Ping)
    async def ping(command: Ping, mediator: Mediator, uow: UnitOfWork) -> int:
        uow.add(Order(1))
        await mediator.publish(Noticed())
        log.append("answered")
        return 1

    await system.send(Ping())
    assert log == ["answered", "before, 0 stored", "after, 1 stored"]


async def test_an_event_of_a_unit_of_work_that_fails_is_not_handled(
    system: System, orders: Module
) -> None:
    log: list[str] = []
    failing(orders, Noticed, "a", log=log)

    @orders.handles(Ping)
    async def ping(command: Ping, mediator: Mediator) -> Error:
        await mediator.publish(Noticed())
        return Error("no")

    assert (await system.send(Ping())).is_failure
    assert log == []


async def test_outside_a_unit_of_work_both_phases_run_at_once(orders: Module) -> None:
    log: list[str] = []

    @orders.on(Noticed)
    def after(event: Noticed) -> None:
        log.append("after")

    @orders.on(Noticed, phase="before_commit")
    def before(event: Noticed, uow: UnitOfWork) -> None:
        log.append("before")
        uow.add(Order(1))

    await orders.publish(Noticed())
    assert log == ["before", "after"]
    assert topics(orders) == ["Order.Placed"]


async def test_a_before_commit_handler_may_add_to_the_unit_of_work(orders: Module) -> None:
    @orders.on(Order.Placed, phase="before_commit")
    def announce(placed: Order.Placed, uow: UnitOfWork) -> None:
        uow.publish(OrderCreated())

    await orders.save(Order(1))
    assert len(orders.outbox) == 1


async def test_handlers_of_one_published_event_are_one_conversation(orders: Module) -> None:
    for name in ("a", "b"):

        def add(event: Noticed, uow: UnitOfWork) -> None:
            uow.add(Order(1))

        orders.on(Noticed, name=name)(add)
    noticed = Noticed()
    await orders.publish(noticed)
    recorded = [orders.mapper.read(stored) for stored in orders.stored_events()]
    assert {each.correlation_id for each in recorded} == {str(noticed.id)}
    assert {each.causation_id for each in recorded} == {str(noticed.id)}


# Strategies


async def test_stop_on_first_failure_stops(orders: Module) -> None:
    log: list[str] = []
    failing(orders, Noticed, "a", "x1", "b", "x2", log=log)
    with pytest.raises(PublishError) as caught:
        await orders.mediator.publish(Noticed(), "stop_on_first_failure")
    assert log == ["a", "x1"]
    assert [str(error) for error in caught.value.exceptions] == ["x1"]


@pytest.mark.parametrize("route", ["system", "module", "mediator"])
async def test_a_strategy_may_be_given_wherever_an_event_is_published(
    system: System, orders: Module, route: str
) -> None:
    log: list[str] = []
    failing(orders, Noticed, "x1", "a", log=log)
    routes: dict[str, Any] = {"system": system, "module": orders, "mediator": orders.mediator}
    with pytest.raises(PublishError):
        await routes[route].publish(Noticed(), strategy="stop_on_first_failure")
    assert log == ["x1"]


async def test_parallel_runs_all_handlers_at_once_and_carries_all_failures(
    orders: Module,
) -> None:
    log: list[str] = []
    meeting = asyncio.Barrier(3)
    for name in ("x1", "a", "x2"):

        async def meet(event: Noticed, name: str = name) -> None:
            await meeting.wait()
            log.append(name)
            if "x" in name:
                raise ValueError(name)

        orders.on(Noticed, name=name)(meet)
    with pytest.raises(PublishError) as caught:
        await orders.mediator.publish(Noticed(), "parallel")
    assert sorted(log) == ["a", "x1", "x2"]
    assert [str(error) for error in caught.value.exceptions] == ["x1", "x2"]


@pytest.mark.parametrize("when", ["of the call", "of the module"])
async def test_a_strategy_is_chosen_explicitly(orders: Module, when: str) -> None:
    log: list[str] = []
    failing(orders, Noticed, "x1", "a", log=log)
    strategy: Strategy | None = None
    if when == "of the module":
        orders.publish_strategy = "stop_on_first_failure"
    else:
        strategy = "stop_on_first_failure"
    with pytest.raises(PublishError):
        await orders.publish(Noticed(), strategy)
    assert log == ["x1"]


async def test_a_strategy_given_inside_a_unit_of_work_is_kept(
    system: System, orders: Module
) -> None:
    log: list[str] = []
    failing(orders, Noticed, "x1", "a", log=log)

    @orders.handles(Ping)
    async def ping(command: Ping, mediator: Mediator) -> int:
        await mediator.publish(Noticed(), "stop_on_first_failure")
        return 1

    with pytest.raises(PublishError):
        await system.send(Ping())
    assert log == ["x1"]


async def test_an_unknown_strategy_is_refused(orders: Module) -> None:
    for choose in (
        lambda: setattr(orders, "publish_strategy", "random"),
        lambda: orders.mediator.publish(Noticed(), "random").send(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match="sequential, parallel, stop_on_first_failure"):
            choose()


async def test_parallel_handlers_wait_at_the_same_virtual_time(
    system: System, orders: Module
) -> None:
    for name in ("a", "b"):

        async def wait(event: Noticed, clock: Clock) -> None:
            await clock.sleep(10)

        orders.on(Noticed, name=name)(wait)
    await orders.publish(Noticed(), "parallel")
    assert system.now() == START + timedelta(seconds=10)
    await orders.publish(Noticed())
    assert system.now() == START + timedelta(seconds=30)


# Cancellation


@pytest.mark.parametrize("strategy", ["sequential", "parallel", "stop_on_first_failure"])
async def test_a_handler_that_cancels_itself_is_a_failure_and_never_lost(
    orders: Module, strategy: Strategy
) -> None:
    log: list[str] = []

    @orders.on(Noticed)
    async def give_up(event: Noticed) -> None:
        raise asyncio.CancelledError

    failing(orders, Noticed, "a", log=log)
    with pytest.raises(PublishError) as caught:
        await orders.publish(Noticed(), strategy)
    (failure,) = caught.value.exceptions
    assert isinstance(failure, ModulusError)
    assert "give_up cancelled itself" in str(failure)
    assert log == ([] if strategy == "stop_on_first_failure" else ["a"])


async def test_a_parallel_handler_that_cancels_its_task_is_a_failure_and_the_others_finish(
    orders: Module,
) -> None:
    log: list[str] = []

    @orders.on(Noticed)
    async def give_up(event: Noticed) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    @orders.on(Noticed)
    async def slow(event: Noticed) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        log.append("slow")

    with pytest.raises(PublishError) as caught:
        await orders.publish(Noticed(), "parallel")
    assert "give_up cancelled itself" in str(caught.value.exceptions[0])
    assert log == ["slow"]


async def test_a_before_commit_handler_that_cancels_itself_aborts_with_a_failure(
    orders: Module,
) -> None:
    @orders.on(Order.Placed, phase="before_commit")
    async def give_up(placed: Order.Placed) -> None:
        raise asyncio.CancelledError

    with pytest.raises(ModulusError, match="give_up cancelled itself"):
        await orders.save(Order(1))
    assert topics(orders) == []


@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
async def test_cancelling_stops_between_handlers_and_is_never_buried_in_a_group(
    orders: Module, strategy: Strategy
) -> None:
    log: list[str] = []
    waiting = asyncio.Event()

    @orders.on(Noticed)
    def fail(event: Noticed) -> None:
        raise ValueError("before")

    @orders.on(Noticed)
    async def wait(event: Noticed) -> None:
        try:
            waiting.set()
            await asyncio.Event().wait()
        finally:
            log.append("left")

    @orders.on(Noticed)
    async def never(event: Noticed) -> None:
        await asyncio.sleep(60)
        log.append("never")

    task = asyncio.create_task(orders.publish(Noticed(), strategy))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["left"]
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_is_never_buried_in_a_group(
    orders: Module, interrupt: type[BaseException]
) -> None:
    log: list[str] = []

    @orders.on(Noticed)
    def stop(event: Noticed) -> None:
        raise interrupt

    failing(orders, Noticed, "a", log=log)
    with pytest.raises(interrupt):
        await orders.publish(Noticed())
    assert log == []


# The trace


async def test_a_handled_event_is_traced_with_its_handlers(system: System, orders: Module) -> None:
    failing(orders, Order.Placed, "a", "b", log=[])
    failing(orders, Order.Shipped, "x", log=[])

    @orders.on(Order.Placed, phase="before_commit")
    def first(placed: Order.Placed) -> None: ...

    order = Order(1)
    order.ship()
    with pytest.raises(PublishError):
        await orders.save(order)
    assert [(r.type, r.handler, r.outcome) for r in system.trace.of_kind("event")] == [
        ("Order.Placed", "first", "done"),
        ("Order.Placed", "a b", "done"),
        ("Order.Shipped", "x", "failed"),
    ]


# Bad input


@pytest.mark.parametrize("wrong", [OrderCreated(), Noticed, Ping(), "noticed"], ids=repr)
async def test_only_domain_events_are_published(orders: Module, wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes a domain event"):
        await orders.publish(wrong)


def test_an_unknown_phase_is_refused(orders: Module) -> None:
    with pytest.raises(ValueError, match="before_commit or after_commit"):
        orders.on(Noticed, phase="during")(lambda event: None)


@pytest.mark.parametrize("options", [{"ordered": False}, {"retry": Retry()}], ids=str)
def test_what_is_for_the_bus_is_refused_for_a_domain_event(
    orders: Module, options: dict[str, Any]
) -> None:
    def notice(event: Noticed) -> None: ...

    with pytest.raises(HandlerSignatureError, match="goes through a projector"):
        orders.on(Noticed, **options)(notice)
    assert list(orders.handlers()) == []


def test_a_phase_is_refused_for_an_integration_event(orders: Module) -> None:
    def create(event: OrderCreated) -> None: ...

    with pytest.raises(HandlerSignatureError, match="phases are for domain events"):
        orders.on(OrderCreated, phase="before_commit")(create)
    assert list(orders.handlers()) == []


def test_two_handlers_of_one_name_from_different_places_clash(orders: Module) -> None:
    def notice(event: Noticed) -> None: ...

    def other(event: Noticed) -> None: ...

    orders.on(Noticed)(notice)
    with pytest.raises(NameClashError, match="rename one, or give name="):
        orders.on(Noticed, name="notice")(other)


async def test_a_mediator_shows_where_it_belongs(system: System, orders: Module) -> None:
    @orders.handles(Ping)
    def ping(command: Ping, mediator: Mediator) -> int:
        assert repr(mediator) == "Mediator(orders, in a unit of work)"
        return 1

    assert await system.send(Ping()) == Success(1)
    assert repr(orders.mediator) == "Mediator(orders)"


async def test_a_service_registered_anew_is_what_the_next_event_s_handler_gets() -> None:
    system = System(seed=7)
    module = system.module("rooms")
    got: list[str] = []

    class Lamp:
        def __init__(self, colour: str = "red") -> None:
            self.colour = colour

    class Look:
        def __init__(self, lamp: Lamp) -> None:
            self.lamp = lamp

        async def handle(self, noticed: Noticed) -> None:
            got.append(self.lamp.colour)

    module.on(Noticed)(Look)
    with pytest.raises(PublishError, match="Lamp"):
        await module.publish(Noticed())
    system.services.singleton(Lamp)
    for _ in range(2):
        await module.publish(Noticed())
    system.services.singleton(Lamp, Lamp("blue"))
    await module.publish(Noticed())
    system.services.scoped(Lamp, lambda: Lamp("green"))
    await module.publish(Noticed())
    assert got == ["red", "red", "blue", "green"]


async def test_a_class_handler_is_made_anew_for_each_event() -> None:
    module = System(seed=7).module("rooms")
    made: list[Any] = []

    class Look:
        def __init__(self) -> None:
            made.append(self)

        async def handle(self, noticed: Noticed) -> None: ...

    module.on(Noticed)(Look)
    for _ in range(3):
        await module.publish(Noticed())
    assert len(set(map(id, made))) == len(made) == 3


async def test_a_method_that_was_replaced_is_the_one_that_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = System(seed=7).module("rooms")
    heard: list[str] = []

    class Look:
        async def handle(self, noticed: Noticed) -> None:
            heard.append("before")

    async def after(self: Any, noticed: Noticed) -> None:
        heard.append("after")

    module.on(Noticed)(Look)
    await module.publish(Noticed())
    monkeypatch.setattr(Look, "handle", after)
    await module.publish(Noticed())
    assert heard == ["before", "after"]


async def test_many_at_once_are_not_deep() -> None:
    module = System(seed=7).module("rooms")
    heard: list[str] = []
    gate = asyncio.Event()

    @module.on(Noticed)
    async def wait(noticed: Noticed) -> None:
        await gate.wait()
        heard.append(noticed.what)

    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(module.publish(Noticed(str(number))))
        await asyncio.sleep(0)
        gate.set()
    assert len(heard) == 100
    assert module.system.cascades.open == 0
