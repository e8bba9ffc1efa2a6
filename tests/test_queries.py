"""Queries and stream queries: they answer, and change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import pytest
from ordering import topics

from modulus_es import (
    Aggregate,
    Command,
    DuplicateHandlerError,
    Error,
    Failure,
    HandlerNotFoundError,
    HandlerResultError,
    IntegrationEvent,
    Mediator,
    Module,
    ModulusError,
    Query,
    QueryHandler,
    StreamQuery,
    StreamQueryHandler,
    Success,
    System,
    UnitOfWork,
    ambient,
    event,
)


class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: int) -> None:
        self.total = total

    @event("Changed")
    def change(self, total: int) -> None:
        self.total = total


class Total(Query[int]):
    order_id: UUID


class CountOrders(Query[int]): ...


class CountCustomers(Query[int]): ...


class ListTotals(StreamQuery[int]):
    up_to: int = 3


class Ping(Command[None]): ...


class Pinged(IntegrationEvent): ...


# Queries


@pytest.mark.parametrize("route", ["system", "module", "mediator"])
async def test_system_module_and_mediator_query_alike(
    system: System, orders: Module, route: str
) -> None:
    @orders.handles(Total)
    async def total(query: Total, uow: UnitOfWork) -> int:
        return (await uow.get(Order, query.order_id)).total

    order = Order(42)
    await orders.save(order)
    routes: dict[str, Any] = {"system": system, "module": orders, "mediator": orders.mediator}
    assert await routes[route].query(Total(order.id)) == Success(42)


async def test_two_queries_on_one_class_reach_their_own_handlers(orders: Module) -> None:
    class Counter(QueryHandler[CountOrders]):
        def handle(self, query: CountOrders) -> int:
            return 1

    class Another(Counter, QueryHandler[CountCustomers]):
        def handle(self, query: CountCustomers) -> int:  # type: ignore[override]
            return 2

    orders.handles(CountOrders)(Counter)
    orders.handles(CountCustomers)(Another)
    assert await orders.query(CountOrders()) == Success(1)
    assert await orders.query(CountCustomers()) == Success(2)


async def test_two_queries_with_one_function_reach_it_both(orders: Module) -> None:
    def count(query: Any) -> str:
        return type(query).__name__

    orders.handles(CountOrders)(count)
    orders.handles(CountCustomers)(count)
    assert await orders.query(CountOrders()) == Success("CountOrders")
    assert await orders.query(CountCustomers()) == Success("CountCustomers")


async def test_two_queries_with_one_result_type_reach_their_own_handlers(orders: Module) -> None:
    @orders.handles(CountOrders)
    def count_orders(query: CountOrders) -> int:
        return 1

    @orders.handles(CountCustomers)
    async def count_customers(query: CountCustomers) -> int:
        return 2

    assert await orders.query(CountOrders()) == Success(1)
    assert await orders.query(CountCustomers()) == Success(2)


@pytest.mark.parametrize("answer", [Error.not_found("none"), Failure(Error.not_found("none"))])
async def test_a_query_may_fail(orders: Module, answer: Any) -> None:
    @orders.handles(CountOrders)
    def count(query: CountOrders) -> Any:
        return answer

    assert await orders.query(CountOrders()) == Failure(Error.not_found("none"))


async def test_a_query_that_answers_none_is_refused(orders: Module) -> None:
    @orders.handles(CountOrders)
    def count(query: CountOrders) -> Any:
        return None

    with pytest.raises(HandlerResultError, match="CountOrders, which promises int"):
        await orders.query(CountOrders())


async def test_a_query_that_changes_something_is_refused_and_nothing_is_written(
    orders: Module,
) -> None:
    order = Order(42)
    await orders.save(order)

    @orders.handles(Total)
    async def total(query: Total, uow: UnitOfWork) -> int:
        (await uow.get(Order, query.order_id)).change(43)
        return 43

    @orders.handles(CountOrders)
    def count(query: CountOrders, uow: UnitOfWork) -> int:
        uow.publish(Pinged())
        return 1

    for query in (Total(order.id), CountOrders()):
        with pytest.raises(ModulusError, match="changed something, and a query must not"):
            await orders.query(query)
    assert topics(orders) == ["Order.Placed"]
    assert len(orders.outbox) == 0


async def test_a_query_is_traced(system: System, orders: Module) -> None:
    @orders.handles(CountOrders)
    def count(query: CountOrders) -> int:
        return 1

    await system.query(CountOrders())
    (record,) = system.trace.of_kind("query")
    assert (record.type, record.handler, record.outcome) == ("CountOrders", "count", "done")


async def test_a_query_inside_a_handler_does_not_see_what_is_not_committed(
    orders: Module,
) -> None:
    @orders.handles(CountOrders)
    def count(query: CountOrders) -> int:
        return len(topics(orders))

    @orders.handles(Ping)
    async def ping(command: Ping, uow: UnitOfWork, mediator: Mediator) -> None:
        uow.add(Order(1))
        assert await mediator.query(CountOrders()) == Success(0)

    assert await orders.send(Ping()) == Success(None)


async def test_a_query_without_a_handler_names_near_misses(orders: Module) -> None:
    class CountOrder(Query[int]): ...

    @orders.handles(CountOrders)
    def count(query: CountOrders) -> int:
        return 1

    with pytest.raises(HandlerNotFoundError, match=r"query CountOrder .*did you mean CountOrder"):
        await orders.query(CountOrder())


def test_a_second_handler_of_a_query_is_refused(orders: Module) -> None:
    orders.handles(CountOrders, name="first")(lambda query: 1)

    def count(query: CountOrders) -> int:
        return 2

    with pytest.raises(DuplicateHandlerError, match="a query has one handler"):
        orders.handles(CountOrders)(count)


@pytest.mark.parametrize("wrong", [CountOrders, Ping(), ListTotals(), 3], ids=repr)
async def test_only_objects_of_queries_are_asked(orders: Module, wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes an object of a Query"):
        await orders.query(wrong)


# Stream queries


async def collected(answers: AsyncIterator[Any]) -> list[Any]:
    return [answer async for answer in answers]


def count_up(query: ListTotals) -> Iterator[int]:
    yield from range(query.up_to)


async def count_up_async(query: ListTotals) -> AsyncIterator[int]:
    for n in range(query.up_to):
        await asyncio.sleep(0)
        yield n


def count_up_list(query: ListTotals) -> list[int]:
    return list(range(query.up_to))


async def count_up_list_async(query: ListTotals) -> list[int]:
    return list(range(query.up_to))


class CountUp(StreamQueryHandler[ListTotals]):
    def __init__(self, start: int) -> None:
        self.start = start

    async def handle(self, query: ListTotals, step: str) -> AsyncIterator[int]:
        for n in range(self.start, query.up_to, len(step)):
            yield n


@pytest.mark.parametrize(
    "handler", [count_up, count_up_async, count_up_list, count_up_list_async, CountUp]
)
@pytest.mark.parametrize("route", ["system", "module", "mediator"])
async def test_a_stream_query_is_answered_one_after_the_other(
    system: System, orders: Module, handler: Any, route: str
) -> None:
    system.services.singleton(int, 0)
    system.services.singleton(str, "x")
    orders.handles(ListTotals)(handler)
    routes: dict[str, Any] = {"system": system, "module": orders, "mediator": orders.mediator}
    assert await collected(routes[route].stream(ListTotals())) == [0, 1, 2]


async def test_a_stream_loads_through_its_unit_of_work(orders: Module) -> None:
    order = Order(42)
    await orders.save(order)

    @orders.handles(ListTotals)
    async def totals(query: ListTotals, uow: UnitOfWork) -> AsyncIterator[int]:
        yield (await uow.get(Order, order.id)).total

    assert await collected(orders.stream(ListTotals())) == [42]


async def test_a_stream_that_changes_something_is_refused(orders: Module) -> None:
    @orders.handles(ListTotals)
    async def totals(query: ListTotals, uow: UnitOfWork) -> AsyncIterator[int]:
        uow.add(Order(1))
        yield 1

    with pytest.raises(ModulusError, match="a query must not"):
        await collected(orders.stream(ListTotals()))
    assert topics(orders) == []


async def test_a_stream_that_is_left_early_is_cleaned_up(system: System, orders: Module) -> None:
    log: list[str] = []

    async def session() -> AsyncIterator[str]:
        yield "session"
        log.append("session closed")

    system.services.scoped(str, session)

    @orders.handles(ListTotals)
    async def totals(query: ListTotals, session: str) -> AsyncIterator[int]:
        try:
            for n in range(query.up_to):
                yield n
        finally:
            log.append("handler left")

    stream: Any = orders.stream(ListTotals())
    assert await anext(stream) == 0
    await stream.aclose()
    assert log == ["handler left", "session closed"]
    assert [record.outcome for record in system.trace.of_kind("stream")] == ["done"]


async def test_nothing_ambient_is_held_across_a_yield(system: System, orders: Module) -> None:
    inside: list[object] = []

    @orders.handles(ListTotals)
    async def totals(query: ListTotals) -> AsyncIterator[int]:
        for n in range(query.up_to):
            inside.append(ambient.chosen())
            yield n

    outside = [ambient.chosen() async for _ in orders.stream(ListTotals())]
    assert inside == [system] * 3
    assert outside == [None] * 3


async def test_an_error_in_a_stream_is_raised_where_it_is_consumed(
    system: System, orders: Module
) -> None:
    @orders.handles(ListTotals)
    async def totals(query: ListTotals) -> AsyncIterator[int]:
        yield 1
        raise LookupError("no more")

    stream = orders.stream(ListTotals())
    assert await anext(stream) == 1
    with pytest.raises(LookupError, match="no more"):
        await anext(stream)
    assert [record.outcome for record in system.trace.of_kind("stream")] == ["failed"]


@pytest.mark.parametrize("answer", [None, 3, "abc"])
async def test_a_stream_handler_that_does_not_yield_is_refused(orders: Module, answer: Any) -> None:
    orders.handles(ListTotals, name="totals")(lambda query: answer)
    with pytest.raises(HandlerResultError, match="yields its answers"):
        await collected(orders.stream(ListTotals()))


async def test_a_stream_without_a_handler_says_so_at_once(system: System, orders: Module) -> None:
    with pytest.raises(HandlerNotFoundError, match="the stream query ListTotals"):
        orders.stream(ListTotals())
    with pytest.raises(HandlerNotFoundError):
        system.stream(ListTotals())


@pytest.mark.parametrize("wrong", [ListTotals, CountOrders(), 3], ids=repr)
def test_only_objects_of_stream_queries_are_streamed(orders: Module, wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes an object of a StreamQuery"):
        orders.stream(wrong)
