"""Where everything in a layer is: apart enough, and as straight as the order permits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from math import fsum

_PASSES = 9
_WORK = 60_000
"""How many links are looked at in all; where there are very many, there are fewer passes."""
_PAIR = 4.0

_Pull = tuple[int, float]
"""What pulls an item, and how strongly."""


def spread(
    wanted: Sequence[float], apart: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """Places near to the wanted ones, in the same order, at least so far apart.

    ``apart`` has the distance of each from the one before it. The answer is the
    one with the smallest weighted sum of squares (pool adjacent violators).
    Sums are exact ones: plain ``sum`` of floats differs between Pythons.

    >>> spread([0, 0, 10], [0, 4, 4], [1, 1, 1])
    [-2.0, 2.0, 10.0]
    """
    if len(wanted) == 1:
        return [float(wanted[0])]
    offsets = list(accumulate(apart, initial=0.0))[1:]
    places: list[float] = []
    held: list[float] = []
    sizes: list[int] = []
    for wish, offset, weight in zip(wanted, offsets, weights, strict=True):
        place, size = wish - offset, 1
        while places and places[-1] > place:
            above, one = places.pop(), held.pop()
            place, weight = (above * one + place * weight) / (one + weight), one + weight  # noqa: PLW2901
            size += sizes.pop()
        places.append(place)
        held.append(weight)
        sizes.append(size)
    spaced = (place for place, size in zip(places, sizes, strict=True) for _ in range(size))
    return [place + offset for place, offset in zip(spaced, offsets, strict=True)]


def straightened(
    rows: Sequence[Sequence[int]],
    size: Sequence[float],
    gap: Sequence[float],
    links: Sequence[tuple[int, int]],
    is_bend: Sequence[bool],
) -> dict[int, float]:
    """The centre of every item across the layers; ``links`` join items of two layers.

    Edges pull their ends level: those through bends hardest, so that long edges
    run straight, then those between two that have only each other.
    """
    level = {item: index for index, row in enumerate(rows) for item in row}
    inside = [(one, other) for one, other in links if one in level and other in level]
    onward, behind = Counter(one for one, _ in inside), Counter(other for _, other in inside)
    # What pulls each item from the layers before it, and from those behind it.
    before: dict[int, list[_Pull]] = {item: [] for item in level}
    after: dict[int, list[_Pull]] = {item: [] for item in level}
    for one, other in inside:
        strength = 1.0 + 3.0 * (is_bend[one] + is_bend[other])
        strength += _PAIR if onward[one] == behind[other] == 1 else 0
        for own, far in ((one, other), (other, one)):
            (before if level[far] < level[own] else after)[own].append((far, strength))
    apart = [_distances(row, size, gap) for row in rows]
    centre: dict[int, float] = {}
    for row, distances in zip(rows, apart, strict=True):
        centre.update(zip(row, accumulate(distances), strict=True))
    passes = max(3, min(_PASSES, _WORK // (len(inside) + 1)))
    around = {item: before[item] + after[item] for item in level}
    weighed = [(pulls, _weights(rows, pulls)) for pulls in (before, after, around)]
    for turn in range(passes):
        down = turn % 2 == 0
        pulls, weights = weighed[2 if turn >= passes - 2 else 0 if down else 1]
        for here in range(len(rows)) if down else reversed(range(len(rows))):
            wanted = [
                middle([(centre[other], strength) for other, strength in near])
                if (near := pulls[item])
                else centre[item]
                for item in rows[here]
            ]
            centre.update(zip(rows[here], spread(wanted, apart[here], weights[here]), strict=True))
    return centre


def _weights(
    rows: Sequence[Sequence[int]], pulls: Mapping[int, Sequence[_Pull]]
) -> list[list[float]]:
    """How hard each item is pulled in all, by rows."""
    return [[fsum(strength for _, strength in pulls[item]) or 0.1 for item in row] for row in rows]


def compacted(
    rows: Sequence[Sequence[int]],
    size: Sequence[float],
    gap: Sequence[float],
    links: Sequence[tuple[int, int]],
    centre: dict[int, float],
) -> None:
    """Move the parts that nothing links back towards each other, as far as they have room."""
    part = {item: item for row in rows for item in row}

    def root(item: int) -> int:
        while part[item] != item:
            part[item] = item = part[part[item]]
        return item

    for one, other in links:
        if one in part and other in part:
            part[root(one)] = root(other)
    members: dict[int, list[int]] = {}
    for item in part:
        members.setdefault(root(item), []).append(item)
    if len(members) < 2:
        return
    begin = min(centre[item] - size[item] / 2 for item in part)
    before: dict[int, tuple[int, float]] = {}
    for row in rows:
        pairs = zip(pairwise(row), _distances(row, size, gap)[1:], strict=True)
        before.update({item: (other, apart) for (other, item), apart in pairs})
    for held in sorted(members.values(), key=lambda held: min(centre[item] for item in held)):
        room = []
        for item in held:
            if item not in before:
                room.append(centre[item] - size[item] / 2 - begin)
            elif root(before[item][0]) != root(item):
                room.append(centre[item] - centre[before[item][0]] - before[item][1])
        free = max(0.0, min(room))
        for item in held:
            centre[item] -= free


def middle(weighted: Sequence[tuple[float, float]]) -> float:
    """The median of (place, weight) pairs, between two places where both halves weigh the same.

    Unlike a mean it is the place of a neighbour, so that edges become straight.

    >>> middle([(0, 1), (10, 1), (50, 1)]), middle([(0, 1), (10, 1)]), middle([(0, 3), (9, 1)])
    (10, 5.0, 0)
    """
    if len(weighted) == 1:
        return weighted[0][0]
    ordered = sorted(weighted)
    half = fsum(weight for _, weight in ordered) / 2
    reached = 0.0
    for index, (place, weight) in enumerate(ordered):
        reached += weight
        if reached == half:
            return (place + ordered[index + 1][0]) / 2
        if reached > half:
            return place
    return ordered[-1][0]


def _distances(row: Sequence[int], size: Sequence[float], gap: Sequence[float]) -> list[float]:
    """How far the centre of each is from that of the one before it, at the least."""
    return [
        0.0,
        *(
            (size[one] + size[other]) / 2 + max(gap[one], gap[other])
            for one, other in pairwise(row)
        ),
    ]
