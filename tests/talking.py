"""Two modules that talk: what the tests of the bus, the boxes and the runs begin with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from modulus_es import Aggregate, Command, Envelope, IntegrationEvent, Module, System, event
from modulus_es.clock import START


class Said(IntegrationEvent):
    n: int


class Do(Command[None]):
    n: int


class Note(Aggregate):
    """What a handler leaves in its store, so that a test can count its effects there."""

    @event("Written")
    def __init__(self, n: int) -> None:
        self.n = n


def pair(**options: Any) -> tuple[System, Module, Module]:
    """A system with a module that sends and one that hears."""
    system = System(seed=7, **options)
    return system, system.module("sender"), system.module("hearer")


def envelope(**said: Any) -> Envelope:
    """The same message from elsewhere, as the transport brings it, but for what is said."""
    usual: dict[str, Any] = {
        "message_id": str(UUID(int=1)), "kind": "event", "type": "Said", "version": 1,
        "body": b'{"n":1}', "source": "sender", "key": "k", "occurred_on": START,
    }  # fmt: skip
    return Envelope(**{**usual, **said})


def noted(module: Module) -> list[int]:
    """The numbers of the notes in a module's store, in order."""
    return [module.mapper.to_domain_event(stored).n for stored in module.stored_events()]


def at(seconds: float) -> datetime:
    """A moment of virtual time."""
    return START + timedelta(seconds=seconds)


def seconds(system: System) -> float:
    """How much virtual time has passed."""
    return (system.now() - START).total_seconds()
