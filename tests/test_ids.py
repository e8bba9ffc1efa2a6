"""Ids: the same on every run with one seed, in order, and never one twice."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from uuid import RFC_4122, UUID, uuid4

from modulus_es.ids import Ids, projected_id


def test_ids_of_a_session_come_in_the_order_in_which_they_are_drawn() -> None:
    ids = Ids(7)
    drawn = [ids.new() for _ in range(1000)]
    assert drawn == sorted(drawn)
    assert len(set(drawn)) == 1000


def test_an_id_is_a_uuid_of_version_8() -> None:
    drawn = Ids(7).new()
    assert (drawn.version, drawn.variant) == (8, RFC_4122)
    assert UUID(str(drawn)) == drawn
    assert hash(UUID(str(drawn))) == hash(drawn)


def test_another_seed_or_session_draws_other_ids() -> None:
    found = set()
    for seed in range(20):
        ids = Ids(seed)
        for session in range(1, 20):
            ids.enter_session(session)
            found |= {ids.new() for _ in range(10)}
    assert len(found) == 20 * 19 * 10


def test_threads_never_draw_the_same_id() -> None:
    ids = Ids(7)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            drawn = list(pool.map(lambda _: [ids.new() for _ in range(500)], range(40)))
    finally:
        sys.setswitchinterval(before)
    assert len({id for some in drawn for id in some}) == 20_000


def test_a_projected_id_depends_on_event_projector_and_index_and_on_nothing_else() -> None:
    ids = Ids(7)
    events = [ids.new() for _ in range(50)] + [uuid4() for _ in range(50)]
    parts = [(e, p, i) for e in events for p in ("one", "two", "1") for i in range(12)]
    found = [projected_id(*each) for each in parts]
    assert found == [projected_id(*each) for each in parts]
    assert len({*found, *events}) == len(parts) + len(events)
    assert {(id.version, id.variant) for id in found} == {(8, RFC_4122)}


def test_projected_ids_keep_the_order_of_their_events() -> None:
    ids = Ids(7)
    found = [projected_id(ids.new(), "order_created", 0) for _ in range(1000)]
    assert found == sorted(found)
