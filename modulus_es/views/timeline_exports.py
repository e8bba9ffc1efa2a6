"""The timeline for other tools: Mermaid and networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modulus_es.views.lives import causes_of, lives_of
from modulus_es.views.marks import SPANS
from modulus_es.views.sequence import SequenceDiagram

if TYPE_CHECKING:
    from modulus_es.views.timeline import Timeline


def to_mermaid(timeline: Timeline) -> str:
    """A sequence diagram of the same marks, because Mermaid has no lanes over time."""
    return SequenceDiagram(timeline.marks, title=timeline.title).to_mermaid()


def to_networkx(timeline: Timeline) -> Any:
    """A DiGraph of what led to what: each message in each lane, numbered as they come in."""
    import networkx as nx

    marks = timeline.marks
    lives = lives_of(marks)
    made = nx.DiGraph(name=timeline.title)
    number: dict[int, int] = {}
    for node, life in enumerate(lives):
        held = [marks[index] for index in life.marks]
        became = next((mark for mark in reversed(held) if mark.kind not in SPANS), held[-1])
        number.update(dict.fromkeys(life.marks, node))
        made.add_node(
            node, module=became.module, handler=became.handler, type=became.type,
            message_id=became.message_id, outcome=became.kind,
            began=held[0].time, ended=max(mark.end for mark in held),
            attempts=max(mark.attempt for mark in held),
        )  # fmt: skip
    causes = causes_of(marks, lives)
    made.add_edges_from((number[cause], number[effect]) for cause, effect in causes)
    return made
