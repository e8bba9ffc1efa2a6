"""Several processes on one file, and processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from shop import Order, Shop, python, run

Open = Callable[..., Shop]

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("MODULUS_ES_KILLS", "10"))

WORK = """
import asyncio, itertools, sys
from shop import Shop
shop = Shop(sys.argv[1])
print("ready", flush=True)

async def work():
    for n in itertools.count():
        await shop.place(f"{sys.argv[2]}-{n}")
        print(f"{sys.argv[2]}-{n}", flush=True)
        if n % 3 == 2:
            await shop.system.run()

asyncio.run(work())
"""


AT_ONCE = """
import asyncio, itertools, sys
from shop import Shop
shop = Shop(sys.argv[1], group_commit=20)
print("ready", flush=True)

async def place(number):
    await shop.place(number)
    print(number, flush=True)

async def work():
    for n in itertools.count():
        await asyncio.gather(*(place(f"{sys.argv[2]}-{n}-{i}") for i in range(20)))
        await shop.system.run()

asyncio.run(work())
"""


def killed_at_random(url: str, script: str, kills: int) -> list[str]:
    """What a process said before it was killed, again and again at random moments."""
    chance = random.Random(7)
    acknowledged: list[str] = []
    for life in range(kills):
        process = python(script, url, life)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
        time.sleep(chance.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        said, _ = process.communicate()
        # The last line may be torn; a whole one was said after its order was placed.
        acknowledged += [line for line in said.split("\n")[:-1] if line]
    return acknowledged


@pytest.mark.parametrize("script", [WORK, AT_ONCE], ids=["one by one", "at once"])
def test_a_process_killed_at_any_moment_loses_nothing_that_it_acknowledged(
    script: str, open_shop: Open, url: str
) -> None:
    acknowledged = killed_at_random(url, script, KILLS)
    assert len(acknowledged) > KILLS
    shop = open_shop()
    run(shop.system.run())
    assert set(acknowledged) <= set(shop.recorded("orders", "Order.Placed"))
    shop.agree()


TWO_TRANSACTIONS = """
import asyncio, itertools, sys, time
from shop import Order, OrderCreated, Shop
shop = Shop(sys.argv[1])
shop.orders.forget("order_created")
print("ready", flush=True)

async def work():
    for n in itertools.count():
        number = f"{sys.argv[2]}-{n}"
        await shop.orders.save(Order(number))
        time.sleep(0.02)  # the same gap as always, only long enough to be hit by five kills
        await shop.orders.bus.publish(OrderCreated(number))
        print(number, flush=True)

asyncio.run(work())
"""


def test_the_same_kills_tear_what_is_written_in_two_transactions(open_shop: Open, url: str) -> None:
    killed_at_random(url, TWO_TRANSACTIONS, 5)
    shop = open_shop()
    placed = len(shop.recorded("orders", "Order.Placed"))
    assert len(shop.system.outbox()) < placed


AT_ONCE = """
import asyncio, sys
from uuid import UUID
from shop import NoteOrder, Shop
print("ready", flush=True)
sys.stdin.readline()
shop = Shop(sys.argv[1], retry_conflicts=100)

async def work():
    for n in range(int(sys.argv[3])):
        await shop.place(f"{sys.argv[2]}-{n}")
        result = await shop.system.send(NoteOrder(UUID(sys.argv[4]), sys.argv[2]))
        result.value
        if n % 5 == 4:
            await shop.system.run()
    await shop.system.run()

asyncio.run(work())
shop.system.close()
"""


def at_once(url: str, count: int, *arguments: object) -> list[str]:
    """What went wrong in so many processes that begin at the same moment."""
    processes = [python(AT_ONCE, url, n, *arguments, stdin=subprocess.PIPE) for n in range(count)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [errors for _, errors in (process.communicate() for process in processes) if errors]


def test_eight_processes_that_start_and_save_at_once_lose_nothing(
    open_shop: Open, url: str
) -> None:
    shop = open_shop()
    [shared] = run(shop.place("shared"))
    assert at_once(url, 8, 10, shared) == []
    assert run(shop.orders.get(Order, shared)).notes == 80
    run(shop.system.run())
    assert len(shop.recorded("orders", "Order.Placed")) == 81
    made = shop.recorded("inventory", "Reservation.Made")
    assert sorted(made) == sorted(shop.recorded("orders", "Order.Placed"))
    assert set(shop.system.ledger().effects) == {1}
    assert shop.system.events().event_id.is_unique


def test_eight_processes_may_make_the_file_at_once(open_shop: Open, url: str) -> None:
    script = """
import sys
print("ready", flush=True)
sys.stdin.readline()
from shop import Shop, run
shop = Shop(sys.argv[1])
print(run(shop.place(sys.argv[2]))[0])
shop.system.close()
"""
    processes = [python(script, url, n, stdin=subprocess.PIPE) for n in range(8)]
    answers = [process.communicate("\n") for process in processes]
    assert [errors for _, errors in answers if errors] == []
    ids = {said.split()[1] for said, _ in answers}
    assert len(ids) == 8
    shop = open_shop()
    run(shop.system.run())
    shop.agree()
    assert shop.system._databases[url].session == 9


STOP = """
import asyncio, sys
from shop import Shop
shop = Shop(sys.argv[1])
store = shop.orders.store
from datetime import timedelta
claimed = asyncio.run(store.claim_outbox(
    "orders.relay-1", shop.system.now(), timedelta(seconds=30), 10, shop.system.transport.routes()
))
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(store.mark_delivered("orders.relay-1", claimed, shop.system.now()))
print([row.status for row in store.outbox_rows()])
"""


def test_a_lease_holder_that_was_frozen_does_no_harm_when_it_thaws(
    open_shop: Open, url: str
) -> None:
    shop = open_shop()
    run(shop.place("A1"))
    frozen = python(STOP, url, stdin=subprocess.PIPE)
    assert frozen.stdout is not None
    assert frozen.stdout.readline() == "ready\n", frozen.communicate()
    frozen.send_signal(signal.SIGSTOP)
    run(shop.system.run())
    shop.agree()
    frozen.send_signal(signal.SIGCONT)
    said, errors = frozen.communicate("\n")
    assert said == "['delivered']\n", errors
    [row] = shop.orders.store.outbox_rows()
    assert (row.attempts, row.status) == (1, "delivered")
    shop.agree()


CLAIM = """
import asyncio, sys
from datetime import timedelta
from shop import Shop
shop = Shop(sys.argv[1])
[row] = asyncio.run(shop.orders.store.claim_outbox(
    "orders.relay-1", shop.system.now(), timedelta(seconds=30), 1, shop.system.transport.routes()
))
"""


def test_two_processes_on_one_file_never_claim_under_one_name(open_shop: Open, url: str) -> None:
    shop = open_shop()
    run(shop.place("A1", "A2", "A3"))
    for _ in range(2):
        _, errors = python(CLAIM, url).communicate()
        assert errors == ""
    routes = shop.system.transport.routes()
    now, lease = shop.system.now(), timedelta(seconds=30)
    assert len(run(shop.orders.store.claim_outbox("orders.relay-1", now, lease, 9, routes))) == 1
    beside = sqlite3.connect(url.removeprefix("sqlite:///"))
    owners = beside.execute("SELECT claimed_by FROM modulus_outbox_orders").fetchall()
    beside.close()
    assert [owner.partition("@")[0] for (owner,) in owners] == ["orders.relay-1"] * 3
    assert len(set(owners)) == 3


ROOT = Path(__file__).parent.parent.parent


def other_pythons() -> list[str]:
    """The gate's environments for other Pythons than this one, and those that are named."""
    named = os.environ.get("MODULUS_ES_PYTHONS", "").split()
    listed = ROOT / "build" / "pythons.txt"
    lines = listed.read_text("utf-8").splitlines() if listed.is_file() else []
    versions = [line.split(" ", 1)[0] for line in lines]
    folders = [".venv", *(f".venv-{version}" for version in versions[1:])]
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    gate = {
        version: ROOT / folder / "bin" / "python"
        for version, folder in zip(versions, folders, strict=False)
    }
    return named or [
        str(python) for version, python in gate.items() if version != here and python.is_file()
    ]


CONTINUE = """
import sys
from shop import Shop, run
shop = Shop(sys.argv[1])
run(shop.place(sys.argv[2]))
run(shop.system.run())
shop.agree()
shop.system.close()
print(sys.version_info[:2])
"""


@pytest.mark.skipif(not other_pythons(), reason="there is no environment of another Python")
def test_a_file_written_on_one_python_goes_on_on_another_and_back(
    open_shop: Open, url: str
) -> None:
    shop = open_shop()
    run(shop.place("A1"))
    shop.system.close()
    versions = {str(sys.version_info[:2])}
    for number, executable in enumerate(other_pythons()):
        said, errors = python(CONTINUE, url, number, interpreter=executable).communicate()
        assert errors == ""
        versions.add(said.strip())
    assert len(versions) == 1 + len(other_pythons())
    again: Any = open_shop()
    run(again.place("back"))
    run(again.system.run())
    again.agree()
    assert len(again.recorded("orders", "Order.Placed")) == 1 + len(versions)
