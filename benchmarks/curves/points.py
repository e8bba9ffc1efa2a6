"""The points of a curve, and the mark that a curve is flat."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from benchmarks.harness import Row, Work
from benchmarks.marks import Mark

FLAT = 1.1
"""The largest may cost a tenth more a unit than the smallest."""


def points(
    run: Callable[[int, Work], Awaitable[None]], sizes: Sequence[int], longer_than: int
) -> list[Row]:
    """A row for each size; those that are larger are left out of a quick run."""
    return [
        Row(f"{size:,}", "ours", partial(run, size), x=size, long=size > longer_than)
        for size in sizes
    ]


def shared_points(
    run: Callable[[int, Work], Awaitable[None]], sizes: Sequence[int], least: float
) -> list[Row]:
    """The same where an item has as many units as the size: the larger, the fewer items.

    Not fewer than ``least`` of all, so that what a first time costs does not show.
    """
    return [
        Row(f"{n:,}", "ours", partial(run, n), share=max(least, 1 / n), x=n, per=n) for n in sizes
    ]


def flat(sizes: Sequence[int]) -> list[Mark]:
    """The last size may not cost more a unit than the first."""
    return [Mark(f"{sizes[-1]:,}", "cost", FLAT, f"{sizes[0]:,}")]
