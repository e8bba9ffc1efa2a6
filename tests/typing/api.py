"""What a type checker infers of the public API; checked by mypy in the gate, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type
from uuid import UUID

from modulus_es import (
    Aggregate,
    Command,
    IntegrationEvent,
    Query,
    Result,
    Run,
    Step,
    StreamQuery,
    System,
    UnitOfWork,
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
    pass


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
