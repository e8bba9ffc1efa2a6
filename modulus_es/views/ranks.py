"""Which layer of the picture each node is in, so that edges point onward.

Nodes are numbers here, in the order in which they were given; that order, and
never the order of a set, decides between equals.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from modulus_es.views.components import connected, generations, strongly_connected

Arc = tuple[int, int]


def backward(count: int, arcs: Sequence[Arc]) -> set[Arc]:
    """The arcs that have to be turned round so that no circle is left.

    Only arcs within a strongly connected component are turned, those that lead
    back to where a walk through it, begun where it is entered, already was.

    >>> sorted(backward(4, [(0, 1), (1, 2), (2, 1), (2, 3)]))
    [(2, 1)]
    """
    onward, behind = _beside(count, arcs)
    turned: set[Arc] = set()
    for part in strongly_connected(dict(enumerate(onward))):
        if len(part) > 1:
            component = set(part)
            inside = {node: sorted(component.intersection(onward[node])) for node in component}
            entered = {node for node in component if not component.issuperset(behind[node])}
            turned |= _back_arcs(
                sorted(component, key=lambda node: (node not in entered, node)), inside
            )
    return turned


def _back_arcs(starts: Iterable[int], inside: dict[int, list[int]]) -> set[Arc]:
    back: set[Arc] = set()
    state: dict[int, int] = {}
    for start in starts:
        if start in state:
            continue
        state[start] = 1
        walk = [(start, iter(inside[start]))]
        while walk:
            node, onward = walk[-1]
            for target in onward:
                if state.get(target) == 1:
                    back.add((node, target))
                elif target not in state:
                    state[target] = 1
                    walk.append((target, iter(inside[target])))
                    break
            else:
                state[node] = 2
                walk.pop()
    return back


def layers(count: int, arcs: Sequence[Arc], groups: Sequence[int]) -> list[int]:
    """The layer of each node; ``arcs`` are without circles.

    The layers are the topological generations, so a node is one layer behind
    the last of those that lead to it. What begins somewhere is moved on to
    where it leads, and small parts that hang together with nothing else fill
    the layers where their group has room.

    >>> layers(5, [(0, 1), (1, 2), (3, 2)], [0, 0, 0, 0, 0])
    [0, 1, 2, 1, 0]
    """
    onward, behind = _beside(count, arcs)
    layer = [0] * count
    topological = generations(onward, behind)
    for depth, generation in enumerate(topological):
        for node in generation:
            layer[node] = depth
    for generation in reversed(topological):
        for node in generation:
            if onward[node] and len(onward[node]) >= len(behind[node]):
                layer[node] = min(layer[other] for other in onward[node]) - 1
    for generation in topological:
        for node in generation:
            if behind[node] and len(behind[node]) >= len(onward[node]):
                layer[node] = max(layer[other] for other in behind[node]) + 1
    _fill(connected(onward, behind), layer, groups)
    return layer


def _beside(count: int, arcs: Sequence[Arc]) -> tuple[list[list[int]], list[list[int]]]:
    """Of each node, where it leads and what leads to it."""
    onward: list[list[int]] = [[] for _ in range(count)]
    behind: list[list[int]] = [[] for _ in range(count)]
    for one, other in arcs:
        onward[one].append(other)
        behind[other].append(one)
    return onward, behind


def _fill(parts: list[list[int]], layer: list[int], groups: Sequence[int]) -> None:
    """Shift the parts that lie within one group to where that group is thinnest.

    Where a group has very many of them, it gets more layers, or it would be one
    long row.
    """
    depth = max(layer, default=0) + 1
    crowd: dict[int, int] = defaultdict(int)
    for part in parts:
        if len({groups[node] for node in part}) == 1:
            crowd[groups[part[0]]] += len(part)
    wanted = math.isqrt(max(crowd.values(), default=0))
    depth = wanted if wanted > 2 * depth else depth
    thickness: dict[int, list[int]] = defaultdict(lambda: [0] * depth)
    small: list[list[int]] = []
    for part in parts:
        low = min(layer[node] for node in part)
        for node in part:
            layer[node] -= low
        one_group = len({groups[node] for node in part}) == 1
        if one_group and max(layer[node] for node in part) + 1 < depth:
            small.append(part)
            continue
        for node in part:
            thickness[groups[node]][layer[node]] += 1
    for part in sorted(small, key=lambda nodes: (-len(nodes), nodes)):
        thick = thickness[groups[part[0]]]
        span = max(layer[node] for node in part) + 1
        added = [0] * span
        for node in part:
            added[layer[node]] += 1
        now = max(thick)
        shift = min(
            range(depth - span + 1),
            key=lambda s: (max(now, *(thick[s + i] + extra for i, extra in enumerate(added))), s),
        )
        for node in part:
            layer[node] += shift
            thick[layer[node]] += 1
