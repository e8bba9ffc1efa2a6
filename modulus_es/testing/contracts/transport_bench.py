"""What the contracts of transports work with: a transport, and modules that listen to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import msgspec
import pytest

from modulus_es.envelope import Envelope
from modulus_es.testing.contracts.store_bench import envelope
from modulus_es.transports.port import Subscription, Transport, TransportCapability

Answers: TypeAlias = Sequence[Exception | None]
Carry: TypeAlias = Callable[[Transport, Sequence[Envelope]], Awaitable[Answers]]

PATIENCE = 10.0
"""How many seconds a test waits for something to arrive."""

ROUNDS = 20
"""How often a message that did not arrive is published again."""


class Listener:
    """A module that listens: what it got, and what it refuses.

    >>> Listener("hearer")
    Listener('hearer': 0 messages)
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self.got: list[Envelope] = []
        self.refuses: dict[str, int] = {}
        """How many more times a message, by its id, is refused."""

    async def receive(self, envelopes: Sequence[Envelope]) -> None:
        """Hold these messages, or refuse them, all or none."""
        await asyncio.sleep(0)
        for each in envelopes:
            if self.refuses.get(each.message_id):
                self.refuses[each.message_id] -= 1
                raise OSError("the disk is full")
        self.got.extend(envelopes)

    @property
    def messages(self) -> list[Envelope]:
        """What it got, each message once, in order of their ids."""
        once = {each.message_id: each for each in reversed(self.got)}
        return [once[id_] for id_ in sorted(once)]

    @property
    def first(self) -> list[int]:
        """What the messages say, each when it came first."""
        return list(dict.fromkeys(msgspec.json.decode(each.body)["n"] for each in self.got))

    def of_key(self, key: str) -> list[int]:
        """What the messages of one key say, each when it came first."""
        mine = [each for each in self.got if each.key == key]
        return list(dict.fromkeys(msgspec.json.decode(each.body)["n"] for each in mine))

    def __repr__(self) -> str:
        return f"Listener({self.module!r}: {len(self.got)} messages)"


class TransportBench:
    """A transport of the kind under test, and the modules that listen to it.

    ``open_transport`` makes a new one that reaches the same place; ``carry``
    publishes, for a transport that needs something around it to move.

    >>> from modulus_es import System
    >>> TransportBench(lambda: System(seed=7).transport).transport
    MemoryTransport()
    """

    def __init__(self, open_transport: Callable[[], Transport], carry: Carry | None = None) -> None:
        self._open = open_transport
        self._carry: Carry = carry or (lambda transport, batch: transport.publish(batch))
        self._opened: list[Transport] = []
        self._started: list[Transport] = []

    @property
    def transport(self) -> Transport:
        """What was made first."""
        return self._opened[0] if self._opened else self.open()

    @property
    def capabilities(self) -> TransportCapability:
        """What the transport declares."""
        return self.transport.capabilities

    def open(self) -> Transport:
        """Make another one."""
        self._opened.append(self._open())
        return self._opened[-1]

    async def aclose(self) -> None:
        """Stop everything that was started."""
        while self._started:
            await self._started.pop().stop()
        self._opened.clear()

    def __repr__(self) -> str:
        return repr(self.transport)

    def listen(
        self,
        module: str = "hearer",
        events: Iterable[str] = ("Said",),
        commands: Iterable[str] = (),
        transport: Transport | None = None,
    ) -> Listener:
        """Let a module listen."""
        listener = Listener(module)
        subscription = Subscription(frozenset(events), frozenset(commands))
        (transport or self.transport).subscribe(module, subscription, listener.receive)
        return listener

    async def publish(
        self, *envelopes: Envelope, transport: Transport | None = None
    ) -> list[Exception | None]:
        """Publish once, and answer what the transport says."""
        chosen = transport or self.transport
        if chosen not in self._started:
            await chosen.start()
            self._started.append(chosen)
        return list(await self._carry(chosen, envelopes))

    async def hand_over(self, *envelopes: Envelope) -> None:
        """Publish as a relay does: again and again what did not arrive, in order."""
        left = list(envelopes)
        answers: list[Exception | None] = []
        for _ in range(ROUNDS):
            answers = await self.publish(*left)
            assert len(answers) == len(left), f"{len(answers)} answers to {len(left)} messages"
            left = [each for each, said in zip(left, answers, strict=True) if said is not None]
            if not left:
                return
        raise AssertionError(
            f"{len(left)} messages did not arrive after {ROUNDS} rounds: {answers}"
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so, because a broker takes its time."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - whoever makes it so tells nobody
                await asyncio.sleep(0.01)

    async def arrived(self, listener: Listener, *numbers: int) -> None:
        """Wait until a module has these messages; fails when it does not get them."""
        try:
            await self.until(lambda: set(numbers) <= set(listener.first))
        except TimeoutError:
            raise AssertionError(f"only {listener.first} of {list(numbers)} arrived") from None

    async def say(self, *numbers: int, key: str = "k", **said: object) -> None:
        """Hand over messages of one key."""
        await self.hand_over(*(envelope(n, key, **said) for n in numbers))


class TransportSuite:
    """Base of the contracts of transports: a subclass has a fixture ``open_transport``.

    A fixture ``carry`` may say how to publish, where the transport needs something
    around it to move.
    """

    @pytest.fixture
    def carry(self) -> Carry | None:
        """How messages are published; None for `Transport.publish` itself."""
        return None

    @pytest.fixture
    def bench(self, open_transport: Callable[[], Transport], carry: Carry | None) -> TransportBench:
        """What each test works with."""
        return TransportBench(open_transport, carry)
