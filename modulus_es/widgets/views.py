"""The three widgets of the explorer; their other halves are the ES modules beside this file."""

from __future__ import annotations

import anywidget
from traitlets import Bool, Dict, Float, Int, List, Unicode

from modulus_es.widgets import assets


class GraphView(anywidget.AnyWidget):
    """The handler graph in the page; a click arrives as a message, not as a state."""

    _esm = assets.module("graph")
    _css = assets.stylesheet("graph")

    data = Dict().tag(sync=True)
    """What `graph_data` answers."""
    selected = Unicode().tag(sync=True)
    """The id of the chosen node, empty without one."""
    filter = Dict().tag(sync=True)
    """Which deliveries the chosen node is about: ``lanes`` and ``types``."""
    highlighted = List(Unicode()).tag(sync=True)
    """The ids of the nodes that the chosen delivery's chain passed."""

    def __repr__(self) -> str:
        return f"GraphView({len(self.data.get('nodes', ()))} nodes)"


class TimelineView(anywidget.AnyWidget):
    """The delivery timeline in the page; a click arrives as a message, not as a state."""

    _esm = assets.module("timeline")
    _css = assets.stylesheet("timeline")

    data = Dict().tag(sync=True)
    """What `timeline_data` answers."""
    chosen = Int(-1).tag(sync=True)
    """The number of the chosen mark, -1 without one."""
    filter = Dict().tag(sync=True)
    """The ``lanes`` and ``types`` whose marks are shown; all without any."""
    highlighted = List(Unicode()).tag(sync=True)
    """The ids of the graph's nodes that the chosen delivery's chain passed."""
    cursor = Float(None, allow_none=True).tag(sync=True)
    """Where the scrubber is along the axis, 0 to 1; None is now."""
    playing = Bool(False).tag(sync=True)
    """Whether the cursor moves by itself."""

    def __repr__(self) -> str:
        return f"TimelineView({len(self.data.get('kind', b''))} marks)"


class ExplorerView(anywidget.AnyWidget):
    """Puts the parts together in the page; models are named by their ids."""

    _esm = assets.module("explorer")
    _css = assets.stylesheet("explorer")

    key = Unicode().tag(sync=True)
    """What marks the place in a cell's output where this explorer belongs."""
    parts = Dict().tag(sync=True)
    """The model ids of ``graph`` and ``timeline``, and of this, the ``explorer``."""
    controls = List(Dict(), default_value=None, allow_none=True).tag(sync=True)
    """The groups of controls, in order: a ``label``, and the ids of their ``models``.

    None until they are made: the page shows the views before.
    """
    inspected = Dict().tag(sync=True)
    """A ``title`` and ``sections``, see `modulus_es.widgets.inspecting`."""
    status = Unicode().tag(sync=True)
    """What happened last."""
    alarm = Bool(False).tag(sync=True)
    """Whether that is an error."""

    def __repr__(self) -> str:
        return "ExplorerView()"
