"""Contract of transports: what is published while a module is away waits for it."""

from __future__ import annotations

from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import envelope
from modulus_es.testing.contracts.transport_bench import TransportBench, TransportSuite
from modulus_es.transports.port import TransportCapability


class AbsenceContract(TransportSuite):
    """A durable transport holds a message for a module that listened and is away.

    >>> from modulus_es.testing.contracts import promises
    >>> {promise.needs for promise in promises(AbsenceContract)}
    {<TransportCapability.DURABLE: 1>}
    """

    @promise(TransportCapability.DURABLE)
    async def test_what_is_published_while_a_module_is_away_waits_for_it(
        self, bench: TransportBench
    ) -> None:
        there = bench.open()
        before = bench.listen(transport=there)
        await bench.publish(envelope(1), transport=there)
        await bench.arrived(before, 1)
        await there.stop()
        elsewhere = bench.open()
        assert await bench.publish(envelope(2), envelope(3), transport=elsewhere) == [None, None]
        again = bench.open()
        after = bench.listen(transport=again)
        await bench.publish(envelope(4), transport=again)
        await bench.arrived(after, 2, 3, 4)
        assert after.first == [2, 3, 4]

    @promise(TransportCapability.DURABLE)
    async def test_a_stopped_transport_receives_no_more(self, bench: TransportBench) -> None:
        there, elsewhere = bench.open(), bench.open()
        hearer = bench.listen(transport=there)
        await bench.publish(envelope(1), transport=there)
        await bench.arrived(hearer, 1)
        await there.stop()
        other = bench.listen("other", transport=elsewhere)
        await bench.publish(envelope(2), transport=elsewhere)
        await bench.arrived(other, 2)
        assert hearer.first == [1]
