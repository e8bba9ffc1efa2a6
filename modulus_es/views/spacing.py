"""Marks of one row that an instant has too little room for, moved on until each can be seen."""

from __future__ import annotations

from collections.abc import Sequence

from modulus_es.views.lives import Life
from modulus_es.views.marks import SPANS, Mark

_APART = 12.0
"""How far the middles of two signs are apart, so that neither covers the other."""
_FARTHEST = 3 * _APART
"""How far a mark is moved at most from where the axis has it."""
_ROUNDS = 12


def kept_apart(
    marks: Sequence[Mark],
    lives: Sequence[Life],
    causes: Sequence[tuple[int, int]],
    starts: Sequence[float],
) -> list[float]:
    """Where each mark begins, so that no sign covers the one before it, nor comes before its cause.

    ``starts`` says where the axis has them.
    """
    moved = list(starts)

    def push(index: int, least: float) -> bool:
        place = min(least, starts[index] + _FARTHEST)
        if place <= moved[index]:
            return False
        moved[index] = place
        return True

    for _ in range(_ROUNDS):
        changed = False
        for life in lives:
            before = None
            for index in life.marks:
                if marks[index].kind not in SPANS:
                    if before is not None:
                        changed |= push(index, moved[before] + _APART)
                    before = index
                elif before is not None and starts[index] >= starts[before]:
                    changed |= push(index, moved[before])
        for source, target in causes:
            changed |= push(target, moved[source])
        if not changed:
            break
    return moved


def ends_of(
    marks: Sequence[Mark], lives: Sequence[Life], starts: Sequence[float], ends: Sequence[float]
) -> list[float]:
    """Where each mark ends: what lasts reaches the sign of what ended it."""
    reached = list(ends)
    for life in lives:
        moments = {
            marks[index].time: starts[index]
            for index in reversed(life.marks)
            if marks[index].kind not in SPANS
        }
        for index in life.marks:
            if marks[index].kind in SPANS:
                sign = moments.get(marks[index].end, starts[index])
                reached[index] = max(ends[index], sign, starts[index])
            else:
                reached[index] = starts[index]
    return reached
