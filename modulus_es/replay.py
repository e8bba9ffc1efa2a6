"""Dead letters come back to life: only the handlers that had not succeeded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from modulus_es.envelope import Envelope
from modulus_es.errors import DeserializationError, ModulusError, SerializationError
from modulus_es.mapper import upcast
from modulus_es.messages import Message
from modulus_es.naming import stable_name
from modulus_es.records import codec_of
from modulus_es.stores.rows import InboxRow, OutboxRow
from modulus_es.trace import record_of

if TYPE_CHECKING:
    from modulus_es.codec.record_codec import RecordCodec
    from modulus_es.module import Module
    from modulus_es.system import System


async def replay_dead_letters(
    system: System,
    message_id: str | None,
    module: str | None,
    handler: str | None,
    type_name: str | None,
    payload: Mapping[str, Any] | Message | None,
) -> int:
    """See `System.replay_dead_letters`."""
    modules = system.modules if module is None else (system[module],)
    found = [
        (each, row)
        for each in modules
        for row in _dead(each)
        if message_id in (None, row.envelope.message_id)
        and type_name in (None, row.envelope.type)
        and handler in (None, _handler(row))
    ]
    if payload is not None:
        messages = {row.envelope.message_id for _, row in found}
        if len(messages) != 1:
            raise ModulusError(
                f"payload= edits one message, and {len(messages)} match: give its message_id"
            )
    # All is edited before anything is revived: where one cannot be, nothing happens.
    edited = [
        None if payload is None else _edited(system, row.envelope, payload) for _, row in found
    ]
    count = 0
    for (each, row), envelope in zip(found, edited, strict=True):
        if await _revive(each, row, envelope):
            _say(each, row)
            count += 1
    system.scheduler.wake()
    return count


def _dead(module: Module) -> Iterator[InboxRow | OutboxRow]:
    rows: list[InboxRow | OutboxRow] = [*module.store.inbox_rows(), *module.store.outbox_rows()]
    for row in rows:
        if row.dead_at is not None:
            yield row


def _handler(row: InboxRow | OutboxRow) -> str:
    return row.handler if isinstance(row, InboxRow) else ""


async def _revive(module: Module, row: InboxRow | OutboxRow, envelope: Envelope | None) -> bool:
    """Make a row pending again; answers whether there is anything to be done about it."""
    now = module.system.now()
    if isinstance(row, OutboxRow):
        await module.store.revive_outbox(row, now, envelope)
        return True
    if row.handler:
        await module.store.revive_delivery(row, now, envelope)
        return True
    # Nobody could read it, or knew its type, when it came. If somebody can now, it comes again.
    envelope = envelope or row.envelope
    if not module.consumer.handlers_of(envelope):
        return False
    await module.consumer.receive([envelope])
    await module.store.forget_unreadable(row)
    return True


def _say(module: Module, row: InboxRow | OutboxRow) -> None:
    who = row.handler if isinstance(row, InboxRow) else "relay"
    now, envelope = module.system.now(), row.envelope
    module.system.trace.add(record_of(envelope, now, "replay", module.name, envelope.source, who))


def _edited(system: System, envelope: Envelope, payload: Mapping[str, Any] | Message) -> Envelope:
    cls: Any = system.contracts.get(envelope.type)
    if cls is None:
        raise DeserializationError(
            f"the payload of {envelope.type!r} cannot be edited: no module knows that type"
        )
    codec = codec_of(cls)
    names = [field.name for field in codec.fields]
    if isinstance(payload, Message):
        if stable_name(type(payload)) != envelope.type:
            raise DeserializationError(
                f"the message is a {envelope.type}, and the payload a {stable_name(type(payload))}"
            )
        payload = {name: vars(payload)[name] for name in names}
    elif not isinstance(payload, Mapping):
        raise TypeError(
            f"payload= takes fields by name, or an object of {envelope.type}, not {payload!r}"
        )
    if unknown := sorted(set(payload) - set(names)):
        raise DeserializationError(
            f"{envelope.type} has no field {', '.join(unknown)}; it has {', '.join(names)}"
        )
    body = _body(codec, upcast(cls, envelope.version, envelope.body), payload)
    return msgspec.structs.replace(envelope, body=body, version=cls.class_version)


def _body(codec: RecordCodec, stored: bytes, payload: Mapping[str, Any]) -> bytes:
    """The stored fields with those of the payload in their places.

    A field of the payload is a value of its type, or what stands for one in a body, as
    ``dead_letters()`` shows it.
    """
    with suppress(SerializationError, DeserializationError):
        return codec.encode({**codec.decode(stored), **payload})
    try:
        found = msgspec.json.decode(stored)
    except msgspec.DecodeError:
        found = {}
    fields = {**(found if isinstance(found, dict) else {}), **payload}
    try:
        edited = msgspec.json.encode(fields)
    except Exception:
        return codec.encode(fields)  # which names the field that cannot travel
    return codec.encode(codec.decode(edited))
