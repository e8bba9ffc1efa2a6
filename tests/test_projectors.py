"""Projectors: pure, in order, before the commit, and the same bytes whenever they run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from ordering import Order, OrderCreated, topics

from modulus_es import (
    Aggregate,
    DomainEvent,
    HandlerSignatureError,
    IntegrationEvent,
    Module,
    ProjectionError,
    Projector,
    SerializationError,
    System,
    UnitOfWork,
    event,
)
from modulus_es.clock import START
from modulus_es.ids import projected_id


class Stock(Aggregate):
    @event("Counted")
    def __init__(self) -> None: ...


class OrderAudited(IntegrationEvent):
    status: str


class Noticed(DomainEvent): ...


def bodies(module: Module) -> list[bytes]:
    return [row.envelope.body for row in module.outbox]


# What it makes


def one(placed: Order.Placed) -> OrderCreated:
    return OrderCreated(placed.total)


async def one_async(placed: Order.Placed) -> OrderCreated:
    return OrderCreated(placed.total)


def several(placed: Order.Placed) -> list[OrderCreated]:
    return [OrderCreated(placed.total)] * 2


def several_yielded(placed: Order.Placed) -> Iterator[OrderCreated]:
    yield OrderCreated(placed.total)
    yield OrderCreated(placed.total)


async def several_async(placed: Order.Placed) -> AsyncIterator[OrderCreated]:
    yield OrderCreated(placed.total)
    yield OrderCreated(placed.total)


def nothing(placed: Order.Placed) -> None: ...


def no_events(placed: Order.Placed) -> tuple[OrderCreated, ...]:
    return ()


class Made(Projector[Order.Placed]):
    def project(self, event: Order.Placed) -> OrderCreated:
        return OrderCreated(event.total)


@pytest.mark.parametrize(
    ("projector", "count"),
    [
        (one, 1),
        (one_async, 1),
        (several, 2),
        (several_yielded, 2),
        (several_async, 2),
        (nothing, 0),
        (no_events, 0),
        (Made, 1),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_projector_answers_an_event_several_or_none(
    orders: Module, projector: Any, count: int
) -> None:
    orders.projects(Order.Placed)(projector)
    await orders.save(Order(3))
    assert bodies(orders) == [b'{"total":3}'] * count


async def test_projectors_run_on_the_recorded_events_in_order(orders: Module) -> None:
    @orders.projects(Order.Placed)
    def second(placed: Order.Placed) -> OrderCreated:
        return OrderCreated(placed.total)

    @orders.projects(Order.Placed)
    def third(placed: Order.Placed) -> OrderAudited:
        return OrderAudited("placed")

    @orders.projects(Order.Shipped)
    def fourth(shipped: Order.Shipped) -> OrderAudited:
        return OrderAudited("shipped")

    order = Order(1)
    order.ship()
    await orders.save(order, Order(2))
    assert bodies(orders) == [
        b'{"total":1}',
        b'{"status":"placed"}',
        b'{"status":"shipped"}',
        b'{"total":2}',
        b'{"status":"placed"}',
    ]


# The aggregate, as it was then


class Audit(Projector[Order.Event]):
    def project(self, event: Order.Event, order: Order) -> OrderAudited:
        return OrderAudited(f"{order.status} v{order.version}")


async def test_a_projector_may_take_the_aggregate_as_it_was_at_the_events_version(
    orders: Module,
) -> None:
    orders.projects(Audit)
    order = Order(1)
    order.ship()
    await orders.save(order)
    order.ship()
    await orders.save(order)
    assert bodies(orders) == [
        b'{"status":"placed v1"}',
        b'{"status":"shipped v2"}',
        b'{"status":"shipped v3"}',
    ]


async def test_what_a_projector_does_to_the_aggregate_changes_nothing(orders: Module) -> None:
    @orders.projects(Order.Placed)
    def meddle(placed: Order.Placed, order: Order) -> None:
        order.ship()

    order = Order(1)
    await orders.save(order)
    assert order.status == "placed"
    assert topics(orders) == ["Order.Placed"]


# Deterministic


async def test_the_event_id_derives_from_event_projector_and_index(orders: Module) -> None:
    orders.projects(Order.Placed)(several)
    order = Order(1)
    placed: Any = order.pending_events[0]
    await orders.save(order)
    assert [row.envelope.message_id for row in orders.outbox] == [
        str(projected_id(placed.id, "several", index)) for index in (0, 1)
    ]


async def test_time_key_correlation_and_causation_are_the_domain_events(
    system: System, orders: Module
) -> None:
    orders.projects(Order.Placed)(one)
    with system.current():
        order = Order(1)
    placed: Any = order.pending_events[0]
    await system.advance(60)
    await orders.save(order)
    envelope = next(iter(orders.outbox)).envelope
    assert envelope.occurred_on == placed.occurred_on_utc == START
    assert system.now() == START + timedelta(seconds=60)
    assert envelope.key == str(order.id)
    assert envelope.causation_id == str(placed.id)
    recorded = orders.mapper.read(next(orders.stored_events()))
    assert envelope.correlation_id == recorded.correlation_id


async def test_a_projector_may_set_a_conversation_of_its_own(orders: Module) -> None:
    @orders.projects(Order.Placed)
    def own(placed: Order.Placed) -> OrderCreated:
        return OrderCreated(placed.total, correlation_id="mine")

    await orders.save(Order(1))
    assert next(iter(orders.outbox)).envelope.correlation_id == "mine"


async def test_replaying_gives_the_same_bytes_and_consumers_recognise_them(
    system: System, orders: Module
) -> None:
    orders.projects(Order.Placed)(several)
    orders.projects(Audit)
    received: list[UUID] = []

    @system.module("inventory").on(OrderCreated)
    def receive(created: OrderCreated) -> None:
        received.append(created.event_id)

    order = Order(1)
    order.ship()
    await orders.save(order, Order(2))
    await system.run()
    first = [row.envelope for row in orders.outbox]
    await system.advance(3600)
    assert await orders.replay(several) == 4
    assert await orders.replay(Audit) == 3
    again = [row.envelope for row in list(orders.outbox)[len(first) :]]

    def by_id(envelopes: list[Any]) -> list[tuple[Any, ...]]:
        return sorted(
            (e.message_id, e.body, e.correlation_id, e.causation_id, e.key, e.occurred_on)
            for e in envelopes
        )

    assert by_id(again) == by_id(first)
    await system.run()
    assert len(received) == len(set(received)) == 4


@pytest.mark.parametrize("as_position", [True, False])
async def test_a_replay_begins_at_a_time_or_a_position(
    system: System, orders: Module, as_position: bool
) -> None:
    with system.current():
        await orders.save(Order(1))
        await system.advance(60)
        await orders.save(Order(2))
    orders.projects(Order.Placed)(one)
    since: Any = 2 if as_position else START + timedelta(seconds=60)
    assert await orders.replay("one", since=since) == 1
    assert bodies(orders) == [b'{"total":2}']


async def test_a_projector_registered_later_backfills_from_history(orders: Module) -> None:
    await orders.save(*(Order(n) for n in range(250)))
    orders.projects(Order.Placed)(one)
    assert await orders.replay(one) == 250
    assert len(orders.outbox) == 250


async def test_a_name_pins_a_projector_through_a_rename(orders: Module) -> None:
    orders.projects(Order.Placed, name="order-created")(one)
    await orders.save(Order(1))
    orders.forget("order-created")

    def renamed(placed: Order.Placed) -> OrderCreated:
        return OrderCreated(placed.total)

    orders.projects(Order.Placed, name="order-created")(renamed)
    await orders.replay("order-created")
    before, after = (row.envelope.message_id for row in orders.outbox)
    assert before == after


async def test_a_projection_is_traced(system: System, orders: Module) -> None:
    orders.projects(Order.Placed)(one)
    await orders.save(Order(1))
    (record,) = system.trace.of_kind("project")
    assert (record.type, record.handler) == ("OrderCreated", "one")
    assert record.message_id == next(iter(orders.outbox)).envelope.message_id


# Bad input


@pytest.mark.parametrize(
    "answer",
    [OrderCreated, 3, "text", b"bytes", {"total": 1}, [OrderCreated(1), 3], [None], Noticed()],
    ids=repr,
)
async def test_a_projector_that_answers_something_else_is_named_and_nothing_is_written(
    orders: Module, answer: Any
) -> None:
    @orders.projects(Order.Placed)
    def wrong(placed: Order.Placed) -> Any:
        return answer

    with pytest.raises(ProjectionError, match=r"projector wrong made .* of Order\.Placed"):
        await orders.save(Order(1))
    assert (topics(orders), len(orders.outbox)) == ([], 0)


async def test_a_projected_value_that_cannot_travel_is_named_and_nothing_is_written(
    orders: Module,
) -> None:
    @orders.projects(Order.Placed)
    def wrong(placed: Order.Placed) -> OrderCreated:
        return OrderCreated("three")  # type: ignore[arg-type]

    with pytest.raises(SerializationError) as caught:
        await orders.save(Order(1))
    assert caught.value.path == "OrderCreated.total"
    assert (topics(orders), len(orders.outbox)) == ([], 0)


def takes_a_unit_of_work(placed: Order.Placed, uow: UnitOfWork) -> None: ...


def takes_another_aggregate(placed: Order.Placed, stock: Stock) -> None: ...


def takes_two(placed: Order.Placed, order: Order, other: Order) -> None: ...


class IsMadeOfSomething(Projector[Order.Placed]):
    def __init__(self, uow: UnitOfWork) -> None: ...

    def project(self, event: Order.Placed) -> None: ...


@pytest.mark.parametrize(
    "projector",
    [takes_a_unit_of_work, takes_another_aggregate, takes_two, IsMadeOfSomething],
    ids=lambda projector: projector.__name__,
)
def test_a_projector_that_is_not_pure_is_refused(orders: Module, projector: Any) -> None:
    with pytest.raises(HandlerSignatureError, match="is pure and takes its event"):
        orders.projects(Order.Placed)(projector)
    assert list(orders.handlers()) == []


async def test_a_parameter_with_a_default_keeps_it(orders: Module) -> None:
    @orders.projects(Order.Placed)
    def taxed(placed: Order.Placed, tax: int = 2) -> OrderCreated:
        return OrderCreated(placed.total * tax)

    await orders.save(Order(3))
    assert bodies(orders) == [b'{"total":6}']


@pytest.mark.parametrize("message", [Noticed, OrderCreated])
def test_only_recorded_events_are_projected(orders: Module, message: type) -> None:
    with pytest.raises(HandlerSignatureError, match="events that an aggregate records"):
        orders.projects(message)


async def test_replaying_a_projector_that_is_not_there_is_an_error(orders: Module) -> None:
    with pytest.raises(HandlerSignatureError, match="orders has no projector 'one'"):
        await orders.replay(one)


@pytest.mark.parametrize("said", [one, "pinned"], ids=["function", "name"])
async def test_a_pinned_projector_is_replayed_by_its_function_and_by_its_name(
    orders: Module, said: Any
) -> None:
    await orders.save(Order(3))
    orders.projects(Order.Placed, name="pinned")(one)
    assert await orders.replay(said) == 1
    assert bodies(orders) == [b'{"total":3}']


async def test_a_replay_of_nothing_registered_says_which_projectors_there_are(
    orders: Module,
) -> None:
    orders.projects(Order.Placed, name="pinned")(one)
    with pytest.raises(HandlerSignatureError, match="no projector 'several'; it has pinned"):
        await orders.replay(several)


async def test_a_replay_since_something_else_is_refused(orders: Module) -> None:
    orders.projects(Order.Placed)(one)
    with pytest.raises(TypeError, match="a time or a position"):
        await orders.replay(one, since="yesterday")  # type: ignore[arg-type]


def test_a_class_that_does_not_project_is_refused() -> None:
    class Announce:
        def handle(self, placed: Order.Placed) -> OrderCreated: ...  # type: ignore[name-defined,empty-body]

    with pytest.raises(HandlerSignatureError, match=r"a class without a method project\(\)"):
        System(seed=7).module("orders").projects(Order.Placed)(Announce)
