"""Reads what a callable asks for: its parameters' names, types and defaults.

A type is compared by its *key*, the text ``module:QualifiedName``, and not by
identity: a class whose notebook cell ran again is a new object, but still the
same service to everybody who named it.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

NO_DEFAULT: Any = inspect.Parameter.empty


class Parameter(msgspec.Struct, frozen=True):
    """One parameter: its type without ``| None``, and what is wrong with it, if anything."""

    name: str
    annotation: Any
    key: str
    default: Any
    keyword_only: bool
    problem: str = ""


def parameters(target: Callable[..., Any], skip: int = 0) -> tuple[Parameter, ...]:
    """The parameters of ``target`` beyond its first ``skip``; of a class, those of its constructor.

    ``*args`` and ``**kwargs`` are left out. What cannot be resolved is not
    raised here but described in `Parameter.problem`, because a name may still
    be defined before it is needed.

    >>> def handler(message: str, limit: int = 3) -> None: ...
    >>> [(p.name, p.key, p.default) for p in parameters(handler, skip=1)]
    [('limit', 'builtins:int', 3)]
    """
    # A parametrised class, such as Repository[Order], has the signature of its origin.
    plain = typing.get_origin(target) or target
    try:
        declared = list(inspect.signature(plain).parameters.values())
    except ValueError:  # some classes written in C keep their signature to themselves
        return ()
    names = _visible_names(plain)
    type_variables = _bound_type_variables(target)
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = []
    for declaration in declared[skip:]:
        if declaration.kind in variadic:
            continue
        annotation, problem = _resolve(declaration.annotation, names)
        annotation = without_none(substitute(annotation, type_variables))
        found.append(
            Parameter(
                declaration.name,
                annotation,
                key_of(annotation),
                declaration.default,
                declaration.kind is inspect.Parameter.KEYWORD_ONLY,
                ""
                if annotation is NO_DEFAULT and declaration.default is not NO_DEFAULT
                else problem,
            )
        )
    return tuple(found)


def key_of(annotation: Any) -> str:
    """The text by which two mentions of one type are recognised as the same.

    >>> key_of(list[int])
    'builtins:list[builtins:int]'
    """
    origin = typing.get_origin(annotation)
    if origin is not None:
        inner = ", ".join(key_of(argument) for argument in typing.get_args(annotation))
        return f"{key_of(origin)}[{inner}]"
    if isinstance(annotation, list):  # the parameters of a Callable
        return f"[{', '.join(key_of(item) for item in annotation)}]"
    qualified = getattr(annotation, "__qualname__", None)
    return f"{annotation.__module__}:{qualified}" if qualified else repr(annotation)


def label(annotation: Any) -> str:
    """The type as its author would write it.

    >>> label(dict[str, list[int]])
    'dict[str, list[int]]'
    """
    origin = typing.get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(label(argument) for argument in typing.get_args(annotation))
    if origin is not None:
        inner = ", ".join(label(argument) for argument in typing.get_args(annotation))
        return f"{label(origin)}[{inner}]"
    if annotation is type(None):
        return "None"
    if isinstance(annotation, list):
        return f"[{', '.join(label(item) for item in annotation)}]"
    qualified = getattr(annotation, "__qualname__", None)
    return qualified.rpartition("<locals>.")[2] if qualified else repr(annotation)


def without_none(annotation: Any) -> Any:
    """``X`` for ``X | None``; anything else as it is."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        others = [a for a in typing.get_args(annotation) if a is not type(None)]
        if len(others) == 1:
            return others[0]
    return annotation


def bases_of(service: Any) -> Iterator[Any]:
    """The class itself and every base, with the type arguments it was derived with.

    >>> class Names(list[str]): ...
    >>> [label(base) for base in bases_of(Names)]
    ['Names', 'list[str]', 'object']
    """
    yield service
    for base in direct_bases_of(service):
        yield from bases_of(base)


def direct_bases_of(service: Any) -> list[Any]:
    """What a class says that it derives from, with type arguments.

    >>> class Names(list[str]): ...
    >>> direct_bases_of(Names)
    [list[str]]
    """
    origin = typing.get_origin(service) or service
    if not isinstance(origin, type):
        return []
    bound = dict(zip(getattr(origin, "__parameters__", ()), typing.get_args(service), strict=False))
    return [
        substitute(base, bound)
        for base in vars(origin).get("__orig_bases__", origin.__bases__)
        if typing.get_origin(base) not in (typing.Generic, typing.Protocol)
    ]


def substitute(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    """``annotation`` with its type variables replaced by what they are bound to."""
    if not bound:
        return annotation
    if isinstance(annotation, typing.TypeVar):
        return bound.get(annotation, annotation)
    variables = getattr(annotation, "__parameters__", ())
    if typing.get_origin(annotation) is None or not variables:
        return annotation
    return annotation[tuple(bound.get(variable, variable) for variable in variables)]


def _bound_type_variables(target: Any) -> dict[Any, Any]:
    """What the type variables in the constructor's annotations stand for."""
    origin = typing.get_origin(target) or target
    if not isinstance(origin, type):
        return {}
    definer = next((c for c in origin.__mro__ if "__init__" in vars(c)), None)
    for base in bases_of(target):
        if typing.get_origin(base) is definer:
            variables = getattr(definer, "__parameters__", ())
            return dict(zip(variables, typing.get_args(base), strict=False))
    return {}


def names_around(target: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The globals and the locals of the running functions in whose bodies ``target`` stands.

    Under ``from __future__ import annotations`` a class or function defined in a
    function says only the names of types; those that only that function knows
    can be found as long as it runs.
    """
    seen: dict[str, Any] = {}
    known: dict[str, Any] = {}
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        around = target.__qualname__.startswith(f"{frame.f_code.co_qualname}.")
        if around and frame.f_globals.get("__name__") == target.__module__:
            seen = frame.f_globals
            known = {**frame.f_locals, **known}
        frame = frame.f_back
    return seen, known


def _visible_names(target: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The globals, the locals and the closure in which ``target`` wrote its annotations."""
    function: Any = target
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        written = (function.__init__, function.__new__)  # type: ignore[misc]  # no object of it
        function = next((f for f in written if isinstance(f, types.FunctionType)), function)
    elif not isinstance(function, types.FunctionType | types.MethodType):
        function = type(function).__call__
    function = inspect.unwrap(getattr(function, "__func__", function))
    if not isinstance(function, types.FunctionType):
        home = sys.modules.get(getattr(function, "__module__", None) or "")
        return (vars(home) if home else {}), {}
    says = function.__annotations__.values()
    local = "<locals>" in function.__qualname__ and any(isinstance(each, str) for each in says)
    enclosing = names_around(function)[1] if local else {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            enclosing[name] = cell.cell_contents
        except ValueError:  # the enclosing function has not assigned it yet
            continue
    return function.__globals__, enclosing


def _resolve(annotation: Any, names: tuple[dict[str, Any], dict[str, Any]]) -> tuple[Any, str]:
    """The annotation as a type, and what keeps it from being one."""
    if annotation is NO_DEFAULT:
        return annotation, "has no type annotation, and arguments are injected by type: add one"
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, *names)["it"], ""
    except NameError as error:
        why = (
            f"the name {error.name} is not known there: define or import it before this "
            "runs, at the top level of the module and not under TYPE_CHECKING"
        )
    except Exception as error:  # an annotation is any expression, so it may raise anything
        why = f"reading it raises {type(error).__name__}: {error}"
    return annotation, f"is annotated {annotation!r}, but {why}"
