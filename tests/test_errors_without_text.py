"""An exception that cannot say what it is about is a failure like any other."""

from __future__ import annotations

import pytest

from modulus_es import DomainEvent, IntegrationEvent, PublishError, Retry, System


class Paid(IntegrationEvent):
    n: int


class RefusedError(Exception):
    def __str__(self) -> str:
        raise TypeError("it has no text")


async def test_it_is_retried_and_dies_and_is_in_nobodys_way() -> None:
    system = System(seed=7)
    shop, mail = system.module("shop"), system.module("mail")
    heard: list[int] = []

    @mail.on(Paid, retry=Retry(attempts=2))
    def tell(paid: Paid) -> None:
        if paid.n == 1:
            raise RefusedError
        heard.append(paid.n)

    for n in (1, 2, 3):
        await shop.bus.publish(Paid(n))
    await system.run()
    assert heard == [2, 3]
    dead = system.dead_letters()
    assert dead.attempts.tolist() == [2]
    assert dead.error.tolist() == ["RefusedError, whose text cannot be had: its __str__() fails"]


async def test_it_is_among_the_failures_of_a_published_event() -> None:
    class Rung(DomainEvent): ...

    bells = System(seed=7).module("bells")

    @bells.on(Rung)
    def refuse(rung: Rung) -> None:
        raise RefusedError

    with pytest.raises(PublishError, match="first RefusedError, whose text cannot be had") as found:
        await bells.publish(Rung())
    assert [type(each) for each in found.value.exceptions] == [RefusedError]
