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

_NEAR = 3
"""How many layers what hears another group may be before what it leads to in its own."""


def backward(count: int, arcs: Sequence[Arc], groups: Sequence[int] = ()) -> set[Arc]:
    """The arcs that have to be turned round so that no circle is left.

    Only arcs within a strongly connected component are turned, those that lead
    back to where a walk through it, begun where it is entered, already was. Where
    such an arc stays in its group and its source is led to from other groups only,
    these arcs are turned instead: so a group stays together.

    >>> sorted(backward(4, [(0, 1), (1, 2), (2, 1), (2, 3)]))
    [(2, 1)]
    >>> sorted(backward(3, [(0, 1), (1, 2), (2, 0)], groups=[0, 1, 0]))
    [(1, 2)]
    """
    onward, behind = _beside(count, arcs)
    turned: set[Arc] = set()
    for part in strongly_connected(dict(enumerate(onward))):
        if len(part) > 1:
            component = set(part)
            inside = {node: sorted(component.intersection(onward[node])) for node in component}
            entered = {node for node in component if not component.issuperset(behind[node])}
            starts = sorted(component, key=lambda node: (node not in entered, node))
            turned |= _between_groups(_back_arcs(starts, inside), inside, groups)
    return turned


def _between_groups(
    back: set[Arc], inside: dict[int, list[int]], groups: Sequence[int]
) -> set[Arc]:
    """Turn what leads into a node instead of what leads back from it, where that is better."""
    if not groups:
        return back
    behind: dict[int, list[int]] = defaultdict(list)
    for node, onward in inside.items():
        for other in onward:
            behind[other].append(node)
    for node in sorted({source for source, target in back if groups[source] == groups[target]}):
        if all(groups[other] != groups[node] for other in behind[node]):
            # Nothing within the circle leads to it any more, so it is in no circle.
            back = {arc for arc in back if arc[0] != node}
            back |= {(other, node) for other in behind[node]}
    return back


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
    order = [node for generation in topological for node in generation]
    _gather(order, onward, behind, layer, groups)
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


def _gather(
    order: Sequence[int],
    onward: Sequence[Sequence[int]],
    behind: Sequence[Sequence[int]],
    layer: list[int],
    groups: Sequence[int],
) -> None:
    """Keep a group together: move what other groups lead to on to the layers of its own.

    ``order`` is one in which arcs point onward. What is led to from other groups
    only, or leads to other groups only, makes its group no longer; and it is near
    to what it leads to in its group.
    """
    free: list[tuple[int, bool]] = []
    held: dict[int, list[int]] = defaultdict(list)
    latest: dict[int, int] = defaultdict(int)
    for node in order:
        led = any(groups[other] == groups[node] for other in behind[node])
        leads = any(groups[other] == groups[node] for other in onward[node])
        if not led and (behind[node] or (onward[node] and not leads)):
            free.append((node, leads))
            latest[groups[node]] = max(layer[node], latest[groups[node]])
            if leads:
                held[groups[node]].append(min(layer[other] for other in onward[node]) - 1)
        elif behind[node] or onward[node]:
            held[groups[node]].append(layer[node])
    for node, leads in free:
        own = held.get(groups[node]) or [latest[groups[node]]]
        wanted = min(max(layer[node], min(own)), max(own))
        least = max((layer[other] + 1 for other in behind[node]), default=0)
        most = min((layer[other] - 1 for other in onward[node]), default=wanted)
        wanted = most if leads and most - wanted > _NEAR else wanted
        layer[node] = max(least, min(wanted, most))


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
        shift = min(range(depth - span + 1), key=lambda s: _cost(thick, added, s))
        for node in part:
            layer[node] += shift
            thick[layer[node]] += 1


def _cost(thick: Sequence[int], added: Sequence[int], shift: int) -> tuple[int, int, int]:
    """How thick a group becomes with a part at a place, and how much longer."""
    held = [layer for layer, count in enumerate(thick) if count] or [shift]
    last = shift + len(added) - 1
    return (
        max(*thick, *(thick[shift + place] + extra for place, extra in enumerate(added))),
        max(0, held[0] - shift) + max(0, last - held[-1]),
        shift,
    )
