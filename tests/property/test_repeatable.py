"""One seed, one run: the same tables and the same trace, whatever chance was asked to do."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from budgets import examples
from hypothesis import given
from pandas.testing import assert_frame_equal
from plans import Hearer, Message, Plan, Record, Weather, Work, plans
from worlds import World

TABLES = ("events", "outbox", "inbox", "deliveries", "dead_letters", "ledger")


def played(plan: Plan, how: str = "run") -> World:
    world = World(plan)
    asyncio.run(world.play(how))
    return world


def assert_same(one: World, other: World) -> None:
    for table in TABLES:
        assert_frame_equal(getattr(one.system, table)(), getattr(other.system, table)())
    assert list(one.system.trace) == list(other.system.trace)
    assert one.calls == other.calls
    assert one.arrivals == other.arrivals
    assert repr(one.system) == repr(other.system)


@given(plans())
@examples(50)
def test_two_runs_with_one_seed_give_equal_tables_and_traces(plan: Plan) -> None:
    assert_same(played(plan), played(plan))


@given(plans(most=8))
@examples(20)
def test_two_runs_step_by_step_give_equal_tables_and_traces(plan: Plan) -> None:
    assert_same(played(plan, "steps"), played(plan, "steps"))


def stormy() -> Plan:
    """Enough chance that no two runs are alike by accident."""
    works = {"hear_0_0": Work((Record(),), fails=1)}
    told = [Message(n + 100, 0, works=works) for n in range(20)]
    roots = tuple(
        Message(n, to=0, works={"do_0": Work((Record((message,)),))})
        for n, message in enumerate(told)
    )
    weather = Weather(0.3, 0.3, 0.3, (0.0, 1.0))
    return Plan(2, (Hearer("hear_0_0", 0, 1),), roots, (0.1,) * len(roots), weather, seed=7)


def test_another_seed_gives_another_run() -> None:
    with pytest.raises(AssertionError):
        assert_same(played(stormy()), played(replace(stormy(), seed=8)))


def test_chance_without_a_seed_gives_another_run() -> None:
    assert_same(played(stormy()), played(stormy()))
    world = World(stormy())
    world.system.network._random = random.SystemRandom()
    asyncio.run(world.play())
    with pytest.raises(AssertionError):
        assert_same(played(stormy()), world)


# Step by step, one thing happens at a time and not a batch, so ids and times differ.

TIMES = (
    "created_at available_at received_at processed_at recorded_at started_at finished_at died_at "
    "dead_at delivered_at claimed_until occurred_on_utc"
).split()
IDS = "message_id event_id correlation_id causation_id aggregate_id key position data".split()


def finally_in(world: World, table: str) -> pd.DataFrame:
    """A table without times and ids, but with the number of the message in the plan."""
    frame: pd.DataFrame = getattr(world.system, table)()
    nodes = {row.message_id: node for row, node in _nodes(world)}
    if table == "events":
        frame["node"] = [data["node"] for data in frame.data]
        frame["handler"] = [data["handler"] for data in frame.data]
    else:
        frame["node"] = frame.message_id.map(nodes)
    if table == "dead_letters":
        frame = frame.drop(columns="body")
    frame = frame.drop(columns=[name for name in (*TIMES, *IDS) if name in frame])
    return frame.sort_values(list(frame.columns), ignore_index=True)


def _nodes(world: World) -> Any:
    import json

    for module in world.modules:
        for row in module.store.outbox_rows():
            yield row.envelope, json.loads(row.envelope.body)["node"]


@given(plans(most=10, fair=True))
@examples(25)
def test_step_by_step_and_all_at_once_end_with_the_same_tables(plan: Plan) -> None:
    at_once, by_steps, in_pieces = (played(plan, how) for how in ("run", "steps", "pieces"))
    for table in TABLES:
        assert_frame_equal(finally_in(at_once, table), finally_in(by_steps, table))
        assert_frame_equal(finally_in(at_once, table), finally_in(in_pieces, table))


def test_tables_of_another_plan_are_not_the_same() -> None:
    other = replace(stormy(), hearers=(Hearer("hear_0_0", 0, 1, attempts=1),))
    with pytest.raises(AssertionError):
        assert_frame_equal(
            finally_in(played(stormy()), "ledger"), finally_in(played(other), "ledger")
        )
