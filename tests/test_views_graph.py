"""The handler graph: what it shows, says, flags and exports."""

from __future__ import annotations

import re
from itertools import pairwise
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest

from benchmarks.graphs import usual
from modulus_es import Aggregate, IntegrationEvent, System, UnitOfWork, event
from modulus_es.views.graph_scene import KINDS
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.scene import Group, Label, Shape
from modulus_es.views.text import width_of
from modulus_es.views.theme import STYLES


class Parcel(Aggregate):
    @event("Placed")
    def __init__(self) -> None:
        self.told = False

    @event("Told")
    def tell(self) -> None:
        self.told = True


class ParcelPlaced(IntegrationEvent):
    parcel_id: UUID


SVG = "{http://www.w3.org/2000/svg}"


def quickstart(*, traffic: int = 0) -> HandlerGraph:
    nodes = [
        Node("c", "command", "PlaceOrder", "orders", "customer_id, total", traffic),
        Node("h", "handler", "place_order", "orders", count=traffic),
        Node("o", "aggregate", "Order", "orders", count=traffic),
        Node("p", "domain_event", "Order.Placed", "orders", count=traffic),
        Node("l", "handler", "log_order", "orders", count=traffic),
        Node("j", "projector", "order_created", "orders", count=traffic),
        Node("i", "integration_event", "OrderCreated", "orders", count=traffic),
        Node("r", "subscriber", "ReserveStock", "inventory", "", traffic, 3, 1),
        Node("q", "query", "CountOrders", "orders", count=traffic),
        Node("qh", "handler", "count_orders", "orders", count=traffic),
    ]
    edges = [
        Edge("c", "h", "sync", traffic), Edge("h", "o", "sync", traffic),
        Edge("o", "p", "event", traffic), Edge("p", "l", "event", traffic),
        Edge("p", "j", "event", traffic), Edge("j", "i", "event", traffic),
        Edge("i", "r", "event", traffic), Edge("q", "qh", "sync", traffic),
    ]  # fmt: skip
    return HandlerGraph(nodes, edges)


def texts(graph: HandlerGraph) -> list[str]:
    return [element.text or "" for element in ET.fromstring(graph.to_svg()).iter(f"{SVG}text")]


def group(graph: HandlerGraph, id_: str) -> Group:
    return next(item for item in graph.scene().items if isinstance(item, Group) and item.key == id_)


def test_every_node_and_module_is_named_in_the_picture() -> None:
    graph = quickstart()
    assert {node.label for node in graph.nodes} | {"orders", "inventory"} <= set(texts(graph))


def test_every_kind_has_an_outline_of_its_own() -> None:
    outlines = set()
    for kind in KINDS:
        graph = HandlerGraph([Node("n", kind, "Name", "")], [], direction="right")
        shapes = [item for item in group(graph, "n").items if isinstance(item, Shape)]
        letters = ["".join(str(segment[0]) for segment in shape.path) for shape in shapes]
        slants = [shape.path[0][1] - shape.path[-2][-2] for shape in shapes if shape.style == kind]
        outlines.add((*letters, *slants))
    assert len(outlines) == len(KINDS) == 8


@pytest.mark.parametrize("direction", ["right", "down"])
@pytest.mark.parametrize("count", [10, 60, 300])
def test_no_label_overlaps_another_or_leaves_the_picture(count: int, direction: str) -> None:
    graph = HandlerGraph(*usual(count), direction=direction)
    scene = graph.scene()
    spots = []
    for item in scene.items:
        for label in item.items if isinstance(item, Group) else (item,):
            if isinstance(label, Label):
                style = STYLES[label.style]
                wide = width_of(label.text, style.size, bold=style.bold)
                left = label.x - wide / 2 if label.anchor == "middle" else label.x
                spots.append((label.y, left, left + wide))
    assert len(spots) > 2 * count
    assert all(left >= 0 and right <= scene.width for _, left, right in spots)
    spots.sort()
    for index, (y, left, right) in enumerate(spots):
        for below, other_left, other_right in spots[index + 1 :]:
            if below - y >= 10:
                break
            assert right <= other_left or other_right <= left


@pytest.mark.parametrize("kind", KINDS)
def test_an_edge_meets_the_outline_of_every_kind(kind: str) -> None:
    # What nobody hears has a frame, which its edge meets instead.
    nodes = [Node("a", kind, "Name", "m"), Node("b", kind, "Name", "m")]
    nodes.append(Node("c", "subscriber", "hear", "m"))
    edges = [Edge("a", "b", "event"), Edge("b", "c", "event")]
    graph = HandlerGraph(nodes, edges, direction="right")
    way, head = next(g.items for g in graph.scene().items if isinstance(g, Group) and not g.key)
    assert isinstance(way, Shape)
    assert isinstance(head, Shape)
    for node, (_, x, y) in (("a", way.path[0]), ("b", head.path[0])):
        outline = next(i for i in group(graph, node).items if i.style == kind)
        assert isinstance(outline, Shape)
        assert any(abs(float(x) - side) <= 0.5 for side in crossed(outline, float(y)))


def crossed(outline: Shape, y: float) -> list[float]:
    """Where an outline is at a height, as far as its corners say it."""
    corners = [(float(s[-2]), float(s[-1])) for s in outline.path if len(s) > 1]
    found = []
    for (x, top), (to_x, bottom) in pairwise([*corners, corners[0]]):
        if min(top, bottom) <= y <= max(top, bottom):
            part = (y - top) / (bottom - top) if bottom != top else 0.0
            found.append(x + (to_x - x) * part)
    return found


async def test_a_handler_of_integration_events_is_a_subscriber() -> None:
    system = System(seed=7)

    @system.module("parcels").on(ParcelPlaced)
    def hear(placed: ParcelPlaced) -> None: ...

    assert {node.label: node.kind for node in system.graph().nodes} == {
        "hear": "subscriber",
        "ParcelPlaced": "integration_event",
    }


def test_calls_are_solid_and_events_are_dashed() -> None:
    svg = quickstart().to_svg()
    assert re.search(r"\.m-event\{[^}]*stroke-dasharray", svg)
    assert not re.search(r"\.m-sync\{[^}]*stroke-dasharray", svg)
    assert svg.count('<path class="m-sync"') == 3 + 1  # and one in the legend
    assert svg.count('<path class="m-event"') == 5 + 1


def test_what_leads_to_one_thing_only_is_exactly_level_with_it() -> None:
    graph = quickstart(traffic=12)
    svg = ET.fromstring(graph.to_svg())
    x = {element.text: element.get("x") for element in svg.iter(f"{SVG}text")}
    assert x["PlaceOrder"] == x["place_order"] == x["Order"]
    assert x["order_created"] == x["OrderCreated"]


def test_without_traffic_no_counts_are_shown() -> None:
    assert "command" in texts(quickstart())


def test_traffic_retries_and_dead_letters_are_shown() -> None:
    shown = texts(quickstart(traffic=1200))
    assert "command · 1,200" in shown
    assert "subscriber · 1,200 · 3 retries · 1 dead" in shown


def test_one_retry_is_no_plural() -> None:
    graph = HandlerGraph([Node("h", "subscriber", "charge", "billing", count=1, retries=1)], [])
    assert "subscriber · never reached · 1 retry" in texts(graph)


async def test_a_message_that_its_outbox_gave_up_is_counted_where_it_is_drawn() -> None:
    system = System(seed=7)
    parcels = system.module("parcels")
    await parcels.bus.publish(ParcelPlaced(UUID(int=1)))
    (row,) = parcels.store.outbox_rows()
    row.attempts, row.dead_at = 5, system.now()
    (made,) = system.graph().nodes
    assert (made.count, made.retries, made.dead) == (0, 4, 1)


def test_edges_with_more_traffic_are_wider() -> None:
    nodes = [Node(name, "handler", name, "m") for name in "abc"]
    graph = HandlerGraph(nodes, [Edge("a", "b", count=1), Edge("b", "c", count=5000)])
    widths = {
        item.title: item.items[0].width
        for item in graph.scene().items
        if isinstance(item, Group) and isinstance(item.items[0], Shape) and "->" in item.title
    }
    assert widths["a -> b (1 times)"] < widths["b -> c (5,000 times)"]


def test_an_integration_event_that_nobody_handles_is_flagged() -> None:
    graph = HandlerGraph([Node("i", "integration_event", "OrderCreated", "orders")], [])
    assert [(flag.kind, flag.nodes) for flag in graph.flags] == [("unheard", ("i",))]
    assert "nobody handles OrderCreated" in graph.alt()
    assert "integration event · unheard" in texts(graph)
    assert "m-flag" in graph.to_svg()


@pytest.mark.parametrize("direction", ["right", "down"])
def test_an_arrow_ends_before_the_frame_of_what_is_flagged(direction: str) -> None:
    nodes = [Node("p", "projector", "tell", "m"), Node("i", "integration_event", "Told", "m")]
    graph = HandlerGraph(nodes, [Edge("p", "i", "event")], direction=direction)
    groups = [item for item in graph.scene().items if isinstance(item, Group)]
    shapes = {shape.style: shape.path for group in groups for shape in group.items[:2]}  # type: ignore[union-attr]
    axis = 0 if direction == "right" else 1

    def reach(style: str) -> list[float]:
        return [
            float(values[at]) for _, *values in shapes[style] for at in range(axis, len(values), 2)
        ]

    assert max(reach("open-head")) < min(reach("flag"))
    assert max(reach("event")) <= max(reach("open-head"))


def test_a_handler_that_nothing_leads_to_is_flagged() -> None:
    graph = HandlerGraph([Node("h", "handler", "lonely", "orders")], [])
    assert [flag.kind for flag in graph.flags] == ["unreached"]


def test_once_there_is_traffic_a_handler_without_any_is_flagged() -> None:
    nodes = [
        Node("e", "domain_event", "Placed", "m", count=3),
        Node("a", "handler", "on_a", "m", count=3),
        Node("b", "handler", "on_b", "m"),
    ]
    edges = [Edge("e", "a", "event", 3), Edge("e", "b", "event")]
    assert [flag.nodes for flag in HandlerGraph(nodes, edges).flags] == [("b",)]
    without = [Node(node.id, node.kind, node.label, node.module) for node in nodes]
    assert HandlerGraph(without, edges).flags == ()


def test_a_cycle_is_flagged_and_its_edges_are_drawn_apart() -> None:
    nodes = [Node(name, "domain_event", name.upper(), "m") for name in "abcd"]
    graph = HandlerGraph(nodes, [Edge("a", "b"), Edge("b", "c"), Edge("c", "b"), Edge("d", "d")])
    assert [(flag.kind, flag.nodes) for flag in graph.flags] == [
        ("cycle", ("b", "c")),
        ("cycle", ("d",)),
    ]
    assert "a cycle of 2: B -> C" in graph.alt()
    assert graph.to_svg().count('class="m-cycle-sync"') == 3 + 1


def test_a_graph_without_anything_to_look_at_has_no_flags() -> None:
    assert quickstart().flags == ()
    assert quickstart(traffic=5).flags == ()


def test_the_alternative_text_counts_and_says_what_leads_where() -> None:
    alt = quickstart(traffic=2).alt()
    assert alt.startswith("Handler graph: 2 modules, 1 command, 1 query, 1 aggregate,")
    assert "PlaceOrder -> place_order (2 times)." in alt
    assert "OrderCreated -> ReserveStock (2 times)." in alt


def test_the_alternative_text_says_what_had_to_be_tried_again_and_what_died() -> None:
    charge = Node("h", "handler", "charge", "billing", count=1, retries=4, dead=1)
    other = Node("o", "handler", "other", "billing", count=1, retries=1)
    alt = HandlerGraph([charge, other], []).alt()
    assert "charge: 4 retries, 1 dead. other: 1 retry." in alt
    many = [Node(f"n{i}", "handler", f"h{i}", "m", dead=1) for i in range(14)]
    assert "And 2 more with retries or dead letters." in HandlerGraph(many, []).alt()


def test_the_alternative_text_of_a_large_graph_says_what_it_leaves_out() -> None:
    nodes = [Node(f"n{i}", "integration_event", f"E{i}", "m") for i in range(60)]
    edges = [Edge(f"n{i}", f"n{i + 1}", "event") for i in range(58)]
    assert "And 34 more edges, in the table." in HandlerGraph(nodes, edges).alt()
    assert "And 48 more to look at." in HandlerGraph(nodes, []).alt()


def test_the_table_has_a_row_for_each_node_and_says_where_it_leads() -> None:
    heads, rows = quickstart().table()
    assert len(rows) == 10
    placed = dict(zip(heads, rows[3], strict=True))
    assert placed["name"] == "Order.Placed"
    assert placed["leads to"] == "log_order, order_created"


def test_the_text_of_a_graph_counts_what_is_in_it() -> None:
    assert repr(quickstart()) == (
        "HandlerGraph(2 modules, 1 command, 1 query, 1 aggregate, 1 domain event, 3 handlers, "
        "1 projector, 1 integration event, 1 subscriber, 8 edges)"
    )
    assert repr(HandlerGraph([], [])) == "HandlerGraph(empty)"
    lonely = HandlerGraph([Node("h", "handler", "lonely", "m")], [])
    assert repr(lonely) == "HandlerGraph(1 module, 1 handler, 1 unreached)"


def test_a_long_name_is_cut_in_the_box_and_whole_under_the_pointer() -> None:
    name = "ReserveStockForTheOrderThatWasPlacedJustNow"
    graph = HandlerGraph([Node("c", "command", name, "m")], [])
    assert name not in texts(graph)
    (cut,) = (text for text in texts(graph) if text.startswith("ReserveStock"))
    kept, _, more = cut.partition("… +")
    assert len(kept) + int(more) == len(name)
    assert group(graph, "c").title.startswith(name)


def test_an_empty_graph_says_so_and_has_room_for_it() -> None:
    graph = HandlerGraph([], [])
    assert texts(graph) == ["Nothing is registered yet."]
    (label,) = graph.scene().items
    assert isinstance(label, Label)
    assert label.x + width_of(label.text, 10) < graph.scene().width


def test_equal_edges_are_counted_together() -> None:
    nodes = [Node("a", "command", "A", "m"), Node("b", "handler", "b", "m")]
    graph = HandlerGraph(nodes, [Edge("a", "b", "sync", 2), Edge("a", "b", "sync", 3)])
    assert graph.edges == (Edge("a", "b", "sync", 5),)


def test_focus_on_a_module_keeps_it_and_its_neighbours() -> None:
    part = quickstart().focus(module="inventory")
    assert [node.label for node in part.nodes] == ["OrderCreated", "ReserveStock"]
    assert part.edges == (Edge("i", "r", "event"),)


def test_focus_on_a_node_keeps_what_lies_around_it() -> None:
    part = quickstart().focus(around="Order.Placed", depth=1)
    assert {node.label for node in part.nodes} == {
        "Order", "Order.Placed", "log_order", "order_created",
    }  # fmt: skip


def test_focus_on_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no node is called 'Ordr'"):
        quickstart().focus(around="Ordr")


@pytest.mark.parametrize(
    ("nodes", "edges", "said"),
    [
        ([Node("a", "saga", "A", "m")], [], "not 'saga'"),
        ([Node("a", "command", "A", "m")] * 2, [], "same id"),
        ([Node("a", "command", "A", "m")], [Edge("a", "b")], "'a' -> 'b'"),
        ([Node("a", "command", "A", "m")], [Edge("a", "a", "async")], "not 'async'"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(nodes: list[Node], edges: list[Edge], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HandlerGraph(nodes, edges)


def test_the_frame_of_nodes_and_of_edges() -> None:
    graph = quickstart(traffic=7)
    nodes, edges = graph.to_frame(), graph.to_frame(edges=True)
    assert nodes.columns[:6].tolist() == ["id", "kind", "label", "module", "count", "retries"]
    assert nodes["count"].sum() == 70
    assert edges.iloc[0].tolist() == ["c", "h", "sync", 7]
    empty = HandlerGraph([], [])
    assert empty.to_frame().dtypes.to_dict() == nodes.dtypes.to_dict()
    assert empty.to_frame(edges=True).dtypes.to_dict() == edges.dtypes.to_dict()


def test_networkx_has_the_nodes_the_edges_and_what_is_known_of_them() -> None:
    graph = quickstart(traffic=7).to_networkx()
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (10, 8)
    assert graph.nodes["r"]["retries"] == 3
    assert graph.edges["i", "r", "event"]["count"] == 7


def test_mermaid_has_a_subgraph_for_each_module_and_dashes_for_events() -> None:
    text = quickstart(traffic=7).to_mermaid()
    assert text.startswith("flowchart LR\n")
    assert text.count("subgraph ") == text.count("  end\n") == 2
    assert 'n0>"PlaceOrder"]' in text
    assert "n0 -->|7| n1" in text
    assert "n6 -.->|7| n7" in text


def test_mermaid_writes_what_could_mean_something_as_numbers() -> None:
    graph = HandlerGraph([Node("a", "handler", 'x"]; click n0 "javascript:1"<b>#', "m\nend")], [])
    label = re.search(r'n0\["(.*)"\]', graph.to_mermaid())
    assert label is not None
    assert not set('"]<>;[') & set(re.sub(r"#\d+;", "", label[1]))
    assert len(graph.to_mermaid().splitlines()) == 4


def test_dot_has_a_cluster_for_each_module_and_quotes_every_name() -> None:
    graph = HandlerGraph(
        [Node("a", "handler", 'x"];\\n} b -> c [', "m")], [Edge("a", "a", "event")]
    )
    assert 'n0 [label="x\\"];\\\\n} b -> c [", shape=box];' in graph.to_dot()
    assert "subgraph cluster_0 {" in graph.to_dot()
    assert "n0 -> n0 [style=dashed];" in graph.to_dot()


def test_an_entity_in_a_name_is_no_entity_in_dot() -> None:
    made = HandlerGraph([Node("a", "handler", "&lt;b&gt;", "")], []).to_dot()
    assert '[label="&amp;lt;b&amp;gt;", shape=box]' in made


async def test_a_circle_that_the_traffic_shows_to_be_none_is_no_longer_flagged() -> None:
    """An order is told of its parcel: `Told` comes back to it, and leads nowhere."""
    system = System(seed=7)
    shop = system.module("shop")

    @shop.projects(Parcel.Placed)
    def placed(made: Parcel.Placed) -> ParcelPlaced:
        return ParcelPlaced(made.originator_id)

    @shop.on(ParcelPlaced)
    async def note(told: ParcelPlaced, uow: UnitOfWork) -> None:
        parcel = await uow.get(Parcel, told.parcel_id)
        parcel.tell()

    assert [flag.kind for flag in system.graph().flags] == ["cycle"]
    await shop.save(Parcel())
    await system.run()
    assert system.graph().flags == ()
    assert 'class="m-cycle' not in system.graph().to_svg()


async def test_a_circle_that_messages_do_go_round_is_drawn_through_its_aggregate() -> None:
    system = System(seed=7)
    shop = system.module("shop")

    @shop.projects(Parcel.Placed)
    def placed(made: Parcel.Placed) -> ParcelPlaced:
        return ParcelPlaced(made.originator_id)

    @shop.on(ParcelPlaced)
    async def again(told: ParcelPlaced, uow: UnitOfWork) -> None:
        uow.add(Parcel())

    await shop.save(Parcel())
    for _ in range(6):
        await system.step()
    graph = system.graph()
    [flag] = graph.flags
    labels = {node.label for node in graph.nodes if node.id in flag.nodes}
    assert labels == {"Parcel", "Parcel.Placed", "placed", "ParcelPlaced", "again"}
    assert graph.to_svg().count('class="m-cycle-') == 2 * 5 + 2
