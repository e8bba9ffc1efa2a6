"""Where the boxes and edges of a graph are: one layout for every renderer.

Layers follow the direction of the edges, each group has a strip across them,
and an edge that passes a layer bends around what is in it. Nothing here draws;
nothing here knows what a node means. Coordinates are whole pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from modulus_es.views.ordering import Ordered, group_order, ordered
from modulus_es.views.ranks import Arc, backward, layers
from modulus_es.views.strips import BESIDE, HEADING, MARGIN, PAD, across, breadth, packed

WIDE, TALL = 840, 900
"""What a notebook shows without scrolling; the direction is chosen to stay within it."""


_ASIDE = 12
"""How far from the middle of a box an edge ends that runs against the layers."""


class Box(NamedTuple):
    """What is to be placed: its name, its group's name (or none) and its size."""

    id: str
    group: str
    width: int
    height: int


class Placed(NamedTuple):
    """A rectangle of the picture."""

    x: int
    y: int
    width: int
    height: int


class Route(NamedTuple):
    """The way of an edge: (x, y) stops, level within a layer and curved between two.

    ``backward`` says that it runs against the layers, because it closes a
    circle; its stops begin at its source all the same.
    """

    stops: tuple[tuple[int, int], ...]
    backward: bool


@dataclass(frozen=True)
class Layout:
    """A placed graph; ``direction`` is right or down."""

    direction: str
    width: int
    height: int
    boxes: Mapping[str, Placed]
    groups: Mapping[str, Placed]
    routes: Mapping[tuple[str, str], Route]


def lay_out(
    boxes: Sequence[Box],
    edges: Sequence[tuple[str, str]],
    bundles: Sequence[object] | None = None,
    direction: str = "auto",
) -> Layout:
    """Place boxes and edges.

    ``bundles`` says of each edge with which others of its source it may share a
    way. ``direction`` is right, down, or auto: whatever fits a notebook better.
    Raises ValueError for another direction, and for an edge without its boxes.

    >>> placed = lay_out([Box("a", "", 60, 30), Box("b", "", 60, 30)], [("a", "b")])
    >>> placed.direction, placed.boxes["a"].y < placed.boxes["b"].y
    ('down', True)
    """
    if direction not in ("auto", "right", "down"):
        raise ValueError(f"a direction is auto, right or down, not {direction!r}")
    number = {box.id: index for index, box in enumerate(boxes)}
    names = list(dict.fromkeys(box.group for box in boxes))
    arcs: dict[Arc, object] = {}
    for (source, target), bundle in zip(edges, bundles or [None] * len(edges), strict=True):
        if source not in number or target not in number:
            raise ValueError(f"the edge {source!r} -> {target!r} has an end that is no box")
        if source != target:
            arcs.setdefault((number[source], number[target]), bundle)
    numbered = {name: index for index, name in enumerate(names)}
    group = [numbered[box.group] for box in boxes]
    order = group_order(len(names), [(group[one], group[other]) for one, other in arcs])
    strip = {name: place for place, name in enumerate(order)}
    group = [strip[held] for held in group]
    turned = backward(len(boxes), list(arcs), group)
    onward = {((b, a) if (a, b) in turned else (a, b)): bundle for (a, b), bundle in arcs.items()}
    depth = layers(len(boxes), list(onward), group)
    done = ordered(depth, group, list(onward), list(onward.values()))
    plan = _Plan(boxes, [names[held] for held in order], list(arcs), turned, done)
    if direction == "auto":
        direction = min(("down", "right"), key=plan.excess)
    return plan.placed(direction)


class _Plan(NamedTuple):
    boxes: Sequence[Box]
    groups: Sequence[str]
    arcs: Sequence[Arc]
    turned: set[Arc]
    order: Ordered

    def excess(self, direction: str) -> float:
        """How far the picture would go beyond what a notebook shows, about."""
        right = direction == "right"
        needed: list[dict[int, int]] = [{} for _ in self.groups]
        for index, box in enumerate(self.boxes):
            layer, strip = self.order.layer[index], needed[self.order.group[index]]
            size = box.height if right else box.width
            strip[layer] = strip.get(layer, 0) + size + BESIDE[right]
        profiles = [
            dict.fromkeys(range(min(strip), max(strip) + 1), (0, max(strip.values()) + 2 * PAD))
            for strip in needed
        ]
        broad = breadth(profiles, packed(profiles))
        length = self._along(right)[1]
        width, height = (length, broad) if right else (broad, length)
        return max(width / WIDE, height / TALL)

    def placed(self, direction: str) -> Layout:
        """Give every item a place along the direction and one across it."""
        right = direction == "right"
        along, extent = self._along(right)
        sizes = [box.height if right else box.width for box in self.boxes]
        centre, lanes, strips, total = across(self.order, sizes, self.groups, right=right)

        def rectangle(start: float, length: float, low: float, high: float) -> Placed:
            a, b, c, d = round(start), round(length), round(low), round(high - low)
            return Placed(a, c, b, d) if right else Placed(c, a, d, b)

        placed = {}
        for index, box in enumerate(self.boxes):
            length, broad = (box.width, box.height) if right else (box.height, box.width)
            start, room = along[self.order.layer[index]]
            low = centre[index] - broad // 2
            placed[box.id] = rectangle(start + (room - length) // 2, length, low, low + broad)
        around = {}
        held: dict[str, list[int]] = {name: [] for name in self.groups}
        for index, box in enumerate(self.boxes):
            held[box.group].append(self.order.layer[index])
        for place, name in enumerate(self.groups):
            if name:
                first, last = along[min(held[name])], along[max(held[name])]
                low, high = strips[place]
                start = first[0] - PAD - (0 if right else HEADING)
                around[name] = rectangle(start, last[0] + last[1] + PAD - start, low, high)
        routes = {
            (self.boxes[one].id, self.boxes[other].id): self._route(
                one, other, along, centre, lanes, right, placed
            )
            for one, other in self.arcs
        }
        width, height = (extent, total) if right else (total, extent)
        return Layout(direction, width, height, placed, around, routes)

    def _along(self, right: bool) -> tuple[list[tuple[int, int]], int]:
        """Where each layer begins and how long it is, and where the last one ends."""
        rooms = [0] * len(self.order.rows)
        for index, box in enumerate(self.boxes):
            layer = self.order.layer[index]
            rooms[layer] = max(rooms[layer], box.width if right else box.height)
        busy = [0] * (len(rooms) + 1)
        for source, _ in self.order.links:
            busy[self.order.layer[source]] += 1
        for source, target in self.order.far:
            busy[self.order.layer[source]] += 1
            busy[self.order.layer[target] - 1] += 1
        begins: dict[str, int] = {}
        for index, box in enumerate(self.boxes):
            layer = self.order.layer[index]
            begins[box.group] = min(begins.get(box.group, layer), layer)
        headed = set() if right else {layer for name, layer in begins.items() if name}
        start = MARGIN + PAD
        found = []
        for layer, room in enumerate(rooms):
            start += HEADING if layer in headed else 0
            found.append((start, room))
            # Many edges need room to turn in, but never so much that layers fall apart.
            start += room + 32 + min(2 * busy[layer], 40)
        end = found[-1][0] + found[-1][1] if found else start
        return found, end + PAD + MARGIN

    def _route(
        self,
        one: int,
        other: int,
        along: list[tuple[int, int]],
        centre: list[int],
        lanes: list[int],
        right: bool,
        placed: Mapping[str, Placed],
    ) -> Route:
        turned = (one, other) in self.turned
        chain = self.order.chains[(other, one) if turned else (one, other)]
        stops: list[tuple[int, int]] = []
        for item in chain:
            start, room = along[self.order.layer[item]]
            if item < len(self.boxes):
                box = placed[self.boxes[item].id]
                near, far = (box.x, box.x + box.width) if right else (box.y, box.y + box.height)
                leads = item == chain[0]
                at = centre[item]
                if turned:
                    # Beside the middle, where edges that run onward have their heads.
                    beyond = centre[chain[1] if leads else chain[-2]]
                    aside = min(_ASIDE, (box.height if right else box.width) // 4)
                    at += aside if beyond >= at else -aside
                stops += [(far, at), (start + room, at)] if leads else [(start, at), (near, at)]
            else:
                stops += [(start, centre[item]), (start + room, centre[item])]
        if (lane := self.order.far.get((chain[0], chain[-1]))) is not None:
            first, last = self.order.layer[chain[0]] + 1, self.order.layer[chain[-1]] - 1
            begin, end = along[first][0], sum(along[last])
            stops[2:2] = [(begin, lanes[lane]), (end, lanes[lane])]
        if not right:
            stops = [(y, x) for x, y in stops]
        return Route(tuple(reversed(stops)) if turned else tuple(stops), turned)
