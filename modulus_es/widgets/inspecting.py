"""What the inspector says of a delivery: the message, the error, the aggregates it changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from modulus_es.clock import iso
from modulus_es.domain import Aggregate
from modulus_es.errors import ModulusError
from modulus_es.naming import stable_name
from modulus_es.views.glyphs import MEANINGS
from modulus_es.views.marks import OUTBOX, SPANS, Mark
from modulus_es.views.text import shown

if TYPE_CHECKING:
    from modulus_es.envelope import Envelope
    from modulus_es.mapper import Recorded
    from modulus_es.module import Module
    from modulus_es.system import System

LONGEST = 4_000
"""How many characters of a payload or an error are shown; the rest is counted."""

_VALUE = 300
_MOST = 20

NOTHING: dict[str, Any] = {
    "title": "Choose a delivery in the timeline to see its message and what it changed.",
    "sections": [],
}


async def inspected(system: System | None, mark: Mark) -> dict[str, Any]:
    """The sections of the inspector for one mark, all of it text."""
    handler = mark.handler if mark.handler == OUTBOX else f"{mark.module}.{mark.handler}"
    title = f"{shown(mark.type, 120)} at {shown(handler, 120)}: {MEANINGS[mark.kind]}"
    sections = [_pairs("Delivery", _facts(mark))]
    if mark.error:
        sections.append(_text("Error", mark.error))
    if system is not None:
        envelope = _envelope(system, mark.message_id)
        sections += [section async for section in _changes(system, mark, envelope)]
        if envelope is not None:
            sections.append(_text("Payload", _payload(envelope.body)))
            headers = {"type": envelope.type, "version": envelope.version, **envelope.headers}
            sections.append(_pairs("Headers", [(k, _value(v)) for k, v in headers.items()]))
    return {"title": title, "sections": sections}


def _facts(mark: Mark) -> Iterator[tuple[str, str]]:
    yield "from" if mark.kind in SPANS else "at", iso(mark.time)
    if mark.kind in SPANS:
        yield "to", iso(mark.end)
    if mark.attempt:
        yield "attempt", str(mark.attempt)
    for name in ("message_id", "correlation_id", "causation_id", "text"):
        if value := getattr(mark, name):
            yield name.replace("_id", " id").replace("text", "note"), shown(value, _VALUE)


def _envelope(system: System, message_id: str) -> Envelope | None:
    if not message_id:
        return None
    for module in system.modules:
        for rows in (module.store.outbox_rows(), module.store.inbox_rows()):
            for row in rows:
                if row.envelope.message_id == message_id:
                    return row.envelope
    return None


def _payload(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


async def _changes(system: System, mark: Mark, envelope: Envelope | None) -> Any:
    """The aggregates that changed because of a delivery, or that a message tells of."""
    module = next((each for each in system.modules if each.name == mark.module), None)
    if module is None:
        return
    versions: dict[str, list[tuple[Any, Recorded]]] = {}
    for stored, recorded in module.readable_events():
        if _belongs(recorded, mark, envelope):
            versions.setdefault(str(stored.originator_id), []).append((stored, recorded))
    for events in list(versions.values())[:_MOST]:
        first, last = events[0][0], events[-1][0]
        names = ", ".join(dict.fromkeys(stored.topic for stored, _ in events))
        owner: Any = getattr(module.registry.get(first.topic), "__aggregate__", None)
        title = f"{shown(names, 120)}: version {first.originator_version - 1}"
        title += f" to {last.originator_version} of {first.originator_id}"
        if owner is None:
            yield _text(f"{title} (its class is not defined here)", _payload(events[-1][1].data))
            continue
        try:
            before = await _state(module, owner, first.originator_id, first.originator_version - 1)
            after = await _state(module, owner, first.originator_id, last.originator_version)
        except ModulusError as error:
            yield _text(title, str(error))
            continue
        yield {"title": f"{stable_name(owner)}, {title}", "kind": "changes",
               "rows": _compared(before, after)}  # fmt: skip
    if len(versions) > _MOST:
        yield _text("More", f"and {len(versions) - _MOST} more aggregates")


def _belongs(recorded: Recorded, mark: Mark, envelope: Envelope | None) -> bool:
    if mark.handler == OUTBOX:
        return envelope is not None and str(recorded.id) == envelope.causation_id
    if recorded.handler != mark.handler:
        return False
    if mark.message_id:
        return recorded.causation_id == mark.message_id
    return recorded.correlation_id == mark.correlation_id


async def _state(module: Module, owner: Any, id_: Any, version: int) -> dict[str, str]:
    """An aggregate's own fields at a version, as text; none before it began."""
    if version < 1:
        return {}
    aggregate: Aggregate = await module.get(owner, id_, version)
    return {
        name: _value(value)
        for name, value in vars(aggregate).items()
        if not name.startswith("_") and name != "id"
    }


def _compared(before: Mapping[str, str], after: Mapping[str, str]) -> list[list[Any]]:
    return [
        [shown(name, 80), before.get(name, ""), after.get(name, ""),
         before.get(name) != after.get(name)]
        for name in dict.fromkeys([*before, *after])
    ]  # fmt: skip


def _value(value: object) -> str:
    return shown(_plain(value, 4), _VALUE)


def _plain(value: object, depth: int) -> str:
    """A value as text without any object's address."""
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, str):
        return value if depth == 4 else repr(value)
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        held = (
            f"{_plain(k, depth - 1)}: {_plain(v, depth - 1)}"
            for k, v in list(value.items())[:_MOST]
        )
        return _joined("{", held, "}", len(value))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        inside = (_plain(one, depth - 1) for one in value[:_MOST])
        return _joined("[", inside, "]", len(value))
    if type(value).__repr__ is object.__repr__:
        return type(value).__name__
    return str(value)


def _joined(before: str, held: Iterator[str], after: str, count: int) -> str:
    more = f", and {count - _MOST} more" if count > _MOST else ""
    return f"{before}{', '.join(held)}{more}{after}"


def _pairs(title: str, rows: Any) -> dict[str, Any]:
    return {"title": title, "kind": "pairs", "rows": [list(row) for row in rows]}


def _text(title: str, text: str) -> dict[str, Any]:
    lines = text[:LONGEST].split("\n")
    said = "\n".join(shown(line, LONGEST) for line in lines)
    more = len(text) - LONGEST
    return {"title": title, "kind": "text", "text": f"{said}… +{more}" if more > 0 else said}
