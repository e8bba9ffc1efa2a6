"""The queue behind the memory store, against a model that is too simple to be wrong."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from modulus_es.clock import START
from modulus_es.stores.keyed_queue import KeyedQueue

LEASE = timedelta(seconds=30)
OWNERS = ("anna", "bert")
LANES = ("x", "y")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def row(position: int, available: float = 0, lane: str = "x", attempts: int = 1) -> Any:
    return SimpleNamespace(
        position=position,
        available_at=at(available),
        attempts=attempts,
        last_error=None,
        lane=lane,
        claimed_by=None,
        claimed_until=None,
    )


def everything(_: Any) -> bool:
    return True


def queue_of(*rows: Any, through: bool = True) -> KeyedQueue:
    queue = KeyedQueue(through=through)
    for each in rows:
        queue.add(each, each.lane)
    return queue


def take(queue: KeyedQueue, owner: str = "anna", seconds: float = 0, limit: int = 100) -> list[int]:
    return [r.position for r in queue.take(owner, at(seconds), LEASE, limit, everything)]


def test_one_claim_takes_several_rows_of_a_lane_in_order_of_position() -> None:
    queue = queue_of(row(1), row(2, lane="y"), row(3), row(4, lane="y"))
    assert take(queue) == [1, 2, 3, 4]


def test_a_queue_that_held_many_rows_and_is_empty_is_as_small_as_a_new_one() -> None:
    queue = queue_of(*(row(n, lane=str(n)) for n in range(1, 10_001)))
    for each in queue.take("anna", at(0), LEASE, 10_000, everything):
        queue.remove(each)
    assert len(queue) == 0
    assert sys.getsizeof(queue._places) == sys.getsizeof({})


def test_without_through_one_claim_takes_one_row_of_a_lane() -> None:
    queue = queue_of(row(1), row(2, lane="y"), row(3), through=False)
    assert take(queue) == [1, 2]
    assert take(queue) == []


def test_nobody_takes_a_row_behind_one_that_somebody_else_has_taken() -> None:
    first = row(1)
    queue = queue_of(first, row(2), row(3))
    assert take(queue, "anna", limit=1) == [1]
    assert take(queue, "bert") == []
    queue.remove(first)
    assert take(queue, "bert") == [2, 3]


def test_a_row_that_waits_holds_back_its_lane_and_no_other() -> None:
    queue = queue_of(row(1, available=5), row(2), row(3, lane="y"))
    assert take(queue) == [3]
    assert queue.due("anna", at(0), everything) == at(5)
    assert take(queue, seconds=5) == [1, 2]


def test_a_row_that_was_never_tried_waits_for_no_time() -> None:
    queue = queue_of(row(1, available=5, attempts=0), row(2))
    assert queue.due("anna", at(0), everything) == at(0)
    assert take(queue) == [1, 2]


def test_a_scheduled_row_holds_back_nobody_and_then_takes_its_place() -> None:
    queue = KeyedQueue(through=True)
    queue.add(row(1, available=5), "x", scheduled=True)
    for position in (2, 3):
        queue.add(row(position), "x")
    assert take(queue, limit=1) == [2]
    assert take(queue, seconds=5) == [1, 3]


def test_a_lease_that_is_out_frees_the_row_for_others_but_not_for_its_owner() -> None:
    queue = queue_of(row(1))
    assert take(queue) == [1]
    assert queue.due("bert", at(0), everything) == at(30)
    assert queue.due("anna", at(0), everything) is None
    assert take(queue, "anna", 30) == []
    assert take(queue, "bert", 30) == [1]


def test_what_nobody_wants_is_set_aside_and_does_not_hold_back_its_lane() -> None:
    queue = queue_of(row(1), row(2))
    wanted = [2]
    taken = queue.take("anna", at(0), LEASE, 9, lambda r: r.position in wanted)
    assert [r.position for r in taken] == [2]
    assert queue.due("anna", at(0), lambda r: r.position in wanted) is None
    wanted.append(1)
    queue.reconsider()
    taken = queue.take("anna", at(0), LEASE, 9, lambda r: r.position in wanted)
    assert [r.position for r in taken] == [1]


class Model(RuleBasedStateMachine):
    """Two owners work on two lanes; time passes, rows fail, are given back and are finished."""

    through = True

    def __init__(self) -> None:
        super().__init__()
        self.queue = KeyedQueue(through=self.through)
        self.rows: list[Any] = []
        self.count = 0
        self.now = 0.0

    def claimable(self, owner: str) -> list[int]:
        """What a claim without limit must take, from looking at every row."""
        held: dict[str, list[Any]] = {lane: [] for lane in LANES}
        answer: list[int] = []
        for each in self.rows:
            expired = each.claimed_by not in (None, owner) and each.claimed_until <= at(self.now)
            each.free = each.claimed_by is None or expired
            before = held[each.lane]
            open_ = all(
                self.through and (b.position in answer or (not b.free and b.claimed_by == owner))
                for b in before
            )
            due = each.available_at <= at(self.now) or not each.attempts
            if each.free and due and open_:
                answer.append(each.position)
            before.append(each)
        return answer

    @rule(lane=st.sampled_from(LANES), wait=st.sampled_from([0, 0, 0, 7]), tried=st.booleans())
    def add(self, lane: str, wait: float, tried: bool) -> None:
        self.count += 1
        each = row(self.count, self.now + wait, lane, attempts=int(tried))
        self.rows.append(each)
        self.queue.add(each, lane)

    @rule(owner=st.sampled_from(OWNERS))
    def take_everything(self, owner: str) -> None:
        expected = self.claimable(owner)
        assert take(self.queue, owner, self.now) == expected

    @rule(owner=st.sampled_from(OWNERS), limit=st.integers(1, 2))
    def take_some(self, owner: str, limit: int) -> None:
        expected = self.claimable(owner)[:limit]
        assert take(self.queue, owner, self.now, limit) == expected

    @rule(owner=st.sampled_from(OWNERS))
    def due_now_means_there_is_something_to_take(self, owner: str) -> None:
        expected = bool(self.claimable(owner))
        assert (self.queue.due(owner, at(self.now), everything) == at(self.now)) is expected

    @precondition(lambda self: any(r.claimed_by for r in self.rows))
    @rule(data=st.data(), wait=st.sampled_from([0, 3, 11]))
    def give_back(self, data: st.DataObject, wait: float) -> None:
        each = data.draw(st.sampled_from([r for r in self.rows if r.claimed_by]))
        if wait:
            each.attempts, each.available_at = each.attempts + 1, at(self.now + wait)
        self.queue.give_back(each)

    @precondition(lambda self: any(r.claimed_by for r in self.rows))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        each = data.draw(st.sampled_from([r for r in self.rows if r.claimed_by]))
        self.rows.remove(each)
        self.queue.remove(each)

    @rule(seconds=st.sampled_from([1, 7, 31]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_same_rows_are_in_the_queue(self) -> None:
        assert sorted(self.queue.keys()) == [each.position for each in self.rows]


class OneAtATime(Model):
    through = False


TestThrough = Model.TestCase
TestThrough.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOneAtATime = OneAtATime.TestCase
TestOneAtATime.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
