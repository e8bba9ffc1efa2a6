"""The explorer without a page: its data, its inspector, and how it comes and goes."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import get_ident
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import ipywidgets
import numpy as np
import pytest

from modulus_es import (
    Aggregate,
    IntegrationEvent,
    MissingExtraError,
    ModulusError,
    Retry,
    System,
    UnitOfWork,
    event,
)
from modulus_es.clock import START
from modulus_es.trace import Trace, TraceRecord
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.marks import KINDS, SPANS, Mark
from modulus_es.views.timeline import Timeline
from modulus_es.widgets import assets, cells
from modulus_es.widgets.explorer import Explorer
from modulus_es.widgets.glance import glance
from modulus_es.widgets.graph_data import graph_data
from modulus_es.widgets.home import Home
from modulus_es.widgets.inspecting import LONGEST, inspected
from modulus_es.widgets.packing import UNIT, key
from modulus_es.widgets.timeline_data import timeline_data
from modulus_es.widgets.updates import Updates


class Parcel(Aggregate):
    @event("Packed")
    def __init__(self, weight: int) -> None:
        self.weight, self.where = weight, "packed"

    @event("Sent")
    def send(self) -> None:
        self.where = "sent"


class ParcelPacked(IntegrationEvent):
    parcel: UUID


class Address:
    def __init__(self) -> None:
        self.lines: list[str] = []


def shop() -> System:
    """A parcel that is sent after one failure, and a delivery that dies."""
    system = System(seed=7)
    packing, billing = system.module("packing"), system.module("billing")
    failures = [RuntimeError("no truck")]

    @packing.projects(Parcel.Packed)
    def packed(packed: Parcel.Packed) -> ParcelPacked:
        return ParcelPacked(packed.originator_id)

    @packing.on(ParcelPacked)
    async def send(message: ParcelPacked, uow: UnitOfWork) -> None:
        if failures:
            raise failures.pop()
        (await uow.get(Parcel, message.parcel)).send()

    @billing.on(ParcelPacked, retry=Retry(attempts=1))
    async def charge(message: ParcelPacked) -> None:
        raise RuntimeError("<b>no money</b>")

    async def run() -> None:
        await packing.save(Parcel(3))
        await system.run()

    asyncio.run(run())
    return system


@contextmanager
def explored(system: System) -> Iterator[Explorer]:
    explorer = system.explore()
    try:
        yield explorer
    finally:
        explorer.close()


def column(data: dict[str, Any], name: str) -> list[int]:
    return [int(value) for value in np.frombuffer(data[name], data["columns"][name])]


def inspect(system: System, kind: str, handler: str) -> dict[str, Any]:
    [mark] = [m for m in system.timeline().marks if (m.kind, m.handler) == (kind, handler)]
    return asyncio.run(inspected(system, mark))


def in_a_page(
    monkeypatch: pytest.MonkeyPatch, parent: dict[str, Any]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Let it seem that JupyterLab asked for this, by the request ``parent``; answers its output."""
    output: list[tuple[dict[str, Any], dict[str, Any]]] = []
    publisher = SimpleNamespace(publish=lambda bundle, **how: output.append((bundle, how)))
    shell = SimpleNamespace(get_parent=lambda: parent, display_pub=publisher)
    monkeypatch.setitem(
        sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, version_info=(9, 0))
    )
    return output


# What travels to the page


def test_every_node_and_edge_of_the_graph_travels_with_its_shapes() -> None:
    graph = shop().graph()
    data = graph_data(graph)
    assert [node["id"] for node in data["nodes"]] == [node.id for node in graph.nodes]
    ends = [(edge["source"], edge["target"]) for edge in data["edges"]]
    assert ends == [(edge.source, edge.target) for edge in graph.edges]
    assert all(node["parts"] and node["width"] > 0 for node in data["nodes"])
    assert json.loads(json.dumps(data)) == data


def test_a_projector_is_about_the_deliveries_of_what_it_makes() -> None:
    nodes = [
        Node("p", "projector", "made", "m"),
        Node("c", "integration_event", "Made", "m"),
        Node("h", "handler", "hear", "n"),
    ]
    data = graph_data(HandlerGraph(nodes, [Edge("p", "c", "event"), Edge("c", "h", "event")]))
    assert data["nodes"][0]["filter"] == {"lanes": [], "types": ["Made"]}
    assert data["nodes"][2]["filter"] == {"lanes": [["n", "hear"]], "types": []}


def test_an_empty_system_can_be_explored() -> None:
    with explored(System(seed=7)) as explorer:
        assert repr(explorer) == "Explorer(0 nodes, 0 marks)"
        assert explorer.time is None


def test_every_mark_has_its_place_lane_and_kind() -> None:
    timeline = shop().timeline()
    data = timeline_data(timeline)
    lanes = [(lane["module"], lane["handler"]) for lane in data["lanes"]]
    assert [lanes[n] for n in column(data, "lane")] == [mark.lane for mark in timeline.marks]
    kinds = [KINDS[n] for n in column(data, "kind")]
    assert kinds == [mark.kind for mark in timeline.marks]
    x, end = column(data, "x"), column(data, "end")
    assert all(0 <= a <= b <= UNIT for a, b in zip(x, end, strict=True))


def test_what_follows_at_the_same_instant_comes_after_its_cause() -> None:
    timeline = shop().timeline()
    data = timeline_data(timeline)
    x = column(data, "x")
    recorded = next(i for i, mark in enumerate(timeline.marks) if mark.kind == "recorded")
    failed = next(i for i, mark in enumerate(timeline.marks) if mark.kind == "retry")
    assert timeline.marks[recorded].time == timeline.marks[failed].time
    assert x[recorded] < x[failed]


def test_a_message_knows_the_message_that_caused_it() -> None:
    def mark(message: str, cause: str | None) -> Mark:
        return Mark(START, START, "m", "h", "recorded", message, "T", 0, None, cause)

    data = timeline_data(Timeline([mark("a", None), mark("b", "a"), mark("c", "gone")]))
    assert column(data, "cause") == [-1, 0, -1]


def test_a_projected_message_follows_from_the_command_of_its_conversation() -> None:
    command = Mark(START, START, "m", "place", "done", "", "Place", 1, "talk", None)
    message = Mark(START, START, "m", "(outbox)", "recorded", "a", "Placed", 0, "talk", "event")
    data = timeline_data(Timeline([command, message]))
    numbers = column(data, "message")
    assert column(data, "cause")[numbers[1]] == numbers[0]


def test_many_marks_travel_as_counts_over_a_plain_axis() -> None:
    marks = [
        Mark(
            START + timedelta(seconds=n),
            START + timedelta(seconds=n),
            "m",
            "h",
            "done",
            str(n),
            "T",
        )
        for n in range(2_501)
    ]
    data = timeline_data(Timeline(marks))
    assert data["counted"]
    x = column(data, "x")
    # The first and the last have room for their signs.
    assert (x[0], x[1250], x[-1]) == (0.012 * UNIT, UNIT // 2, 0.988 * UNIT)


def test_many_marks_of_one_instant_are_in_the_middle() -> None:
    marks = [Mark(START, START, "m", "h", "done", str(n), "T") for n in range(2_501)]
    data = timeline_data(Timeline(marks))
    assert {*column(data, "x"), *column(data, "end")} == {UNIT // 2}
    assert np.frombuffer(data["knots"]).tolist() == [START.timestamp() * 1e6, 0.5, 1.0]


def test_what_lasts_is_left_out_where_the_page_could_not_hold_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modulus_es.widgets.timeline_data.SPANS_UP_TO", 1)
    data = timeline_data(shop().timeline())
    kinds = {KINDS[n] for n in column(data, "kind")}
    assert kinds
    assert kinds.isdisjoint(SPANS)


def test_the_first_glance_has_what_was_recorded_and_how_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system = shop()
    assert glance(system) is None
    monkeypatch.setattr("modulus_es.widgets.glance.MANY", 1)
    seen = glance(system)
    assert seen is not None
    whole = timeline_data(system.timeline())
    assert seen["lanes"] == [{**lane, "rows": 1} for lane in whole["lanes"]]
    kinds = Counter(KINDS[n] for n in column(seen, "kind"))
    assert kinds == {"recorded": 1, "done": 1, "dead": 1}
    x = column(seen, "x")
    assert x == sorted(x)
    assert (x[0], x[-1]) == (0.012 * UNIT, 0.988 * UNIT)


def test_in_a_page_the_glance_comes_first_and_the_whole_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_a_page(monkeypatch, {"metadata": {"cellId": "c1"}, "header": {"msg_id": "run 1"}})
    monkeypatch.setattr("modulus_es.widgets.glance.MANY", 1)
    system = shop()

    async def look() -> None:
        explorer = system.explore()
        assert explorer.timeline_view.data["partial"]
        assert explorer.graph_view.data == {}
        assert explorer.view.controls is None
        explorer._clicked(None, {"kind": "choose", "mark": 0, "version": 0}, None)
        assert explorer.chosen is None
        await asyncio.sleep(0.01)
        assert [group["label"] for group in explorer.view.controls] == [
            "System",
            "Network",
            "Faults",
        ]
        assert "partial" not in explorer.timeline_view.data
        assert explorer.graph_view.data["nodes"]
        explorer.close()
        some = system.timeline(type="ParcelPacked").explore()
        assert "partial" not in some.timeline_view.data
        some.close()

    asyncio.run(look())


@pytest.mark.parametrize("name", ["\ud800", "x" * 1_000_000, "\x00<b>\u202e", "'"])
def test_any_name_can_be_sent_to_the_page(name: str) -> None:
    node, mark = (
        Node(name, "handler", name, name, name),
        Mark(START, START, name, name, "done", name, name),
    )
    graph = graph_data(HandlerGraph([node], []))
    timeline = timeline_data(Timeline([mark]))
    sent = json.dumps([graph, {k: v for k, v in timeline.items() if not isinstance(v, memoryview)}],
                      ensure_ascii=False)  # fmt: skip
    assert len(sent.encode()) < 50_000
    [lane] = timeline["lanes"]
    assert graph["nodes"][0]["filter"]["lanes"] == [[lane["module"], lane["handler"]]]
    assert (lane["where"] + lane["label"]).isprintable()


def test_long_names_are_still_told_apart() -> None:
    assert key("x" * 1_000_000) != key("x" * 1_000_001)


@pytest.mark.parametrize("name", ["graph", "timeline", "explorer"])
def test_a_view_never_reads_data_as_markup_and_fetches_nothing(name: str) -> None:
    code = assets.module(name)
    for banned in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                   "new Function", "fetch(", "XMLHttpRequest", "import(", "https://"):  # fmt: skip
        assert banned not in code
    # The one address is the name of a vocabulary, which nobody asks for.
    assert code.count("http://") == code.count("http://www.w3.org/2000/svg") == 1


def test_the_theme_has_the_colours_of_the_static_pictures() -> None:
    css = assets.theme()
    assert "--m-done-fill:#00694b" in css
    assert ".m-event{fill:var(--m-event-fill);stroke:var(--m-event-stroke);" in css
    assert "--m-done-fill:#4cc79d" in css.split('[data-theme="dark"]')[1]


# The inspector


def test_a_delivery_shows_its_message_and_what_it_changed() -> None:
    shown = inspect(shop(), "done", "send")
    sections = {section["title"]: section for section in shown["sections"]}
    assert json.loads(sections["Payload"]["text"]).keys() == {"parcel"}
    headers = dict(map(tuple, sections["Headers"]["rows"]))
    assert (headers["type"], headers["source"]) == ("ParcelPacked", "packing")
    [changes] = [section for section in shown["sections"] if section["kind"] == "changes"]
    assert changes["title"].startswith("Parcel, Parcel.Sent: version 1 to 2 of ")
    assert changes["rows"] == [["weight", "3", "3", False], ["where", "packed", "sent", True]]


def test_a_recorded_message_shows_the_event_that_it_tells_of() -> None:
    shown = inspect(shop(), "recorded", "(outbox)")
    [changes] = [section for section in shown["sections"] if section["kind"] == "changes"]
    assert changes["rows"] == [["weight", "", "3", True], ["where", "", "packed", True]]


def test_a_delivery_that_died_shows_its_error() -> None:
    shown = inspect(shop(), "dead", "charge")
    sections = {section["title"]: section for section in shown["sections"]}
    assert sections["Error"]["text"] == "RuntimeError: <b>no money</b>"
    assert not [section for section in shown["sections"] if section["kind"] == "changes"]


def test_a_long_error_is_cut_with_the_count_of_what_was_cut() -> None:
    mark = Mark(START, START, "m", "h", "dead", "a", "T", 1, error="\u202e" + "x" * 1_000_000)
    shown = asyncio.run(inspected(None, mark))
    [error] = [section["text"] for section in shown["sections"] if section["title"] == "Error"]
    assert error.endswith(f"… +{1_000_001 - LONGEST}")
    assert error.startswith("\\u202ex")


def test_no_value_shows_the_address_of_an_object() -> None:
    class Held(Aggregate):
        @event("Begun")
        def __init__(self) -> None:
            self.address, self.many = Address(), list(range(30))

    system = System(seed=7)
    module = system.module("m")

    async def run() -> dict[str, Any]:
        with system.current():
            await module.save(held := Held())
        [stored] = module.stored_events()
        recorded = module.mapper.read(stored)
        mark = Mark(START, START, "m", "", "done", "", "T", 1, recorded.correlation_id)
        assert held.version == 1
        return await inspected(system, mark)

    text = json.dumps(asyncio.run(run()))
    assert "0x" not in text


# Coming and going


def test_clicks_are_told_one_by_one_and_choose() -> None:
    with explored(shop()) as explorer:
        seen: list[Any] = []
        explorer.on_click(seen.append)
        explorer._clicked(None, {"kind": "choose", "node": "n"}, None)
        assert seen == [{"kind": "choose", "node": "n"}]

        async def click() -> None:
            explorer._clicked(None, {"kind": "choose", "mark": 0, "version": 1}, None)
            await asyncio.gather(*explorer._tasks)

        asyncio.run(click())
        assert explorer.chosen == explorer.marks[0]
        assert explorer.view.inspected["title"].startswith("ParcelPacked at ")


def test_the_scrubber_tells_the_time() -> None:
    with explored(shop()) as explorer:
        explorer.timeline_view.cursor = 1.0
        assert explorer.time == explorer.marks[-1].end
        explorer.timeline_view.cursor = 0.5
        assert explorer.time is not None
        assert START < explorer.time < explorer.marks[-1].end


def test_a_closed_explorer_leaves_nothing_behind() -> None:
    before = set(ipywidgets.widgets.widget._instances)
    system = shop()
    explorer = system.explore()
    gone = weakref.ref(explorer)
    explorer.close()
    explorer.close()
    explorer.refresh()
    assert repr(explorer).endswith(", closed)")
    assert set(ipywidgets.widgets.widget._instances) == before
    assert system.trace.watchers == ()
    del explorer
    gc.collect()
    assert gone() is None


def test_a_cell_that_runs_again_closes_what_it_had_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    system, parent = System(seed=7), {"metadata": {"cellId": "c1"}, "header": {"msg_id": "run 1"}}
    in_a_page(monkeypatch, parent)
    first, beside = system.explore(), system.explore()
    assert not first.closed
    parent["header"]["msg_id"] = "run 2"
    second = system.explore()
    assert (first.closed, beside.closed, second.closed) == (True, True, False)
    parent["metadata"]["cellId"] = "c2"
    elsewhere = system.explore()
    assert not second.closed
    assert second.view.key != elsewhere.view.key
    assert second.view.key in second._repr_mimebundle_()["text/html"]
    for each in (second, elsewhere):
        each.close()
    assert cells._open == {}


def test_what_is_closed_is_closed_after_what_takes_its_place_was_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system, parent = System(seed=7), {"metadata": {"cellId": "c1"}, "header": {"msg_id": "run 1"}}
    in_a_page(monkeypatch, parent)

    async def look() -> None:
        first = system.explore()
        await asyncio.sleep(0)
        parent["header"]["msg_id"] = "run 2"
        second = system.explore()
        assert not first.closed
        await asyncio.sleep(0)
        assert first.closed
        parent["header"]["msg_id"] = "run 3"
        third = system.explore()
        third.close()
        assert second.closed  # nobody else would see to it

    asyncio.run(look())
    assert cells._open == {}


def test_in_a_page_the_place_is_shown_first_and_its_pictures_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = in_a_page(monkeypatch, {"metadata": {"cellId": "c1"}, "header": {"msg_id": "run 1"}})
    with explored(shop()) as explorer:
        explorer._ipython_display_()
        key = explorer.view.key
    (first, before), (then, after) = shown
    assert first["text/html"] == f'<div data-modulus-es="{key}"><div></div></div>'
    assert before == {"transient": {"display_id": key}, "update": False}
    assert after == {"transient": {"display_id": key}, "update": True}
    assert then["text/html"].startswith(f'<div data-modulus-es="{key}"><div><div')
    assert sorted(then) == ["image/png", "text/html", "text/plain"]


def test_without_a_page_it_is_shown_as_any_other_value() -> None:
    with explored(shop()) as explorer, pytest.raises(NotImplementedError):
        explorer._ipython_display_()


def test_without_a_page_it_shows_the_same_pictures_on_every_run() -> None:
    bundles = []
    for _ in range(2):
        with explored(shop()) as explorer:
            bundles.append(explorer._repr_mimebundle_())
    assert bundles[0] == bundles[1]
    assert sorted(bundles[0]) == ["image/png", "text/html", "text/plain"]
    assert bundles[0]["text/html"].count("<img ") == 2
    assert "data-modulus-es" not in bundles[0]["text/html"]


def test_graph_and_timeline_of_a_system_can_be_explored_themselves() -> None:
    system = shop()
    part = system.graph(module="billing").explore()
    assert 0 < len(part.graph_view.data["nodes"]) < len(system.graph().nodes)
    part.close()
    some = system.timeline(type="Nothing").explore()
    assert len(some.marks) == 0
    some.close()


def test_a_picture_without_a_system_says_that_it_cannot_be_explored() -> None:
    with pytest.raises(ModulusError, match=r"system\.explore\(\)"):
        Timeline([]).explore()


def test_without_the_packages_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("modulus_es.widgets.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(MissingExtraError, match=r'pip install "modulus-es\[notebook\]"'):
        System(seed=7).explore()


def test_updates_are_held_together_and_end() -> None:
    calls: list[int] = []
    trace = Trace()

    async def go() -> None:
        updates = Updates(trace, lambda: calls.append(1), calls.append)
        for _ in range(100):
            trace.add(TraceRecord(START, "commit", "m"))
        await asyncio.sleep(0.4)
        updates.stop()
        trace.add(TraceRecord(START, "commit", "m"))
        await asyncio.sleep(0.3)

    asyncio.run(go())
    assert calls == [1]


def test_what_comes_from_another_thread_is_done_in_the_thread_of_the_cell() -> None:
    async def cell() -> list[tuple[int, str]]:
        done: list[tuple[int, str]] = []
        click = Home().here(lambda said: done.append((get_ident(), said)))
        click("here")
        await asyncio.to_thread(click, "there")
        await asyncio.sleep(0)
        return done

    assert asyncio.run(cell()) == [(get_ident(), "here"), (get_ident(), "there")]
