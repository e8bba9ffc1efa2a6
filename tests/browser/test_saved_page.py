"""A saved page in a browser: it pans, zooms and filters, and nothing that came in acts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modulus_es.views.handler_graph import Edge, HandlerGraph, Node

pytestmark = pytest.mark.slow

Opened = Callable[[HandlerGraph], Any]
EVIL = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


def graph(*labels: str) -> HandlerGraph:
    nodes = [Node(f"n{i}", "handler", label, "orders", count=1) for i, label in enumerate(labels)]
    edges = [Edge(f"n{i}", f"n{i + 1}") for i in range(len(labels) - 1)]
    return HandlerGraph(nodes, edges)


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    """Open a saved page; no error, and no request but that of the file, may come of it."""
    pages: list[Any] = []
    wrong: list[str] = []
    asked: list[str] = []

    def open_(picture: HandlerGraph) -> Any:
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        pages.append(page)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text))
        page.on("request", lambda request: asked.append(request.url))
        address = picture.save(tmp_path / "page.html").as_uri()
        page.goto(address)
        asked.remove(address)
        return page

    yield open_
    for page in pages:
        page.close()
    assert (wrong, asked) == ([], [])


def box(page: Any) -> list[float]:
    """What of the picture is in view: x, y, width and height."""
    return [float(part) for part in page.get_attribute("svg", "viewBox").split()]


def test_the_filter_dims_what_does_not_match_and_hides_its_rows(opened: Opened) -> None:
    page = opened(graph("place_order", "reserve_stock", "ship"))
    page.fill("#filter", "STOCK")
    assert page.inner_text("#count") == "3 of 5 match"
    assert page.locator("g.dim").count() == 2
    page.click("summary:has-text('As a table')")
    assert page.locator("tbody tr:visible").count() == 2


def test_the_keyboard_moves_zooms_and_finds(opened: Opened) -> None:
    page = opened(graph("place_order", "reserve_stock", "ship"))
    page.focus(".view")
    whole = box(page)
    page.keyboard.press("+")
    near = box(page)
    assert near[2] < whole[2]
    page.keyboard.press("ArrowRight")
    assert box(page)[0] > near[0]
    page.keyboard.press("0")
    assert box(page) == whole
    page.keyboard.press("n")
    assert page.inner_text("#said").startswith("1 of 5: ")
    page.keyboard.press("p")
    assert page.inner_text("#said").startswith("5 of 5: ")


def test_the_mouse_drags_and_the_wheel_zooms_where_it_is(opened: Opened) -> None:
    page = opened(graph("place_order", "reserve_stock", "ship"))
    before = box(page)
    place = page.locator(".view").bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y - 30)
    page.mouse.up()
    dragged = box(page)
    assert dragged[0] > before[0]
    assert dragged[1] > before[1]
    page.focus(".view")
    page.mouse.wheel(0, -100)
    page.wait_for_function(
        "width => document.querySelector('svg').viewBox.baseVal.width < width", arg=dragged[2]
    )


def test_a_click_on_a_node_says_what_it_is(opened: Opened) -> None:
    page = opened(graph("place_order", "ship"))
    page.locator("text:has-text('place_order')").click()
    assert page.inner_text("#said") == "place_order (handler · never reached) in orders"


def test_every_button_does_what_it_says(opened: Opened) -> None:
    page = opened(graph("place_order", "ship"))
    whole = box(page)
    page.click("button:has-text('Zoom in')")
    assert box(page)[2] < whole[2]
    page.click("button:has-text('Zoom out')")
    page.click("button:has-text('Zoom out')")
    assert box(page)[2] > whole[2]
    page.click("button:has-text('Whole picture')")
    assert box(page) == whole
    page.click("button:has-text('Next')")
    assert page.inner_text("#said").startswith("1 of 3: ")


def test_a_hostile_name_is_shown_and_does_nothing(opened: Opened) -> None:
    page = opened(graph(EVIL, "ship"))
    title = page.title()
    page.fill("#filter", "onerror")
    page.keyboard.press("Enter")
    assert "onerror=document.title" in page.inner_text("#said")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert page.title() == title


@pytest.mark.parametrize(
    ("guarded", "title"), [(True, "Handler graph: 1 module, 1 handler"), (False, "owned")]
)
def test_a_script_that_got_in_all_the_same_would_not_run(
    guarded: bool, title: str, browser: Any, tmp_path: Path
) -> None:
    text = graph("place_order").to_page().replace("</main>", f"{EVIL}</main>")
    if not guarded:
        text = text.replace("Content-Security-Policy", "")
    file = tmp_path / "page.html"
    file.write_text(text, encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    assert page.locator("script").count() == 2
    assert page.title() == title
    page.close()
