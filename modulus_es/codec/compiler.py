"""From a type hint to its plan."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Sequence
from enum import Enum
from typing import Any, Literal, TypeVar, Union

import msgspec

from modulus_es.codec import containers, records, scalars, unions
from modulus_es.codec.dynamic import DYNAMIC
from modulus_es.codec.hints import MISSING, Watch, current, declared_fields, resolve
from modulus_es.codec.plan import Plan, type_name
from modulus_es.codec.records import PlannedField
from modulus_es.errors import UnsupportedFieldError

_DYNAMIC_HINTS = frozenset((Any, object, inspect.Parameter.empty, MISSING))
_CONTAINERS: dict[Any, tuple[Any, ...]] = {
    list: (Any,),
    set: (Any,),
    frozenset: (Any,),
    tuple: (Any, ...),
    dict: (Any, Any),
}
_UNHASHABLE = frozenset((list, set, dict))
_ADVICE = (
    "use None, bool, int, float, str, bytes, Decimal, UUID, a date or time type, an enum, a "
    "frozen dataclass, a NamedTuple, or a list, tuple, set, dict or union of these"
)
_KEPT_BY_MSGSPEC = "__msgspec_cache__"
Bindings = dict[Any, Plan]


class Compiler:
    """Compile the hints of one field; nothing is kept beyond it, so nothing goes stale."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.watches: list[Watch] = []
        self._begun: dict[Any, Plan] = {}

    def plan(self, hint: Any, bindings: Bindings) -> Plan:
        """Compile one hint, with the type variables bound that it stands among."""
        hint = _bare(hint)
        if isinstance(hint, TypeVar):
            return self._type_variable(hint, bindings)
        origin, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
        if not _is_hashable(origin):
            raise self._refuse(hint, "it is no type")
        if origin in _DYNAMIC_HINTS:
            return DYNAMIC
        if origin in scalars.SCALARS:
            return scalars.SCALARS[origin]
        if origin is Union or origin is types.UnionType:
            return self._union(hint, arguments, bindings)
        return self._composed(hint, origin, arguments, bindings)

    def _composed(
        self, hint: Any, origin: Any, arguments: tuple[Any, ...], bindings: Bindings
    ) -> Plan:
        if origin is Literal:
            return self._literal(hint, arguments, bindings)
        if origin in _CONTAINERS:
            if not arguments and hint not in (tuple[()], typing.Tuple[()]):  # noqa: UP006 - both are written
                arguments = _CONTAINERS[origin]
            return self._container(hint, origin, arguments, bindings)
        if _is_alias(origin):
            return self._alias(origin, arguments, bindings)
        if isinstance(hint, str | typing.ForwardRef):
            raise self._refuse(hint, "it is a name that is not resolved", "pass the class itself")
        if not isinstance(origin, type):
            raise self._refuse(hint, "it is no class that values are instances of")
        return self._class(origin, arguments, bindings)

    def _refuse(self, hint: Any, why: str, advice: str = _ADVICE) -> UnsupportedFieldError:
        return UnsupportedFieldError(
            f"{self.where}: {_shown(hint)} cannot be recorded, because {why}; {advice}"
        )

    def _type_variable(self, hint: TypeVar, bindings: Bindings) -> Plan:
        if hint in bindings:
            return bindings[hint]
        if hint.__constraints__:
            return self._union(hint, hint.__constraints__, bindings)
        return DYNAMIC if hint.__bound__ is None else self.plan(hint.__bound__, bindings)

    def _alias(self, alias: Any, arguments: tuple[Any, ...], bindings: Bindings) -> Plan:
        if alias in self._begun:
            raise self._refuse(alias, "it contains itself", "use a frozen dataclass or Any instead")
        self._begun[alias] = DYNAMIC
        bound = [self.plan(argument, bindings) for argument in arguments]
        plan = self.plan(alias.__value__, dict(zip(alias.__type_params__, bound, strict=False)))
        del self._begun[alias]
        return plan

    def _union(self, hint: Any, arguments: Sequence[Any], bindings: Bindings) -> Plan:
        members: dict[str, Plan] = {}
        literals: list[Any] = []
        for argument in _flat(arguments):
            if typing.get_origin(argument) is Literal:
                literals.extend(typing.get_args(argument))
                continue
            plan = self.plan(argument, bindings)
            if plan is DYNAMIC:
                return DYNAMIC
            known = members.setdefault(plan.tag, plan)
            if known.accepts != plan.accepts:
                raise self._refuse(
                    hint, f"two of its members are named {plan.tag}", "rename one of them"
                )
        if literals:
            members["Literal"] = self._literal(hint, literals, bindings)
        return unions.union_plan(list(members.values()))

    def _literal(self, hint: Any, values: Sequence[Any], bindings: Bindings) -> Plan:
        classes = dict.fromkeys(type(value) for value in values)
        if any(current(cls, self.watches)[0] is not cls for cls in classes):
            raise self._refuse(
                hint, "its enum was defined again", "run the cell again that names the literal"
            )
        return unions.literal_plan(values, self._union(hint, list(classes), bindings))

    def _container(
        self, hint: Any, origin: Any, arguments: tuple[Any, ...], bindings: Bindings
    ) -> Plan:
        if any(getattr(argument, "__unpacked__", False) for argument in arguments):
            raise self._refuse(hint, "a tuple is either fixed or of one type")
        if origin is tuple and arguments[1:] == (...,):
            return containers.variadic_tuple_plan(self.plan(arguments[0], bindings))
        items = [self.plan(argument, bindings) for argument in arguments]
        if origin is tuple:
            return containers.tuple_plan(items)
        if origin is list:
            return containers.list_plan(*items)
        if not items[0].accepts.isdisjoint(_UNHASHABLE):
            raise self._refuse(
                hint, f"{items[0].tag} cannot be hashed", "use a tuple or frozenset in its place"
            )
        if origin is dict:
            return containers.dict_plan(*items)
        return containers.set_plan(origin, *items)

    def _class(self, cls: Any, arguments: tuple[Any, ...], bindings: Bindings) -> Plan:
        cls, named = current(cls, self.watches)
        if inspect.isabstract(cls) or cls.__module__ == "collections.abc":
            raise self._refuse(
                cls, "values of several types fit it", "name the type, or the union of the types"
            )
        if issubclass(cls, Enum):
            if not len(cls):
                raise self._refuse(cls, "it has no members", "name an enum with members")
            return scalars.enum_plan(cls, named=named)
        if dataclasses.is_dataclass(cls):
            self._refuse_dataclass(cls)
            return self._record(cls, arguments, bindings, named=named)
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return self._record(cls, arguments, bindings, named=named)
        if issubclass(cls, tuple(base for base in scalars.SCALARS if base)):
            raise self._refuse(cls, "it would read back as its base", "use the base class")
        raise self._refuse(cls, "it is none of the types that read back exactly")

    def _refuse_dataclass(self, cls: Any) -> None:
        if not cls.__dataclass_params__.frozen:
            raise self._refuse(cls, "it can be changed", "declare it @dataclass(frozen=True)")
        if cls.__eq__ is object.__eq__:
            raise self._refuse(cls, "eq=False makes its instances unequal", "remove eq=False")
        if any(base.__module__ == "builtins" and base is not object for base in cls.__mro__):
            raise self._refuse(cls, "it is more than its fields", "derive it from no built-in type")
        names = {field.name for field in dataclasses.fields(cls)}
        for base in cls.__mro__:
            for name, raw in inspect.get_annotations(base).items():
                if name not in names and "InitVar" in str(raw):
                    raise self._refuse(cls, f"its InitVar {name!r} is not kept", "make it a field")

    def _record(
        self, cls: Any, arguments: tuple[Any, ...], bindings: Bindings, *, named: bool
    ) -> Plan:
        bound = [self.plan(argument, bindings) for argument in arguments]
        tag = type_name(cls)
        if bound:
            tag += f"[{', '.join(plan.tag for plan in bound)}]"
        key = (cls, tag)
        if key in self._begun:
            return records.back_reference(self._begun[key])
        plan = Plan(tag, (cls,), ("object",), wire=None, pack=_unfinished, named=named)
        self._begun[key] = plan
        own = dict(zip(getattr(cls, "__parameters__", ()), bound, strict=False))
        scopes = self._scopes(cls, own)
        fields, native, where = [], not bound, self.where
        for spec, owner in declared_fields(cls):
            self.where = f"{where}.{spec.name}"
            hint = resolve(spec.hint, owner, self.where)
            inner = self.plan(hint, scopes.get(owner, {}))
            native = native and inner.unpack is None and _means_itself(hint, inner.wire)
            fields.append(PlannedField(spec, inner))
        self.where = where
        del self._begun[key]
        if issubclass(cls, tuple):
            records.named_tuple_plan(plan, cls, fields)
        else:
            native = native and _msgspec_reads(cls)
            records.dataclass_plan(plan, cls, fields, native=native)
        return plan

    def _scopes(self, cls: Any, own: Bindings) -> dict[Any, Bindings]:
        """Bind the type variables of each base, which may use the same variable otherwise."""
        scopes: dict[Any, Bindings] = {cls: own}
        waiting = [cls]
        while waiting:
            child = waiting.pop()
            for base in vars(child).get("__orig_bases__", child.__bases__):
                origin = typing.get_origin(base) or base
                if origin is typing.Generic or origin in scopes or not isinstance(origin, type):
                    continue
                plans = [self.plan(each, scopes[child]) for each in typing.get_args(base)]
                parameters = getattr(origin, "__parameters__", ())
                scopes[origin] = dict(zip(parameters, plans, strict=False))
                waiting.append(origin)
        return scopes


def _unfinished(value: Any, depth: int) -> Any:
    raise AssertionError("a plan was used before it was complete")


def _shown(hint: Any) -> str:
    if isinstance(hint, type):
        return type_name(hint)
    if type(hint).__module__ in ("typing", "types") or isinstance(hint, str):
        return str(hint)
    return f"an object of type {type_name(type(hint))}"


def _is_hashable(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:
        return False
    return True


def _is_alias(origin: Any) -> bool:
    return hasattr(origin, "__value__") and hasattr(origin, "__type_params__")


def _bare(hint: Any) -> Any:
    """Take off what says nothing about the type of the values."""
    while True:
        if isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif typing.get_origin(hint) in (typing.Annotated, typing.Final):
            hint = typing.get_args(hint)[0]
        else:
            return hint


def _flat(arguments: Sequence[Any]) -> list[Any]:
    flat: list[Any] = []
    for argument in map(_bare, arguments):
        if typing.get_origin(argument) in (Union, types.UnionType):
            flat.extend(_flat(typing.get_args(argument)))
        else:
            flat.append(argument)
    return flat


def _means_itself(hint: Any, wire: Any) -> bool:
    """Whether msgspec would read the same from the hint as from the plan."""
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    return bool(hint == wire)


def _msgspec_reads(cls: type) -> bool:
    # msgspec keeps on the class what its hints meant when it first looked. By now a name
    # in them may mean a class that was defined again, so it has to look again.
    if _KEPT_BY_MSGSPEC in vars(cls):
        delattr(cls, _KEPT_BY_MSGSPEC)
    try:
        msgspec.json.Decoder(cls)
    except Exception:
        return False
    return True
