"""What a type checker infers of the public API; checked by mypy in the gate, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import assert_type
from uuid import UUID

from modulus_es import (
    Aggregate,
    Command,
    IntegrationEvent,
    Query,
    QueryHandler,
    Result,
    Run,
    Step,
    StreamQuery,
    System,
    UnitOfWork,
    event,
)


class PlaceOrder(Command[UUID]):
    customer: str


class CountOrders(Query[int]):
    pass


class ListOrders(StreamQuery[str]):
    pass


class OrderCreated(IntegrationEvent):
    order_id: UUID


class Order(Aggregate):
    class Placed(Aggregate.Created):
        customer: str

    class Shipped(Aggregate.Event):
        carrier: str

    @event(Placed)
    def __init__(self, customer: str) -> None:
        self.customer = customer

    @event(Shipped)
    def ship(self, carrier: str) -> None:
        self.carrier = carrier

    @event("Closed")
    def close(self) -> None: ...

    @event
    def reopen(self) -> None: ...


orders = System(seed=7).module("orders")


@orders.handles(PlaceOrder)
async def place_order(command: PlaceOrder, uow: UnitOfWork) -> UUID:
    order = Order(command.customer)
    uow.add(order)
    return order.id


@orders.projects(Order.Placed)
def order_created(placed: Order.Placed) -> OrderCreated:
    assert_type(placed.occurred_on_utc, datetime)
    return OrderCreated(placed.originator_id)


@orders.on(Order.Placed, phase="before_commit")
def check(placed: Order.Placed) -> None:
    assert_type(placed.id, UUID)
    assert_type(placed.customer, str)


@orders.on(OrderCreated)
class Reserve:
    async def handle(self, created: OrderCreated) -> None: ...


@orders.handles
class CountThem(QueryHandler[CountOrders]):
    def handle(self, query: CountOrders) -> int:
        return 3


async def what_a_decorator_leaves_as_it_is(order: Order) -> None:
    assert_type(await place_order(PlaceOrder("Ada"), UnitOfWork(orders)), UUID)
    assert_type(Reserve(), Reserve)
    assert_type(CountThem(), CountThem)
    assert_type(Order("Ada").ship("DHL"), None)
    assert_type(order.id, UUID)


async def requests(system: System) -> None:
    orders = system.module("orders")
    assert_type(await system.send(PlaceOrder("Ada")), Result[UUID])
    assert_type(await orders.send(PlaceOrder(customer="Ada")), Result[UUID])
    assert_type(await orders.mediator.send(PlaceOrder("Ada")), Result[UUID])
    assert_type(await system.query(CountOrders()), Result[int])
    assert_type(await orders.query(CountOrders()), Result[int])
    assert_type(system.stream(ListOrders()), AsyncIterator[str])
    assert_type(orders.stream(ListOrders()), AsyncIterator[str])
    assert_type((await system.send(PlaceOrder("Ada"))).value, UUID)


async def runs(system: System) -> None:
    assert_type(await system.run(), Run)
    assert_type(await system.step(), Step | None)
    assert_type(await system.advance(60), Run)


async def aggregates(uow: UnitOfWork, order_id: UUID) -> None:
    assert_type(await uow.get(Order, order_id), Order)
    assert_type(await uow.module.get(Order, order_id), Order)


def contracts() -> None:
    created = OrderCreated(UUID(int=1), correlation_id="checkout-17")
    assert_type(created.order_id, UUID)
    assert_type(created.event_id, UUID)
    assert_type(created.correlation_id, str | None)
