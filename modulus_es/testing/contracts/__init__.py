"""What every store and every transport promises, as tests: derive those of yours from them.

They need pytest, and no plugin: a contract's tests bring their own event loop.
"""

from modulus_es.testing.contracts.absence import AbsenceContract
from modulus_es.testing.contracts.any_order import AnyOrderContract
from modulus_es.testing.contracts.dead_letters import DeadLetterContract
from modulus_es.testing.contracts.deliveries import DeliveryContract
from modulus_es.testing.contracts.events import EventsContract
from modulus_es.testing.contracts.groups import GroupContract
from modulus_es.testing.contracts.inbox import InboxContract
from modulus_es.testing.contracts.odd_values import OddValuesContract
from modulus_es.testing.contracts.order import OrderContract
from modulus_es.testing.contracts.outbox_marks import OutboxMarksContract
from modulus_es.testing.contracts.outbox_order import OutboxOrderContract
from modulus_es.testing.contracts.promises import (
    Promise,
    broken_promises,
    promise,
    promises,
)
from modulus_es.testing.contracts.queues import CommitQueueContract
from modulus_es.testing.contracts.routing import RoutingContract
from modulus_es.testing.contracts.sessions import SessionContract, SharingContract
from modulus_es.testing.contracts.store import StoreContract
from modulus_es.testing.contracts.store_bench import StoreBench
from modulus_es.testing.contracts.systems import SystemBench, SystemContract
from modulus_es.testing.contracts.transactions import (
    ConnectionContract,
    TransactionContract,
)
from modulus_es.testing.contracts.transport import TransportContract
from modulus_es.testing.contracts.transport_bench import Listener, TransportBench

__all__ = [
    "AbsenceContract",
    "AnyOrderContract",
    "CommitQueueContract",
    "ConnectionContract",
    "DeadLetterContract",
    "DeliveryContract",
    "EventsContract",
    "GroupContract",
    "InboxContract",
    "Listener",
    "OddValuesContract",
    "OrderContract",
    "OutboxMarksContract",
    "OutboxOrderContract",
    "Promise",
    "RoutingContract",
    "SessionContract",
    "SharingContract",
    "StoreBench",
    "StoreContract",
    "SystemBench",
    "SystemContract",
    "TransactionContract",
    "TransportBench",
    "TransportContract",
    "broken_promises",
    "promise",
    "promises",
]
