"""Builds the handler graph of a running system: what is registered, and what went through it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import CodeType
from typing import TYPE_CHECKING, Any, get_args

from modulus_es.domain import Aggregate, RecordedEvent, event_classes
from modulus_es.handlers import Handler
from modulus_es.messages import Command, IntegrationEvent
from modulus_es.naming import stable_name
from modulus_es.views.handler_graph import Edge, HandlerGraph, Node

if TYPE_CHECKING:
    from modulus_es.module import Module
    from modulus_es.system import System


def graph(
    system: System, module: str | None = None, around: str | None = None, depth: int = 2
) -> HandlerGraph:
    """The handler graph of what is registered, with the traffic that there was."""
    whole = _Builder(system).build()
    return whole.focus(module, around, depth) if module or around else whole


class _Builder:
    """Collects the nodes and edges of a system's handler graph."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._nodes: dict[str, Node] = {}
        self._edges: Counter[tuple[str, str, str]] = Counter()
        self._types: dict[str, str] = {}
        self._records: dict[str, set[str]] = {}
        self._traffic: dict[str, tuple[int, int, int]] = {}
        traced = system.trace.of_kind("command", "event")
        self._commands = Counter(
            (r.module, r.type) for r in traced if r.kind == "command" and r.outcome == "done"
        )
        self._handled = Counter(
            (r.module, name) for r in traced if r.kind == "event" for name in r.handler.split()
        )

    def build(self) -> HandlerGraph:
        system = self._system
        for module in system.modules:
            self._declared(module)
        for module in system.modules:
            self._recorded(module)
            self._sent(module)
            self._received(module)
        edges = [Edge(*ends, count=count) for ends, count in self._edges.items()]
        return HandlerGraph(map(self._counted, self._nodes.values()), edges, records=self._records)

    def _declared(self, module: Module) -> None:
        for kind, handler in module.handlers():
            id_ = f"{module.name}/handler/{handler.name}"
            if kind == "projector":
                id_ = f"{module.name}/projector/{handler.name}"
                self._node(id_, "projector", handler.name, module.name)
                self._edge(self._event(module, handler.message), id_, "event")
                for contract in contracts_of(handler):
                    name = stable_name(contract)
                    self._edge(id_, self._contract(name, module.name), "event")
            elif kind == "subscriber":
                self._node(id_, "subscriber", handler.name, module.name)
                self._edge(self._contract(stable_name(handler.message), ""), id_, "event")
            elif kind == "on":
                count = self._handled[module.name, handler.name]
                note = "before the commit" if handler.phase == "before_commit" else ""
                self._node(id_, "handler", handler.name, module.name, count, note=note)
                self._edge(self._event(module, handler.message), id_, "event", count)
            else:
                word = "command" if kind == "command" else "query"
                count = self._commands[module.name, handler.type_name]
                request = f"{module.name}/{word}/{handler.type_name}"
                self._node(request, word, handler.type_name, module.name)
                self._node(id_, "handler", handler.name, module.name)
                self._count(request, count)
                self._count(id_, count)
                self._edge(request, id_, "sync", count)
            if kind != "projector":
                for aggregate in mentioned(handler, Aggregate):
                    self._edge(id_, self._aggregate(module, aggregate), "sync")
                for command in mentioned(handler, Command):
                    if command is not handler.message and (node := self._command(command)):
                        self._edge(id_, node, "sync")

    def _recorded(self, module: Module) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        for stored, recorded in module.readable_events():
            counts[stored.topic, recorded.handler or ""] += 1
            self._types[str(recorded.id)] = stored.topic
        for (topic, name), count in counts.items():
            cls: Any = module.registry.get(topic)
            event = self._event(module, cls) if cls else self._unknown(module, topic)
            self._count(event, count)
            for projector in module.dispatcher.projectors_of(cls) if cls else ():
                id_ = f"{module.name}/projector/{projector.name}"
                self._count(id_, count)
                self._edges[event, id_, "event"] += count
            owner = getattr(cls, "__aggregate__", None)
            if owner is not None:
                aggregate = self._aggregate(module, owner)
                self._count(aggregate, count)
                self._edges[aggregate, event, "event"] += count
                handler = f"{module.name}/handler/{name}"
                if handler in self._nodes:
                    self._edges[handler, aggregate, "sync"] += count
                    self._records.setdefault(handler, set()).add(event)

    def _sent(self, module: Module) -> None:
        # There may be a hundred thousand rows, but few that differ in what matters here.
        alike = Counter(
            (
                row.handler,
                each.kind,
                each.type,
                each.to,
                self._types.get(each.causation_id or ""),
                row.dead_at is not None,
                max(0, row.attempts - (row.delivered_at is not None) - (row.dead_at is not None)),
            )
            for row in module.store.outbox_rows()
            for each in (row.envelope,)
        )
        for (handler, kind, type_, to, topic, dead, failed), many in alike.items():
            if kind == "event":
                message = self._contract(type_, module.name)
            elif (message := f"{to}/command/{type_}") not in self._nodes:
                continue
            self._count(message, 0 if dead else many, retries=failed * many, dead=many * dead)
            sender = f"{module.name}/handler/{handler}"
            if handler and sender in self._nodes:
                self._edges[sender, message, "event" if kind == "event" else "sync"] += many
            elif projector := self._projector(module, topic or "", message):
                self._edges[projector, message, "event"] += many

    def _projector(self, module: Module, topic: str, contract: str) -> str | None:
        """The projector that made a contract of a recorded event."""
        cls = module.registry.get(topic)
        for projector in module.dispatcher.projectors_of(cls) if cls else ():
            id_ = f"{module.name}/projector/{projector.name}"
            if (id_, contract, "event") in self._edges:
                return id_
        return None

    def _command(self, cls: Any) -> str | None:
        """The node of a command, in the module that handles it."""
        name = stable_name(cls)
        for module in self._system.modules:
            if name in module.requests:
                id_ = f"{module.name}/command/{name}"
                self._node(id_, "command", name, module.name)
                return id_
        return None

    def _received(self, module: Module) -> None:
        alike = Counter(
            (
                row.handler, row.envelope.kind, row.envelope.type, row.attempts,
                row.processed_at is not None, row.dead_at is not None,
            )
            for row in module.store.inbox_rows()
        )  # fmt: skip
        for (handler, kind, type_, attempts, done, dead), many in alike.items():
            id_ = f"{module.name}/handler/{handler}"
            if id_ not in self._nodes:
                continue
            retries = max(0, attempts - done - dead) * many
            self._count(id_, done * many, retries=retries, dead=dead * many)
            if kind == "event":
                self._edges[f"contract/{type_}", id_, "event"] += done * many
            else:
                self._edges[f"{module.name}/command/{type_}", id_, "sync"] += done * many

    def _count(self, id_: str, count: int, *, retries: int = 0, dead: int = 0) -> None:
        """Add to a node's traffic; nodes are frozen."""
        before = self._traffic.get(id_, (0, 0, 0))
        self._traffic[id_] = before[0] + count, before[1] + retries, before[2] + dead

    def _counted(self, node: Node) -> Node:
        count, retries, dead = self._traffic.get(node.id, (0, 0, 0))
        return replace(
            node,
            count=node.count + count,
            retries=node.retries + retries,
            dead=node.dead + dead,
        )

    def _event(self, module: Module, cls: Any) -> str:
        id_ = f"{module.name}/event/{stable_name(cls)}"
        if id_ not in self._nodes:
            self._node(id_, "domain_event", stable_name(cls), module.name)
            owner = getattr(cls, "__aggregate__", None)
            if owner is not None and issubclass(cls, RecordedEvent):
                self._edge(self._aggregate(module, owner), id_, "event")
        return id_

    def _unknown(self, module: Module, topic: str) -> str:
        id_ = f"{module.name}/event/{topic}"
        self._node(id_, "domain_event", topic, module.name, note="class not defined here")
        return id_

    def _aggregate(self, module: Module, cls: Any) -> str:
        id_ = f"{module.name}/aggregate/{stable_name(cls)}"
        if id_ not in self._nodes:
            self._node(id_, "aggregate", stable_name(cls), module.name)
            for event in event_classes(cls):
                if event.__name__ != "Created" or event in _begun_by(cls):
                    self._edge(id_, self._event(module, event), "event")
        return id_

    def _contract(self, contract: str, module: str) -> str:
        id_ = f"contract/{contract}"
        known = self._nodes.get(id_)
        if known is None:
            self._node(id_, "integration_event", contract, module)
        elif module and not known.module:
            self._nodes[id_] = replace(known, module=module)
        return id_

    def _node(
        self,
        id_: str,
        kind: str,
        label: str,
        module: str,
        count: int = 0,
        retries: int = 0,
        dead: int = 0,
        note: str = "",
    ) -> None:
        if id_ not in self._nodes:
            self._nodes[id_] = Node(id_, kind, label, module, note, count, retries, dead)

    def _edge(self, source: str, target: str, kind: str, count: int = 0) -> None:
        self._edges[source, target, kind] += count


def _begun_by(cls: Any) -> tuple[Any, ...]:
    return (cls.__dict__.get("Created"),) if not _named_first(cls) else ()


def _named_first(cls: Any) -> bool:
    return any(c.__name__ != "Created" and hasattr(c, "begin") for c in event_classes(cls))


def contracts_of(handler: Handler) -> list[Any]:
    """The integration events that a projector says, or seems, to make."""
    function = handler.target.project if handler.is_class else handler.target
    said = getattr(function, "__annotations__", {}).get("return")
    found = [a for a in (said, *get_args(said)) if _is_a(a, IntegrationEvent)]
    found = found or mentioned(handler, IntegrationEvent)
    return list(dict.fromkeys(found))


def mentioned(handler: Handler, base: type) -> list[Any]:
    """The classes of a kind that a handler's code mentions by name."""
    target = handler.target
    function = (
        getattr(target, "handle", None) or getattr(target, "project", None)
        if handler.is_class
        else target
    )
    code: CodeType | None = getattr(function, "__code__", None)
    if function is None or code is None:
        return []
    names = dict(getattr(function, "__globals__", {}))
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    mentioned = (names.get(name) for name in (*code.co_names, *code.co_freevars))
    return list(dict.fromkeys(c for c in mentioned if _is_a(c, base)))


def _is_a(value: Any, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base) and value is not base
