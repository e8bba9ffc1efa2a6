"""What comes in for a module: held in its inbox, or a dead letter at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modulus_es.envelope import Envelope
from modulus_es.errors import DeserializationError
from modulus_es.ids import derived_id
from modulus_es.stores.rows import Receipt

if TYPE_CHECKING:
    from modulus_es.addressees import Addressees
    from modulus_es.deliveries import Deliverer
    from modulus_es.module import Module


class Reception:
    """Writes the messages for one module into its inbox, one row for each handler."""

    def __init__(self, module: Module, addressees: Addressees, deliverer: Deliverer) -> None:
        self._name, self._store = module.name, module.store
        self._clock, self._scheduler = module.system.clock, module.system.scheduler
        self._addressees, self._deliverer = addressees, deliverer

    async def receive(self, envelopes: Sequence[Envelope]) -> None:
        """Hold messages durably; what nobody here handles becomes a dead letter."""
        receipts = []
        for envelope in envelopes:
            if handlers := self._addressees.of(envelope):
                receipts.append(Receipt(envelope, handlers))
            else:
                await self._bury(envelope, f"no handler in {self._name} for {envelope.type}")
        repeated = await self._store.receive(receipts, self._clock.now())
        if repeated:
            sent = {receipt.envelope.message_id: receipt.envelope for receipt in receipts}
            for message_id, name in repeated:
                envelope = sent[message_id]
                self._deliverer.say(envelope, name, envelope.attempt, "duplicate")
        self._scheduler.wake()

    async def read(self, data: bytes, source: str) -> Envelope | None:
        """What a broker brought; bytes that are no message become a dead letter, and None."""
        try:
            return Envelope.from_bytes(data)
        except DeserializationError as error:
            unreadable = Envelope(
                message_id=str(derived_id(source, data)),
                kind="event",
                type="unreadable",
                version=1,
                body=data,
                source=source,
                key="",
                occurred_on=self._clock.now(),
            )
            await self._bury(unreadable, str(error))
            return None

    async def _bury(self, envelope: Envelope, why: str) -> None:
        await self._store.bury_unreadable(envelope, why, self._clock.now())
        self._deliverer.say(envelope, "", envelope.attempt, "dead", error=why)
