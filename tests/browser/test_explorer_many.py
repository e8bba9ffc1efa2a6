"""More deliveries than can be elements of the page: a canvas that is used in the same ways."""

from __future__ import annotations

from collections.abc import Callable

import cells
import pytest
from live_lab import Notebook, Sheet

pytestmark = [pytest.mark.slow, pytest.mark.browser]

ORDERS = """
broken["now"] = False
system.network.latency = (0.1, 30.0)
for n in range(400):
    await system.send(PlaceOrder(Decimal(n)))
await system.run()
"""
SHIPPED = "ship_order"
CHOSEN = "explorer.chosen and [explorer.chosen.kind, explorer.chosen.handler]"
PIXELS = "document.querySelector('.mes-canvas').toDataURL()"
COLOURS = """() => {
    const canvas = document.querySelector(".mes-canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let at = 0; at < data.length; at += 4) {
        const rgb = [...data.subarray(at, at + 3)].map((v) => v.toString(16).padStart(2, "0"));
        if (data[at + 3] === 255) seen.add("#" + rgb.join(""));
    }
    return [...seen];
}"""
PLACES = """
import numpy as np
def where(kind, handler):
    data = explorer.timeline_view.data
    x = np.frombuffer(data["x"], data["columns"]["x"]) / 1e9
    held = enumerate(explorer.marks)
    return [float(x[i]) for i, m in held if (m.kind, m.handler) == (kind, handler)]
"""


@pytest.fixture
def many(sheet: Callable[..., Sheet], page: Sheet) -> Sheet:
    """A fresh explorer of the shop with a few thousand marks."""
    cells_ = (cells.SHOP, ORDERS, cells.EXPLORE)
    if page.cells != cells_:
        sheet(*cells_)
        page.run(0)
        page.run(1)
        page.say(PLACES)
    page.page.set_viewport_size({"width": 1200, "height": 1700})
    page.run(2)
    page.alive()
    page.page.wait_for_selector(".mes-timeline[data-took]")
    return page


def spot(shop: Notebook, kind: str, handler: str, number: int = 100) -> tuple[float, float]:
    """Where in the page a delivery is drawn."""
    lane = shop.page.locator(".mes-lane", has_text=handler).first
    lane.scroll_into_view_if_needed()
    row, plot = lane.bounding_box(), shop.page.locator(".mes-marks").bounding_box()
    place = shop.value(f"where({kind!r}, {handler!r})[{number}]")
    return plot["x"] + place * plot["width"], row["y"] + row["height"] / 2


def test_thousands_of_marks_are_bars_on_a_canvas(many: Sheet) -> None:
    assert many.value("len(explorer.marks)") > 2_000
    assert many.page.locator(".mes-canvas").is_visible()
    assert many.page.locator(".mes-mark").count() == 0
    seen = many.ask(COLOURS)
    wanted = many.ask(
        "getComputedStyle(document.querySelector('.mes-timeline'))"
        ".getPropertyValue('--m-count-fill').trim()"
    )
    assert wanted in seen
    assert "#000000" not in seen
    assert "recorded or done" in many.page.locator(".mes-legend").inner_text()
    many.shot("many")


def test_marks_that_become_too_many_leave_nothing_under_the_canvas(
    sheet: Callable[..., Sheet],
) -> None:
    opened = sheet(cells.SHOP, cells.EXPLORE, ORDERS)
    opened.run(0)
    opened.run(1)
    opened.page.wait_for_selector(".mes-marks .m-lane", state="attached")
    opened.run(2)
    opened.page.wait_for_selector(".mes-canvas:visible")
    assert opened.page.locator(".mes-marks .m-lane").count() == 0
    opened.shot("became-many")


def test_a_delivery_on_the_canvas_is_chosen_by_mouse(many: Sheet) -> None:
    many.page.mouse.click(*spot(many, "done", SHIPPED))
    many.until(CHOSEN, lambda value: value == ["done", SHIPPED])
    [changed] = many.page.locator(".mes-inspector-area .mes-changed").all()
    assert changed.inner_text().split("\t") == ["status (changed)", "placed", "shipped"]
    # Two bars may share a pixel: the one that was chosen is within reach of the pointer.
    x = "np.frombuffer(explorer.timeline_view.data['x'], 'u4')[explorer.timeline_view.chosen]"
    off = many.value(f"abs(float({x}) / 1e9 - where('done', {SHIPPED!r})[100])")
    assert off * many.page.locator(".mes-marks").bounding_box()["width"] <= 12


def test_a_delivery_on_the_canvas_is_chosen_by_keyboard(many: Sheet) -> None:
    said = many.page.locator(".mes-said")
    chosen = "explorer.timeline_view.chosen"
    many.page.locator(".mes-marks").focus()
    many.page.keyboard.press("Escape")
    many.until("explorer.chosen is None")  # what another test chose in this page
    many.page.keyboard.press("ArrowRight")
    many.page.locator(".mes-spot").wait_for()
    many.page.keyboard.press("Enter")
    first = many.until(chosen, lambda value: value >= 0)
    many.page.keyboard.press("ArrowRight")
    many.page.keyboard.press(" ")
    second = many.until(chosen, lambda value: value != first)
    assert second > first
    assert many.value(f"explorer.marks[{first}].lane == explorer.marks[{second}].lane")
    many.page.keyboard.press("ArrowDown")
    below = said.inner_text()
    many.page.keyboard.press("Enter")
    third = many.until(chosen, lambda value: value not in (first, second))
    lane = many.value(f"' '.join(explorer.marks[{third}].lane)")
    assert below.startswith(f"{lane}: ")
    assert many.value(f"explorer.marks[{third}].lane != explorer.marks[{second}].lane")
    many.shot("many-chosen-by-keyboard")
    many.page.keyboard.press("Escape")
    many.until("explorer.chosen is None")


def test_the_chain_of_a_delivery_is_drawn_over_the_bars(many: Sheet) -> None:
    before = many.ask(PIXELS)
    many.page.mouse.click(*spot(many, "done", SHIPPED))
    many.page.wait_for_selector(".mes-node.mes-on")
    many.until(
        "explorer.graph_view.highlighted",
        lambda nodes: {"orders/handler/ship_order", "contract/StockReserved"} <= set(nodes),
    )
    assert 0 < many.page.locator(".mes-arrows path.m-arrow").count() < 50
    assert many.page.locator(".mes-ring").is_visible()
    assert many.ask(PIXELS) != before
    many.shot("many-chain")


def test_a_highlight_does_not_wait_for_the_kernel(many: Sheet) -> None:
    where = spot(many, "done", SHIPPED)
    many.ask(
        """() => {
        const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        kernel.requestExecute({ code: "import time; time.sleep(6)", store_history: false });
        return new Promise((go) => {
            const ask = () => (kernel.status === "busy" ? go() : setTimeout(ask, 20));
            ask();
        });
        }"""
    )
    many.page.mouse.click(*where)
    many.page.wait_for_selector(".mes-node.mes-on")
    assert many.page.locator(".mes-arrows path.m-arrow").count() > 0
    status = "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    assert many.ask(status) == "busy"
    # What does need the kernel is not there yet: so it was busy, and it comes.
    inspector = many.page.locator(".mes-inspector-area")
    assert "Choose a delivery" in inspector.inner_text()
    inspector.get_by_text("Payload").wait_for()


def test_hovering_moving_and_zooming_on_the_canvas_send_nothing(many: Sheet) -> None:
    x, y = spot(many, "done", SHIPPED)
    many.page.wait_for_timeout(500)
    many.sent.clear()
    many.received.clear()
    before = many.ask(PIXELS)
    many.page.mouse.move(x, y)
    assert SHIPPED in many.page.locator(".mes-timeline .mes-tip").inner_text()
    many.press("Zoom in on the timeline")
    zoomed = many.ask("() => new Promise((go) => requestAnimationFrame(() => "
                                f"requestAnimationFrame(() => go({PIXELS}))))")  # fmt: skip
    assert zoomed != before
    many.page.mouse.move(x, y)
    many.page.mouse.down()
    many.page.mouse.move(x - 150, y, steps=10)
    many.page.mouse.up()
    many.page.wait_for_timeout(500)
    assert many.ask(PIXELS) != zoomed
    assert (many.sent, many.received) == ([], [])
    # A click, for comparison, is told to the kernel, which answers.
    many.page.mouse.click(x, y)
    many.until("explorer.chosen is not None")
    assert many.sent
    assert many.received


def test_axe_finds_nothing_wrong_with_the_canvas(many: Sheet) -> None:
    many.page.mouse.click(*spot(many, "done", SHIPPED))
    many.page.wait_for_selector(".mes-inspector-area table")
    assert many.violations(".mes-explorer") == []


def test_the_table_is_the_same_where_what_lasts_does_not_travel(many: Sheet) -> None:
    states = many.page.locator(".mes-states")

    def drawn_anew(code: str) -> str:
        many.ask("document.querySelector('.mes-states').replaceChildren()")
        many.say(f"from modulus_es.widgets import timeline_data as td\n{code}")
        states.locator("table").wait_for()
        text: str = states.inner_text()
        return text

    try:
        before = drawn_anew("explorer.timeline_view.cursor = 0.4")
        sent = many.value("len(explorer.timeline_view.data['kind'])")
        assert drawn_anew("td.SPANS_UP_TO = 1\nexplorer.refresh()") == before
        assert many.value("len(explorer.timeline_view.data['kind'])") < sent
        now = drawn_anew("explorer.timeline_view.cursor = None")
        assert drawn_anew("td.SPANS_UP_TO = 600_000\nexplorer.refresh()") == now != before
    finally:
        many.say("td.SPANS_UP_TO, explorer.timeline_view.cursor = 600_000, None")
    row = before[before.index("inventory") :].splitlines()[0].split("\t")
    assert int(row[2]) > 0, row  # in flight, of which no moment tells


def test_a_filter_counts_only_what_it_lets_through(many: Sheet) -> None:
    many.node("orders/handler/ship_order").click()
    many.until("explorer.timeline_view.filter.get('label')", lambda value: value == SHIPPED)
    assert many.page.locator(".mes-lane").all_inner_texts() == [SHIPPED]
    count = many.value(f"sum(m.handler == {SHIPPED!r} for m in explorer.marks)")
    assert f": {count:,} of " in many.page.locator(".mes-timeline .mes-heading").inner_text()
