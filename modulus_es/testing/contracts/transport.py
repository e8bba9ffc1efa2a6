"""Everything that a transport promises, in one class."""

from __future__ import annotations

from modulus_es.testing.contracts.absence import AbsenceContract
from modulus_es.testing.contracts.order import OrderContract
from modulus_es.testing.contracts.routing import RoutingContract


class TransportContract(RoutingContract, OrderContract, AbsenceContract):
    """What every transport promises: derive the tests of yours from it.

    The subclass has a fixture ``open_transport`` that answers a function which
    makes a transport; where messages outlive it, they all reach the same place.
    What it cannot promise it does not declare in its ``capabilities``
    (`modulus_es.transports.port.TransportCapability`).

    >>> import pytest
    >>> from modulus_es import System
    >>> class TestMyTransport(TransportContract):
    ...     @pytest.fixture
    ...     def open_transport(self):
    ...         return lambda: System(seed=7).transport
    """
