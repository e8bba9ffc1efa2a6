"""The inbox: each handler of a message succeeds, retries and dies on its own, in order per key."""

from __future__ import annotations

import asyncio
import gc
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from talking import Do, Note, Said, at, envelope, noted, pair

from modulus_es import (
    Clock,
    Command,
    Error,
    Failure,
    IntegrationEvent,
    Module,
    Retry,
    StoreUnavailableError,
    UnitOfWork,
    VirtualClock,
)
from modulus_es.clock import START
from modulus_es.stores.memory import MemoryDatabase
from modulus_es.stores.rows import Handled, InboxRow, Receipt


def rows(module: Module) -> dict[str, tuple[str, int]]:
    return {row.handler: (row.status, row.attempts) for row in module.inbox}


def only(module: Module) -> InboxRow:
    (row,) = module.inbox
    return row


# One row for each handler


async def test_a_message_has_one_row_for_each_of_its_handlers() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def one(said: Said) -> None: ...

    @hearer.on(Said)
    class Other:
        def handle(self, said: Said) -> None: ...

    said = Said(1)
    await sender.bus.publish(said)
    await system.run()
    assert rows(hearer) == {"one": ("done", 1), "Other": ("done", 1)}
    assert {(row.envelope.source, row.envelope.message_id) for row in hearer.inbox} == {
        ("sender", str(said.event_id))
    }


async def test_a_failing_handler_neither_stops_nor_repeats_its_siblings() -> None:
    system, sender, hearer = pair()
    calls: list[str] = []

    @hearer.on(Said)
    def before(said: Said) -> None:
        calls.append("before")

    @hearer.on(Said)
    def failing(said: Said) -> None:
        calls.append("failing")
        raise ValueError("always")

    @hearer.on(Said)
    def after(said: Said) -> None:
        calls.append("after")

    await sender.bus.publish(Said(1))
    await system.run()
    assert calls == ["before", "failing", "after"] + ["failing"] * 4
    assert rows(hearer) == {"before": ("done", 1), "failing": ("dead", 5), "after": ("done", 1)}


async def test_the_effects_and_the_mark_are_one_transaction() -> None:
    system, sender, hearer = pair()
    tries = 0

    @hearer.on(Said)
    def note(said: Said, uow: UnitOfWork) -> None:
        nonlocal tries
        tries += 1
        uow.add(Note(said.n))
        if tries < 3:
            raise ValueError("after it had added something")

    await sender.bus.publish(Said(1))
    await system.run()
    assert (tries, noted(hearer), rows(hearer)) == (3, [1], {"note": ("done", 3)})


async def test_what_a_handler_half_changed_is_discarded_with_its_unit_of_work() -> None:
    system, sender, hearer = pair()
    seen: list[int] = []
    note = Note(0)
    await hearer.save(note)

    @hearer.on(Said)
    async def change(said: Said, uow: UnitOfWork) -> None:
        loaded = await uow.get(Note, note.id)
        seen.append(loaded.n)
        loaded.n = 99
        if len(seen) < 3:
            raise ValueError("half way")

    await sender.bus.publish(Said(1))
    await system.run()
    assert seen == [0, 0, 0]


async def test_a_message_that_comes_again_is_recognised_and_counted() -> None:
    system, _, hearer = pair()
    calls: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        calls.append(said.n)

    for _ in range(3):
        await hearer.consumer.receive([envelope()])
        await system.run()
    assert calls == [1]
    assert only(hearer).duplicates == 2
    assert [d.outcome for d in system.trace.deliveries()] == ["done", "duplicate", "duplicate"]


async def test_a_message_that_comes_again_while_its_handler_waits_for_a_retry_is_recognised() -> (
    None
):
    system, _, hearer = pair()
    calls: list[datetime] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        calls.append(system.now())
        if len(calls) == 1:
            raise ValueError("not yet")

    await hearer.consumer.receive([envelope()])
    await system.run(until=at(0.5))
    await hearer.consumer.receive([envelope()])
    await system.run()
    assert calls == [at(0), at(1)]


async def test_an_id_forged_in_another_modules_name_suppresses_nothing() -> None:
    system, _, hearer = pair()
    calls: list[str] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        calls.append(str(said.event_id))

    await hearer.consumer.receive([envelope(source="stranger")])
    await hearer.consumer.receive([envelope(source="sender")])
    await system.run()
    assert len(calls) == 2


async def test_a_handler_that_subscribes_later_gets_what_comes_from_then_on() -> None:
    system, sender, hearer = pair()
    calls: list[tuple[str, int]] = []

    @hearer.on(Said)
    def early(said: Said) -> None:
        calls.append(("early", said.n))

    await sender.bus.publish(Said(1))
    await system.run()

    @hearer.on(Said)
    def late(said: Said) -> None:
        calls.append(("late", said.n))

    await sender.bus.publish(Said(2))
    await system.run()
    assert calls == [("early", 1), ("early", 2), ("late", 2)]


async def test_a_handler_registered_anew_handles_what_its_former_self_left() -> None:
    system, sender, hearer = pair()
    done: list[int] = []

    def register(*, good: bool) -> None:
        @hearer.on(Said, name="hear")
        def hear(said: Said) -> None:
            if not good:
                raise ValueError("the cell has a bug")
            done.append(said.n)

    register(good=False)
    await sender.bus.publish(Said(1))
    await system.run(until=at(1))
    register(good=True)
    await system.run()
    assert (done, rows(hearer)) == ([1], {"hear": ("done", 3)})


async def test_a_handler_that_is_gone_keeps_its_rows_and_may_come_back() -> None:
    system, sender, hearer = pair()
    done: list[int] = []

    @hearer.on(Said)
    def other(said: Said) -> None: ...

    @hearer.on(Said, name="hear")
    def failing(said: Said) -> None:
        raise ValueError("no")

    await sender.bus.publish(Said(1))
    await system.run(until=at(0))
    hearer.forget("hear")
    await system.run()
    assert rows(hearer) == {"other": ("done", 1), "hear": ("pending", 1)}

    @hearer.on(Said, name="hear")
    def better(said: Said) -> None:
        done.append(said.n)

    await system.run()
    assert (done, rows(hearer)["hear"]) == ([1], ("done", 2))


# Order


async def ordered(**options: Any) -> list[tuple[int, float]]:
    """Who is handled when, where the first of three messages of one key fails once."""
    system, sender, hearer = pair()
    calls: list[tuple[int, float]] = []

    @hearer.on(Said, **options)
    def hear(said: Said) -> None:
        calls.append((said.n, (system.now() - START).total_seconds()))
        if len(calls) == 1:
            raise ValueError("not yet")

    for n in range(3):
        await sender.bus.publish(Said(n), key="k")
    await sender.bus.publish(Said(9), key="another")
    await system.run()
    return calls


async def test_later_messages_of_a_key_wait_behind_one_that_waits_for_its_retry() -> None:
    assert await ordered() == [(0, 0), (9, 0), (0, 1), (1, 1), (2, 1)]


async def test_a_handler_that_needs_no_order_does_not_wait() -> None:
    assert await ordered(ordered=False) == [(0, 0), (1, 0), (2, 0), (9, 0), (0, 1)]


async def test_one_handlers_retry_holds_up_no_other_handler() -> None:
    system, sender, hearer = pair()
    calls: list[tuple[str, int]] = []

    @hearer.on(Said)
    def failing(said: Said) -> None:
        if said.n == 0:
            raise ValueError("no")
        calls.append(("failing", said.n))

    @hearer.on(Said)
    def fine(said: Said) -> None:
        calls.append(("fine", said.n))

    for n in range(2):
        await sender.bus.publish(Said(n), key="k")
    await system.run(until=at(0))
    assert calls == [("fine", 0), ("fine", 1)]


async def test_a_dead_message_lets_the_later_ones_of_its_key_go() -> None:
    system, sender, hearer = pair()
    calls: list[tuple[int, float]] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        if said.n == 0:
            raise ValueError("always")
        calls.append((said.n, (system.now() - START).total_seconds()))

    for n in range(3):
        await sender.bus.publish(Said(n), key="k")
    await system.run()
    assert calls == [(1, 15), (2, 15)]
    assert [row.status for row in hearer.inbox] == ["dead", "done", "done"]


async def test_a_handler_that_waits_on_the_clock_holds_up_its_key_and_no_other() -> None:
    system, sender, hearer = pair()
    spans: list[tuple[int, float, float]] = []

    @hearer.on(Said)
    async def hear(said: Said, clock: Clock) -> None:
        began = clock.now()
        await clock.sleep(10)
        spans.append((said.n, (began - START).seconds, (clock.now() - START).seconds))

    for n in range(4):
        await sender.bus.publish(Said(n), key=f"key {n % 2}")
    await system.run()
    assert spans == [(0, 0, 10), (1, 0, 10), (2, 10, 20), (3, 10, 20)]


# Leases


async def test_a_delivery_that_somebody_else_finished_meanwhile_leaves_no_effect() -> None:
    system, sender, hearer = pair()
    lease = timedelta(seconds=30)

    @hearer.on(Said)
    async def note(said: Said, clock: Clock, uow: UnitOfWork) -> None:
        await clock.sleep(100)
        uow.add(Note(said.n))

    await sender.bus.publish(Said(1))
    await system.run(until=at(50))
    (row,) = await hearer.store.claim_inbox("other", at(50), lease, 1, frozenset(["note"]))
    await system.run()
    assert row.attempts == 1
    assert noted(hearer) == [1]
    outcomes = [d.outcome for d in system.trace.deliveries()]
    assert outcomes == ["done", "duplicate"]


async def test_what_was_claimed_too_long_ago_is_not_begun_but_claimed_anew() -> None:
    _, _, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said, clock: VirtualClock) -> None:
        heard.append(said.n)
        clock.jump(clock.now() + timedelta(seconds=31))

    second = envelope(message_id=str(UUID(int=2)), key="q", body=b'{"n":2}')
    await hearer.consumer.receive([envelope(), second])
    steps = [await hearer.consumer.work() for _ in range(3)]
    assert [step and step.outcome for step in steps] == ["done", "lease is out", "done"]
    assert heard == [1, 2]
    assert [row.attempts for row in hearer.inbox] == [1, 1]


async def test_a_mark_that_could_not_be_written_is_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system, sender, hearer = pair()
    heard: list[int] = []
    commit = hearer.store.commit

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    async def fail_once(*written: Any) -> Any:
        monkeypatch.setattr(hearer.store, "commit", commit)
        raise StoreUnavailableError("not now")

    monkeypatch.setattr(hearer.store, "commit", fail_once)
    await sender.bus.publish(Said(1))
    await system.run()
    assert heard == [1, 1]
    assert rows(hearer) == {"hear": ("done", 2)}


# Commands over the bus


async def test_a_command_over_the_bus_reaches_the_one_handler_of_its_module() -> None:
    system, sender, hearer = pair()
    done: list[int] = []

    @hearer.handles(Do)
    async def do(command: Do, uow: UnitOfWork) -> None:
        done.append(command.n)
        uow.add(Note(command.n))

    await sender.bus.send(Do(1), to="hearer")
    await system.run()
    assert (done, noted(hearer), rows(hearer)) == ([1], [1], {"do": ("done", 1)})


async def test_a_command_that_answered_a_failure_is_done_with_outcome_failed() -> None:
    system, sender, hearer = pair()

    @hearer.handles(Do)
    async def do(command: Do, uow: UnitOfWork) -> Failure:
        uow.add(Note(command.n))
        return Failure(Error.conflict("there is one already"))

    await sender.bus.send(Do(1), to="hearer")
    await system.run()
    row = only(hearer)
    assert (row.status, row.outcome, row.attempts) == ("done", "failed", 1)
    assert noted(hearer) == []
    (delivery,) = system.trace.deliveries()
    assert delivery.outcome == "failed"
    assert delivery.error is not None
    assert "there is one already" in delivery.error


async def test_a_command_that_raises_is_retried_like_any_message() -> None:
    system, sender, hearer = pair()

    @hearer.handles(Do, retry=Retry(attempts=2))
    def do(command: Do) -> None:
        raise ValueError("no")

    await sender.bus.send(Do(1), to="hearer")
    await system.run()
    assert rows(hearer) == {"do": ("dead", 2)}


async def test_a_command_handler_that_answers_what_it_must_not_is_retried_and_dies() -> None:
    system, sender, hearer = pair()

    class Count(Command[int]):
        n: int

    @hearer.handles(Count, name="count")
    def count(command: Any) -> None: ...

    await sender.bus.send(Count(1), to="hearer")
    await system.run()
    row = only(hearer)
    assert row.status == "dead"
    assert row.last_error is not None
    assert "HandlerResultError" in row.last_error


async def test_an_events_handler_that_answers_a_failure_has_failed() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said, retry=Retry(attempts=1))
    def hear(said: Said) -> Failure:
        return Failure(Error.failure("no stock"))

    await sender.bus.publish(Said(1))
    await system.run()
    row = only(hearer)
    assert row.status == "dead"
    assert row.last_error is not None
    assert "no stock" in row.last_error


# Cancelling


async def test_a_delivery_of_which_only_after_commit_handlers_failed_is_done() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    @hearer.on(Note.Written)
    def fail(written: Note.Written) -> None:
        raise ValueError("too late")

    await sender.bus.publish(Said(1))
    await system.run()
    assert rows(hearer) == {"hear": ("done", 1)}
    assert noted(hearer) == [1]
    (delivery,) = system.trace.deliveries()
    assert delivery.outcome == "done"
    assert "too late" in (delivery.error or "")


async def test_a_handler_that_cancels_itself_has_failed_and_stops_nobody() -> None:
    system, sender, hearer = pair()
    calls: list[int] = []

    @hearer.on(Said)
    async def hear(said: Said) -> None:
        calls.append(said.n)
        if len(calls) == 1:
            raise asyncio.CancelledError

    await sender.bus.publish(Said(1))
    await system.run()
    assert (calls, rows(hearer)) == ([1, 1], {"hear": ("done", 2)})
    assert "cancelled itself" in str(system.trace.deliveries()[0].error)


async def test_every_message_is_read_by_what_the_handler_knows_now() -> None:
    """A contract defined again, with a field more, reads what was sent before."""
    system, sender, hearer = pair()
    seen: list[Any] = []

    def define(*, with_more: bool) -> Any:
        if with_more:

            class Told(IntegrationEvent):
                n: int
                more: str = "default"
        else:

            class Told(IntegrationEvent):  # type: ignore[no-redef]
                n: int

        return Told

    old = define(with_more=False)

    @hearer.on(old, name="hear")
    def hear(told: Any) -> None:
        seen.append(told)

    await sender.bus.publish(old(1))
    new = define(with_more=True)
    hearer.on(new, name="hear")(hear)
    await system.run()
    assert [(type(told), told.n, told.more) for told in seen] == [(new, 1, "default")]


async def test_nothing_is_kept_alive_by_a_delivery_that_is_over() -> None:
    system, sender, hearer = pair()

    @hearer.on(Said)
    async def hear(said: Said, uow: UnitOfWork) -> None:
        uow.add(Note(said.n))

    await sender.bus.publish(Said(1))
    await system.run()
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) is UnitOfWork and o.module is hearer]


async def test_what_an_inbox_in_memory_holds_is_no_business_of_the_garbage_collectors() -> None:
    store = MemoryDatabase().store("inventory")

    async def handle(*numbers: int) -> None:
        sent = (envelope(message_id=f"m{n}", key=f"k{n}", position=n) for n in numbers)
        receipts = [Receipt(each, (("hear", True),)) for each in sent]
        await store.receive(receipts, START)
        lease, handlers = timedelta(seconds=30), frozenset({"hear"})
        for row in await store.claim_inbox("me", START, lease, 1_000, handlers):
            await store.commit([], [], Handled(row, "me", "done", START))

    await handle(*range(1, 1_000))
    gc.collect()
    gc.disable()
    try:
        await handle(1_000)
        young = gc.get_objects(generation=0)
    finally:
        gc.enable()
    assert [len(each) for each in young if isinstance(each, dict) and len(each) > 500] == []
