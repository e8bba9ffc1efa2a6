"""The trace: everything that happens, in order, bounded, and the same on every run of one seed."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from talking import Do, Note, Said

from modulus_es import (
    Delivery,
    DomainEvent,
    Module,
    System,
    Trace,
    TraceRecord,
    UnitOfWork,
)
from modulus_es.clock import START
from modulus_es.ledger import ledger


class Tick(DomainEvent):
    """What is published by itself."""


def pair(**options: Any) -> tuple[System, Module, Module]:
    system = System(seed=options.pop("seed", 7), **options)
    sender, hearer = system.module("sender"), system.module("hearer")

    @sender.handles(Do)
    def do(command: Do, uow: UnitOfWork) -> None:
        uow.add(Note(command.n))

    @sender.on(Note.Written)
    def written(written: Note.Written) -> None: ...

    @sender.projects(Note.Written)
    def said(written: Note.Written) -> Said:
        return Said(written.n)

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    return system, sender, hearer


async def test_a_command_and_what_it_causes_are_told_in_the_order_in_which_they_happened() -> None:
    system, _, _ = pair()
    await system.send(Do(1))
    await system.run()
    assert [(record.kind, record.module, record.outcome) for record in system.trace] == [
        ("project", "sender", "done"),
        ("commit", "sender", "1 events, 1 messages"),
        ("event", "sender", "done"),
        ("command", "sender", "done"),
        ("relay", "sender", "done"),
        ("commit", "hearer", "1 events, 0 messages"),
        ("delivery", "hearer", "done"),
    ]


async def test_a_conversation_has_one_correlation_from_beginning_to_end() -> None:
    system, _, _ = pair()
    await system.send(Do(1))
    await system.run()
    assert len({record.correlation_id for record in system.trace}) == 1


async def test_a_delivery_is_told_with_all_its_columns() -> None:
    system, sender, _ = pair()
    said = Said(1, correlation_id="c1")
    await sender.bus.publish(said)
    await system.run()
    assert system.trace.deliveries() == [
        Delivery(
            START, START, str(said.event_id), "Said", "sender", "hearer", "hear",
            1, "done", None, "c1", None,
        )
    ]  # fmt: skip


def test_a_trace_keeps_the_last_records_and_counts_the_others() -> None:
    trace = Trace(limit=3)
    for n in range(5):
        trace.add(TraceRecord(START, "commit", f"m{n}"))
    assert [record.module for record in trace] == ["m2", "m3", "m4"]
    assert (len(trace), trace.dropped, trace.limit) == (3, 2, 3)


async def test_a_trace_that_keeps_nothing_still_lets_everything_happen() -> None:
    system, _, hearer = pair(trace=0)
    await system.send(Do(1))
    await system.run()
    assert (len(system.trace), list(system.trace), system.trace.deliveries()) == (0, [], [])
    assert system.trace.dropped == 7
    assert [row.status for row in hearer.inbox] == ["done"]


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="that a trace keeps is at least 0, not -1"):
        Trace(-1)


async def test_the_garbage_collector_has_nothing_to_go_through_in_a_trace() -> None:
    system, sender, _ = pair()
    await sender.save(Note(1))
    for _ in range(3):
        await sender.publish(Tick())
    await system.run()
    assert len(system.trace) > 5
    assert [kept for kept in system.trace.kept if gc.is_tracked(kept)] == []


async def test_what_the_trace_keeps_does_not_keep_its_system() -> None:
    async def published() -> weakref.ref[System]:
        system = System(seed=7)
        module = system.module("sender")

        @module.on(Tick)
        async def tick(tick: Tick) -> None:
            assert module.system is system

        for _ in range(3):
            await module.publish(Tick())
        return weakref.ref(system)

    system = await published()
    System(seed=8)  # the last that was made is the current one
    gc.collect()
    assert system() is None


async def test_a_trace_may_be_read_while_it_grows() -> None:
    trace = Trace()
    trace.add(TraceRecord(START, "commit", "m"))
    for _ in trace:
        trace.add(TraceRecord(START, "commit", "m"))
    assert len(trace) == 2


# Watchers


async def test_watchers_see_every_record_until_they_stop() -> None:
    system, _, _ = pair(trace=0)
    seen: list[str] = []
    stop = system.trace.watch(lambda record: seen.append(record.kind))
    await system.send(Do(1))
    stop()
    stop()
    await system.run()
    assert seen == ["project", "commit", "event", "command"]


async def test_a_watcher_that_raises_disturbs_nothing_and_is_not_called_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    system, _, hearer = pair()
    calls: list[str] = []

    def broken(record: TraceRecord) -> None:
        calls.append(record.kind)
        raise ValueError("the widget is gone")

    others: list[str] = []
    system.trace.watch(broken)
    system.trace.watch(lambda record: others.append(record.kind))
    with caplog.at_level(logging.ERROR):
        await system.send(Do(1))
        await system.run()
    assert (calls, len(others)) == (["project"], 7)
    assert [row.status for row in hearer.inbox] == ["done"]
    assert "the widget is gone" in caplog.text


async def test_a_watcher_may_stop_itself() -> None:
    trace = Trace()
    seen: list[str] = []

    def once(record: TraceRecord) -> None:
        seen.append(record.module)
        stop()

    stop = trace.watch(once)
    trace.watch(lambda record: seen.append(f"other {record.module}"))
    trace.add(TraceRecord(START, "commit", "a"))
    trace.add(TraceRecord(START, "commit", "b"))
    assert seen == ["a", "other a", "other b"]


# The same on every run


async def story(seed: int) -> list[str]:
    """A run with every fault there is; everything that can be said about it."""
    system, sender, hearer = pair(seed=seed)
    network = system.network
    network.loss, network.duplicates, network.reorder = 0.2, 0.2, 0.2
    network.latency = (0.01, 0.5)
    failures = 0

    @hearer.on(Said, name="sometimes")
    def sometimes(said: Said) -> None:
        nonlocal failures
        failures += 1
        if failures % 3 == 0:
            raise ValueError(said.n)

    for point in ("before_publish", "after_publish", "before_ack"):
        system.faults.crash(point)  # type: ignore[arg-type]
    for n in range(30):
        await system.send(Do(n))
        await sender.bus.publish(Said(n))
    network.partition("sender", "hearer")
    await system.advance(3)
    network.heal()
    await system.run()
    tables: list[Any] = [*system.trace, *ledger(system.modules)]
    for module in system.modules:
        tables += [*module.outbox, *module.inbox, *module.stored_events()]
    return [repr(row) for row in tables]


async def test_two_runs_with_one_seed_are_the_same_in_every_detail() -> None:
    first, second = await story(7), await story(7)
    assert first == second
    assert len(first) > 300


async def test_another_seed_is_another_story() -> None:
    assert await story(7) != await story(8)


@pytest.mark.slow
def test_a_run_is_the_same_whatever_seed_python_hashes_with() -> None:
    code = (
        "import asyncio, hashlib, sys; sys.path.insert(0, sys.argv[1]);"
        "from test_trace import story;"
        "print(hashlib.sha256('\\n'.join(asyncio.run(story(7))).encode()).hexdigest())"
    )
    digests = set()
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1
