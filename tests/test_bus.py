"""The bus: every message of a module goes through its outbox; there is no bus without a module."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from talking import Do, Note, Said, pair

from modulus_es import (
    Command,
    DomainEvent,
    HandlerNotFoundError,
    MessageBus,
    Module,
    ServiceLifetimeError,
    UnitOfWork,
)
from modulus_es.clock import START


class Begin(Command[None]):
    n: int


class Happened(DomainEvent):
    n: int


def types(module: Module) -> list[str]:
    return [row.envelope.type for row in module.outbox]


async def test_publishing_reaches_every_subscriber_in_every_module() -> None:
    system, sender, hearer = pair()
    heard: list[str] = []

    def listen(module: Module, name: str) -> None:
        @module.on(Said, name=name)
        def hear(said: Said) -> None:
            heard.append(f"{module.name}.{name}")

    for module in (hearer, system.module("other"), sender):
        listen(module, "one")
        listen(module, "two")
    await sender.bus.publish(Said(1))
    await system.run()
    assert sorted(heard) == [
        "hearer.one", "hearer.two", "other.one", "other.two", "sender.one", "sender.two",
    ]  # fmt: skip


async def test_sending_reaches_the_one_handler_of_one_module() -> None:
    system, sender, hearer = pair()
    done: list[int] = []

    @hearer.handles(Do)
    def do(command: Do) -> None:
        done.append(command.n)

    await sender.bus.send(Do(1), to="hearer")
    await system.run()
    assert done == [1]


async def test_a_module_may_be_named_by_itself() -> None:
    system, sender, hearer = pair()
    done: list[int] = []

    @hearer.handles(Do)
    def do(command: Do) -> None:
        done.append(command.n)

    await sender.bus.send(Do(1), to=hearer)  # type: ignore[arg-type]
    await system.run()
    assert done == [1]


async def test_nothing_bypasses_the_outbox() -> None:
    _, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None:
        raise AssertionError

    await sender.bus.publish(Said(1))
    await sender.bus.send(Do(2), to="hearer")
    assert types(sender) == ["Said", "Do"]
    assert list(hearer.inbox) == []


async def test_without_a_unit_of_work_each_call_is_a_transaction_of_its_own() -> None:
    _, sender, _ = pair()
    await sender.bus.publish(Said(1))
    with pytest.raises(TypeError):
        await sender.bus.publish(Do(2))  # type: ignore[arg-type]
    assert types(sender) == ["Said"]


async def test_a_bus_in_a_handler_is_bound_to_its_unit_of_work() -> None:
    system, sender, _ = pair()
    counts: list[int] = []

    @sender.handles(Begin)
    async def begin(command: Begin, bus: MessageBus, uow: UnitOfWork) -> None:
        await bus.publish(Said(command.n))
        await bus.send(Do(command.n), to="hearer")
        counts.append(len(sender.outbox))
        uow.add(Note(command.n))

    await system.send(Begin(1))
    assert counts == [0]
    assert types(sender) == ["Said", "Do"]


async def test_what_a_handler_published_before_it_failed_is_not_sent() -> None:
    system, sender, _ = pair()

    @sender.handles(Begin)
    async def begin(command: Begin, bus: MessageBus) -> None:
        await bus.publish(Said(command.n))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await system.send(Begin(1))
    assert types(sender) == []


@pytest.mark.parametrize("call", ["publish", "send"])
@pytest.mark.parametrize("bound", [False, True])
async def test_a_time_and_a_key_are_passed_on(bound: bool, call: str) -> None:
    _, sender, _ = pair()
    later = START + timedelta(seconds=5)

    async def use(bus: MessageBus) -> None:
        if call == "publish":
            await bus.publish(Said(1), later, "k")
        else:
            await bus.send(Do(1), "hearer", later, "k")

    if bound:
        async with sender.unit_of_work() as uow:
            await use(uow.bus)
    else:
        await use(sender.bus)
    (row,) = sender.outbox
    assert (row.available_at, row.scheduled, row.envelope.key) == (later, True, "k")


async def test_a_bus_cannot_be_kept_by_a_singleton() -> None:
    system, sender, _ = pair()

    class Keeper:
        def __init__(self, bus: MessageBus) -> None:
            self.bus = bus

    def use(command: Begin, keeper: Keeper) -> None: ...

    async def keep() -> None:
        system.services.singleton(Keeper)
        sender.handles(Begin)(use)
        await system.send(Begin(1))

    with pytest.raises(ServiceLifetimeError, match="bus"):
        await keep()


async def test_only_integration_events_are_published_and_only_commands_sent() -> None:
    _, sender, _ = pair()
    bus: Any = sender.bus
    with pytest.raises(TypeError, match=r"takes an integration event, not Happened"):
        await bus.publish(Happened(1))
    with pytest.raises(TypeError, match="takes an integration event, not the class Said"):
        await bus.publish(Said)
    with pytest.raises(TypeError, match=r"takes a command, not Said"):
        await bus.send(Said(1), to="hearer")
    with pytest.raises(TypeError, match="to= names the module"):
        await bus.send(Do(1), to="")
    assert types(sender) == []


async def test_a_command_is_not_routed_over_the_bus_by_accident() -> None:
    _, sender, hearer = pair()

    @hearer.handles(Do)
    def do(command: Do) -> None: ...

    with pytest.raises(HandlerNotFoundError, match=r"module hearer does: .*to='hearer'"):
        await sender.send(Do(1))


async def test_two_messages_of_one_unit_of_work_arrive_in_the_order_in_which_they_were_given() -> (
    None
):
    system, sender, hearer = pair()
    heard: list[str] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(f"said {said.n}")

    async with sender.unit_of_work() as uow:
        for n in range(5):
            uow.publish(Said(n))
    await system.run()
    assert heard == [f"said {n}" for n in range(5)]


def test_a_bus_says_whose_it_is() -> None:
    _, sender, _ = pair()
    assert repr(sender.bus) == "MessageBus(sender)"
    assert repr(UnitOfWork(sender).bus) == "MessageBus(sender, in a unit of work)"
