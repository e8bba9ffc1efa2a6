"""Commands: one handler, one answer, a unit of work that is rolled back where it failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID, uuid4

import pytest
from ordering import Order, OrderCreated, topics

from modulus_es import (
    Command,
    CommandHandler,
    ConcurrencyError,
    DomainEvent,
    DuplicateHandlerError,
    Error,
    Failure,
    HandlerNotFoundError,
    HandlerResultError,
    HandlerSignatureError,
    Mediator,
    Module,
    NameClashError,
    PublishError,
    Query,
    Result,
    ServiceNotFoundError,
    Success,
    System,
    UnitOfWork,
)

A = TypeVar("A")
C = TypeVar("C")


class PlaceOrder(Command[UUID]):
    total: int


class ShipOrder(Command[None]):
    order_id: UUID


class Ping(Command[str]): ...


class CountOrders(Query[int]): ...


def outcomes(system: System) -> list[tuple[str, int, str]]:
    return [(r.type, r.attempt, r.outcome) for r in system.trace.of_kind("command")]


# Reaching the handler


@pytest.mark.parametrize("route", ["system", "module", "mediator"])
async def test_system_module_and_mediator_send_alike(
    system: System, orders: Module, route: str
) -> None:
    @orders.handles(PlaceOrder)
    async def place(command: PlaceOrder, uow: UnitOfWork) -> UUID:
        order = Order(command.total)
        uow.add(order)
        return order.id

    routes: dict[str, Any] = {"system": system, "module": orders, "mediator": orders.mediator}
    result = await routes[route].send(PlaceOrder(42))
    assert (await orders.get(Order, result.value)).total == 42


async def test_a_handler_may_be_sync_or_async(system: System, orders: Module) -> None:
    @orders.handles(Ping)
    def ping(command: Ping) -> str:
        return "sync"

    assert await system.send(Ping()) == Success("sync")
    orders.forget(ping)

    @orders.handles(Ping)
    async def pong(command: Ping) -> str:
        return "async"

    assert await system.send(Ping()) == Success("async")


async def test_a_command_that_was_sent_before_goes_where_it_is_handled_now(
    system: System, orders: Module
) -> None:
    def ping(command: Ping) -> str:
        return "here"

    orders.handles(Ping)(ping)
    assert await system.send(Ping()) == Success("here")
    orders.forget(ping)
    with pytest.raises(HandlerNotFoundError):
        await system.send(Ping())

    @system.module("elsewhere").handles(Ping)
    def pong(command: Ping) -> str:
        return "there"

    assert await system.send(Ping()) == Success("there")


async def test_a_handler_may_be_a_class_with_both_halves_injected(
    system: System, orders: Module
) -> None:
    system.services.singleton(Decimal, Decimal("1.5"))
    system.services.singleton(str, "hello")

    @orders.handles(Ping)
    class Pong:
        def __init__(self, rate: Decimal) -> None:
            self.rate = rate

        async def handle(self, command: Ping, greeting: str) -> str:
            return f"{greeting} {self.rate}"

    assert await system.send(Ping()) == Success("hello 1.5")


async def test_a_class_handler_is_made_anew_for_each_command(
    system: System, orders: Module
) -> None:
    made: list[object] = []

    @orders.handles(Ping)
    class Pong:
        def handle(self, command: Ping) -> str:
            made.append(self)
            return "pong"

    await system.send(Ping())
    await system.send(Ping())
    assert made[0] is not made[1]


async def test_a_handler_on_the_generic_base_says_itself_what_it_takes(
    system: System, orders: Module
) -> None:
    @orders.handles
    class Pong(CommandHandler[Ping]):
        def handle(self, command: Ping) -> str:
            return "pong"

    assert await system.send(Ping()) == Success("pong")


async def test_a_handler_on_a_base_of_ones_own_still_says_what_it_takes(
    system: System, orders: Module
) -> None:
    class Answering(CommandHandler[C], Generic[A, C]):
        answer: A

        def handle(self, command: C) -> A:
            return self.answer

    @orders.handles
    class Pong(Answering[str, Ping]):
        answer = "pong"

    assert await system.send(Ping()) == Success("pong")


async def test_a_handler_may_say_by_its_annotation_what_it_takes(
    system: System, orders: Module
) -> None:
    @orders.handles
    def ping(command: Ping) -> str:
        return "pong"

    assert await system.send(Ping()) == Success("pong")


async def test_a_command_of_a_subclass_needs_a_handler_of_its_own(
    system: System, orders: Module
) -> None:
    class LoudPing(Ping): ...

    @orders.handles(Ping)
    def ping(command: Ping) -> str:
        return "pong"

    with pytest.raises(HandlerNotFoundError, match="LoudPing"):
        await system.send(LoudPing())


def test_a_handler_on_the_generic_base_of_another_message_is_refused(orders: Module) -> None:
    class Pong(CommandHandler[Ping]):
        def handle(self, command) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(HandlerSignatureError, match=r"Pong says that it takes Ping.*PlaceOrder"):
        orders.handles(PlaceOrder)(Pong)


async def test_its_own_system_is_current_while_a_handler_runs(orders: Module) -> None:
    ids: list[UUID] = []

    @orders.handles(Ping)
    async def ping(command: Ping) -> str:
        await asyncio.sleep(0)
        ids.append(Order(1).id)
        return "pong"

    System(seed=99)
    await orders.send(Ping())
    again = System(seed=7)
    other = again.module("orders")
    other.handles(Ping)(ping)
    System(seed=98)
    await other.send(Ping())
    assert ids[0] == ids[1]


async def test_its_own_system_stays_current_though_another_is_made_meanwhile() -> None:
    class Happened(DomainEvent): ...

    async def ids(meanwhile: Callable[[], object]) -> list[UUID]:
        system = System(seed=7)
        orders = system.module("orders")
        found: list[UUID] = []

        @orders.handles(Ping)
        async def ping(command: Ping) -> str:
            meanwhile()
            found.append(Order(1).id)
            return "pong"

        @orders.on(Happened)
        def hear(happened: Happened) -> None:
            meanwhile()
            found.append(Order(1).id)

        happened = Happened()
        await orders.send(Ping())
        await orders.publish(happened)
        return found

    assert await ids(lambda: System(seed=99)) == await ids(lambda: None)


async def test_a_handler_gets_a_logger_named_after_itself(orders: Module) -> None:
    names: list[str] = []

    @orders.handles(Ping)
    def ping(command: Ping, logger: logging.Logger) -> str:
        names.append(logger.name)
        return "pong"

    await orders.send(Ping())
    assert names == ["modulus_es.ping"]


# What it answers


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("pong", Success("pong")),
        (Success("pong"), Success("pong")),
        ("", Success("")),
        (Error.conflict("busy"), Failure(Error.conflict("busy"))),
        (Failure("no"), Failure("no")),
    ],
    ids=repr,
)
async def test_a_handler_answers_a_value_an_error_or_a_result(
    orders: Module, answer: Any, result: Result[str]
) -> None:
    @orders.handles(Ping)
    def ping(command: Ping) -> Any:
        return answer

    assert await orders.send(Ping()) == result


@pytest.mark.parametrize("answer", [None, Success(None)], ids=repr)
async def test_none_where_a_value_is_promised_is_refused_and_nothing_is_written(
    orders: Module, answer: Any
) -> None:
    @orders.handles(PlaceOrder)
    def place(command: PlaceOrder, uow: UnitOfWork) -> Any:
        uow.add(Order(1))
        return answer

    with pytest.raises(HandlerResultError, match=r"place answered None to PlaceOrder.*UUID"):
        await orders.send(PlaceOrder(1))
    assert topics(orders) == []


async def test_a_handler_that_yields_is_refused_when_it_is_registered(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match="a command has one answer"):

        @orders.handles(Ping)
        def ping(command: Ping) -> Iterator[str]:
            yield "pong"

    assert orders.requests == {}


@pytest.mark.parametrize("answer", [Error.forbidden("not yours"), Failure("no")], ids=repr)
async def test_a_failure_rolls_the_unit_of_work_back(orders: Module, answer: Any) -> None:
    units: list[UnitOfWork] = []

    @orders.handles(PlaceOrder)
    def place(command: PlaceOrder, uow: UnitOfWork) -> Any:
        units.append(uow)
        uow.add(Order(1))
        uow.publish(OrderCreated(1))
        return answer

    assert (await orders.send(PlaceOrder(1))).is_failure
    assert units[0].committed is False
    assert (topics(orders), len(orders.outbox)) == ([], 0)


async def test_an_exception_rolls_the_unit_of_work_back_and_is_raised_as_it_is(
    orders: Module,
) -> None:
    @orders.handles(PlaceOrder)
    def place(command: PlaceOrder, uow: UnitOfWork) -> UUID:
        uow.add(Order(1))
        raise LookupError("no such customer")

    with pytest.raises(LookupError, match="no such customer"):
        await orders.send(PlaceOrder(1))
    assert topics(orders) == []


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
async def test_an_interrupt_is_never_turned_into_a_failure(
    system: System, orders: Module, interrupt: type[BaseException]
) -> None:
    @orders.handles(PlaceOrder)
    def place(command: PlaceOrder, uow: UnitOfWork) -> UUID:
        uow.add(Order(1))
        raise interrupt

    with pytest.raises(interrupt):
        await system.send(PlaceOrder(1))
    assert topics(orders) == []


# When only after-commit handlers failed


async def test_failed_after_commit_handlers_raise_with_the_result_of_the_command(
    system: System, orders: Module
) -> None:
    calls: list[int] = []

    @orders.handles(PlaceOrder)
    def place(command: PlaceOrder, uow: UnitOfWork) -> UUID:
        calls.append(1)
        order = Order(command.total)
        uow.add(order)
        return order.id

    @orders.on(Order.Placed)
    def fail(placed: Order.Placed) -> None:
        raise ConcurrencyError("looks like a conflict, and is none of the command")

    with pytest.raises(PublishError) as caught:
        await system.send(PlaceOrder(42))
    assert (await orders.get(Order, caught.value.result.value)).total == 42
    assert calls == [1]
    assert outcomes(system) == [("PlaceOrder", 1, "done")]


async def test_a_nested_command_that_happened_does_not_speak_for_the_outer_one(
    system: System, orders: Module
) -> None:
    @orders.handles(ShipOrder)
    def ship(command: ShipOrder, uow: UnitOfWork) -> None:
        uow.add(Order(1))

    @orders.handles(PlaceOrder)
    async def place(command: PlaceOrder, mediator: Mediator, uow: UnitOfWork) -> UUID:
        uow.add(Order(2))
        await mediator.send(ShipOrder(uuid4()))
        return uuid4()

    @orders.on(Order.Placed)
    def fail(placed: Order.Placed) -> None:
        raise ValueError("handler")

    with pytest.raises(PublishError) as caught:
        await system.send(PlaceOrder(42))
    assert caught.value.result is None
    assert isinstance(caught.value.__cause__, PublishError)
    assert caught.value.__cause__.result == Success(None)
    assert len(topics(orders)) == 1


# Sending from a handler


async def test_a_nested_send_has_a_unit_of_work_of_its_own(system: System, orders: Module) -> None:
    units: dict[str, UnitOfWork] = {}

    @orders.handles(ShipOrder)
    def ship(command: ShipOrder, uow: UnitOfWork) -> None:
        units["inner"] = uow
        uow.add(Order(1))

    @orders.handles(PlaceOrder)
    async def place(command: PlaceOrder, mediator: Mediator, uow: UnitOfWork) -> UUID:
        units["outer"] = uow
        uow.add(Order(2))
        await mediator.send(ShipOrder(uuid4()))
        assert len(topics(orders)) == 1
        raise ValueError("the outer one fails")

    with pytest.raises(ValueError, match="the outer one fails"):
        await system.send(PlaceOrder(42))
    assert (units["inner"].committed, units["outer"].committed) == (True, False)
    assert units["inner"] is not units["outer"]
    assert len(topics(orders)) == 1


async def test_a_nested_send_continues_the_conversation(system: System, orders: Module) -> None:
    @orders.handles(ShipOrder)
    def ship(command: ShipOrder, uow: UnitOfWork) -> None:
        uow.add(Order(1))

    @orders.handles(PlaceOrder)
    async def place(command: PlaceOrder, mediator: Mediator, uow: UnitOfWork) -> UUID:
        await mediator.send(ShipOrder(uuid4()))
        uow.add(Order(2))
        return uuid4()

    await system.send(PlaceOrder(42))
    conversations = {orders.mapper.read(each).correlation_id for each in orders.stored_events()}
    assert len(conversations) == 1


# Conflicts


def contended(orders: Module, times: int) -> list[UnitOfWork]:
    """A command whose handler is overtaken so many times before it commits."""
    units: list[UnitOfWork] = []

    @orders.handles(ShipOrder)
    async def ship(command: ShipOrder, uow: UnitOfWork, session: Session) -> None:
        units.append(uow)
        order = await uow.get(Order, command.order_id)
        order.ship()
        if len(units) <= times:
            other = await orders.get(Order, command.order_id)
            other.ship()
            await orders.save(other)

    return units


class Session:
    made = 0

    def __init__(self) -> None:
        Session.made += 1


@pytest.mark.parametrize("times", [1, 3])
async def test_a_conflict_is_tried_again_in_a_fresh_scope_and_unit_of_work(
    system: System, orders: Module, times: int
) -> None:
    system.services.scoped(Session)
    Session.made = 0
    order = Order(1)
    await orders.save(order)
    units = contended(orders, times)
    assert await system.send(ShipOrder(order.id)) == Success(None)
    assert len({id(uow) for uow in units}) == times + 1
    assert [uow.committed for uow in units] == [False] * times + [True]
    assert Session.made == times + 1
    assert [outcome for _, _, outcome in outcomes(system)] == ["failed"] * times + ["done"]
    assert [attempt for _, attempt, _ in outcomes(system)] == list(range(1, times + 2))


async def test_after_three_retries_a_conflict_is_the_answer(system: System, orders: Module) -> None:
    system.services.scoped(Session)
    order = Order(1)
    await orders.save(order)
    units = contended(orders, 99)
    result = await system.send(ShipOrder(order.id))
    assert [error.kind for error in result.errors] == ["conflict"]
    assert "Load it again" in result.errors[0].message
    assert len(units) == 4


@pytest.mark.parametrize(
    ("retries", "of_handler", "of_call", "attempts"),
    [(0, None, None, 1), (1, None, None, 2), (3, 0, None, 1), (0, 2, None, 3), (3, 3, 0, 1)],
)
async def test_how_often_is_said_for_the_system_for_the_handler_or_for_the_call(
    retries: int, of_handler: int | None, of_call: int | None, attempts: int
) -> None:
    system = System(seed=7, retry_conflicts=retries)
    orders = system.module("orders")
    order = Order(1)
    await orders.save(order)
    calls: list[int] = []

    @orders.handles(ShipOrder, retry_conflicts=of_handler)
    async def ship(command: ShipOrder, uow: UnitOfWork) -> None:
        calls.append(1)
        (await uow.get(Order, command.order_id)).ship()
        other = await orders.get(Order, command.order_id)
        other.ship()
        await orders.save(other)

    for sender in (system, orders, orders.mediator):
        calls.clear()
        result = await sender.send(ShipOrder(order.id), retry_conflicts=of_call)
        assert [error.kind for error in result.errors] == ["conflict"]
        assert len(calls) == attempts


# Bad input


async def test_a_command_without_a_handler_names_near_misses(
    system: System, orders: Module
) -> None:
    class PlaceOrdr(Command[None]): ...

    @orders.handles(PlaceOrder)
    def place(command: PlaceOrder) -> UUID:
        return uuid4()

    for send in (system.send, orders.send):
        with pytest.raises(HandlerNotFoundError, match="did you mean PlaceOrder"):
            await send(PlaceOrdr())


async def test_a_command_without_a_handler_says_how_to_register_one(
    system: System, orders: Module
) -> None:
    with pytest.raises(HandlerNotFoundError, match=r"@orders\.handles\(Ping\)"):
        await orders.send(Ping())
    with pytest.raises(HandlerNotFoundError, match=r"@module\.handles\(Ping\)"):
        await system.send(Ping())


async def test_a_command_that_another_module_handles_says_which(
    system: System, orders: Module
) -> None:
    @system.module("inventory").handles(Ping)
    def ping(command: Ping) -> str:
        return "pong"

    with pytest.raises(HandlerNotFoundError, match=r"module inventory does: use system\.send"):
        await orders.send(Ping())


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_second_handler_is_refused_and_the_first_stays(
    system: System, orders: Module, elsewhere: bool
) -> None:
    @orders.handles(Ping)
    def first(command: Ping) -> str:
        return "first"

    with pytest.raises(DuplicateHandlerError) as caught:

        @(system.module("inventory") if elsewhere else orders).handles(Ping)
        def second(command: Ping) -> str:
            return "second"

    assert "orders.first" in str(caught.value)
    assert "orders.forget('first')" in str(caught.value)
    assert orders.requests["Ping"].target is first


def test_a_command_of_a_taken_name_is_a_clash_and_no_duplicate(
    system: System, orders: Module
) -> None:
    @orders.handles(Ping)
    def first(command: Ping) -> str:
        return "first"

    other = type("Ping", (Command,), {"__module__": "elsewhere", "__qualname__": "Ping"})
    with pytest.raises(NameClashError, match=r"elsewhere\.Ping"):
        system.module("inventory").handles(other, name="second")(lambda command: None)
    assert system.contracts.get("Ping") is Ping


async def test_a_command_that_only_has_the_name_of_another_is_not_sent(
    system: System, orders: Module
) -> None:
    @orders.handles(Ping)
    def ping(command: Ping) -> str:
        return "pong"

    other: Any = type("Ping", (Command,), {"__module__": "elsewhere", "__qualname__": "Ping"})
    with pytest.raises(NameClashError, match=r"elsewhere\.Ping"):
        await system.send(other())


def test_a_handler_without_a_message_type_is_refused(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match="does not say which message it takes"):

        @orders.handles
        def ping(command) -> str:  # type: ignore[no-untyped-def]
            return "pong"


def test_a_handler_that_takes_no_message_is_refused(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match="ping takes no message"):

        @orders.handles(Ping)
        def ping() -> str:
            return "pong"


def test_a_handler_annotated_with_another_message_is_refused(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match="takes PlaceOrder, and is registered for Ping"):

        @orders.handles(Ping)
        def ping(command: PlaceOrder) -> str:
            return "pong"


@pytest.mark.parametrize("message", [OrderCreated, Order.Placed])
def test_only_commands_and_queries_are_handled(orders: Module, message: type) -> None:
    with pytest.raises(HandlerSignatureError, match=r"on\(\) for events"):
        orders.handles(message)


@pytest.mark.parametrize("message", [Command, Query])
def test_the_base_of_all_commands_is_no_command(orders: Module, message: type) -> None:
    with pytest.raises(HandlerSignatureError, match="name the one message"):
        orders.handles(message)


@pytest.mark.parametrize("wrong", [int, Order])
def test_what_is_neither_message_nor_handler_is_refused(orders: Module, wrong: type) -> None:
    with pytest.raises(HandlerSignatureError, match="neither the class of a message nor"):
        orders.handles(wrong)


def test_a_class_without_handle_is_no_handler(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match=r"without a method handle\(\)"):

        @orders.handles(Ping)
        class Pong: ...


def test_a_lambda_needs_a_name(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match="give name="):
        orders.handles(Ping)(lambda command: "pong")
    orders.handles(Ping, name="ping")(lambda command: "pong")
    assert orders.requests["Ping"].name == "ping"


def test_a_parameter_without_a_type_names_handler_and_parameter(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match=r"ping.*greeting.*no type annotation"):

        @orders.handles(Ping)
        def ping(command: Ping, greeting) -> str:  # type: ignore[no-untyped-def]
            return "pong"


class Warehouse(Protocol):
    def pick(self) -> None: ...


async def test_a_missing_service_names_handler_and_parameter_and_nothing_is_written(
    orders: Module,
) -> None:
    @orders.handles(Ping)
    def ping(command: Ping, uow: UnitOfWork, warehouse: Warehouse) -> str:
        uow.add(Order(1))
        return "pong"

    with pytest.raises(ServiceNotFoundError, match=r"ping.*warehouse: Warehouse"):
        await orders.send(Ping())
    assert topics(orders) == []


@pytest.mark.parametrize("wrong", [Ping, CountOrders(), OrderCreated(1), "ping"], ids=repr)
async def test_only_objects_of_commands_are_sent(orders: Module, wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes an object of a Command"):
        await orders.send(wrong)


def test_forgetting_what_is_not_there_is_an_error(orders: Module) -> None:
    with pytest.raises(Exception, match="orders has no handler 'ping'"):
        orders.forget("ping")


async def test_a_handler_with_a_pinned_name_is_forgotten_by_its_function(orders: Module) -> None:
    def ping(command: Ping) -> str:
        return "pong"

    orders.handles(Ping, name="pinned")(ping)
    orders.forget(ping)
    assert list(orders.handlers()) == []


def test_of_handlers_made_by_one_function_only_the_one_that_is_meant_is_forgotten(
    orders: Module,
) -> None:
    def made() -> Any:
        def ping(command: Ping) -> str:
            return "pong"

        return ping

    one, other = made(), made()
    orders.on(OrderCreated, name="one")(lambda created: None)
    orders.handles(Ping, name="made")(one)
    orders.on(OrderCreated, name="other")(other_handler := lambda created: None)
    orders.forget(other_handler)
    assert [handler.name for _, handler in orders.handlers()] == ["made", "one"]
    orders.forget(other)
    assert [handler.name for _, handler in orders.handlers()] == ["one"]


@pytest.mark.parametrize("wrong", [5, "Ping", None, Ping()], ids=repr)
def test_what_is_no_class_of_a_message_is_refused_as_such(orders: Module, wrong: Any) -> None:
    with pytest.raises(HandlerSignatureError, match="is neither the class of a message"):
        orders.handles(wrong)


def test_an_aggregate_in_place_of_its_event_is_refused_naming_its_events(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match=r"name one of its events, .*Order\.Placed"):
        orders.on(Order)


@pytest.mark.parametrize("call", ["handles", "on"])
def test_a_retry_that_is_no_retry_is_refused_by_the_handlers_name(
    orders: Module, call: str
) -> None:
    def pong(message: Any) -> None: ...

    message = Ping if call == "handles" else OrderCreated
    with pytest.raises(HandlerSignatureError, match=r"pong: retry= takes a Retry, .* not 3"):
        getattr(orders, call)(message, retry=3)(pong)


async def test_a_handler_may_take_what_only_the_function_around_it_knows(
    system: System, orders: Module
) -> None:
    class Greet(Command[str]): ...

    class Greeter:
        word = "hello"

    class Politely:
        def __init__(self, greeter: Greeter) -> None:
            self.greeter = greeter

    system.services.singleton(Greeter)
    system.services.singleton(Politely)

    @orders.handles
    def greet(command: Greet, politely: Politely) -> str:
        return politely.greeter.word

    assert await system.send(Greet()) == Success("hello")
