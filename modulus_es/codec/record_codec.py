"""`RecordCodec`: the fields of one class of message, to JSON bytes and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from modulus_es.codec.compiler import Compiler
from modulus_es.codec.hints import FieldSpec, Watch
from modulus_es.codec.plan import Fault
from modulus_es.codec.records import (
    PlannedField,
    fields_check,
    read_struct,
    unpack_fields,
    written_struct,
)
from modulus_es.errors import DeserializationError, SerializationError, UnsupportedFieldError

_to_json = msgspec.json.Encoder().encode
_as_dict = msgspec.structs.asdict


class RecordCodec:
    """Encode the fields of one class to JSON, and decode them equal and of the same types.

    ``owner`` names the class in messages, such as ``Order.Placed``; ``fields``
    are what is recorded. Raises `UnsupportedFieldError`, naming the field, for
    a type that cannot be recorded. A codec may be used by many threads.

    >>> from decimal import Decimal
    >>> codec = RecordCodec("Paid", [FieldSpec("amount", Decimal)])
    >>> codec.encode({"amount": Decimal("4.20")})
    b'{"amount":"4.20"}'
    >>> codec.decode(b'{"amount":"4.20"}')
    {'amount': Decimal('4.20')}
    """

    def __init__(self, owner: str, fields: Sequence[FieldSpec]) -> None:
        self.owner = owner
        self.fields = tuple(fields)
        self._compiled = _Compiled(owner, self.fields)

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """Encode exactly the codec's fields out of ``values``; other keys are ignored.

        Raises `SerializationError`, with the path of the field, for a value
        that would not read back equal and of the same type.

        >>> RecordCodec("Seen", [FieldSpec("times", int)]).encode({"times": True})
        Traceback (most recent call last):
            ...
        modulus_es.errors.SerializationError: Seen.times is of type bool where int is \
declared; convert the value, or change the type hint
        """
        try:
            compiled = self._compiled
            if compiled.check is not None and compiled.check(values):
                return _to_json(compiled.written(*compiled.take(values)))
        except Exception:
            # Whatever it was, the complete way finds it again and names the field.
            return self._encode_completely(values)
        return self._encode_completely(values)

    def _encode_completely(self, values: Mapping[str, Any]) -> bytes:
        try:
            return _to_json(self._fresh().pack(values))
        except Fault as fault:
            path = self.owner + fault.path
            raise SerializationError(f"{path} {fault.message}", path) from fault.__cause__
        except RecursionError:
            raise SerializationError(
                f"{self.owner} is nested too deeply or contains itself; record a flatter value",
                self.owner,
            ) from None
        except Exception as error:
            raise SerializationError(
                f"{self.owner} cannot be recorded: {error}; correct the value", self.owner
            ) from error

    def decode(self, data: bytes) -> dict[str, Any]:
        """Decode what `encode` made, today or before optional fields were added.

        Fields that the codec does not have are ignored; a missing field takes
        its default. Raises `DeserializationError`, with the path, for anything
        else that does not fit the types.

        >>> codec = RecordCodec("Paid", [FieldSpec("note", str, default="")])
        >>> codec.decode(b'{"unknown": 1}')
        {'note': ''}
        """
        compiled = self._fresh()
        try:
            values = _as_dict(compiled.decoder.decode(data))
            if compiled.unpack is not None:
                compiled.unpack(values)
        except Fault as fault:
            path = self.owner + fault.path
            raise DeserializationError(f"{path}: {fault.message}", path) from fault.__cause__
        except RecursionError:
            raise DeserializationError(f"{self.owner}: nested too deeply", self.owner) from None
        except Exception as error:
            message, path = _split(str(error))
            path = self.owner + path
            raise DeserializationError(f"{path}: {message}", path) from error
        return values

    def json_schema(self) -> dict[str, Any]:
        """Describe the encoded body as a JSON Schema.

        >>> RecordCodec("Paid", [FieldSpec("note", str)]).json_schema()["properties"]
        {'note': {'type': 'string'}}
        """
        (schema,), components = msgspec.json.schema_components([self._fresh().read])
        name = schema["$ref"].rpartition("/")[2]
        body: dict[str, Any] = components.pop(name)
        return {**body, "$defs": components} if components else body

    def _fresh(self) -> _Compiled:
        """Compile again where a class that a hint names was defined again."""
        compiled = self._compiled
        for watch in compiled.watches:
            if watch.stale():
                compiled = self._compiled = _Compiled(self.owner, self.fields)
                break
        return compiled


class _Compiled:
    """What is made of a codec's fields once, and again after a redefinition."""

    __slots__ = ("check", "decoder", "pack", "read", "take", "unpack", "watches", "written")

    def __init__(self, owner: str, fields: Sequence[FieldSpec]) -> None:
        planned = []
        watches: dict[tuple[int, str], Watch] = {}
        for field in fields:
            compiler = Compiler(f"{owner}.{field.name}")
            plan = compiler.plan(field.hint, {})
            planned.append(PlannedField(field.name, plan, field.default, field.default_factory))
            watches.update(((id(w.namespace), w.name), w) for w in compiler.watches)
        self.watches = tuple(watches.values())
        self.take = _taker([field.name for field in fields])
        try:
            self.written = written_struct(owner, planned)
            self.read = read_struct(owner, planned)
            self.decoder = msgspec.json.Decoder(self.read)
        except (TypeError, ValueError) as error:
            raise UnsupportedFieldError(
                f"{owner} cannot be recorded: {error}; rename or retype the field"
            ) from error
        self.unpack = unpack_fields(planned)
        direct = planned and all(field.plan.direct for field in planned)
        self.check = fields_check(planned, itemgetter) if direct else None
        packs = [(field.name, field.plan.packed()) for field in planned]
        written = self.written

        def pack(values: Mapping[str, Any]) -> Any:
            result = []
            for name, packed in packs:
                try:
                    if name not in values:
                        raise Fault("is missing; give every field a value")
                    result.append(packed(values[name], 0))
                except Fault as fault:
                    raise fault.at(f".{name}") from None
            return written(*result)

        self.pack = pack


def _split(error: str) -> tuple[str, str]:
    """Take the path out of a message of msgspec, with a field that is missing."""
    message, _, path = error.partition(" - at `$")
    path = path.rstrip("`")
    if message.startswith("Object missing required field"):
        path += f".{message.split('`')[1]}"
    return message, path


def _taker(names: list[str]) -> Any:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)
