"""What a transport promises: to hand a message to every module that listens for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from enum import Flag, auto
from typing import NamedTuple, Protocol

from modulus_es.envelope import Envelope
from modulus_es.stores.rows import Routes

Receive = Callable[[Sequence[Envelope]], Awaitable[None]]
"""A module's inbox: when the call returns, it durably holds the messages."""


class Subscription(NamedTuple):
    """What one module listens for: names of event types and of its own commands."""

    events: frozenset[str]
    commands: frozenset[str]


class TransportCapability(Flag):
    """What a transport may promise beyond what every transport promises.

    A transport declares its own as ``capabilities``; the contract suite leaves
    out what needs one that is not declared, and nothing else.

    >>> TransportCapability.DURABLE in TransportCapability.KNOWS_INBOXES
    False
    """

    DURABLE = auto()
    """It holds messages itself, for a module that listened and is away, and across restarts."""
    KNOWS_INBOXES = auto()
    """What `Transport.publish` answers is what became of the message in every inbox."""


class Transport(Protocol):
    """Carries envelopes from outboxes to inboxes: at least once, in order per key.

    In order means, for one sender, one key and one receiving module: in the order
    in which `publish` was called and got them. While one has not arrived, later
    ones do not; when one fails, those that wait behind it are held back.

    >>> from modulus_es import System
    >>> System(seed=7).transport
    MemoryTransport()
    """

    url: str
    capabilities: TransportCapability

    @property
    def batching(self) -> bool:
        """Whether `publish` takes many messages at a time.

        Otherwise a relay makes a call for each, and does not wait for one before
        it makes the next.
        """

    def subscribe(self, module: str, subscription: Subscription, receive: Receive) -> None:
        """Hand over to ``receive`` from now on what ``module`` listens for.

        Calling it again replaces what the module listened for before.
        """

    def routes(self) -> Routes:
        """What can be handed over now; the same object as long as nothing changed."""

    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        """Hand over messages, in this order; answers per message None or why not.

        None means that it is durably held on the other side. A `HeldBackError`
        means that it was not sent because an earlier one of its key failed, or
        because nobody listens for it any more; a `TransportUnavailableError` that
        the transport is down: neither is counted as an attempt. Anything else is a
        failed attempt to send that message, and of no other.
        """

    async def start(self) -> None:
        """Begin to receive."""

    async def stop(self) -> None:
        """Receive no more; what is in hand is finished first."""

    async def health(self) -> str:
        """``ok``, or what is wrong."""
