"""What a transport promises: to hand a message to every module that listens for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from modulus_es.envelope import Envelope
from modulus_es.stores.port import Routes

Receive = Callable[[Sequence[Envelope]], Awaitable[None]]
"""A module's inbox: when the call returns, it durably holds the messages."""


class Subscription(NamedTuple):
    """What one module listens for: names of event types and of its own commands."""

    events: frozenset[str]
    commands: frozenset[str]


class Transport(Protocol):
    """Carries envelopes from outboxes to inboxes, at least once, in order per key."""

    url: str

    @property
    def batching(self) -> bool:
        """Whether many messages may be published in one call."""

    def subscribe(self, module: str, subscription: Subscription, receive: Receive) -> None:
        """Hand over to ``receive`` from now on what ``module`` listens for.

        Calling it again replaces what the module listened for before.
        """

    def routes(self) -> Routes:
        """What can be handed over now; the same object as long as nothing changed."""

    async def publish(self, envelopes: Sequence[Envelope]) -> Sequence[Exception | None]:
        """Hand over messages, in this order; answers per message None or why not.

        None means that it is durably held on the other side. A
        `TransportUnavailableError` means that the transport is down: no attempt
        is counted. Anything else counts as a failed attempt of that message.
        """

    def overtakes(self, envelope: Envelope) -> bool:
        """Whether the messages after this one may overtake it; false on a real transport."""

    async def detour(self) -> None:
        """Let an overtaken message take longer; only a simulated network needs it."""

    async def start(self) -> None:
        """Begin to receive."""

    async def stop(self) -> None:
        """Receive no more; what is in hand is finished first."""

    async def health(self) -> str:
        """``ok``, or what is wrong."""
