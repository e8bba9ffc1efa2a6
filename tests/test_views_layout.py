"""The layout: boxes apart, edges around them, layers, strips, and the same every time."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modulus_es.views import ordering
from modulus_es.views.layout import Box, Layout, Placed, Route, lay_out
from modulus_es.views.ordering import group_order, ordered
from modulus_es.views.placing import spread
from modulus_es.views.ranks import backward, layers

Graph = tuple[list[Box], list[tuple[str, str]]]


def chain(*names: str) -> list[tuple[str, str]]:
    return list(pairwise(names))


def boxes(*names: str, group: str = "") -> list[Box]:
    return [Box(name, group, 80, 36) for name in names]


def system(size: int, modules: int, *, cycles: bool = False, seed: int = 1) -> Graph:
    """Boxes and edges as a system has them: chains in modules, some of which lead to others."""
    random_ = random.Random(seed)
    made: list[Box] = []
    edges: list[tuple[str, str]] = []
    while len(made) < size:
        group = f"module{random_.randrange(modules)}"
        names = [f"n{len(made) + i}" for i in range(random_.randrange(1, 8))]
        for name in names[: size - len(made)]:
            made.append(Box(name, group, random_.randrange(70, 200), 36))
        edges += chain(*(box.id for box in made[-len(names) :]))
    for index, box in enumerate(made):
        if random_.random() < 0.4:
            other = random_.randrange(size) if cycles else random_.randrange(index, size)
            edges.append((box.id, made[other].id))
    known = {box.id for box in made}
    return made, [(a, b) for a, b in dict.fromkeys(edges) if a in known and b in known]


def overlaps(one: Placed, other: Placed, by: int = 0) -> bool:
    return (
        one.x - by < other.x + other.width
        and other.x - by < one.x + one.width
        and one.y - by < other.y + other.height
        and other.y - by < one.y + one.height
    )


def inside(point: tuple[float, float], box: Placed) -> bool:
    return box.x < point[0] < box.x + box.width and box.y < point[1] < box.y + box.height


def points(route: Route, direction: str) -> list[tuple[float, float]]:
    """The way of an edge, as finely as it is drawn: a line, a curve, a line, and so on."""
    found = []
    for index, ((x, y), (to_x, to_y)) in enumerate(pairwise(route.stops)):
        for step in range(41):
            t = step / 40
            bent, eased = 1.5 * t * (1 - t) + t**3, t * t * (3 - 2 * t)
            if index % 2 == 0:
                bent = eased = t
            across, along = (eased, bent) if direction == "down" else (bent, eased)
            found.append((x + (to_x - x) * across, y + (to_y - y) * along))
    return found


def assert_readable(graph: Graph, layout: Layout) -> None:
    made, edges = graph
    placed = [layout.boxes[box.id] for box in made]
    for box, place in zip(made, placed, strict=True):
        assert (place.width, place.height) == (box.width, box.height)
        assert place.x >= 0
        assert place.y >= 0
        assert place.x + place.width <= layout.width
        assert place.y + place.height <= layout.height
    for one, other in combinations(placed, 2):
        assert not overlaps(one, other, by=6)
    for source, target in edges:
        if source == target:
            continue
        way = points(layout.routes[source, target], layout.direction)
        near = Placed(
            int(min(x for x, _ in way)), int(min(y for _, y in way)),
            int(max(x for x, _ in way) - min(x for x, _ in way)) + 1,
            int(max(y for _, y in way) - min(y for _, y in way)) + 1,
        )  # fmt: skip
        for place in placed:
            if overlaps(near, place):
                assert not any(inside(point, place) for point in way)


@pytest.mark.parametrize("direction", ["right", "down"])
@pytest.mark.parametrize("cycles", [False, True], ids=["onward", "cycles"])
@pytest.mark.parametrize(
    ("size", "modules"), [(10, 2), (60, 5), pytest.param(300, 10, marks=pytest.mark.slow)]
)
def test_no_boxes_overlap_and_no_edge_runs_through_a_box(
    size: int, modules: int, cycles: bool, direction: str
) -> None:
    graph = system(size, modules, cycles=cycles)
    assert_readable(graph, lay_out(*graph, direction=direction))


small = st.integers(1, 14).flatmap(
    lambda size: st.tuples(
        st.lists(
            st.tuples(st.sampled_from(["", "a", "b"]), st.integers(20, 240)),
            min_size=size,
            max_size=size,
        ),
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=30),
    )
)


@given(small, st.sampled_from(["right", "down"]))
def test_any_graph_can_be_read(
    drawn: tuple[list[tuple[str, int]], list[tuple[int, int]]], direction: str
) -> None:
    made = [Box(f"n{i}", group, width, 36) for i, (group, width) in enumerate(drawn[0])]
    edges = [(f"n{a}", f"n{b}") for a, b in dict.fromkeys(drawn[1])]
    assert_readable((made, edges), lay_out(made, edges, direction=direction))


@pytest.mark.parametrize("direction", ["right", "down"])
def test_modules_are_clusters_that_hold_their_own_boxes_and_do_not_overlap(direction: str) -> None:
    graph = system(60, 5)
    layout = lay_out(*graph, direction=direction)
    for one, other in combinations(layout.groups.values(), 2):
        assert not overlaps(one, other)
    for box in graph[0]:
        for group, around in layout.groups.items():
            assert overlaps(layout.boxes[box.id], around) == (group == box.group)


def test_a_module_lies_before_another_where_they_are_in_different_layers() -> None:
    first, second = boxes("a", "b", group="one"), boxes("c", "d", group="two")
    layout = lay_out([*first, *second], chain(*"abcd"), direction="down")
    assert len({place.x for place in layout.boxes.values()}) == 1
    assert layout.groups["two"].y > layout.groups["one"].y + layout.groups["one"].height


def test_a_module_is_drawn_near_to_what_it_is_linked_with() -> None:
    wide = boxes(*(f"w{i}" for i in range(8)), group="wide")
    layout = lay_out(
        [*wide, *boxes("x", group="small")],
        [("w0", f"w{i}") for i in range(1, 8)] + [("w7", "x")],
        direction="down",
    )
    assert abs(layout.boxes["x"].x - layout.boxes["w7"].x) <= 40


def test_an_edge_points_onward() -> None:
    layout = lay_out(boxes("a", "b"), chain("a", "b"), direction="right")
    route = layout.routes["a", "b"]
    a, b = layout.boxes["a"], layout.boxes["b"]
    assert route.stops[0] == (a.x + a.width, a.y + a.height // 2)
    assert route.stops[-1] == (b.x, b.y + b.height // 2)
    assert not route.backward


def test_an_edge_that_closes_a_circle_runs_backward_and_still_begins_at_its_source() -> None:
    layout = lay_out(boxes("a", "b", "c"), chain("a", "b", "c", "a"), direction="right")
    route = layout.routes["c", "a"]
    assert route.backward
    assert route.stops[0][0] == layout.boxes["c"].x
    assert route.stops[-1][0] == layout.boxes["a"].x + layout.boxes["a"].width
    assert [r.backward for r in layout.routes.values()].count(True) == 1


@pytest.mark.parametrize("direction", ["right", "down"])
def test_an_edge_that_runs_backward_ends_beside_the_heads_of_those_that_do_not(
    direction: str,
) -> None:
    layout = lay_out(boxes("a", "b", "c"), chain("a", "b", "c", "a"), direction=direction)
    across = 1 if direction == "right" else 0
    begins, ends = layout.routes["c", "a"].stops[0], layout.routes["c", "a"].stops[-1]
    assert abs(begins[across] - layout.routes["b", "c"].stops[-1][across]) >= 8
    assert abs(ends[across] - layout.routes["a", "b"].stops[0][across]) >= 8


def test_a_circle_through_several_groups_is_closed_between_them() -> None:
    ask, tell = boxes("ask", "order", "told", "hear", group="o"), boxes("pay", "paid", group="p")
    circle = chain("ask", "order", "told", "pay", "paid", "hear", "order")
    layout = lay_out([*ask, *tell], circle, direction="down")
    assert layout.routes["paid", "hear"].backward
    assert layout.boxes["hear"].y == layout.boxes["ask"].y
    assert layout.groups["o"].y + layout.groups["o"].height < layout.groups["p"].y


def test_what_only_other_groups_are_linked_with_lies_where_its_own_group_is() -> None:
    first = boxes("a", "b", group="one")
    layout = lay_out(
        [*first, *boxes("c", "d", group="two"), *boxes("e", "f", "g", group="three")],
        [*chain("a", "b", "c", "d", "e", "f"), ("a", "g")],
        direction="down",
    )
    assert layout.boxes["g"].y == layout.boxes["e"].y


def test_a_group_that_only_others_are_linked_with_is_one_row() -> None:
    layout = lay_out(
        [*boxes("a", "b", "c", group="one"), *boxes("x", "y", group="two")],
        [*chain("a", "b", "c"), ("a", "x"), ("c", "y")],
        direction="down",
    )
    assert layout.boxes["x"].y == layout.boxes["y"].y


@pytest.mark.parametrize(("steps", "level"), [("abc", "b"), ("abcdefg", "g")])
def test_what_hears_another_group_is_near_to_what_it_uses_in_its_own(
    steps: str, level: str
) -> None:
    layout = lay_out(
        [*boxes("said", "other", group="one"), *boxes(*steps, "used", "hears", group="two")],
        [*chain(*steps, "used"), ("said", "other"), ("said", "hears"), ("hears", "used")],
        direction="down",
    )
    assert layout.boxes["hears"].y == layout.boxes[level].y


def test_parts_that_nothing_links_lie_close_together() -> None:
    fan = [("hub", f"leaf{i}") for i in range(6)]
    names = boxes("hub", *(f"leaf{i}" for i in range(6)), "x", "y", group="orders")
    layout = lay_out(names, [*fan, ("x", "y")], direction="down")
    beside = sorted(place.x for name, place in layout.boxes.items() if name not in ("hub", "x"))
    assert max(right - left for left, right in pairwise(beside)) == 80 + 18


def test_a_part_that_lies_alone_makes_its_group_no_longer() -> None:
    layout = lay_out(
        [*boxes("a", "b", "c", group="one"), *boxes("d", "e", "f", "x", "y", group="two")],
        [*chain("a", "b", "c", "d", "e"), ("d", "f"), ("x", "y")],
        direction="down",
    )
    # Beside e and f there would be three of them.
    assert layout.boxes["y"].y == layout.boxes["d"].y


def test_a_long_edge_bends_around_what_it_passes() -> None:
    layout = lay_out(boxes("a", "b", "c"), [*chain("a", "b", "c"), ("a", "c")], direction="right")
    assert len(layout.routes["a", "b"].stops) == 4
    assert len(layout.routes["a", "c"].stops) == 6


def test_edges_of_one_bundle_share_their_way() -> None:
    names = boxes("a", "b", "c", "d", "e")
    edges = [*chain("a", "b", "c", "d"), ("c", "e"), ("a", "d"), ("a", "e")]
    together = lay_out(names, edges, ["x"] * 6, "right").routes
    apart = lay_out(names, edges, ["x"] * 5 + ["y"], "right").routes
    assert together["a", "d"].stops[:6] == together["a", "e"].stops[:6]
    assert apart["a", "d"].stops[:6] != apart["a", "e"].stops[:6]


def test_a_chain_is_straight() -> None:
    layout = lay_out(boxes(*"abcd", group="m"), chain(*"abcd"), direction="right")
    assert len({place.y for place in layout.boxes.values()}) == 1


def test_the_direction_is_the_one_that_fits_a_notebook() -> None:
    long = [f"n{i}" for i in range(9)]
    wide = [f"n{i}" for i in range(40)]
    assert lay_out(boxes(*long), chain(*long)).direction == "down"
    assert lay_out(boxes(*wide), [("n0", name) for name in wide[1:]]).direction == "right"


def test_the_order_of_edges_and_names_of_boxes_change_nothing_but_the_names() -> None:
    made, edges = system(60, 5)
    renamed = [box._replace(id=f"other-{box.id}") for box in made]
    again = lay_out(renamed, [(f"other-{a}", f"other-{b}") for a, b in edges])
    first = lay_out(made, edges)
    assert list(again.boxes.values()) == list(first.boxes.values())


def test_nothing_is_laid_out_as_nothing() -> None:
    layout = lay_out([], [])
    assert (layout.boxes, layout.routes, layout.groups) == ({}, {}, {})


def test_an_edge_to_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' -> 'b' has an end that is no box"):
        lay_out(boxes("a"), [("a", "b")])


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="auto, right or down, not 'up'"):
        lay_out([], [], direction="up")


arcs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda a: a[0] != a[1]))


@given(arcs)
def test_with_the_backward_arcs_turned_every_arc_leads_to_a_later_layer(
    drawn: list[tuple[int, int]],
) -> None:
    given_arcs = list(dict.fromkeys(drawn))
    groups = [i % 3 for i in range(10)]
    turned = backward(10, given_arcs, groups)
    onward = [(b, a) if (a, b) in turned else (a, b) for a, b in given_arcs]
    layer = layers(10, list(dict.fromkeys(onward)), groups)
    assert all(layer[a] < layer[b] for a, b in onward)
    assert min(layer) == 0


def test_without_a_circle_nothing_is_turned() -> None:
    assert backward(4, [(0, 1), (1, 3), (0, 2), (2, 3)]) == set()


def test_small_parts_fill_the_layers_where_their_group_has_room() -> None:
    long = [(i, i + 1) for i in range(5)]
    layer = layers(8, [*long, (6, 7)], [0] * 8)
    assert layer[7] - layer[6] == 1
    assert layers(12, long, [0] * 12)[6:] == [0, 1, 2, 3, 4, 5]


def crossed(arcs: list[tuple[int, int]], place: dict[int, int]) -> int:
    pairs = combinations(arcs, 2)
    return sum((place[a] - place[c]) * (place[b] - place[d]) < 0 for (a, b), (c, d) in pairs)


def test_sweeping_removes_a_crossing() -> None:
    arcs = [(0, 2), (0, 4), (1, 3), (1, 2)]
    done = ordered([0, 0, 1, 1, 1], [0] * 5, arcs, ["x"] * 4)
    assert crossed(arcs, {item: i for row in done.rows for i, item in enumerate(row)}) == 0


def test_in_every_layer_the_groups_are_beside_each_other() -> None:
    group = [0, 1, 0, 1, 0, 1]
    done = ordered([0, 0, 0, 1, 1, 1], group, [(0, 3), (1, 4), (2, 5)], ["x"] * 3)
    assert [[group[item] for item in row] for row in done.rows] == [[0, 0, 1], [0, 1, 1]]


def test_groups_that_talk_are_neighbours() -> None:
    order = group_order(4, [(0, 3), (0, 3), (1, 2)])
    assert abs(order.index(0) - order.index(3)) == abs(order.index(1) - order.index(2)) == 1


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(1, 50), st.floats(0.1, 9)), min_size=1))
def test_places_keep_their_order_and_distance(drawn: list[tuple[float, float, float]]) -> None:
    wanted, apart, weights = (list(part) for part in zip(*drawn, strict=True))
    places = spread(wanted, apart, weights)
    for index in range(1, len(places)):
        assert places[index] - places[index - 1] >= apart[index] - 1e-6


def test_places_that_are_far_enough_apart_are_left_alone() -> None:
    assert spread([0, 10, 30], [0, 5, 5], [1, 1, 1]) == [0, 10, 30]


def test_many_boxes_that_nothing_links_are_no_long_row() -> None:
    placed = lay_out(boxes(*map(str, range(400)), group="orders"), [])
    assert max(placed.width, placed.height) < 3 * min(placed.width, placed.height)


def test_a_group_order_of_many_groups_is_found_in_little_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole: list[int] = []
    stretch = ordering._stretch
    monkeypatch.setattr(ordering, "_stretch", lambda *given: whole.append(1) or stretch(*given))
    ties = [(i, (i * 37 + 11) % 100) for i in range(100)]
    assert sorted(group_order(100, ties)) == list(range(100))
    # Once for each group in each pass, not once for each place of each group.
    assert len(whole) <= 4 * 100 + 1


def ladder(size: int, groups: int) -> Graph:
    """A long chain, and an edge from each box to one far away: more bends than can be placed."""
    random_ = random.Random(3)
    names = [f"n{number}" for number in range(size)]
    made = [Box(name, f"g{number * groups // size}", 80, 36) for number, name in enumerate(names)]
    far = [(random_.randrange(size // 2), random_.randrange(size // 2, size)) for _ in names]
    return made, list(dict.fromkeys([*chain(*names), *((names[a], names[b]) for a, b in far)]))


@pytest.mark.parametrize("groups", [1, 4, 40])
@pytest.mark.parametrize("direction", ["right", "down"])
def test_edges_with_more_bends_than_can_be_placed_run_beside_the_boxes(
    groups: int, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "_BENDS", 100)
    graph = ladder(40, groups)
    assert sum(abs(int(b[1:]) - int(a[1:])) for a, b in graph[1]) > ordering._BENDS
    layout = lay_out(*graph, direction=direction)
    # Four for neighbours, six with a lane, and two for each bend of those that have bends.
    assert {4, 6} < {len(route.stops) for route in layout.routes.values()}
    assert_readable(graph, layout)


def test_the_longest_edges_have_lanes_and_the_others_bends() -> None:
    size = 200
    arcs = [
        *pairwise(range(size)),
        *((a, a + span) for span in (3, 90) for a in range(size - span)),
    ]
    done = ordered(list(range(size)), [0] * size, arcs, arcs)
    assert {target - source for source, target in done.far} == {90}
    assert size + 2 * (size - 3) < len(done.layer) <= size + ordering._BENDS
    assert [(lane.first, lane.last) for lane in done.lanes] == [
        (source + 1, target - 1) for source, target in done.far
    ]


def test_lanes_of_which_none_ends_before_another_begins_are_beside_each_other() -> None:
    size = 200
    arcs = [*pairwise(range(size)), *((a, a + 150) for a in range(0, 50, 2))]
    done = ordered(list(range(size)), [0] * size, arcs, arcs)
    assert len({lane.place for lane in done.lanes}) == min(len(done.lanes), ordering._LANES)


def test_few_edges_bend_and_have_no_lane() -> None:
    done = ordered([0, 1, 2], [0, 0, 0], [(0, 1), (1, 2), (0, 2)], ["a", "a", "a"])
    assert (done.far, done.lanes) == ({}, [])


def test_very_many_groups_are_in_the_order_of_a_walk_to_whom_each_talks_to_most() -> None:
    ties = [(a, (7 * a + 1) % 600) for a in range(600)] * 2
    order = group_order(600, ties)
    assert sorted(order) == list(range(600))
    place = {group: index for index, group in enumerate(order)}
    apart = sum(abs(place[a] - place[b]) == 1 for a, b in ties)
    assert apart > len(ties) / 2
