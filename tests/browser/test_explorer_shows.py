"""The explorer comes to life in JupyterLab, light and dark, and what is saved stays a picture."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from live_lab import Notebook, Sheet
from notebook_files import code_cells

pytestmark = [pytest.mark.slow, pytest.mark.browser]

Open = Callable[..., Notebook]


def test_the_explorer_is_alive_in_the_output_of_its_cell(shop: Sheet) -> None:
    assert shop.page.locator(".mes-node").count() == shop.value("len(system.graph().nodes)")
    assert shop.page.locator(".mes-mark").count() == shop.value("len(system.timeline().marks)")
    shop.shot("explorer")


def test_it_follows_the_theme_of_jupyterlab(shop: Sheet) -> None:
    colour = "getComputedStyle(document.querySelector('.mes-explorer')).backgroundColor"
    shop.theme("JupyterLab Light")
    shop.page.wait_for_selector(".mes-explorer[data-theme=light]")
    light = shop.ask(colour)
    shop.theme("JupyterLab Dark")
    shop.page.wait_for_selector(".mes-explorer[data-theme=dark]")
    assert shop.ask(colour) != light
    shop.mark("dead", "charge").click()
    shop.page.wait_for_selector(".mes-inspector-area dl")
    assert shop.violations(".mes-explorer") == []
    shop.shot("explorer-dead-letter")


def test_axe_finds_nothing_wrong_with_the_live_explorer(shop: Sheet) -> None:
    shop.mark("done", "ship_order").click()
    shop.page.wait_for_selector(".mes-inspector-area table")
    assert shop.violations(".mes-explorer") == []


def test_hovering_moving_and_zooming_send_nothing_to_the_kernel(shop: Sheet) -> None:
    mark, plot = (
        shop.page.locator(".mes-mark:not(.mes-wait)").first,
        shop.page.locator(".mes-marks"),
    )
    mark.hover()
    shop.page.wait_for_timeout(500)
    # The kernel is asked all the time, so the page could tell it.
    assert shop.sent
    shop.sent.clear()
    mark.hover()
    assert shop.page.locator(".mes-timeline .mes-tip").inner_text()
    before = mark.get_attribute("transform")
    shop.press("Zoom in on the timeline")
    box = plot.bounding_box()
    shop.page.mouse.move(box["x"] + 300, box["y"] + 10)
    shop.page.mouse.down()
    shop.page.mouse.move(box["x"] + 100, box["y"] + 10, steps=5)
    shop.page.mouse.up()
    shop.press("Enlarge the graph")
    shop.page.locator(".mes-node").first.hover()
    shop.page.wait_for_timeout(500)
    assert mark.get_attribute("transform") != before
    assert shop.sent == []


def test_what_is_saved_is_pictures_for_every_reader(shop: Sheet, notebook: Open) -> None:
    shop.save()
    saved = shop.path.read_text("utf-8")
    [output] = code_cells(shop.path)[2]["outputs"]
    assert sorted(output["data"]) == ["image/png", "text/html", "text/plain"]
    assert "widget" not in saved.replace("widgets.explorer", "")

    # A reader who does not trust it, because it was written elsewhere, has a kernel that knows
    # nothing; the one who ran it trusts it, and his kernel may have gone as well.
    stranger = json.loads(saved)
    stranger["metadata"]["author"] = "somebody else"
    is_trusted = "() => jupyterapp.shell.currentWidget.content.widgets[2].model.trusted"
    for name, content, trusted in (("own", saved, True), ("stranger", json.dumps(stranger), False)):
        path = shop.path.with_name(f"from-{name}.ipynb")
        path.write_text(content, "utf-8")
        again = notebook(path=path)
        assert again.ask(is_trusted) is trusted
        pictures(again)
        again.shot(f"static-{'trusted' if trusted else 'untrusted'}")


def pictures(again: Notebook) -> None:
    """Both pictures are there, and no widget that has no model."""
    images = again.page.locator(".jp-OutputArea-output img")
    images.first.wait_for()
    assert images.count() == 2
    assert again.ask("document.querySelector('.jp-OutputArea-output img').naturalWidth") > 100
    assert again.page.locator(".mes-explorer").count() == 0
    assert "not found" not in again.page.locator(".jp-Notebook").inner_text()
    assert again.violations(".jp-OutputArea-output") == []


def test_nbconvert_shows_the_pictures_without_any_script_of_ours(
    shop: Sheet,
) -> None:
    shop.save()
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_filename(str(shop.path))
    assert page.count('src="data:image/svg+xml;base64,') == 2
    assert "application/vnd.jupyter.widget-view+json" not in page
