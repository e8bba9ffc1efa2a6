"""How a system is looked at: its tables and pictures.

The views import what they draw with; a system that is never drawn does without.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from modulus_es.ledger import ledger

if TYPE_CHECKING:
    import pandas as pd

    from modulus_es.system import System
    from modulus_es.views.catalogue import Catalogue
    from modulus_es.views.handler_graph import HandlerGraph
    from modulus_es.views.sequence import SequenceDiagram
    from modulus_es.views.timeline import Timeline


class Looking:
    """The tables and pictures of a `System`, which derives from this class.

    >>> from modulus_es import System
    >>> System(seed=7).events().empty
    True
    """

    @property
    def _system(self) -> System:
        return cast("System", self)

    def events(self) -> pd.DataFrame:
        """The recorded domain events; see `modulus_es.views.frames.events_frame`."""
        from modulus_es.views import of_system

        return of_system.events(self._system)

    def outbox(self) -> pd.DataFrame:
        """The rows of all outboxes."""
        from modulus_es.views import of_system

        return of_system.outbox(self._system)

    def inbox(self) -> pd.DataFrame:
        """The rows of all inboxes, one for each handler of a message."""
        from modulus_es.views import of_system

        return of_system.inbox(self._system)

    def deliveries(self) -> pd.DataFrame:
        """Every attempt to run a handler for a message, as far as the trace reaches."""
        from modulus_es.views import of_system

        return of_system.deliveries(self._system)

    def dead_letters(self) -> pd.DataFrame:
        """What was given up: see `replay_dead_letters`."""
        from modulus_es.views import of_system

        return of_system.dead_letters(self._system)

    def ledger(self) -> pd.DataFrame:
        """What became of every message at every handler; ``lost`` never occurs."""
        from modulus_es.views import of_system

        return of_system.ledger(ledger(self._system.modules))

    def graph(
        self, *, module: str | None = None, around: str | None = None, depth: int = 2
    ) -> HandlerGraph:
        """The handler graph, with the traffic that there was.

        ``module`` shows one module, ``around`` what lies at most ``depth`` edges
        from the messages and handlers of that name. Raises ValueError where
        nothing has that name.

        >>> from modulus_es import Command, System
        >>> class PlaceOrder(Command[None]): ...
        >>> system = System(seed=7)
        >>> @system.module("orders").handles(PlaceOrder)
        ... async def place_order(command: PlaceOrder) -> None: ...
        >>> system.graph()
        HandlerGraph(1 module, 1 command, 1 handler, 1 edge)
        >>> system.graph().to_svg().startswith("<svg ")
        True
        """
        from modulus_es.views import of_system

        picture = of_system.graph(self._system, module, around, depth)
        again = partial(self.graph, module=module, around=around, depth=depth)
        picture.explored_with(lambda: self._explored(again, self.timeline))
        return picture

    def timeline(
        self,
        *,
        correlation: str | None = None,
        type: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        arrows: bool = False,
        axis: str = "broken",
    ) -> Timeline:
        """The delivery timeline: every message's life over the clock's time.

        It shows one conversation (``correlation``), one message ``type``, or the
        time from ``since`` to ``until``; everything without any. ``arrows`` draws
        what led to what. ``axis`` is broken, log or linear: what becomes of a wait
        that dwarfs all the rest. Raises ValueError for another axis, and for a
        time without a time zone.

        >>> import asyncio
        >>> from modulus_es import Command, System
        >>> class PlaceOrder(Command[None]): ...
        >>> system = System(seed=7)
        >>> @system.module("orders").handles(PlaceOrder)
        ... async def place_order(command: PlaceOrder) -> None: ...
        >>> _ = asyncio.run(system.send(PlaceOrder()))
        >>> system.timeline()
        Timeline(0 messages, 1 lane, 1 done, 2024-01-01T00:00:00Z)
        >>> system.timeline().to_svg().startswith("<svg ")
        True
        """
        from modulus_es.views import of_system

        filters: Any = {
            "correlation": correlation,
            "type": type,
            "since": since,
            "until": until,
            "arrows": arrows,
            "axis": axis,
        }
        picture = of_system.timeline(self._system, **filters)
        again = partial(self.timeline, **filters)
        picture.explored_with(lambda: self._explored(self.graph, again))
        return picture

    def sequence(self, correlation: str) -> SequenceDiagram:
        """The sequence diagram of one conversation: who told whom what, and what became of it.

        ``correlation`` is the id that all its messages and events carry.

        >>> from modulus_es import System
        >>> System(seed=7).sequence("checkout-17")
        SequenceDiagram(nothing yet)
        >>> System(seed=7).sequence("checkout-17").to_svg().startswith("<svg ")
        True
        """
        from modulus_es.views import of_system

        picture = of_system.sequence(self._system, correlation)
        again = partial(self.timeline, correlation=correlation)
        picture.explored_with(lambda: self._explored(self.graph, again))
        return picture

    def catalogue(self) -> Catalogue:
        """The event catalogue: every contract between the modules, with its JSON Schema.

        ``catalogue().save(file)`` keeps it, and ``catalogue().check(file)`` names
        what has changed since that would break a consumer.

        >>> from modulus_es import System
        >>> System(seed=7).catalogue()
        Catalogue(0 contracts)
        """
        from modulus_es.views.catalogue_of_system import catalogue

        return catalogue(self._system)

    def _explored(self, graph: Callable[[], HandlerGraph], timeline: Callable[[], Timeline]) -> Any:
        """The live view of these; the composition root has it."""
        raise NotImplementedError
