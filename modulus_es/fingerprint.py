"""Whether a class does what it did: a digest of the code that its methods run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from sys import version_info
from types import CodeType, FunctionType
from typing import Any
from uuid import UUID

import eventsourcing.domain as es

from modulus_es.ids import derived_id, text
from modulus_es.naming import qualified_name

_PLAIN = (bool, int, float, complex, str, bytes, Decimal, UUID, date, time, timedelta)
_EXACTLY = frozenset((type(None), *_PLAIN))


def fingerprint(cls: type) -> str:
    """The same text as long as ``cls`` is made of the same code, in any process.

    Its bases and events belong to it, and so do the functions, classes and plain
    values of its own package that it names. What it gets from elsewhere, such as
    a file or another package, is not seen.

    >>> class Order:
    ...     def ship(self): self.status = "shipped"
    >>> before = fingerprint(Order)
    >>> fingerprint(Order) == before
    True
    >>> class Order:
    ...     def ship(self): self.status = "sent"
    >>> fingerprint(Order) == before
    False
    """
    reader = _Reader(cls.__module__.partition(".")[0])
    reader.read(cls)
    return text(derived_id(*version_info[:2], *reader.parts))


class _Reader:
    """Collects what is to be digested; each class and function once."""

    def __init__(self, package: str) -> None:
        self.parts: list[str] = []
        self._package = package
        self._seen: set[int] = set()

    def read(self, value: Any) -> None:
        """Take note of a value: of its code, or of what it is where it is plain."""
        if type(value) in _EXACTLY:  # as nearly all are that code holds
            self.parts.append(repr(value))
            return
        if isinstance(value, es.CommandMethodDecorator):
            value = value.decorated_property or value.decorated_func
        value = getattr(value, "__decorated__", value)
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if isinstance(value, property):
            self._each((value.fget, value.fset, value.fdel))
        elif isinstance(value, _PLAIN):
            self.parts.append(repr(value))
        elif isinstance(value, tuple | list):
            self._each(value)
        elif isinstance(value, frozenset | set):
            self.parts.extend(sorted(map(repr, value)))
        elif isinstance(value, dict):
            self._each(part for pair in value.items() for part in pair)
        elif isinstance(value, CodeType):
            self._code(value)
        elif isinstance(value, type | FunctionType):
            self._definition(value)
        else:
            self.parts.append(qualified_name(type(value)))

    def _each(self, values: Iterable[Any]) -> None:
        for value in values:
            self.read(value)

    def _definition(self, defined: Any) -> None:
        self.parts.append(qualified_name(defined))
        package = (defined.__module__ or "").partition(".")[0]
        if id(defined) in self._seen or package != self._package:
            return
        self._seen.add(id(defined))
        if isinstance(defined, FunctionType):
            self._function(defined)
            return
        self._each(defined.__bases__)
        for name, value in vars(defined).items():
            is_ours = name.startswith("__") and not isinstance(value, FunctionType)
            if not is_ours or name == "__annotations__":
                self.parts.append(name)
                self.read(value)

    def _function(self, function: FunctionType) -> None:
        self._code(function.__code__)
        self._each((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            try:
                self.read(cell.cell_contents)
            except ValueError:  # not assigned yet
                continue
        for name in _names(function.__code__):
            if name in function.__globals__:
                self.read(function.__globals__[name])

    def _code(self, code: CodeType) -> None:
        self.parts += [code.co_code.hex(), *code.co_names, *code.co_varnames]
        self._each(code.co_consts)


def _names(code: CodeType) -> list[str]:
    """The names that a function looks up, those of the functions in it too."""
    names = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names += _names(constant)
    return names
