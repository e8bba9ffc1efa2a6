"""The parts of a graph that hang together, and its generations.

networkx finds them too, but its import takes as long as the layout of a thousand nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def strongly_connected(onward: Mapping[T, Iterable[T]]) -> list[list[T]]:
    """The parts in which everything leads to everything else, by Tarjan's walk.

    ``onward`` says of every node where it leads. A part comes after those that it leads to.

    >>> strongly_connected({"a": ["b"], "b": ["a", "c"], "c": []})
    [['c'], ['b', 'a']]
    """
    met: dict[T, int] = {}
    back: dict[T, int] = {}  # the first one met that it leads back to
    held: list[T] = []
    settled: set[T] = set()
    parts: list[list[T]] = []
    walk: list[tuple[T, Iterator[T]]] = []

    def enter(node: T) -> None:
        met[node] = back[node] = len(met)
        held.append(node)
        walk.append((node, iter(onward[node])))

    for start in onward:
        if start not in met:
            enter(start)
        while walk:
            node, rest = walk[-1]
            for target in rest:
                if target not in met:
                    enter(target)
                    break
                if target not in settled:
                    back[node] = min(back[node], met[target])
            else:
                walk.pop()
                if walk:
                    before = walk[-1][0]
                    back[before] = min(back[before], back[node])
                if back[node] == met[node]:
                    part = [held.pop()]
                    while part[-1] != node:
                        part.append(held.pop())
                    settled.update(part)
                    parts.append(part)
    return parts


def generations(
    onward: Sequence[Sequence[int]], behind: Sequence[Sequence[int]]
) -> list[list[int]]:
    """The nodes of a graph without circles, each behind the last of those that lead to it.

    >>> generations([[1, 2], [2], []], [[], [0], [0, 1]])
    [[0], [1], [2]]
    """
    waits = list(map(len, behind))
    found = []
    now = [node for node, count in enumerate(waits) if not count]
    while now:
        found.append(sorted(now))
        then = []
        for node in now:
            for target in onward[node]:
                waits[target] -= 1
                if not waits[target]:
                    then.append(target)
        now = then
    return found


def connected(onward: Sequence[Sequence[int]], behind: Sequence[Sequence[int]]) -> list[list[int]]:
    """The parts that have nothing to do with each other, and their nodes, each in order.

    >>> connected([[2], [], []], [[], [], [0]])
    [[0, 2], [1]]
    """
    seen = [False] * len(onward)
    parts = []
    for start, known in enumerate(seen):
        if known:
            continue
        seen[start] = True
        part = [start]
        for node in part:
            for beside in (onward[node], behind[node]):
                for other in beside:
                    if not seen[other]:
                        seen[other] = True
                        part.append(other)
        parts.append(sorted(part))
    return parts
