"""Behaviours: around commands and queries, by choice, the first one outermost."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest
from ordering import topics

from modulus_es import (
    Aggregate,
    Clock,
    Command,
    DomainEvent,
    Error,
    Failure,
    HandlerResultError,
    HandlerSignatureError,
    IntegrationEvent,
    LoggingBehavior,
    Mediator,
    MessageBus,
    Module,
    PublishError,
    Query,
    Result,
    ServiceLifetimeError,
    StreamQuery,
    Success,
    System,
    UnhandledExceptionBehavior,
    UnitOfWork,
    ValidationBehavior,
    Validator,
    event,
)
from modulus_es.behaviors import Proceed


class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: int) -> None:
        self.total = total


class PlaceOrder(Command[int]):
    total: int


class CountOrders(Query[int]): ...


class ListOrders(StreamQuery[int]): ...


class Noticed(DomainEvent):
    what: str


class OrderCreated(IntegrationEvent): ...


@pytest.fixture
def orders(system: System) -> Module:
    orders = system.module("orders")

    @orders.handles(PlaceOrder)
    def place(command: PlaceOrder, uow: UnitOfWork) -> int:
        uow.add(Order(command.total))
        if command.total < 0:
            raise LookupError("a secret")
        return command.total

    @orders.handles(CountOrders)
    def count(query: CountOrders) -> int:
        return 3

    return orders


class Told:
    """Notes when a request comes and goes."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    async def handle(self, request: Any, proceed: Proceed) -> Any:
        self.log.append(f"{self.name} in")
        result = await proceed()
        self.log.append(f"{self.name} out")
        return result


def telling(name: str, log: list[str]) -> Callable[[Any, Proceed], Any]:
    async def tell(request: Any, proceed: Proceed) -> Any:
        log.append(f"{name} in")
        result = await proceed()
        log.append(f"{name} out")
        return result

    return tell


# Order and choice


async def test_without_a_choice_nothing_is_around_a_command(orders: Module) -> None:
    assert (orders.behaviors, orders.system.behaviors) == ([], [])
    with pytest.raises(LookupError):
        await orders.send(PlaceOrder(-1))


@pytest.mark.parametrize("make", [Told, telling])
@pytest.mark.parametrize("at_once", [True, False])
async def test_the_first_registered_is_the_outermost(
    system: System, orders: Module, make: Any, at_once: bool
) -> None:
    log: list[str] = []
    first, second = make("first", log), make("second", log)
    if at_once:
        system.use(first, second)
    else:
        system.use(first)
        system.use(second)
    await system.send(PlaceOrder(1))
    assert log == ["first in", "second in", "second out", "first out"]


async def test_those_of_the_system_are_around_those_of_the_module(
    system: System, orders: Module
) -> None:
    log: list[str] = []
    orders.use(Told("module", log))
    system.use(Told("system", log))
    await orders.send(PlaceOrder(1))
    assert log == ["system in", "module in", "module out", "system out"]


async def test_those_of_a_module_are_around_its_own_requests_only(
    system: System, orders: Module
) -> None:
    log: list[str] = []
    system.module("inventory").use(Told("inventory", log))
    await orders.send(PlaceOrder(1))
    assert log == []


async def test_they_are_around_queries_too(system: System, orders: Module) -> None:
    log: list[str] = []
    system.use(Told("t", log))
    assert await system.query(CountOrders()) == Success(3)
    assert log == ["t in", "t out"]


@pytest.mark.parametrize("make", [Told, telling])
async def test_registering_the_same_again_replaces_it_in_its_place(
    system: System, orders: Module, make: Any
) -> None:
    log: list[str] = []
    for _ in range(2):
        system.use(make("first", log), make("second", log))
    await system.send(PlaceOrder(1))
    assert log == ["first in", "second in", "second out", "first out"]


# Every form


async def test_a_class_is_made_by_injection(system: System, orders: Module) -> None:
    system.services.singleton(str, "hello")
    seen: list[Any] = []

    class Greet:
        def __init__(self, greeting: str, clock: Clock, module: Module) -> None:
            self.greeting, self.clock, self.module = greeting, clock, module

        async def handle(self, request: Any, proceed: Proceed) -> Any:
            seen.append((self.greeting, self.clock is system.clock, self.module.name))
            return await proceed()

    system.use(Greet)
    await system.send(PlaceOrder(1))
    assert seen == [("hello", True, "orders")]


async def test_a_sync_behaviour_may_answer_what_it_is_to_await(
    system: System, orders: Module
) -> None:
    def look(request: Any, proceed: Proceed) -> Any:
        return proceed()

    class Look:
        def handle(self, request: Any, proceed: Proceed) -> Any:
            return proceed()

    system.use(look, Look, Look())
    assert await system.send(PlaceOrder(1)) == Success(1)


@pytest.mark.parametrize("wrong", [int, object(), 3, "handle"])
def test_what_has_no_handle_is_refused_and_nothing_is_registered(
    system: System, wrong: Any
) -> None:
    with pytest.raises(HandlerSignatureError, match=r"a method handle\(request, proceed\)"):
        system.use(LoggingBehavior, wrong)
    assert system.behaviors == []


# What it may do


@pytest.mark.parametrize("sync", [True, False])
async def test_a_behaviour_may_answer_without_proceeding(
    system: System, orders: Module, sync: bool
) -> None:
    def closed(request: Any, proceed: Proceed) -> Any:
        return Error.forbidden("closed")

    async def closed_async(request: Any, proceed: Proceed) -> Any:
        return Failure(Error.forbidden("closed"))

    system.use(closed if sync else closed_async)
    assert await system.send(PlaceOrder(1)) == Failure(Error.forbidden("closed"))
    assert topics(orders) == []


async def test_a_behaviour_may_change_the_answer(system: System, orders: Module) -> None:
    async def double(request: Any, proceed: Proceed) -> Any:
        return (await proceed()).map(lambda n: n * 2)

    system.use(double)
    assert await system.query(CountOrders()) == Success(6)


async def test_a_behaviour_that_forgets_to_answer_is_named(system: System, orders: Module) -> None:
    async def forget(request: Any, proceed: Proceed) -> None:
        await proceed()

    system.use(forget)
    with pytest.raises(HandlerResultError, match="a behaviour answered None to CountOrders"):
        await system.query(CountOrders())


async def test_a_behaviour_proceeds_once_though_a_conflict_is_tried_again(
    system: System, orders: Module
) -> None:
    log: list[str] = []
    system.use(Told("t", log))
    order = Order(1)
    await orders.save(order)

    class Touch(Command[None]): ...

    @orders.handles(Touch)
    async def touch(command: Touch, uow: UnitOfWork) -> None:
        log.append("attempt")
        mine = await uow.get(Order, order.id)
        mine.trigger_event(Order.Event)
        if log.count("attempt") == 1:
            other = await orders.get(Order, order.id)
            other.trigger_event(Order.Event)
            await orders.save(other)

    assert await system.send(Touch()) == Success(None)
    assert log == ["t in", "attempt", "attempt", "t out"]


async def test_what_a_behaviour_publishes_and_sends_is_not_lost(
    system: System, orders: Module
) -> None:
    noticed: list[str] = []

    @orders.on(Noticed)
    def notice(event: Noticed) -> None:
        noticed.append(event.what)

    class Audit:
        def __init__(self, mediator: Mediator, bus: MessageBus) -> None:
            self.mediator, self.bus = mediator, bus

        async def handle(self, request: Any, proceed: Proceed) -> Any:
            await self.mediator.publish(Noticed("asked"))
            await self.bus.publish(OrderCreated())
            return await proceed()

    system.use(Audit)
    await system.query(CountOrders())
    assert noticed == ["asked"]
    assert len(orders.outbox) == 1


async def test_a_behaviour_has_no_unit_of_work(system: System, orders: Module) -> None:
    class Sneak:
        def __init__(self, uow: UnitOfWork) -> None: ...

        async def handle(self, request: Any, proceed: Proceed) -> Any:
            return await proceed()

    system.use(Sneak)
    with pytest.raises(ServiceLifetimeError, match="outside the unit of work"):
        await system.send(PlaceOrder(1))
    assert topics(orders) == []


async def test_what_is_scoped_lives_as_long_as_the_behaviours_do(
    system: System, orders: Module
) -> None:
    log: list[str] = []

    async def session() -> AsyncIterator[str]:
        yield "session"
        log.append("closed")

    system.services.scoped(str, session)

    class Use:
        def __init__(self, session: str) -> None: ...

        async def handle(self, request: Any, proceed: Proceed) -> Any:
            result = await proceed()
            log.append("used")
            return result

    system.use(Use)
    await system.send(PlaceOrder(1))
    assert log == ["used", "closed"]


async def test_a_behaviours_failing_clean_up_does_not_hide_that_the_command_happened(
    system: System, orders: Module
) -> None:
    def session() -> Iterator[str]:
        yield "session"
        raise OSError("cannot close")

    system.services.scoped(str, session)

    class Use:
        def __init__(self, session: str) -> None: ...

        async def handle(self, request: Any, proceed: Proceed) -> Any:
            return await proceed()

    system.use(Use)
    with pytest.raises(PublishError) as caught:
        await system.send(PlaceOrder(1))
    assert caught.value.result == Success(1)
    assert topics(orders) == ["Order.Placed"]


# Never around events


async def test_they_are_never_around_events_streams_or_saving(
    system: System, orders: Module
) -> None:
    log: list[str] = []
    system.use(Told("t", log))

    @orders.on(Noticed)
    def notice(event: Noticed) -> None: ...

    @orders.handles(ListOrders)
    def stream(query: ListOrders) -> Iterable[int]:
        return [1]

    @system.module("inventory").on(OrderCreated)
    def create(created: OrderCreated) -> None: ...

    await orders.publish(Noticed("a"))
    await orders.bus.publish(OrderCreated())
    await orders.save(Order(1))
    assert [n async for n in orders.stream(ListOrders())] == [1]
    await system.run()
    assert log == []


# The built-in ones


async def test_an_unhandled_exception_becomes_a_failure_with_a_general_text(
    system: System, orders: Module, caplog: pytest.LogCaptureFixture
) -> None:
    system.use(UnhandledExceptionBehavior)
    result = await system.send(PlaceOrder(-1))
    assert [error.kind for error in result.errors] == ["failure"]
    assert "secret" not in result.errors[0].message
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "a secret" in str(record.exc_info[1])
    assert topics(orders) == []


async def test_an_interrupt_is_no_unhandled_exception(system: System, orders: Module) -> None:
    @orders.on(Order.Placed, phase="before_commit")
    def interrupt(placed: Order.Placed) -> None:
        raise KeyboardInterrupt

    system.use(UnhandledExceptionBehavior)
    with pytest.raises(KeyboardInterrupt):
        await system.send(PlaceOrder(1))


async def test_a_command_that_did_happen_is_not_turned_into_a_failure(
    system: System, orders: Module
) -> None:
    @orders.on(Order.Placed)
    def fail(placed: Order.Placed) -> None:
        raise ValueError("afterwards")

    system.use(UnhandledExceptionBehavior)
    with pytest.raises(PublishError) as caught:
        await system.send(PlaceOrder(1))
    assert caught.value.result == Success(1)


async def test_logging_tells_how_each_request_ended(
    system: System, orders: Module, caplog: pytest.LogCaptureFixture
) -> None:
    system.use(LoggingBehavior)
    with caplog.at_level(logging.INFO, "modulus_es"):
        await system.send(PlaceOrder(1))
        await system.query(CountOrders())
        with pytest.raises(LookupError):
            await system.send(PlaceOrder(-1))
    assert [record.message for record in caplog.records] == [
        "command PlaceOrder",
        "PlaceOrder succeeded",
        "query CountOrders",
        "CountOrders succeeded",
        "command PlaceOrder",
        "PlaceOrder raised LookupError: a secret",
    ]


class NotNegative(Validator[PlaceOrder]):
    def validate(self, request: PlaceOrder) -> Iterator[Error]:
        if request.total < 0:
            yield Error.validation("negative")


class NotOdd(Validator[PlaceOrder]):
    def __init__(self, odd: int) -> None:
        self.odd = odd

    async def validate(self, request: PlaceOrder) -> Error | None:
        return Error.validation("odd") if request.total % 2 == self.odd else None


class NotCounted(Validator[CountOrders]):
    def validate(self, request: CountOrders) -> list[Error]:
        return [Error.forbidden("do not count")]


async def test_all_validators_of_a_request_are_asked_and_all_failures_come_together(
    system: System, orders: Module
) -> None:
    system.use(ValidationBehavior)
    system.services.singleton(int, 1)
    system.services.singleton(NotNegative)
    system.services.scoped(NotOdd)
    system.services.transient(NotCounted)
    assert await system.send(PlaceOrder(-1)) == Failure(
        [Error.validation("negative"), Error.validation("odd")]
    )
    assert topics(orders) == []
    assert await system.send(PlaceOrder(2)) == Success(2)
    assert await system.query(CountOrders()) == Failure(Error.forbidden("do not count"))


async def test_a_validator_registered_later_is_asked_too(system: System, orders: Module) -> None:
    system.use(ValidationBehavior)
    assert await system.query(CountOrders()) == Success(3)
    system.services.singleton(NotCounted)
    assert (await system.query(CountOrders())).is_failure


async def test_what_a_validator_needs_is_cleaned_up(system: System, orders: Module) -> None:
    log: list[str] = []

    async def odd() -> AsyncIterator[int]:
        yield 1
        log.append("closed")

    system.use(ValidationBehavior)
    system.services.scoped(int, odd)
    system.services.scoped(NotOdd)
    assert (await system.send(PlaceOrder(1))).is_failure
    assert log == ["closed"]


async def test_together_they_log_what_was_hidden_and_answer_what_is_fit(
    system: System, orders: Module, caplog: pytest.LogCaptureFixture
) -> None:
    system.use(UnhandledExceptionBehavior, LoggingBehavior, ValidationBehavior)
    result: Result[int] = await system.send(PlaceOrder(-1))
    assert result.is_failure
    assert [r.message for r in caplog.records] == [
        "PlaceOrder raised LookupError: a secret",
        "the command PlaceOrder raised",
    ]
