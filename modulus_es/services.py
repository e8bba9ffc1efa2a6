"""Injection: arguments beyond the message are found by their type.

`Services` holds the registrations of one system. Why this is own code is told
in ``docs/decisions/0001-injection.md``.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar, get_origin

from modulus_es.errors import HandlerSignatureError, ServiceError
from modulus_es.injection import Kind, Lifetime, Node, Registration, Scope
from modulus_es.plans import Asker, Compiler, Plan, Source, is_abstract
from modulus_es.signatures import NO_DEFAULT, bases_of, key_of, label, parameters

S = TypeVar("S")


class Services:
    """What can be injected in one system, and for how long each service lives.

    A *singleton* is made once a system, a *scoped* service once a message, a
    *transient* one every time it is asked for. The provider is a class, whose
    constructor is injected in turn, or a factory, whose parameters are; a
    singleton may also be a ready instance. A factory is a function, sync or
    async; where it yields instead of returning, the rest of it is the
    clean-up. That runs after a failure too, so whether work is kept is decided
    in the unit of work and not there.

    Registering again replaces: the old singleton is dropped, and with it every
    singleton that was made from it; their clean-ups run in `aclose`. A class
    whose cell ran again counts as the same service.

    ``contextual`` maps types to attributes of the object that every call
    brings along, such as ``{UnitOfWork: "uow"}``; a singleton cannot take them.

    >>> services = Services()
    >>> @services.singleton
    ... class Warehouse:
    ...     stock = 3
    >>> class Clerk:
    ...     def __init__(self, warehouse: Warehouse) -> None:
    ...         self.warehouse = warehouse
    >>> services.transient(Clerk).__name__
    'Clerk'
    >>> services
    Services(Warehouse: singleton, Clerk: transient)
    >>> def count(message: str, clerk: Clerk) -> int:
    ...     return clerk.warehouse.stock
    >>> plan = services.plan(count, handler="count", skip=1)
    >>> plan.call("how many?", *plan.bind(None, None))
    3
    """

    def __init__(self, contextual: Mapping[type, str] | None = None) -> None:
        self._contextual = contextual or {}
        self._registrations: dict[str, Registration] = {}
        self._plans: weakref.WeakSet[Plan] = weakref.WeakSet()
        self._root = Scope()
        self._told: list[Callable[[], None]] = []

    def singleton(self, service: S, provider: object = ...) -> S:
        """Make one for the whole system, when it is first needed.

        ``provider`` is a class, a factory or an instance; without one,
        ``service`` itself is the class. What a factory does after its ``yield``
        happens in ``await system.close()``. Returns ``service``, so it decorates
        a class as well. Raises `ServiceLifetimeError` where it would keep
        something scoped or contextual, `ServiceError` where it cannot be made.

        >>> Services().singleton(str, "sqlite:///shop.db")
        <class 'str'>
        """
        return self._register("singleton", service, provider)

    def scoped(self, service: S, provider: object = ...) -> S:
        """Make one for each message that is handled, and clean it up afterwards.

        Like `singleton`, but an instance cannot be given: there is one a message.

        >>> class Session: ...
        >>> def session():
        ...     yield Session()  # what follows the yield is the clean-up
        >>> Services().scoped(Session, session).__name__
        'Session'
        """
        return self._register("scoped", service, provider)

    def transient(self, service: S, provider: object = ...) -> S:
        """Make a new one every time it is asked for.

        Like `singleton`, but an instance cannot be given: there is one an argument.

        >>> Services().transient(list, lambda: [1, 2])
        <class 'list'>
        """
        return self._register("transient", service, provider)

    def plan(
        self,
        target: Callable[..., Any],
        *,
        handler: str,
        skip: int = 0,
        contextual: Mapping[type, str] | None = None,
    ) -> Plan:
        """What ``target`` needs beyond its first ``skip`` parameters.

        ``target`` is a function, a method or a class; ``handler`` is its name
        in messages and in the name of the logger it may take; ``contextual``
        overrides that of the constructor. Raises `HandlerSignatureError` for a
        parameter whose type is not said or not known. A missing service is
        raised when the plan is used, because it may still be registered.

        >>> def handler(message: str) -> None: ...
        >>> Services().plan(handler, handler="handler", skip=1).empty
        True
        """
        needed = parameters(target, skip)
        for parameter in needed:
            if parameter.problem:
                raise HandlerSignatureError(
                    f"handler {handler}: parameter {parameter.name} {parameter.problem}"
                )
        compiler = self._compiler(contextual)
        asker = Asker(f"handler {handler}", handler)
        return self._planned(lambda: compiler.callable(target, needed, asker))

    def many(self, service: Any, *, contextual: Mapping[type, str] | None = None) -> Plan:
        """A plan whose arguments are all services of a type, in the order registered.

        A service is of the type when it was registered under it, or when its
        class derives from it: each ``Validator[PlaceOrder]`` is registered
        under its own name and found by its base.

        >>> class Rule: ...
        >>> class Positive(Rule): ...
        >>> services = Services()
        >>> _ = services.singleton(Positive)
        >>> [type(rule).__name__ for rule in services.many(Rule).bind(None, None)]
        ['Positive']
        """
        key, compiler = key_of(service), self._compiler(contextual)

        def source() -> tuple[Callable[..., Any], Sequence[Node]]:
            return (lambda *found: found), [
                compiler.service(each)
                for each in self._registrations.values()
                if any(key_of(base) == key for base in bases_of(each.service))
            ]

        return self._planned(source)

    def open_scope(self) -> Scope:
        """A scope for one message; close it with ``await scope.aclose()``.

        >>> Services().open_scope()
        Scope()
        """
        return Scope()

    def when_changed(self, told: Callable[[], None]) -> None:
        """Call ``told`` whenever what a plan says may have changed.

        >>> services = Services()
        >>> services.when_changed(lambda: print("changed"))
        >>> _ = services.transient(list)
        changed
        """
        self._told.append(told)

    async def aclose(self) -> None:
        """Run the clean-ups of all singletons, the newest first, and drop them.

        Raises an `ExceptionGroup` of what failed. Whoever needs one of them
        afterwards gets a new one.

        >>> import asyncio
        >>> asyncio.run(Services().aclose())
        """
        self._refresh(self._registrations)
        await self._root.aclose()

    def __repr__(self) -> str:
        listed = (
            f"{label(each.service)}: {each.lifetime}" for each in self._registrations.values()
        )
        return f"Services({', '.join(listed)})"

    def _compiler(self, contextual: Mapping[type, str] | None) -> Compiler:
        chosen = self._contextual if contextual is None else contextual
        by_key = {key_of(kind): attribute for kind, attribute in chosen.items()}
        return Compiler(self._registrations, by_key, self._root)

    def _planned(self, source: Source) -> Plan:
        plan = Plan(source, self._changed)
        self._plans.add(plan)
        return plan

    def _register(self, lifetime: Lifetime, service: S, provider: object) -> S:
        registration = _registration(lifetime, service, provider)
        key = registration.key
        replaced = self._registrations.get(key)
        self._registrations[key] = registration
        try:
            self._compiler(None).vet(registration)
        except ServiceError:
            if replaced is None:
                del self._registrations[key]
            else:
                self._registrations[key] = replaced
            raise
        self._refresh(self._made_from(key))
        return service

    def _made_from(self, key: str) -> set[str]:
        """The services that take ``key``, or take what takes it."""
        found: set[str] = set()
        grown = {key}
        while grown:
            found |= grown
            grown = {
                each.key
                for each in self._registrations.values()
                if each.key not in found and any(p.key in found for p in each.parameters)
            }
        return found - {key}

    def _refresh(self, keys: Collection[str]) -> None:
        for key in list(keys):
            self._registrations[key] = self._registrations[key].fresh()
        for plan in self._plans:
            plan.forget()
        self._changed()

    def _changed(self) -> None:
        for told in self._told:
            told()


def _registration(lifetime: Lifetime, service: Any, provider: Any) -> Registration:
    """The registration, checked as far as it can be without the others."""
    plain = get_origin(service) or service
    if not hasattr(plain, "__qualname__") or inspect.isroutine(plain):
        raise ServiceError(
            f"services.{lifetime} takes the type first and what provides it second, but the "
            f"first is a {type(service).__name__}"
        )
    name = label(service)
    if provider is ...:
        provider = service
    provider = _without_contextlib(provider)
    kind = _kind(provider)
    if kind == "class" and is_abstract(get_origin(provider) or provider):
        raise ServiceError(
            f"{label(provider)} is abstract: services.{lifetime}({name}, ...) takes a class "
            "that implements it, or a factory"
        )
    if kind == "instance" and provider is service:
        raise ServiceError(f"{name} is not a class: say what provides it, as a second argument")
    if kind == "instance" and lifetime != "singleton":
        raise ServiceError(
            f"services.{lifetime}({name}, ...) was given an instance, and an instance is a "
            "singleton: use services.singleton, or give a class or a factory"
        )
    registration = Registration(service, key_of(service), lifetime, provider, kind)
    if kind == "instance":
        registration.instance = provider
    for parameter in registration.parameters:
        if parameter.annotation is NO_DEFAULT and parameter.problem:
            raise ServiceError(f"{name}: parameter {parameter.name} {parameter.problem}")
    return registration


def _without_contextlib(provider: Any) -> Any:
    """The generator that ``@contextmanager`` or ``@asynccontextmanager`` stands around."""
    made_by = getattr(provider, "__globals__", {}).get("__name__")
    return provider.__wrapped__ if made_by == "contextlib" else provider


def _kind(provider: Any) -> Kind:
    if isinstance(get_origin(provider) or provider, type):
        return "class"
    if inspect.isasyncgenfunction(provider):
        return "async generator"
    if inspect.isgeneratorfunction(provider):
        return "generator"
    if inspect.iscoroutinefunction(provider):
        return "async"
    if isinstance(provider, functools.partial | types.MethodType) or inspect.isroutine(provider):
        return "sync"
    return "instance"
