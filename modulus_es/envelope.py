"""What travels between modules: a message's body and what is said about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from modulus_es.errors import DeserializationError
from modulus_es.ids import derived_id
from modulus_es.naming import NAME

SIZE_LIMIT = 4 * 1024 * 1024
"""The largest envelope that is read, in bytes."""

_LARGEST = 2**62  # of a number, so that every database holds it


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A message on its way.

    ``message_id`` and ``source``, the sending module, say which message it is;
    ``kind`` is event or command, ``to`` a command's module; ``type`` and
    ``version`` are the stable name and version of its class, ``body`` its own
    fields as JSON. ``key`` keeps the order: messages of one key arrive in the
    order in which they were recorded. ``position`` is the message's place in
    its source's outbox, 0 where it was scheduled for later, because then it
    follows no order. ``attempt`` counts how often it was handed over.

    >>> from modulus_es.clock import START
    >>> envelope = Envelope(
    ...     message_id="m1", kind="event", type="OrderCreated", version=1, body=b"{}",
    ...     source="orders", key="o1", occurred_on=START,
    ... )
    >>> Envelope.from_bytes(envelope.to_bytes()) == envelope
    True
    """

    message_id: str
    kind: Literal["event", "command"]
    type: str
    version: int
    body: bytes
    source: str
    key: str
    occurred_on: datetime
    to: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    position: int = 0
    attempt: int = 1
    traceparent: str | None = None

    @property
    def headers(self) -> dict[str, Any]:
        """What is said about the body, as the outbox keeps it and a broker carries it."""
        return {
            "kind": self.kind,
            "to": self.to,
            "source": self.source,
            "key": self.key,
            "occurred_on": self.occurred_on.isoformat(),
            "correlation_id": self.correlation_id,
            "causation_id": self.causation_id,
            "position": self.position,
            "attempt": self.attempt,
            "traceparent": self.traceparent or self._traceparent(),
        }

    def _traceparent(self) -> str:
        """What a tracer downstream joins: one trace a conversation (W3C Trace Context, 3.2)."""
        trace = derived_id("trace", self.correlation_id or self.message_id).hex
        return f"00-{trace}-{derived_id('span', self.message_id).hex[:16]}-01"

    def to_bytes(self) -> bytes:
        """The envelope as JSON, the body within it."""
        wire = msgspec.structs.asdict(self)
        wire["body"] = msgspec.Raw(self.body)
        return _encoder.encode({k: v for k, v in wire.items() if v is not None})

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """Read an envelope; anything that is not exactly one raises `DeserializationError`.

        >>> Envelope.from_bytes(b'{"message_id": 7}')
        Traceback (most recent call last):
            ...
        modulus_es.errors.DeserializationError: not an envelope: Expected `str`, got `int` - at ...
        """
        if len(data) > SIZE_LIMIT:
            raise DeserializationError(
                f"not an envelope: {len(data)} bytes, and at most {SIZE_LIMIT} are read"
            )
        try:
            wire = _decoder.decode(data)
            fields = {name: getattr(wire, name) for name in wire.__struct_fields__}
            fields["body"] = bytes(wire.body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise DeserializationError(f"not an envelope: {error}") from None
        if not NAME.fullmatch(wire.type):
            raise DeserializationError("not an envelope: its type is not a stable name")
        if wire.occurred_on.tzinfo is None:
            raise DeserializationError("not an envelope: occurred_on has no time zone")
        return cls(**fields)


class _Wire(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    message_id: str
    kind: Literal["event", "command"]
    type: str
    version: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]
    body: msgspec.Raw
    source: str
    key: str
    occurred_on: datetime
    to: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    position: Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)] = 0
    attempt: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)] = 1
    traceparent: str | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Wire)
