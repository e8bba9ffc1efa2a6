"""Updates, cells that run again, kernels that go, and several explorers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cells
import pytest
from live_lab import LATE, Notebook, Sheet

pytestmark = [pytest.mark.slow, pytest.mark.browser]

WIDGETS = "len(__import__('ipywidgets').widgets.widget._instances)"
LIVE = """
import asyncio
from modulus_es import SystemClock
live = System(seed=7, clock=SystemClock())
here, there = live.module("here"), live.module("there")

class Tick(IntegrationEvent):
    number: int

@there.on(Tick)
async def hear(tick: Tick) -> None: ...

await live.start()
explorer = live.explore()
explorer
"""


def marks(opened: Notebook, count: int) -> None:
    opened.sees("(count) => document.querySelectorAll('.mes-mark').length === count", count)


def test_what_happens_in_another_cell_is_shown_at_once(shop: Sheet) -> None:
    shop.say("await system.send(PlaceOrder(Decimal(7)))\nawait system.run()")
    marks(shop, shop.value("len(system.timeline().marks)"))
    # The graph follows the timeline.
    shop.page.locator("[aria-label='PlaceOrder (command · 4) in orders']").wait_for()


def test_what_happens_while_nobody_can_see_it_is_shown_afterwards(shop: Sheet) -> None:
    shop.ask("document.querySelector('.mes-explorer').style.display = 'none'")
    shop.say("await system.send(PlaceOrder(Decimal(7)))\nawait system.run()")
    shop.sees("document.querySelector('.mes-states tbody td:nth-child(5)').textContent === '4'")
    shop.ask("document.querySelector('.mes-explorer').style.display = ''")
    shop.sees("document.querySelector('.mes-states tbody th').textContent === 'orders place_order'")
    assert shop.page.locator(".mes-lane").first.inner_text() == "place_order"


@pytest.fixture
def slow_page(sheet: Callable[..., Sheet], page: Sheet) -> Iterator[Callable[..., Sheet]]:
    """The page, as if anywidget's two seconds were over before the views' modules are there."""
    page.ask("() => { AbortSignal.usual = AbortSignal.timeout; }")
    page.ask(
        "() => { AbortSignal.timeout = () => { const late = new AbortController();"
        " setTimeout(() => late.abort()); return late.signal; }; }"
    )
    yield sheet
    page.ask("() => { AbortSignal.timeout = AbortSignal.usual; }")


def test_a_page_that_is_slow_to_begin_loses_nothing(slow_page: Callable[..., Sheet]) -> None:
    opened = slow_page(cells.SHOP, cells.RUN, cells.EXPLORE)
    for index in range(3):
        opened.run(index)
    marks(opened, opened.value("len(system.timeline().marks)"))
    assert any(LATE in error for error in opened.errors)
    opened.say("await system.send(PlaceOrder(Decimal(7)))\nawait system.run()")
    marks(opened, opened.value("len(system.timeline().marks)"))
    opened.page.get_by_role("button", name="Run", exact=True).click()
    opened.page.locator(".mes-status", has_text="nothing is due").wait_for()
    opened.say("explorer.close()")
    opened.sees("document.querySelectorAll('.mes-explorer').length === 0")
    opened.page.locator("[data-modulus-es] img").first.wait_for()


def test_a_system_that_runs_live_is_followed(sheet: Callable[..., Sheet]) -> None:
    opened = sheet(cells.SHOP, LIVE).explored()
    opened.say(
        "for n in range(5):\n    await here.bus.publish(Tick(n))\n    await asyncio.sleep(0.1)"
    )
    opened.sees("document.querySelectorAll('.mes-mark').length >= 10")
    opened.shot("live-system")
    opened.say("await live.stop()")


def test_running_the_cell_again_leaves_one_explorer_and_nothing_else(shop: Sheet) -> None:
    shop.run(2)
    shop.alive()
    shop.say("before = explorer")
    count = shop.value(WIDGETS)
    for _ in range(3):
        shop.run(2)
        shop.alive()
    assert shop.value("before.closed")
    assert shop.value(WIDGETS) == count
    assert shop.value("len(system.trace.watchers)") == 1
    assert shop.page.locator(".mes-explorer").count() == 1
    shop.node("inventory/handler/reserve_stock").click()
    shop.until("explorer.graph_view.selected", lambda value: value != "")
    assert shop.value("before.graph_view.selected") == ""


def test_closing_leaves_the_picture(shop: Sheet) -> None:
    shop.say("explorer.close()")
    shop.sees("document.querySelectorAll('.mes-explorer').length === 0")
    shop.page.locator("[data-modulus-es] img").first.wait_for()
    assert shop.value("len(system.trace.watchers)") == 0
    shop.say("await system.send(PlaceOrder(Decimal(7)))\nawait system.run()")


def test_a_page_that_is_busy_while_it_is_closed_opens_it_no_more(shop: Sheet) -> None:
    # What explorer.js puts off by a tenth of a second comes when the test says so.
    shop.ask(
        "() => { const { setTimeout, clearTimeout } = window; const held = new Map();"
        " window.setTimeout = (call, wait, ...rest) => { if (wait !== 100)"
        " return setTimeout(call, wait, ...rest); const id = -1 - held.size;"
        " held.set(id, () => call(...rest)); return id; };"
        " window.clearTimeout = (id) => held.delete(id) || clearTimeout(id);"
        " window.release = () => { Object.assign(window, { setTimeout, clearTimeout });"
        " for (const call of held.values()) call(); return held.size; }; }"
    )
    shop.ask(
        "async () => { for (const wait of [150, 20, 150]) {"
        " document.body.append(document.createElement('i'));"
        " await new Promise((go) => setTimeout(go, wait)); }"
        " document.body.append(document.createElement('i')); }"
    )
    shop.say("explorer.close()")
    shop.sees("document.querySelectorAll('.mes-explorer').length === 0")
    shop.ask("() => release()")
    assert shop.page.locator(".mes-explorer").count() == 0


def test_two_explorers_of_one_system_both_follow_it(sheet: Callable[..., Sheet]) -> None:
    other = "second = system.graph(module='billing').explore()\nsecond"
    opened = sheet(cells.SHOP, cells.EXPLORE, other).explored()
    opened.sees("document.querySelectorAll('.mes-explorer[data-ready]').length === 2")
    first, second = opened.page.locator(".mes-explorer").all()
    assert second.locator(".mes-node").count() < first.locator(".mes-node").count()
    second.get_by_role("button", name="Run", exact=True).click()
    opened.until("second.view.status", lambda value: "nothing is due" in value)
    count = opened.value("len(system.timeline().marks)")
    marks(opened, 2 * count)
    first.locator(".mes-node").first.click()
    opened.until("explorer.graph_view.selected", lambda value: value != "")
    assert opened.value("second.graph_view.selected") == ""
    opened.shot("two-explorers")


def test_a_kernel_that_restarts_leaves_a_note_and_the_cell_runs_again(
    sheet: Callable[..., Sheet],
) -> None:
    opened = sheet(cells.SHOP, cells.EXPLORE).explored()
    opened.ask("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    opened.page.wait_for_selector(".mes-explorer.mes-gone")
    assert "run the cell again" in opened.page.locator(".mes-status").inner_text()
    opened.page.locator(".mes-node").first.click()
    opened.shot("kernel-gone")
    opened.run(0)
    opened.run(1)
    opened.page.wait_for_selector(".mes-explorer[data-ready]:not(.mes-gone)")
    opened.page.locator(".mes-node").first.click()
    opened.until("explorer.graph_view.selected", lambda value: value != "")
    assert opened.page.locator(".mes-explorer").count() == 1


def test_a_page_that_is_loaded_again_finds_its_explorer(sheet: Callable[..., Sheet]) -> None:
    opened = sheet(cells.SHOP, cells.EXPLORE).explored()
    opened.save()
    opened.page.goto(opened.page.url.removesuffix("?reset"))
    opened.page.wait_for_selector(".mes-explorer[data-ready]", timeout=60_000)
    opened.page.locator(".mes-node").first.click()
    opened.until("explorer.graph_view.selected", lambda value: value != "")
