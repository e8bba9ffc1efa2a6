"""How fast the explorer is in a real browser: first paint, frames a second, drawing a graph.

    python -m benchmarks.browser [deliveries ...]

It needs chromium and playwright, and draws with the processor alone. What the kernel does is
measured in processor time. What is measured
in the page begins when its data has arrived and ends when the first frame is painted.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "browser"))

from live_lab import CHROMIUM, FLAGS, Notebook, Server, write  # noqa: E402

MAKE = """
from datetime import timedelta
from random import Random
from time import process_time
from modulus_es.clock import START
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.marks import Mark
from modulus_es.views.timeline import Timeline
from modulus_es.widgets.explorer import Explorer
from modulus_es.widgets.graph_data import graph_data
from modulus_es.widgets.timeline_data import timeline_data

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

EXPLORE = """
began = process_time()
picture = Timeline(deliveries({count}))
made = process_time()
data = timeline_data(picture)
columns = process_time()
graph = handlers({nodes})
graph_data(graph)
drawn = process_time()
size = sum(len(column) for column in data.values() if isinstance(column, memoryview))
print(columns - made, drawn - columns, size)
"""

SHOW = "explorer = Explorer(None, lambda: graph, lambda: picture)\nexplorer"

# Drag to and fro for so many frames, and zoom in by the wheel, as fast as frames are drawn.
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
        if (!zooming) window.dispatchEvent(new PointerEvent('pointermove', { ...at, clientX: x }));
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


def measure(notebook: Notebook, count: int, nodes: int) -> None:
    """Open the explorer on so many deliveries and print what it took."""
    columns, layout, size = (
        float(word) for word in notebook.say(EXPLORE.format(count=count, nodes=nodes)).split()
    )
    notebook.run(1)
    notebook.page.wait_for_selector(".mes-timeline[data-took]", timeout=400_000)
    notebook.page.wait_for_timeout(1000)
    took = "selector => Number(document.querySelector(selector).dataset.took)"
    paint = notebook.page.evaluate(took, ".mes-timeline")
    drawn = notebook.page.evaluate(took, ".mes-graph")
    zoomed_out = notebook.page.evaluate(MOVE, [False, 60])
    notebook.page.get_by_role("button", name="Zoom in on the timeline").last.click()
    panning = notebook.page.evaluate(MOVE, [False, 60])
    zooming = notebook.page.evaluate(MOVE, [True, 80])
    print(f"{count:>9,} deliveries: columns {columns:.2f} s of the kernel, {size / 1e6:.1f} MB; "
          f"first paint {paint:.0f} ms")  # fmt: skip
    print(f"{'':9}  frames a second: {zoomed_out:.0f} dragging the whole, {panning:.0f} panning, "
          f"{zooming:.0f} zooming")  # fmt: skip
    print(f"{nodes:>9,} nodes: layout and shapes {layout:.2f} s; drawn {drawn:.0f} ms", flush=True)


def main(counts: list[int]) -> int:
    """Measure each size in a page of its own; answer the process's exit status."""
    if CHROMIUM is None:
        print("There is no chromium on this machine.")
        return 1
    from playwright.sync_api import sync_playwright

    with ExitStack() as stack:
        server = stack.enter_context(Server(Path(stack.enter_context(TemporaryDirectory()))))
        chromium = stack.enter_context(sync_playwright()).chromium
        browser = chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for count in counts:
            path = write(server.notebooks / f"{count}.ipynb", MAKE, SHOW)
            page = browser.new_page(viewport={"width": 1200, "height": 1600})
            page.set_default_timeout(400_000)
            notebook = Notebook(page, server, path)
            notebook.listen()
            notebook.open()
            notebook.run(0)
            measure(notebook, count, 1000)
            kernel = notebook.kernel_id()
            page.close()
            server.end_kernels(kernel)
            for error in notebook.errors:
                print(f"  in the page: {error}")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main([int(word) for word in sys.argv[1:]] or [1_000, 100_000, 1_000_000]))
