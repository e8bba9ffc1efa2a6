"""Collects the contracts of a running system: what its modules publish and consume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modulus_es.messages import IntegrationEvent
from modulus_es.naming import stable_name
from modulus_es.views.catalogue import Catalogue
from modulus_es.views.contracts import contract_of
from modulus_es.views.graph_of_system import contracts_of, mentioned

if TYPE_CHECKING:
    from modulus_es.system import System


def catalogue(system: System) -> Catalogue:
    """Every integration event that a module makes, sends or subscribes to."""
    classes: dict[str, Any] = {}
    publishers: dict[str, dict[str, None]] = {}
    consumers: dict[str, dict[tuple[str, str], None]] = {}
    for module in system.modules:
        for kind, handler in module.handlers():
            if kind == "subscriber":
                name = stable_name(handler.message)
                classes[name] = handler.message
                consumers.setdefault(name, {})[module.name, handler.name] = None
            # A subscriber that mentions an event beside its own may publish it.
            made = contracts_of(handler) if kind == "projector" else _sent(handler)
            for cls in made:
                classes.setdefault(stable_name(cls), cls)
                publishers.setdefault(stable_name(cls), {})[module.name] = None
        for row in module.store.outbox_rows():
            cls = module.registry.get(row.envelope.type)
            if row.envelope.kind == "event" and cls is not None:
                classes.setdefault(row.envelope.type, cls)
                publishers.setdefault(row.envelope.type, {})[module.name] = None
    return Catalogue(
        contract_of(
            cls, tuple(sorted(publishers.get(name, ()))), tuple(sorted(consumers.get(name, ())))
        )
        for name, cls in classes.items()
    )


def _sent(handler: Any) -> list[Any]:
    return [cls for cls in mentioned(handler, IntegrationEvent) if cls is not handler.message]
