"""`async with system:` - relay and consumers work in the background until they are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from talking import Note, Said

from modulus_es import (
    BackgroundError,
    Clock,
    Command,
    Module,
    ModulusError,
    System,
    SystemClock,
    UnitOfWork,
    VirtualClock,
)
from modulus_es.errors import StoreUnavailableError


class Say(Command[None]):
    n: int


class World:
    """A sender that says, and a hearer that notes what it hears."""

    def __init__(self, **options: Any) -> None:
        self.system = System(**{"seed": 7, **options})
        self.sender, self.hearer = self.system.module("sender"), self.system.module("hearer")
        self.heard: list[int] = []

        @self.sender.handles(Say)
        def say(command: Say, uow: UnitOfWork) -> None:
            uow.publish(Said(command.n))

    def note(self) -> None:
        @self.hearer.on(Said)
        def hear(said: Said, uow: UnitOfWork) -> None:
            uow.add(Note(said.n))
            self.heard.append(said.n)

    async def say(self, *numbers: int) -> None:
        for n in numbers:
            assert await self.system.send(Say(n))


@pytest.fixture(params=["virtual", "real", "virtual sqlite", "real sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    clock = VirtualClock() if "virtual" in request.param else SystemClock()
    store = f"sqlite:///{tmp_path}/live.db" if "sqlite" in request.param else "memory://"
    world = World(clock=clock, store=store)
    yield world
    world.system.close()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until it holds, as long as it takes a busy machine."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody tells when it holds
            await asyncio.sleep(0.001)


def outcomes(module: Module) -> list[str]:
    return [row.status for row in module.inbox]


# In the background


async def test_what_is_sent_is_relayed_and_delivered_without_a_run(world: World) -> None:
    world.note()
    async with world.system:
        await world.say(1, 2)
        await eventually(lambda: world.heard == [1, 2])
        await world.say(3)
        await eventually(lambda: world.heard == [1, 2, 3])
    assert outcomes(world.hearer) == ["done"] * 3


async def test_what_was_sent_before_it_lived_is_delivered_too(world: World) -> None:
    world.note()
    await world.say(1)
    async with world.system:
        await eventually(lambda: world.heard == [1])


async def test_it_says_that_it_lives(world: World) -> None:
    assert ", live" not in repr(world.system)
    async with world.system:
        assert ", live" in repr(world.system)
    assert ", live" not in repr(world.system)


async def test_a_run_of_a_live_system_is_refused(world: World) -> None:
    async with world.system:
        with pytest.raises(ModulusError, match="a live system needs no run"):
            await world.system.run()


async def test_to_start_what_lives_already_changes_nothing(world: World) -> None:
    world.note()
    async with world.system:
        await world.system.start()
        await world.say(1)
        await eventually(lambda: world.heard == [1])
    await world.system.stop()
    assert outcomes(world.hearer) == ["done"]


# How it ends


async def test_stopping_delivers_first_what_is_due(world: World) -> None:
    world.note()
    async with world.system:
        await world.say(*range(150))
    assert world.heard == list(range(150))
    assert outcomes(world.hearer) == ["done"] * 150
    assert {row.status for row in world.sender.outbox} == {"delivered"}


async def test_stopping_waits_for_the_handlers_that_have_begun(world: World) -> None:
    begun = asyncio.Event()

    @world.hearer.on(Said)
    async def hear(said: Said, clock: Clock, uow: UnitOfWork) -> None:
        begun.set()
        await clock.sleep(0.05)
        uow.add(Note(said.n))

    async with world.system:
        await world.say(1)
        async with asyncio.timeout(30):
            await begun.wait()
    assert outcomes(world.hearer) == ["done"]
    assert len(list(world.hearer.stored_events())) == 1


async def test_it_may_live_again(world: World) -> None:
    world.note()
    for n in range(3):
        async with world.system:
            await world.say(n)
        assert world.heard == list(range(n + 1))
    await world.say(3)
    await world.system.run()
    assert world.heard == [0, 1, 2, 3]


def test_it_may_live_in_one_event_loop_after_the_other(world: World) -> None:
    world.note()

    async def live(n: int) -> None:
        async with world.system:
            await world.say(n)

    for n in range(3):
        asyncio.run(live(n))
    assert world.heard == [0, 1, 2]


async def test_an_error_in_the_block_comes_out_and_what_is_due_is_delivered(world: World) -> None:
    world.note()

    async def live() -> None:
        async with world.system:
            await world.say(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await live()
    assert world.heard == [1]


async def test_a_block_that_is_cancelled_delivers_what_is_due_and_can_live_again(
    world: World,
) -> None:
    world.note()
    inside = asyncio.Event()

    async def live() -> None:
        async with world.system:
            await world.say(1)
            inside.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(live())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with world.system:
        await world.say(2)
    assert world.heard == [1, 2]


async def test_who_does_not_wait_for_the_stop_loses_nothing(world: World) -> None:
    going_on = asyncio.Event()
    begun: list[int] = []

    @world.hearer.on(Said)
    async def hear(said: Said, uow: UnitOfWork) -> None:
        begun.append(said.n)
        await going_on.wait()
        uow.add(Note(said.n))

    await world.system.start()
    await world.say(1)
    await eventually(lambda: begun == [1])
    stopping = asyncio.create_task(world.system.stop())
    await asyncio.sleep(0.01)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    going_on.set()
    async with world.system:
        await world.say(2)
    # The first was cancelled with its handler, and is made again, at the latest after its lease.
    first, second = world.hearer.inbox
    assert second.status == "done"
    assert first.status in ("done", "pending", "claimed")
    assert len(list(world.hearer.stored_events())) == outcomes(world.hearer).count("done")


# What fails in the background


async def full(*_: Any, **__: Any) -> Any:
    raise StoreUnavailableError("the disk is full")


async def test_a_failure_in_the_background_is_in_the_trace_and_the_next_call_raises_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.note()

    await world.system.start()
    with monkeypatch.context() as patched:
        patched.setattr(world.hearer.store, "claim_inbox", full)
        await world.say(1)
        await eventually(lambda: bool(world.system.trace.of_kind("failure")))
    (failure,) = world.system.trace.of_kind("failure")
    assert failure.error == "StoreUnavailableError: the disk is full"
    with pytest.raises(BackgroundError, match="the live system failed: the disk is full") as caught:
        await world.system.send(Say(2))
    assert isinstance(caught.value.__cause__, StoreUnavailableError)
    assert "this call was not made" in str(caught.value)
    # It is raised once; the system lives again when it is started.
    async with world.system:
        await world.say(3)
    assert world.heard == [1, 3]


def test_a_live_system_that_was_interrupted_says_so_and_how_to_go_on() -> None:
    loop, world = asyncio.new_event_loop(), World()
    world.note()
    loop.run_until_complete(world.system.start())

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    async def say_and_wait() -> None:
        await world.say(1)
        await asyncio.sleep(30)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.hearer.store, "claim_inbox", interrupt)
        cell = loop.create_task(say_and_wait())
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell)
        cell.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(cell)
    (failure,) = world.system.trace.of_kind("failure")
    assert failure.error == "KeyboardInterrupt"
    with pytest.raises(BackgroundError, match=r"failed: KeyboardInterrupt: .* system.start\(\)"):
        loop.run_until_complete(world.system.send(Say(2)))
    loop.run_until_complete(world.system.start())
    loop.run_until_complete(world.say(3))
    loop.run_until_complete(world.system.stop())
    loop.close()
    assert world.heard == [1, 3]


@pytest.mark.parametrize("call", ["query", "publish", "run", "step", "start", "replay"])
async def test_every_call_raises_what_failed(
    world: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    system = world.system
    with monkeypatch.context() as patched:
        patched.setattr(world.hearer.store, "claim_inbox", full)
        patched.setattr(world.hearer.store, "at_rest", lambda: False)
        await system.start()
        await eventually(lambda: bool(system.trace.of_kind("failure")))
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "query": lambda: system.send(Say(1)),
        "publish": lambda: system.publish(Note(1).pending_events[0]),
        "run": system.run,
        "step": system.step,
        "start": system.start,
        "replay": system.replay_dead_letters,
    }
    with pytest.raises(BackgroundError, match="the disk is full"):
        await calls[call]()


async def test_stopping_raises_what_failed_and_the_system_lives_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.note()

    await world.system.start()
    with monkeypatch.context() as patched:
        patched.setattr(world.hearer.store, "claim_inbox", full)
        await world.say(1)
        with pytest.raises(BackgroundError, match="the disk is full"):
            await world.system.stop()
    async with world.system:
        pass
    assert world.heard == [1]


async def test_stopping_raises_what_had_failed_before_it_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("the disk is full")

    world.note()
    with monkeypatch.context() as patched:
        patched.setattr(world.hearer.store, "claim_inbox", full)
        await world.system.start()
        await world.say(1)
        await eventually(lambda: bool(world.system.trace.of_kind("failure")))
        assert ", live" not in repr(world.system)
        with pytest.raises(BackgroundError, match="the disk is full"):
            await world.system.stop()
    await world.system.stop()


async def test_a_handler_that_fails_is_no_failure_of_the_system(world: World) -> None:
    @world.hearer.on(Said)
    def hear(said: Said) -> None:
        world.heard.append(said.n)
        raise ValueError("never")

    async with world.system:
        await world.say(1)
        await eventually(lambda: bool(world.heard))
    assert not world.system.trace.of_kind("failure")
    assert world.system.trace.deliveries()[0].outcome == "retry"


# Time


async def test_a_scheduled_message_is_not_early(world: World) -> None:
    came: list[datetime] = []

    @world.hearer.on(Said)
    def hear(said: Said) -> None:
        came.append(world.system.now())

    due = world.system.now() + timedelta(seconds=0.15)
    async with world.system:
        await world.sender.bus.publish(Said(1), at=due)
        await eventually(lambda: bool(came))
    assert came[0] >= due


async def test_a_retry_is_not_early(world: World) -> None:
    tried: list[datetime] = []

    @world.hearer.on(Said)
    def hear(said: Said) -> None:
        tried.append(world.system.now())
        if len(tried) == 1:
            raise ValueError("once")

    async with world.system:
        await world.say(1)
        await eventually(lambda: len(tried) == 2)
    assert tried[1] - tried[0] >= timedelta(seconds=1)


async def test_waiting_handlers_overlap(world: World) -> None:
    inside = 0
    most = 0

    @world.hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await clock.sleep(0.1)
        inside -= 1

    async with world.system:
        await world.say(1, 2, 3)
    assert most == 3
    assert outcomes(world.hearer) == ["done"] * 3
