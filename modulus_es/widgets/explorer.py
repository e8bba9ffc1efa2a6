"""The explorer: graph, timeline, inspector and controls of one system, linked and live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

# What the first paint does not need is imported where it is used: a reader waits for it.
from modulus_es.views.text import shown
from modulus_es.widgets import cells
from modulus_es.widgets.home import Home
from modulus_es.widgets.inspecting import NOTHING, inspected
from modulus_es.widgets.shown import place_of
from modulus_es.widgets.updates import Updates
from modulus_es.widgets.views import ExplorerView, GraphView, TimelineView

if TYPE_CHECKING:
    from modulus_es.system import System
    from modulus_es.views.handler_graph import HandlerGraph
    from modulus_es.views.marks import Mark
    from modulus_es.views.timeline import Timeline
    from modulus_es.widgets.controls import Controls
    from modulus_es.widgets.following import Following

_SEEN = 4
"""How many versions of the timeline are kept for clicks that are on their way."""


class Explorer:
    """Handler graph, delivery timeline, inspector and controls, which know of each other.

    `System.explore` makes one. It shows itself where a cell's value is shown: in
    JupyterLab it is alive, everywhere else, and in a notebook that is opened
    later, it is the static pictures. ``graph`` and ``timeline`` answer what is to
    be looked at; without a ``system`` there is nothing to control.

    >>> from modulus_es import System
    >>> explorer = System(seed=7).explore()
    >>> explorer
    Explorer(0 nodes, 0 marks)
    >>> explorer.close()
    """

    def __init__(
        self,
        system: System | None,
        graph: Callable[[], HandlerGraph],
        timeline: Callable[[], Timeline],
    ) -> None:
        self.system = system
        self._make_graph, self._make_timeline = graph, timeline
        self._graph: HandlerGraph | None = None
        self._timeline: Timeline | None = None
        self._marks: dict[int, Sequence[Mark]] = {}
        self._version = 0
        self._chosen: Mark | None = None
        self._listeners: list[Callable[[dict[str, Any]], None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.closed = False
        self._home = Home()
        self._controls: Controls | None = None
        self._furnished = False
        self.graph_view, self.timeline_view = GraphView(), TimelineView()
        own = uuid4().hex
        self.view = ExplorerView(
            model_id=own,
            key=cells.key(),
            parts={
                "graph": self.graph_view.model_id,
                "timeline": self.timeline_view.model_id,
                "explorer": own,
            },
            inspected=NOTHING,
        )
        for view in (self.graph_view, self.timeline_view):
            view.on_msg(self._home.here(self._clicked))
        self._whole = system is not None and timeline == system.timeline
        self._following: Following | None = None
        if system is not None and self._whole and cells.is_live():
            # Of very many deliveries, the page gets a first picture before all is known of each.
            from modulus_es.widgets.glance import glance

            seen = glance(system)
            if seen is not None:
                self.timeline_view.data = seen
        self._before = cells.opened(self)
        cells.soon(self._complete)
        self._updates = None
        self._defined: object = None
        if system is not None:
            self._updates = Updates(system.trace, self.refresh, self._failed)
            self._defined = _defined(system)
        self._unheed = cells.after_each(self._look_again)

    # What it shows

    @property
    def controls(self) -> Controls | None:
        """The buttons and knobs; None without a system.

        They are made when they are asked for, at the latest after the timeline, which a
        reader waits for.
        """
        if self._controls is None and self.system is not None and not self.closed:
            from modulus_es.widgets.controls import Controls

            self._controls = Controls(
                self.system, self._act, self._say, self._dead_letter, self._home
            )
        return self._controls

    def refresh(self) -> None:
        """Show the system as it is now; it happens by itself when something was traced."""
        if self.closed:
            return
        self._show_timeline()
        self._show_graph()

    def _complete(self) -> tuple[HandlerGraph, Timeline]:
        """Both pictures, made when they are asked for; the timeline is what a reader waits for."""
        from modulus_es.views.handler_graph import HandlerGraph
        from modulus_es.views.timeline import Timeline

        for explorer in self._before:
            explorer.close()
        self._before = []
        if self._timeline is None and not self.closed:
            self._show_timeline()
        # Until the kernel is done with that, it could not do what the controls ask for.
        if not self._furnished and not self.closed:
            self._furnish()
        if self._graph is None and not self.closed:
            self._show_graph()
        return self._graph or HandlerGraph([], []), self._timeline or Timeline([])

    def _furnish(self) -> None:
        """Show the controls."""
        self._furnished = True
        groups = {} if self.controls is None else self.controls.groups
        self.view.controls = [
            {"label": name, "models": [control.model_id for control in group]}
            for name, group in groups.items()
        ]

    def _show_timeline(self) -> None:
        from modulus_es.widgets.following import Following
        from modulus_es.widgets.timeline_data import timeline_data, travelling

        columns = None
        if self.system is None or not self._whole:
            self._timeline = self._make_timeline()
        else:
            self._following = self._following or Following(self.system)
            self._timeline = self._following.timeline()
            columns = self._following.columns
        self._version += 1
        self._marks[self._version] = travelling(self._timeline)
        self._marks.pop(self._version - _SEEN, None)
        chosen = self._index()
        with self.timeline_view.hold_sync():
            self.timeline_view.data = timeline_data(self._timeline, self._version, columns)
            self.timeline_view.chosen = chosen

    def _show_graph(self) -> None:
        from modulus_es.widgets.graph_data import fitting, graph_data

        self._graph = self._make_graph()
        self.graph_view.data = graph_data(fitting(self._graph))
        if self.controls is not None:
            self.controls.refresh()
            self._offer()

    def _look_again(self) -> None:
        """A cell may have defined a handler anew or turned a knob, of which no trace tells."""
        if self.system is not None and (defined := _defined(self.system)) != self._defined:
            self._defined = defined
            self.refresh()

    @property
    def marks(self) -> Sequence[Mark]:
        """The marks of the timeline as it is shown now."""
        self._complete()
        return self._marks.get(self._version, ())

    @property
    def chosen(self) -> Mark | None:
        """The chosen delivery, as its mark; None without one."""
        return self._chosen

    @property
    def time(self) -> datetime | None:
        """Where the scrubber is; None is now."""
        if self.timeline_view.cursor is None or not self.marks:
            return None
        from modulus_es.views.timescale import moment

        return moment(_time_at(self.timeline_view.data["knots"], self.timeline_view.cursor))

    def on_click(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Call ``listener`` with every click on a node or a mark, however fast they come."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Stop watching the system, and let go of everything in the page."""
        if self.closed:
            return
        self.closed = True
        if self._updates is not None:
            self._updates.stop()
        self._unheed()
        for task in self._tasks:
            task.cancel()
        if self._controls is not None:
            self._controls.close()
        for explorer in self._before:
            explorer.close()
        for view in (self.view, self.graph_view, self.timeline_view):
            view.layout.close()
            view.close()
        self._listeners.clear()
        cells.closed(self)

    def _ipython_display_(self) -> None:
        """Come to life in the cell's output at once; the pictures take longer and follow there."""
        if self.closed or not cells.is_live():
            raise NotImplementedError  # then it is shown as any other value
        place = {"text/html": place_of(self.view.key), "text/plain": "Explorer"}
        cells.show(place, self.view.key)
        cells.show(self._repr_mimebundle_(), self.view.key, again=True)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What a notebook shows: the static pictures, and the place where it comes to life."""
        key = "" if self.closed or not cells.is_live() else self.view.key
        graph, timeline = self._complete()
        picture: Any = timeline if timeline.marks else graph
        bundle: dict[str, Any] = picture._repr_mimebundle_()
        pictures = f"<div>{graph.to_html()}{timeline.to_html()}</div>"
        bundle["text/html"] = place_of(key, pictures)
        bundle["text/plain"] = repr(self)
        return bundle

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        graph, _ = self._complete()
        return f"Explorer({len(graph.nodes)} nodes, {len(self.marks)} marks{closed})"

    # What the reader does

    def _clicked(self, _: Any, content: dict[str, Any], buffers: Any) -> None:
        for listener in tuple(self._listeners):
            listener(content)
        if "mark" in content:
            marks = self._marks.get(content["version"], ())
            mark = content["mark"]
            self._chosen = marks[mark] if 0 <= mark < len(marks) else None
            self._offer()
            if self._chosen is None:
                self.view.inspected = NOTHING
            else:
                self._keep(self._inspect())

    async def _inspect(self) -> None:
        mark = self._chosen
        if mark is None:
            return
        try:
            said = await inspected(self.system, mark)
        except Exception as error:
            self._say(f"It cannot be shown: {type(error).__name__}: {error}", alarm=True)
            return
        if mark is self._chosen and not self.closed:
            self.view.inspected = said

    def _index(self) -> int:
        """Where the chosen mark is now that everything was made anew."""
        chosen = self._chosen
        if chosen is None:
            return -1
        same = (chosen.message_id, chosen.lane, chosen.kind, chosen.attempt, chosen.time)
        for index, mark in enumerate(self._marks[self._version]):
            if (mark.message_id, mark.lane, mark.kind, mark.attempt, mark.time) == same:
                return index
        self._chosen = None
        return -1

    def _dead_letter(self) -> tuple[str, str, str] | None:
        mark = self._chosen
        if mark is None or mark.kind != "dead":
            return None
        handler = "" if mark.handler.startswith("(") else mark.handler
        return mark.message_id, mark.module, handler

    def _offer(self) -> None:
        if self.controls is not None and self.system is not None:
            dead = sum(len(module.dead_letters()) for module in self.system.modules)
            self.controls.offer(dead)

    def _say(self, text: str, *, alarm: bool = False) -> None:
        with self.view.hold_sync():
            self.view.status, self.view.alarm = shown(text, 600), alarm

    def _failed(self, text: str) -> None:
        self._say(f"In the background: {text}", alarm=True)

    def _act(self, action: Callable[[], Coroutine[Any, Any, str]]) -> asyncio.Task[None]:
        """Begin what takes time; what it answers, or what went wrong, is shown."""

        async def act() -> None:
            alarm = False
            try:
                said = await action()
            except asyncio.CancelledError:
                said = "Stopped. What was not done is still due: press Run or Step to go on."
            except Exception as error:
                # Nobody awaits a click: the page is where an error can be seen.
                said, alarm = f"{type(error).__name__}: {error}", True
            if not self.closed:
                self._say(said, alarm=alarm)

        return self._keep(act())

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _defined(system: System) -> object:
    """What no trace tells of: which handlers there are, and how the knobs are turned."""
    handlers = [
        (module.name, kind, handler.name, handler.target)
        for module in system.modules
        for kind, handler in module.handlers()
    ]
    return handlers, repr(system.network)


def _time_at(knots: memoryview, place: float) -> int:
    """The time at a place of the axis, by its knots of (time, begin, end)."""
    values = memoryview(knots).cast("B").cast("d").tolist()
    found = values[0]
    for at in range(0, len(values), 3):
        time, begin, _ = values[at : at + 3]
        if begin > place:
            before, ended = values[at - 3], values[at - 1]
            return round(before + (time - before) * max(0.0, place - ended) / (begin - ended))
        found = time
    return round(found)
