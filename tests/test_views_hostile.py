"""Ten thousand hostile strings in every view: escaped, cut with a count, and nothing else."""

from __future__ import annotations

import re
import sys
from base64 import b64decode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hostile_pictures import PIECES, catalogue, chunks, graph, sequence, timeline, together

from modulus_es.clock import START
from modulus_es.trace import TraceRecord
from modulus_es.views.frames import deliveries_frame, events_frame, trace_frame
from modulus_es.views.handler_graph import HandlerGraph, Node
from modulus_es.views.page import _asset
from modulus_es.views.rows import EventRow
from modulus_es.views.sequence import SequenceDiagram
from modulus_es.views.timeline import Timeline

SVG_TAGS = {"svg", "title", "style", "path", "g", "text"}
HTML_TAGS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "div", "label", "input", "span",
    "button", "details", "summary", "p", "table", "caption", "thead", "tbody", "tr", "th", "td",
    "br", "small", "pre", "img", "script",
}  # fmt: skip
ATTRIBUTES = {
    "width", "height", "viewbox", "role", "aria-label", "data-key", "class", "d", "style", "x", "y",
    "text-anchor", "textlength", "lengthadjust", "xmlns", "alt", "src", "scope", "lang", "charset",
    "http-equiv", "content", "name", "hidden", "for", "id", "type", "autocomplete", "data-act",
    "tabindex", "border",
}  # fmt: skip


class Reader(HTMLParser):
    """What a browser would make of a page: its tags, their attributes, its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[str] = []
        self.images: list[bytes] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        # A tag that is not closed, or not the one that was opened, is not well formed.
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_TAGS | HTML_TAGS
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            if name == "src":
                kind, _, data = (value or "").partition(",")
                assert kind == "data:image/svg+xml;base64"
                self.images.append(b64decode(data, validate=True))
        if tag not in ("meta", "input", "br", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment came in")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("a processing instruction came in")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError("a declaration came in")


CHUNK = 200
MAKERS: dict[str, Callable[[list[str]], HandlerGraph | Timeline | SequenceDiagram]] = {
    "graph": graph,
    "timeline": timeline,
    "sequence": sequence,
}


@pytest.mark.parametrize("view", MAKERS)
@pytest.mark.slow
def test_ten_thousand_hostile_strings_are_a_picture_and_nothing_else(view: str) -> None:
    for texts in chunks(CHUNK):
        picture = MAKERS[view](texts)
        shown = Reader(picture.to_html())
        assert shown.scripts == []
        (drawn,) = shown.images
        for element in ET.fromstring(drawn).iter():
            assert element.tag.rpartition("}")[2] in SVG_TAGS
            assert {name.lower() for name in element.attrib} <= ATTRIBUTES
        assert Reader(picture.to_page()).scripts == [_asset("page.js")]
        repr(picture).encode()
        # 200 values of a megabyte would be 200 MB: what is long is cut.
        assert len(drawn) < 2_000_000


@pytest.mark.slow
def test_ten_thousand_hostile_strings_are_a_catalogue_and_nothing_else() -> None:
    for texts in chunks(CHUNK):
        made = catalogue(texts)
        page = made.to_html()
        assert Reader(page).scripts == []
        assert len(page) < 3_000_000
        made.to_text().encode()


@pytest.mark.slow
def test_ten_thousand_hostile_strings_are_tables_and_nothing_else() -> None:
    for texts in chunks(CHUNK):
        rows = [
            EventRow(i, one, other, one, 1, other, one, START, {one: other, "of": [other]})
            for i, (one, other) in enumerate(together(texts, 2))
        ]
        records = [
            TraceRecord(START, "delivery", one, other, one, other, 1, one, other, one, other, one)
            for one, other in together(texts, 2)
        ]
        for frame in (events_frame(rows), deliveries_frame(records), trace_frame(records)):
            # Of many rows pandas shows ten, unless it is told to show them all.
            with pd.option_context("display.max_rows", None):
                page = frame._repr_html_()
            # pandas brings a style of its own, which is no business of this test.
            assert Reader(re.sub("<style scoped>.*?</style>", "", page, count=1, flags=re.DOTALL))
            page.encode()


LONG = "x" * 1_000_000


@pytest.mark.parametrize("view", MAKERS)
def test_a_value_of_a_megabyte_is_cut_and_says_how_much(view: str) -> None:
    picture = MAKERS[view]([LONG, "a", "b"])
    for text in (picture.to_svg(), picture.to_html(), picture.to_page(), picture.alt()):
        assert len(text) < 100_000
    assert "… +999" in picture.to_page()


def test_a_contract_of_megabytes_is_cut_and_says_how_much() -> None:
    page = catalogue([LONG]).to_html()
    assert len(page) < 10_000
    assert "… +999800" in page


@pytest.mark.parametrize("text", PIECES)
def test_mermaid_and_dot_hold_one_hostile_string_in_its_quotes(text: str) -> None:
    made = HandlerGraph([Node("a", "handler", text, text)], [])
    *_, label, _ = made.to_mermaid().splitlines()
    assert re.fullmatch(r'    n0\["[\w .,:()#;\-]*"\]', label, re.ASCII)
    lines = made.to_dot().splitlines()
    assert len(lines) == 8
    assert re.fullmatch(r'    n0 \[label="(?:[^"\\]|\\.)*", shape=box\];', lines[5])
