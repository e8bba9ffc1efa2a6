"""The handler graph for other tools: Mermaid, Graphviz, networkx, pandas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from modulus_es.views.text import shown

if TYPE_CHECKING:
    import pandas as pd

    from modulus_es.views.handler_graph import HandlerGraph

_MERMAID = {
    "command": ('>"', '"]'),
    "query": ('[/"', '"/]'),
    "aggregate": ('[["', '"]]'),
    "domain_event": ('(["', '"])'),
    "handler": ('["', '"]'),
    "projector": ('[\\"', '"/]'),
    "integration_event": ('{{"', '"}}'),
    "subscriber": ('("', '")'),
}
_DOT = {
    "command": "shape=cds",
    "query": "shape=parallelogram",
    "aggregate": "shape=box, peripheries=2",
    "domain_event": "shape=ellipse",
    "handler": "shape=box",
    "projector": "shape=invtrapezium",
    "integration_event": "shape=hexagon",
    "subscriber": "shape=box, style=rounded",
}
_PLAIN = re.compile(r"[^A-Za-z0-9_.,:()\- ]")


def to_mermaid(graph: HandlerGraph) -> str:
    """A flowchart; every character that could mean something is written as its number."""
    number = {node.id: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for index, module in enumerate(dict.fromkeys(node.module for node in graph.nodes)):
        held = [node for node in graph.nodes if node.module == module]
        lines += [f'  subgraph m{index}["{numbered(module)}"]'] if module else []
        for node in held:
            opening, closing = _MERMAID[node.kind]
            lines.append(f"    {number[node.id]}{opening}{numbered(node.label)}{closing}")
        lines += ["  end"] if module else []
    for edge in graph.edges:
        arrow = "-->" if edge.kind == "sync" else "-.->"
        count = f"|{edge.count}|" if edge.count else ""
        lines.append(f"  {number[edge.source]} {arrow}{count} {number[edge.target]}")
    return "\n".join(lines) + "\n"


def numbered(text: str) -> str:
    """Text for Mermaid: every character that could mean something there, as its number.

    Mermaid refuses a name that is empty: it becomes a space.

    >>> numbered('say "hi"; <b>'), numbered("")
    ('say #34;hi#34;#59; #60;b#62;', '#32;')
    """
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", shown(text)) or "#32;"


def to_dot(graph: HandlerGraph) -> str:
    """A digraph with a cluster for each module."""
    number = {node.id: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["digraph handlers {", "  rankdir=LR;", '  node [fontname="sans-serif"];']
    for index, module in enumerate(dict.fromkeys(node.module for node in graph.nodes)):
        held = [node for node in graph.nodes if node.module == module]
        lines += [f"  subgraph cluster_{index} {{", f"    label={_quoted(module)};"]
        lines += [
            f"    {number[node.id]} [label={_quoted(node.label)}, {_DOT[node.kind]}];"
            for node in held
        ]
        lines.append("  }")
    for edge in graph.edges:
        said = ["style=dashed"] if edge.kind == "event" else []
        said += [f'label="{edge.count}"'] if edge.count else []
        made = f" [{', '.join(said)}]" if said else ""
        lines.append(f"  {number[edge.source]} -> {number[edge.target]}{made};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    # Graphviz reads entities in its labels, so what looks like one is made one.
    escaped = shown(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return f'"{escaped}"'


def to_networkx(graph: HandlerGraph) -> Any:
    """A MultiDiGraph with what is known of nodes and edges as their attributes."""
    import networkx as nx

    made = nx.MultiDiGraph(name=graph.title)
    for node in graph.nodes:
        made.add_node(
            node.id, kind=node.kind, label=node.label, module=node.module, note=node.note,
            count=node.count, retries=node.retries, dead=node.dead,
        )  # fmt: skip
    for edge in graph.edges:
        made.add_edge(edge.source, edge.target, key=edge.kind, kind=edge.kind, count=edge.count)
    return made


def nodes_frame(graph: HandlerGraph) -> pd.DataFrame:
    """A row for each node."""
    import pandas as pd

    flags = {node: flag.kind for flag in graph.flags for node in flag.nodes}
    text = {
        "id": [node.id for node in graph.nodes],
        "kind": [node.kind for node in graph.nodes],
        "label": [node.label for node in graph.nodes],
        "module": [node.module for node in graph.nodes],
        "flag": [flags.get(node.id, "") for node in graph.nodes],
        "note": [node.note for node in graph.nodes],
    }
    numbers = {
        "count": [node.count for node in graph.nodes],
        "retries": [node.retries for node in graph.nodes],
        "dead": [node.dead for node in graph.nodes],
    }
    frame = pd.DataFrame(text, dtype="str").assign(
        **{name: pd.Series(values, dtype="int64") for name, values in numbers.items()}
    )
    return frame[["id", "kind", "label", "module", "count", "retries", "dead", "flag", "note"]]


def edges_frame(graph: HandlerGraph) -> pd.DataFrame:
    """A row for each edge."""
    import pandas as pd

    text = {
        "source": [edge.source for edge in graph.edges],
        "target": [edge.target for edge in graph.edges],
        "kind": [edge.kind for edge in graph.edges],
    }
    counts = pd.Series([edge.count for edge in graph.edges], dtype="int64")
    return pd.DataFrame(text, dtype="str").assign(count=counts)
