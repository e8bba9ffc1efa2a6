"""How deep commands may send commands and events cause events, to the level."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from ordering import Order, topics

from modulus_es import (
    CascadeDepthError,
    Command,
    DomainEvent,
    Module,
    PublishError,
    System,
    UnitOfWork,
)
from modulus_es.cascade import DEPTH_LIMIT, UNTRACKED


class Pack(Command[None]): ...


class Noticed(DomainEvent): ...


@pytest.fixture
def orders() -> Module:
    return System(seed=7).module("orders")


@pytest.mark.parametrize("what", ["events", "classes", "events in units of work", "commands"])
async def test_a_cascade_of_exactly_so_many_levels_is_allowed_and_one_more_is_not(
    orders: Module, what: str
) -> None:
    deepest = UNTRACKED + DEPTH_LIMIT
    reached = 0
    wanted = deepest

    async def on(go_on: Callable[[], Awaitable[object]]) -> None:
        nonlocal reached
        reached += 1
        if reached < wanted:
            await go_on()

    if what == "classes":

        @orders.on(Noticed)
        class Again:
            async def handle(self, noticed: Noticed) -> None:
                await on(lambda: orders.publish(noticed))

    elif what == "events in units of work":

        @orders.on(Noticed)
        async def in_unit(noticed: Noticed, uow: UnitOfWork) -> None:
            await on(lambda: orders.publish(noticed))

    else:

        @orders.on(Noticed)
        async def again(noticed: Noticed) -> None:
            await on(lambda: orders.publish(noticed))

    @orders.handles(Pack)
    async def pack(command: Pack) -> None:
        await on(lambda: orders.send(command))

    async def begin() -> None:
        nonlocal reached
        reached = 0
        await (orders.send(Pack()) if what == "commands" else orders.publish(Noticed()))

    await begin()
    assert reached == deepest
    wanted = deepest + 1
    with pytest.raises((CascadeDepthError, PublishError)):
        await begin()
    assert reached == deepest
    assert orders.system.cascades.open == 0


async def test_before_commit_handlers_may_add_events_so_often_and_not_once_more(
    orders: Module,
) -> None:
    wanted = DEPTH_LIMIT - 1  # the first event is a level as well
    added = 0

    @orders.on(Order.Placed, phase="before_commit")
    def again(placed: Order.Placed, uow: UnitOfWork) -> None:
        nonlocal added
        if added < wanted:
            added += 1
            uow.add(Order(1))

    await orders.save(Order(1))
    assert len(topics(orders)) == DEPTH_LIMIT
    added, wanted = 0, DEPTH_LIMIT
    with pytest.raises(CascadeDepthError, match=r"the last of them Order\.Placed"):
        await orders.save(Order(1))
    assert len(topics(orders)) == DEPTH_LIMIT
