"""An event class that was published before goes a shorter way, on which nothing is different."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from modulus_es import (
    Aggregate,
    DomainEvent,
    Module,
    ModulusError,
    PublishError,
    StaleSystemError,
    System,
    SystemClock,
    TraceRecord,
    ambient,
    event,
)


class Noticed(DomainEvent):
    what: str = ""


class Order(Aggregate):
    @event("Placed")
    def __init__(self) -> None: ...


class World:
    """Three handlers, functions or classes, that note what they hear; ``at`` says what they do."""

    def __init__(self, kind: str) -> None:
        self.system = System(seed=7)
        self.module = self.system.module("orders")
        self.heard: list[str] = []
        self.at: dict[str, Callable[[], Any]] = {}
        for name in ("a", "b", "c"):
            self.module.on(Noticed, name=name)(self.handler(name, kind))

    def handler(self, name: str, kind: str) -> Any:
        async def hear(noticed: Noticed) -> None:
            self.heard.append(name)
            if name in self.at:
                await self.at[name]()

        class Hear:
            async def handle(self, noticed: Noticed) -> None:
                await hear(noticed)

        def plain(noticed: Noticed) -> Any:
            return hear(noticed)

        return {"functions": hear, "classes": Hear, "plain functions": plain}[kind]

    def failing(self, *names: str, error: Callable[[str], BaseException] = ValueError) -> None:
        for name in names:

            async def fail(name: str = name) -> None:
                raise error(name)

            self.at[name] = fail

    def outcomes(self) -> list[str]:
        return [f"{each.handler}: {each.outcome}" for each in self.system.trace.of_kind("event")]


async def published(world: World) -> None:
    await world.module.publish(Noticed())


@pytest.fixture(params=["functions", "classes", "plain functions"])
def world(request: pytest.FixtureRequest) -> World:
    world = World(request.param)
    asyncio.run(published(world))
    assert Noticed in world.module.dispatcher.short
    world.heard.clear()
    return world


async def test_it_calls_all_handlers_in_order_and_is_traced(world: World) -> None:
    await world.module.publish(Noticed())
    assert world.heard == ["a", "b", "c"]
    assert world.outcomes() == ["a b c: done"] * 2
    first, second = world.system.trace
    assert (first.module, first.type, first.time) == (second.module, second.type, second.time)
    assert first.message_id != second.message_id


@pytest.mark.parametrize("names", ["a", "b", "c", "ab", "ac", "bc", "abc"])
async def test_every_handler_runs_then_one_group_carries_all_failures(
    world: World, names: str
) -> None:
    world.failing(*names)
    with pytest.raises(PublishError) as caught:
        await world.module.publish(Noticed())
    assert world.heard == ["a", "b", "c"]
    assert [str(error) for error in caught.value.exceptions] == list(names)
    assert [error.__notes__ for error in caught.value.exceptions] == [
        [f"raised by {name}, a handler of Noticed"] for name in names
    ]
    assert world.outcomes() == ["a b c: done", "a b c: failed"]


async def test_failures_further_down_are_in_the_same_group(world: World) -> None:
    def deeper(name: str) -> PublishError:
        return PublishError("two", [ValueError(1), ValueError(2)])

    world.failing("b", error=deeper)
    with pytest.raises(PublishError) as caught:
        await world.module.publish(Noticed())
    assert [str(error) for error in caught.value.exceptions] == ["1", "2"]


async def test_a_handler_that_cancels_itself_is_a_failure(world: World) -> None:
    world.failing("b", error=asyncio.CancelledError)
    with pytest.raises(PublishError) as caught:
        await world.module.publish(Noticed())
    assert world.heard == ["a", "b", "c"]
    assert isinstance(caught.value.exceptions[0], ModulusError)
    assert "b cancelled itself" in str(caught.value.exceptions[0])


async def test_a_cancellation_stops_between_handlers_and_is_no_failure(world: World) -> None:
    world.failing("a")
    world.at["b"] = asyncio.Event().wait
    task = asyncio.create_task(world.module.publish(Noticed()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.heard == ["a", "b"]
    assert world.outcomes() == ["a b c: done", "a b c: failed"]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_is_never_buried(world: World, interrupt: type[BaseException]) -> None:
    world.failing("a", error=interrupt)
    with pytest.raises(interrupt):
        await world.module.publish(Noticed())
    assert world.heard == ["a"]


@pytest.mark.parametrize("failing", ["", "b"])
async def test_nothing_is_left_open_nor_current_afterwards(world: World, failing: str) -> None:
    world.failing(*failing)
    inside: list[Any] = []

    async def look() -> None:
        inside.append((ambient.chosen(), world.system.cascades.open))

    world.at["a"] = world.at["c"] = look
    try:
        await world.module.publish(Noticed())
    except PublishError:
        assert failing
    assert inside == [(world.system, 1)] * 2
    assert (ambient.chosen(), world.system.cascades.open) == (None, 0)


async def test_its_own_system_stays_current_though_another_is_made_meanwhile() -> None:
    async def ids(meanwhile: Callable[[], object]) -> list[UUID]:
        world, found = World("functions"), []
        noticed = [Noticed(), Noticed()]

        async def make() -> None:
            meanwhile()
            await asyncio.sleep(0)
            found.append(Order().id)

        world.at["a"] = world.at["b"] = make
        for each in noticed:
            await world.module.publish(each)
        return found

    assert await ids(lambda: System(seed=99)) == await ids(lambda: None)


async def test_one_that_was_closed_elsewhere_leaves_nothing_open(world: World) -> None:
    world.at["b"] = asyncio.Event().wait
    going = world.module.publish(Noticed())
    going.send(None)
    assert world.system.cascades.open == 1
    await asyncio.create_task(closed(going))
    assert world.system.cascades.open == 0


async def closed(coroutine: Any) -> None:
    coroutine.close()


# What ends it


async def test_a_handler_registered_afterwards_is_called(world: World) -> None:
    @world.module.on(Noticed, name="d")
    async def more(noticed: Noticed) -> None:
        world.heard.append("d")

    await world.module.publish(Noticed())
    world.module.forget("b")
    await world.module.publish(Noticed())
    assert world.heard == ["a", "b", "c", "d", "a", "c", "d"]


async def test_a_strategy_chosen_afterwards_holds(world: World) -> None:
    world.failing("a")
    world.module.publish_strategy = "stop_on_first_failure"
    with pytest.raises(PublishError):
        await world.module.publish(Noticed())
    world.module.publish_strategy = "sequential"
    with pytest.raises(PublishError):
        await world.module.publish(Noticed())
    with pytest.raises(PublishError):
        await world.module.publish(Noticed(), "stop_on_first_failure")
    assert world.heard == ["a", "a", "b", "c", "a"]


async def test_a_watcher_sees_what_is_published(world: World) -> None:
    seen: list[TraceRecord] = []
    stop = world.system.trace.watch(seen.append)
    await world.module.publish(Noticed())
    stop()
    await world.module.publish(Noticed())
    assert [record.outcome for record in seen] == ["done"]
    assert seen[0] is list(world.system.trace)[1]


async def test_a_trace_that_is_full_counts_what_it_drops() -> None:
    system = System(seed=7, trace=2)
    module = system.module("orders")
    for _ in range(5):
        await module.publish(Noticed())
    assert (len(system.trace), system.trace.dropped) == (2, 3)


async def test_a_clock_that_is_not_virtual_is_asked_each_time() -> None:
    system = System(seed=7, clock=SystemClock())
    module = system.module("orders")
    before = datetime.now(UTC)
    for _ in range(3):
        await module.publish(Noticed())
    times = [record.time for record in system.trace]
    assert before <= times[0] <= times[1] <= times[2]


async def test_a_module_of_a_system_that_was_made_again_says_so() -> None:
    namespace: dict[str, Any] = {"System": System}
    exec("system = System(seed=7)\norders = system.module('orders')", namespace)
    orders: Module = namespace["orders"]
    for _ in range(2):
        await orders.publish(Noticed())
    namespace["system"] = System(seed=7)
    with pytest.raises(StaleSystemError):
        orders.publish(Noticed())
