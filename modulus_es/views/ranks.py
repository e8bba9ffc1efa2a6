"""Which layer of the picture each node is in, so that edges point onward.

Nodes are numbers here, in the order in which they were given; that order, and
never the order of a set, decides between equals.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

Arc = tuple[int, int]


def backward(count: int, arcs: Sequence[Arc]) -> set[Arc]:
    """The arcs that have to be turned round so that no circle is left.

    Only arcs within a strongly connected component are turned, those that lead
    back to where a walk through it, begun where it is entered, already was.

    >>> sorted(backward(4, [(0, 1), (1, 2), (2, 1), (2, 3)]))
    [(2, 1)]
    """
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(arcs)
    turned: set[Arc] = set()
    for component in nx.strongly_connected_components(graph):
        if len(component) > 1:
            inside = {node: sorted(component.intersection(graph.succ[node])) for node in component}
            entered = {node for node in component if not component.issuperset(graph.pred[node])}
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
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(arcs)
    layer = [0] * count
    generations = [sorted(generation) for generation in nx.topological_generations(graph)]
    for depth, generation in enumerate(generations):
        for node in generation:
            layer[node] = depth
    for generation in reversed(generations):
        for node in generation:
            onward, behind = graph.succ[node], graph.pred[node]
            if onward and len(onward) >= len(behind):
                layer[node] = min(layer[other] for other in onward) - 1
    for generation in generations:
        for node in generation:
            onward, behind = graph.succ[node], graph.pred[node]
            if behind and len(behind) >= len(onward):
                layer[node] = max(layer[other] for other in behind) + 1
    parts = sorted(sorted(part) for part in nx.weakly_connected_components(graph))
    _fill(parts, layer, groups)
    return layer


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
