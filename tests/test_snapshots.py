"""Snapshots: taken where rebuilding took many events, and never of other code."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

from modulus_es import Aggregate, Module, System, event

EVERY = 5


class Tally:
    """Counts how often an event was applied; no plain value, so that it is no part of the code."""

    applied = 0


tally = Tally()


class Counter(Aggregate):
    snapshot_interval = EVERY

    @event("Begun")
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names, self.total, self.seen = names, 0, {1, 2}

    @event("Counted")
    def count(self, n: int) -> None:
        tally.applied += 1
        self.total += n


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def module(url: str) -> Iterator[Module]:
    system = System(seed=7, store=url)
    yield system.module("counters")
    system.close()


async def counted(module: Module, times: int) -> UUID:
    counter = Counter(("a", "b"))
    for _ in range(times):
        counter.count(1)
    await module.save(counter)
    return counter.id


async def replayed(module: Module, id: UUID, cls: type[Counter] = Counter) -> int:
    """How many events are applied to load it once more."""
    tally.applied = 0
    await module.get(cls, id)
    return tally.applied


async def test_an_aggregate_of_many_events_is_rebuilt_from_few(module: Module) -> None:
    id_ = await counted(module, EVERY)
    first = await module.get(Counter, id_)
    assert await replayed(module, id_) == 0
    again = await module.get(Counter, id_)
    assert again == first
    assert (again.names, again.total, again.seen) == (("a", "b"), EVERY, {1, 2})
    assert again.version == EVERY + 1
    assert type(again) is Counter


async def test_what_was_recorded_since_the_snapshot_is_replayed(module: Module) -> None:
    id_ = await counted(module, EVERY)
    counter = await module.get(Counter, id_)
    counter.count(10)
    counter.count(20)
    await module.save(counter)
    assert await replayed(module, id_) == 2
    assert (await module.get(Counter, id_)).total == EVERY + 30


async def test_an_aggregate_of_few_events_has_no_snapshot(module: Module) -> None:
    id_ = await counted(module, EVERY - 2)
    await module.get(Counter, id_)
    assert await replayed(module, id_) == EVERY - 2


async def test_an_earlier_version_is_not_taken_from_a_later_snapshot(module: Module) -> None:
    id_ = await counted(module, EVERY)
    await module.get(Counter, id_)
    assert (await module.get(Counter, id_, version=3)).total == 2


async def test_a_snapshot_holds_nothing_that_was_not_recorded(module: Module) -> None:
    id_ = await counted(module, EVERY)
    async with module.unit_of_work() as uow:
        loaded = await uow.get(Counter, id_)
        loaded.total = -1  # changed without an event: it is lost with the unit of work
    assert (await module.get(Counter, id_)).total == EVERY


async def test_an_interval_of_none_takes_none(module: Module) -> None:
    class Never(Aggregate):
        snapshot_interval = None

        @event("Begun")
        def __init__(self) -> None: ...

        @event("Counted")
        def count(self) -> None: ...

    never = Never()
    for _ in range(600):
        never.count()
    await module.save(never)
    await module.get(Never, never.id)
    assert module.store.snapshots.latest(never.id) is None


def defined(body: str) -> Any:
    """The class that a cell defines when it runs."""
    cell = ModuleType("cell")
    exec(body, cell.__dict__)
    return cell


CELL = """
from modulus_es import Aggregate, event

def rate():
    return 1

class Account(Aggregate):
    snapshot_interval = 3

    @event("Opened")
    def __init__(self) -> None:
        self.total = 0

    @event("Paid")
    def pay(self, amount: int) -> None:
        self.total += amount * rate()
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("self.total += amount * rate()", "self.total -= amount * rate()"),
        ("return 1", "return -1"),
    ],
)
async def test_a_snapshot_of_a_class_that_was_redefined_is_ignored(
    module: Module, before: str, after: str
) -> None:
    account = defined(CELL).Account()
    for _ in range(4):
        account.pay(10)
    await module.save(account)
    assert (await module.get(type(account), account.id)).total == 40
    assert module.store.snapshots.latest(account.id) is not None
    redefined = defined(CELL.replace(before, after)).Account
    assert (await module.get(redefined, account.id)).total == -40


async def test_a_class_that_was_defined_again_the_same_keeps_its_snapshot(module: Module) -> None:
    account = defined(CELL).Account()
    for _ in range(4):
        account.pay(10)
    await module.save(account)
    await module.get(type(account), account.id)
    again = defined(CELL).Account
    module.learn(again)
    kept = module.repository._snapshots.latest(account.id, None)
    assert type(kept) is again
    assert kept.total == 40


async def test_state_that_has_no_safe_form_is_rebuilt_from_its_events(
    module: Module, caplog: pytest.LogCaptureFixture
) -> None:
    class Holder(Aggregate):
        snapshot_interval = 2

        @event("Begun")
        def __init__(self) -> None:
            self.held = object()

        @event("Counted")
        def count(self) -> None: ...

    holder = Holder()
    holder.count()
    await module.save(holder)
    assert (await module.get(Holder, holder.id)).version == 2
    assert module.store.snapshots.latest(holder.id) is None
    assert not caplog.records


class BrokenError(Exception):
    pass


def fail(_: Any) -> None:
    raise BrokenError("the disk of snapshots is full")


@pytest.mark.parametrize("protected", [True, False])
async def test_a_snapshot_that_fails_hides_no_save(
    module: Module,
    protected: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    id_ = await counted(module, EVERY)
    monkeypatch.setattr(module.store.snapshots, "keep", fail)
    if not protected:
        # The control: without the protection the save is lost with the snapshot.
        monkeypatch.setattr(module.repository._snapshots, "_failed", lambda _, error: _raise(error))
    uow = module.unit_of_work()
    try:
        async with uow:
            (await uow.get(Counter, id_)).count(1)
        outcome = "stored"
    except BrokenError:
        outcome = "lost"
    assert outcome == ("stored" if protected else "lost")
    assert uow.committed is protected
    stored = [e for e in module.stored_events() if e.originator_id == id_]
    assert len(stored) == EVERY + 1 + protected
    if protected:
        with caplog.at_level(logging.WARNING):
            assert "no snapshot of Counter" in caplog.text
        (record,) = module.system.trace.of_kind("failure")
        assert (record.type, record.handler) == ("Counter", "snapshot")
        assert record.error == "BrokenError: the disk of snapshots is full"


def _raise(error: Exception) -> None:
    raise error


async def test_a_snapshot_that_was_altered_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    system = System(seed=7, store=f"sqlite:///{path}")
    module = system.module("counters")
    id_ = await counted(module, EVERY)
    await module.get(Counter, id_)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE modulus_snapshots_counters SET state = x'00'")
    connection.close()
    assert await replayed(module, id_) == EVERY
    system.close()


async def test_another_process_goes_on_with_the_snapshots_in_the_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    first = System(seed=7, store=url)
    id_ = await counted(first.module("counters"), EVERY)
    await first.module("counters").get(Counter, id_)
    first.close()
    second = System(seed=7, store=url)
    module = second.module("counters")
    module.learn(Counter)
    assert await replayed(module, id_) == 0
    second.close()


async def test_a_snapshot_waits_for_nobody_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    system = System(seed=7, store=f"sqlite:///{path}?timeout=30")
    module = system.module("counters")
    id_ = await counted(module, EVERY)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert (await module.get(Counter, id_)).total == EVERY
    assert module.store.snapshots.latest(id_) is None
    other.execute("ROLLBACK")
    other.close()
    await module.get(Counter, id_)
    assert module.store.snapshots.latest(id_) is not None
    system.close()


async def test_an_aggregate_is_loaded_and_saved_without_the_table_of_snapshots(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system = System(seed=7, store=f"sqlite:///{tmp_path}/store.db")
    module = system.module("counters")
    id_ = await counted(module, 2 * EVERY)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("DROP TABLE modulus_snapshots_counters")
        connection.commit()
    counter = await module.get(Counter, id_)
    counter.count(1)
    await module.save(counter)
    assert (await module.get(Counter, id_)).total == 2 * EVERY + 1
    assert "no such table" in caplog.text
    system.close()
