"""Ten thousand names and errors that want to be more than text, each drawn by an explorer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from live_lab import Sheet
from sentinel import made

pytestmark = [pytest.mark.slow, pytest.mark.browser]

TESTS = str(Path(__file__).parent.parent)
NAMES = f"""
import sys
sys.path.insert(0, {TESTS!r})
from hostile_pictures import chunks, graph, timeline
from modulus_es.widgets.explorer import Explorer

batches = list(chunks(2000))
shown = batches[0]
explorer = Explorer(None, lambda: graph(shown), lambda: timeline(shown))
explorer
"""
# As a reader who points at many things and chooses some of them.
VISIT = """
async ([marks, every]) => {
  const all = [...document.querySelectorAll(marks ? ".mes-mark" : ".mes-node")];
  all.forEach((place, index) => {
    if (index % 5) return;
    for (const kind of ["pointerover", "pointermove"]) {
      place.dispatchEvent(new PointerEvent(kind, { bubbles: true, clientX: 300, clientY: 300 }));
    }
    if (index % every === 0) place.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  });
  return [all.length, all[all.length - 1 - (all.length - 1) % every].dataset.node];
}
"""


def test_ten_thousand_hostile_names_and_errors_act_in_no_explorer(
    sheet: Callable[..., Sheet],
) -> None:
    opened = sheet(NAMES).explored()
    usual = opened.page.viewport_size
    # What nobody looks at need not be painted.
    opened.page.set_viewport_size({"width": usual["width"], "height": 300})
    for number in range(opened.value("len(batches)")):
        opened.say(f"shown = batches[{number}]\nexplorer.timeline_view.filter = {{}}")
        opened.say("explorer.refresh()")
        opened.sees(
            "(title) => document.querySelector('.mes-graph .mes-heading').textContent === title",
            opened.value("explorer.graph_view.data['title']"),
        )
        opened.sees(
            "(label) => document.querySelector('.mes-marks').getAttribute('aria-label') === label",
            opened.value("explorer.timeline_view.data['alt']"),
        )
        assert opened.ask(VISIT, [True, 50])[0] == 500
        count, chosen = opened.ask(VISIT, [False, 150])
        assert count == 667
        # What was clicked is told beside what is asked, and may come after it.
        opened.until("explorer.graph_view.selected", lambda value, last=chosen: value == last)
        assert made(opened.page, ".mes-explorer") == []
        assert "\u202e" not in opened.page.locator(".mes-explorer").text_content()
    opened.page.set_viewport_size(usual)
    opened.shot("hostile-names")
