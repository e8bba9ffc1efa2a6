"""From a type hint to its plan."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from enum import Enum
from typing import Any, Literal, TypeVar, Union

import msgspec

from modulus_es.codec import containers, records, scalars, unions
from modulus_es.codec.dynamic import DYNAMIC
from modulus_es.codec.hints import MISSING, Watch, current, hint_owners, resolve
from modulus_es.codec.plan import Plan, type_name
from modulus_es.codec.records import PlannedField
from modulus_es.errors import UnsupportedFieldError

_DYNAMIC_HINTS = (Any, object, inspect.Parameter.empty, MISSING)
_BARE = {list: list[Any], set: set[Any], frozenset: frozenset[Any], tuple: tuple[Any, ...],
         dict: dict[Any, Any]}  # fmt: skip
_UNHASHABLE = frozenset((list, set, dict))
_ADVICE = (
    "use UUID, Decimal, str, int, float, bool, bytes, a date or time type, an enum, a frozen "
    "dataclass, a NamedTuple, or a list, tuple, set, dict or union of them"
)
Bindings = dict[Any, Any]


class Compiler:
    """Compile the hints of one codec; nothing is kept beyond it, so nothing goes stale."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.watches: list[Watch] = []
        self._begun: dict[Any, Plan] = {}

    def refuse(self, hint: Any, why: str, advice: str = _ADVICE) -> UnsupportedFieldError:
        """Make the error for a type that cannot be recorded."""
        shown = type_name(hint) if isinstance(hint, type) else str(hint)
        return UnsupportedFieldError(
            f"{self.where}: {shown} cannot be recorded, because {why}; {advice}"
        )

    def plan(self, hint: Any, bindings: Bindings) -> Plan:
        """Compile one hint, with the type variables bound that it stands among."""
        try:
            if hint in _DYNAMIC_HINTS:
                return DYNAMIC
            if hint in scalars.SCALARS:
                return scalars.SCALARS[hint]
            hint = _BARE.get(hint, hint)
        except TypeError:
            raise self.refuse(hint, "it is not a type hint") from None
        if isinstance(hint, TypeVar):
            return self._type_variable(hint, bindings)
        if isinstance(hint, typing.NewType):
            return self.plan(hint.__supertype__, bindings)
        if isinstance(hint, str | typing.ForwardRef):
            raise self.refuse(hint, "the name is not resolved", "define it before it is used")
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        alias = hint if origin is None else origin
        if hasattr(alias, "__value__") and hasattr(alias, "__type_params__"):
            return self._alias(alias, arguments, bindings)
        if origin is None:
            return self._class(hint, (), bindings)
        if origin is typing.Annotated or origin is typing.Final:
            return self.plan(arguments[0], bindings)
        if origin is Literal:
            return self._literal(hint, arguments, bindings)
        if origin is Union or origin is types.UnionType:
            return self._union(hint, arguments, bindings)
        if origin in _BARE:
            return self._container(hint, origin, arguments, bindings)
        return self._class(origin, arguments, bindings)

    def _type_variable(self, hint: TypeVar, bindings: Bindings) -> Plan:
        if hint in bindings:
            return bindings[hint]  # type: ignore[no-any-return]
        if hint.__constraints__:
            return self._union(hint, hint.__constraints__, bindings)
        return DYNAMIC if hint.__bound__ is None else self.plan(hint.__bound__, bindings)

    def _alias(self, alias: Any, arguments: tuple[Any, ...], bindings: Bindings) -> Plan:
        if alias in self._begun:
            raise self.refuse(alias, "it contains itself", "use a frozen dataclass or Any")
        self._begun[alias] = DYNAMIC
        try:
            bound = [self.plan(argument, bindings) for argument in arguments]
            inner = dict(zip(alias.__type_params__, bound, strict=False))
            return self.plan(alias.__value__, inner)
        finally:
            del self._begun[alias]

    def _union(self, hint: Any, arguments: tuple[Any, ...], bindings: Bindings) -> Plan:
        members: list[Plan] = []
        literals: list[Any] = []
        for argument in _flat(arguments):
            if typing.get_origin(argument) is Literal:
                literals.extend(typing.get_args(argument))
            else:
                members.append(self.plan(argument, bindings))
        if literals:
            members.append(self._literal(Literal[tuple(literals)], tuple(literals), bindings))
        if any(member.dynamic for member in members):
            return DYNAMIC
        unique = {member.tag: member for member in members}
        if len(unique) < len(members) and len({id(member) for member in members}) > len(unique):
            raise self.refuse(hint, "two of its members have one name", "rename one of them")
        return unions.union_plan(list(unique.values()))

    def _literal(self, hint: Any, values: tuple[Any, ...], bindings: Bindings) -> Plan:
        kinds = tuple(dict.fromkeys(type(value) for value in values))
        if any(issubclass(kind, Enum) and current(kind, []) is not kind for kind in kinds):
            raise self.refuse(
                hint, "the enum that it names was defined again", "run the cell of this class again"
            )
        return unions.literal_plan(values, self._union(hint, kinds, bindings))

    def _container(
        self, hint: Any, origin: Any, arguments: tuple[Any, ...], bindings: Bindings
    ) -> Plan:
        if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
            return containers.sequence_plan(tuple, self.plan(arguments[0], bindings))
        items = [self.plan(argument, bindings) for argument in arguments]
        if origin is tuple:
            return containers.tuple_plan(items)
        if origin is list:
            return containers.sequence_plan(list, items[0])
        if not items[0].accepts.isdisjoint(_UNHASHABLE):
            raise self.refuse(
                hint,
                f"{items[0].tag} is not hashable",
                "use a tuple, frozenset or frozen dataclass",
            )
        if origin is dict:
            return containers.dict_plan(*items)
        return containers.set_plan(origin, items[0])

    def _class(self, cls: Any, arguments: tuple[Any, ...], bindings: Bindings) -> Plan:
        if not isinstance(cls, type):
            raise self.refuse(cls, "it is no class of which values can be made")
        cls = current(cls, self.watches)
        if issubclass(cls, Enum):
            if not len(cls):
                raise self.refuse(cls, "it is an enum without members")
            return scalars.enum_plan(cls)
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return self._record(cls, arguments, bindings)
        if dataclasses.is_dataclass(cls):
            self._refuse_dataclass(cls)
            return self._record(cls, arguments, bindings)
        if inspect.isabstract(cls) or cls.__module__ == "collections.abc":
            raise self.refuse(
                cls, "values of several types would fit it", "use list, tuple or dict"
            )
        if issubclass(cls, tuple(kind for kind in scalars.SCALARS if kind)):
            raise self.refuse(cls, "it would read back as its base class", "use the base class")
        raise self.refuse(
            cls, "it is neither a frozen dataclass nor a type that is known to be exact"
        )

    def _refuse_dataclass(self, cls: Any) -> None:
        if not cls.__dataclass_params__.frozen:
            raise self.refuse(
                cls, "it is a dataclass that can change", "declare it @dataclass(frozen=True)"
            )
        if cls.__eq__ is object.__eq__:
            raise self.refuse(cls, "eq=False makes no two instances equal", "remove eq=False")
        if any(base.__module__ == "builtins" and base is not object for base in cls.__mro__):
            raise self.refuse(cls, "it is more than its fields", "hold the other value in a field")
        for field in cls.__dataclass_fields__.values():
            if field._field_type is dataclasses._FIELD_INITVAR:  # type: ignore[attr-defined]
                raise self.refuse(
                    cls, f"its InitVar {field.name!r} is not kept", "make it a field, or remove it"
                )

    def _record(self, cls: Any, arguments: tuple[Any, ...], bindings: Bindings) -> Plan:
        bound = [self.plan(argument, bindings) for argument in arguments]
        name = type_name(cls)
        tag = f"{name}[{', '.join(plan.tag for plan in bound)}]" if bound else name
        key = (cls, tag)
        begun = self._begun.get(key)
        if begun is not None:
            return records.back_reference(begun)
        plan = Plan(tag=tag, accepts=frozenset((cls,)), kinds="object", wire=None, pack=_unfinished)
        self._begun[key] = plan
        where = self.where
        try:
            fields = []
            native = not bound
            own = dict(zip(getattr(cls, "__parameters__", ()), bound, strict=False))
            scopes = _scopes(cls, own, self, bindings)
            for field, owner, raw in _declared(cls):
                self.where = f"{where}.{field.name}"
                hint = resolve(raw, owner, self.where)
                inner = self.plan(hint, scopes.get(owner, {}))
                native = native and inner.unpack is None and _same(raw, inner.wire)
                fields.append(dataclasses.replace(field, plan=inner))
        finally:
            self.where = where
            del self._begun[key]
        if issubclass(cls, tuple):
            records.named_tuple_plan(plan, cls, fields)
        else:
            records.dataclass_plan(plan, cls, fields, native and _msgspec_reads(cls))
        return plan


def _unfinished(value: Any, depth: int) -> Any:
    raise AssertionError("the plan is not complete")


def _same(raw: Any, wire: Any) -> bool:
    return type(raw) is not str and bool(raw == wire)


def _msgspec_reads(cls: type) -> bool:
    try:
        msgspec.json.Decoder(cls)
    except Exception:
        return False
    return True


def _flat(arguments: tuple[Any, ...]) -> list[Any]:
    flat: list[Any] = []
    for argument in arguments:
        while (
            isinstance(argument, typing.NewType) or typing.get_origin(argument) is typing.Annotated
        ):
            if isinstance(argument, typing.NewType):
                argument = argument.__supertype__
            else:
                argument = typing.get_args(argument)[0]
        if typing.get_origin(argument) in (Union, types.UnionType):
            flat.extend(_flat(typing.get_args(argument)))
        else:
            flat.append(argument)
    return flat


def _declared(cls: Any) -> list[tuple[PlannedField, type, Any]]:
    owners = hint_owners(cls)
    if issubclass(cls, tuple):
        return [
            (PlannedField(name, DYNAMIC, cls._field_defaults.get(name, MISSING)),
             *owners.get(name, (cls, Any)))
            for name in cls._fields
        ]  # fmt: skip
    return [
        (PlannedField(field.name, DYNAMIC, field.default, field.default_factory),
         *owners.get(field.name, (cls, field.type)))
        for field in dataclasses.fields(cls)
    ]  # fmt: skip


def _scopes(cls: Any, own: Bindings, compiler: Compiler, outer: Bindings) -> dict[Any, Bindings]:
    """Bind the type variables of every base, which may reuse a variable for another type."""
    scopes: dict[Any, Bindings] = {cls: own}
    waiting = [cls]
    while waiting:
        child = waiting.pop()
        for base in getattr(child, "__orig_bases__", ()) if "__orig_bases__" in vars(child) else ():
            origin = typing.get_origin(base)
            if origin is None or origin is typing.Generic or origin in scopes:
                continue
            plans = [compiler.plan(arg, scopes[child]) for arg in typing.get_args(base)]
            scopes[origin] = dict(zip(origin.__parameters__, plans, strict=False))
            waiting.append(origin)
    return scopes
