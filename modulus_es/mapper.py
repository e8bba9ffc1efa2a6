"""Between domain events and stored events: stable names, typed fields, what caused them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from eventsourcing.persistence import Mapper, StoredEvent

from modulus_es.domain import RecordedEvent, UnknownEvent
from modulus_es.errors import DeserializationError, SerializationError, UnknownEventError
from modulus_es.naming import Registry, near_misses, stable_name
from modulus_es.records import codec_of
from modulus_es.stores.rows import EventRow, Stored

if TYPE_CHECKING:
    from modulus_es.codec.record_codec import Compiled


class Recorded(msgspec.Struct, omit_defaults=True):
    """What is stored of an event: its own fields in ``data``, and what is said about it."""

    id: UUID
    at: datetime
    data: msgspec.Raw
    version: int = 1
    correlation_id: str | None = None
    causation_id: str | None = None
    handler: str | None = None
    aggregate: str | None = None


_as_dict = msgspec.structs.asdict
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Recorded)


class _Kind:
    """What the mapper knows of one event class: its name, codec and version."""

    __slots__ = ("_compiled", "_decode", "codec", "name", "version")

    def __init__(self, cls: Any, name: str) -> None:
        self.name = name
        self.codec = codec_of(cls)
        self.version: int = getattr(cls, "class_version", 1)
        self._compiled: Compiled | None = None
        self._decode: Any = None

    def read(self, data: bytes) -> tuple[Recorded, dict[str, Any]] | None:
        """What is stored and its fields, in one go; None where that does not do."""
        compiled = self._compiled
        if compiled is None or compiled.watches:
            compiled = self._follow()
        try:
            recorded = self._decode(data)
            if recorded.version < self.version:
                return None
            values = _as_dict(recorded.data)
            if compiled.unpack is not None:
                compiled.unpack(values)
        except Exception:
            # Whatever it was, the complete way meets it again and says what it is.
            return None
        return recorded, values

    def _follow(self) -> Compiled:
        """What the fields are compiled to now, and a decoder of it."""
        compiled = self.codec.current()
        if compiled is not self._compiled:
            whole = msgspec.defstruct("Whole", [("data", compiled.read)], bases=(Recorded,))
            self._decode = msgspec.json.Decoder(whole).decode
            self._compiled = compiled
        return compiled


class EventMapper(Mapper[UUID]):
    """eventsourcing's mapper, with names looked up in one module's registry.

    A stored row can name any class; only those that the module was told of are
    ever made. The bytes are JSON, compressed and encrypted as eventsourcing's
    environment variables say.
    """

    registry: Registry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kinds: dict[type, _Kind] = {}

    def to_stored_event(self, domain_event: Any) -> StoredEvent:
        """The event as eventsourcing stores it; raises `SerializationError` naming the field."""
        return self.row_of(domain_event).as_stored_event()

    def row_of(self, domain_event: Any) -> EventRow:
        """The event as it is stored; raises `SerializationError` naming the field."""
        cls = type(domain_event)
        state = domain_event.__dict__
        at, get = state["timestamp"], state.get
        if not isinstance(at, datetime) or at.tzinfo is None:
            path = f"{stable_name(cls)}.timestamp"
            raise SerializationError(f"{path} is a time with a time zone, not {at!r}", path)
        kind = self._kinds.get(cls) or self._kind(cls)
        recorded = Recorded(
            state["id"],
            at,
            kind.codec.packed(state),
            kind.version,
            get("correlation_id"),
            get("causation_id"),
            get("recorded_by"),
            get("originator_topic"),
        )
        try:
            data = _encode(recorded)
        except Exception:
            # If it is one of the fields, this says which.
            kind.codec.encode(state)
            raise
        if self.compressor or self.cipher:
            data = self.closed(data)
        return EventRow(state["originator_id"], state["originator_version"], kind.name, data)

    def to_domain_event(self, stored_event: Stored) -> Any:
        """The event as an object of the newest class of its name.

        Raises `UnknownEventError` where the module knows no such class, and
        `DeserializationError` naming the row where the bytes cannot be read.
        """
        cls: Any = self.registry.get(stored_event.topic)
        kind = self._kinds.get(cls)
        if kind is None:
            if cls is None or not issubclass(cls, RecordedEvent):
                raise UnknownEventError(self._unknown(stored_event), stored_event.topic)
            kind = self._kind(cls)
        read = None if self.cipher or self.compressor else kind.read(stored_event.state)
        recorded, values = read or self._read_completely(cls, stored_event)
        event = object.__new__(cls)
        state = event.__dict__
        id_ = stored_event.originator_id
        state["originator_id"] = id_ if type(id_) is UUID else _as_uuid(id_)
        state["originator_version"] = stored_event.originator_version
        at = recorded.at
        state["timestamp"] = at if at.tzinfo is UTC else at.astimezone(UTC)
        if recorded.aggregate is not None:
            state["originator_topic"] = recorded.aggregate
        state.update(values)
        state["id"] = recorded.id
        if recorded.correlation_id is not None:
            state["correlation_id"] = recorded.correlation_id
        if recorded.causation_id is not None:
            state["causation_id"] = recorded.causation_id
        if recorded.handler is not None:
            state["recorded_by"] = recorded.handler
        return event

    def _read_completely(self, cls: Any, stored_event: Stored) -> tuple[Recorded, dict[str, Any]]:
        recorded = self.read(stored_event)
        try:
            data = upcast(cls, recorded.version, recorded.data)
            return recorded, self._kind(cls).codec.decode(data)
        except DeserializationError as error:
            raise DeserializationError(f"{_row(stored_event)}: {error}", error.path) from None

    def _kind(self, cls: type) -> _Kind:
        kind = self._kinds.get(cls)
        if kind is None:
            kind = self._kinds[cls] = _Kind(cls, self.registry.learn(cls))
        return kind

    def read(self, stored_event: Stored) -> Recorded:
        """What is stored, without asking for the event's class."""
        try:
            return _decoder.decode(self.opened(stored_event.state))
        except Exception as error:
            # Cipher and compressor are the user's choice, and so is what they raise.
            raise DeserializationError(
                f"{_row(stored_event)} cannot be read: {error}", stored_event.topic
            ) from None

    def closed(self, data: bytes) -> bytes:
        """What is stored of these bytes, compressed and encrypted."""
        if self.compressor:
            data = self.compressor.compress(data)
        return self.cipher.encrypt(data) if self.cipher else data

    def opened(self, data: bytes) -> bytes:
        """What `closed` was given; raises whatever cipher and compressor raise."""
        if self.cipher:
            data = self.cipher.decrypt(data)
        return self.compressor.decompress(data) if self.compressor else data

    def unknown(self, stored_event: Stored) -> UnknownEvent:
        """The event for somebody who only wants to look at it."""
        recorded = self.read(stored_event)
        data = msgspec.json.decode(recorded.data)
        return UnknownEvent(
            stored_event.topic,
            _as_uuid(stored_event.originator_id),
            stored_event.originator_version,
            data if isinstance(data, Mapping) else {"": data},
        )

    def _unknown(self, stored_event: Stored) -> str:
        name = stored_event.topic
        return (
            f"{_row(stored_event)}: {self.registry.owner} knows no class {name!r}; run the cell "
            f"that defines {name.partition('.')[0]}, or import it, and mention it to the module"
            f"{near_misses(name, self.registry.names())}"
        )


def upcast(cls: Any, version: int, data: bytes | msgspec.Raw) -> bytes:
    """The stored fields as the class has them now, by its ``upcast_vX_vY`` functions.

    Such a function changes the fields in place, or answers new ones.
    """
    newest = getattr(cls, "class_version", 1)
    if version >= newest:
        return bytes(data)
    name = stable_name(cls)
    try:
        state = msgspec.json.decode(data)
        for step in range(version, newest):
            name = f"{stable_name(cls)}.upcast_v{step}_v{step + 1}"
            function = getattr(cls, f"upcast_v{step}_v{step + 1}", None)
            if function is not None:
                state = _upcast(function, state)
        return msgspec.json.encode(state)
    except Exception as error:
        # It meets what was stored long ago, or sent by a stranger.
        raise DeserializationError(f"{name}: {type(error).__name__}: {error}", name) from error


def _upcast(function: Any, state: dict[str, Any]) -> dict[str, Any]:
    before = list(state.values())
    answer = function(state)
    # What setdefault() and pop() answer is one of the fields, not all of them.
    is_field = any(answer is value for value in (*before, *state.values()))
    return answer if isinstance(answer, dict) and not is_field else state


def _row(stored: Stored) -> str:
    return f"event {stored.originator_version} of {stored.originator_id} ({stored.topic})"


def _as_uuid(value: UUID | str) -> UUID:
    return value if isinstance(value, UUID) else UUID(value)
