"""The event, the handlers and the check that every row of publishing shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from benchmarks.harness import Work
from modulus_es import DomainEvent


class Ticked(DomainEvent):
    """The event that is published."""

    number: int


def async_handlers(many: int, calls: list[Any]) -> list[Callable[[Any], Awaitable[None]]]:
    """Handlers that note the call: the first the event, the others their own number.

    Together they tell the count, the order and the contents, at the price of a counter.
    """

    def first() -> Callable[[Any], Awaitable[None]]:
        async def handler(event: Ticked) -> None:
            calls.append(event)

        return handler

    def other(number: int) -> Callable[[Any], Awaitable[None]]:
        async def handler(event: Ticked) -> None:
            calls.append(number)

        return handler

    return [first(), *(other(number) for number in range(1, many))]


def check_calls(work: Work, calls: list[Any], events: Sequence[Any], many: int) -> None:
    """Every event reached every handler, in order."""
    work.did(len(calls) // many)
    work.same("calls", len(calls), many * len(events))
    work.same("contents", calls[::many], list(events))
    for number in range(1, many):
        if calls[number::many] != [number] * len(events):
            work.same(f"calls of handler {number}", calls[number::many], [number] * len(events))
            break


class Clock:
    """Something to inject."""


class Log:
    """Something to inject."""


class Store:
    """Something to inject, which notes who was called."""

    def __init__(self) -> None:
        self.calls: list[Any] = []


def injected_class(number: int, base: type = object) -> type:
    """A class handler; the second and the third note what was injected, and not their number."""

    class Handler(base):
        def __init__(self, clock: Clock, log: Log, store: Store) -> None:
            self.clock, self.log, self.store = clock, log, store

        async def handle(self, event: Ticked) -> None:
            self.store.calls.append(number)

    class First(Handler):
        async def handle(self, event: Ticked) -> None:
            self.store.calls.append(event)

    class Second(Handler):
        async def handle(self, event: Ticked) -> None:
            self.store.calls.append(self.clock)

    class Third(Handler):
        async def handle(self, event: Ticked) -> None:
            self.store.calls.append(self.log)

    return {0: First, 1: Second, 2: Third}.get(number, Handler)


def check_injected(work: Work, calls: list[Any], events: Sequence[Any], many: int) -> None:
    """Every event reached every handler, and each of these had the one clock and the one log."""
    for place, cls in ((1, Clock), (2, Log)):
        work.same(f"kinds of {place}", {type(each) for each in calls[place::many]}, {cls})
        work.same(f"singletons of {place}", len({id(each) for each in calls[place::many]}), 1)
        calls[place::many] = [place] * len(calls[place::many])
    check_calls(work, calls, events, many)
