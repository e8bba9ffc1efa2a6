"""A sign for every kind of mark, told apart by its shape and not by its colour."""

from __future__ import annotations

from modulus_es.views.marks import SPANS
from modulus_es.views.scene import Label, Shape, circle, line, polygon, rectangle
from modulus_es.views.text import width_of

RADIUS = 5.0

MEANINGS = {
    "recorded": "recorded",
    "waiting": "waiting",
    "in_flight": "in flight",
    "attempt": "being handled",
    "done": "done",
    "failed": "answered a failure",
    "retry": "failed, tried again",
    "duplicate": "duplicate, suppressed",
    "crash": "crash",
    "dead": "dead letter",
    "open": "goes on",
}

MESSAGES = {"command": ("sync", "head"), "event": ("event", "open-head")}
"""The styles of the line and of the head of what is on its way."""

# Eight rays: written out, because sines differ in their last bit between machines.
_STAR = (
    (0.0, -1.5), (0.23, -0.55), (1.06, -1.06), (0.55, -0.23), (1.5, 0.0), (0.55, 0.23),
    (1.06, 1.06), (0.23, 0.55), (0.0, 1.5), (-0.23, 0.55), (-1.06, 1.06), (-0.55, 0.23),
    (-1.5, 0.0), (-0.55, -0.23), (-1.06, -1.06), (-0.23, -0.55),
)  # fmt: skip


def moment(kind: str, x: float, y: float) -> list[Shape]:
    """The sign of a moment, centred on a point."""
    r = RADIUS
    if kind == "recorded":
        return [Shape(polygon([(x, y - r), (x + r, y), (x, y + r), (x - r, y)]), kind)]
    if kind == "done":
        return [Shape(circle(x, y, r - 0.5), kind)]
    if kind == "failed":
        return [
            Shape(rectangle(x - 4, y - 4, 8, 8), kind),
            Shape(line((x - 4, y + 4), (x + 4, y - 4)), kind),
        ]
    if kind == "duplicate":
        return [Shape(polygon([(x, y - r), (x + r, y + 4), (x - r, y + 4)]), kind)]
    if kind == "crash":
        return [Shape(polygon([(x + r * dx, y + r * dy) for dx, dy in _STAR]), kind)]
    cross = [line((x - 4, y - 4), (x + 4, y + 4)), line((x - 4, y + 4), (x + 4, y - 4))]
    if kind == "retry":
        return [Shape(path, kind) for path in cross]
    return [
        Shape(rectangle(x - 6, y - 6, 12, 12, 2), "dead"),
        *(Shape(c, "dead-cross") for c in cross),
    ]


def span(kind: str, x: float, end: float, y: float) -> Shape:
    """The sign of something that lasts."""
    if kind == "attempt":
        return Shape(rectangle(x, y - 4, max(end - x, 1.5), 8), kind)
    return Shape(line((x, y), (max(end, x + 1), y)), kind)


def open_end(x: float, y: float, toward: int) -> Shape:
    """The sign that a span goes on: a chevron beyond its end, pointing onward."""
    tip = x + 5 * toward
    return Shape(line((x, y - 4), (tip, y), (x, y + 4)), "open-end")


def legend(kinds: set[str], x: float, y: float, right: float) -> tuple[list[Shape | Label], float]:
    """What the signs mean, those of ``kinds``, in lines; and the y below the last one."""
    items: list[Shape | Label] = []
    at = x
    for kind, meaning in {**{kind: kind for kind in MESSAGES}, **MEANINGS}.items():
        if kind not in kinds:
            continue
        wide = 24 + width_of(meaning, 10) + 16
        if at + wide > right and at > x:
            at, y = x, y + 18
        if kind in MESSAGES:
            style, head = MESSAGES[kind]
            items.append(Shape(line((at, y), (at + 11, y)), style))
            items.append(Shape(polygon([(at + 18, y), (at + 10, y - 4), (at + 10, y + 4)]), head))
        elif kind in SPANS:
            items.append(span(kind, at, at + 18, y))
        elif kind == "open":
            items += [span("waiting", at, at + 12, y), open_end(at + 12, y, 1)]
        else:
            items.extend(moment(kind, at + 9, y))
        items.append(Label(at + 24, y + 3.5, meaning, "caption"))
        at += wide
    return items, y + 14
