"""The arrow from a cause to its effect: it comes in from the left, as time does.

So its head points at one row, also where marks of one instant stand below each other.
"""

from __future__ import annotations

from modulus_es.views.scene import Path, polygon

_HEAD = 7.0
_BESIDE = 28.0
"""An effect that is nearer than this is below or above its cause: its arrow goes round."""
_LEAST, _MOST, _SLOPE = 5.0, 14.0, 0.04
"""How far it goes round; the farther, the longer it is, so that arrows of one cause fan out."""


def arrow(x: float, y: float, to_x: float, to_y: float) -> tuple[Path, Path]:
    """The shaft from a mark's middle, and the head whose tip is at ``to_x``."""
    neck = to_x - _HEAD + 1
    if to_x - x >= _BESIDE:
        first, second = (x, (y + to_y) / 2), (max(to_x - 40, (x + to_x) / 2), to_y)
    else:
        out = min(x, neck) - min(_LEAST + _SLOPE * abs(to_y - y), _MOST)
        first, second = (out, y), (out, to_y)
    shaft: Path = (("M", x, y), ("C", *first, *second, neck, to_y))
    back = to_x - _HEAD
    return shaft, polygon([(to_x, to_y), (back, to_y - 3), (back, to_y + 3)])
