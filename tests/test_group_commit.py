"""Group commit: many deliveries in one transaction, and each of them by itself all the same."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from talking import Do, Note, Said, seconds

from modulus_es import (
    Aggregate,
    Clock,
    Module,
    System,
    UnitOfWork,
    event,
)
from modulus_es.clock import START
from modulus_es.errors import StoreUnavailableError
from modulus_es.groups import retold
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.group import Group


class Tally(Aggregate):
    @event("Begun")
    def __init__(self) -> None:
        self.count = 0

    @event("Counted")
    def increase(self) -> None:
        self.count += 1


class World:
    """A sender and a hearer in one file, which may hear up to ten messages in a transaction."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.system = System(
            **{"seed": 7, "store": f"sqlite:///{path}", "group_commit": 10, **options}
        )
        self.sender, self.hearer = self.system.module("sender"), self.system.module("hearer")
        self.calls: list[int] = []

    async def publish(self, count: int) -> None:
        for n in range(1, count + 1):
            await self.sender.bus.publish(Said(n))

    def noted(self, module: Module | None = None) -> list[int]:
        """What another process can read of the notes."""
        module = module or self.hearer
        events = (module.mapper.to_domain_event(stored) for stored in module.stored_events())
        return [each.n for each in events if isinstance(each, Note.Written)]

    def outside(self, sql: str) -> list[Any]:
        """What another process finds."""
        other = sqlite3.connect(self.path)
        try:
            return [row[0] for row in other.execute(sql)]
        finally:
            other.close()

    def statuses(self) -> list[str]:
        return [row.status for row in self.hearer.inbox]

    def note_all(self, before: Callable[[int], None] = lambda _: None) -> None:
        """Let the hearer note what it hears."""

        @self.hearer.on(Said)
        def hear(said: Said, uow: UnitOfWork) -> None:
            self.calls.append(said.n)
            before(said.n)
            uow.add(Note(said.n))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "store.db")
    yield world
    world.system.close()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many deliveries each group had written when it was committed."""
    sizes: list[int] = []
    end = Group.end

    def noting(self: Group) -> None:
        if not self.ended and self._then:
            sizes.append(len(self._then))
        end(self)

    monkeypatch.setattr(Group, "end", noting)
    return sizes


async def test_up_to_so_many_deliveries_are_one_transaction(world: World, ends: list[int]) -> None:
    world.note_all()
    await world.publish(24)
    ran = await world.system.run()
    assert ends == [10, 10, 4]
    assert world.calls == world.noted() == list(range(1, 25))
    # Each of them is a step of its own, as are the three of the relay.
    assert ran.steps == 24 + 1


async def test_it_is_off_unless_it_is_asked_for(tmp_path: Path, ends: list[int]) -> None:
    world = World(tmp_path / "plain.db", group_commit=1)
    world.note_all()
    await world.publish(5)
    await world.system.run()
    assert System(seed=7).group_commit == 1
    assert ends == []
    world.system.close()


def test_less_than_one_is_refused() -> None:
    with pytest.raises(ValueError, match="group_commit is at least 1, not 0"):
        System(group_commit=0)


async def test_a_single_step_makes_a_single_delivery(world: World, ends: list[int]) -> None:
    world.note_all()
    await world.publish(3)
    while await world.system.step():
        assert len(world.calls) <= 3
    assert world.noted() == [1, 2, 3]
    assert ends == []


async def test_a_failing_handler_undoes_its_own_writes_and_no_others(
    world: World, ends: list[int]
) -> None:
    @world.hearer.on(Said)
    def hear(said: Said, uow: UnitOfWork) -> None:
        world.calls.append(said.n)
        uow.connection.execute("CREATE TABLE IF NOT EXISTS heard (n)")
        uow.connection.execute("INSERT INTO heard VALUES (?)", (said.n,))
        uow.add(Note(said.n))
        if said.n % 3 == 0 and world.calls.count(said.n) == 1:
            raise RuntimeError("not today")

    await world.publish(9)
    await world.system.run(until=START)
    assert ends == [9]
    assert world.noted() == world.outside("SELECT n FROM heard") == [1, 2, 4, 5, 7, 8]
    assert [row.attempts for row in world.hearer.inbox] == [1] * 9
    await world.system.run()
    assert sorted(world.noted()) == sorted(world.outside("SELECT n FROM heard"))
    assert sorted(world.noted()) == list(range(1, 10))


async def test_a_refused_write_undoes_itself_and_no_others(world: World) -> None:
    world.note_all()
    await world.publish(3)
    taken = Note(0)

    @world.hearer.on(Said, name="clash")
    def clash(said: Said, uow: UnitOfWork) -> None:
        if said.n == 2 and taken.id not in known:
            # Somebody else records the same aggregate: its place is taken.
            known.add(taken.id)
            other = Note(99)
            other._id = taken.id
            uow.add(taken)
        else:
            uow.add(Note(100 + said.n))

    known: set[UUID] = set()
    await world.system.run()
    assert sorted(world.noted()) == [0, 1, 2, 3, 101, 103]


async def test_one_sees_what_those_before_it_in_the_group_recorded(
    world: World, ends: list[int]
) -> None:
    tally = Tally()
    await world.hearer.save(tally)

    @world.hearer.on(Said)
    async def count(said: Said, uow: UnitOfWork) -> None:
        world.calls.append(said.n)
        (await uow.get(Tally, tally.id)).increase()

    await world.publish(10)
    await world.system.run()
    assert ends == [10]
    assert world.calls == list(range(1, 11)), "a conflict would have had one tried again"
    assert (await world.hearer.get(Tally, tally.id)).count == 10


# What ends a group early


async def test_a_handler_that_waits_ends_the_group_for_those_before_it(
    world: World, ends: list[int]
) -> None:
    spans: dict[int, tuple[float, float]] = {}

    @world.hearer.on(Said)
    async def hear(said: Said, clock: Clock, uow: UnitOfWork) -> None:
        began = seconds(world.system)
        if said.n in (3, 4):
            await clock.sleep(10)
        spans[said.n] = (began, seconds(world.system))
        uow.add(Note(said.n))

    await world.publish(6)
    await world.system.run(until=START)
    assert world.outside("SELECT count(*) FROM modulus_events_hearer") == [4]
    await world.system.run()
    assert spans == {n: (0, 10) if n in (3, 4) else (0, 0) for n in range(1, 7)}
    assert ends == [2, 2]
    assert sorted(world.noted()) == [1, 2, 3, 4, 5, 6]


async def test_a_handler_that_waits_with_the_transaction_in_hand_keeps_the_group_open(
    world: World, ends: list[int]
) -> None:
    @world.hearer.on(Said)
    async def hear(said: Said, uow: UnitOfWork) -> None:
        uow.connection.execute("CREATE TABLE IF NOT EXISTS heard (n)")
        uow.connection.execute("INSERT INTO heard VALUES (?)", (said.n,))
        if said.n == 2:
            await asyncio.sleep(0)
            assert world.outside("SELECT count(*) FROM sqlite_master WHERE name = 'heard'") == [0]
        uow.add(Note(said.n))

    await world.publish(4)
    await world.system.run()
    assert ends == [2, 2]
    assert world.outside("SELECT n FROM heard") == world.noted() == [1, 2, 3, 4]


async def test_who_fails_with_the_transaction_in_hand_after_waiting_undoes_only_its_own(
    world: World,
) -> None:
    @world.hearer.on(Said)
    async def hear(said: Said, uow: UnitOfWork) -> None:
        world.calls.append(said.n)
        uow.connection.execute("CREATE TABLE IF NOT EXISTS heard (n)")
        uow.connection.execute("INSERT INTO heard VALUES (?)", (said.n,))
        if world.calls == [1, 2]:
            await asyncio.sleep(0)
            raise RuntimeError("not now")

    await world.publish(3)
    await world.system.run()
    assert world.calls == [1, 2, 3, 2]
    assert world.outside("SELECT n FROM heard") == [1, 3, 2]


@pytest.mark.parametrize("takes", [False, True])
async def test_a_command_that_a_handler_sends_is_committed_by_itself(
    world: World, takes: bool
) -> None:
    @world.sender.handles(Do)
    async def do(command: Do, uow: UnitOfWork) -> None:
        if takes:
            uow.connection.execute("CREATE TABLE IF NOT EXISTS done (n)")
        uow.add(Note(command.n))

    @world.hearer.on(Said)
    async def hear(said: Said, uow: UnitOfWork) -> None:
        world.calls.append(said.n)
        assert await world.sender.send(Do(said.n))
        stored = world.outside("SELECT count(*) FROM modulus_events_sender")
        assert stored == [said.n], "it did not happen before it answered"
        uow.add(Note(said.n))

    await world.publish(5)
    await world.system.run()
    assert world.calls == [1, 2, 3, 4, 5]
    assert world.noted() == world.noted(world.sender) == [1, 2, 3, 4, 5]


# What follows the commit


async def test_what_follows_a_commit_follows_the_commit_of_the_group(world: World) -> None:
    found: list[int] = []

    @world.hearer.on(Note.Written)
    def look(written: Note.Written) -> None:  # type: ignore[name-defined]
        found.extend(world.outside("SELECT count(*) FROM modulus_events_hearer"))

    world.note_all()
    await world.publish(4)
    await world.system.run()
    assert found == [4, 4, 4, 4]


async def test_a_group_that_cannot_be_committed_is_undone_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[int] = []

    @world.hearer.on(Note.Written)
    def follow(written: Note.Written) -> None:  # type: ignore[name-defined]
        followed.append(written.n)

    world.note_all()
    await world.publish(4)
    commit = Datastore.commit

    def full(self: Datastore, transaction: Any, *_: Any) -> Any:
        self.undo(transaction)
        raise StoreUnavailableError("the disk is full")

    monkeypatch.setattr(Datastore, "commit", full)
    await world.system.run(until=START)
    assert (world.noted(), followed) == ([], [])
    assert [(row.status, row.attempts) for row in world.hearer.inbox] == [("pending", 1)] * 4
    monkeypatch.setattr(Datastore, "commit", commit)
    await world.system.run()
    assert sorted(world.noted()) == sorted(followed) == [1, 2, 3, 4]


def test_a_failure_that_is_told_again_says_the_same_and_is_another_object() -> None:
    try:
        raise StoreUnavailableError("the disk is full") from OSError(28, "No space left on device")
    except StoreUnavailableError as error:
        failure = error
    failure.add_note("while writing")
    told = retold(failure)
    told.add_note("told to another")
    assert told is not failure
    assert (type(told), str(told)) == (StoreUnavailableError, "the disk is full")
    assert told.__cause__ is failure.__cause__
    assert told.__suppress_context__
    assert told.__traceback__ is failure.__traceback__
    assert failure.__notes__ == ["while writing"]
    assert told.__notes__ == ["while writing", "told to another"]


def test_a_failure_that_cannot_be_made_again_is_told_as_it_is() -> None:
    class DemandingError(Exception):
        def __init__(self, *, why: str) -> None:
            super().__init__(why)

    failure = DemandingError(why="no room")
    assert retold(failure) is failure


# Crashes and interrupts


@pytest.mark.parametrize(
    ("point", "calls", "duration"),
    [
        # A process that dies before the commit has done nothing of the group: all is done again.
        ("before_commit", [1, 2, 3, 1, 2, 3, 4, 5], 30),
        ("after_commit", [1, 2, 3, 4, 5], 0),
        ("before_ack", [1, 2, 3, 4, 5], 1),
    ],
)
async def test_a_crash_inside_a_group(
    world: World, point: Any, calls: list[int], duration: float
) -> None:
    def arm(n: int) -> None:
        if n == 3 and world.calls.count(3) == 1 and point == "before_commit":
            world.system.faults.crash(point, module="hearer")

    world.note_all(arm)
    await world.publish(5)
    if point != "before_commit":
        world.system.faults.crash(point, module="hearer")
    await world.system.run()
    assert sorted(world.calls) == sorted(calls)
    assert sorted(world.noted()) == [1, 2, 3, 4, 5]
    assert world.statuses() == ["done"] * 5
    assert seconds(world.system) == duration
    ledger = world.system.ledger()
    assert set(ledger.outcome) == {"done"}
    assert set(ledger.effects) == {1}


def test_an_interrupt_keeps_what_was_handled_before_it(world: World) -> None:
    def interrupt(n: int) -> None:
        if world.calls == [1, 2, 3]:
            raise KeyboardInterrupt

    async def first() -> None:
        world.note_all(interrupt)
        await world.publish(6)
        await world.system.run()

    async def again() -> None:
        await world.system.run()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(first())
    assert world.outside("SELECT count(*) FROM modulus_events_hearer") == [2]
    asyncio.run(again())
    assert world.calls == [1, 2, 3, 3, 4, 5, 6]
    assert sorted(world.noted()) == [1, 2, 3, 4, 5, 6]


async def test_others_may_write_as_soon_as_a_run_is_over(world: World) -> None:
    world.note_all()
    await world.publish(15)
    await world.system.run()
    other = sqlite3.connect(world.path, timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.close()
