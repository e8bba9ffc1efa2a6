"""Ten thousand strings that want to be more than text, and every view made of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cache
from itertools import pairwise, zip_longest

from modulus_es.clock import START
from modulus_es.views.catalogue import Catalogue
from modulus_es.views.contracts import Contract, Field
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node
from modulus_es.views.marks import KINDS, Mark
from modulus_es.views.sequence import SequenceDiagram
from modulus_es.views.timeline import Timeline

PIECES = [
    "<script>alert(1)</script>", "</script>", "</style>", "</svg>", "</title>", "<img src=x ",
    "onerror=alert(1)>", '" onload="alert(1)', "' onclick='alert(1)", "javascript:alert(1)",
    "<svg onload=alert(1)>", "<iframe srcdoc='<script>alert(1)</script>'>",
    "<base href=//x.example>", "<details open ontoggle=alert(1)>",
    "<link rel=stylesheet href=//x.example/c>", "<input autofocus onfocus=alert(1)>",
    "<meta http-equiv=refresh content='0;url=//x.example'>",
    "<!--", "-->", "<![CDATA[", "]]>", "<?xml ?>", "<!DOCTYPE a [<!ENTITY b 'c'>]>", "&b;", "&#0;",
    "&lt;", "&amp;", "&", "<", ">", '"', "'", "`", "\\", "${1}", "{{1}}", "%s", "\x00", "\x07",
    "\x1b[31m", "\x7f", "\x85", "\r\n", "\t", "\u2028", "\u202e", "\u2066", "\u200b", "\u200d",
    "\ufeff", "\ud800", "\udfff", "\ufffe", "\U0001ffff", "\U000e0041", "\u0301" * 9, "注文",
    "مرحبا", "\U0001f4a5", "url(//x.example/a)", "@import '//x.example'", "*{display:none}",
    "expression(alert(1))", "data:text/html,<script>", "$\\href{javascript:alert(1)}{x}$",
    "a" * 300, "Order", " ",
]  # fmt: skip
COUNT = 10_000


@cache
def strings() -> tuple[str, ...]:
    """The pieces themselves, one of a million letters, and what a seed makes of the pieces."""
    random_ = random.Random(42)
    made = ["", "x" * 1_000_000, "<b>" * 350_000, *PIECES]
    while len(made) < COUNT:
        length = random_.randrange(1, 6)
        made.append("".join(random_.choice(PIECES) for _ in range(length)))
    return tuple(made)


def chunks(size: int) -> Iterator[list[str]]:
    """All of them, so many at a time."""
    for start in range(0, COUNT, size):
        yield list(strings()[start : start + size])


def together(texts: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """So many strings at a time: what is drawn has many fields, and drawing is what takes long.

    Each piece is in hundreds of strings, so every field gets every piece all the same.
    """
    return zip_longest(*(texts[start::size] for start in range(size)), fillvalue="")


def graph(texts: Sequence[str]) -> HandlerGraph:
    """A node for every three of them, in modules that are called like them."""
    kinds = ("command", "handler", "domain_event", "integration_event")
    nodes = [
        Node(f"{i}{one[:90]}", kinds[i % 4], two, texts[i // 20], three, i)
        for i, (one, two, three) in enumerate(together(texts, 3))
    ]
    ends = [node.id for node in nodes]
    edges = [Edge(one, other, "event") for one, other in pairwise(ends)]
    return HandlerGraph(nodes, edges[::3], title=texts[0])


def marks(texts: Sequence[str]) -> list[Mark]:
    """A mark for every four of them, each of which is shown, as a mark has so many texts."""
    return [
        Mark(
            START + timedelta(seconds=i), START + timedelta(seconds=i + 1), texts[i // 10], one,
            KINDS[i % len(KINDS)], two, two, i % 3, three, one, three, four,
        )
        for i, (one, two, three, four) in enumerate(together(texts, 4))
    ]  # fmt: skip


def timeline(texts: Sequence[str]) -> Timeline:
    """The marks over time, with arrows."""
    return Timeline(marks(texts), title=texts[0], arrows=True)


def sequence(texts: Sequence[str]) -> SequenceDiagram:
    """The marks as one conversation."""
    return SequenceDiagram(marks(texts), title=texts[0])


def catalogue(texts: Sequence[str]) -> Catalogue:
    """A contract for every five of them, each of which is shown."""
    return Catalogue(
        Contract(
            one, 1, (Field(two, three),), {three: (Field(four, five),)}, {five: {one: two}},
            (four,), ((five, one),), two, {"title": three, four: [five]},
        )
        for one, two, three, four, five in together(texts, 5)
    )  # fmt: skip
