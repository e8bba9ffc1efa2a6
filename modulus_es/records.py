"""What all frozen records share: their own fields, their codec, their repr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from inspect import get_annotations
from typing import TYPE_CHECKING, Any, get_type_hints

from modulus_es.errors import DefinitionError, ReservedFieldError, UnsupportedFieldError
from modulus_es.naming import qualified_name, stable_name
from modulus_es.signatures import names_around

if TYPE_CHECKING:
    from modulus_es.codec import RecordCodec


def readable(self: Any) -> str:
    """A repr with the record's own fields; what every record has is left out."""
    cls = type(self)
    state = vars(self)
    own = (f.name for f in fields(cls) if f.name not in cls.__base_fields__ and f.name in state)
    return f"{qualified_name(cls)}({', '.join(f'{name}={state[name]!r}' for name in own)})"


def as_record(cls: type[Any]) -> type[Any]:
    """The class as a frozen dataclass.

    Raises `DefinitionError` for what no dataclass can be, such as a list for a default.
    """
    try:
        return dataclass(frozen=True, repr=False)(cls)
    except (TypeError, ValueError) as error:
        said = _shared_default(cls, str(error)) or f" cannot be a record: {error}"
        raise DefinitionError(f"{qualified_name(cls)}{said}") from None


def _shared_default(cls: type[Any], refusal: str) -> str:
    """What is wrong with the list, dictionary or set that dataclasses refuse as a default."""
    for name in get_annotations(cls):
        if f" for field {name} " in refusal:
            default = cls.__dict__[name]
            kind = type(default).__name__
            made = f"lambda: {default!r}" if default else kind
            return (
                f".{name} has a {kind} for a default, which all its objects would share: write "
                f"field(default_factory={made}), with field from dataclasses"
            )
    return ""


def codec_of(cls: type[Any]) -> RecordCodec:
    """The codec of a record class, over its own fields; made once a class.

    Raises `UnsupportedFieldError` where a field cannot be recorded.
    """
    codec: RecordCodec | None = cls.__dict__.get("__codec__")
    if codec is None:
        from modulus_es.codec import RecordCodec, field_specs

        defaults: Mapping[str, Any] = getattr(cls, "__parameter_defaults__", {})
        specs = [
            replace(spec, default=defaults[spec.name])
            if not spec.optional and spec.name in defaults
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
    try:
        codec_of(cls)
    except UnsupportedFieldError as error:
        if not isinstance(error.__context__, NameError):
            raise


def refuse_reserved(cls: type, reserved: tuple[str, ...]) -> None:
    """Raise `ReservedFieldError` where a class itself declares a reserved name."""
    declared = {**cls.__dict__, **get_annotations(cls)}
    for name in reserved:
        if name in declared:
            raise ReservedFieldError(
                f"{qualified_name(cls)} has a field {name!r}, which every event has already and "
                f"which it would shadow: call it something else, such as "
                f"{qualified_name(cls).split('.')[0].lower()}_{name.lstrip('_')}"
            )


def settle_annotations(cls: type) -> None:
    """Resolve annotations that are text and mention what only a function's body knows.

    Under ``from __future__ import annotations`` a class defined in a function
    says only the names of its fields' types; they can be found as long as that
    function runs, which it does while the class is being defined.
    """
    own = get_annotations(cls)
    if "<locals>" not in cls.__qualname__ or not any(isinstance(v, str) for v in own.values()):
        return
    names = names_around(cls)
    for name, said in own.items():
        if isinstance(said, str):
            carrier = type("carrier", (), {"__annotations__": {name: said}})
            try:
                cls.__annotations__[name] = get_type_hints(carrier, *names)[name]
            except NameError:
                # Perhaps a name that is still to come at the top level of the module.
                continue
