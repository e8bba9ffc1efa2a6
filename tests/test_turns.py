"""A loop of calls lets the event loop have its turn, so that it can be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from modulus_es import Aggregate, Command, DomainEvent, IntegrationEvent, Query, System, event

MANY = 300


class Note(Aggregate):
    @event("Made")
    def __init__(self, text: str) -> None:
        self.text = text


class Write(Command[None]):
    text: str


class Ask(Query[str]):
    pass


class Happened(DomainEvent):
    pass


class Published(IntegrationEvent):
    pass


def notes() -> tuple[System, dict[str, Callable[[], Awaitable[Any]]]]:
    system = System(seed=7)
    module = system.module("notes")

    @module.handles(Write)
    def write(command: Write) -> None: ...

    @module.handles(Ask)
    def ask(query: Ask) -> str:
        return "answer"

    return system, {
        "save": lambda: module.save(Note("a")),
        "send": lambda: system.send(Write("a")),
        "query": lambda: system.query(Ask()),
        "publish": lambda: module.publish(Happened()),
        "bus": lambda: module.bus.publish(Published()),
    }


async def looped(call: Callable[[], Awaitable[Any]], counted: list[int]) -> None:
    for number in range(MANY):
        await call()
        counted.append(number)


@pytest.mark.parametrize("what", list(notes()[1]))
async def test_a_loop_of_calls_can_be_cancelled_before_its_end(what: str) -> None:
    _, calls = notes()
    counted: list[int] = []
    task = asyncio.create_task(looped(calls[what], counted))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 < len(counted) < MANY


async def test_what_was_saved_before_the_cancellation_is_stored_and_nothing_else() -> None:
    system, calls = notes()
    counted: list[int] = []
    task = asyncio.create_task(looped(calls["save"], counted))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(system.events()) == len(counted)


async def test_a_handler_s_own_calls_wait_for_no_turn_because_its_run_gives_way() -> None:
    system, calls = notes()
    turned: list[str] = []

    @system["notes"].on(Published)
    async def many(published: Published) -> None:
        asyncio.get_running_loop().call_soon(turned.append, "turned")
        for _ in range(MANY):
            await calls["send"]()
        assert turned == []

    await calls["bus"]()
    await system.run()
    assert turned
    assert system.deliveries().outcome.tolist() == ["done"]
