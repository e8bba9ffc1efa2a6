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
