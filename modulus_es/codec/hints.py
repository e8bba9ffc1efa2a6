"""What a field is declared to be: names resolved, redefined classes followed."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from modulus_es.codec.plan import is_redefinition, type_name
from modulus_es.errors import UnsupportedFieldError

MISSING: Any = dataclasses.MISSING


def missing() -> Any:
    """Return `MISSING`, which a dataclass would not take for a default.

    >>> missing() is MISSING
    True
    """
    return MISSING


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field to record: its name, its resolved type hint and its default.

    ``hint`` may be `typing.Any`, `inspect.Parameter.empty` or `MISSING` for a
    field without a type, whose values then say themselves what they are.
    ``default`` and ``default_factory`` are what a dataclass field has; a field
    with either may be missing in what is read.

    >>> FieldSpec("total", int, default=0).default
    0
    """

    name: str
    hint: Any
    default: Any = field(default_factory=missing)
    default_factory: Any = field(default_factory=missing)


def field_specs(cls: type, exclude: Collection[str] = ()) -> list[FieldSpec]:
    """List the fields of a dataclass, but those to ``exclude``, with their hints resolved.

    A hint that is a string is looked up in the module of the class that
    declares it. Raises `UnsupportedFieldError`, naming the field, where a name
    in it is not defined there.

    >>> from dataclasses import dataclass, field
    >>> @dataclass(frozen=True)
    ... class Paid:
    ...     amount: "int"
    ...     note: str = ""
    >>> [(spec.name, spec.hint) for spec in field_specs(Paid, exclude=["note"])]
    [('amount', <class 'int'>)]
    """
    owners = hint_owners(cls)
    specs = []
    for field in dataclasses.fields(cls):
        if field.name in exclude:
            continue
        owner, raw = owners.get(field.name, (cls, field.type))
        hint = resolve(raw, owner, f"{type_name(cls)}.{field.name}")
        specs.append(FieldSpec(field.name, hint, field.default, field.default_factory))
    return specs


def hint_owners(cls: type) -> dict[str, tuple[type, Any]]:
    """Map each annotated name to the class that declares it last, and to its raw hint."""
    owners: dict[str, tuple[type, Any]] = {}
    for base in reversed(cls.__mro__):
        for name, raw in inspect.get_annotations(base).items():
            owners[name] = (base, raw)
    return owners


def resolve(raw: Any, owner: type, where: str) -> Any:
    """Resolve one raw hint in the module of the class that declares it."""
    if raw is inspect.Parameter.empty or raw is MISSING:
        return Any
    module = sys.modules.get(owner.__module__)
    carrier = type("carrier", (), {"__annotations__": {"hint": raw}})
    try:
        return typing.get_type_hints(
            carrier,
            # As typing itself does it: what the module defines goes before class attributes.
            globalns=dict(vars(owner)),
            localns=vars(module) if module else {},
            include_extras=True,
        )["hint"]
    except NameError as error:
        raise UnsupportedFieldError(
            f"{where}: the type hint {raw!r} cannot be resolved, because {error.name!r} is not "
            f"defined in module {owner.__module__}; define or import it there, before this class "
            "is first used"
        ) from None
    except Exception as error:
        raise UnsupportedFieldError(
            f"{where}: the type hint {raw!r} cannot be resolved ({error}); correct the hint"
        ) from error


@dataclass(frozen=True, slots=True)
class Watch:
    """A module-level name as it was when a codec was compiled."""

    namespace: Mapping[str, Any]
    name: str
    seen: Any

    def stale(self) -> bool:
        """Whether the name now means something else: its cell was run again."""
        return self.namespace.get(self.name) is not self.seen


def current(cls: type, watches: list[Watch]) -> type:
    """Find the newest definition of a class in the module that declares it.

    Running a notebook cell again makes a new class of the same name, while the
    hints of classes from other cells still hold the old one. Only the class
    object of a hint is followed, never a name out of recorded data.
    """
    module = sys.modules.get(cls.__module__)
    if module is None or "<locals>" in cls.__qualname__:
        return cls
    namespace = vars(module)
    first, *rest = cls.__qualname__.split(".")
    found = namespace.get(first)
    watches.append(Watch(namespace, first, found))
    for part in rest:
        found = getattr(found, part, None)
    return found if isinstance(found, type) and is_redefinition(found, cls) else cls
