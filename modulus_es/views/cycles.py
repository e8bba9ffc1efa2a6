"""What causes itself: messages that lead back to where they came from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from modulus_es.views.components import strongly_connected


class Cycle(NamedTuple):
    """The nodes that lead to each other, and the edges on which they do."""

    nodes: frozenset[str]
    edges: frozenset[tuple[str, str]]


def cycles(
    edges: Iterable[tuple[str, str]],
    aggregates: Collection[str] = (),
    records: Mapping[str, Collection[str]] | None = None,
) -> list[Cycle]:
    """The cycles of a handler graph, in no order.

    An aggregate leads to all of its events, but not every handler that uses it
    makes it record every one. ``records`` says which events a handler was seen to
    cause; such a handler leads to these, past the aggregate.

    >>> edges = [("note", "Order"), ("Order", "Placed"), ("Order", "Noted"), ("Placed", "note")]
    >>> [sorted(cycle.nodes) for cycle in cycles(edges, {"Order"})]
    [['Order', 'Placed', 'note']]
    >>> cycles(edges, {"Order"}, {"note": ["Noted"]})
    []
    """
    drawn = set(edges)
    past: dict[tuple[str, str], str] = {}
    led = set()
    for source, target in drawn:
        if target in aggregates and source in (records or {}):
            for event in (records or {})[source]:
                if (target, event) in drawn:
                    past[source, event] = target
        else:
            led.add((source, target))
    onward: dict[str, list[str]] = {}
    for source, target in led | past.keys():
        onward.setdefault(source, []).append(target)
        onward.setdefault(target, [])
    found = []
    for members in strongly_connected(onward):
        part = set(members)
        inside = [(node, other) for node in part for other in onward[node] if other in part]
        if not inside:
            continue
        through: set[tuple[str, str]] = set()
        for source, target in inside:
            if (source, target) in led:
                through.add((source, target))
            if aggregate := past.get((source, target)):
                through |= {(source, aggregate), (aggregate, target)}
        found.append(
            Cycle(frozenset(node for pair in through for node in pair), frozenset(through))
        )
    return found
