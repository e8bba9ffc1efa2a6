"""Who is beside whom in a layer, so that few edges cross."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

from modulus_es.views.ranks import Arc

_BENDS = 3_000
"""How many bends there are at most; what goes beyond that runs beside the nodes."""
_LANES = 24
_TRIES = 200_000
"""How much may be looked at to put the groups into an order."""
_SWEEPS, _IDLE = 12, 4
_WORK = 90_000
"""How many links are looked at in all; where there are very many, there are fewer sweeps."""


class Lane(NamedTuple):
    """A straight way beside all that a group holds, from one layer to another; ``place`` counts."""

    group: int
    place: int
    first: int
    last: int


@dataclass
class Ordered:
    """The layers with everything in them, in order; a number past the nodes is a bend.

    A bend is where an edge passes a layer that it does not end in. Edges of one
    ``bundle`` share their bends as long as they run together. ``chains`` has the
    nodes and bends of each arc, from layer to layer. Where there would be too
    many bends, the longest edges have a lane instead: ``far`` says which.
    """

    rows: list[list[int]]
    group: list[int]
    layer: list[int]
    chains: dict[Arc, list[int]]
    links: list[Arc]
    far: dict[Arc, int]
    lanes: list[Lane]


def ordered(
    layer: Sequence[int], group: Sequence[int], arcs: Sequence[Arc], bundles: Sequence[object]
) -> Ordered:
    """Put bends where edges pass layers, and everything into an order.

    In every layer the groups keep the order of their numbers, so that each
    group has a strip of the picture for itself.

    >>> done = ordered([0, 1, 2], [0, 0, 0], [(0, 1), (1, 2), (0, 2)], ["a", "a", "a"])
    >>> done.chains[0, 2]
    [0, 3, 2]
    """
    result = _with_bends(list(layer), list(group), arcs, bundles)
    rows = [[] for _ in range(max(layer, default=-1) + 1)]  # type: list[list[int]]
    for item in _walked(result):
        rows[result.layer[item]].append(item)
    for row in rows:
        row.sort(key=result.group.__getitem__)
    onward: list[list[int]] = [[] for _ in result.layer]
    behind: list[list[int]] = [[] for _ in result.layer]
    for source, target in result.links:
        onward[source].append(target)
        behind[target].append(source)
    result.rows = _untangled(rows, result.group, onward, behind)
    return result


def _with_bends(
    layer: list[int], group: list[int], arcs: Sequence[Arc], bundles: Sequence[object]
) -> Ordered:
    chains: dict[Arc, list[int]] = {}
    links: dict[Arc, None] = {}
    bends: dict[tuple[int, object, int], int] = {}
    lanes = _lanes(layer, group, _ends(layer, arcs, bundles))
    numbers = {way: number for number, way in enumerate(lanes)}
    far: dict[Arc, int] = {}
    for (source, target), bundle in zip(arcs, bundles, strict=True):
        if (source, bundle) in numbers and layer[target] > layer[source] + 1:
            far[source, target] = numbers[source, bundle]
            chains[source, target] = [source, target]
            continue
        chain = [source]
        for passed in range(layer[source] + 1, layer[target]):
            bend = bends.get((source, bundle, passed))
            if bend is None:
                bend = bends[source, bundle, passed] = len(layer)
                layer.append(passed)
                group.append(group[source])
            chain.append(bend)
        chain.append(target)
        chains[source, target] = chain
        links.update(dict.fromkeys(pairwise(chain)))
    return Ordered([], group, layer, chains, list(links), far, list(lanes.values()))


_Way = tuple[int, object]
"""The edges of one source and one bundle."""


def _ends(layer: Sequence[int], arcs: Sequence[Arc], bundles: Sequence[object]) -> dict[_Way, int]:
    """The last layer that the edges of each source and bundle pass."""
    ends: dict[_Way, int] = {}
    for (source, target), bundle in zip(arcs, bundles, strict=True):
        last = layer[target] - 1
        if last > layer[source]:
            ends[source, bundle] = max(last, ends.get((source, bundle), 0))
    return ends


def _lanes(
    layer: Sequence[int], group: Sequence[int], ends: Mapping[_Way, int]
) -> dict[_Way, Lane]:
    """A lane for the longest ways, so that the others have no more bends than can be placed."""
    shortest = sorted(ends, key=lambda way: ends[way] - layer[way[0]])
    bends = accumulate(ends[way] - layer[way[0]] for way in shortest)
    kept = sum(total <= _BENDS for total in bends)
    lanes: dict[_Way, Lane] = {}
    free: dict[int, list[int]] = defaultdict(list)
    for way in sorted(shortest[kept:], key=lambda way: layer[way[0]]):
        source = way[0]
        until, first = free[group[source]], layer[source] + 1
        place = next((index for index, end in enumerate(until) if end < first), len(until))
        if place == len(until) < _LANES:
            until.append(0)
        # Where all lanes are taken, two ways share one.
        place = place if place < _LANES else source % _LANES
        until[place] = max(until[place], ends[way])
        lanes[way] = Lane(group[source], place, first, ends[way])
    return lanes


def _walked(result: Ordered) -> list[int]:
    """Everything in the order of a walk along the edges: a good start for the sweeps."""
    onward: list[list[int]] = [[] for _ in result.layer]
    entered = [False] * len(result.layer)
    for source, target in result.links:
        onward[source].append(target)
        entered[target] = True
    seen: dict[int, None] = {}
    starts = [item for item, has in enumerate(entered) if not has]
    for start in starts:
        stack = [start]
        while stack:
            item = stack.pop()
            if item not in seen:
                seen[item] = None
                stack.extend(reversed(onward[item]))
    return list(seen)


def _untangled(
    rows: list[list[int]], group: list[int], onward: list[list[int]], behind: list[list[int]]
) -> list[list[int]]:
    place = [0] * len(group)
    for row in rows:
        _number(row, place)
    best, fewest, idle = [row[:] for row in rows], crossings(rows, onward, place), 0
    links = sum(len(targets) for targets in onward)
    for sweep in range(max(2, min(_SWEEPS, _WORK // (links + 1)))):
        down = sweep % 2 == 0
        for row in rows[1:] if down else reversed(rows[:-1]):
            _settle(row, place, group, behind if down else onward)
        now = crossings(rows, onward, place)
        idle += 1
        if now < fewest:
            best, fewest, idle = [row[:] for row in rows], now, 0
        if fewest == 0 or idle == _IDLE:
            break
    return best


def _number(row: list[int], place: list[int]) -> None:
    for index, item in enumerate(row):
        place[item] = index


def _settle(row: list[int], place: list[int], group: list[int], beside: list[list[int]]) -> None:
    """Move each item to the middle of its neighbours, within its group's strip."""
    keys = []
    for index, item in enumerate(row):
        near = beside[item]
        at = sum([place[other] for other in near]) / len(near) if near else place[item]
        keys.append((group[item], at, index, item))
    keys.sort()
    row[:] = [item for *_, item in keys]
    _number(row, place)


def crossings(rows: list[list[int]], onward: list[list[int]], place: list[int]) -> int:
    """How many pairs of edges between neighbouring layers cross.

    ``place`` has each item's place within its layer.

    >>> crossings([[0, 1], [2, 3]], [[3], [2], [], []], [0, 1, 0, 1])
    1
    """
    total = 0
    for row in rows:
        ended: list[int] = []
        for item in row:
            found = [bisect_right(ended, place[target]) for target in onward[item]]
            total += len(ended) * len(found) - sum(found)
            for target in onward[item]:
                insort(ended, place[target])
    return total


def group_order(count: int, ties: Sequence[Arc]) -> list[int]:
    """An order of the groups in which those that talk much are near to each other.

    >>> group_order(3, [(0, 2), (0, 2), (1, 2)])
    [1, 2, 0]
    """
    beside: list[dict[int, int]] = [{} for _ in range(count)]
    for one, other in ties:
        if one != other:
            beside[one][other] = beside[other][one] = beside[one].get(other, 0) + 1
    tried = count * (count + sum(map(len, beside)))
    if tried > _TRIES:
        return _followed(beside)
    order = list(range(count))
    shortest = _stretch(order, beside)
    for _ in range(min(4, _TRIES // (tried + 1))):
        before = shortest
        for item in range(count):
            rest = [other for other in order if other != item]
            best, at = _best_place(item, rest, beside)
            if best < shortest:
                order, shortest = [*rest[:at], item, *rest[at:]], best
        if shortest == before:
            break
    return order


def _followed(beside: list[dict[int, int]]) -> list[int]:
    """The groups as a walk meets them that goes on to whom each talks to most."""
    seen: dict[int, None] = {}
    for start in range(len(beside)):
        stack = [start]
        while stack:
            group = stack.pop()
            if group not in seen:
                seen[group] = None
                ties = beside[group]
                stack.extend(sorted(ties, key=lambda other: (ties[other], -other)))
    return list(seen)


def _stretch(order: list[int], beside: list[dict[int, int]]) -> int:
    """How long all ties are together, each counted from both its ends."""
    place = {item: index for index, item in enumerate(order)}
    return sum(
        weight * abs(place[one] - place[other])
        for one, ties in enumerate(beside)
        for other, weight in ties.items()
    )


def _best_place(item: int, rest: list[int], beside: list[dict[int, int]]) -> tuple[int, int]:
    """The least stretch with the item somewhere in the rest, and the first place that has it."""
    place = [0] * len(beside)
    _number([item, *rest], place)
    now = _stretch([item, *rest], beside)
    best, at = now, 0
    for index, passed in enumerate(rest):
        # The two change places; only their own ties change, and not the one between them.
        for moved, to in ((item, index + 1), (passed, index)):
            for other, weight in beside[moved].items():
                if other not in (item, passed):
                    away = abs(place[other] - to) - abs(place[other] - place[moved])
                    now += 2 * weight * away
        place[item], place[passed] = index + 1, index
        if now < best:
            best, at = now, index + 1
    return best, at
