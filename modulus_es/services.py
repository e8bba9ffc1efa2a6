"""Injection: arguments beyond the message are found by their type.

`Services` holds the registrations of one system; `docs/decisions/0001-injection.md`
says why this is own code.
"""

from __future__ import annotations

import functools
import inspect
import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_origin

from .errors import (
    HandlerSignatureError,
    ServiceError,
    ServiceLifetimeError,
    ServiceNotFoundError,
)
from .injection import UNMADE, Kind, Lifetime, Node, Plan, Registration, Scope, node_of
from .signatures import NO_DEFAULT, Parameter, bases_of, key_of, label, parameters

S = TypeVar("S")

_LOGGER = "logging:Logger"


class Services:
    """What can be injected in one system, and for how long each service lives.

    A *singleton* is made once a system, a *scoped* service once a message, a
    *transient* one every time it is asked for. The provider is a class, whose
    constructor is injected in turn, or a factory, whose parameters are; a
    singleton may also be a ready instance. A factory is a function, sync or
    async; where it yields instead of returning, the rest of it is the
    clean-up. A factory's clean-up runs also after a failure, so whether work
    is kept belongs in the unit of work, not there.

    Registering again replaces: the old singleton is dropped, and with it every
    singleton that was made from it. A class whose cell ran again counts as
    the same service.

    ``contextual`` maps types to the attributes of the object that every call
    brings along, such as ``{UnitOfWork: "uow"}``; they cannot be injected
    into a singleton.

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
    >>> plan = services.plan(lambda clerk: clerk, handler="count")
    Traceback (most recent call last):
    modulus_es.errors.HandlerSignatureError: handler count: parameter clerk has no type annotation, \
and arguments are injected by type: add one
    """

    def __init__(self, contextual: Mapping[type, str] | None = None) -> None:
        self._contextual = {key_of(kind): name for kind, name in (contextual or {}).items()}
        self._registrations: dict[str, Registration] = {}
        self._plans: weakref.WeakSet[Plan] = weakref.WeakSet()
        self._root = Scope()

    def singleton(self, service: S, provider: object = ...) -> S:
        """Make one for the whole system, when it is first needed.

        ``provider`` is a class, a factory or an instance; without one,
        ``service`` itself is the class. Returns ``service``, so it decorates
        a class as well. Raises `ServiceLifetimeError` where it would keep
        something scoped or bound to a unit of work, `ServiceError` where
        it cannot be made.

        >>> Services().singleton(str, "sqlite:///shop.db")
        <class 'str'>
        """
        return self._register("singleton", service, provider)

    def scoped(self, service: S, provider: object = ...) -> S:
        """Make one for each message that is handled, and clean it up afterwards.

        Like `singleton`, but there is no ready instance to give.

        >>> class Session: ...
        >>> def session():
        ...     yield Session()  # the clean-up follows the yield
        >>> services = Services()
        >>> services.scoped(Session, session).__name__
        'Session'
        """
        return self._register("scoped", service, provider)

    def transient(self, service: S, provider: object = ...) -> S:
        """Make a new one every time it is asked for.

        Like `singleton`, but there is no ready instance to give.

        >>> services = Services()
        >>> services.transient(list, lambda: [1, 2])
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
        """Compile what ``target`` needs beyond its first ``skip`` parameters.

        ``target`` is a function or a class; ``handler`` is its name in messages
        and in the logger it gets. Raises `HandlerSignatureError` for a
        parameter whose type is not said or not known; a missing service is
        raised when the plan is used, or by `Plan.check`.

        >>> def handler(message: str) -> None: ...
        >>> Services().plan(handler, handler="handler", skip=1).empty
        True
        """
        per_call = self._contextual
        if contextual is not None:
            per_call = {key_of(kind): name for kind, name in contextual.items()}
        needed = parameters(target, skip)
        for parameter in needed:
            if parameter.problem:
                raise HandlerSignatureError(
                    f"handler {handler}: parameter {parameter.name} {parameter.problem}"
                )
        compiler = _Compiler(self, per_call)
        return self._planned(
            lambda: compiler.needs(target, needed, f"handler {handler}", handler, ())
        )

    def many(self, service: Any, *, contextual: Mapping[type, str] | None = None) -> Plan:
        """A plan whose arguments are all services of a type, in the order registered.

        A service is of the type when it is registered under it or its class
        derives from it: each validator of a command is registered under its
        own name and found by its base.

        >>> class Rule: ...
        >>> class Positive(Rule): ...
        >>> services = Services()
        >>> _ = services.singleton(Positive)
        >>> [type(rule).__name__ for rule in services.many(Rule).bind(None, None)]
        ['Positive']
        """
        per_call = self._contextual
        if contextual is not None:
            per_call = {key_of(kind): name for kind, name in contextual.items()}
        compiler = _Compiler(self, per_call)
        key = key_of(service)

        def source() -> tuple[Callable[..., Any], Sequence[Node]]:
            found = [
                registration
                for registration in self._registrations.values()
                if any(key_of(base) == key for base in bases_of(registration.service))
            ]
            return (lambda *made: made), [compiler.service(each, ()) for each in found]

        return self._planned(source)

    def open_scope(self) -> Scope:
        """A scope for one message; close it with ``await scope.aclose()``.

        >>> Services().open_scope()
        Scope()
        """
        return Scope()

    async def aclose(self) -> None:
        """Run the clean-ups of all singletons, the newest first, and drop them.

        Raises an `ExceptionGroup` of what failed. Whoever needs one of
        them afterwards gets a new one.

        >>> import asyncio
        >>> asyncio.run(Services().aclose())
        """
        for key, registration in self._registrations.items():
            if registration.kind != "instance":
                self._registrations[key] = registration.fresh()
        self._forget_plans()
        await self._root.aclose()

    def __repr__(self) -> str:
        listed = (
            f"{label(each.service)}: {each.lifetime}" for each in self._registrations.values()
        )
        return f"Services({', '.join(listed)})"

    def _planned(self, source: Callable[[], tuple[Callable[..., Any], Sequence[Node]]]) -> Plan:
        plan = Plan(source)
        self._plans.add(plan)
        return plan

    def _forget_plans(self) -> None:
        for plan in self._plans:
            plan.forget()

    def _register(self, lifetime: Lifetime, service: S, provider: object) -> S:
        key = key_of(service)
        kind, provider = _provider(lifetime, service, provider)
        registration = Registration(service, key, lifetime, provider, kind)
        if kind == "instance":
            registration.instance = provider
        replaced = self._registrations.get(key)
        self._registrations[key] = registration
        try:
            _Compiler(self, self._contextual).vet(registration)
        except ServiceError:
            if replaced is None:
                del self._registrations[key]
            else:
                self._registrations[key] = replaced
            raise
        self._drop_made_from(key)
        self._forget_plans()
        return service

    def _drop_made_from(self, key: str) -> None:
        """Singletons that hold, directly or not, what ``key`` was before."""
        stale, grown = {key}, True
        while grown:
            grown = False
            for each in self._registrations.values():
                if each.key not in stale and each.kind != "instance":
                    if any(parameter.key in stale for parameter in parameters(each.provider)):
                        stale.add(each.key)
                        grown = True
        for each in stale - {key}:
            self._registrations[each] = self._registrations[each].fresh()


class _Compiler:
    """Turns parameters into nodes, for one choice of contextual types."""

    def __init__(self, services: Services, contextual: Mapping[str, str]) -> None:
        self._services = services
        self._contextual = contextual

    def needs(
        self,
        target: Callable[..., Any],
        needed: Sequence[Parameter],
        owner: str,
        logger: str,
        chain: tuple[str, ...],
    ) -> tuple[Callable[..., Any], list[Node]]:
        """What to call, and the nodes of its positional arguments."""
        positional: list[Node] = []
        keywords: dict[str, Node] = {}
        for parameter in needed:
            node = self._node(parameter, owner, logger, chain)
            if not parameter.keyword_only:
                positional.append(node)
            elif not node.is_default:
                keywords[parameter.name] = node
        while positional and positional[-1].is_default:
            positional.pop()
        if not keywords:
            return target, positional
        names, count = tuple(keywords), len(keywords)

        def call(*arguments: Any) -> Any:
            by_name = dict(zip(names, arguments[-count:], strict=True))
            return target(*arguments[:-count], **by_name)

        return call, [*positional, *keywords.values()]

    def service(self, registration: Registration, chain: tuple[str, ...]) -> Node:
        """The node that gives one registered service."""
        if registration.instance is not UNMADE:
            return Node.constant(registration.instance)
        if not chain:
            self.vet(registration)
        name = label(registration.service)
        needed = parameters(registration.provider)
        for parameter in needed:
            if parameter.problem:
                raise ServiceError(f"{name}: parameter {parameter.name} {parameter.problem}")
        call, nodes = self.needs(registration.provider, needed, name, name, chain)
        return node_of(registration, call, nodes, self._services._root)

    def vet(self, registration: Registration) -> None:
        """Refuse circles, and singletons that would keep what lives shorter."""
        seen: set[tuple[str, str]] = set()

        def visit(current: Registration, keeper: str, path: tuple[Registration, ...]) -> None:
            if current in path:
                circle = [*path[path.index(current) :], current]
                raise ServiceError(
                    "services need each other in a circle: "
                    + " -> ".join(label(each.service) for each in circle)
                    + ". Let one of them take what it needs when it is called, not when made"
                )
            name = label(current.service)
            if current.lifetime == "singleton":
                keeper = name
            if current.kind == "instance" or (current.key, keeper) in seen:
                return
            seen.add((current.key, keeper))
            for parameter in parameters(current.provider):
                needed = self._services._registrations.get(parameter.key)
                if needed is not None and not (keeper and needed.lifetime == "scoped"):
                    visit(needed, keeper, (*path, current))
                elif keeper and (needed is not None or parameter.key in self._contextual):
                    raise _captive(keeper, name, parameter, needed is not None)

        visit(registration, "", ())

    def _node(self, parameter: Parameter, owner: str, logger: str, chain: tuple[str, ...]) -> Node:
        attribute = self._contextual.get(parameter.key)
        if attribute is not None:
            return Node.of_context(attribute)
        here = (*chain, f"{owner}({parameter.name}: {label(parameter.annotation)})")
        registration = self._services._registrations.get(parameter.key)
        if registration is not None:
            if not chain:
                self.vet(registration)
            return self.service(registration, here)
        if parameter.key == _LOGGER:
            import logging

            return Node.constant(logging.getLogger(f"modulus_es.{logger}"))
        if parameter.default is not NO_DEFAULT:
            return Node.constant(parameter.default, is_default=True)
        raise self._missing(parameter.annotation, here)

    def _missing(self, wanted: Any, chain: tuple[str, ...]) -> ServiceNotFoundError:
        name = label(wanted)
        text = f"{' -> '.join(chain)}: no service is registered for {name}. "
        near = [
            label(each.service)
            for each in self._services._registrations.values()
            if any(key_of(base) == key_of(wanted) for base in bases_of(each.service))
        ]
        if near:
            text += f"{near[0]} is one: services.singleton({name}, {near[0]}) gives it for {name}"
        else:
            text += (
                f"Register it with services.singleton({name}), .scoped or .transient, "
                "or give the parameter a default"
            )
        return ServiceNotFoundError(text)


def _captive(keeper: str, owner: str, parameter: Parameter, scoped: bool) -> ServiceLifetimeError:
    kind = label(parameter.annotation)
    lives = "is scoped" if scoped else "belongs to one message"
    through = "" if keeper == owner else f" through {owner}"
    return ServiceLifetimeError(
        f"singleton {keeper} would keep {parameter.name}: {kind}{through}, which {lives}. "
        f"Register {keeper} as scoped, or let the handler take {kind} and pass it on"
    )


def _provider(lifetime: Lifetime, service: Any, provider: Any) -> tuple[Kind, Any]:
    """The provider, checked, and what kind it is."""
    name, plain = label(service), get_origin(service) or service
    if not hasattr(plain, "__qualname__") or inspect.isroutine(plain):
        raise ServiceError(
            f"{name} is not a type: give the type first and what provides it second, "
            f"services.{lifetime}(Warehouse, ...)"
        )
    if provider is ...:
        if not isinstance(plain, type):
            raise ServiceError(f"{name} is not a class: say what provides it")
        provider = service
    made = get_origin(provider) or provider
    if isinstance(made, type):
        if inspect.isabstract(made) or getattr(made, "_is_protocol", False):
            raise ServiceError(
                f"{label(provider)} is abstract: services.{lifetime}({name}, ...) needs the "
                "class that implements it"
            )
        return "sync", provider
    if inspect.isasyncgenfunction(provider):
        return "async generator", provider
    if inspect.isgeneratorfunction(provider):
        return "generator", provider
    if inspect.iscoroutinefunction(provider):
        return "async", provider
    if isinstance(provider, functools.partial | types.MethodType) or inspect.isroutine(provider):
        return "sync", provider
    if lifetime != "singleton":
        raise ServiceError(
            f"services.{lifetime}({name}, ...) was given an instance, and one instance can only "
            f"be a singleton: give a class or a factory, or use services.singleton"
        )
    return "instance", provider
