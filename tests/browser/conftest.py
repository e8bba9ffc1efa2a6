"""One JupyterLab, one browser and one open notebook for all tests that need none of their own."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import cells
from live_lab import CHROMIUM, FLAGS, Notebook, Server, Sheet
from notebook_files import write

SIZE = {"width": 1200, "height": 2300}
"""Of a page, in pixels: high enough for an explorer to be seen at once."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: install it to see the explorer in a browser")
    with Server(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def browser(server: Server) -> Iterator[Any]:
    """Debian's chromium; playwright downloads none."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def context(browser: Any) -> Iterator[Any]:
    """What JupyterLab's pages have together: what the first has fetched, the others have."""
    made = browser.new_context(viewport=SIZE, color_scheme="light")
    yield made
    made.close()


@pytest.fixture(scope="session")
def page(server: Server, context: Any) -> Sheet:
    """A notebook that is open for all tests that need no page and no kernel of their own."""
    opened = Sheet(context.new_page(), server, write(server.notebooks / "sheet.ipynb"))
    opened.listen()
    return opened.open()


@pytest.fixture
def sheet(page: Sheet) -> Iterator[Callable[..., Sheet]]:
    """Put cells into the notebook that is open; nothing may go wrong in its page."""
    yield page.hold
    page.page.set_viewport_size(SIZE)
    page.check()


@pytest.fixture
def shop(page: Sheet) -> Iterator[Sheet]:
    """A fresh system of the shop, run and explored; nothing may go wrong in its page."""
    shop = (cells.SHOP, cells.RUN, cells.EXPLORE)
    if page.cells != shop:
        page.hold(*shop)
    yield page.explored()
    page.check()


@pytest.fixture
def notebook(
    server: Server, context: Any, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Open notebooks of the given cells; no error and no request to elsewhere may come of it."""
    opened: list[Notebook] = []

    def open_(*cells: str, path: Path | None = None) -> Notebook:
        name = f"{re.sub(r'[^a-z0-9]+', '-', request.node.name)}-{len(opened)}.ipynb"
        path = path or write(server.notebooks / name, *cells)
        made = Notebook(context.new_page(), server, path)
        made.listen()
        opened.append(made)
        return made.open()

    yield open_
    kernels = [made.kernel_id() for made in opened]
    for made in opened:
        made.page.close()
    server.end_kernels(*kernels)
    for made in opened:
        made.check()
