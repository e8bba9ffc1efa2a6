"""`RecordCodec`: the fields of one class of message, to JSON bytes and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from modulus_es.codec.blame import blame
from modulus_es.codec.compiler import Compiler
from modulus_es.codec.fast import fields_getter, fields_test
from modulus_es.codec.hints import FieldSpec, Watch
from modulus_es.codec.plan import MisfitError, misread
from modulus_es.codec.records import PlannedField, read_struct, unpack_fields, written_struct
from modulus_es.errors import DeserializationError, SerializationError, UnsupportedFieldError

_to_json = msgspec.json.Encoder().encode
_to_raw = msgspec.Raw
_as_dict = msgspec.structs.asdict


class RecordCodec:
    """Encode the fields of one class to JSON, and decode them equal and of the same types.

    ``owner`` names the class in messages, such as ``Order.Placed``; ``fields``
    are what is recorded. Raises `UnsupportedFieldError`, naming the field, for
    a type that cannot be recorded. Many threads may use one codec.

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
        self._compiled = Compiled(owner, self.fields)

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
        compiled = self._compiled
        try:
            taken = compiled.take(values)
            if compiled.test(taken):
                return _to_json(compiled.written(*taken))
        except Exception:
            # Whatever it was, the complete way meets it again and names the field.
            return self._encode_completely(values)
        return self._encode_completely(values)

    def packed(self, values: Mapping[str, Any]) -> Any:
        """What `encode` encodes: something that msgspec writes, to be put into something larger.

        Writing it can fail still; `encode` says why.
        """
        compiled = self._compiled
        try:
            taken = compiled.take(values)
            if compiled.test(taken):
                return compiled.written(*taken)
        except Exception:
            return _to_raw(self._encode_completely(values))
        return _to_raw(self._encode_completely(values))

    def _encode_completely(self, values: Mapping[str, Any]) -> bytes:
        compiled = self.current()
        packed: Any = None
        try:
            packed = compiled.pack(values)
            return _to_json(packed)
        except RecursionError:
            raise SerializationError(
                f"{self.owner} is nested too deeply; record flatter values", self.owner
            ) from None
        except MisfitError as misfit:
            raise self._refusal(misfit) from misfit.__cause__
        except Exception as error:
            if packed is not None:
                raise self._refusal(blame(packed)) from error
            raise self._refusal(
                MisfitError(f"cannot be taken from its mapping ({error})")
            ) from error

    def _refusal(self, misfit: MisfitError) -> SerializationError:
        path = self.owner + misfit.path
        return SerializationError(f"{path} {misfit.message}", path)

    def decode(self, data: bytes) -> dict[str, Any]:
        """Decode what `encode` made, today or before optional fields were added.

        Fields that the codec does not have are ignored; a missing field takes
        its default. Raises `DeserializationError`, with the path, for anything
        else that does not fit the types.

        >>> codec = RecordCodec("Paid", [FieldSpec("note", str, default="")])
        >>> codec.decode(b'{"unknown": 1}')
        {'note': ''}
        """
        compiled = self.current() if self._compiled.watches else self._compiled
        try:
            values = _as_dict(compiled.decode(data))
            if compiled.unpack is not None:
                compiled.unpack(values)
        except RecursionError:
            raise DeserializationError(f"{self.owner}: nested too deeply", self.owner) from None
        except MisfitError as misfit:
            raise self._unreadable(misfit) from misfit.__cause__
        except Exception as error:
            raise self._unreadable(misread(error)) from error
        return values

    def _unreadable(self, misfit: MisfitError) -> DeserializationError:
        path = self.owner + misfit.path
        return DeserializationError(f"{path}: {misfit.message}", path)

    def json_schema(self) -> dict[str, Any]:
        """Describe the encoded body as a JSON Schema.

        >>> RecordCodec("Paid", [FieldSpec("note", str)]).json_schema()["properties"]
        {'note': {'type': 'string'}}
        """
        (reference,), components = msgspec.json.schema_components([self.current().read])
        body: dict[str, Any] = components.pop(reference["$ref"].rpartition("/")[2])
        return {**body, "$defs": components} if components else body

    def current(self) -> Compiled:
        """What its fields were compiled to, again where a class that a hint names was redefined."""
        compiled = self._compiled
        for namespace, name, seen in compiled.watches:
            if namespace.get(name) is not seen:
                compiled = self._compiled = Compiled(self.owner, self.fields)
                break
        return compiled


class Compiled:
    """What is made of a codec's fields once, and again after a redefinition.

    ``read`` is the struct that msgspec reads into, and ``unpack`` finishes, in
    place, the fields that it does not finish itself; None where there are none.
    """

    __slots__ = ("decode", "pack", "read", "take", "test", "unpack", "watches", "written")

    def __init__(self, owner: str, fields: Sequence[FieldSpec]) -> None:
        planned = []
        watches: dict[tuple[int, str], Watch] = {}
        for field in fields:
            compiler = Compiler(f"{owner}.{field.name}")
            planned.append(PlannedField(field, compiler.plan(field.hint, {})))
            watches.update(((id(each.namespace), each.name), each) for each in compiler.watches)
        self.watches = tuple(watches.values())
        try:
            self.written = written_struct(owner, planned)
            self.read = read_struct(owner, planned)
            self.decode = msgspec.json.Decoder(self.read).decode
        except (TypeError, ValueError) as error:
            raise UnsupportedFieldError(
                f"{owner} cannot be recorded: {error}; rename the field, or change its type hint"
            ) from error
        self.take = fields_getter([field.name for field in fields], itemgetter)
        direct = all(each.plan.direct for each in planned)
        self.test = fields_test([each.plan for each in planned]) if direct else _never
        self.unpack = unpack_fields(planned)
        packs = [(each.name, each.plan.packed()) for each in planned]
        written = self.written

        def pack(values: Mapping[str, Any]) -> Any:
            result = []
            for name, packed in packs:
                try:
                    if name not in values:
                        raise MisfitError("is missing; give every field a value")
                    result.append(packed(values[name], 0))
                except MisfitError as misfit:
                    raise misfit.at(f".{name}") from misfit.__cause__
            return written(*result)

        self.pack = pack


def _never(taken: object) -> bool:
    return False
