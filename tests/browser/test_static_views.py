"""Every static view in a notebook, in a file and as nbconvert writes it, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cells
import pytest
from asking import ask
from live_lab import Sheet, photograph, violations

from tools.browser_scripts import text_of

pytestmark = [pytest.mark.slow, pytest.mark.browser]

VIEWS = {
    "graph": "system.graph()",
    "timeline": "system.timeline(arrows=True)",
    "sequence": "system.sequence(system.deliveries().correlation_id[0])",
    "catalogue": "system.catalogue()",
}


def test_every_static_view_is_shown_and_accessible(
    sheet: Callable[..., Sheet], browser: Any, tmp_path: Path
) -> None:
    opened = sheet(cells.SHOP, cells.RUN, *VIEWS.values())
    for index in range(len(VIEWS) + 2):
        opened.run(index)
    opened.sees("document.querySelectorAll('.jp-OutputArea img').length === 3")
    for index, name in enumerate(VIEWS, 2):
        cell = f".jp-Cell:nth-child({index + 1}) .jp-OutputArea"
        opened.shot(f"static-{name}", cell)
        assert opened.violations(cell) == []
    for width in (800, 2000):
        opened.page.set_viewport_size({"width": width, "height": 1600})
        opened.shot(f"static-graph-{width}", ".jp-Cell:nth-child(3) .jp-OutputArea")
        # What is too wide scrolls in its own box, and not the notebook.
        assert opened.ask(
            "(() => { const panel = document.querySelector('.jp-WindowedPanel-outer');"
            " return panel.scrollWidth <= panel.clientWidth; })()"
        )
    opened.save()
    converted(opened.path, browser, tmp_path / "notebook.html")


def converted(notebook: Path, browser: Any, file: Path) -> None:
    """What nbconvert makes of a notebook shows the same pictures."""
    from nbconvert import HTMLExporter

    for scheme in ("light", "dark"):
        file.write_text(HTMLExporter(theme=scheme).from_filename(str(notebook))[0], "utf-8")
        context = browser.new_context(viewport={"width": 1100, "height": 900}, color_scheme=scheme)
        # nbconvert itself asks for MathJax.
        context.route("http*://**", lambda route: route.abort())
        page = context.new_page()
        page.goto(file.as_uri())
        widths = ask(page, "[...document.images].map((image) => image.naturalWidth)")
        assert [width > 100 for width in widths] == [True] * 3
        photograph(page, f"nbconvert-{scheme}", full_page=True)
        context.close()


@pytest.fixture
def themed(browser: Any) -> Iterator[Callable[[Path, str], Any]]:
    """Show a file to readers whose systems are dark and light; it is accessible to both."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    context.add_init_script(text_of("axe-core"))
    context.route("http*://**", lambda route: route.abort())
    page = context.new_page()

    def show(file: Path, name: str) -> Any:
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            page.goto(file.as_uri())
            photograph(page, f"{name}-{scheme}", full_page=True)
            assert violations(page, "main") == []
        return page

    yield show
    context.close()


@pytest.mark.parametrize("name", ["graph", "timeline", "sequence"])
def test_a_saved_page_is_accessible_light_and_dark(
    name: str, shop: Sheet, themed: Callable[[Path, str], Any], tmp_path: Path
) -> None:
    shop.say(f"{VIEWS[name]}.save({str(tmp_path / 'page.html')!r})")
    page = themed(tmp_path / "page.html", f"saved-{name}")
    assert page.locator("svg[role=img]").count() == 1
