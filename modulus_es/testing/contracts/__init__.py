"""What every store and every transport promises, as tests: derive those of yours from them.

They need pytest, and no plugin: a contract's tests bring their own event loop.
"""

from modulus_es.testing.contracts.any_order import AnyOrderContract
from modulus_es.testing.contracts.dead_letters import DeadLetterContract
from modulus_es.testing.contracts.deliveries import DeliveryContract
from modulus_es.testing.contracts.events import EventsContract
from modulus_es.testing.contracts.inbox import InboxContract
from modulus_es.testing.contracts.odd_values import OddValuesContract
from modulus_es.testing.contracts.outbox_marks import OutboxMarksContract
from modulus_es.testing.contracts.outbox_order import OutboxOrderContract
from modulus_es.testing.contracts.promises import (
    Promise,
    broken_promises,
    promise,
    promises,
)
from modulus_es.testing.contracts.sessions import SessionContract, SharingContract
from modulus_es.testing.contracts.store import StoreContract
from modulus_es.testing.contracts.store_bench import StoreBench
from modulus_es.testing.contracts.transactions import (
    ConnectionContract,
    TransactionContract,
)

__all__ = [
    "AnyOrderContract",
    "ConnectionContract",
    "DeadLetterContract",
    "DeliveryContract",
    "EventsContract",
    "InboxContract",
    "OddValuesContract",
    "OutboxMarksContract",
    "OutboxOrderContract",
    "Promise",
    "SessionContract",
    "SharingContract",
    "StoreBench",
    "StoreContract",
    "TransactionContract",
    "broken_promises",
    "promise",
    "promises",
]
