"""The hand-written SVG and HTML: escaped, well formed, the same bytes everywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modulus_es.clock import START
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.marks import Mark
from modulus_es.views.picture import Picture
from modulus_es.views.scene import Group, Label, Scene, Shape, circle, line, polygon, rectangle
from modulus_es.views.svg import escaped, number, to_svg
from modulus_es.views.text import AS_IT_IS, fitted, is_plain, shown, width_of
from modulus_es.views.theme import STYLES
from modulus_es.views.timeline import Timeline

SVG = "{http://www.w3.org/2000/svg}"
OURS = {
    "svg": {"width", "height", "viewBox", "role", "aria-label"},
    "title": set(),
    "style": set(),
    "g": {"data-key"},
    "path": {"class", "d", "style"},
    "text": {"class", "x", "y", "text-anchor", "textLength", "lengthAdjust"},
}

WICKED = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "]]><svg onload=alert(1)>",
    "<!-- --><!DOCTYPE x [<!ENTITY a 'b'>]>&a;&#0;&lt;",
    "</title></style></text><foreignObject/>",
    "\x00\x01\x08\x0b\x1f\x7f\x85\x9f",
    "\ud800 \udfff \ufffe \uffff \U0001ffff",
    "\u202egnirts desrever\u202c \u200b\u200d\ufeff\u2066",
    "Z\u0351\u034a\u0357\u0300\u0301\u0302a\u0301\u0302\u0303lgo",
    "javascript:alert(1) ${7*7} {{7*7}} %s",
    "url(https://example.org/x) @import 'x'; } * { display: none }",
    "x" * 10_000,
    "\n\r\t  ",
    "",
    "注文が作成されました",
    "\U0001f4a5\U0001f468\u200d\U0001f469",
    "$\\frac{1}{0}$ _x^",
]
texts = st.one_of(
    st.sampled_from(WICKED),
    st.text(st.characters(codec=None, exclude_categories=()), max_size=60),
    st.lists(st.sampled_from([*"<>&\"'/=;:#", "script", "on", "svg", "\x00", "\ud800"])).map(
        "".join
    ),
)


def assert_ours(svg: str) -> ET.Element:
    """The picture is XML, encodes as UTF-8, and has no element or attribute that is not ours."""
    root = ET.fromstring(svg.encode())
    for element in root.iter():
        name = element.tag.removeprefix(SVG)
        assert name in OURS
        assert set(element.attrib) <= OURS[name]
        style = element.get("style")
        assert style is None or re.fullmatch(r"stroke-width:[\d.]+", style)
        assert re.fullmatch(r"m-[a-z_-]+", element.get("class", "m-none"))
        assert re.fullmatch(r"[MLCZ\d .\-HV]*", element.get("d", ""))
    return root


class Outline(HTMLParser):
    """The tags and attributes of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data


def assert_harmless(html: str) -> None:
    allowed = {
        "div": {"style"}, "img": {"width", "height", "style", "alt", "src"}, "details": {"class"},
        "summary": set(), "table": set(), "thead": set(), "tbody": set(), "tr": set(),
        "th": {"scope"}, "td": set(), "p": set(),
    }  # fmt: skip
    for tag, attributes in Outline(html).tags:
        assert set(attributes) <= allowed[tag]
        # In the table below a picture a notebook must not read TeX, which may have links.
        assert tag != "details" or attributes["class"] == AS_IT_IS
        assert (attributes.get("src") or "data:image/svg+xml;base64,").startswith(
            "data:image/svg+xml;base64,"
        )
    html.encode()


@given(texts)
def test_escaped_text_comes_back_from_xml_without_what_xml_forbids(text: str) -> None:
    root = ET.fromstring(f'<a b="{escaped(text)}">{escaped(text)}</a>'.encode())
    assert root.text == root.get("b") or (root.text, root.get("b")) == (None, "")
    kept = [c for c in text if c.isprintable() and c.isascii()]
    assert [c for c in root.get("b", "") if c in kept and c != " "] == [c for c in kept if c != " "]


@given(texts)
def test_what_is_shown_has_nothing_invisible_in_it(text: str) -> None:
    seen = shown(text)
    seen.encode()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]", seen)


@given(texts, texts, texts, texts)
def test_a_graph_of_hostile_names_is_a_picture_and_nothing_else(
    label: str, module: str, note: str, id_: str
) -> None:
    nodes = [
        Node(id_ + "1", "command", label, module, note, 1, 2, 3),
        Node(id_ + "2", "integration_event", label, note, module),
    ]
    graph = HandlerGraph(nodes, [Edge(id_ + "1", id_ + "2", "event")], title=note)
    root = assert_ours(graph.to_svg())
    assert len(root.findall(f"{SVG}g[@data-key]")) == 2
    assert_harmless(graph.to_html())


@given(texts, texts, texts, texts)
def test_a_timeline_of_hostile_names_is_a_picture_and_nothing_else(
    module: str, handler: str, type_: str, error: str
) -> None:
    later = START + timedelta(seconds=3)
    marks = [
        Mark(START, START, module, handler, "retry", "m1", type_, 1, error, error, error, error),
        Mark(START, later, handler, module, "waiting", error, type_),
        Mark(later, later, module, handler, "dead", "m1", type_, 2, error=error),
    ]
    timeline = Timeline(marks, arrows=True, title=error)
    assert_ours(timeline.to_svg())
    assert_harmless(timeline.to_html())


@pytest.mark.parametrize("text", WICKED, ids=range(len(WICKED)))
def test_matplotlib_draws_hostile_names_without_a_warning(text: str) -> None:
    graph = HandlerGraph([Node("a", "command", text, text, text)], [])
    assert graph.to_png().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (-0.0, "0"), (1.005, "1"), (2.5, "2.5"), (-1.25, "-1.25"), (1e-9, "0"),
        (1e6, "1000000"), (0.1 + 0.2, "0.3"), (99.999, "100"), (-0.01, "-0.01"),
    ],
)  # fmt: skip
def test_a_number_has_at_most_two_decimals_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_every_style_of_the_theme_is_written_and_drawn() -> None:
    scene = Scene(100, 100, "All styles")
    for name, style in STYLES.items():
        if style.size:
            scene.add(Label(1, 2, "Text", name, "middle", 20))
        else:
            scene.add(Group([Shape(circle(5, 5, 4), name, 2)], "A circle", "key"))
    svg = to_svg(scene)
    assert_ours(svg)
    assert all(f".m-{name}{{" in svg for name in STYLES)


def test_a_theme_that_follows_the_reader_has_both_sets_of_colours() -> None:
    scene = Scene(9, 9, "t", [Shape(line((0, 0), (1, 1)), "sync")])
    light, dark = STYLES["sync"].stroke
    assert "prefers-color-scheme:dark" in to_svg(scene)
    assert (light in to_svg(scene, "light"), dark in to_svg(scene, "light")) == (True, False)
    assert (light in to_svg(scene, "dark"), dark in to_svg(scene, "dark")) == (False, True)


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(ValueError, match="auto, light or dark, not 'pink'"):
        to_svg(Scene(9, 9, "t"), "pink")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_everything_that_it_stands_on(scheme: int) -> None:
    kinds = ("command", "query", "aggregate", "domain_event", "handler", "projector")
    grounds = [*kinds, "integration_event", "paper", "module", "lane"]
    for ground in grounds:
        for name, style in STYLES.items():
            if style.size:
                ratio = contrast(STYLES[ground].fill[scheme], style.fill[scheme])
                assert ratio >= 4.5, (ground, name, ratio)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_lines_stand_out_from_the_paper(scheme: int) -> None:
    for name in ("command", "aggregate", "handler", "sync", "event", "waiting", "done", "retry"):
        ratio = contrast(STYLES["paper"].fill[scheme], STYLES[name].stroke[scheme])
        assert ratio >= 3, (name, ratio)


@pytest.mark.parametrize("length", [23, 200, 1_000_000])
def test_text_that_does_not_fit_is_cut_and_says_how_much(length: int) -> None:
    cut = fitted("x" * length, 120, 12)
    kept, _, more = cut.partition("… +")
    assert width_of(cut, 12) <= 120
    assert len(kept) + int(more) == length
    assert fitted("Order", 80, 12) == "Order"


def test_what_is_cut_says_how_much() -> None:
    assert shown("x" * 1_000_000, 10) == "x" * 10 + "… +999990"


def test_only_known_letters_are_relied_on() -> None:
    assert is_plain("Café Ångström Привет …")
    assert not is_plain("注文")


def test_shapes_are_closed_or_open() -> None:
    assert polygon([(0, 0), (1, 1)])[-1] == ("Z",)
    assert line((0, 0), (1, 1)) == (("M", 0, 0), ("L", 1, 1))
    assert rectangle(0, 0, 2, 1, 0)[-1] == rectangle(0, 0, 2, 1, 0.5)[-1] == ("Z",)


SAMPLE = """
from datetime import timedelta
from modulus_es.clock import START
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.marks import Mark
from dataclasses import dataclass
from enum import Enum
from typing import Literal
from uuid import UUID
from modulus_es import IntegrationEvent
from modulus_es.views.catalogue import Catalogue
from modulus_es.views.contracts import contract_of
from modulus_es.views.sequence import SequenceDiagram
from modulus_es.views.timeline import Timeline
class Way(Enum):
    CARD = "card"
    CASH = "cash"
@dataclass(frozen=True)
class Part:
    way: Way
    cents: int = 0
class Paid(IntegrationEvent):
    parts: list[Part]
    by: UUID | str = ""
    how: Literal["now", "later", 3] | None = None
    seen: frozenset[Way] = frozenset()
kinds = ["command", "handler", "aggregate", "domain_event", "projector", "integration_event"]
names = [f"n{i * 7 % 41}" for i in range(41)]
nodes = [Node(n, kinds[i % 6], n.upper(), f"m{i % 5}", count=i) for i, n in enumerate(names)]
edges = [Edge(names[i], names[(i * i + 3) % 41], ("sync", "event")[i % 2], i) for i in range(40)]
edges += [Edge(names[i], names[i - 3], "event") for i in range(9, 30, 4)]
graph = HandlerGraph(nodes, edges)
marks = [
    Mark(START + timedelta(seconds=i / 7), START + timedelta(seconds=i / 7 + i % 3), f"m{i % 3}",
         f"h{i % 4}", ["recorded", "waiting", "done", "retry", "dead"][i % 5], f"i{i % 9}", "T")
    for i in range(90)
]
timeline = Timeline(marks, arrows=True)
log = timeline.filter(since=START + timedelta(seconds=1.1), axis="log", arrows=False)
sequence = SequenceDiagram(marks, commands={"i1"})
catalogue = Catalogue([contract_of(Paid, ("b", "a"))])
for text in (log.to_svg(), sequence.to_svg(), sequence.to_text(), sequence.to_mermaid(),
             graph.to_page(), catalogue.to_json(), catalogue.to_html(), graph.to_svg(),
             graph.to_html(), graph.alt(), graph.to_mermaid(), graph.to_dot(),
             repr(graph), timeline.to_svg(), timeline.to_html(), timeline.alt(), repr(timeline)):
    print(text)
"""


def printed(seed: str) -> str:
    command = [sys.executable, "-c", SAMPLE]
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"}
    done = subprocess.run(command, capture_output=True, check=True, env=env)
    return done.stdout.decode()


@pytest.mark.slow
def test_pictures_have_the_same_bytes_whatever_the_hash_seed() -> None:
    first = printed("0")
    assert "<svg" in first
    assert printed("1") == printed("4242") == first


PICTURES: list[Picture] = [
    HandlerGraph([Node("a", "command", "Place", "orders")], []),
    HandlerGraph([], []),
    Timeline([Mark(START, START, "orders", "place", "done", "m1", "Place")]),
    Timeline([]),
]


@pytest.mark.parametrize("picture", PICTURES, ids=repr)
def test_a_notebook_is_given_an_image_with_alt_text_a_table_a_png_and_a_text(
    picture: Picture,
) -> None:
    bundle = picture._repr_mimebundle_()
    assert list(bundle) == ["text/html", "image/png", "text/plain"]
    tags = Outline(bundle["text/html"]).tags
    assert [a["alt"] for tag, a in tags if tag == "img"] == [picture.alt()]
    assert {"details", "table"} <= {tag for tag, _ in tags}
    assert "<svg" not in bundle["text/html"]
    assert bundle["text/plain"] == repr(picture)


@pytest.mark.parametrize("picture", PICTURES, ids=repr)
def test_a_picture_has_a_repr_without_an_address(picture: Picture) -> None:
    for text in (repr(picture), picture.alt(), picture.to_svg(), str(picture.table())):
        assert not re.search(r"0x[0-9a-f]{6}| at 0x", text)


@pytest.mark.parametrize("picture", PICTURES, ids=repr)
def test_a_picture_is_the_same_twice(picture: Picture) -> None:
    assert picture.to_svg() == picture.to_svg()
    assert picture.to_png() == picture.to_png()


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".svg", b"<svg"), (".png", b"\x89PNG"), (".pdf", b"%PDF"), (".html", b"<!DOCTYPE html>")],
)
def test_a_picture_is_saved_as_its_suffix_says(suffix: str, start: bytes, tmp_path: object) -> None:
    from pathlib import Path

    path = PICTURES[0].save(Path(str(tmp_path)) / f"picture{suffix}")
    assert path.read_bytes().startswith(start)


def test_an_unknown_suffix_is_refused(tmp_path: object) -> None:
    with pytest.raises(ValueError, match=r"picture.gif: a picture is saved as .svg, .png"):
        PICTURES[0].save(f"{tmp_path}/picture.gif")


def test_matplotlib_draws_into_axes_that_it_is_given() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3))
    left, right = figure.subplots(1, 2)
    assert PICTURES[0].plot(right) is figure
    assert (len(left.patches), len(right.patches) > 0) == (0, True)


@pytest.mark.slow
def test_pyplot_is_never_touched() -> None:
    code = (
        "import sys\n"
        "from modulus_es.views.handler_graph import HandlerGraph, Node\n"
        "HandlerGraph([Node('a', 'command', 'A', 'm')], []).to_png()\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_views_are_cheap_to_import() -> None:
    code = (
        "import sys\n"
        "from modulus_es.views import frames, handler_graph, timeline\n"
        "print([m for m in ('pandas', 'networkx', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_bars_of_counts_can_be_told_apart_without_colour(scheme: int) -> None:
    fine, bad, dead = (STYLES[name].fill[scheme] for name in ("count", "count-bad", "count-dead"))
    assert contrast(STYLES["lane"].fill[scheme], fine) >= 3
    assert contrast(fine, bad) >= 1.8
    assert contrast(bad, dead) >= 1.8
