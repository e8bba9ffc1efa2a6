"""Where everything in a layer is: apart enough, and as straight as the order permits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import fsum

_PASSES = 6


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

    Edges pull their ends level, and those through bends pull hardest, so that
    long edges run straight.
    """
    pulls: dict[int, list[tuple[int, float]]] = {item: [] for row in rows for item in row}
    for one, other in links:
        if one in pulls and other in pulls:
            strength = 1.0 + 3.0 * (is_bend[one] + is_bend[other])
            pulls[one].append((other, strength))
            pulls[other].append((one, strength))
    apart = [_distances(row, size, gap) for row in rows]
    level = {item: index for index, row in enumerate(rows) for item in row}
    centre: dict[int, float] = {}
    for row, distances in zip(rows, apart, strict=True):
        centre.update(zip(row, accumulate(distances), strict=True))
    for turn in range(_PASSES):
        down = turn % 2 == 0
        both = turn >= _PASSES - 2
        for here in range(len(rows)) if down else reversed(range(len(rows))):
            wanted, weights = [], []
            for item in rows[here]:
                near = [
                    (centre[other], strength)
                    for other, strength in pulls[item]
                    if both or (level[other] < here) == down
                ]
                weight = fsum(strength for _, strength in near)
                moment = fsum(place * strength for place, strength in near)
                wanted.append(moment / weight if near else centre[item])
                weights.append(weight or 0.1)
            centre.update(zip(rows[here], spread(wanted, apart[here], weights), strict=True))
    return centre


def _distances(row: Sequence[int], size: Sequence[float], gap: Sequence[float]) -> list[float]:
    """How far the centre of each is from that of the one before it, at the least."""
    return [
        0.0,
        *(
            (size[one] + size[other]) / 2 + max(gap[one], gap[other])
            for one, other in pairwise(row)
        ),
    ]
