"""Numbers of things are checked where they are said, and not where they are first used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from modulus_es import Command, Retry, System


class Ring(Command[None]):
    times: int


def ring(command: Ring) -> None:
    """Handle it."""


def send(retries: Any) -> None:
    system = System(seed=7)
    system.module("bells").handles(Ring)(ring)
    asyncio.run(system.send(Ring(1), retry_conflicts=retries))


def run(limit: Any) -> None:
    asyncio.run(System(seed=7).run(limit=limit))  # type: ignore[arg-type]


SAID: dict[str, Callable[[Any], object]] = {
    "System(group_commit=)": lambda number: System(group_commit=number),
    "System(retry_conflicts=)": lambda number: System(retry_conflicts=number),
    "System(trace=)": lambda number: System(trace=number),
    "Retry(attempts=)": lambda number: Retry(attempts=number),
    "handles(retry_conflicts=)": lambda number: (
        System(seed=7).module("bells").handles(Ring, retry_conflicts=number)(ring)
    ),
    "send(retry_conflicts=)": send,
    "run(limit=)": run,
    "crash(times=)": lambda number: System(seed=7).faults.crash("before_commit", times=number),
}


@pytest.mark.parametrize("where", SAID)
@pytest.mark.parametrize("number", ["3", 1.5, None])
def test_what_is_no_whole_number_is_refused(where: str, number: object) -> None:
    if number is None and where in ("handles(retry_conflicts=)", "send(retry_conflicts=)"):
        number = []  # None is what is usual there
    if number is None and where == "run(limit=)":
        number = ()
    with pytest.raises(TypeError, match="is a whole number, not"):
        SAID[where](number)


@pytest.mark.parametrize("where", SAID)
def test_less_than_makes_sense_is_refused(where: str) -> None:
    with pytest.raises(ValueError, match=r"is at least \d, not -1"):
        SAID[where](-1)


@pytest.mark.parametrize("name", ["first", "factor", "longest", "jitter"])
@pytest.mark.parametrize("number", ["1", None, float("nan"), float("inf")])
def test_a_wait_is_a_finite_number(name: str, number: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} is a finite number, not"):
        Retry(**{name: number})


def test_what_a_system_retries_by_is_a_retry() -> None:
    with pytest.raises(TypeError, match=r"such as Retry\(attempts=3\), not 3"):
        System(retry=3)  # type: ignore[arg-type]
