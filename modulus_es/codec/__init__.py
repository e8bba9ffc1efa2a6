"""The strict record codec: fields to JSON bytes and back, equal and of the same type.

`RecordCodec` is compiled once for the fields of an event, a command or an
integration event. What it encodes reads back equal and of exactly the same
type at every level; everything else is refused, with the path of the field::

    hints.py        what a field is declared to be: names resolved, generics bound
    plan.py         one compiled type: how to check, pack and unpack its values
    scalars.py      plans of UUID, Decimal, datetime, enums ...
    containers.py   plans of list, tuple, set, dict
    unions.py       plans of unions and literals
    records.py      plans of nested frozen dataclasses and named tuples
    dynamic.py      the self-describing plan of fields without a type
    compiler.py     from a type hint to its plan
    record_codec.py `RecordCodec`
"""

from __future__ import annotations

from modulus_es.codec.hints import MISSING, FieldSpec, field_specs
from modulus_es.codec.record_codec import RecordCodec

__all__ = ["MISSING", "FieldSpec", "RecordCodec", "field_specs"]
