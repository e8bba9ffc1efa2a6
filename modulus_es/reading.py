"""From an envelope to the message in it, worked out once for each class of messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from modulus_es.envelope import Envelope
from modulus_es.errors import DeserializationError
from modulus_es.mapper import upcast
from modulus_es.messages import IntegrationEvent
from modulus_es.records import codec_of

_convert = msgspec.convert

Read: TypeAlias = Callable[[Envelope], Any]
"""Makes the message that an envelope holds; raises `DeserializationError`."""


def read_of(cls: Any) -> Read:
    """How a message of this class is read."""
    decode, version, new = codec_of(cls).decode, cls.class_version, object.__new__
    is_event = issubclass(cls, IntegrationEvent)

    def read(envelope: Envelope) -> Any:
        body = envelope.body
        if envelope.version < version:
            body = upcast(cls, envelope.version, body)
        values = decode(body)
        if is_event:
            try:
                # As most ids are written, and several times as fast.
                values["event_id"] = _convert(envelope.message_id, UUID)
            except msgspec.ValidationError:
                values["event_id"] = _event_id(envelope)
            values["occurred_on"] = envelope.occurred_on
            values["correlation_id"] = envelope.correlation_id
            values["causation_id"] = envelope.causation_id
        message = new(cls)
        message.__dict__.update(values)
        return message

    return read


def _event_id(envelope: Envelope) -> UUID:
    try:
        return UUID(envelope.message_id)
    except ValueError:
        raise DeserializationError(
            f"{envelope.type}: its message id {envelope.message_id[:80]!r} is not a UUID"
        ) from None
