"""Everything that a store promises, in one class."""

from __future__ import annotations

from modulus_es.testing.contracts.any_order import AnyOrderContract
from modulus_es.testing.contracts.dead_letters import DeadLetterContract
from modulus_es.testing.contracts.deliveries import DeliveryContract
from modulus_es.testing.contracts.events import EventsContract
from modulus_es.testing.contracts.groups import GroupContract
from modulus_es.testing.contracts.inbox import InboxContract
from modulus_es.testing.contracts.odd_values import OddValuesContract
from modulus_es.testing.contracts.outbox_marks import OutboxMarksContract
from modulus_es.testing.contracts.outbox_order import OutboxOrderContract
from modulus_es.testing.contracts.queues import CommitQueueContract
from modulus_es.testing.contracts.sessions import SessionContract, SharingContract
from modulus_es.testing.contracts.transactions import ConnectionContract, TransactionContract


class StoreContract(
    EventsContract,
    TransactionContract,
    ConnectionContract,
    GroupContract,
    CommitQueueContract,
    OutboxOrderContract,
    OutboxMarksContract,
    InboxContract,
    DeliveryContract,
    DeadLetterContract,
    SessionContract,
    SharingContract,
    OddValuesContract,
    AnyOrderContract,
):
    """What every store promises: derive the tests of yours from it.

    The subclass has one fixture, ``open_database``. It answers a function that
    opens the database: the same place each time that it is called, or, where
    the store keeps nothing, a new one. What a store cannot promise it does not
    declare in its ``capabilities`` (`modulus_es.stores.port.Capability`), and
    the tests that need it are skipped by that name.

    >>> import pytest
    >>> from modulus_es.stores.sqlite import SQLiteDatabase
    >>> class TestMyStore(StoreContract):
    ...     @pytest.fixture
    ...     def open_database(self, tmp_path):
    ...         return lambda: SQLiteDatabase(f"sqlite:///{tmp_path}/mine.db")
    """
