"""Names, payloads and errors that want to be more than text: nothing of them runs."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from live_lab import Sheet

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# Generated, so that each field of each message has another; a seed makes them repeatable.
HOSTILE = """
from random import Random
from modulus_es import IntegrationEvent, System
from modulus_es.clock import START
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.marks import KINDS, Mark
from modulus_es.views.timeline import Timeline
from modulus_es.widgets.explorer import Explorer

PIECES = [
    "<script>window.hacked = 1</script>", "<img src=x onerror='window.hacked=1'>", "&lt;b&gt;&amp;",
    "<svg onload=window.hacked=1>",
    "\\" onmouseover=\\"window.hacked=1", "javascript:window.hacked=1",
    "</style><script>window.hacked=1</script>", "'", "`${window.hacked=1}`", "\\u202etxt.exe",
    "\\u200b\\u200d\\ufeff", "\\x00\\x07\\x1b[31m", "\\ud800", "]]>",
    "$\\\\alpha$", "%s{}{{}}", "x" * 40,
    "\\u0301" * 9, "data-modulus-es", "<iframe srcdoc='<script>parent.hacked=1</script>'>",
]

def strings(count, seed):
    random = Random(seed)
    made = ("".join(random.choices(PIECES, k=random.randrange(1, 6))) for _ in range(count))
    return [text + str(n) for n, text in enumerate(made)]

"""

MANY = (
    HOSTILE
    + """
names = strings(3_000, 7)
marks = [
    Mark(START, START, names[n % 50], names[50 + n % 300], KINDS[n % len(KINDS)], names[n],
         names[n], n % 9, names[n + 1], names[n + 2], names[n + 3] * 3, names[n + 4])
    for n in range(2_900)
]
nodes = [Node(name, "handler", name, names[n % 5], name) for n, name in enumerate(names[:60])]
edges = [Edge(one.id, other.id) for one, other in zip(nodes, nodes[1:])]
explorer = Explorer(None, lambda: HandlerGraph(nodes, edges), lambda: Timeline(marks))
explorer
"""
)

SYSTEM = (
    HOSTILE
    + """
system = System(seed=7)
here, there = system.module("here"), system.module("there")
class Said(IntegrationEvent):
    text: str
    more: dict[str, str]

@there.on(Said)
async def hear(said: Said) -> None:
    raise RuntimeError(said.text)

bodies = ["".join(PIECES[:16]).replace("\\ud800", ""), "<script>window.hacked=1</script>" * 40_000]
for text in bodies:
    await here.bus.publish(Said(text, {"<script>window.hacked=1</script>": text[:50]}))
await system.run()
explorer = system.explore()
explorer
"""
)

CHOSEN = "document.querySelector('.mes-node[aria-pressed=true]')?.dataset.node ?? ''"
RUNS_ELSEWHERE = "window.hacked !== undefined || document.querySelector('.mes-explorer script, .mes-explorer img, .mes-explorer iframe') !== null"  # noqa: E501


def test_nothing_of_the_hostile_strings_that_are_counted_runs(
    sheet: Callable[..., Sheet],
) -> None:
    opened = sheet(MANY).explored()
    for node in opened.page.locator(".mes-node").all()[:4]:
        node.hover(force=True)
        node.click(force=True)
    # What was clicked is told beside what is asked, and may come after it.
    chosen = opened.page.evaluate(CHOSEN)
    opened.until("explorer.graph_view.selected", lambda value: value == chosen)
    # The last node that was chosen may have no deliveries.
    opened.say("explorer.timeline_view.filter = {}")
    plot = opened.page.locator(".mes-marks")
    plot.wait_for()
    box = plot.bounding_box()
    for n in range(4):
        opened.page.mouse.move(box["x"] + 100 * n, box["y"] + 60)
        opened.page.mouse.click(box["x"] + 100 * n, box["y"] + 60)
    opened.page.wait_for_timeout(300)
    assert not opened.ask(RUNS_ELSEWHERE)
    assert "<script>window" in opened.page.locator(".mes-graph").inner_text()
    opened.shot("hostile-counts")
    # JupyterLab reads TeX in what a cell shows, and TeX may have links to scripts.
    assert "$\\alpha$" in opened.page.locator(".mes-states").inner_text()
    assert opened.page.locator("mjx-container").count() == 0


def test_hostile_payloads_and_errors_are_shown_as_text_and_cut_with_a_count(
    sheet: Callable[..., Sheet],
) -> None:
    opened = sheet(SYSTEM).explored()
    number = opened.value("max(i for i, m in enumerate(explorer.marks) if m.kind == 'dead')")
    opened.page.locator(f'.mes-mark[data-mark="{number}"]').click()
    payload = opened.page.locator(".mes-inspector-area section", has_text="Payload")
    payload.wait_for()
    assert "<script>window.hacked=1</script>" in payload.inner_text()
    assert re.search(r"… \+1\d{6}$", payload.inner_text().strip())
    assert not opened.ask(RUNS_ELSEWHERE)
    opened.shot("hostile-payload")
