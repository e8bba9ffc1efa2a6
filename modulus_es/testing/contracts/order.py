"""Contract of transports: at least once, in order per key, and no key suffers for another."""

from __future__ import annotations

import asyncio

from modulus_es.errors import HeldBackError
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import envelope
from modulus_es.testing.contracts.transport_bench import TransportBench, TransportSuite
from modulus_es.transports.port import TransportCapability


class OrderContract(TransportSuite):
    """Nothing is lost, and messages of one key come in the order in which they were published.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(OrderContract)).name
    'test_a_message_that_is_refused_for_good_holds_up_no_other_key'
    """

    @promise()
    async def test_messages_of_one_key_arrive_in_order(self, bench: TransportBench) -> None:
        hearer = bench.listen()
        await bench.hand_over(*(envelope(n, f"key {n % 5}") for n in range(100)))
        await bench.arrived(hearer, *range(100))
        for key in range(5):
            assert hearer.of_key(f"key {key}") == list(range(key, 100, 5))

    @promise()
    async def test_messages_that_are_published_one_by_one_arrive_in_order(
        self, bench: TransportBench
    ) -> None:
        hearer = bench.listen()
        for n in range(20):
            await bench.say(n)
        await bench.arrived(hearer, *range(20))
        assert hearer.first == list(range(20))

    @promise()
    async def test_every_module_gets_the_same_order(self, bench: TransportBench) -> None:
        listeners = [bench.listen(name) for name in ("hearer", "other")]
        await bench.say(*range(20))
        for listener in listeners:
            await bench.arrived(listener, *range(20))
            assert listener.first == list(range(20))

    @promise()
    async def test_every_message_gets_an_answer(self, bench: TransportBench) -> None:
        bench.listen()
        assert await bench.publish() == []
        answers = await bench.publish(*(envelope(n, f"key {n % 3}") for n in range(7)))
        assert answers == [None] * 7

    @promise()
    async def test_what_was_refused_for_a_while_arrives(self, bench: TransportBench) -> None:
        hearer = bench.listen()
        hearer.refuses[envelope(1).message_id] = 3
        await bench.say(1)
        await bench.arrived(hearer, 1)

    @promise()
    async def test_behind_a_message_that_was_refused_its_key_waits(
        self, bench: TransportBench
    ) -> None:
        hearer = bench.listen()
        hearer.refuses[envelope(1).message_id] = 3
        await bench.say(0, 1, 2, 3)
        await bench.arrived(hearer, 0, 1, 2, 3)
        assert hearer.first == [0, 1, 2, 3]

    @promise()
    async def test_a_message_that_is_refused_for_good_holds_up_no_other_key(
        self, bench: TransportBench
    ) -> None:
        hearer = bench.listen()
        hearer.refuses[envelope(1).message_id] = 1_000_000
        await bench.publish(envelope(1, "a"), *(envelope(n, f"key {n}") for n in range(2, 9)))
        await bench.arrived(hearer, *range(2, 9))
        assert 1 not in hearer.first

    @promise()
    async def test_a_module_that_refuses_holds_up_no_other_module(
        self, bench: TransportBench
    ) -> None:
        hearer, other = bench.listen("hearer"), bench.listen("other")
        hearer.refuses[envelope(1).message_id] = 1_000_000
        await bench.publish(envelope(1))
        await bench.arrived(other, 1)
        assert hearer.first == []

    @promise()
    async def test_several_senders_at_once_keep_the_order_of_their_own_keys(
        self, bench: TransportBench
    ) -> None:
        hearer = bench.listen()

        async def send(key: int) -> None:
            for n in range(10):
                await bench.say(100 * key + n, key=f"key {key}", source=f"sender{key}")

        await asyncio.gather(*(send(key) for key in range(5)))
        await bench.arrived(hearer, *(100 * key + n for key in range(5) for n in range(10)))
        for key in range(5):
            assert hearer.of_key(f"key {key}") == [100 * key + n for n in range(10)]

    @promise(TransportCapability.KNOWS_INBOXES)
    async def test_an_answer_says_what_became_of_the_message(self, bench: TransportBench) -> None:
        hearer, other = bench.listen("hearer"), bench.listen("other")
        hearer.refuses[envelope(2).message_id] = 1_000_000
        answers = await bench.publish(
            envelope(1, "a"), envelope(2, "a"), envelope(3, "a"), envelope(4, "b")
        )
        assert [answer is None for answer in answers] == [True, False, False, True]
        assert isinstance(answers[1], OSError)
        assert isinstance(answers[2], HeldBackError)
        assert set(hearer.first) == {1, 4}
        hearer.refuses.clear()
        # A module that has it already is not given it again for the other one's sake.
        assert await bench.publish(envelope(2, "a"), envelope(3, "a")) == [None, None]
        assert (hearer.of_key("a"), other.of_key("a")) == ([1, 2, 3], [1, 2, 3])
        assert len(other.got) == 4
