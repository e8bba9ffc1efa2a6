"""Claims where somebody sets the machine's clock."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from talking import Said, pair

from modulus_es import System, SystemClock, VirtualClock, leases
from modulus_es.leases import LEASE, ClaimClock

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine(SystemClock):
    """A machine's clock that only a test moves, and sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.passed = NOON, 1000.0
        monkeypatch.setattr(leases, "monotonic", lambda: self.passed)

    def now(self) -> datetime:
        return self.wall

    def passes(self, span: timedelta) -> None:
        self.wall += span
        self.passed += span.total_seconds()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_setting_the_clock_lets_no_time_pass_for_claims(machine: Machine) -> None:
    clock = ClaimClock(machine)
    before = clock.now()
    machine.wall += HOUR
    assert clock.now() == before
    machine.passes(LEASE)
    machine.wall -= 2 * HOUR
    assert clock.now() == before + LEASE


def test_all_processes_agree_on_what_time_it_is_for_claims(machine: Machine) -> None:
    first = ClaimClock(machine)
    machine.wall += HOUR
    assert ClaimClock(machine).now() == first.now()


def test_virtual_time_is_the_time_for_claims() -> None:
    virtual = VirtualClock(NOON)
    clock = ClaimClock(virtual)
    virtual.jump(NOON + HOUR)
    assert clock.look() == (NOON + HOUR, timedelta(0))
    assert clock.now() == NOON + HOUR


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/shop.db"])
async def test_what_was_recorded_before_the_clock_was_set_back_is_delivered_at_once(
    url: str, tmp_path: Path, machine: Machine
) -> None:
    system = System(seed=7, store=url.format(tmp_path), clock=machine)
    sender, hearer, heard = system.module("sender"), system.module("hearer"), list[int]()

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    await sender.bus.publish(Said(1))
    machine.wall -= HOUR
    await sender.bus.publish(Said(2))
    await system.run()
    assert heard == [1, 2]
    await sender.bus.publish(Said(3))
    await system.step()
    machine.wall -= HOUR
    await system.run()
    assert heard == [1, 2, 3]
    system.close()


class Two:
    """Two systems on one file, as two processes have them; whoever hears a number notes it."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.file, self.begun = folder / "shop.db", list[tuple[str, int]]()
        self.machine, self.jumps = machine, list[timedelta]()
        store = f"sqlite:///{self.file}"
        self.busy, self.sender, busy_hearer = pair(store=store, clock=machine)
        self.other, _, other_hearer = pair(store=store, clock=machine)

        @busy_hearer.on(Said, name="hear")
        async def hear(said: Said) -> None:
            self.begun.append(("busy", said.n))
            for jump in self.jumps:
                machine.wall += jump
                for _ in range(3):
                    await self.other.step()

        @other_hearer.on(Said, name="hear")
        async def hear_too(said: Said) -> None:
            self.begun.append(("other", said.n))

    async def while_busy(self, *jumps: timedelta) -> None:
        """Let one be at work, and the other look for some each time the clock is set."""
        self.jumps.extend(jumps)
        await self.sender.bus.publish(Said(1))
        await self.busy.run()

    async def claim(self) -> None:
        """Let the busy one claim a delivery, and die before it makes it."""
        await self.sender.bus.publish(Said(1))
        await self.busy.step()
        hearer = self.busy["hearer"]
        now, skew = ClaimClock(self.machine).look()
        handlers, owner = frozenset({"hear"}), hearer.consumer.owner
        assert await hearer.store.claim_inbox(owner, now, LEASE, 1, handlers, skew)

    def close(self) -> None:
        self.busy.close()
        self.other.close()


@pytest.mark.parametrize(
    "jumps",
    [(HOUR,), (-HOUR,), (HOUR, -HOUR), (-HOUR, HOUR), (-HOUR, 2 * HOUR, -HOUR)],
    ids=["forth", "back", "forth and back", "back and forth", "back, forth and back"],
)
async def test_nobody_takes_what_another_is_at_work_on_because_the_clock_was_set(
    tmp_path: Path, machine: Machine, jumps: tuple[timedelta, ...]
) -> None:
    two = Two(tmp_path, machine)
    await two.while_busy(*jumps)
    assert two.begun == [("busy", 1)]
    two.close()


async def test_nobody_takes_it_who_saw_nothing_of_the_time_when_the_clock_was_set_back(
    tmp_path: Path, machine: Machine
) -> None:
    two = Two(tmp_path, machine)
    for _ in range(3):
        await two.other.step()  # it has looked at the clock, and looks again when it is right
    machine.wall -= HOUR
    await two.while_busy(HOUR)
    assert two.begun == [("busy", 1)]
    two.close()


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forth", "back"])
async def test_what_a_dead_process_had_claimed_is_free_after_its_lease(
    tmp_path: Path, machine: Machine, jump: timedelta
) -> None:
    two = Two(tmp_path, machine)
    await two.claim()
    machine.wall += jump
    assert await two.other.step() is None
    machine.passes(LEASE)
    await two.other.step()
    assert two.begun == [("other", 1)]
    two.close()


async def test_what_was_claimed_before_the_machine_was_started_anew_is_free(
    tmp_path: Path, machine: Machine
) -> None:
    machine.passed = 1_000_000.0
    two = Two(tmp_path, machine)
    await two.claim()
    machine.passed = 5.0
    await two.other.step()
    assert two.begun == [("other", 1)]
    two.close()


async def test_the_end_of_a_claim_is_shown_as_the_clock_will_tell_it(
    tmp_path: Path, machine: Machine
) -> None:
    two = Two(tmp_path, machine)
    await two.claim()
    (row,) = two.other["hearer"].inbox.pending()
    assert row.claimed_until == machine.wall + LEASE
    two.close()


async def test_an_end_of_a_claim_that_no_clock_tells_is_shown_as_it_stands(
    tmp_path: Path, machine: Machine
) -> None:
    two = Two(tmp_path, machine)
    await two.claim()
    with closing(sqlite3.connect(two.file)) as connection, connection:
        connection.execute("UPDATE modulus_inbox_hearer SET claimed_until = 253370764800000000")
    (row,) = two.other["hearer"].inbox
    assert row.claimed_until is not None
    assert row.claimed_until.year == 9999
    await two.other.step()
    assert two.begun == [("other", 1)]
    two.close()
