"""Dead letters come back to life: only the handlers that had not succeeded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from modulus_es.envelope import Envelope
from modulus_es.errors import DeserializationError, ModulusError
from modulus_es.mapper import upcast
from modulus_es.records import codec_of
from modulus_es.stores.port import InboxRow, OutboxRow
from modulus_es.trace import TraceRecord

if TYPE_CHECKING:
    from modulus_es.module import Module
    from modulus_es.system import System


async def replay_dead_letters(
    system: System,
    message_id: str | None,
    module: str | None,
    handler: str | None,
    type_name: str | None,
    payload: Mapping[str, Any] | None,
) -> int:
    """See `System.replay_dead_letters`."""
    found: list[tuple[Module, InboxRow | OutboxRow]] = []
    for each in system.modules:
        if module is not None and each.name != module:
            continue
        rows: list[InboxRow | OutboxRow] = [*each.store.inbox_rows(), *each.store.outbox_rows()]
        for row in rows:
            if (
                row.dead_at is not None
                and message_id in (None, row.envelope.message_id)
                and type_name in (None, row.envelope.type)
                and handler in (None, row.handler if isinstance(row, InboxRow) else "")
            ):
                found.append((each, row))
    if payload is not None:
        messages = {row.envelope.message_id for _, row in found}
        if len(messages) != 1:
            raise ModulusError(
                f"payload= edits one message, and {len(messages)} match: give its message_id"
            )
    edited = {
        id(row): _edited(system, row.envelope, payload) if payload is not None else None
        for _, row in found
    }
    for each, row in found:
        await _revive(each, row, edited[id(row)])
    system.scheduler.wake()
    return len(found)


async def _revive(module: Module, row: InboxRow | OutboxRow, envelope: Envelope | None) -> None:
    system = module.system
    if isinstance(row, OutboxRow):
        await module.store.revive_outbox(row, system.now(), envelope)
    elif row.handler:
        await module.store.revive_delivery(row, system.now(), envelope)
    else:
        # Nobody could read it, or knew its type, when it came: it comes again.
        await module.store.forget_unreadable(row)
        if envelope is not None or row.envelope.type != "unreadable":
            await module.consumer.receive([envelope or row.envelope])
        else:
            await module.consumer.receive_bytes(row.envelope.body, row.envelope.source)
    system.trace.add(
        TraceRecord(
            system.now(),
            "replay",
            module.name,
            row.envelope.message_id,
            row.envelope.type,
            row.handler if isinstance(row, InboxRow) else "relay",
            correlation_id=row.envelope.correlation_id,
            causation_id=row.envelope.causation_id,
        )
    )


def _edited(system: System, envelope: Envelope, payload: Mapping[str, Any]) -> Envelope:
    cls: Any = system.contracts.get(envelope.type)
    if cls is None:
        raise DeserializationError(
            f"the payload of {envelope.type!r} cannot be edited: no module knows that type"
        )
    codec = codec_of(cls)
    try:
        values = codec.decode(upcast(cls, envelope.version, envelope.body))
        values.update(payload)
        body = codec.encode(values)
    except DeserializationError:
        # What is there cannot be read, so the payload has to be all of it.
        try:
            body = codec.encode(payload)
        except KeyError as error:
            raise DeserializationError(
                f"{envelope.type}: the payload lacks {error}, and the stored body cannot be read"
            ) from None
    unknown = sorted(set(payload) - set(codec.decode(body)))
    if unknown:
        raise DeserializationError(f"{envelope.type} has no field {', '.join(unknown)}")
    return msgspec.structs.replace(envelope, body=body, version=cls.class_version)
