"""given, when, then: what passes, what fails, and what a failure says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import ANY
from uuid import UUID

import pytest

from modulus_es import (
    Aggregate,
    Clock,
    Command,
    DomainEvent,
    Error,
    Failure,
    IntegrationEvent,
    Module,
    ModulusError,
    Query,
    SerializationError,
    Success,
    System,
    SystemClock,
    UnitOfWork,
    event,
)
from modulus_es.clock import START
from modulus_es.testing import given, happened


class Order(Aggregate):
    @event("Placed")
    def __init__(self, customer: str, total: int = 10) -> None:
        self.customer, self.total, self.carrier = customer, total, ""

    def ship(self, carrier: str) -> str:
        if self.carrier:
            raise ValueError("it was shipped already")
        self._ship(carrier)
        return f"with {carrier}"

    @event("Shipped")
    def _ship(self, carrier: str) -> None:
        self.carrier = carrier

    def forget_the_carrier(self) -> None:
        self.carrier = ""


class Parcel(Aggregate):
    @event("Packed")
    def __init__(self) -> None: ...


PLACED = happened(Order.Placed, customer="Ada", total=42)
SHIPPED = happened(Order.Shipped, carrier="DHL")


def failure(test: Callable[[], Any]) -> str:
    with pytest.raises(AssertionError) as raised:
        test()
    return str(raised.value)


async def later_failure(test: Awaitable[Any]) -> str:
    with pytest.raises(AssertionError) as raised:
        await test
    return str(raised.value)


# Aggregates


def test_an_event_follows_from_a_history() -> None:
    outcome = given(Order, PLACED).when(lambda order: order.ship("DHL"))
    outcome.then(SHIPPED).then(Order.Shipped).then_state(carrier="DHL", total=42)
    outcome.then_answers("with DHL").then_replays()


def test_a_method_may_be_named_and_gets_its_arguments() -> None:
    given(Order, PLACED).when(Order.ship, "DHL").then(SHIPPED)


def test_an_aggregate_is_made_where_there_is_no_history() -> None:
    given(Order).when(lambda: Order("Ada")).then(happened(Order.Placed, customer="Ada", total=10))


def test_a_history_may_be_told_by_functions_and_by_events_themselves() -> None:
    by_functions = given(Order, lambda: Order("Ada", 42), lambda order: order.ship("DHL"))
    by_functions.when(Order.forget_the_carrier).then().then_state(carrier="", total=42)
    order = Order("Ada", 42)
    given(Order, *order.pending_events).when(Order.ship, "DHL").then(SHIPPED)


def test_a_default_need_not_be_told() -> None:
    given(Order, happened(Order.Placed, customer="Ada")).when(lambda _: None).then_state(total=10)


def test_only_the_fields_that_are_told_have_to_agree() -> None:
    made = given(Order).when(lambda: Order("Ada", 42))
    made.then(happened(Order.Placed, total=42))
    made.then(happened(Order.Placed, customer=ANY))


def test_ids_and_times_are_the_same_on_every_run() -> None:
    first, again = (given(Order).when(lambda: Order("Ada")) for _ in range(2))
    assert first.events == again.events
    assert given(Order, seed=8).when(lambda: Order("Ada")).events != first.events
    [placed] = given(Order).after(60).when(lambda: Order("Ada")).events
    assert (placed.occurred_on_utc - START).total_seconds() == 60


def test_a_test_of_an_aggregate_leaves_the_current_system_alone() -> None:
    system = System(seed=7)
    expected = System(seed=7).new_id()
    given(Order).when(lambda: Order("Ada")).then(Order.Placed)
    assert system.new_id() == expected


def test_an_error_that_is_expected_and_nothing_else() -> None:
    outcome = given(Order, PLACED, SHIPPED).when(Order.ship, "UPS")
    outcome.then_raises(ValueError, match="shipped already")


def test_a_failure_shows_what_differs() -> None:
    assert failure(lambda: given(Order, PLACED).when(Order.ship, "UPS").then(SHIPPED)) == (
        "given Order: Order.Placed(customer='Ada', total=42)\n"
        "then other events than expected (- expected, + happened):\n"
        "  - Order.Shipped(carrier='DHL')\n"
        "  ?                        ^^^\n"
        "  + Order.Shipped(carrier='UPS')\n"
        "  ?                        ^^^"
    )


def test_a_failure_shows_only_the_fields_that_were_told() -> None:
    said = failure(
        lambda: given(Order).when(lambda: Order("Ada", 42)).then(happened(Order.Placed, total=43))
    )
    assert "- Order.Placed(total=43, ...)" in said
    assert "Ada" not in said


@pytest.mark.parametrize("expected", [(), (SHIPPED, SHIPPED), (Order.Placed,)])
def test_too_few_too_many_and_other_events_fail(expected: Any) -> None:
    said = failure(lambda: given(Order, PLACED).when(Order.ship, "DHL").then(*expected))
    assert "other events than expected" in said


def test_an_error_that_is_not_expected_fails_and_is_the_cause() -> None:
    outcome = given(Order, PLACED, SHIPPED).when(Order.ship, "UPS")
    for then in (outcome.then, outcome.then_replays, lambda: outcome.then_answers(1)):
        assert "it raised ValueError: it was shipped already" in failure(then)


def test_an_error_that_does_not_come_fails() -> None:
    outcome = given(Order, PLACED).when(Order.ship, "UPS")
    assert "it raised nothing, not ValueError" in failure(lambda: outcome.then_raises(ValueError))
    raised = given(Order, PLACED, SHIPPED).when(Order.ship, "UPS")
    assert "not TypeError" in failure(lambda: raised.then_raises(TypeError))
    assert "not 'gone'" in failure(lambda: raised.then_raises(ValueError, match="gone"))


def test_another_state_or_answer_fails_by_name() -> None:
    outcome = given(Order, PLACED).when(Order.ship, "DHL")
    said = failure(lambda: outcome.then_state(carrier="UPS", weight=3, total=42))
    assert "carrier is 'DHL', not 'UPS'" in said
    assert "weight is not there, not 3" in said
    assert "total" not in said.partition("then")[2]
    assert "it answered 'with DHL', not 7" in failure(lambda: outcome.then_answers(7))


def test_a_change_beside_the_events_is_found_out() -> None:
    outcome = given(Order, PLACED, SHIPPED).when(Order.forget_the_carrier)
    said = failure(outcome.then_replays)
    assert "carrier is '', and 'DHL' when it is loaded again" in said


def test_a_history_that_cannot_have_happened_is_refused() -> None:
    with pytest.raises(ModulusError, match="cannot be the first"):
        given(Order, SHIPPED)
    with pytest.raises(ModulusError, match="can only be the first"):
        given(Order, PLACED, PLACED)
    with pytest.raises(TypeError, match="happened with which customer"):
        given(Order, Order.Placed)
    with pytest.raises(SerializationError, match=r"Order\.Placed\.total"):
        given(Order, happened(Order.Placed, customer="Ada", total="42"))
    with pytest.raises(TypeError, match="the events of one Order"):
        given(Order, Parcel.Packed)
    with pytest.raises(TypeError, match="no field 'totals'; did you mean"):
        happened(Order.Placed, totals=42)
    with pytest.raises(TypeError, match="takes the class"):
        happened("Order.Placed")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="aggregate class or a module"):
        given("orders")  # type: ignore[call-overload]


def test_a_coroutine_is_not_taken_for_a_change() -> None:
    async def ship(order: Order) -> None: ...

    with pytest.raises(TypeError, match=r"await given\(module"):
        given(Order, PLACED).when(ship)


# Modules


class OrderPlaced(IntegrationEvent):
    order_id: UUID
    total: int


class PaymentReceived(IntegrationEvent):
    order_id: UUID


class PlaceOrder(Command[UUID]):
    customer: str
    total: int


class ShipOrder(Command[str]):
    order_id: UUID


class Pack(Command[None]):
    order_id: UUID


class CountOrders(Query[int]): ...


class ShopClosed(DomainEvent): ...


def shop() -> Module:
    orders = System(seed=7).module("orders")

    @orders.handles(PlaceOrder)
    async def place_order(command: PlaceOrder, uow: UnitOfWork) -> UUID | Failure:
        if command.total < 0:
            return Failure(Error.validation("a total is positive"))
        order = Order(command.customer, command.total)
        uow.add(order)
        return order.id

    @orders.handles(ShipOrder)
    async def ship_order(command: ShipOrder, uow: UnitOfWork) -> str:
        order = await uow.get(Order, command.order_id)
        return order.ship("DHL")

    @orders.handles(CountOrders)
    def count(query: CountOrders) -> int:
        return sum(stored.topic == "Order.Placed" for stored in orders.stored_events())

    @orders.projects(Order.Placed)
    def order_placed(placed: Order.Placed) -> OrderPlaced:
        return OrderPlaced(placed.originator_id, placed.total)

    @orders.on(PaymentReceived)
    async def ship(received: PaymentReceived, uow: UnitOfWork) -> None:
        order = await uow.get(Order, received.order_id)
        order.ship("UPS")
        uow.send(Pack(received.order_id), to="warehouse")

    return orders


async def test_a_command_has_events_messages_and_a_result() -> None:
    outcome = await (
        given(shop())
        .when(PlaceOrder("Ada", 42))
        .then(events=[PLACED], published=[happened(OrderPlaced, total=42)], result=Success)
    )
    assert outcome.result.value == outcome.events[0].originator_id
    assert outcome.published[0].order_id == outcome.result.value


async def test_a_history_is_stored_and_nobody_hears_of_it() -> None:
    orders, id_ = shop(), UUID(int=1)
    past = happened(Order.Placed, id_, customer="Ada")
    await (
        given(orders, past)
        .when(ShipOrder(id_))
        .then(events=[happened(Order.Shipped, id_, carrier="DHL")], published=[], result="with DHL")
    )


async def test_an_aggregate_nobody_saved_is_a_history() -> None:
    order = Order("Ada")
    await given(shop(), order).when(ShipOrder(order.id)).then(events=[SHIPPED])


async def test_what_follows_from_commands_of_the_history_is_history() -> None:
    orders = shop()
    await (
        given(orders, PlaceOrder("Ada", 1), PlaceOrder("Bob", 2))
        .when(CountOrders())
        .then(events=[], published=[], result=2)
    )


async def test_an_integration_event_is_handled() -> None:
    order = Order("Ada")
    await (
        given(shop(), order)
        .when(PaymentReceived(order.id))
        .then(events=[happened(Order.Shipped, carrier="UPS")], published=[Pack(order.id)])
    )


async def test_a_handler_that_gives_up_is_never_passed_over() -> None:
    test = given(shop()).when(PaymentReceived(UUID(int=1)))
    said = await later_failure(test.then(events=[]))
    assert "then 'ship' gave up, not nothing" in said
    assert "AggregateNotFoundError" in said
    outcome = await given(shop()).when(PaymentReceived(UUID(int=1))).then(dead=["ship"], events=[])
    assert list(outcome.dead) == ["ship"]


async def test_a_failure_that_nobody_expects_is_never_passed_over() -> None:
    said = await later_failure(given(shop()).when(PlaceOrder("Ada", -1)).then(events=[]))
    assert "it answered Failure(Error('a total is positive', kind='validation'))" in said


async def test_a_failure_may_be_expected() -> None:
    test = given(shop()).when(PlaceOrder("Ada", -1))
    await test.then_fails("validation", match="positive")
    await test.then(result=Error.validation("a total is positive"))
    assert "not conflict" in await later_failure(test.then_fails("conflict"))


async def test_an_error_may_be_expected() -> None:
    order = Order("Ada")
    test = given(shop(), order, ShipOrder(order.id)).when(ShipOrder(order.id))
    error = await test.then_raises(ValueError, match="shipped already")
    assert isinstance(error, ValueError)
    said = await later_failure(given(shop()).when(CountOrders()).then_raises(ValueError))
    assert "it raised nothing, not ValueError, and answered Success(0)" in said


async def test_a_failure_of_a_module_tells_the_whole_story() -> None:
    order = Order("Ada")
    test = given(shop(), order).after(60).when(ShipOrder(order.id))
    said = await later_failure(test.then(events=[happened(Order.Shipped, carrier="UPS")]))
    assert said == (
        f"given orders: {order!r}\n"
        "after 60 s\n"
        f"when ShipOrder(order_id={order.id!r})\n"
        "then other events than expected (- expected, + happened):\n"
        "  - Order.Shipped(carrier='UPS')\n"
        "  ?                        ^^^\n"
        "  + Order.Shipped(carrier='DHL')\n"
        "  ?                        ^^^"
    )


async def test_other_messages_and_results_fail() -> None:
    test = given(shop()).when(PlaceOrder("Ada", 42))
    assert "other messages than expected" in await later_failure(test.then(published=[]))
    said = await later_failure(given(shop()).when(CountOrders()).then(result=3))
    assert "it answered Success(0), not Success(3)" in said
    assert "other events" in await later_failure(
        given(shop()).when(PlaceOrder("Ada", 1)).then_nothing()
    )


async def test_virtual_time_passes_before_what_is_done() -> None:
    orders = shop()
    seen: list[float] = []

    async def look(module: Module) -> None:
        seen.append((module.system.now() - START).total_seconds())

    await given(orders).after(90).when(look).then_nothing()
    assert seen == [90]


async def test_a_handler_that_waits_takes_no_time() -> None:
    orders = shop()

    @orders.on(OrderPlaced)
    async def wait(placed: OrderPlaced, clock: Clock, uow: UnitOfWork) -> None:
        await clock.sleep(3600)
        uow.add(Parcel())

    await given(orders).when(OrderPlaced(UUID(int=1), 42)).then(events=[Parcel.Packed])


async def test_a_domain_event_is_published() -> None:
    orders = shop()

    @orders.on(ShopClosed)
    async def note(closed: ShopClosed, uow: UnitOfWork) -> None:
        uow.add(Parcel())

    await given(orders).when(ShopClosed()).then(events=[Parcel.Packed])


async def test_what_cannot_be_done_says_so() -> None:
    with pytest.raises(AssertionError, match="no handler in orders for OrderPlaced"):
        await given(shop()).when(OrderPlaced(UUID(int=1), 42)).then_nothing()
    with pytest.raises(TypeError, match="is done, not 'PlaceOrder'"):
        await given(shop()).when("PlaceOrder").then_nothing()
    with pytest.raises(AssertionError, match="given: PlaceOrder"):
        await given(shop(), PlaceOrder("Ada", -1)).when(CountOrders()).then_nothing()
    live = System(clock=SystemClock()).module("orders")
    with pytest.raises(TypeError, match="virtual clock"):
        await given(live).when(CountOrders()).then_nothing()
