"""What a field is declared to be: names resolved, redefined classes followed."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from modulus_es.codec.plan import is_redefinition, type_name
from modulus_es.errors import UnsupportedFieldError
from modulus_es.signatures import names_around

MISSING: Any = dataclasses.MISSING


class UnresolvedHintError(UnsupportedFieldError):
    """A type hint names what is not defined yet; resolving it later may work."""

    unresolved = True


def missing() -> Any:
    """Make `MISSING` the default of a dataclass field, which as a plain default means none.

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
    default: Any = dataclasses.field(default_factory=missing)
    default_factory: Any = dataclasses.field(default_factory=missing)

    @property
    def optional(self) -> bool:
        """Whether the field may be missing in what is read.

        >>> FieldSpec("total", int).optional
        False
        """
        return self.default is not MISSING or self.default_factory is not MISSING

    def fill(self) -> Any:
        """Make the value of a field that is missing in what is read.

        >>> FieldSpec("tags", list[str], default_factory=list).fill()
        []
        """
        return self.default if self.default_factory is MISSING else self.default_factory()


def field_specs(cls: type, exclude: Collection[str] = ()) -> list[FieldSpec]:
    """List the fields of a dataclass, but those to ``exclude``, with their hints resolved.

    A hint that is a string is looked up in the module of the class that
    declares it. Raises `UnsupportedFieldError`, naming the field, where a name
    in it is not defined there.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Paid:
    ...     amount: "int"
    ...     note: str = ""
    >>> [(spec.name, spec.hint) for spec in field_specs(Paid, exclude=["note"])]
    [('amount', <class 'int'>)]
    """
    return [
        dataclasses.replace(spec, hint=resolve(spec.hint, owner, f"{type_name(cls)}.{spec.name}"))
        for spec, owner in declared_fields(cls)
        if spec.name not in exclude
    ]


def declared_fields(cls: Any) -> list[tuple[FieldSpec, type]]:
    """List the fields of a dataclass or named tuple with their raw hints and their owners."""
    owners: dict[str, tuple[type, Any]] = {}
    for base in reversed(cls.__mro__):
        for name, raw in inspect.get_annotations(base).items():
            owners[name] = (base, raw)
    if dataclasses.is_dataclass(cls):
        specs = [
            FieldSpec(field.name, field.type, field.default, field.default_factory)
            for field in dataclasses.fields(cls)
        ]
    else:
        defaults = cls._field_defaults
        specs = [FieldSpec(name, Any, defaults.get(name, MISSING)) for name in cls._fields]
    found = []
    for spec in specs:
        owner, raw = owners.get(spec.name, (cls, spec.hint))
        found.append((dataclasses.replace(spec, hint=raw), owner))
    return found


def resolve(raw: Any, owner: type, where: str) -> Any:
    """Resolve one raw hint in the module of the class that declares it."""
    if raw is inspect.Parameter.empty or raw is MISSING:
        return Any
    module = sys.modules.get(owner.__module__)
    names = dict(vars(module)) if module else {}
    if "<locals>" in owner.__qualname__ and isinstance(raw, str):
        names.update(names_around(owner)[1])
    carrier = type("carrier", (), {"__annotations__": {"hint": raw}})
    try:
        return typing.get_type_hints(
            carrier,
            # As typing itself does it: what the module defines goes before class attributes.
            globalns=dict(vars(owner)),
            localns=names,
            include_extras=True,
        )["hint"]
    except NameError as error:
        raise UnresolvedHintError(
            f"{where}: the type hint {raw!r} cannot be resolved, because {error.name!r} is not "
            f"defined in module {owner.__module__}; define or import it there, before this class "
            "is first used"
        ) from None
    except Exception as error:
        raise UnsupportedFieldError(
            f"{where}: the type hint {raw!r} cannot be resolved ({error}); correct the hint"
        ) from error


class Watch(NamedTuple):
    """A module-level name and what it meant when a codec was compiled.

    Where it means something else, the cell that defines it was run again.
    """

    namespace: Mapping[str, Any]
    name: str
    seen: Any


def current(cls: type, watches: list[Watch]) -> tuple[type, bool]:
    """Find the newest definition of a class in the module that declares it.

    Running a notebook cell again makes a new class of the same name, while the
    hints of classes from other cells still hold the old one. Only the class
    object of a hint is followed, never a name out of recorded data. The second
    answer tells whether the module knows a class by that name at all.
    """
    module = sys.modules.get(cls.__module__)
    if module is None or "<locals>" in cls.__qualname__:
        return cls, False
    namespace = vars(module)
    first, *rest = cls.__qualname__.split(".")
    found = namespace.get(first)
    watches.append(Watch(namespace, first, found))
    for part in rest:
        found = getattr(found, part, None)
    if isinstance(found, type) and is_redefinition(found, cls):
        return found, True
    return cls, False
