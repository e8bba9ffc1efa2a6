"""Where the boxes and edges of a graph are: one layout for every renderer.

Layers follow the direction of the edges, each group has a strip across them,
and an edge that passes a layer bends around what is in it. Nothing here draws;
nothing here knows what a node means. Coordinates are whole pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from modulus_es.views.ordering import Ordered, group_order, ordered
from modulus_es.views.placing import straightened
from modulus_es.views.ranks import Arc, backward, layers

MARGIN = 12
_HEADING = 22
_PAD = 10
_BETWEEN = 12
_BEND = 9
_ALMOST = 5
_BESIDE = {True: 12, False: 18}
WIDE, TALL = 840, 900
"""What a notebook shows without scrolling; the direction is chosen to stay within it."""


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
    group = [names.index(box.group) for box in boxes]
    order = group_order(len(names), [(group[one], group[other]) for one, other in arcs])
    strip = {name: place for place, name in enumerate(order)}
    group = [strip[held] for held in group]
    turned = backward(len(boxes), list(arcs))
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
        needed: dict[int, dict[int, int]] = {}
        for index, box in enumerate(self.boxes):
            strip = needed.setdefault(self.order.group[index], {})
            layer = self.order.layer[index]
            size = box.height + _BESIDE[True] if right else box.width + _BESIDE[False]
            strip[layer] = strip.get(layer, 0) + size
        across = sum(max(strip.values()) + 2 * _PAD + _BETWEEN for strip in needed.values())
        along = self._along(right)[1]
        return max(along / WIDE, across / TALL) if right else max(across / WIDE, along / TALL)

    def placed(self, direction: str) -> Layout:
        """Give every item a place along the direction and one across it."""
        right = direction == "right"
        along, extent = self._along(right)
        centre, strips, breadth = self._across(right)

        def rectangle(start: float, length: float, low: float, high: float) -> Placed:
            a, b, c, d = round(start), round(length), round(low), round(high - low)
            return Placed(a, c, b, d) if right else Placed(c, a, d, b)

        placed = {}
        for index, box in enumerate(self.boxes):
            length, across = (box.width, box.height) if right else (box.height, box.width)
            start, room = along[self.order.layer[index]]
            low = centre[index] - across // 2
            placed[box.id] = rectangle(start + (room - length) // 2, length, low, low + across)
        around = {}
        for place, name in enumerate(self.groups):
            held = [self.order.layer[i] for i, box in enumerate(self.boxes) if box.group == name]
            if name:
                first, last = along[min(held)], along[max(held)]
                low, high = strips[place]
                start = first[0] - _PAD - (0 if right else _HEADING)
                around[name] = rectangle(start, last[0] + last[1] + _PAD - start, low, high)
        routes = {
            (self.boxes[one].id, self.boxes[other].id): self._route(
                one, other, along, centre, right, placed
            )
            for one, other in self.arcs
        }
        width, height = (extent, breadth) if right else (breadth, extent)
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
        begins: dict[str, int] = {}
        for index, box in enumerate(self.boxes):
            layer = self.order.layer[index]
            begins[box.group] = min(begins.get(box.group, layer), layer)
        headed = set() if right else {layer for name, layer in begins.items() if name}
        start = MARGIN + _PAD
        found = []
        for layer, room in enumerate(rooms):
            start += _HEADING if layer in headed else 0
            found.append((start, room))
            # Many edges need room to turn in, but never so much that layers fall apart.
            start += room + 32 + min(2 * busy[layer], 40)
        end = found[-1][0] + found[-1][1] if found else start
        return found, end + _PAD + MARGIN

    def _across(self, right: bool) -> tuple[list[int], list[tuple[int, int]], int]:
        """The centre of every item, the strip of every group, and how broad all is."""
        order = self.order
        boxes = len(self.boxes)
        size = [float(box.height if right else box.width) for box in self.boxes]
        size += [0.0] * (len(order.layer) - boxes)
        gap = [float(_BESIDE[right])] * boxes + [float(_BEND)] * (len(order.layer) - boxes)
        bends = [False] * boxes + [True] * (len(order.layer) - boxes)
        centre = [0] * len(order.layer)
        strips = []
        top = MARGIN
        for place, name in enumerate(self.groups):
            rows = [[item for item in row if order.group[item] == place] for row in order.rows]
            found = straightened([row for row in rows if row], size, gap, order.links, bends)
            low = min(found[item] - size[item] / 2 for item in found)
            inner = top + (_PAD if name else 0) + (_HEADING if right and name else 0)
            for row in rows:
                free = -math.inf
                for item in row:
                    # Rounding may bring two neighbours a pixel too near.
                    lowest = free + size[item] / 2 + (gap[item] if free > -math.inf else 0)
                    centre[item] = math.ceil(max(round(found[item] - low + inner), lowest))
                    free = centre[item] + size[item] / 2
            self._level(rows, centre, size, gap)
            end = max(centre[item] + size[item] / 2 for item in found)
            heading = 0 if right or not name else round(7.5 * len(name)) + 2 * _PAD
            bottom = max(int(end) + 1 + (_PAD if name else 0), top + min(heading, 150))
            strips.append((top, bottom))
            top = bottom + _BETWEEN
        return centre, strips, (strips[-1][1] if strips else MARGIN) + MARGIN

    def _level(
        self, rows: list[list[int]], centre: list[int], size: list[float], gap: list[float]
    ) -> None:
        """Make edges quite straight that almost are, where there is room for it."""
        behind: dict[int, list[int]] = {}
        for source, target in self.order.links:
            if self.order.group[source] == self.order.group[target]:
                behind.setdefault(target, []).append(source)
        for row in rows:
            for place, item in enumerate(row):
                sources = behind.get(item, [])
                if len(sources) != 1 or abs(centre[sources[0]] - centre[item]) > _ALMOST:
                    continue
                wanted = centre[sources[0]]
                beside = row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
                if all(
                    abs(centre[other] - wanted)
                    >= (size[other] + size[item]) / 2 + max(gap[other], gap[item])
                    for other in beside
                ):
                    centre[item] = wanted

    def _route(
        self,
        one: int,
        other: int,
        along: list[tuple[int, int]],
        centre: list[int],
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
                if item == chain[0]:
                    stops += [(far, centre[item]), (start + room, centre[item])]
                else:
                    stops += [(start, centre[item]), (near, centre[item])]
            else:
                stops += [(start, centre[item]), (start + room, centre[item])]
        if not right:
            stops = [(across, main) for main, across in stops]
        return Route(tuple(reversed(stops)) if turned else tuple(stops), turned)
