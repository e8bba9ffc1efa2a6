"""A real system that does what a `Plan` says, and an account of it kept outside of the system."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from plans import Message, Plan, Record

from modulus_es import (
    Aggregate,
    Clock,
    Command,
    Error,
    Failure,
    IntegrationEvent,
    Mediator,
    PublishError,
    Retry,
    SimulatedCrash,
    System,
    UnitOfWork,
    event,
)


class Told0(IntegrationEvent):
    node: int


class Told1(IntegrationEvent):
    node: int


class Told2(IntegrationEvent):
    node: int


class Do0(Command[int]):
    node: int


class Do1(Command[int]):
    node: int


class Do2(Command[int]):
    node: int


class Do3(Command[int]):
    node: int


class RefusedError(Exception):
    """What a handler raises where the plan says so."""


class Call(NamedTuple):
    """A handler was called."""

    at: datetime
    handler: str
    node: int


class Arrival(NamedTuple):
    """A message reached the inbox of a module, for the first time or again."""

    module: str
    message_id: str
    source: str
    key: str
    position: int
    handlers: tuple[str, ...]


def note_class() -> Any:
    """The aggregate class of one module; modules share none."""

    class Note(Aggregate):
        @event("Made")
        def __init__(
            self, node: int, handler: str, told: tuple[int, ...], echo: bool, after: bool
        ) -> None:
            self.node, self.handler = node, handler

        @event("Added")
        def add(
            self, node: int, handler: str, told: tuple[int, ...], echo: bool, after: bool
        ) -> None:
            self.node = node

    return Note


TOLD: tuple[Any, ...] = (Told0, Told1, Told2)
DO: tuple[Any, ...] = (Do0, Do1, Do2, Do3)
NOTE: tuple[Any, ...] = tuple(note_class() for _ in DO)


class World:
    """Modules, handlers and weather as planned; `calls` and `arrivals` are the outside account."""

    def __init__(self, plan: Plan, store: str = "memory://", group_commit: int = 1) -> None:
        self.plan = plan
        self.messages = {message.node: message for message in plan.messages()}
        self.calls: list[Call] = []
        self.arrivals: list[Arrival] = []
        self.due: dict[int, datetime] = {}
        self.system = System(seed=plan.seed, store=store, group_commit=group_commit)
        self._watch_arrivals()
        self.modules = [self.system.module(f"m{number}") for number in range(plan.modules)]
        for number in range(plan.modules):
            self._define(number)
        for hearer in plan.hearers:
            self._hear(hearer)
        for count, number in enumerate(plan.relays):
            relay = self.system.new_relay(self.modules[number], f"more{count}")
            self.system.scheduler.sources.append(relay)

    # What happens

    async def play(self, how: str = "run") -> None:
        """Do everything: send the roots in bad weather, heal, and run until nothing is due."""
        weather, network = self.plan.weather, self.system.network
        network.loss, network.duplicates = weather.loss, weather.duplicates
        network.reorder, network.latency = weather.reorder, weather.latency
        for point, times, module in weather.crashes:
            name = None if module is None else self.modules[module].name
            self.system.faults.crash(point, times, name)  # type: ignore[arg-type]
        for one, other, when in weather.cuts:
            if when == 0:
                network.partition(f"m{one}", f"m{other}")
        for root, pause in zip(self.plan.roots, self.plan.pauses, strict=True):
            await self.send(root)
            if pause:
                await self.system.advance(pause)
        for one, other, when in sorted(weather.cuts, key=lambda cut: cut[2]):
            if when:
                await self.system.advance(when)
                network.partition(f"m{one}", f"m{other}")
        await self.go_on(how)
        network.heal()
        await self.go_on(how)

    async def go_on(self, how: str) -> None:
        """Run until nothing is due."""
        if how == "run":
            await self.system.run()
        elif how == "steps":
            while await self.system.step() is not None:
                pass
        else:
            while (await self.system.run(until=timedelta(seconds=7))).steps:
                pass
            await self.system.run()

    async def send(self, root: Message) -> None:
        """Send a command as a careful caller does: after a crash, ask the store what happened."""
        number = root.to or 0
        while True:
            try:
                with suppress(PublishError):
                    await self.system.send(DO[number](root.node))
                return
            except SimulatedCrash:
                if self.has_happened(root):
                    return

    def has_happened(self, root: Message) -> bool:
        """Whether the store holds an event that the handler of this command recorded."""
        wanted = (root.node, f"do_{root.to}")
        module = self.modules[root.to or 0]
        for stored in module.stored_events():
            noted = module.mapper.to_domain_event(stored)
            if (noted.node, noted.handler) == wanted:
                return True
        return False

    # What is registered

    def _define(self, number: int) -> None:
        world, module, note = self, self.modules[number], NOTE[number]

        async def do(command: Any, uow: UnitOfWork, mediator: Mediator, clock: Clock) -> Any:
            return await world._work(f"do_{number}", number, command, uow, mediator, clock)

        def echo(noted: Any, uow: UnitOfWork) -> None:
            if noted.echo:
                uow.add(note(noted.node, "echo", (), False, False))

        def after(noted: Any, uow: UnitOfWork) -> None:
            if noted.after:
                uow.add(note(noted.node, "after", (), False, False))

        def tell(noted: Any) -> list[IntegrationEvent]:
            return [TOLD[world.messages[told].contract or 0](told) for told in noted.told]

        module.handles(DO[number], name=f"do_{number}")(do)
        for event_class in (note.Made, note.Added):
            module.on(event_class, phase="before_commit", name="echo")(echo)
            module.on(event_class, name="after")(after)
            module.projects(event_class, name="tell")(tell)

    def _hear(self, hearer: Any) -> None:
        world, module = self, self.modules[hearer.module]

        async def hear(told: Any, uow: UnitOfWork, mediator: Mediator, clock: Clock) -> None:
            await world._work(hearer.name, hearer.module, told, uow, mediator, clock)

        class Hears:
            def __init__(self, clock: Clock, mediator: Mediator) -> None:
                self.clock, self.mediator = clock, mediator

            async def handle(self, told: Any, uow: UnitOfWork) -> None:
                await hear(told, uow, self.mediator, self.clock)

        module.on(
            TOLD[hearer.contract],
            name=hearer.name,
            ordered=hearer.ordered,
            retry=Retry(hearer.attempts) if hearer.attempts != 5 else None,
        )(Hears if hearer.is_class else hear)

    async def _work(
        self,
        handler: str,
        number: int,
        message: Any,
        uow: UnitOfWork,
        mediator: Mediator,
        clock: Clock,
    ) -> Any:
        node = message.node
        work = self.messages[node].works[handler]
        self.calls.append(Call(clock.now(), handler, node))
        fails = self._attempts(number, handler, node) < work.fails
        if work.rests:
            await clock.sleep(work.rests)
        if fails and not work.late:
            raise RefusedError(f"{handler} of {node}")
        self._record(handler, number, node, work.records, uow)
        for published in work.publishes:
            self._publish(published, uow, clock)
        for command in work.commands:
            with suppress(PublishError):
                await mediator.send(DO[number](command.node))
        if fails:
            raise RefusedError(f"{handler} of {node}, at the end")
        if work.refuses:
            return Failure(Error.conflict("not today"))
        return node

    def _attempts(self, number: int, handler: str, node: int) -> int:
        """How many attempts failed before; a call that a crash cut short is none."""
        if not self.messages[node].works[handler].fails:
            return 0
        for row in self.modules[number].store.inbox_rows():
            if row.handler == handler and json.loads(row.envelope.body)["node"] == node:
                return row.attempts
        raise AssertionError("a delivery has a row in the inbox")

    def _record(
        self, handler: str, number: int, node: int, records: tuple[Record, ...], uow: UnitOfWork
    ) -> None:
        note: Any = None
        for record in records:
            told = tuple(message.node for message in record.told)
            if note is None:
                note = NOTE[number](node, handler, told, record.echo, record.after)
                uow.add(note)
            else:
                note.add(node, handler, told, record.echo, record.after)

    def _publish(self, message: Message, uow: UnitOfWork, clock: Clock) -> None:
        at = clock.now() + timedelta(seconds=message.later) if message.later else None
        if at is not None:
            self.due[message.node] = at
        if message.to is not None:
            uow.send(DO[message.to](message.node), to=f"m{message.to}", at=at, key=message.key)
        else:
            uow.publish(TOLD[message.contract or 0](message.node), at=at, key=message.key)

    def _watch_arrivals(self) -> None:
        transport: Any = self.system.transport
        subscribe = transport.subscribe

        def watched(module: str, subscription: Any, receive: Callable[..., Any]) -> None:
            subscribe(module, subscription, self._watched(module, receive))

        transport.subscribe = watched

    def _watched(self, module: str, receive: Callable[..., Any]) -> Callable[..., Any]:
        async def arrive(envelopes: Any) -> None:
            for each in envelopes:
                handlers = [h.name for h in self.system[module].consumer.handlers_of(each)]
                self.arrivals.append(
                    Arrival(
                        module,
                        each.message_id,
                        each.source,
                        each.key,
                        each.position,
                        tuple(handlers),
                    )
                )
            await receive(envelopes)

        return arrive
