"""The explorer comes to life in JupyterLab, light and dark, and harms nothing there."""

from __future__ import annotations

from collections.abc import Callable

import cells
import pytest
from live_lab import Notebook

pytestmark = [pytest.mark.slow, pytest.mark.browser]

Open = Callable[..., Notebook]


def explored(notebook: Open, *more: str, theme: str = "light") -> Notebook:
    opened = notebook(cells.SHOP, cells.RUN, cells.EXPLORE, *more, theme=theme)
    for index in range(3):
        opened.run(index)
    opened.page.wait_for_selector(".mes-explorer[data-ready]")
    return opened


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_explorer_is_alive_in_the_output_of_its_cell(notebook: Open, theme: str) -> None:
    opened = explored(notebook, theme=theme)
    assert opened.page.locator(".mes-node").count() == opened.value("len(system.graph().nodes)")
    assert opened.page.locator(".mes-mark").count() == opened.value("len(system.timeline().marks)")
    opened.shot("explorer")
