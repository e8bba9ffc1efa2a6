"""A handler of an event that yields would never run, and is refused when it is registered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from ordering import Order, OrderCreated

from modulus_es import HandlerSignatureError, System


def generator(message: Any) -> Iterator[int]:
    yield 1


async def async_generator(message: Any) -> AsyncIterator[int]:
    yield 1


class Handling:
    def handle(self, message: Any) -> Iterator[int]:
        yield 1


HANDLERS = pytest.mark.parametrize(
    "handler", [generator, async_generator, Handling], ids=lambda each: each.__name__
)


@HANDLERS
def test_of_an_integration_event(handler: Any) -> None:
    orders = System(seed=7).module("orders")
    with pytest.raises(HandlerSignatureError, match="yields, and the handler of an event answers"):
        orders.on(OrderCreated)(handler)
    assert list(orders.handlers()) == []


@HANDLERS
@pytest.mark.parametrize("phase", ["before_commit", "after_commit"])
def test_of_a_domain_event(handler: Any, phase: Any) -> None:
    orders = System(seed=7).module("orders")
    with pytest.raises(HandlerSignatureError, match="yields, and the handler of an event answers"):
        orders.on(Order.Placed, phase=phase)(handler)
    assert list(orders.handlers()) == []
