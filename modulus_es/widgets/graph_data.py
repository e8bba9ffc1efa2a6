"""The handler graph as the page gets it: the shapes of its scene, and what each node means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from modulus_es.views.handler_graph import HANDLERS, HandlerGraph, Node
from modulus_es.views.scene import Group, Shape
from modulus_es.views.text import shown
from modulus_es.widgets.packing import key, parts

_WIDE, _TALL = 980, 450
"""The room for the graph in the explorer, in a usual notebook."""
_TURNED = 300
"""Of more nodes than these, no direction shows all at once."""


def fitting(graph: HandlerGraph) -> HandlerGraph:
    """The graph in the direction in which more of it is seen at once in the explorer.

    >>> from modulus_es.views.handler_graph import Edge
    >>> chain = [Node(name, "handler", name, "m") for name in "abcdefghij"]
    >>> graph = HandlerGraph(chain, [Edge(*pair) for pair in zip("abcdefghi", "bcdefghij")])
    >>> fitting(graph).direction
    'right'
    """
    if graph.direction != "auto" or len(graph.nodes) > _TURNED or _shrunk(graph) >= 1:
        return graph
    turned = [
        HandlerGraph(
            graph.nodes, graph.edges, title=graph.title, direction=way, records=graph.records
        )
        for way in ("right", "down")
    ]
    return max(turned, key=_shrunk)


def _shrunk(graph: HandlerGraph) -> float:
    """How small all of it would have to be drawn."""
    scene = graph.scene()
    return min(1.0, _WIDE / scene.width, _TALL / scene.height)


def graph_data(graph: HandlerGraph) -> dict[str, Any]:
    """Everything that the page needs to draw a graph and to link it, as JSON.

    >>> graph = HandlerGraph([Node("h", "handler", "reserve", "inventory")], [])
    >>> graph_data(graph)["nodes"][0]["filter"]
    {'lanes': [['inventory', 'reserve']], 'types': []}
    """
    scene = graph.scene()
    groups = [item for item in scene.items if isinstance(item, Group)]
    # A scene has its edges first, in their order, and only nodes have keys.
    lines = [group for group in groups if not group.key]
    drawn = {group.key: group for group in groups if group.key}
    first = scene.items.index(groups[0]) if groups else len(scene.items)
    filters = _filters(graph)
    return {
        "width": scene.width,
        "height": scene.height,
        "title": scene.title,
        "alt": graph.alt(),
        "under": parts(item for item in scene.items[:first] if not isinstance(item, Group)),
        "over": parts(item for item in scene.items[first:] if not isinstance(item, Group)),
        "edges": [
            {"source": key(edge.source), "target": key(edge.target), "parts": parts(group.items)}
            for edge, group in zip(graph.edges, lines, strict=True)
        ],
        "nodes": [_node(node, drawn[node.id], filters[node.id]) for node in graph.nodes],
    }


def _node(node: Node, group: Group, wanted: Mapping[str, Any]) -> dict[str, Any]:
    points = [
        (float(values[i]), float(values[i + 1]))
        for item in group.items
        if isinstance(item, Shape)
        for _, *values in item.path
        for i in range(0, len(values), 2)
    ]
    left, top = min(x for x, _ in points), min(y for _, y in points)
    return {
        "id": key(node.id),
        "kind": node.kind,
        "label": shown(node.label, 80),
        "title": group.title,
        "parts": parts(group.items),
        "x": left,
        "y": top,
        "width": max(x for x, _ in points) - left,
        "height": max(y for _, y in points) - top,
        "filter": wanted,
    }


def _filters(graph: HandlerGraph) -> dict[str, dict[str, Any]]:
    """Which deliveries a node is about: its own, else those that it leads to, or follows from."""
    onward: dict[str, list[str]] = defaultdict(list)
    back: dict[str, list[str]] = defaultdict(list)
    for edge in graph.edges:
        onward[edge.source].append(edge.target)
        back[edge.target].append(edge.source)
    nodes = {node.id: node for node in graph.nodes}
    filters = {}
    for node in graph.nodes:
        found = [node]
        if _is_between(node):
            found = _reached(node, onward, nodes) or _reached(node, back, nodes)
        filters[node.id] = {
            "lanes": [[key(one.module), key(one.label)] for one in found if one.kind in HANDLERS],
            "types": [key(one.label) for one in found if one.kind not in HANDLERS],
        }
    return filters


def _is_between(node: Node) -> bool:
    return node.kind in ("aggregate", "domain_event", "projector")


def _reached(
    node: Node, beside: Mapping[str, Sequence[str]], nodes: Mapping[str, Node]
) -> list[Node]:
    """The nearest nodes one way that have deliveries."""
    seen, queue, found = {node.id}, [node.id], []
    while queue:
        for other in beside.get(queue.pop(), ()):
            if other not in seen:
                seen.add(other)
                if _is_between(nodes[other]):
                    queue.append(other)
                else:
                    found.append(nodes[other])
    return found
