"""How anything travels to the page: names, shapes, lanes, and numbers as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from modulus_es.views import glyphs
from modulus_es.views.lives import Life, lanes_of
from modulus_es.views.marks import KINDS, OUTBOX, SPANS
from modulus_es.views.scene import Label, Path, Shape
from modulus_es.views.svg import number
from modulus_es.views.text import shown
from modulus_es.views.timeline_scene import COUNTED

UNIT = 1_000_000_000
"""How finely the axis is counted; 0 is its beginning, this its end."""

_LONGEST = 200
_NAME = 120
_EDGE = 0.012
"""What of the axis is left free at both ends of many marks: half a sign of the narrowest axis."""

Part = list[Any]
"""A shape, [style, path, width], or a label, [style, x, y, text, anchor, fit]."""


def key(name: str) -> str:
    r"""A name as the page may have it: itself, if it is short and can be sent.

    >>> key("Order.Placed"), key("\ud800")[:12]
    ('Order.Placed', '\\ud800… #91a')
    """
    try:
        if len(name.encode()) <= _LONGEST:
            return name
    except UnicodeEncodeError:
        pass
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{shown(name[:_LONGEST])}… #{digest[:16]}"


def parts(items: Iterable[Shape | Label]) -> list[Part]:
    """Shapes and labels as lists, which is what JSON has."""
    return [
        [item.style, _path(item.path), item.width]
        if isinstance(item, Shape)
        else [item.style, item.x, item.y, item.text, item.anchor, item.fit]
        for item in items
    ]


def _path(path: Path) -> str:
    return "".join(
        f"{letter}{' '.join(number(float(value)) for value in values)}" for letter, *values in path
    )


def packed(
    lanes: Sequence[tuple[str, str]],
    rows_of: Mapping[tuple[str, str], int],
    types: Sequence[str],
    columns: Mapping[str, Any],
) -> dict[str, Any]:
    """Lanes, types and columns as they travel, and the signs to draw them with.

    >>> packed([("orders", "(outbox)")], {}, ["OrderCreated"], {})["lanes"][0]["outbox"]
    True
    """
    modules = list(dict.fromkeys(module for module, _ in lanes))
    return {
        "kinds": list(KINDS),
        "meanings": glyphs.MEANINGS,
        "bars": COUNTED,
        "glyphs": {
            kind: parts(glyphs.moment(kind, 0, 0)) for kind in KINDS if kind not in SPANS
        },
        "lanes": [
            {
                "module": key(module),
                "where": shown(module, _NAME),
                "label": shown(handler, _NAME),
                "cut": [max(len(name) - _NAME, 0) for name in (module, handler)],
                "handler": key(handler),
                "rows": rows_of.get((module, handler), 1),
                "node": "" if handler.startswith("(") else key(f"{module}/handler/{handler}"),
                "outbox": handler == OUTBOX,
            }
            for module, handler in lanes
        ],
        "types": [
            {
                "name": key(name),
                "label": shown(name, _NAME),
                "nodes": [
                    key(f"contract/{name}"),
                    *(key(f"{held}/command/{name}") for held in modules),
                ],
            }
            for name in types
        ],
        "columns": {name: values.dtype.str[1:] for name, values in columns.items()},
        **{name: memoryview(values.tobytes()) for name, values in columns.items()},
    }  # fmt: skip


def in_order(lanes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Lanes in order of their first marks, as the pictures have them: module by module.

    >>> in_order([("orders", "(outbox)"), ("billing", "charge"), ("orders", "ship")])
    [('orders', 'ship'), ('orders', '(outbox)'), ('billing', 'charge')]
    """
    lives = [Life(lane, [index]) for index, lane in enumerate(lanes)]
    return lanes_of(lives, range(len(lives)))


def linear(first: float, last: float) -> tuple[float, float, list[float]]:
    """Where along the axis the first of many times is, how far a microsecond goes, and the knots.

    Nothing is at the very edge, where half of its sign would be cut off. Where no
    time passes, all is in the middle.

    >>> linear(0.0, 0.0)
    (500000000.0, 0.0, [0.0, 0.5, 1.0])
    >>> start, factor, knots = linear(0.0, 2_000_000.0)
    >>> start + 1_000_000.0 * factor, knots
    (500000000.0, [0.0, 0.0, 0.012, 2000000.0, 0.988, 1.0])
    """
    if first == last:
        return 0.5 * UNIT, 0.0, [first, 0.5, 1.0]
    factor = (1 - 2 * _EDGE) * UNIT / (last - first)
    return _EDGE * UNIT, factor, [first, 0.0, _EDGE, last, 1 - _EDGE, 1.0]


def narrow(values: Any) -> Any:
    """The same numbers, none of them below 0, in as few bytes as hold each of them."""
    most = int(values.max(initial=0))
    return values.astype("<u1" if most < 1 << 8 else "<u2" if most < 1 << 16 else "<u4")
