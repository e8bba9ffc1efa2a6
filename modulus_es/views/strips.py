"""Where everything is across the layers: each group in a strip of its own.

Two groups that are in different layers may lie before one another, so that a
long row of modules does not become a broad picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import fsum
from typing import NamedTuple

from modulus_es.views.ordering import Lane, Ordered
from modulus_es.views.placing import compacted, straightened
from modulus_es.views.ranks import Arc

MARGIN = 12
PAD = 10
HEADING = 22
BESIDE = {True: 12, False: 18}
"""How far boxes of one layer are apart, to the right and downward."""

_BETWEEN = 12
_BEND = 9
_ALMOST = 14
_DRAWN = 20_000
"""In how many layers strips may lie in all, for each to be moved about."""

Profile = Mapping[int, tuple[int, int]]
"""What a strip takes of each layer: from where to where, counted from its own beginning."""


class Across(NamedTuple):
    """The centres of items and lanes, where each strip begins and ends, and how broad all is."""

    centre: list[int]
    lanes: list[int]
    strips: list[tuple[int, int]]
    breadth: int


def across(order: Ordered, sizes: Sequence[int], names: Sequence[str], *, right: bool) -> Across:
    """Place the boxes, whose ``sizes`` across the layers are given, the bends and the lanes.

    ``names`` are those of the groups in their order; a nameless one has no frame.
    """
    bends = len(order.layer) - len(sizes)
    size = [*map(float, sizes), *[0.0] * bends]
    gap = [float(BESIDE[right])] * len(sizes) + [float(_BEND)] * bends
    is_bend = [False] * len(sizes) + [True] * bends
    centre = [0] * len(order.layer)
    beside = [0] * len(order.lanes)
    profiles, breadths = [], []
    held = _by_group(order, len(names))
    for place, name in enumerate(names):
        rows, links, lanes = held[place]
        found = straightened([*rows.values()], size, gap, links, is_bend)
        compacted([*rows.values()], size, gap, links, found)
        inner = (PAD + (HEADING if right else 0)) if name else 0
        low = min(found[item] - size[item] / 2 for item in found)
        for row in rows.values():
            _settle(row, [found[item] - low + inner for item in row], centre, size, gap)
        _level([*rows.values()], links, centre, size, gap)
        end = max(centre[item] + size[item] / 2 for item in found)
        for number in lanes:
            beside[number] = math.ceil(end) + _BEND * (order.lanes[number].place + 1)
        end = max([end, *(beside[number] for number in lanes)])
        least = 0 if right or not name else min(8 * len(name) + 2 * PAD, 150)
        breadths.append(max(math.ceil(end) + (PAD if name else 0), least))
        taken = [(order.lanes[number], beside[number]) for number in lanes]
        profiles.append(_profile(rows, taken, is_bend, centre, breadths[-1]))
    begins = packed(profiles)
    end = breadth(profiles, begins)
    _draw_near(order, profiles, begins, centre, end)
    for item, group in enumerate(order.group):
        centre[item] += begins[group]
    for number, lane in enumerate(order.lanes):
        beside[number] += begins[lane.group]
    strips = [(begin, begin + broad) for begin, broad in zip(begins, breadths, strict=True)]
    return Across(centre, beside, strips, end + MARGIN)


class _Held(NamedTuple):
    """What one group holds: its layers that are not empty, its own links, its lanes."""

    rows: dict[int, list[int]]
    links: list[Arc]
    lanes: list[int]


def _by_group(order: Ordered, count: int) -> list[_Held]:
    held = [_Held({}, [], []) for _ in range(count)]
    for layer, row in enumerate(order.rows):
        for item in row:
            held[order.group[item]].rows.setdefault(layer, []).append(item)
    for link in order.links:
        if order.group[link[0]] == order.group[link[1]]:
            held[order.group[link[0]]].links.append(link)
    for number, lane in enumerate(order.lanes):
        held[lane.group].lanes.append(number)
    return held


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
    links: Sequence[Arc],
    centre: list[int],
    size: Sequence[float],
    gap: Sequence[float],
) -> None:
    """Make edges quite straight that almost are, where there is room for it."""
    behind: dict[int, list[int]] = {}
    for source, target in links:
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
    rows: Mapping[int, Sequence[int]],
    lanes: Sequence[tuple[Lane, int]],
    is_bend: Sequence[bool],
    centre: Sequence[int],
    breadth: int,
) -> Profile:
    """The whole breadth where the group's frame is, elsewhere what its bends and lanes take."""
    held = [layer for layer, row in rows.items() if not all(is_bend[item] for item in row)]
    framed = range(min(held), max(held) + 1)
    passed = {layer: [centre[item] for item in row] for layer, row in rows.items()}
    for lane, place in lanes:
        for layer in range(lane.first, lane.last + 1):
            passed.setdefault(layer, []).append(place)
    return {
        layer: (0, breadth)
        if layer in framed
        else (min(passed[layer]) - _BEND, max(passed[layer]) + _BEND)
        for layer in sorted({*passed, *framed})
    }


def _draw_near(
    order: Ordered,
    profiles: Sequence[Profile],
    begins: list[int],
    centre: Sequence[int],
    end: int,
) -> None:
    """Move each strip towards what it is linked with, as far as its neighbours let it."""
    if sum(map(len, profiles)) > _DRAWN:
        return
    links: list[list[tuple[int, int]]] = [[] for _ in profiles]
    for one, other in (*order.links, *order.far):
        if order.group[one] != order.group[other]:
            links[order.group[one]].append((one, other))
            links[order.group[other]].append((other, one))
    beside = _neighbours(profiles)
    for turn in (reversed(range(len(profiles))), range(len(profiles))):
        for group in turn:
            if not links[group]:
                continue
            away = fsum(
                centre[other] + begins[order.group[other]] - centre[own] - begins[group]
                for own, other in links[group]
            )
            low, high = _free(profiles, begins, group, beside[group], end)
            begins[group] += max(low, min(high, round(away / len(links[group]))))


_Neighbours = Mapping[int, tuple[int | None, int | None]]


def _neighbours(profiles: Sequence[Profile]) -> list[_Neighbours]:
    """For each strip, in each of its layers, the one before it and the one after it."""
    held: dict[int, list[int]] = {}
    for group, profile in enumerate(profiles):
        for layer in profile:
            held.setdefault(layer, []).append(group)
    found: list[dict[int, tuple[int | None, int | None]]] = [{} for _ in profiles]
    for layer, groups in held.items():
        for before, group, after in zip([None, *groups], groups, [*groups[1:], None], strict=False):
            found[group][layer] = before, after
    return [*found]


def _free(
    profiles: Sequence[Profile], begins: Sequence[int], group: int, beside: _Neighbours, end: int
) -> tuple[int, int]:
    """How far a strip may move back and on."""
    back, on = [], []
    for layer, (low, high) in profiles[group].items():
        before, after = beside[layer]
        least, most = MARGIN, end
        if before is not None:
            least = begins[before] + profiles[before][layer][1] + _BETWEEN
        if after is not None:
            most = begins[after] + profiles[after][layer][0] - _BETWEEN
        back.append(least - begins[group] - low)
        on.append(most - begins[group] - high)
    return min(0, max(back)), max(0, min(on))
