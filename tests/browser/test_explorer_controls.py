"""The scrubber, the buttons and the knobs, and what they do to the system."""

from __future__ import annotations

import pytest
from live_lab import Sheet

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_dragging_the_scrubber_shows_where_everything_was_then(shop: Sheet) -> None:
    slider = shop.page.get_by_role("slider", name="Time")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    shop.page.mouse.move(box["x"] + box["width"] - 8, middle)
    shop.page.mouse.down()
    shop.page.mouse.move(box["x"] + box["width"] / 2, middle, steps=6)
    shop.page.mouse.up()
    # On its way there it says where it is, too.
    shop.until("explorer.timeline_view.cursor", lambda value: abs((value or 0) - 0.5) < 0.05)
    assert shop.value("system.now() > explorer.time > explorer.marks[0].time")
    assert "00:00:00." in slider.get_attribute("aria-valuetext")
    row = shop.page.locator(".mes-states tr", has_text="billing charge")
    shop.sees(
        "[...document.querySelectorAll('.mes-states tr')].at(-1).textContent.includes('charge3')"
    )
    # All three wait for their second attempt.
    assert row.locator("td").all_inner_texts() == ["3", "0", "0", "0", "0", "0", "0"]
    assert shop.page.locator(".mes-mark.mes-later").count() > 0
    shop.shot("scrubbed")
    shop.press("Go to the latest time")
    shop.until("explorer.time is None")


def test_play_moves_the_cursor_from_the_beginning_to_now(shop: Sheet) -> None:
    shop.press("Play the run from the cursor")
    shop.until("explorer.timeline_view.playing")
    first = shop.until("explorer.timeline_view.cursor", lambda value: value is not None)
    shop.until("explorer.timeline_view.cursor", lambda value: value is None or value > first)
    shop.shot("playing")
    shop.until("explorer.timeline_view.playing", lambda value: not value)
    assert shop.value("explorer.timeline_view.cursor") is None


def test_play_can_be_paused(shop: Sheet) -> None:
    shop.press("Play the run from the cursor")
    shop.until("explorer.timeline_view.cursor", lambda value: value is not None)
    shop.press("Stop playing")
    shop.until("explorer.timeline_view.playing", lambda value: not value)
    assert shop.value("explorer.timeline_view.cursor") is not None


def test_step_does_one_thing_and_run_all_the_rest(shop: Sheet) -> None:
    for index in (0, 2):
        shop.run(index)
    shop.alive()
    assert shop.value("len(system.trace.of_kind('delivery'))") == 0
    shop.press("Step")
    shop.until("explorer.view.status", lambda value: value.startswith("One step: "))
    assert shop.page.locator(".mes-status").inner_text().startswith("One step")
    shop.press("Run")
    shop.until("explorer.view.status", lambda value: "nothing is due" in value)
    assert shop.value("len(system.dead_letters())") == 3
    shop.sees(
        "(count) => document.querySelectorAll('.mes-mark').length === count",
        shop.value("len(system.timeline().marks)"),
    )
    shop.shot("stepped-and-run")


def test_a_dead_letter_is_replayed_and_only_that_one(shop: Sheet) -> None:
    shop.say("broken['now'] = False")
    shop.mark("dead", "charge").click()
    shop.page.get_by_role("button", name="Replay this dead letter").click()
    shop.until("len(system.dead_letters())", lambda value: value == 2)
    shop.press("Run")
    shop.until("sum(d.handler == 'charge' and d.outcome == 'done' "
               "for d in system.trace.deliveries())", lambda value: value == 1)  # fmt: skip
    shop.shot("replayed")


def test_all_dead_letters_are_replayed_at_once(shop: Sheet) -> None:
    shop.page.get_by_role("button", name="Replay dead letters (3)").click()
    shop.until("len(system.dead_letters())", lambda value: value == 0)


def test_the_knobs_are_those_of_the_network(shop: Sheet) -> None:
    for name, value in (("loss", "0.25"), ("duplicates", "0.5"), ("reorder", "0.1"), ("to", "2")):
        field = shop.page.get_by_label(name, exact=True).last
        field.fill(value)
        field.press("Tab")
    network = "[getattr(system.network, n) for n in ('loss', 'duplicates', 'reorder', 'latency')]"
    shop.until(network, lambda value: value == [0.25, 0.5, 0.1, [0, 2]])
    shop.say("system.network.loss = 0.75")
    shop.sees(
        "[...document.querySelectorAll('.mes-controls-area input')].some((i) => i.value === '0.75')"
    )


def test_a_crash_is_armed(shop: Sheet) -> None:
    shop.page.get_by_label("crash", exact=True).last.select_option("before_ack")
    shop.page.get_by_label("in", exact=True).last.select_option("inventory")
    shop.press("Crash")
    shop.until("repr(system.faults)", lambda value: value == "Faults(1 x before_ack in inventory)")
