"""Narrow columns and wide ones, small systems and large ones, names of every length."""

from __future__ import annotations

import re
from collections.abc import Callable

import cells
import pytest
from live_lab import Sheet

pytestmark = [pytest.mark.slow, pytest.mark.browser]

EMPTY = """
from modulus_es import System
system = System(seed=7)
explorer = system.explore()
explorer
"""
ONE = """
from modulus_es import Command, System
class Ping(Command[str]): ...
system = System(seed=7)
@system.module("only").handles(Ping)
async def ping(command: Ping) -> str:
    return "pong"
explorer = system.explore()
explorer
"""
MANY = """
from modulus_es import IntegrationEvent, System
class Told(IntegrationEvent):
    number: int

system = System(seed=7)
modules = [system.module(f"department_of_very_long_names_number_{n:02}") for n in range(64)]
for n, module in enumerate(modules):
    @module.on(Told, name=f"take_note_of_whatever_was_told_by_any_of_the_other_departments_{n}")
    async def hear(told: Told) -> None: ...
await modules[0].bus.publish(Told(1))
await system.run()
explorer = system.explore()
explorer
"""
FITS = """() => [...document.querySelectorAll('.mes-explorer, .mes-explorer .mes-bar, .mes-controls-area')]
    .filter((one) => one.scrollWidth > one.clientWidth + 1)
    .map((one) => one.className)"""  # noqa: E501
WHOLE = """() => ['svg', 'text'].map((one) =>
    document.querySelector(`.mes-graph .mes-scroll ${one}`).getBoundingClientRect().toJSON())"""
NAMES = """() => [...document.querySelectorAll('.mes-names > [title], .mes-states th[title]')]
    .map((one) => ({ text: one.textContent, whole: one.title, spills: one.scrollWidth > one.clientWidth }))"""  # noqa: E501
READS = """() => {
    const graph = document.querySelector('.mes-graph .mes-scroll > svg');
    const heads = [...document.querySelectorAll('.mes-states thead th')];
    const sections = document.querySelector('.mes-sections');
    return {
        scale: graph.getBoundingClientRect().width / graph.viewBox.baseVal.width,
        lines: Math.max(...heads.map((one) => one.getClientRects()[0].height)),
        empty: sections.offsetHeight - Math.max(...[...sections.children].map((one) => one.offsetHeight)),
    };
}"""  # noqa: E501


@pytest.mark.parametrize("width", [600, 1280, 1600])
def test_it_fits_a_narrow_column_and_a_wide_one(sheet: Callable[..., Sheet], width: int) -> None:
    opened = sheet(cells.SHOP, cells.RUN, cells.EXPLORE)
    # JupyterLab's own bars and the prompt are about so wide.
    opened.page.set_viewport_size({"width": width + 180, "height": 2300})
    opened.explored()
    number = opened.value(
        "max(i for i, m in enumerate(explorer.marks) if (m.kind, m.handler) == ('done', 'ship_order'))"  # noqa: E501
    )
    opened.page.locator(f'.mes-mark[data-mark="{number}"]').click()
    opened.page.wait_for_selector(".mes-inspector-area table")
    assert opened.ask(FITS) == []
    seen = opened.ask(READS)
    # What is larger scrolls, and is never shrunk until it cannot be read; no word is broken.
    assert seen["scale"] > 0.74
    assert seen["lines"] < 24
    # Where there is room, the inspector is little higher than its longest section.
    assert width < 1000 or seen["empty"] < 40
    opened.shot(f"wide-{width}")


@pytest.mark.parametrize(
    ("name", "cell"), [("empty", EMPTY), ("one-module", ONE)], ids=["empty", "one"]
)
def test_a_system_without_traffic_says_so(
    sheet: Callable[..., Sheet], name: str, cell: str
) -> None:
    opened = sheet(cell).explored()
    assert "nothing yet" in opened.page.locator(".mes-reading").inner_text()
    assert "Nothing has happened yet" in opened.page.locator(".mes-timeline").inner_text()
    if name == "empty":
        graph, text = opened.ask(WHOLE)
        assert graph["left"] <= text["left"] < text["right"] <= graph["right"]
    assert opened.violations(".mes-explorer") == []
    opened.shot(f"system-{name}")


def test_64_modules_and_long_names_are_shown_and_scroll(sheet: Callable[..., Sheet]) -> None:
    opened = sheet(MANY).explored()
    assert opened.page.locator(".mes-module").count() == 64
    assert opened.ask(FITS) == []
    opened.page.wait_for_selector(".mes-states table")
    for name in opened.ask(NAMES):
        assert not name["spills"]
        cut = re.findall(r"… \+(\d+)", name["text"])
        kept = re.sub(r"… \+\d+( …)?", "", name["text"])
        if not name["text"].startswith("dep"):  # a lane, whose module stands above it
            kept = f"{name['whole'].split(' ')[0]} {kept}"
        assert len(kept) + sum(map(int, cut)) == len(name["whole"])
    lanes = opened.page.locator(".mes-lane").all_inner_texts()
    assert re.fullmatch(r"take_note_\w+… \+\d+ …\w+_0", lanes[0])
    # Long names that differ at their ends can be told apart.
    modules = opened.page.locator(".mes-module").all_inner_texts()
    assert len({*modules}) == len(modules) == 64
    opened.shot("system-64-modules")
