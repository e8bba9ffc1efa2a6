"""Where everything is across the layers: each group in a strip of its own.

Two groups that are in different layers may lie before one another, so that a
long row of modules does not become a broad picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import fsum
from typing import NamedTuple

from modulus_es.views.ordering import Ordered
from modulus_es.views.placing import straightened

MARGIN = 12
PAD = 10
HEADING = 22
BESIDE = {True: 12, False: 18}
"""How far boxes of one layer are apart, to the right and downward."""

_BETWEEN = 12
_BEND = 9
_ALMOST = 14

Profile = Mapping[int, tuple[int, int]]
"""What a strip takes of each layer: from where to where, counted from its own beginning."""


class Across(NamedTuple):
    """The centre of every item, where each strip begins and ends, and how broad all is."""

    centre: list[int]
    strips: list[tuple[int, int]]
    breadth: int


def across(order: Ordered, sizes: Sequence[int], names: Sequence[str], *, right: bool) -> Across:
    """Place the boxes, whose ``sizes`` across the layers are given, and the bends.

    ``names`` are those of the groups in their order; a nameless one has no frame.
    """
    bends = len(order.layer) - len(sizes)
    size = [*map(float, sizes), *[0.0] * bends]
    gap = [float(BESIDE[right])] * len(sizes) + [float(_BEND)] * bends
    is_bend = [False] * len(sizes) + [True] * bends
    centre = [0] * len(order.layer)
    profiles, breadths = [], []
    for place, name in enumerate(names):
        rows = [[item for item in row if order.group[item] == place] for row in order.rows]
        found = straightened([row for row in rows if row], size, gap, order.links, is_bend)
        inner = (PAD + (HEADING if right else 0)) if name else 0
        low = min(found[item] - size[item] / 2 for item in found)
        for row in rows:
            _settle(row, [found[item] - low + inner for item in row], centre, size, gap)
        _level(rows, order, centre, size, gap)
        end = max(centre[item] + size[item] / 2 for item in found)
        least = 0 if right or not name else min(8 * len(name) + 2 * PAD, 150)
        breadths.append(max(math.ceil(end) + (PAD if name else 0), least))
        profiles.append(_profile(rows, is_bend, centre, breadths[-1]))
    begins = packed(profiles)
    end = breadth(profiles, begins)
    _draw_near(order, profiles, begins, centre, end)
    for item, group in enumerate(order.group):
        centre[item] += begins[group]
    strips = [(begin, begin + broad) for begin, broad in zip(begins, breadths, strict=True)]
    return Across(centre, strips, end + MARGIN)


def breadth(profiles: Sequence[Profile], begins: Sequence[int]) -> int:
    """Where the last of the strips ends.

    >>> breadth([{0: (0, 100)}, {1: (0, 50)}], [12, 90])
    140
    """
    ends = [
        begin + high
        for begin, profile in zip(begins, profiles, strict=True)
        for _, high in profile.values()
    ]
    return max(ends, default=MARGIN)


def packed(profiles: Sequence[Profile]) -> list[int]:
    """Where each strip begins, when it is as near to the ones before it as it can be.

    >>> packed([{0: (0, 100)}, {1: (0, 50)}, {0: (0, 30), 1: (0, 30)}])
    [12, 12, 124]
    """
    taken: dict[int, int] = {}
    begins = []
    for profile in profiles:
        begin = max(
            MARGIN - min(low for low, _ in profile.values()),
            *(taken.get(layer, 0) - low for layer, (low, _) in profile.items()),
        )
        begins.append(begin)
        for layer, (_, high) in profile.items():
            taken[layer] = begin + high + _BETWEEN
    return begins


def _settle(
    row: Sequence[int],
    wanted: Sequence[float],
    centre: list[int],
    size: Sequence[float],
    gap: Sequence[float],
) -> None:
    """Round the places of a layer, which may bring two neighbours a pixel too near."""
    least = -math.inf
    for item, place in zip(row, wanted, strict=True):
        centre[item] = math.ceil(max(round(place), least + size[item] / 2))
        least = centre[item] + size[item] / 2 + gap[item]


def _level(
    rows: Sequence[Sequence[int]],
    order: Ordered,
    centre: list[int],
    size: Sequence[float],
    gap: Sequence[float],
) -> None:
    """Make edges quite straight that almost are, where there is room for it."""
    behind: dict[int, list[int]] = {}
    for source, target in order.links:
        if order.group[source] == order.group[target]:
            behind.setdefault(target, []).append(source)
    for row in rows:
        for place, item in enumerate(row):
            sources = behind.get(item, [])
            if len(sources) != 1 or abs(centre[sources[0]] - centre[item]) > _ALMOST:
                continue
            wanted = centre[sources[0]]
            beside = (*row[max(place - 1, 0) : place], *row[place + 1 : place + 2])
            if all(
                abs(centre[other] - wanted)
                >= (size[other] + size[item]) / 2 + max(gap[other], gap[item])
                for other in beside
            ):
                centre[item] = wanted


def _profile(
    rows: Sequence[Sequence[int]], is_bend: Sequence[bool], centre: Sequence[int], breadth: int
) -> Profile:
    """The whole breadth where the group's frame is, elsewhere what its bends take."""
    held = [layer for layer, row in enumerate(rows) if not all(is_bend[item] for item in row)]
    framed = range(min(held), max(held) + 1)
    return {
        layer: (0, breadth)
        if layer in framed
        else (min(centre[i] for i in row) - _BEND, max(centre[i] for i in row) + _BEND)
        for layer, row in enumerate(rows)
        if row or layer in framed
    }


def _draw_near(
    order: Ordered,
    profiles: Sequence[Profile],
    begins: list[int],
    centre: Sequence[int],
    end: int,
) -> None:
    """Move each strip towards what it is linked with, as far as its neighbours let it."""
    links: list[list[tuple[int, int]]] = [[] for _ in profiles]
    for one, other in order.links:
        if order.group[one] != order.group[other]:
            links[order.group[one]].append((one, other))
            links[order.group[other]].append((other, one))
    for turn in (reversed(range(len(profiles))), range(len(profiles))):
        for group in turn:
            if not links[group]:
                continue
            away = fsum(
                centre[other] + begins[order.group[other]] - centre[own] - begins[group]
                for own, other in links[group]
            )
            low, high = _free(profiles, begins, group, end)
            begins[group] += max(low, min(high, round(away / len(links[group]))))


def _free(
    profiles: Sequence[Profile], begins: Sequence[int], group: int, end: int
) -> tuple[int, int]:
    """How far a strip may move back and on."""
    back, on = [], []
    for layer, (low, high) in profiles[group].items():
        before = [
            begins[other] + profiles[other][layer][1] + _BETWEEN
            for other in range(group)
            if layer in profiles[other]
        ]
        after = [
            begins[other] + profiles[other][layer][0] - _BETWEEN
            for other in range(group + 1, len(profiles))
            if layer in profiles[other]
        ]
        back.append(max(before, default=MARGIN) - begins[group] - low)
        on.append(min(after, default=end) - begins[group] - high)
    return min(0, max(back)), max(0, min(on))
