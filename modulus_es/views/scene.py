"""What a picture is made of, before anybody draws it: shapes and labels in pixels.

A view makes a `Scene` once; `svg` and `figure` draw it. So every renderer shows
the same picture, and neither knows what it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Segment = tuple[str | float, ...]
"""A letter and its numbers, as in SVG: M x y, L x y, C x1 y1 x2 y2 x y, Z."""
Path = tuple[Segment, ...]

# How far a Bezier's control points stand for a quarter of a circle of radius 1.
_ROUND = 0.55


class Shape(NamedTuple):
    """A path in a style of the theme; ``width`` replaces the style's line width."""

    path: Path
    style: str
    width: float | None = None


class Label(NamedTuple):
    """Text whose baseline begins, is centred or ends at a point.

    ``fit`` is the width that the text has to have where no font's widths are
    known for its characters.
    """

    x: float
    y: float
    text: str
    style: str
    anchor: str = "start"
    fit: float | None = None


class Group(NamedTuple):
    """Things that belong together; ``title`` is shown when the pointer rests on them."""

    items: Sequence[Shape | Label]
    title: str = ""
    key: str = ""


@dataclass
class Scene:
    """A picture of ``width`` times ``height`` pixels, in the order in which it is drawn."""

    width: int
    height: int
    title: str
    items: list[Shape | Label | Group] = field(default_factory=list)

    def add(self, *items: Shape | Label | Group) -> None:
        """Draw these next."""
        self.items.extend(items)


def polygon(points: Iterable[tuple[float, float]]) -> Path:
    """A closed path through these points.

    >>> polygon([(0, 0), (2, 0), (1, 2)])
    (('M', 0, 0), ('L', 2, 0), ('L', 1, 2), ('Z',))
    """
    (x, y), *rest = points
    return (("M", x, y), *(("L", px, py) for px, py in rest), ("Z",))


def line(*points: tuple[float, float]) -> Path:
    """An open path through these points."""
    return polygon(points)[:-1]


def rectangle(x: float, y: float, width: float, height: float, radius: float = 0) -> Path:
    """A rectangle, its corners rounded."""
    right, bottom = x + width, y + height
    if not radius:
        return polygon([(x, y), (right, y), (right, bottom), (x, bottom)])
    r, k = radius, radius * (1 - _ROUND)
    return (
        ("M", x + r, y), ("L", right - r, y),
        ("C", right - k, y, right, y + k, right, y + r), ("L", right, bottom - r),
        ("C", right, bottom - k, right - k, bottom, right - r, bottom), ("L", x + r, bottom),
        ("C", x + k, bottom, x, bottom - k, x, bottom - r), ("L", x, y + r),
        ("C", x, y + k, x + k, y, x + r, y), ("Z",),
    )  # fmt: skip


def circle(x: float, y: float, radius: float) -> Path:
    """A circle around a point."""
    return rectangle(x - radius, y - radius, 2 * radius, 2 * radius, radius)
