"""Which marks belong together, and which follows from which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from modulus_es.views.marks import OUTBOX, SPANS, Mark

_MOST_STEPS = 12


@dataclass
class Life:
    """One message in one lane: the indices of its marks, in order of time."""

    lane: tuple[str, str]
    marks: list[int] = field(default_factory=list)


def lives_of(marks: Sequence[Mark], *, together: bool = False) -> list[Life]:
    """The marks by message and lane, or ``together`` by lane, in order of first appearance."""
    lives: dict[tuple[object, ...], Life] = {}
    for index, mark in enumerate(marks):
        lane = (mark.module, mark.handler)
        # What has no id is a command's attempt with its outcome, which end together.
        own: object = mark.message_id or (mark.correlation_id, mark.type, mark.end)
        key = (*lane, own) if not together else lane
        life = lives.get(key)
        if life is None:
            life = lives[key] = Life(lane)
        life.marks.append(index)
    return list(lives.values())


def lanes_of(lives: Sequence[Life], starts: Sequence[float]) -> list[tuple[str, str]]:
    """The lanes, module by module in order of appearance, each module's outbox last.

    ``starts`` has of each mark where it begins.
    """
    first: dict[tuple[str, str], float] = {}
    module_first: dict[str, float] = {}
    for life in lives:
        start = starts[life.marks[0]]
        first[life.lane] = min(start, first.get(life.lane, start))
        module_first[life.lane[0]] = min(start, module_first.get(life.lane[0], start))
    modules = sorted(module_first, key=module_first.__getitem__)
    return sorted(first, key=lambda lane: (modules.index(lane[0]), lane[1] == OUTBOX, first[lane]))


def causes_of(marks: Sequence[Mark], lives: Sequence[Life]) -> list[tuple[int, int]]:
    """Pairs of marks in different lanes of which the second follows from the first.

    A message leads to its first mark at every handler; how a handler ended
    leads to what its module recorded because of it.
    """
    recorded = {mark.message_id: i for i, mark in enumerate(marks) if mark.kind == "recorded"}
    ended: dict[tuple[str, str], list[int]] = defaultdict(list)
    sent: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, mark in enumerate(marks):
        if mark.handler == OUTBOX or mark.kind in SPANS:
            continue
        if mark.message_id:
            ended[mark.module, mark.message_id].append(index)
        elif mark.correlation_id is not None:
            sent[mark.module, mark.correlation_id].append(index)
    pairs = []
    for life in lives:
        first = marks[life.marks[0]]
        source = recorded.get(first.message_id)
        if source is not None and life.lane[1] != OUTBOX:
            pairs.append((source, life.marks[0]))
        if first.kind == "recorded":
            behind = ended.get((first.module, first.causation_id or ""), [])
            behind = behind or sent.get((first.module, first.correlation_id or ""), [])
            before = [index for index in behind if marks[index].time <= first.time]
            if before:
                pairs.append((before[-1], life.marks[0]))
    return pairs


def steps_of(
    marks: Sequence[Mark], lives: Sequence[Life], causes: Sequence[tuple[int, int]]
) -> list[int]:
    """How far into its instant each mark begins: what follows at once comes after."""
    after: list[list[int]] = [[] for _ in marks]
    for life in lives:
        moment = None
        for before, index in zip(life.marks, life.marks[1:], strict=False):
            after[index].append(before)
            moment = moment if marks[before].kind in SPANS else before
            if moment is not None and moment != before:
                after[index].append(moment)
    for before, index in causes:
        after[index].append(before)
    steps = [0] * len(marks)
    for _ in range(_MOST_STEPS):
        changed = False
        for index, mark in enumerate(marks):
            for before in after[index]:
                if marks[before].end == mark.time and marks[before].kind not in SPANS:
                    step = steps[before] + (mark.kind not in SPANS)
                    if step > steps[index] and step <= _MOST_STEPS:
                        steps[index], changed = step, True
        if not changed:
            break
    return steps
