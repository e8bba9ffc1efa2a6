"""The handler graph: what a system's messages can reach, and what they did reach."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from modulus_es.views import graph_exports
from modulus_es.views.counting import all_counted, counted
from modulus_es.views.cycles import Cycle, cycles
from modulus_es.views.graph_scene import KINDS, Drawn, Line, graph_scene
from modulus_es.views.picture import Picture
from modulus_es.views.scene import Scene
from modulus_es.views.text import shown

if TYPE_CHECKING:
    import pandas as pd

HANDLERS = ("handler", "subscriber")
"""The kinds that have deliveries of their own."""

_MANY = 12
"""How many things a sentence lists before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Node:
    """A command, query, aggregate, domain_event, handler, projector, integration_event
    or subscriber: a handler of integration events.

    ``count`` is how often a message went through it, ``retries`` how many
    attempts had to be repeated, ``dead`` how many deliveries were given up.
    """

    id: str
    kind: str
    label: str
    module: str
    note: str = ""
    count: int = 0
    retries: int = 0
    dead: int = 0

    @property
    def seen(self) -> bool:
        """Whether anything came here, be it in vain."""
        return bool(self.count or self.retries or self.dead)


@dataclass(frozen=True, slots=True)
class Edge:
    """From a node to one that it leads to: sync for commands and calls, or event."""

    source: str
    target: str
    kind: str = "sync"
    count: int = 0


class Flag(NamedTuple):
    """Something to look at: an unheard event, an unreached handler, or a cycle."""

    kind: str
    nodes: tuple[str, ...]
    text: str


class HandlerGraph(Picture):
    """Modules, and the messages and handlers in them.

    ``direction`` is right, down, or auto: whichever fits a notebook better.
    ``records`` says, by ids, which domain events a handler was seen to cause; of
    a handler that is not in it, every event of its aggregates is expected, and a
    cycle through them is flagged.
    Raises ValueError for a kind that there is not, for two nodes of one id and
    for an edge to nowhere.

    >>> graph = HandlerGraph(
    ...     [Node("c", "command", "PlaceOrder", "orders", count=2),
    ...      Node("h", "handler", "place_order", "orders", count=2)],
    ...     [Edge("c", "h", count=2)],
    ... )
    >>> graph
    HandlerGraph(1 module, 1 command, 1 handler, 1 edge)
    >>> graph.to_svg()[:5], graph.flags
    ('<svg ', ())
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        edges: Iterable[Edge],
        *,
        title: str = "Handler graph",
        direction: str = "auto",
        records: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.nodes = tuple(nodes)
        counts: Counter[tuple[str, str, str]] = Counter()
        for edge in edges:
            counts[edge.source, edge.target, edge.kind] += edge.count
        self.edges = tuple(Edge(*ends, count=count) for ends, count in counts.items())
        self.title, self.direction = title, direction
        self.records = dict(records or {})
        self._by_id = {node.id: node for node in self.nodes}
        self._check()

    def _check(self) -> None:
        if len(self._by_id) < len(self.nodes):
            raise ValueError("two nodes have the same id; give each its own")
        for node in self.nodes:
            if node.kind not in KINDS:
                raise ValueError(f"a node is {', '.join(KINDS)}, not {node.kind!r}")
        for edge in self.edges:
            if edge.kind not in ("sync", "event"):
                raise ValueError(f"an edge is sync or event, not {edge.kind!r}")
            if edge.source not in self._by_id or edge.target not in self._by_id:
                raise ValueError(f"the edge {edge.source!r} -> {edge.target!r} has no such end")

    def focus(
        self, module: str | None = None, around: str | None = None, depth: int = 2
    ) -> HandlerGraph:
        """The part of a module, or of what lies at most ``depth`` edges around a node.

        A module comes with what its own nodes lead to and are led to by.
        ``around`` is a node's id or label; raises ValueError where there is none.

        >>> nodes = [Node(name, "handler", name, "orders") for name in "abc"]
        >>> graph = HandlerGraph(nodes, [Edge("a", "b"), Edge("b", "c")])
        >>> [node.label for node in graph.focus(around="a", depth=1).nodes]
        ['a', 'b']
        """
        kept = set(self._by_id)
        if module is not None:
            inside = {node.id for node in self.nodes if node.module == module}
            kept &= self._near(inside, 1)
        if around is not None:
            starts = {node.id for node in self.nodes if around in (node.id, node.label)}
            if not starts:
                raise ValueError(f"no node is called {around!r}")
            kept &= self._near(starts, depth)
        return HandlerGraph(
            [node for node in self.nodes if node.id in kept],
            [edge for edge in self.edges if edge.source in kept and edge.target in kept],
            title=self.title,
            direction=self.direction,
            records=self.records,
        )

    def _near(self, found: set[str], depth: int) -> set[str]:
        beside: dict[str, set[str]] = defaultdict(set)
        for edge in self.edges:
            beside[edge.source].add(edge.target)
            beside[edge.target].add(edge.source)
        for _ in range(depth):
            found = found.union(*(beside[node] for node in found))
        return found

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """What to look at: integration events that nobody handles, handlers never reached, cycles.

        Once there was any traffic, a handler without any counts as never reached.
        """
        traffic = any(node.count for node in self.nodes)
        leads = {edge.source for edge in self.edges}
        led = {edge.target for edge in self.edges}
        found = []
        for node in self.nodes:
            name = shown(node.label, 80)
            if node.kind == "integration_event" and node.id not in leads:
                found.append(Flag("unheard", (node.id,), f"nobody handles {name}"))
            elif node.kind in (*HANDLERS, "projector") and (
                node.id not in led or (traffic and not node.seen)
            ):
                found.append(Flag("unreached", (node.id,), f"{name} was never reached"))
        place = {node.id: index for index, node in enumerate(self.nodes)}
        circles = [tuple(sorted(cycle.nodes, key=place.__getitem__)) for cycle in self._cycles]
        for circle in sorted(circles, key=lambda circle: [place[node] for node in circle]):
            names = " -> ".join(shown(self._by_id[node].label, 80) for node in circle[:_MANY])
            found.append(Flag("cycle", circle, f"a cycle of {len(circle)}: {names}"))
        return tuple(found)

    @cached_property
    def _cycles(self) -> list[Cycle]:
        ends = [(edge.source, edge.target) for edge in self.edges]
        aggregates = {node.id for node in self.nodes if node.kind == "aggregate"}
        return cycles(ends, aggregates, self.records)

    @cached_property
    def _drawn(self) -> Scene:
        kinds_of_flag = {node: flag.kind for flag in self.flags for node in flag.nodes}
        traffic = any(node.count for node in self.nodes)
        nodes = [self._node(node, kinds_of_flag.get(node.id, ""), traffic) for node in self.nodes]
        in_cycles = {ends for cycle in self._cycles for ends in cycle.edges}
        digits = max((len(str(edge.count)) for edge in self.edges), default=1)
        lines = [
            Line(
                edge.source,
                edge.target,
                edge.kind,
                self._sentence(edge),
                # By the number of digits: logarithms differ in their last bit between machines.
                len(str(edge.count)) / digits if edge.count else 0,
                (edge.source, edge.target) in in_cycles,
            )
            for edge in self.edges
        ]
        title = f"{shown(self.title)}: {self._counts()}"
        return graph_scene(title, nodes, lines, self.direction)[0]

    def scene(self) -> Scene:
        """The picture, before anybody draws it."""
        return self._drawn

    def _node(self, node: Node, flag: str, traffic: bool) -> Drawn:
        said = [node.kind.replace("_", " ")]
        flagged = {"unheard": "unheard", "unreached": "never reached"}.get(flag, "")
        said += [flagged] if flagged else []
        if traffic and flag != "unreached":
            said.append(f"{node.count:,}")
        said += [counted(node.retries, "retry")] if node.retries else []
        said += [f"{node.dead:,} dead"] if node.dead else []
        caption = " · ".join(said)
        title = f"{shown(node.label, 400)} ({caption}) in {shown(node.module) or 'no module'}"
        title += f": {shown(node.note, 400)}" if node.note else ""
        alarm = bool(node.dead or flagged)
        return Drawn(
            node.id, node.kind, node.module, node.label, caption, title, alarm, bool(flagged)
        )

    def _sentence(self, edge: Edge) -> str:
        ends = (shown(self._by_id[end].label, 80) for end in (edge.source, edge.target))
        times = f" ({edge.count:,} times)" if edge.count else ""
        return " -> ".join(ends) + times

    def _counts(self) -> str:
        counts = Counter(node.kind for node in self.nodes)
        counts["module"] = len({node.module for node in self.nodes if node.module})
        counts["edge"] = len(self.edges)
        said = all_counted(counts, ("module", *KINDS, "edge"))
        return ", ".join(said).replace("_", " ") or "empty"

    def alt(self) -> str:
        """What the picture says, in words: counts, flags, and what leads where."""
        said = [f"{shown(self.title)}: {self._counts()}."]
        said += [f"{flag.text}." for flag in self.flags[:_MANY]]
        if len(self.flags) > _MANY:
            said.append(f"And {len(self.flags) - _MANY} more to look at.")
        trouble = [node for node in self.nodes if node.retries or node.dead]
        said += [f"{shown(node.label, 80)}: {self._trouble(node)}." for node in trouble[:_MANY]]
        if len(trouble) > _MANY:
            said.append(f"And {len(trouble) - _MANY} more with retries or dead letters.")
        said += [f"{self._sentence(edge)}." for edge in self.edges[: 2 * _MANY]]
        if len(self.edges) > 2 * _MANY:
            said.append(f"And {len(self.edges) - 2 * _MANY} more edges, in the table.")
        return " ".join(said)

    def _trouble(self, node: Node) -> str:
        counts = {"retry": node.retries, "dead": node.dead}
        return ", ".join(all_counted(counts, counts))

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        """The heads and rows of the table below the picture: a row for each node."""
        leads: dict[str, list[str]] = defaultdict(list)
        for edge in self.edges:
            leads[edge.source].append(shown(self._by_id[edge.target].label, 80))
        flags = {node: flag.kind for flag in self.flags for node in flag.nodes}
        heads = ("module", "kind", "name", "leads to", "count", "retries", "dead", "flag")
        return heads, [
            (
                node.module, node.kind, node.label, ", ".join(leads[node.id]),
                node.count, node.retries, node.dead, flags.get(node.id, ""),
            )
            for node in self.nodes
        ]  # fmt: skip

    def to_frame(self, *, edges: bool = False) -> pd.DataFrame:
        """The nodes, or the edges, as a table."""
        return graph_exports.edges_frame(self) if edges else graph_exports.nodes_frame(self)

    def to_networkx(self) -> Any:
        """The graph as a ``networkx.MultiDiGraph``; an edge's key is its kind."""
        return graph_exports.to_networkx(self)

    def to_mermaid(self) -> str:
        """The graph as a Mermaid flowchart, for Markdown that renders it.

        >>> print(HandlerGraph([Node("c", "command", "PlaceOrder", "")], []).to_mermaid())
        flowchart LR
            n0>"PlaceOrder"]
        <BLANKLINE>
        """
        return graph_exports.to_mermaid(self)

    def to_dot(self) -> str:
        """The graph in Graphviz's language.

        >>> HandlerGraph([], []).to_dot().splitlines()[0]
        'digraph handlers {'
        """
        return graph_exports.to_dot(self)

    def __repr__(self) -> str:
        flags = Counter(flag.kind for flag in self.flags)
        flagged = "".join(f", {count} {kind}" for kind, count in sorted(flags.items()))
        return f"HandlerGraph({self._counts()}{flagged})"
