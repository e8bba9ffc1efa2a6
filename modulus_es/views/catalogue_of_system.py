"""Collects the contracts of a running system: what its modules tell and ask each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modulus_es.messages import Command, IntegrationEvent
from modulus_es.naming import stable_name
from modulus_es.views.catalogue import Catalogue
from modulus_es.views.contracts import contract_of
from modulus_es.views.graph_of_system import contracts_of, mentioned

if TYPE_CHECKING:
    from modulus_es.handlers import Handler
    from modulus_es.module import Module
    from modulus_es.system import System


def catalogue(system: System) -> Catalogue:
    """What crosses the bus: events, and the commands that one module sends to another."""
    classes: dict[str, Any] = {}
    publishers: dict[str, dict[str, None]] = {}
    consumers: dict[str, dict[tuple[str, str], None]] = {}
    asked = {
        name: (module.name, handler)
        for module in system.modules
        for name, handler in module.requests.items()
        if issubclass(handler.message, Command)
    }
    for module in system.modules:
        for kind, handler in module.handlers():
            if kind == "subscriber":
                name = stable_name(handler.message)
                classes[name] = handler.message
                consumers.setdefault(name, {})[module.name, handler.name] = None
        for cls in (*_told(module), *_ordered(module, asked)):
            name = stable_name(cls)
            classes.setdefault(name, cls)
            publishers.setdefault(name, {})[module.name] = None
    for name in classes:
        if name in asked:
            handled_by, handler = asked[name]
            consumers[name] = {(handled_by, handler.name): None}
    return Catalogue(
        contract_of(
            cls, tuple(sorted(publishers.get(name, ()))), tuple(sorted(consumers.get(name, ())))
        )
        for name, cls in classes.items()
    )


def _told(module: Module) -> Iterator[Any]:
    """The integration events that a module makes, or was seen to send."""
    for kind, handler in module.handlers():
        # A subscriber that mentions an event beside its own may publish it.
        made = (
            contracts_of(handler) if kind == "projector" else mentioned(handler, IntegrationEvent)
        )
        yield from (cls for cls in made if kind == "projector" or cls is not handler.message)
    for row in module.store.outbox_rows():
        cls = module.registry.get(row.envelope.type)
        if row.envelope.kind == "event" and cls is not None:
            yield cls


def _ordered(module: Module, asked: dict[str, tuple[str, Handler]]) -> Iterator[Any]:
    """The commands that a module sends over the bus, as its code or its outbox says.

    Its own mediator reaches its own handlers only, so a handler that mentions
    the command of another module sends it there.
    """
    for _, handler in module.handlers():
        for cls in mentioned(handler, Command):
            handled_by, taken = asked.get(stable_name(cls), (module.name, None))
            if taken is not None and handled_by != module.name:
                yield taken.message
    for row in module.store.outbox_rows():
        if row.envelope.kind == "command" and row.envelope.type in asked:
            yield asked[row.envelope.type][1].message
