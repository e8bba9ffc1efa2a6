"""The saved page: one file that runs its own script, and asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from modulus_es.clock import START
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.marks import Mark
from modulus_es.views.page import page
from modulus_es.views.picture import Picture
from modulus_es.views.sequence import SequenceDiagram
from modulus_es.views.theme import STYLES
from modulus_es.views.timeline import Timeline

MARKS = [Mark(START, START, "orders", "place", "done", "", "Place")]
PICTURES: list[Picture] = [
    HandlerGraph(
        [Node("a", "command", "Place", "orders"), Node("b", "handler", "place", "orders")],
        [Edge("a", "b")],
    ),
    Timeline(MARKS),
    SequenceDiagram(MARKS),
]


@pytest.mark.parametrize("picture", PICTURES, ids=repr)
def test_a_page_names_no_other_address(picture: Picture) -> None:
    text = picture.to_page().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//[a-z]|<link|@import|url\(|\bsrc=|\bhref=|\bon[a-z]+=", text)


@pytest.mark.parametrize("picture", PICTURES, ids=repr)
def test_the_policy_of_a_page_lets_its_own_script_run_and_nothing_else(picture: Picture) -> None:
    text = picture.to_page()
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall('Content-Security-Policy" content="(.*?)"', text)
    assert policy.split("; ") == [
        "default-src 'none'", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'",
        "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip


@pytest.mark.parametrize("picture", PICTURES, ids=repr)
def test_a_page_has_the_picture_the_text_and_the_table(picture: Picture) -> None:
    text = picture.to_page()
    assert picture.to_svg() in text
    assert "<p>Handler graph: " in text or "<p>Delivery" in text or "<p>Sequence" in text
    assert "<table>" in text


def test_the_buttons_of_a_page_have_names_and_its_picture_says_which_keys_work() -> None:
    text = PICTURES[0].to_page()
    assert re.findall(r"<button[^>]*>(.*?)</button>", text) == [
        "Previous", "Next", "Zoom in", "Zoom out", "Whole picture", "Actual size",
    ]  # fmt: skip
    assert '<label for="filter">Filter</label>' in text
    assert "arrow keys move, + and - zoom" in text


def test_the_title_and_the_text_of_a_page_are_escaped() -> None:
    text = page("<b>", "<svg></svg>", '"&<i>', "")
    assert "<title>&lt;b&gt;</title>" in text
    assert "<p>&quot;&amp;&lt;i&gt;</p>" in text


def test_the_script_is_written_for_a_page_and_holds_no_markup() -> None:
    text = PICTURES[0].to_page()
    assert text.count("<script>") == text.count("</script>") == 1
    assert not re.search(r"innerHTML|insertAdjacent|document\.write|eval|Function\(", text)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_can_be_asked_for_in_one_theme(theme: str, tmp_path: Path) -> None:
    saved = PICTURES[0].save(tmp_path / "page.html", theme).read_text(encoding="utf-8")
    assert f'<html lang="en" class="{theme}">' in saved
    assert "prefers-color-scheme" not in saved


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf", ".html"])
def test_a_picture_is_saved_in_the_dark_and_in_the_light(suffix: str, tmp_path: Path) -> None:
    files = [
        PICTURES[0].save(tmp_path / f"{theme}{suffix}", theme).read_bytes()
        for theme in ("light", "dark", "light")
    ]
    assert files[0] == files[2] != files[1]


def test_an_unknown_theme_is_refused_by_every_renderer(tmp_path: Path) -> None:
    for suffix in (".svg", ".png", ".pdf", ".html"):
        with pytest.raises(ValueError, match="not 'pink'"):
            PICTURES[0].save(tmp_path / f"picture{suffix}", "pink")


@pytest.mark.parametrize(("theme", "scheme"), [("light", 0), ("dark", 1)])
def test_matplotlib_draws_on_the_paper_of_the_theme(theme: str, scheme: int) -> None:
    from matplotlib.colors import to_hex

    figure = PICTURES[0].plot(theme=theme)
    assert to_hex(figure.get_facecolor()) == STYLES["paper"].fill[scheme]


def test_matplotlib_brings_the_dark_paper_into_axes_that_it_is_given() -> None:
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure
    from matplotlib.patches import PathPatch

    axes = Figure().subplots()
    PICTURES[0].plot(axes, theme="dark")
    first = next(artist for artist in axes.get_children() if isinstance(artist, PathPatch))
    assert to_hex(first.get_facecolor()) == STYLES["paper"].fill[1]


def test_the_picture_of_a_page_is_well_formed() -> None:
    for picture in PICTURES:
        (drawn,) = re.findall("<svg .*?</svg>", picture.to_page(), re.DOTALL)
        assert ET.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"
