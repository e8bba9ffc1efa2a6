"""Where everything in a layer is: apart enough, and as straight as the order permits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import fsum

_PASSES = 9
_WORK = 60_000
"""How many links are looked at in all; where there are very many, there are fewer passes."""
_PAIR = 4.0


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
    offsets: list[float] = []
    reach = 0.0
    for distance in apart:
        reach += distance
        offsets.append(reach)
    blocks: list[list[float]] = []
    sizes: list[int] = []
    for place, offset, weight in zip(wanted, offsets, weights, strict=True):
        blocks.append([place - offset, weight])
        sizes.append(1)
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (above, one), (below, other) = blocks[-2], blocks[-1]
            blocks[-2:] = [[(above * one + below * other) / (one + other), one + other]]
            sizes[-2:] = [sizes[-2] + sizes[-1]]
    places = (block[0] for block, size in zip(blocks, sizes, strict=True) for _ in range(size))
    return [place + offset for place, offset in zip(places, offsets, strict=True)]


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
    pulls: dict[int, list[tuple[int, float]]] = {item: [] for row in rows for item in row}
    inside = [(one, other) for one, other in links if one in pulls and other in pulls]
    onward, behind = Counter(one for one, _ in inside), Counter(other for _, other in inside)
    for one, other in inside:
        strength = 1.0 + 3.0 * (is_bend[one] + is_bend[other])
        strength += _PAIR if onward[one] == behind[other] == 1 else 0
        pulls[one].append((other, strength))
        pulls[other].append((one, strength))
    apart = [_distances(row, size, gap) for row in rows]
    level = {item: index for index, row in enumerate(rows) for item in row}
    centre: dict[int, float] = {}
    for row, distances in zip(rows, apart, strict=True):
        centre.update(zip(row, accumulate(distances), strict=True))
    passes = max(3, min(_PASSES, _WORK // (len(inside) + 1)))
    for turn in range(passes):
        down = turn % 2 == 0
        both = turn >= passes - 2
        for here in range(len(rows)) if down else reversed(range(len(rows))):
            wanted, weights = [], []
            for item in rows[here]:
                near = [
                    (centre[other], strength)
                    for other, strength in pulls[item]
                    if both or (level[other] < here) == down
                ]
                wanted.append(middle(near) if near else centre[item])
                weights.append(fsum(strength for _, strength in near) or 0.1)
            centre.update(zip(rows[here], spread(wanted, apart[here], weights), strict=True))
    return centre


def middle(weighted: Sequence[tuple[float, float]]) -> float:
    """The median of (place, weight) pairs, between two places where both halves weigh the same.

    Unlike a mean it is the place of a neighbour, so that edges become straight.

    >>> middle([(0, 1), (10, 1), (50, 1)]), middle([(0, 1), (10, 1)]), middle([(0, 3), (9, 1)])
    (10, 5.0, 0)
    """
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
