"""Contract of transports: a message reaches whom it is for, as it is, and nobody else."""

from __future__ import annotations

from modulus_es.errors import HeldBackError
from modulus_es.testing.contracts.odd_values import TEXTS
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import at, envelope
from modulus_es.testing.contracts.transport_bench import TransportBench, TransportSuite
from modulus_es.transports.port import TransportCapability


class RoutingContract(TransportSuite):
    """Events reach every module that listens, commands the one that they are for.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(RoutingContract)).name
    'test_a_command_reaches_its_module_and_no_other'
    """

    @promise()
    async def test_an_event_reaches_every_module_that_listens(self, bench: TransportBench) -> None:
        listeners = [bench.listen(name) for name in ("hearer", "other", "third")]
        await bench.say(1)
        for listener in listeners:
            await bench.arrived(listener, 1)

    @promise()
    async def test_an_event_reaches_nobody_who_does_not_listen(self, bench: TransportBench) -> None:
        hearer, deaf = bench.listen("hearer"), bench.listen("deaf", events=["Told"])
        await bench.say(1)
        await bench.say(2, type="Told")
        await bench.arrived(hearer, 1)
        await bench.arrived(deaf, 2)
        assert (hearer.first, deaf.first) == ([1], [2])

    @promise()
    async def test_a_command_reaches_its_module_and_no_other(self, bench: TransportBench) -> None:
        hearer, other = (bench.listen(name, (), ["Do"]) for name in ("hearer", "other"))
        await bench.say(1, to="hearer")
        await bench.say(2, to="other")
        await bench.arrived(hearer, 1)
        await bench.arrived(other, 2)
        assert (hearer.first, other.first) == ([1], [2])

    @promise()
    async def test_an_event_and_a_command_of_one_name_are_kept_apart(
        self, bench: TransportBench
    ) -> None:
        doer, hearer = bench.listen("hearer", (), ["Do"]), bench.listen("other", ["Do"])
        await bench.say(1, to="hearer")
        await bench.say(2, type="Do")
        await bench.arrived(doer, 1)
        await bench.arrived(hearer, 2)
        assert (doer.first, hearer.first) == ([1], [2])

    @promise()
    async def test_a_module_may_hear_its_own_events(self, bench: TransportBench) -> None:
        sender = bench.listen("sender")
        await bench.say(1, source="sender")
        await bench.arrived(sender, 1)

    @promise()
    async def test_a_message_arrives_as_it_was_sent(self, bench: TransportBench) -> None:
        hearer = bench.listen("hearer", ["Said"], ["Do"])
        sent = [
            envelope(1, position=17, attempt=3, occurred_on=at(0.000001)),
            envelope(
                2,
                to="hearer",
                version=3,
                correlation_id="c1",
                causation_id="m0",
                traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
        ]
        await bench.hand_over(*sent)
        await bench.arrived(hearer, 1, 2)
        assert hearer.messages == sent

    @promise()
    async def test_texts_arrive_as_they_are(self, bench: TransportBench) -> None:
        hearer = bench.listen()
        sent = [envelope(n, text, correlation_id=text) for n, text in enumerate(TEXTS)]
        await bench.hand_over(*sent)
        await bench.arrived(hearer, *range(len(TEXTS)))
        assert hearer.messages == sent

    @promise()
    async def test_a_large_message_arrives(self, bench: TransportBench) -> None:
        hearer = bench.listen()
        large = envelope(1, body=b'{"n":1,"text":"' + b"x" * 1_000_000 + b'"}')
        await bench.hand_over(large)
        await bench.arrived(hearer, 1)
        assert hearer.messages == [large]

    @promise()
    async def test_what_a_module_listens_for_is_replaced(self, bench: TransportBench) -> None:
        before = bench.listen("hearer", ["Said", "Told"])
        other = bench.listen("other", ["Said"])
        after = bench.listen("hearer", ["Told"])
        await bench.say(1)
        await bench.say(2, type="Told")
        await bench.arrived(other, 1)
        await bench.arrived(after, 2)
        assert (before.first, after.first) == ([], [2])

    @promise()
    async def test_it_is_known_what_can_be_handed_over(self, bench: TransportBench) -> None:
        transport = bench.transport
        bench.listen("hearer", ["Said"], ["Do"])
        routes = transport.routes()
        assert routes.accept(envelope(1))
        assert routes.accept(envelope(1, to="hearer"))
        assert not routes.accept(envelope(1, type="Unheard"))
        assert not routes.accept(envelope(1, to="other"))
        assert transport.routes() is routes
        bench.listen("other", ["Told"], ["Do"])
        assert transport.routes() is not routes
        assert transport.routes().accept(envelope(1, to="other"))
        bench.listen("hearer", [])
        assert not transport.routes().accept(envelope(1))

    @promise()
    async def test_a_healthy_transport_says_so(self, bench: TransportBench) -> None:
        hearer = bench.listen()
        await bench.say(1)
        await bench.arrived(hearer, 1)
        assert await bench.transport.health() == "ok"

    @promise(TransportCapability.KNOWS_INBOXES)
    async def test_what_nobody_listens_for_is_held_back(self, bench: TransportBench) -> None:
        hearer = bench.listen()
        [unheard, heard] = await bench.publish(envelope(1, type="Unheard"), envelope(2))
        assert isinstance(unheard, HeldBackError)
        assert (heard, hearer.first) == (None, [2])
