"""What makes a method of a contract a test, and what a contract's tests have to work with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from enum import Flag
from functools import wraps
from typing import Any, NamedTuple, Protocol

import pytest


class Bench(Protocol):
    """What a test of a contract works with."""

    @property
    def capabilities(self) -> Flag:
        """What is promised beyond what everybody promises."""

    async def aclose(self) -> None:
        """Let go of everything that the test opened."""


class Promise(NamedTuple):
    """One test of a contract: its name, and the capability that it needs, if any.

    >>> Promise("test_nothing_is_lost", None).needs is None
    True
    """

    name: str
    needs: Flag | None


Test = Callable[[Any, Any], Awaitable[None]]


def promise(needs: Flag | None = None) -> Callable[[Test], Callable[[Any, Any], None]]:
    """Make an ``async def`` method of a contract a test that any pytest runs.

    It gets a bench, and an event loop of its own. Where the backend does not
    declare the capability that it needs, it is skipped, and the reason names
    that capability.

    >>> from modulus_es.stores.memory import MemoryDatabase
    >>> from modulus_es.testing.contracts import StoreBench
    >>> class MyContract:
    ...     @promise()
    ...     async def test_a_new_store_is_empty(self, bench):
    ...         assert bench.events() == []
    >>> broken_promises(MyContract, lambda: StoreBench(MemoryDatabase))
    {}
    """

    def decorate(test: Test) -> Callable[[Any, Any], None]:
        async def keep(contract: Any, bench: Bench) -> None:
            try:
                if needs is not None and needs not in bench.capabilities:
                    pytest.skip(f"needs {needs}, which {bench} does not declare")
                await test(contract, bench)
            finally:
                await bench.aclose()

        @wraps(test)
        def run(self: Any, bench: Bench) -> None:
            asyncio.run(keep(self, bench))

        vars(run)["needs"] = needs
        return run

    return decorate


def promises(contract: type[Any]) -> Iterator[Promise]:
    """The tests of a contract, in order of name.

    >>> from modulus_es.testing.contracts import SessionContract
    >>> next(promises(SessionContract))
    Promise(name='test_a_claim_from_before_the_machine...', needs=<Capability.DURABLE: 1>)
    """
    for name in dir(contract):
        test = getattr(contract, name)
        if name.startswith("test_") and callable(test):
            yield Promise(name, getattr(test, "needs", None))


def broken_promises(
    contract: type[Any], make_bench: Callable[[], Bench]
) -> dict[str, BaseException]:
    """Run every test of a contract without pytest; answers those that fail, and why.

    Each gets a bench of its own. What needs a capability that is not declared
    is left out.

    >>> from modulus_es.stores.memory import MemoryDatabase
    >>> from modulus_es.testing.contracts import EventsContract, StoreBench
    >>> broken_promises(EventsContract, lambda: StoreBench(MemoryDatabase))
    {}
    """
    found: dict[str, BaseException] = {}
    for name, _ in promises(contract):
        try:
            getattr(contract(), name)(make_bench())
        except pytest.skip.Exception:
            continue
        except (Exception, pytest.fail.Exception) as error:
            found[name] = error
    return found
