"""What once went wrong in the delivery of messages, and must not come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from talking import Note, Said, seconds

from modulus_es import Clock, IntegrationEvent, Module, System, UnitOfWork
from modulus_es.errors import StoreUnavailableError


class Sung(IntegrationEvent):
    n: int


@pytest.fixture(params=["memory", "sqlite"])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/store.db"
    system = System(seed=7, store=url)
    yield system
    system.close()


def statuses(module: Module) -> list[tuple[str, str]]:
    return [(row.envelope.type, row.status) for row in module.inbox]


# A handler that no longer takes what it was sent


async def test_a_delivery_whose_handler_no_longer_takes_its_type_is_held_and_said(
    system: System,
) -> None:
    sender, hearer = system.module("sender"), system.module("hearer")
    heard: list[str] = []

    @hearer.on(Said, name="hear")
    def hear_said(said: Said) -> None:
        heard.append(f"said {said.n}")

    await sender.bus.publish(Said(1))
    await system.step()
    assert statuses(hearer) == [("Said", "pending")]
    hearer.forget("hear")

    @hearer.on(Sung, name="hear")
    def hear_sung(sung: Sung) -> None:
        heard.append(f"sung {sung.n}")

    await sender.bus.publish(Sung(2))
    ran = await system.run(limit=50)
    assert heard == ["sung 2"]
    assert ran.blocked == ("hearer: handler hear takes no Said (1 waiting)",)
    assert statuses(hearer) == [("Said", "pending"), ("Sung", "done")]
    # Nothing is lost: who takes it again, gets it.
    hearer.on(Said, name="hear")(hear_said)
    assert (await system.run()).blocked == ()
    assert heard == ["sung 2", "said 1"]


async def test_what_nobody_takes_does_not_count_as_a_step(system: System) -> None:
    sender, hearer = system.module("sender"), system.module("hearer")
    hearer.on(Said, name="hear")(lambda said: None)
    for n in range(5):
        await sender.bus.publish(Said(n))
    await system.step()
    hearer.forget("hear")
    hearer.on(Sung, name="hear")(lambda sung: None)
    assert await system.step() is None
    assert (await system.run()).steps == 0
    assert {status for _, status in statuses(hearer)} == {"pending"}


# What ended a run


async def full(*_: Any, **__: Any) -> Any:
    raise StoreUnavailableError("the disk is full")


async def gone(*_: Any, **__: Any) -> Any:
    raise StoreUnavailableError("the folder is gone")


async def test_what_ended_a_run_is_raised_though_giving_back_fails_too(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, hearer = system.module("sender"), system.module("hearer")
    hearer.on(Said, name="hear")(lambda said: None)
    for n in range(3):
        await sender.bus.publish(Said(n))

    with monkeypatch.context() as patched:
        patched.setattr(hearer.store, "commit", full)
        patched.setattr(hearer.store, "retry_delivery", full)
        patched.setattr(hearer.store, "release_inbox", gone)
        with pytest.raises(StoreUnavailableError, match="the disk is full") as caught:
            await system.run()
    assert any("the folder is gone" in note for note in caught.value.__notes__)
    await system.advance(60)
    assert {row.status for row in hearer.inbox} == {"done"}


async def test_where_nothing_else_failed_the_failure_to_give_back_is_raised(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, hearer = system.module("sender"), system.module("hearer")
    hearer.on(Said, name="hear")(lambda said: None)
    for n in range(3):
        await sender.bus.publish(Said(n))
    await system.step()

    hearer.forget("hear")
    hearer.on(Sung, name="hear")(lambda sung: None)
    monkeypatch.setattr(hearer.store, "release_inbox", gone)
    with pytest.raises(StoreUnavailableError, match="the folder is gone"):
        await system.run()


# A component that dies


async def test_no_handler_of_a_dead_consumer_goes_on_however_long_it_rests(
    system: System,
) -> None:
    sender, hearer = system.module("sender"), system.module("hearer")
    begun: list[tuple[int, float]] = []
    ended: list[tuple[int, float]] = []

    @hearer.on(Said)
    async def rest(said: Said, clock: Clock, uow: UnitOfWork) -> None:
        begun.append((said.n, seconds(system)))
        await clock.sleep(40)
        ended.append((said.n, seconds(system)))
        uow.add(Note(said.n))

    await sender.bus.publish(Said(1))
    for until, n in ((35, 2), (3, 3)):
        # It dies when the lease of what it has begun is out, and once more with its next life.
        await system.advance(until)
        system.faults.crash("before_ack", module="hearer")
        await sender.bus.publish(Said(n), key=str(n))
    await system.run()
    for n, moment in ended:
        last = max(each for number, each in begun if number == n)
        assert moment == last + 40
    assert sorted(n for n, _ in ended) == [1, 2, 3]
    assert {row.status for row in hearer.inbox} == {"done"}


@pytest.mark.parametrize(
    ("point", "module", "handler"),
    [
        ("before_commit", "hearer", "hear"),
        ("after_commit", "hearer", "hear"),
        ("before_publish", "sender", "relay"),
        ("after_publish", "sender", "relay"),
        ("before_ack", "hearer", ""),
    ],
)
async def test_a_crash_says_at_which_row_it_happened(
    system: System, point: Any, module: str, handler: str
) -> None:
    sender, hearer = system.module("sender"), system.module("hearer")

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    said = Said(1)
    await sender.bus.publish(said)
    system.faults.crash(point, module=module)
    await system.run()
    (crash,) = system.trace.of_kind("crash")
    (row,) = sender.outbox
    assert (crash.outcome, crash.module, crash.type, crash.handler, crash.attempt) == (
        point, module, "Said", handler, 1,
    )  # fmt: skip
    assert crash.message_id == str(said.event_id)
    assert crash.correlation_id == row.envelope.correlation_id is not None
