"""What a cell that shows an explorer holds: the static pictures, and a place for the live one.

A widget view in an output is gone when the notebook is opened again: "model not
found". So the output is the static picture, which every reader understands, and
the explorer takes its place in the page as long as its kernel is alive.
"""

from __future__ import annotations

from modulus_es.views.handler_graph import HandlerGraph
from modulus_es.views.svg import escaped
from modulus_es.views.timeline import Timeline


def html_of(graph: HandlerGraph, timeline: Timeline, key: str) -> str:
    """The pictures of both, in the place that ``key`` names, if it names one."""
    place = f' data-modulus-es="{escaped(key)}"' if key else ""
    return f"<div{place}><div>{graph.to_html()}{timeline.to_html()}</div></div>"
