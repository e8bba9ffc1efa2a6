"""What the views export is read by Mermaid and by Graphviz themselves, hostile names and all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import pytest
from asking import ask
from hostile_pictures import PIECES, chunks, graph, sequence
from sentinel import Sentinel

from modulus_es.views.graph_scene import KINDS
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.text import shown
from tools.browser_scripts import text_of

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# What a diagram says: its kind, and its words as the page shows them.
PARSED = "async (text) => (await mermaid.parse(text)).diagramType"
DRAWN = """
async (text) => {
  const { svg } = await mermaid.render("drawn", text);
  document.body.innerHTML = svg;
  const words = (found) => [...document.querySelectorAll(found)].map((one) => one.textContent.trim());
  return [words(".node .nodeLabel"), words(".cluster .nodeLabel")];
}
"""  # noqa: E501
# Graphviz's own reading of a file: each object's label, as it would be drawn.
READ = """
async (text) => {
  window.viz ??= await Viz.instance();
  const read = window.viz.renderJSON(text, { engine: "nop" });
  const nodes = read.objects.filter((one) => !one.name.startsWith("cluster_"));
  return [nodes.map((one) => one.label), (read.edges ?? []).length];
}
"""


@pytest.fixture(scope="module")
def parsers(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinel]:
    """A page with both, and who watches it."""
    context = browser.new_context()
    watched = Sentinel(context.new_page()).watch()
    empty = tmp_path_factory.mktemp("parsers") / "empty.html"
    empty.write_text("<!DOCTYPE html><title>Parsers</title>")
    watched.page.goto(empty.as_uri())
    for package in ("mermaid", "@viz-js/viz"):
        watched.page.add_script_tag(content=text_of(package))
    ask(watched.page, "mermaid.initialize({ startOnLoad: false, maxTextSize: 1e7, maxEdges: 1e5 })")
    yield watched
    context.close()
    assert watched.did == []


def every_kind() -> HandlerGraph:
    """A node of each kind in two modules and in none, and edges of both kinds."""
    nodes = [
        Node(f"{kind}{number}", kind, f"{kind} {number}", module, count=number)
        for number, module in enumerate(("orders", "end", ""))
        for kind in KINDS
    ]
    edges = [
        Edge(one.id, other.id, ("sync", "event")[index % 2], index)
        for index, (one, other) in enumerate(pairwise(nodes))
    ]
    return HandlerGraph(nodes, edges)


def test_mermaid_reads_a_graph_and_shows_its_names(parsers: Sentinel) -> None:
    made = every_kind()
    labels, modules = ask(parsers.page, DRAWN, made.to_mermaid())
    assert sorted(labels) == sorted(node.label for node in made.nodes)
    assert sorted(modules) == ["end", "orders"]


def test_graphviz_reads_a_graph_with_all_its_names_and_edges(parsers: Sentinel) -> None:
    made = every_kind()
    labels, edges = ask(parsers.page, READ, made.to_dot())
    assert sorted(labels) == sorted(node.label for node in made.nodes)
    assert edges == len(made.edges)
    drawn = ask(parsers.page, "(text) => viz.renderString(text, {format: 'svg'})", made.to_dot())
    assert all(f">{node.label}<" in drawn for node in made.nodes)


def test_a_text_that_is_no_diagram_is_refused_by_both(parsers: Sentinel) -> None:
    for parse, text in (
        (PARSED, 'flowchart LR\n  n0[""]\n'),
        (READ, 'digraph { a [label="say "hi""] }'),
    ):
        with pytest.raises(Exception, match=r"(?i)parse|syntax"):
            ask(parsers.page, parse, text)


def test_mermaid_and_graphviz_read_ten_thousand_hostile_names(parsers: Sentinel) -> None:
    for texts in chunks(1000):
        made = graph(texts)
        assert ask(parsers.page, PARSED, made.to_mermaid()).startswith("flowchart")
        labels, edges = ask(parsers.page, READ, made.to_dot())
        said = [shown(node.label).replace("\\", r"\\").replace("&", "&amp;") for node in made.nodes]
        # Graphviz lists them cluster by cluster.
        assert sorted(labels) == sorted(said)
        assert edges == len(made.edges)


def test_mermaid_reads_hostile_names_in_sequence_diagrams(parsers: Sentinel) -> None:
    # It takes seconds for a thousand rows, and every piece is in any hundred strings.
    for texts in islice(chunks(200), 6):
        assert ask(parsers.page, PARSED, sequence(texts).to_mermaid()) == "sequence"


def test_mermaid_shows_hostile_names_as_they_are_and_none_acts(parsers: Sentinel) -> None:
    texts = [text for text in PIECES if shown(text).strip()]
    made = HandlerGraph([Node(str(n), "handler", text, "") for n, text in enumerate(texts)], [])
    labels, _ = ask(parsers.page, DRAWN, made.to_mermaid())
    assert labels == [shown(text).strip() for text in texts]
    assert parsers.made("body") == []
    ask(parsers.page, DRAWN, sequence(PIECES * 2).to_mermaid())
    assert parsers.made("body") == []
