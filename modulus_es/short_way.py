"""The shortest way from a domain event to its handlers.

It is for events outside a unit of work whose handlers just have to be called,
which is nearly every event that is published. What goes around the handlers
costs more than they do, so each way is one coroutine function, made for one
event class, of what does not change before it is made again: its handlers and
services. Whatever is seldom is left to `Seldom`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from operator import length_hint
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias

from modulus_es.ambient import choose, chosen, reset
from modulus_es.cascade import UNTRACKED
from modulus_es.clock import VirtualClock
from modulus_es.event_plan import EventPlan
from modulus_es.trace import Published

if TYPE_CHECKING:
    from modulus_es.system import System
    from modulus_es.turns import Turns

Way: TypeAlias = Callable[[Any], Coroutine[Any, Any, None]]
"""Publishes an event of one class."""


class Seldom(Protocol):
    """What the short way leaves to somebody else."""

    def publish(self, event: Any, strategy: None) -> Coroutine[Any, Any, object]:
        """Publish an event the long way."""

    async def fail(self, plan: EventPlan, event: Any, left: int, error: BaseException) -> NoReturn:
        """Go on after a handler that raised, so many being left, and raise what failed."""


def short_way(plan: EventPlan, system: System, turns: Turns, seldom: Seldom) -> Way:
    """The short way of an event class whose plan has ``calls``."""
    way_of = _of_classes if plan.makes else _of_functions
    return way_of(plan, system, turns, seldom)


def _of_functions(plan: EventPlan, system: System, turns: Turns, seldom: Seldom) -> Way:
    """The way that only calls."""
    cascades, trace, clock = system.cascades, system.trace, system.clock
    keep, now, said = trace.kept.append, clock.now, plan.said
    virtual = clock if type(clock) is VirtualClock else None
    calls = plan.calls or ()

    async def call_all(event: Any) -> None:
        if turns.left < 2 or cascades.open >= UNTRACKED:
            await seldom.publish(event, None)
            return
        turns.left -= 1
        here = None if chosen() is system else choose(system)
        cascades.open += 1
        rest = iter(calls)
        try:
            for call in rest:
                await call(event)
        except BaseException as error:
            await seldom.fail(plan, event, length_hint(rest), error)
        finally:
            cascades.open -= 1
            if here is not None:
                try:  # noqa: SIM105 - a context manager takes longer than the rest of this
                    reset(here)
                except ValueError:
                    pass  # its event loop was closed under it, and what was chosen there is gone
        moment = now() if virtual is None else virtual.moment
        if trace.watchers:
            trace.note(Published(moment, said, event.id))
        else:
            keep(Published(moment, said, event.id))
            trace.count += 1

    return call_all


def _of_classes(plan: EventPlan, system: System, turns: Turns, seldom: Seldom) -> Way:
    """The same, where each handler is made first: a call less for each."""
    cascades, trace, clock = system.cascades, system.trace, system.clock
    keep, now, said = trace.kept.append, clock.now, plan.said
    virtual = clock if type(clock) is VirtualClock else None
    makes = plan.makes

    async def make_all(event: Any) -> None:
        if turns.left < 2 or cascades.open >= UNTRACKED:
            await seldom.publish(event, None)
            return
        turns.left -= 1
        here = None if chosen() is system else choose(system)
        cascades.open += 1
        rest = iter(makes)
        try:
            for make, constants in rest:
                await make(*constants).handle(event)
        except BaseException as error:
            await seldom.fail(plan, event, length_hint(rest), error)
        finally:
            cascades.open -= 1
            if here is not None:
                try:  # noqa: SIM105 - a context manager takes longer than the rest of this
                    reset(here)
                except ValueError:
                    pass  # its event loop was closed under it, and what was chosen there is gone
        moment = now() if virtual is None else virtual.moment
        if trace.watchers:
            trace.note(Published(moment, said, event.id))
        else:
            keep(Published(moment, said, event.id))
            trace.count += 1

    return make_all
