"""Claims where somebody sets the machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from talking import Said, pair

from modulus_es import System, SystemClock, VirtualClock, leases
from modulus_es.leases import LEASE, ClaimClock

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NO_TIME = timedelta(0)


class Machine(SystemClock):
    """A machine's clock that only a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall, self.passed = NOON, 1000.0
        monkeypatch.setattr(leases, "monotonic", lambda: self.passed)

    def now(self) -> datetime:
        return self.wall

    def passes(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.passed += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_clock_that_only_goes_on_is_believed(machine: Machine) -> None:
    clock = ClaimClock(machine)
    for seconds in (0, 1, 40, 3600):
        machine.passes(seconds)
        assert clock.look() == (machine.wall, NO_TIME)


def test_a_clock_set_forth_ends_no_claim_of_those_who_are_at_work(machine: Machine) -> None:
    clock = ClaimClock(machine)
    until = clock.look()[0] + LEASE
    machine.wall += HOUR
    now, behind = clock.look()
    assert (now, behind) == (NOON, HOUR)
    assert now < until
    # What is claimed meanwhile lasts by the clock of those who know of no jump.
    assert now + LEASE + behind == machine.wall + LEASE


def test_a_clock_set_forth_is_believed_when_earlier_claims_have_run_out(machine: Machine) -> None:
    clock = ClaimClock(machine)
    clock.look()
    machine.wall += HOUR
    clock.look()
    machine.passes(LEASE.total_seconds())
    assert clock.look()[0] >= NOON + LEASE
    machine.passes(LEASE.total_seconds())
    assert clock.look() == (machine.wall, NO_TIME)


def test_a_clock_set_forth_and_back_is_the_clock_again(machine: Machine) -> None:
    clock = ClaimClock(machine)
    clock.look()
    machine.wall += HOUR
    clock.look()
    machine.wall -= HOUR
    assert clock.look() == (NOON, NO_TIME)


def test_a_clock_set_back_is_believed(machine: Machine) -> None:
    clock = ClaimClock(machine)
    clock.look()
    machine.wall -= HOUR
    assert clock.look() == (NOON - HOUR, NO_TIME)


def test_a_virtual_clock_jumps_as_it_likes() -> None:
    virtual = VirtualClock(NOON)
    clock = ClaimClock(virtual)
    clock.look()
    virtual.jump(NOON + HOUR)
    assert clock.look() == (NOON + HOUR, NO_TIME)


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


async def test_a_clock_set_back_and_forth_while_somebody_is_at_work_gives_him_no_others_claim(
    tmp_path: Path, machine: Machine
) -> None:
    store, begun = f"sqlite:///{tmp_path}/shop.db", list[tuple[str, int]]()
    busy, sender, busy_hearer = pair(store=store, clock=machine)
    other, other_sender, other_hearer = pair(store=store, clock=machine)

    @busy_hearer.on(Said, name="hear")
    async def hear(said: Said) -> None:
        begun.append(("busy", said.n))
        if said.n == 1:
            machine.wall -= HOUR
        if said.n == 2:
            await other_sender.bus.publish(Said(3))
            await other.step()
            await other.step()
            machine.wall += HOUR

    @other_hearer.on(Said, name="hear")
    async def hear_slowly(said: Said) -> None:
        begun.append(("other", said.n))
        await machine.sleep(0.001)

    await sender.bus.publish(Said(1))
    await sender.bus.publish(Said(2))
    await busy.run()
    assert begun == [("busy", 1), ("busy", 2), ("other", 3)]
    await other.run()
    assert set(other.ledger().outcome) == {"done"}
    busy.close()
    other.close()
