"""The timeline: the marks of a message's life, lanes, the axis, and what it says."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modulus_es.clock import START
from modulus_es.envelope import Envelope
from modulus_es.stores.rows import InboxRow, OutboxRow
from modulus_es.trace import TraceRecord
from modulus_es.views.glyphs import MEANINGS, moment, span
from modulus_es.views.lives import causes_of, lanes_of, lives_of
from modulus_es.views.marking import marks_from
from modulus_es.views.marks import INBOX, KINDS, OUTBOX, SPANS, UNREADABLE, Mark
from modulus_es.views.scene import Group, Label
from modulus_es.views.sequence import SequenceDiagram
from modulus_es.views.timeline import AXES, Timeline
from modulus_es.views.timeline_scene import COUNTED, LIMIT
from modulus_es.views.timescale import TimeScale, lasting, micros

SVG = "{http://www.w3.org/2000/svg}"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def envelope(message_id: str = "m1", **kwargs: Any) -> Envelope:
    given_ = {
        "kind": "event", "type": "OrderCreated", "version": 1, "body": b"{}", "source": "orders",
        "key": "k", "occurred_on": START, "correlation_id": "c1",
    }  # fmt: skip
    return Envelope(message_id=message_id, **{**given_, **kwargs})


def sent(seconds: float = 0, message: Envelope | None = None, **kwargs: Any) -> OutboxRow:
    return OutboxRow(message or envelope(), at(seconds), at(seconds), **kwargs)


def received(seconds: float = 0, message: Envelope | None = None, **kwargs: Any) -> InboxRow:
    row = InboxRow(message or envelope(), "reserve", at(seconds), at(seconds))
    for name, value in kwargs.items():
        setattr(row, name, value)
    return row


def tried(
    seconds: float, outcome: str, attempt: int = 1, lasted: float = 0, **kwargs: Any
) -> TraceRecord:
    given_ = {"message_id": "m1", "type": "OrderCreated", "handler": "reserve", "source": "orders"}
    return TraceRecord(
        at(seconds), "delivery", "inventory", attempt=attempt, outcome=outcome, duration=lasted,
        **{**given_, **kwargs},
    )  # fmt: skip


def inventory(*rows: InboxRow) -> list[tuple[str, InboxRow]]:
    return [("inventory", row) for row in rows]


def orders(*rows: OutboxRow) -> list[tuple[str, OutboxRow]]:
    return [("orders", row) for row in rows]


def life(marks: list[Mark], handler: str = "reserve") -> list[tuple[str, float, float]]:
    """The kinds of a lane's marks, with the seconds from their begin to their end."""
    return [
        (mark.kind, (mark.time - START).total_seconds(), (mark.end - START).total_seconds())
        for mark in marks
        if mark.handler == handler
    ]


def texts(timeline: Timeline) -> list[str]:
    return [element.text or "" for element in ET.fromstring(timeline.to_svg()).iter(f"{SVG}text")]


def story() -> list[Mark]:
    """A message that is retried, comes twice and dies, and one that is done at once."""
    dead = received(1, dead_at=at(5), attempts=2, last_error="TimeoutError: no answer")
    other = envelope("m2", correlation_id="c2")
    done = received(2, other, processed_at=at(2), outcome="done")
    records = [
        tried(2, "retry", 1, 0.5, error="TimeoutError: no answer", correlation_id="c1"),
        tried(3, "duplicate", correlation_id="c1"),
        tried(5, "dead", 2, 0.5, error="TimeoutError: no answer", correlation_id="c1"),
        tried(2, "done", message_id="m2", correlation_id="c2"),
    ]
    sent_rows = orders(sent(0, delivered_at=at(1)), sent(2, other, delivered_at=at(2)))
    return marks_from(sent_rows, inventory(dead, done), records)


def test_a_message_is_recorded_and_waits_in_its_outbox_until_it_is_handed_over() -> None:
    marks = marks_from(orders(sent(1, delivered_at=at(4))), [], [])
    assert life(marks, OUTBOX) == [("recorded", 1, 1), ("waiting", 1, 4)]


def test_a_message_that_is_handed_over_at_once_does_not_wait() -> None:
    marks = marks_from(orders(sent(1, delivered_at=at(1))), [], [])
    assert life(marks, OUTBOX) == [("recorded", 1, 1)]


def test_a_message_that_is_not_handed_over_waits_until_now() -> None:
    marks = marks_from(orders(sent(1)), [], [], now=at(60))
    assert life(marks, OUTBOX) == [("recorded", 1, 1), ("waiting", 1, 60)]


def test_what_the_relay_tried_in_vain_and_what_the_network_lost_is_shown() -> None:
    failed = TraceRecord(at(1), "relay", "orders", "m1", attempt=1, outcome="retry", error="down")
    lost = TraceRecord(at(2), "network", "inventory", "m1", outcome="lost", source="orders")
    marks = marks_from(orders(sent(0, dead_at=at(3), attempts=2)), [], [failed, lost])
    assert [(m.kind, m.text) for m in marks if m.kind in ("retry", "dead")] == [
        ("retry", ""), ("retry", "lost on the way to inventory"), ("dead", ""),
    ]  # fmt: skip


def test_between_outbox_and_inbox_a_message_is_in_flight() -> None:
    marks = marks_from(orders(sent(1)), inventory(received(3, processed_at=at(3))), [])
    assert life(marks) == [("in_flight", 1, 3), ("done", 3, 3)]


def test_a_scheduled_message_is_in_flight_from_when_it_was_due() -> None:
    row = sent(0, scheduled=True, delivered_at=at(10))
    row.available_at = at(9)
    marks = marks_from(orders(row), inventory(received(10, processed_at=at(10))), [])
    assert life(marks) == [("in_flight", 9, 10), ("done", 10, 10)]
    assert [m.text for m in marks if m.kind == "waiting"] == ["scheduled"]


def test_attempts_and_the_waits_between_them_are_to_be_seen() -> None:
    row = received(0, processed_at=at(4))
    records = [tried(1, "retry", 1, 1), tried(4, "done", 2, 0.5)]
    assert life(marks_from([], inventory(row), records)) == [
        ("attempt", 0, 1), ("retry", 1, 1), ("waiting", 1, 3.5),
        ("attempt", 3.5, 4), ("done", 4, 4),
    ]  # fmt: skip


def test_a_dead_letter_waits_no_more_until_it_is_replayed() -> None:
    row = received(0, processed_at=at(9))
    replay = TraceRecord(at(7), "replay", "inventory", "m1", handler="reserve")
    records = [tried(0, "dead", 5), replay, tried(9, "done")]
    assert life(marks_from([], inventory(row), records)) == [
        ("dead", 0, 0), ("waiting", 7, 9), ("done", 9, 9),
    ]  # fmt: skip


def test_a_duplicate_is_a_mark_of_its_own() -> None:
    marks = story()
    assert [(m.time, m.text) for m in marks if m.kind == "duplicate"] == [
        (at(3), "came again, suppressed")
    ]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (received(0, processed_at=at(2), outcome="done"), "done"),
        (received(0, processed_at=at(2), outcome="failed"), "failed"),
        (received(0, dead_at=at(2)), "dead"),
    ],
)
def test_what_the_trace_has_forgotten_the_inbox_still_knows(row: InboxRow, kind: str) -> None:
    assert life(marks_from([], inventory(row), [])) == [("waiting", 0, 2), (kind, 2, 2)]


def test_what_the_inbox_has_forgotten_the_trace_still_knows() -> None:
    assert life(marks_from([], [], [tried(2, "done", 1, 1)])) == [("attempt", 1, 2), ("done", 2, 2)]


def test_a_delivery_that_is_pending_waits_until_now() -> None:
    marks = marks_from([], inventory(received(1)), [], now=at(5))
    assert life(marks) == [("waiting", 1, 5)]
    assert marks[0].text == "still waiting"


def test_what_could_not_be_read_has_a_lane_of_its_own() -> None:
    row = received(0, dead_at=at(0), last_error="unknown type")
    row.handler = ""
    assert life(marks_from([], inventory(row), []), UNREADABLE) == [("dead", 0, 0)]


def test_a_command_is_a_mark_in_its_handlers_lane() -> None:
    record = TraceRecord(at(1), "command", "orders", type="Place", handler="place", outcome="done")
    assert life(marks_from([], [], [record]), "place") == [("done", 1, 1)]


def test_a_command_that_came_over_the_bus_is_shown_once() -> None:
    row = received(0, processed_at=at(1))
    command = TraceRecord(
        at(1), "command", "inventory", type="OrderCreated", handler="reserve", outcome="done",
        causation_id="m1",
    )  # fmt: skip
    assert life(marks_from([], inventory(row), [tried(1, "done"), command])) == [
        ("waiting", 0, 1), ("done", 1, 1),
    ]  # fmt: skip


def test_a_projected_message_is_traced_to_the_message_before_it() -> None:
    row = sent(0, envelope("m2", causation_id="e2"))
    causes = {"e2": "e1", "e1": "m1", "m1": None}
    (mark, *_) = marks_from(orders(row), [], [], causes=causes)
    assert mark.causation_id == "m1"


def test_what_led_to_what_goes_to_networkx() -> None:
    graph = Timeline(story()).to_networkx()
    led = [
        [(graph.nodes[end]["handler"], graph.nodes[end]["outcome"]) for end in edge]
        for edge in graph.edges
    ]
    assert led == [
        [(OUTBOX, "recorded"), ("reserve", "dead")],
        [(OUTBOX, "recorded"), ("reserve", "done")],
    ]
    _, died, _, _ = (held for _, held in graph.nodes(data=True))
    assert (died["module"], died["type"], died["attempts"]) == ("inventory", "OrderCreated", 2)
    assert (died["message_id"], died["began"], died["ended"]) == ("m1", at(0), at(5))


def test_who_told_whom_what_goes_to_mermaid() -> None:
    assert Timeline(story()).to_mermaid() == SequenceDiagram(story()).to_mermaid()


def test_nothing_has_no_marks() -> None:
    assert marks_from([], [], []) == []
    assert texts(Timeline([])) == ["Nothing has happened yet."]
    assert repr(Timeline([])) == "Timeline(nothing yet)"


def test_lanes_are_grouped_by_module_in_order_of_appearance_outboxes_last() -> None:
    marks = [
        Mark(at(i), at(i), module, handler, "done", f"m{i}", "T")
        for i, (module, handler) in enumerate(
            [("b", OUTBOX), ("b", "late"), ("a", "x"), ("b", "later")]
        )
    ]
    lanes = lanes_of(lives_of(marks), range(4))
    assert lanes == [("b", "late"), ("b", "later"), ("b", OUTBOX), ("a", "x")]


def test_arrows_lead_from_message_to_handler_and_from_handler_to_message() -> None:
    marks = [
        Mark(at(0), at(0), "orders", OUTBOX, "recorded", "m1", "A"),
        Mark(at(1), at(1), "inventory", "reserve", "done", "m1", "A"),
        Mark(at(1), at(1), "inventory", OUTBOX, "recorded", "m2", "B", causation_id="m1"),
    ]
    assert causes_of(marks, lives_of(marks)) == [(0, 1), (1, 2)]
    with_arrows, without = Timeline(marks, arrows=True).to_svg(), Timeline(marks).to_svg()
    assert (with_arrows.count('class="m-arrow"'), without.count('class="m-arrow"')) == (2, 0)


def test_a_command_leads_to_what_was_recorded_because_of_it() -> None:
    marks = [
        Mark(at(0), at(0), "orders", "place", "done", "", "Place", correlation_id="c1"),
        Mark(at(0), at(0), "orders", OUTBOX, "recorded", "m1", "A", correlation_id="c1"),
        Mark(at(0), at(0), "orders", OUTBOX, "recorded", "m2", "A", correlation_id="c2"),
    ]
    assert causes_of(marks, lives_of(marks)) == [(0, 1)]


def test_what_follows_within_one_instant_is_drawn_behind_each_other() -> None:
    marks = [
        Mark(at(0), at(0), "orders", OUTBOX, "recorded", "m1", "A"),
        Mark(at(0), at(0), "inventory", "reserve", "done", "m1", "A"),
        Mark(at(0), at(0), "inventory", OUTBOX, "recorded", "m2", "B", causation_id="m1"),
    ]
    svg = ET.fromstring(Timeline(marks).to_svg())
    x = {
        text.text: float(text.get("x", "0"))
        for text in svg.iter(f"{SVG}text")
        if text.text in ("A", "B")
    }
    assert x["B"] > x["A"]


def test_waits_are_drawn_to_scale() -> None:
    scale = TimeScale([0, 1, 3, 7, 15], 0, 1500)
    widths = [scale.x(b) - scale.x(a) for a, b in [(0, 1), (1, 3), (3, 7), (7, 15)]]
    assert widths == pytest.approx([100, 200, 400, 800])
    assert scale.breaks == []


def test_a_wait_that_dwarfs_the_rest_is_cut_and_says_how_long_it_is() -> None:
    day = 86_400_000_000
    scale = TimeScale([0, 1_000_000, 2_000_000, day], 0, 1000)
    assert [(cut.text, cut.x) for cut in scale.breaks] == [("23 h 59 min", scale.x(2_000_000))]
    assert scale.x(1_000_000) == pytest.approx((1000 - scale.breaks[0].width) / 2)
    assert TimeScale([0, 1_000_000, 2_000_000, day], 0, 1000, axis="linear").breaks == []


def test_backoffs_alone_are_never_cut() -> None:
    waits = [0, 1, 3, 7, 15, 45]
    assert TimeScale([wait * 1_000_000 for wait in waits], 0, 1000).breaks == []


def test_the_cut_is_in_the_picture() -> None:
    marks = [Mark(at(s), at(s), "a", "h", "done", f"m{s}", "T") for s in (0, 1, 2, 90_000)]
    assert "1 d" in texts(Timeline(marks))
    assert "m-cut" not in Timeline(marks, axis="linear").to_svg()


@given(
    st.lists(st.integers(-(10**15), 10**17), min_size=1, max_size=40),
    st.dictionaries(st.integers(0, 39), st.floats(0, 200), max_size=10),
    st.sampled_from(AXES),
)
def test_time_never_runs_backward_and_stays_on_the_axis(
    times: list[int], rooms: dict[int, float], axis: str
) -> None:
    room = {times[index % len(times)]: width for index, width in rooms.items()}
    scale = TimeScale(times, 100, 900, room, axis=axis)
    places = [scale.x(time) for time in sorted(times)]
    assert places == sorted(places)
    assert places[0] >= 100
    assert places[-1] <= 900 + 1e-6
    ticks = [tick.x for tick in scale.ticks()]
    assert ticks == sorted(ticks)
    assert ticks
    assert all(100 <= x <= 900 + 1e-6 for x in ticks)


@pytest.mark.parametrize(
    ("span_", "text"),
    [
        (0, "0 µs"), (250, "250 µs"), (1500, "1.5 ms"), (30_000_000, "30 s"),
        (61_000_000, "1 min 1 s"), (3_600_000_000, "1 h"), (90_000_000_000, "1 d 1 h"),
    ],
)  # fmt: skip
def test_how_long_something_takes_is_said_in_few_words(span_: int, text: str) -> None:
    assert lasting(span_) == text


def test_microseconds_are_exact() -> None:
    assert micros(at(0.000001)) - micros(at(0)) == 1


def test_every_kind_of_mark_has_a_shape_of_its_own() -> None:
    drawn = {
        kind: [span(kind, 0, 20, 0)] if kind in SPANS else moment(kind, 0, 0) for kind in KINDS
    }
    looks = {kind: str([shape.path for shape in shapes]) for kind, shapes in drawn.items()}
    # Both are lines, and told apart by their dashes.
    assert looks.pop("waiting") == looks.pop("in_flight")
    assert len(set(looks.values())) == len(KINDS) - 2
    dashes = re.findall(
        r"\.m-(?:waiting|in_flight)\{[^}]*dasharray:([^;]*)", Timeline(all_kinds()).to_svg()
    )
    assert len(set(dashes)) == 2


def all_kinds() -> list[Mark]:
    return [
        Mark(at(i), at(i + (kind in SPANS)), "m", kind, kind, f"m{i}", "T")
        for i, kind in enumerate(KINDS)
    ]


def test_the_legend_says_what_the_signs_mean_that_there_are() -> None:
    assert {"recorded", "duplicate, suppressed", "dead letter"} <= set(texts(Timeline(all_kinds())))
    assert "dead letter" not in texts(Timeline(all_kinds()[:3]))


def test_many_marks_are_drawn_as_counts_and_the_picture_says_so() -> None:
    marks = [
        Mark(at(i), at(i), "m", "h", "dead" if i % 100 == 0 else "done", f"m{i}", "T")
        for i in range(LIMIT + 1)
    ]
    timeline = Timeline(marks)
    assert any("2,001 marks, drawn as counts" in text for text in texts(timeline))
    assert len(timeline.to_svg()) < 100_000
    assert 'class="m-count-dead"' in timeline.to_svg()
    assert "drawn as counts" not in str(texts(Timeline(marks[:-1])))


def test_the_counts_add_up() -> None:
    marks = [Mark(at(i % 50), at(i % 50), "m", "h", "done", f"m{i}", "T") for i in range(LIMIT + 5)]
    said = [item.title for item in Timeline(marks).scene().items if isinstance(item, Group)]
    assert sum(int(text.split()[0].replace(",", "")) for text in said) == LIMIT + 5


def test_a_lane_in_which_too_much_happens_at_once_is_drawn_as_counts() -> None:
    busy = [Mark(at(0), at(0), "m", "busy", "done", f"m{i}", "T") for i in range(200)]
    calm = [Mark(at(5), at(5), "m", "calm", "done", "x", "T")]
    svg = Timeline([*busy, *calm]).to_svg()
    assert ('class="m-count"' in svg, 'class="m-done"' in svg) == (True, True)
    assert "200 marks" in texts(Timeline([*busy, *calm]))


def test_the_legend_explains_the_counts_of_one_lane_beside_the_signs_of_the_others() -> None:
    crowd = [
        Mark(at(0), at(9), "inventory", "reserve", "attempt", f"m{i}", "OrderCreated")
        for i in range(12)
    ]
    crowd += [
        Mark(at(9), at(9), "inventory", "reserve", "dead", f"m{i}", "OrderCreated")
        for i in range(12)
    ]
    said = texts(Timeline([*crowd, Mark(at(1), at(1), "orders", "place", "done", "x", "Placed")]))
    assert {*COUNTED.values(), "done"} <= {*said}
    assert "dead letter" not in said
    assert not {*COUNTED.values()} & {*texts(Timeline(story()))}


def test_marks_of_one_lane_that_overlap_are_below_each_other() -> None:
    marks = [Mark(at(i), at(i + 10), "m", "h", "attempt", f"m{i}", "T") for i in range(4)]
    drawn = [g for g in Timeline(marks).scene().items if isinstance(g, Group) and g.key]
    tops = [group.items[0].path[0][2] for group in drawn if not isinstance(group.items[0], Label)]
    assert len(set(tops)) == 4


def test_a_row_that_is_used_again_is_taken_until_its_last_mark() -> None:
    spans = [(0, 1), (20, 40), (30, 50)]
    marks = [Mark(at(a), at(b), "m", "h", "attempt", f"m{a}", "T") for a, b in spans]
    drawn = [g for g in Timeline(marks).scene().items if isinstance(g, Group) and g.key]
    tops = [group.items[0].path[0][2] for group in drawn if not isinstance(group.items[0], Label)]
    assert tops[0] == tops[1] < tops[2]


def test_marks_of_one_lane_that_do_not_overlap_share_a_row() -> None:
    marks = [Mark(at(i), at(i), "m", "h", "done", f"m{i}", "T") for i in range(9)]
    one, nine = Timeline(marks[:1]).scene(), Timeline(marks).scene()
    assert nine.height == one.height


def test_counts_stand_where_the_time_is() -> None:
    marks = [Mark(at(i), at(i), "m", "h", "done", f"m{i}", "T") for i in range(LIMIT + 1)]
    groups = [item for item in Timeline(marks).scene().items if isinstance(item, Group)]
    assert len(groups) > 100
    assert all(int(group.title.split()[0]) < 20 for group in groups)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"correlation": "c2"}, {"m2"}),
        ({"type": "Nothing"}, set()),
        ({"type": "OrderCreated"}, {"m1", "m2"}),
        ({"since": at(3)}, {"m1"}),
        ({"until": at(1)}, {"m1"}),
        ({"since": at(2), "until": at(2)}, {"m1", "m2"}),
    ],
)
def test_a_timeline_can_be_filtered(filters: dict[str, Any], ids: set[str]) -> None:
    assert {mark.message_id for mark in Timeline(story()).filter(**filters).marks} == ids


def test_a_filter_keeps_the_options_and_may_ask_for_arrows() -> None:
    timeline = Timeline(story(), title="Mine", axis="log").filter(arrows=True)
    assert (timeline.title, timeline.axis, timeline.arrows) == ("Mine", "log", True)
    assert timeline.filter().arrows


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="since needs a time zone"):
        Timeline([]).filter(since=datetime(2024, 1, 1))  # noqa: DTZ001


def test_an_unknown_kind_of_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="not 'lost'"):
        Timeline([Mark(at(0), at(0), "m", "h", "lost", "m1", "T")])


def test_the_alternative_text_says_what_happened_in_every_lane_and_what_died() -> None:
    alt = Timeline(story()).alt()
    assert "2 messages, 2 lanes, 2 recorded, 1 done, 1 retry, 1 duplicate, 1 dead." in alt
    assert "inventory reserve: 1 done, 1 retry, 1 duplicate, 1 dead." in alt
    assert "OrderCreated dead 2024-01-01 00:00:05, attempt 2 (TimeoutError: no answer)" in alt


def test_the_table_has_a_row_for_each_message_in_each_lane() -> None:
    heads, rows = Timeline(story()).table()
    dead = dict(zip(heads, rows[2], strict=True))
    assert len(rows) == 4
    assert (dead["handler"], dead["attempts"], dead["outcome"]) == ("reserve", 2, "dead")
    assert (dead["duplicates"], dead["error"]) == (1, "TimeoutError: no answer")


def test_the_frame_has_every_mark_and_keeps_its_dtypes_when_empty() -> None:
    full, empty = Timeline(story()).to_frame(), Timeline([]).to_frame()
    assert len(full) == len(story())
    assert full.columns[:6].tolist() == ["time", "end", "module", "handler", "kind", "type"]
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_the_text_of_a_timeline_counts_what_is_in_it() -> None:
    assert repr(Timeline(story())) == (
        "Timeline(2 messages, 2 lanes, 2 recorded, 1 done, 1 retry, 1 duplicate, 1 dead, "
        "2024-01-01T00:00:00Z to 2024-01-01T00:00:05Z)"
    )


def crashed(seconds: float, handler: str, point: str, module: str) -> TraceRecord:
    return TraceRecord(
        at(seconds), "crash", module, "m1", "OrderCreated", handler, outcome=point, source="orders"
    )


def test_a_crash_is_marked_where_the_message_was() -> None:
    marks = marks_from(
        orders(sent(0, delivered_at=at(2))),
        inventory(received(2, processed_at=at(9), outcome="done")),
        [
            crashed(1, "relay", "before_publish", "orders"),
            crashed(3, "reserve", "before_commit", "inventory"),
            tried(9, "done"),
        ],
    )
    assert [(m.module, m.handler, m.text) for m in marks if m.kind == "crash"] == [
        ("orders", OUTBOX, "crashed at before_publish"),
        ("inventory", "reserve", "crashed at before_commit"),
    ]


def test_a_crash_whose_message_is_in_no_store_is_marked_all_the_same() -> None:
    marks = marks_from([], [], [crashed(1, "relay", "after_publish", "orders")])
    assert life(marks, OUTBOX) == [("crash", 1, 1)]


def waiting(start: float, end: float) -> Mark:
    return Mark(at(start), at(end), "orders", OUTBOX, "waiting", "m1", "T")


def test_a_window_cuts_what_reaches_beyond_it_and_says_which_end_is_open() -> None:
    window = {"since": at(2), "until": at(8)}
    marks = [waiting(0, 5), waiting(3, 9), waiting(1, 10), waiting(3, 4)]
    found = Timeline(marks).filter(**window).marks
    assert [((m.time - START).seconds, (m.end - START).seconds, m.open) for m in found] == [
        (2, 5, "begin"), (2, 8, "both"), (3, 8, "end"), (3, 4, ""),
    ]  # fmt: skip


def test_what_only_touches_a_window_is_not_in_it() -> None:
    timeline = Timeline([waiting(0, 2), waiting(8, 9)])
    assert timeline.filter(since=at(2), until=at(8)).marks == ()


def test_an_open_end_is_drawn_and_said() -> None:
    timeline = Timeline([waiting(0, 5), waiting(0, 9)]).filter(since=at(3))
    assert timeline.to_svg().count('class="m-open-end"') == 2 + 1  # and the legend's
    assert "orders (outbox): T waiting for 2 s from 2024-01-01 00:00:03, began before" in (
        timeline.to_svg()
    )


def test_what_waits_still_is_open() -> None:
    (_, still) = marks_from(orders(sent(1)), [], [], now=at(60))
    assert still.open == "end"


def test_on_a_log_axis_a_long_wait_leaves_room_for_a_short_one() -> None:
    second, day = 10**6, 86_400 * 10**6
    scale = TimeScale([0, second, day], 0, 1000, axis="log")
    assert scale.breaks == []
    assert 250 < scale.x(second) < 500
    assert [tick.text for tick in scale.ticks()] == ["00:00:00", "00:00:01", "01-02 00:00:00"]


def test_a_log_axis_is_labelled_to_the_millisecond_unless_all_is_shorter() -> None:
    long = TimeScale([0, 2_403_348, 60_000_000], 0, 600, axis="log")
    assert [tick.text for tick in long.ticks()] == ["00:00:00", "00:00:02.403", "00:01:00"]
    short = TimeScale([0, 403_348], 0, 600, axis="log")
    assert [tick.text for tick in short.ticks()] == ["00:00:00", "00:00:00.403348"]


def test_a_log_axis_says_what_it_is() -> None:
    timeline = Timeline([waiting(0, 1), waiting(1, 86_400)], axis="log")
    assert "waits drawn as their logarithms" in timeline.to_svg()
    assert "waits drawn as their logarithms" in timeline.alt()


def test_an_unknown_axis_is_refused() -> None:
    with pytest.raises(ValueError, match="an axis is broken, log, linear, not 'square'"):
        Timeline([], axis="square")


def test_arrows_are_drawn_on_demand_only() -> None:
    assert "m-arrow" not in Timeline(story()).to_svg()
    assert "m-arrow" in Timeline(story(), arrows=True).to_svg()


def test_no_arrow_crosses_out_a_name() -> None:
    items = Timeline(story(), arrows=True).scene().items
    groups = [item.items for item in items if isinstance(item, Group)]
    arrows = [i for i, parts in enumerate(groups) if parts[0].style == "arrow"]
    names = [i for i, parts in enumerate(groups) if any(isinstance(p, Label) for p in parts)]
    assert arrows
    assert max(arrows) < min(names)


def test_a_crash_of_a_consumer_is_marked_at_its_inbox() -> None:
    marks = marks_from([], inventory(received(2)), [crashed(2, "", "before_ack", "inventory")])
    assert life(marks, INBOX) == [("crash", 2, 2)]


def test_the_legend_says_what_an_open_end_means() -> None:
    assert "goes on" in texts(Timeline([waiting(0, 9)]).filter(until=at(3)))
    assert "goes on" not in texts(Timeline([waiting(0, 9)]))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mark_is_drawn_and_explained(kind: str) -> None:
    end = at(1) if kind in SPANS else at(0)
    timeline = Timeline([Mark(at(0), end, "m", "h", kind, "m1", "T")])
    assert f'class="m-{kind}"' in timeline.to_svg()
    assert MEANINGS[kind] in texts(timeline)
