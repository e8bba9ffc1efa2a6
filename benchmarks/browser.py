"""How fast the explorer is in a real browser, against what it promises.

    python -m benchmarks.browser [--quick]

It needs chromium and playwright, and draws with the processor alone. Where a line says
"processor time", it is the kernel's; all else is what a reader waits for, by the clock, and
counts only on a machine that does nothing else. A system has really made the 100,000
deliveries; the 1,000,000 are marks that no system made. ``--quick`` leaves those out, and
makes 10,000 deliveries.
"""

from __future__ import annotations

import os
import platform
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "browser"), str(ROOT / "tests")]

from live_lab import CHROMIUM, FLAGS, Notebook, Server  # noqa: E402
from notebook_files import write  # noqa: E402

SYSTEM = """
from time import process_time
from modulus_es import Aggregate, IntegrationEvent, System, event

class Order(Aggregate):
    @event("Placed")
    def __init__(self, total: int) -> None:
        self.total = total

class OrderPlaced(IntegrationEvent):
    total: int

system = System(seed=7, trace=2_000_000)
system.network.latency = 0.01
orders = system.module("orders")

@orders.projects(Order.Placed)
def placed(placed: Order.Placed) -> OrderPlaced:
    return OrderPlaced(placed.total)

for number in range(4):
    @system.module(f"shelf{{number}}").on(OrderPlaced)
    async def reserve(message: OrderPlaced) -> None:
        if message.total % 997 == 0 and not system.random.randrange(3):
            raise RuntimeError("the shelf does not answer")

async def place(count):
    for number in range(count // 4):
        await orders.save(Order(number))
        if number % 10 == 9:
            await system.run()
    await system.run()

await place({count})
"""
EXPLORE = "explorer = system.explore()\nexplorer"

# What the kernel does for it, each in processor time.
KERNEL = """
from modulus_es.widgets.timeline_data import timeline_data
begun = process_time()
picture = system.timeline()
marks = process_time()
data = timeline_data(picture)
columns = process_time()
size = sum(len(column) for column in data.values() if isinstance(column, memoryview))
print(marks - begun, columns - marks, size / 1e6, len(system.trace.of_kind("delivery")))
"""
UPDATE = """
await place(1_000)
begun = process_time()
explorer.refresh()
print(process_time() - begun)
"""

MARKS = """
from datetime import timedelta
from random import Random
from time import process_time
from modulus_es.clock import START
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.marks import Mark
from modulus_es.views.timeline import Timeline
from modulus_es.widgets.explorer import Explorer
from modulus_es.widgets.graph_data import graph_data

def deliveries(count):
    random, at = Random(7), START
    for n in range(count):
        at += timedelta(milliseconds=random.randrange(1, 40))
        handler, message = f"handler_{n % 20}", f"m{n}"
        kind = "dead" if n % 997 == 0 else "retry" if n % 101 == 0 else "done"
        arrived, done = at + timedelta(milliseconds=5), at + timedelta(milliseconds=25)
        yield Mark(at, at, f"m{n % 4}", "(outbox)", "recorded", message, f"E{n % 30}")
        yield Mark(at, arrived, f"m{n % 5}", handler, "in_flight", message, f"E{n % 30}")
        yield Mark(arrived, done, f"m{n % 5}", handler, "waiting", message, f"E{n % 30}")
        yield Mark(done, done, f"m{n % 5}", handler, kind, message, f"E{n % 30}", 1)

def handlers(count):
    kinds = ("command", "handler", "aggregate", "domain_event", "projector", "integration_event")
    nodes = [Node(f"n{n}", kinds[n % 6], f"Thing{n}", f"module{n // 60}", count=n)
             for n in range(count)]
    edges = [Edge(f"n{n}", f"n{n + 1}", count=n) for n in range(count - 1) if n % 6 != 5]
    edges += [Edge(f"n{n}", f"n{(n * 7) % count // 6 * 6 + 1}", "event")
              for n in range(5, count, 6)]
    return HandlerGraph(nodes, edges)
"""
GRAPH = """
graph = handlers(1_000)
begun = process_time()
graph.scene()
laid_out = process_time()
graph_data(graph)
print(laid_out - begun, process_time() - laid_out)
"""
SHOW = """
graph, picture = handlers(1_000), Timeline(deliveries({count}))
explorer = Explorer(None, lambda: graph, lambda: picture)
explorer
"""

# Run a cell; answers how long it was until the timeline had been painted and the cell was done.
BEGIN = """async (index) => {
    const panel = jupyterapp.shell.currentWidget;
    panel.content.activeCellIndex = index;
    const before = document.querySelector('.mes-timeline');
    const begun = performance.now();
    const seconds = () => (performance.now() - begun) / 1000;
    const painted = new Promise((go) => {
        const look = () => {
            const found = [...document.querySelectorAll('.mes-timeline[data-took]')]
                .some((one) => one !== before && one.isConnected);
            // What is drawn in a frame is on the screen when the frame is over.
            requestAnimationFrame(found ? () => setTimeout(() => go(seconds())) : look);
        };
        look();
    });
    const done = jupyterapp.commands.execute('notebook:run-cell').then(seconds);
    return [await painted, await done];
}"""

# Drag to and fro for so many frames, or turn the wheel, as fast as frames are drawn.
MOVE = """async ([zooming, frames]) => {
    const plot = document.querySelector('.mes-marks');
    const root = document.querySelector('.mes-timeline');
    const box = plot.getBoundingClientRect();
    const at = { clientX: box.left + 200, clientY: box.top + 60, bubbles: true, button: 0 };
    const next = () => new Promise((go) => requestAnimationFrame(go));
    if (!zooming) plot.dispatchEvent(new PointerEvent('pointerdown', at));
    const before = Number(root.dataset.frames);
    const begun = performance.now();
    for (let n = 0; n < frames; n += 1) {
        const x = at.clientX + 150 * Math.sin(n / 10);
        const move = new PointerEvent('pointermove', { ...at, clientX: x });
        if (!zooming) plot.dispatchEvent(move);
        else {
            const deltaY = n % 40 < 20 ? -1 : 1;
            const turn = { ...at, deltaY, ctrlKey: true, cancelable: true };
            plot.dispatchEvent(new WheelEvent('wheel', turn));
        }
        await next();
    }
    const seconds = (performance.now() - begun) / 1000;
    if (!zooming) window.dispatchEvent(new PointerEvent('pointerup', at));
    return (Number(root.dataset.frames) - before) / seconds;
}"""
HOVER = """async () => {
    const plot = document.querySelector('.mes-marks');
    const box = plot.getBoundingClientRect();
    for (let n = 0; n < 60; n += 1) {
        const at = { clientX: box.left + 10 * n, clientY: box.top + 80, bubbles: true };
        plot.dispatchEvent(new PointerEvent('pointermove', at));
        await new Promise((go) => requestAnimationFrame(go));
    }
    return document.querySelector('.mes-timeline .mes-tip').textContent;
}"""
TOOK = "selector => Number(document.querySelector(selector).dataset.took) / 1000"


class Line(NamedTuple):
    """One figure; ``limit`` is the most there may be, or the least for frames a second."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    def __str__(self) -> str:
        """A row of a table."""
        value = (
            f"{self.value:.2f} {self.unit}" if self.unit == "s" else f"{self.value:.0f} {self.unit}"
        )
        if self.limit is None:
            return f"| {self.name} | {value} | | |"
        least = self.unit == "frames/s"
        met = self.value >= self.limit if least else self.value <= self.limit
        limit = f"{'at least' if least else 'at most'} {self.limit:g}"
        return f"| {self.name} | {value} | {limit} | {'met' if met else 'NOT MET'} |"


def said(line: Line) -> None:
    """Print a figure as soon as it is there."""
    print(str(line).replace(" 0  |", " 0 |"), flush=True)


def moved(notebook: Notebook, what: str) -> None:
    """Frames a second while the reader drags and zooms, and what the kernel is told meanwhile."""
    page = notebook.page
    page.wait_for_timeout(1500)
    notebook.sent.clear()
    notebook.received.clear()
    assert notebook.ask(HOVER)
    whole = notebook.ask(MOVE, [False, 90])
    page.get_by_role("button", name="Zoom in on the timeline").last.click()
    said(Line(f"{what}: dragging the whole", whole, "frames/s", 30))
    said(Line(f"{what}: dragging a part", notebook.ask(MOVE, [False, 90]), "frames/s", 30))
    said(Line(f"{what}: zooming", notebook.ask(MOVE, [True, 80]), "frames/s", 30))
    for _ in range(7):
        page.get_by_role("button", name="Zoom in on the timeline").last.click()
    said(Line(f"{what}: dragging single marks", notebook.ask(MOVE, [False, 90]), "frames/s", 30))
    told = len(notebook.sent) + len(notebook.received)
    said(Line(f"{what}: messages with the kernel meanwhile, and while hovering", told, "", 0))


def opened(notebook: Notebook, index: int, what: str, limit: float | None = None) -> None:
    """Run the cell of an explorer."""
    painted, done = notebook.ask(BEGIN, index, what="the explorer", seconds=400)
    said(Line(f"{what}: from the cell's start to the first paint", painted, "s", limit))
    said(Line(f"{what}: until the cell is done, with its static pictures", done, "s"))


def of_a_system(notebook: Notebook, count: int) -> None:
    """What a system really did."""
    what = f"{count:,} deliveries"
    opened(notebook, 1, f"{what}, first explorer of a kernel")
    opened(notebook, 1, f"{what}, another one", 1)
    arrived = notebook.ask(TOOK, ".mes-timeline")
    said(Line(f"{what}: from the arrival of the data to its paint", arrived, "s", 1))
    moved(notebook, what)
    marks, columns, size, made = (float(word) for word in notebook.say(KERNEL).split())
    assert made >= count
    said(Line(f"{what}: system.timeline(), processor time", marks, "s"))
    said(Line(f"{what}: columns of it, processor time", columns, "s", 0.5))
    said(Line(f"{what}: columns sent", size, "MB"))
    cost = float(notebook.say(UPDATE))
    said(Line(f"{what}: an update after 1,000 more, processor time", cost, "s"))


def graph_drawn(notebook: Notebook) -> float:
    """How many seconds the page took to draw the graph that it shows."""
    notebook.page.wait_for_selector(".mes-graph[data-took]", timeout=400_000)
    seconds: float = notebook.ask(TOOK, ".mes-graph")
    return seconds


def of_marks(notebook: Notebook, count: int) -> None:
    """More than any system here could do within the time of a benchmark."""
    layout, shapes = (float(word) for word in notebook.say(GRAPH).split())
    said(Line("graph of 1,000 nodes: layout, processor time", layout, "s", 0.5))
    said(Line("graph of 1,000 nodes: what the page gets of it, processor time", shapes, "s"))
    notebook.run(1)
    said(Line("graph of 1,000 nodes: drawn", graph_drawn(notebook), "s", 1))
    notebook.say("explorer.close()")
    notebook.sees("document.querySelector('.mes-explorer') === null")
    opened(notebook, 2, f"{count:,} deliveries as marks, which are made first")
    said(Line("the same graph beside them: drawn", graph_drawn(notebook), "s"))
    arrived = notebook.ask(TOOK, ".mes-timeline")
    said(Line(f"{count:,} deliveries as marks: from arrival to paint", arrived, "s"))
    moved(notebook, f"{count:,} deliveries as marks")


def main(words: list[str]) -> int:
    """Measure each in a page of its own; answer the process's exit status."""
    if CHROMIUM is None:
        print("There is no chromium on this machine.")
        return 1
    from playwright.sync_api import sync_playwright

    quick = "--quick" in words
    made, marks = (10_000, 10_000) if quick else (100_000, 1_000_000)
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} processors, "
          f"load {os.getloadavg()[0]:.1f} at the beginning")  # fmt: skip
    print("\n| | measured | limit | |\n|---|---|---|---|")
    with ExitStack() as stack:
        server = stack.enter_context(Server(Path(stack.enter_context(TemporaryDirectory()))))
        chromium = stack.enter_context(sync_playwright()).chromium
        browser = chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        stack.callback(browser.close)
        runs: list[tuple[Any, int, list[str]]] = [
            (of_a_system, made, [SYSTEM.format(count=made), EXPLORE]),
            (of_marks, marks, [MARKS, SHOW.format(count=1_000), SHOW.format(count=marks)]),
        ]
        for measure, count, cells in runs:
            page = browser.new_page(viewport={"width": 1200, "height": 1600})
            page.set_default_timeout(400_000)
            notebook = Notebook(
                page, server, write(server.notebooks / f"{count}-{measure.__name__}.ipynb", *cells)
            )
            notebook.listen()
            notebook.open()
            notebook.run(0, seconds=400)
            measure(notebook, count)
            kernel = notebook.kernel_id()
            page.close()
            server.end_kernels(kernel)
            for error in notebook.errors:
                print(f"  in the page: {error}")
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
