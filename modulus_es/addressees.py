"""Whom in a module a message is for."""

from __future__ import annotations

from collections.abc import Mapping

from modulus_es.envelope import Envelope
from modulus_es.handlers import Handler
from modulus_es.messages import Command
from modulus_es.transports.port import Subscription


class Addressees:
    """The handlers of one module by the messages that come over the bus for them.

    They are looked up for every message, and so are worked out once, when a
    registration changes. ``names`` are all their names.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._handlers: dict[tuple[str, str], dict[str, Handler]] = {}
        self._wanted: dict[tuple[str, str], tuple[tuple[str, bool], ...]] = {}
        self.names: frozenset[str] = frozenset()

    def learn(
        self, requests: Mapping[str, Handler], subscribers: Mapping[str, Mapping[str, Handler]]
    ) -> Subscription:
        """Take note of what is registered now; answers what to listen for."""
        commands = {
            name: {handler.name: handler}
            for name, handler in requests.items()
            if issubclass(handler.message, Command)
        }
        events = {name: dict(handlers) for name, handlers in subscribers.items() if handlers}
        self._handlers = {("event", name): each for name, each in events.items()}
        self._handlers.update((("command", name), each) for name, each in commands.items())
        self._wanted = {
            message: tuple((handler.name, handler.ordered) for handler in handlers.values())
            for message, handlers in self._handlers.items()
        }
        self.names = frozenset(name for handlers in self._handlers.values() for name in handlers)
        return Subscription(frozenset(events), frozenset(commands))

    def of(self, envelope: Envelope) -> tuple[tuple[str, bool], ...]:
        """Who is to have a message: names, and whether they want the messages in order."""
        if envelope.kind == "command" and envelope.to != self._module:
            return ()
        return self._wanted.get((envelope.kind, envelope.type), ())

    def get(self, envelope: Envelope, name: str) -> Handler | None:
        """The handler of that name for a message, if there still is one."""
        kind = envelope.kind
        if kind == "command" and envelope.to != self._module:
            return None
        handlers = self._handlers.get((kind, envelope.type))
        return None if handlers is None else handlers.get(name)

    def handles(self, name: str, kind: str, type_name: str) -> bool:
        """Whether the handler of that name takes such messages."""
        return name in self._handlers.get((kind, type_name), ())
