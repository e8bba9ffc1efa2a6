"""Handler graphs of any size: one as systems are built, and one that is tangled."""

from __future__ import annotations

from random import Random

from modulus_es.views.handler_graph import Edge, Node

Graph = tuple[list[Node], list[Edge]]


def usual(count: int) -> Graph:
    """Modules of about 50 nodes.

    Commands lead to handlers, these to an aggregate, this to its events; every
    other event is projected, and one or two subscribers of other modules listen.
    """
    random = Random(7)
    nodes: list[Node] = []
    edges: list[Edge] = []
    told: list[tuple[str, str]] = []
    aggregates: list[tuple[str, str]] = []

    def node(kind: str, module: str) -> str:
        name = f"n{len(nodes)}"
        nodes.append(Node(name, kind, f"Node{len(nodes)}", module))
        return name

    while len(nodes) < count * 0.85:
        module = f"module{len(nodes) // 50:02}"
        aggregate = node("aggregate", module)
        aggregates.append((aggregate, module))
        for _ in range(2):
            command, handler = node("command", module), node("handler", module)
            happened = node("domain_event", module)
            edges += [
                Edge(command, handler),
                Edge(handler, aggregate),
                Edge(aggregate, happened, "event"),
            ]
            if random.random() < 0.5:
                projector, event = node("projector", module), node("integration_event", module)
                edges += [Edge(happened, projector, "event"), Edge(projector, event, "event")]
                told.append((event, module))
    while len(nodes) < count:
        if not told:
            node("query", nodes[-1].module)
            continue
        event, sender = random.choice(told)
        target, module = random.choice(aggregates)
        if module != sender or len({module for _, module in aggregates}) == 1:
            subscriber = node("subscriber", module)
            edges += [Edge(event, subscriber, "event"), Edge(subscriber, target)]
    there = {node.id for node in nodes[:count]}
    return nodes[:count], [edge for edge in edges if {edge.source, edge.target} <= there]


def tangled(count: int) -> Graph:
    """Chains of five through modules of 50 nodes, each ending in two others anywhere."""
    random = Random(7)
    kinds = ("command", "handler", "domain_event", "projector", "integration_event")
    nodes = [
        Node(f"n{number}", kinds[number % 5], f"Node{number}", f"module{number // 50:02}")
        for number in range(count)
    ]
    edges = [
        Edge(f"n{number}", f"n{number + 1}", "sync" if number % 5 == 0 else "event")
        for number in range(count - 1)
        if number % 5 != 4
    ]
    for number in range(4, count, 5):
        for _ in range(2):
            edges.append(Edge(f"n{number}", f"n{random.randrange(count // 5) * 5 + 1}", "event"))
    return nodes, edges
