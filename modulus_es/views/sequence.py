"""The sequence diagram: one conversation, from module to module."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from modulus_es.clock import iso
from modulus_es.views.counting import all_counted
from modulus_es.views.graph_exports import numbered
from modulus_es.views.happenings import CALLER, Happening, happenings_of
from modulus_es.views.marks import Mark
from modulus_es.views.picture import Picture
from modulus_es.views.scene import Scene
from modulus_es.views.sequence_scene import sequence_scene
from modulus_es.views.text import shown
from modulus_es.views.timescale import lasting, micros

if TYPE_CHECKING:
    import pandas as pd

_MANY = 40
_COUNTED = ("command", "event", "done", "failed", "retry", "duplicate", "crash", "dead")
_END = re.compile(r"\bend\b", re.IGNORECASE)


class SequenceDiagram(Picture):
    """The messages of one conversation between the modules, and what became of them.

    ``commands`` are the ids of the messages that are commands. Time runs
    downward, a row for each thing that happened; it is not to scale, for that
    there is the timeline.

    >>> from modulus_es.clock import START
    >>> mark = Mark(START, START, "orders", "place_order", "done", "", "PlaceOrder")
    >>> diagram = SequenceDiagram([mark])
    >>> diagram
    SequenceDiagram(2 lifelines, 1 command, 1 done)
    >>> diagram.to_svg()[:5]
    '<svg '
    >>> print(diagram.to_text())
    2024-01-01T00:00:00Z  (caller) -> orders: PlaceOrder
    2024-01-01T00:00:00Z  orders: PlaceOrder at place_order done
    """

    def __init__(
        self,
        marks: Iterable[Mark],
        *,
        commands: Collection[str] = (),
        title: str = "Sequence diagram",
    ) -> None:
        held = sorted(marks, key=lambda mark: mark.time)
        self.happenings = tuple(happenings_of(held, commands))
        self.title = title

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """The lifelines: the caller if there is one, then the modules as they come in."""
        names = dict.fromkeys(
            end for happening in self.happenings for end in (happening.source, happening.target)
        )
        return tuple(sorted(names, key=lambda name: name != CALLER))

    def scene(self) -> Scene:
        """The picture, before anybody draws it."""
        return self._drawn

    @cached_property
    def _drawn(self) -> Scene:
        return sequence_scene(
            f"{shown(self.title)}: {self._said}",
            self._heading,
            self.modules,
            self.happenings,
            self._sentence,
        )

    @cached_property
    def _heading(self) -> str:
        first = self.happenings[0].time if self.happenings else None
        return f"{self._said}, from {iso(first)}" if first else ""

    @cached_property
    def _said(self) -> str:
        counts = Counter(happening.kind for happening in self.happenings)
        counts["lifeline"] = len(self.modules)
        return ", ".join(all_counted(counts, ("lifeline", *_COUNTED))) or "nothing yet"

    def _sentence(self, happening: Happening) -> str:
        type_ = shown(happening.type, 80)
        target, handler = shown(happening.target, 80), shown(happening.handler, 80)
        if happening.is_message:
            source = shown(happening.source, 80)
            late = 0 if happening.sent is None else micros(happening.time) - micros(happening.sent)
            return f"{source} -> {target}: {type_}" + (f", after {lasting(late)}" if late else "")
        said = f"{target}: {type_} at {handler} {happening.kind}"
        said += f", attempt {happening.attempt}" if happening.attempt > 1 else ""
        said += f", {shown(happening.text, 200)}" if happening.text else ""
        return said + (f" ({shown(happening.error, 300)})" if happening.error else "")

    def to_text(self) -> str:
        """The diagram as lines of text, each with the time by the system's clock."""
        return "\n".join(
            f"{iso(happening.time)}  {self._sentence(happening)}" for happening in self.happenings
        )

    def alt(self) -> str:
        """What the picture says, in words: who told whom what, and what became of it."""
        said = [f"{shown(self.title)}: {self._said}."]
        said += [f"{self._sentence(happening)}." for happening in self.happenings[:_MANY]]
        if len(self.happenings) > _MANY:
            said.append(f"And {len(self.happenings) - _MANY} more, in the table.")
        return " ".join(said)

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        """The heads and rows of the table below the picture: a row for each thing."""
        heads = ("time", "kind", "from", "to", "handler", "type", "message", "attempt", "error")
        return heads, [
            (
                iso(row.time), row.kind, row.source, row.target, row.handler, row.type,
                row.message_id, row.attempt or "", row.error or row.text,
            )
            for row in self.happenings
        ]  # fmt: skip

    def to_frame(self) -> pd.DataFrame:
        """Every message and what became of it, in order."""
        import pandas as pd

        from modulus_es.views import columns

        rows = self.happenings
        names = ("kind", "source", "target", "handler", "type", "message_id", "text", "error")
        made = {name: columns.text([getattr(row, name) for row in rows]) for name in names}
        made["time"] = columns.times([row.time for row in rows])
        made["sent"] = columns.times([row.sent for row in rows])
        made["attempt"] = columns.integers([row.attempt for row in rows])
        return pd.DataFrame(made)[["time", "sent", *names[:6], "attempt", "text", "error"]]

    def to_mermaid(self) -> str:
        """The diagram as a Mermaid sequence diagram, for Markdown that renders it.

        >>> from modulus_es.clock import START
        >>> mark = Mark(START, START, "orders", "place_order", "done", "", "PlaceOrder")
        >>> print(SequenceDiagram([mark]).to_mermaid())
        sequenceDiagram
            participant m0 as (caller)
            participant m1 as orders
            m0->>m1: PlaceOrder
            Note right of m1: place_order done
        <BLANKLINE>
        """
        number = {name: f"m{index}" for index, name in enumerate(self.modules)}
        lines = ["sequenceDiagram"]
        lines += [f"    participant {number[name]} as {_mermaid(name)}" for name in self.modules]
        for row in self.happenings:
            if row.is_message:
                arrow = "-->>" if row.kind == "event" else "->>"
                ends = f"{number[row.source]}{arrow}{number[row.target]}"
                lines.append(f"    {ends}: {_mermaid(row.type)}")
            else:
                said = " ".join(filter(None, (row.handler, row.kind, row.text, row.error)))
                lines.append(f"    Note right of {number[row.target]}: {_mermaid(said)}")
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return f"SequenceDiagram({self._said})"


def _mermaid(text: str) -> str:
    # The word end would close a block that was never opened.
    return _END.sub(lambda found: f"#{ord(found[0][0])};{found[0][1:]}", numbered(text))
