"""What a message costs with 1 to 1,000 handlers, 1 to 64 modules, and a full trace."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from benchmarks import publish
from benchmarks.curves.points import FLAT, flat, points, shared_points
from benchmarks.end_to_end import place_all, two_modules
from benchmarks.harness import Subject, Work
from benchmarks.marks import Mark
from benchmarks.orders import OrderCreated
from benchmarks.peers.messaging import totals
from benchmarks.publish_work import Ticked, async_handlers, check_calls
from modulus_es import System, TraceRecord
from modulus_es.clock import START

HANDLERS = (1, 3, 10, 30, 100, 300, 1_000)
MODULES = (1, 2, 4, 8, 16, 32, 64)
TRACES = (1_000, 10_000, 100_000, 1_000_000)


async def among_modules(modules: int, work: Work) -> None:
    """A message between two modules, among others that have handlers of their own."""
    seen: list[Decimal] = []
    system = System(seed=7)
    two_modules(system, seen, saving=False)
    for number in range(modules - 1):
        _bystander(system, number)
    wanted = totals(work.count)
    with work.timed():
        await place_all(system, wanted)
    work.did(len(seen))
    work.same("contents and order", seen, wanted)


def _bystander(system: System, number: int) -> None:
    """A module that listens to something that does not happen."""

    class Never(OrderCreated, name=f"Never{number}"):
        """What nobody sends."""

    @system.module(f"bystander{number}").on(Never)
    async def note(never: Never) -> None:
        raise AssertionError("nobody sends this")


async def listened_by(modules: int, work: Work) -> None:
    """Each message to a handler in each of so many modules."""
    seen: list[int] = []
    system = System(seed=7)
    two_modules(system, [], saving=False)
    system["inventory"].forget("note")
    for number in range(modules):
        _listener(system, number, seen)
    with work.timed():
        await place_all(system, totals(work.count))
    work.did(len(seen) // modules)
    work.same("deliveries of each", sorted(seen), sorted(list(range(modules)) * work.count))


def _listener(system: System, number: int, seen: list[int]) -> None:
    @system.module(f"listener{number}").on(OrderCreated)
    async def note(created: OrderCreated) -> None:
        seen.append(number)


def full_trace(records: int) -> System:
    """A system whose trace keeps so many records, and has them."""
    system = System(seed=7, trace=records)
    system.module("ticks")
    for number in range(records):
        system.trace.add(
            TraceRecord(
                START + timedelta(seconds=number / 100),
                "delivery",
                "ticks",
                message_id=f"m{number}",
                type="Ticked",
                handler="handler_0",
                attempt=1,
                outcome="done",
                source="clock",
            )
        )
    return system


async def publishing_traced(records: int, work: Work) -> None:
    system = full_trace(records)
    calls: list[object] = []
    for number, handler in enumerate(async_handlers(1, calls)):
        system["ticks"].on(Ticked, name=f"handler_{number}")(handler)
    events = [Ticked(number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await system["ticks"].publish(event)
    check_calls(work, calls, events, 1)
    work.same("records kept", len(system.trace), records)


async def table_of_trace(records: int, work: Work) -> None:
    system = full_trace(records)
    with work.timed():
        found = system.deliveries()
    work.did(1)
    work.same("rows", len(found), records)


def subjects() -> list[Subject]:
    """Curves over handlers, modules and records."""
    return [
        Subject(
            "curve-handlers",
            "Publish to so many handlers",
            "handler calls",
            "cpu",
            4000,
            shared_points(publish.ours, HANDLERS, 0.25),
            against="1",
            marks=[Mark("1,000", "cost", FLAT, "100")],
            rounds=3,
            axis="handlers",
            figure="handlers",
        ),
        Subject(
            "curve-handlers-loop",
            "limit: the bare loop",
            "handler calls",
            "cpu",
            4000,
            shared_points(publish.bare_loop, HANDLERS, 0.25),
            against="1",
            axis="handlers",
            figure="handlers",
        ),
        Subject(
            "curve-modules",
            "A message between two modules, among others",
            "messages",
            "cpu",
            500,
            points(among_modules, MODULES, 64),
            against="1",
            marks=flat(MODULES),
            rounds=3,
            axis="modules beside",
            figure="modules",
        ),
        Subject(
            "curve-listeners",
            "A message to a handler in each of so many modules",
            "deliveries",
            "cpu",
            500,
            shared_points(listened_by, MODULES, 0.02),
            against="1",
            marks=[Mark("64", "cost", FLAT, "8")],
            rounds=4,
            axis="modules that listen",
            figure="modules",
        ),
        Subject(
            "curve-trace",
            "Publish an event, with a full trace",
            "events",
            "cpu",
            5000,
            points(publishing_traced, TRACES, 100_000),
            against="1,000",
            marks=flat(TRACES),
            rounds=2,
            axis="records in the trace",
            figure="trace",
        ),
        Subject(
            "curve-trace-table",
            "system.deliveries()",
            "deliveries",
            "cpu",
            1,
            [replace(row, per=int(row.x or 1)) for row in points(table_of_trace, TRACES, 100_000)],
            against="100,000",
            marks=[Mark("1,000,000", "cost", FLAT, "100,000")],
            rounds=3,
            quick=1,
            axis="records in the trace",
            figure="trace",
        ),
    ]
