"""Publish one event to 1, 10 or 100 handlers, and to 10 class handlers with injection."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.harness import Row, Subject, Work
from benchmarks.marks import Mark
from benchmarks.peers import publishing
from benchmarks.publish_work import (
    Clock,
    Log,
    Store,
    Ticked,
    async_handlers,
    check_calls,
    check_injected,
    injected_class,
)
from modulus_es import System

LOOP = "limit: for h in handlers: await h(e)"
OURS = "modulus_es"


async def bare_loop(many: int, work: Work) -> None:
    calls: list[Any] = []
    handlers = async_handlers(many, calls)
    events = [Ticked(number) for number in range(work.count)]
    with work.timed():
        for event in events:
            for handler in handlers:
                await handler(event)
    check_calls(work, calls, events, many)


async def ours(many: int, work: Work) -> None:
    calls: list[Any] = []
    system = System(seed=7)
    module = system.module("ticks")
    for number, handler in enumerate(async_handlers(many, calls)):
        module.on(Ticked, name=f"handler_{number}")(handler)
    events = [Ticked(number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await module.publish(event)
    check_calls(work, calls, events, many)
    traced = len(system.trace) + system.trace.dropped
    work.same("at least a trace record for each event", traced >= work.count, True)


async def ours_injected(many: int, work: Work) -> None:
    store = Store()
    system = System(seed=7)
    module = system.module("ticks")
    for service in (Clock, Log):
        system.services.singleton(service)
    system.services.singleton(Store, store)
    for number in range(many):
        module.on(Ticked, name=f"handler_{number}")(injected_class(number))
    events = [Ticked(number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await module.publish(event)
    check_injected(work, store.calls, events, many)


def subjects() -> list[Subject]:
    """One for each number of handlers, and one with injection."""
    made = []
    for many, count in ((1, 20_000), (10, 10_000), (100, 500)):
        made.append(
            Subject(
                f"publish-{many}",
                f"Publish an event to {many} handler{'s' if many > 1 else ''}",
                "events",
                "cpu",
                count,
                [
                    Row(LOOP, "limit", partial(bare_loop, many)),
                    Row(OURS, "ours", partial(ours, many)),
                    *publishing.rows(many),
                ],
                against=LOOP,
                marks=[Mark(OURS, "cost", 2, LOOP)] if many == 10 else [],
                rounds=2,
            )
        )
    made.append(
        Subject(
            "publish-injected",
            "Publish an event to 10 class handlers with 3 injected singletons each",
            "events",
            "cpu",
            10_000,
            [
                Row(LOOP, "limit", partial(bare_loop, 10)),
                Row(OURS, "ours", partial(ours_injected, 10)),
                *publishing.injected_rows(10),
            ],
            against=LOOP,
            marks=[Mark(OURS, "cost", 4, LOOP)],
            rounds=6,
        )
    )
    return made
