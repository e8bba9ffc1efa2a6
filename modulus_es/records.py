"""What all frozen records share: their own fields, their codec, their repr."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modulus_es.codec import RecordCodec


def readable(self: Any) -> str:
    """A repr with the record's own fields; what every record has is left out."""
    from modulus_es.naming import qualified_name  # noqa: PLC0415

    cls = type(self)
    state = vars(self)
    own = (f.name for f in fields(cls) if f.name not in cls.__base_fields__ and f.name in state)
    return f"{qualified_name(cls)}({', '.join(f'{name}={state[name]!r}' for name in own)})"


def codec_of(cls: type[Any]) -> RecordCodec:
    """The codec of a record class, over its own fields; made once a class.

    Raises `UnsupportedFieldError` where a field cannot be recorded.
    """
    codec: RecordCodec | None = cls.__dict__.get("__codec__")
    if codec is None:
        from modulus_es.codec import MISSING, RecordCodec, field_specs  # noqa: PLC0415
        from modulus_es.naming import stable_name  # noqa: PLC0415

        defaults = getattr(cls, "__parameter_defaults__", {})
        specs = [
            replace(spec, default=defaults[spec.name])
            if spec.default is MISSING and spec.name in defaults
            else spec
            for spec in field_specs(cls, exclude=cls.__base_fields__)
        ]
        codec = RecordCodec(stable_name(cls), specs)
        cls.__codec__ = codec
    return codec


def check_fields(cls: type[Any]) -> None:
    """Refuse, when the class is defined, a field that could not be recorded.

    A name in an annotation that is not defined yet is looked up again when the
    class is first recorded.
    """
    from modulus_es.errors import UnsupportedFieldError  # noqa: PLC0415

    try:
        codec_of(cls)
    except UnsupportedFieldError as error:
        if not getattr(error, "unresolved", False):
            raise
