"""The handler graph as a scene: a shape for each kind, so that colour says nothing alone."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from modulus_es.views.layout import Box, Layout, Placed, Route, lay_out
from modulus_es.views.scene import Group, Label, Path, Scene, Shape, line, polygon, rectangle
from modulus_es.views.strips import MARGIN
from modulus_es.views.text import fitted, is_plain, shown, width_of

HEIGHT = 36
_WIDEST = 250
_SLANT = 10
_LEGEND = 26
_NOTHING = "Nothing is registered yet."
_BAND = 22
_FRAME = 4
"""How far the frame of what is flagged is from it."""
_TRIED = 6
"""How far the places are apart at which a module's name is tried."""


class Drawn(NamedTuple):
    """A node as it is drawn: what stands in its two lines, and what the pointer shows."""

    id: str
    kind: str
    module: str
    label: str
    caption: str
    title: str
    alarm: bool
    flagged: bool


class Line(NamedTuple):
    """An edge as it is drawn; ``kind`` is sync or event, ``weight`` is 0 to 1."""

    source: str
    target: str
    kind: str
    title: str
    weight: float
    in_cycle: bool


def graph_scene(
    title: str, nodes: Sequence[Drawn], lines: Sequence[Line], direction: str
) -> tuple[Scene, Layout]:
    """Lay the graph out and draw it."""
    boxes = [Box(node.id, node.module, _width(node), HEIGHT) for node in nodes]
    ends = [(edge.source, edge.target) for edge in lines]
    layout = lay_out(boxes, ends, [edge.kind for edge in lines], direction)
    legend = _legend(lines, any(node.flagged for node in nodes))
    told = legend[1] if nodes else width_of(_NOTHING, 10) + MARGIN
    scene = Scene(
        max(layout.width, int(told) + MARGIN), layout.height + (_LEGEND if nodes else 0), title
    )
    for place in layout.groups.values():
        scene.add(Shape(rectangle(*place, radius=8), "module"))
    held = {node.id: node for node in nodes}
    for edge in lines:
        scene.add(_edge(edge, layout, held[edge.source], held[edge.target]))
    passed = _passed(layout)
    for module, place in layout.groups.items():
        scene.add(_heading(module, place, passed[place.y]))
    for node in nodes:
        scene.add(_node(node, layout.boxes[node.id]))
    if nodes:
        scene.add(*(_moved(item, MARGIN, layout.height + 8) for item in legend[0]))
    else:
        scene.add(Label(MARGIN, scene.height / 2, _NOTHING, "caption"))
    return scene, layout


def _heading(module: str, place: Placed, passed: Sequence[float]) -> Label:
    """A module's name at the top, where the fewest edges pass: leftmost, then rightmost."""
    name = fitted(module, place.width - 20, 12, bold=True)
    wide = width_of(name, 12, bold=True)
    last = max(place.x + place.width - 10 - wide, place.x + 10.0)

    def crossed(start: float) -> int:
        return bisect_right(passed, start + wide + 4) - bisect_left(passed, start - 4)

    between = range(place.x + 10, int(last) + 1, _TRIED)
    start = min([place.x + 10.0, last, *map(float, between)], key=crossed)
    return Label(start, place.y + 16, name, "heading", fit=_fit(name, 12))


def _passed(layout: Layout) -> dict[int, list[float]]:
    """Where along x edges pass at the height of each heading, in order."""
    tops = sorted({place.y for place in layout.groups.values()})
    found: dict[int, list[float]] = {top: [] for top in tops}
    for route in layout.routes.values():
        for (x, y), (to_x, to_y) in pairwise(route.stops):
            low, high = (y, to_y) if y < to_y else (to_y, y)
            for top in tops[bisect_left(tops, low - _BAND) : bisect_right(tops, high)]:
                for step in range(33):
                    t = step / 32
                    # The curve's course across the layers: level at both ends.
                    along = y + (to_y - y) * (1.5 * t * (1 - t) + t * t * t)
                    if top <= along <= top + _BAND:
                        found[top].append(x + (to_x - x) * t * t * (3 - 2 * t))
    return {top: sorted(across) for top, across in found.items()}


def _width(node: Drawn) -> int:
    text = max(width_of(shown(node.label), 12), width_of(node.caption, 10, bold=node.alarm))
    # An even number, so that the middle is a whole pixel and edges meet it there.
    return 2 * int(max(72, min(text + 2 * _SLANT + 10, _WIDEST)) / 2)


def _fit(text: str, size: float) -> float | None:
    return None if is_plain(text) else width_of(text, size)


def _node(node: Drawn, place: Placed) -> Group:
    x, y, width, height = place
    room = width - 2 * _SLANT
    label, caption = fitted(node.label, room, 12), fitted(node.caption, room, 10, bold=node.alarm)
    middle = x + width / 2
    parts: list[Shape | Label] = [
        Shape(path, node.kind) for path in _OUTLINES[node.kind](x, y, width, height)
    ]
    if node.flagged:
        parts.insert(
            0,
            Shape(
                rectangle(x - _FRAME, y - _FRAME, width + 2 * _FRAME, height + 2 * _FRAME, 7),
                "flag",
            ),
        )
    parts += [
        Label(middle, y + 15, label, "label", "middle", _fit(label, 12)),
        Label(
            middle, y + 28, caption, "alarm-caption" if node.alarm else "caption", "middle",
            _fit(caption, 10),
        ),
    ]  # fmt: skip
    return Group(parts, node.title, node.id)


def _plain(x: float, y: float, w: float, h: float) -> list[Path]:
    return [rectangle(x, y, w, h, 3)]


def _tag(x: float, y: float, w: float, h: float) -> list[Path]:
    tip = x + w - _SLANT
    return [polygon([(x, y), (tip, y), (x + w, y + h / 2), (tip, y + h), (x, y + h)])]


def _leaning(x: float, y: float, w: float, h: float) -> list[Path]:
    return [polygon([(x + _SLANT, y), (x + w, y), (x + w - _SLANT, y + h), (x, y + h)])]


def _doubled(x: float, y: float, w: float, h: float) -> list[Path]:
    return [rectangle(x, y, w, h), rectangle(x + 3, y + 3, w - 6, h - 6)]


def _round(x: float, y: float, w: float, h: float) -> list[Path]:
    return [rectangle(x, y, w, h, h / 2)]


def _funnel(x: float, y: float, w: float, h: float) -> list[Path]:
    return [polygon([(x, y), (x + w, y), (x + w - _SLANT, y + h), (x + _SLANT, y + h)])]


def _notched(x: float, y: float, w: float, h: float) -> list[Path]:
    return [polygon([(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x + _SLANT, y + h / 2)])]


def _hexagon(x: float, y: float, w: float, h: float) -> list[Path]:
    left, right, middle = x + _SLANT, x + w - _SLANT, y + h / 2
    return [
        polygon(
            [(left, y), (right, y), (x + w, middle), (right, y + h), (left, y + h), (x, middle)]
        )
    ]


_OUTLINES: Mapping[str, Callable[[float, float, float, float], list[Path]]] = {
    "command": _tag,
    "query": _leaning,
    "aggregate": _doubled,
    "domain_event": _round,
    "handler": _plain,
    "projector": _funnel,
    "integration_event": _hexagon,
    "subscriber": _notched,
}
KINDS: Collection[str] = tuple(_OUTLINES)

_RECEDES = {"query": (5, 5), "projector": (5, 5), "subscriber": (_SLANT, 0)}
"""How far a kind's outline is from its box in the middle of its left and of its right side."""


def _edge(edge: Line, layout: Layout, source: Drawn, target: Drawn) -> Group:
    if edge.source == edge.target:
        path, tip, toward = _loop(layout.boxes[edge.source])
    else:
        route = layout.routes[edge.source, edge.target]
        if layout.direction == "right":
            route = _to_outlines(route, source.kind, target.kind)
        if target.flagged:
            route = _to_frame(route, layout.direction)
        path, tip, toward = _way(route, layout.direction)
    prefix = "cycle-" if edge.in_cycle else ""
    width = round(1.2 + 1.2 * edge.weight, 1)
    head = "cycle-head" if edge.in_cycle else "head" if edge.kind == "sync" else "open-head"
    return Group(
        [Shape(path, f"{prefix}{edge.kind}", width), Shape(_head(tip, toward), head)],
        edge.title,
    )


def _to_outlines(route: Route, source: str, target: str) -> Route:
    """Begin and end where the outlines are, which may recede from their boxes at the sides."""
    (x, y), *between, (to_x, to_y) = route.stops
    own, other = _RECEDES.get(source, (0, 0)), _RECEDES.get(target, (0, 0))
    if route.backward:
        return route._replace(stops=((x + own[0], y), *between, (to_x - other[1], to_y)))
    return route._replace(stops=((x - own[1], y), *between, (to_x + other[0], to_y)))


def _to_frame(route: Route, direction: str) -> Route:
    """End before the frame of what is flagged, which would cross the head out."""
    axis = 0 if direction == "right" else 1
    back = _FRAME + 1 if route.backward else -_FRAME - 1
    last = route.stops[-1][axis] + back
    nearer = max if route.backward else min

    def before(stop: tuple[int, int]) -> tuple[int, int]:
        along = nearer(stop[axis], last)
        return (along, stop[1]) if axis == 0 else (stop[0], along)

    return route._replace(stops=(*route.stops[:-2], *map(before, route.stops[-2:])))


def _way(route: Route, direction: str) -> tuple[Path, tuple[float, float], tuple[int, int]]:
    """A route's path, where its arrow ends, and which way that points."""
    right = direction == "right"
    sign = -1 if route.backward else 1
    toward = (sign, 0) if right else (0, sign)
    *stops, tip = [(float(x), float(y)) for x, y in route.stops]
    path: list[tuple[str | float, ...]] = [("M", *stops[0])]
    for index, (x, y) in enumerate(stops[1:], 1):
        before = stops[index - 1]
        if index % 2:
            path.append(("L", x, y))
        elif right:
            middle = (before[0] + x) / 2
            path.append(("C", middle, before[1], middle, y, x, y))
        else:
            middle = (before[1] + y) / 2
            path.append(("C", before[0], middle, x, middle, x, y))
    path.append(("L", tip[0] - 6 * toward[0], tip[1] - 6 * toward[1]))
    return tuple(path), tip, toward


def _loop(place: Placed) -> tuple[Path, tuple[float, float], tuple[int, int]]:
    x, y = place.x + place.width - 30, place.y
    return (("M", x, y), ("C", x, y - 14, x + 18, y - 14, x + 18, y - 5)), (x + 18, y), (0, 1)


def _head(tip: tuple[float, float], toward: tuple[int, int]) -> Path:
    (x, y), (dx, dy) = tip, toward
    back_x, back_y = x - 8 * dx, y - 8 * dy
    return polygon([(x, y), (back_x + 4 * dy, back_y + 4 * dx), (back_x - 4 * dy, back_y - 4 * dx)])


def _legend(lines: Sequence[Line], flagged: bool) -> tuple[list[Shape | Label], float]:
    """What the lines mean, those that there are, and how wide that is."""
    entries = [
        ("sync", "head", "calls"),
        ("event", "open-head", "event"),
        ("cycle-sync", "cycle-head", "in a cycle"),
        ("flag", "", "unheard or never reached"),
    ]
    seen = {edge.kind for edge in lines if not edge.in_cycle}
    seen |= {"cycle-sync"} if any(edge.in_cycle for edge in lines) else set()
    seen |= {"flag"} if flagged else set()
    parts: list[Shape | Label] = []
    x = 0.0
    for style, head, meaning in entries:
        if style not in seen:
            continue
        if head:
            parts.append(Shape(line((x, 0), (x + 24, 0)), style))
            parts.append(Shape(_head((x + 30, 0), (1, 0)), head))
        else:
            parts.append(Shape(rectangle(x + 2, -6, 26, 12, 4), style))
        parts.append(Label(x + 36, 3.5, meaning, "caption"))
        x += 36 + width_of(meaning, 10) + 18
    return parts, x


def _moved(item: Shape | Label, dx: float, dy: float) -> Shape | Label:
    if isinstance(item, Label):
        return item._replace(x=item.x + dx, y=item.y + dy)
    path = []
    for letter, *values in item.path:
        moved = [float(v) + (dy if i % 2 else dx) for i, v in enumerate(values)]
        path.append((letter, *moved))
    return item._replace(path=tuple(path))
