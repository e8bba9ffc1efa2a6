"""The contract of transports, over every transport that there is, and over a bad network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from modulus_es import Envelope, System
from modulus_es.steps import Step
from modulus_es.testing.contracts import TransportContract
from modulus_es.transports.port import Transport

Open = Callable[[], Transport]


class TestMemory(TransportContract):
    @pytest.fixture
    def open_transport(self) -> Open:
        return lambda: System(seed=7).transport


class OverANetwork(TransportContract):
    """Messages take time, so that the system's scheduler has to move them."""

    system: System

    @pytest.fixture
    def open_transport(self) -> Open:
        def open_it() -> Transport:
            self.system = System(seed=7)
            self.trouble()
            return self.system.transport

        return open_it

    def trouble(self) -> None:
        raise NotImplementedError

    @pytest.fixture
    def carry(self) -> Any:
        """Each message in a strand of its own, as a relay sends them off."""
        running = asyncio.Lock()

        async def carry(
            transport: Transport, envelopes: Sequence[Envelope]
        ) -> list[Exception | None]:
            answers: list[Exception | None] = [None] * len(envelopes)

            async def travel(n: int, envelope: Envelope) -> str:
                [answers[n]] = await transport.publish([envelope])
                return "arrived"

            async with running:
                for n, envelope in enumerate(envelopes):
                    about = Step(self.system.now(), "relay")
                    await self.system.scheduler.start(travel(n, envelope), about)
                await self.system.run()
            return answers

        return carry


class TestMemoryWithLatency(OverANetwork):
    def trouble(self) -> None:
        self.system.network.latency = (0.01, 0.2)


class TestMemoryWithLossAndRepetition(OverANetwork):
    def trouble(self) -> None:
        network = self.system.network
        network.loss, network.duplicates, network.latency = 0.3, 0.3, (0.01, 0.2)
