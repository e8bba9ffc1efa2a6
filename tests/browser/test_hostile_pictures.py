"""Ten thousand hostile strings in every static view, as a browser reads it: nothing acts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from hostile_pictures import PIECES, catalogue, chunks, graph, sequence, timeline
from sentinel import Sentinel

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# Every picture can be read: of one that is no SVG nothing has a size.
READ = """
async () => {
  const images = [...document.images];
  await Promise.all(images.filter((image) => !image.complete).map((image) =>
    new Promise((go) => { image.onload = image.onerror = go; })));
  return images.map((image) => image.naturalWidth > 100);
}
"""


@pytest.fixture
def watched(browser: Any) -> Iterator[Sentinel]:
    """A page of its own, and who watches it."""
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    yield Sentinel(context.new_page()).watch()
    context.close()


def outputs(texts: list[str]) -> str:
    """What a notebook of all views has as outputs, one behind the other."""
    drawn = (graph(texts), timeline(texts), sequence(texts))
    return "".join([*(view.to_html() for view in drawn), catalogue(texts).to_html()])


def test_nothing_of_ten_thousand_hostile_strings_acts_in_an_output(watched: Sentinel) -> None:
    for texts in chunks(2000):
        watched.page.set_content(f"<main>{outputs(texts)}</main>")
        assert ask(watched.page, READ) == [True, True, True]
        # The page is as it was written: no string closed what it stands in.
        assert watched.page.locator("body > *").count() == 1
        assert watched.page.locator("main > table > tbody > tr").count() == len(texts) // 5
        assert watched.made("main") == []
    assert watched.did == []


@pytest.mark.parametrize("view", [graph, timeline, sequence])
def test_nothing_of_ten_thousand_hostile_strings_acts_in_a_saved_page(
    view: Any, watched: Sentinel, tmp_path: Path
) -> None:
    for texts in chunks(2000):
        watched.page.goto(view(texts).save(tmp_path / "page.html").as_uri())
        assert watched.page.locator("tbody tr").count() >= len(texts) // 4
        watched.page.fill("#filter", "alert")
        watched.page.keyboard.press("Enter")
        assert "alert" in watched.page.inner_text("#said")
        assert watched.page.locator("script").count() == 1
        assert watched.made("main") == []
    assert watched.did == []


def test_the_sentinel_notices_each_way_of_acting(watched: Sentinel) -> None:
    watched.page.set_content(f"<main>{' > '.join(PIECES[:17])}</main>")
    watched.page.set_content("<script>alert(1)</script>")
    watched.page.set_content("<main><img src=x onerror=alert(1)><svg onload=alert(1)></svg></main>")
    assert len(watched.made("main")) == 3
    watched.page.set_content("<iframe srcdoc='<script>confirm(1)</script>'></iframe>")
    watched.page.set_content("<link rel=stylesheet href='http://x.example/c'>")
    watched.page.set_content("<style>*{background:url(http://x.example/a)}</style>")
    watched.page.wait_for_timeout(200)
    # A dialog is noticed too, where the page was written before anybody could listen in it.
    alerts = [
        said for said in watched.did if said in ("dialog: 1", "a hostile string called alert")
    ]
    assert len(alerts) >= 3
    assert "a hostile string called confirm" in watched.did
    assert "request: http://x.example/c" in watched.did
    assert "request: http://x.example/a" in watched.did
