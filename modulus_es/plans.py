"""What one callable needs, compiled.

`Plan` is what a handler holds. It is compiled when first used, forgets
everything when a registration changes, and is compiled again when next used:
no call ever has to ask whether it is still current.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_origin

import msgspec

from modulus_es.errors import ServiceError, ServiceLifetimeError, ServiceNotFoundError
from modulus_es.injection import UNMADE, Node, Registration, Scope, arguments_of
from modulus_es.signatures import NO_DEFAULT, Parameter, bases_of, key_of, label

Source = Callable[[], tuple[Callable[..., Any], Sequence[Node]]]
Bind = Callable[[Any, Scope | None], Sequence[Any]]

_LOGGER = "logging:Logger"
_COMPILED = (
    "call",
    "constants",
    "bind",
    "empty",
    "needs_scope",
    "contextual",
    "is_async",
    "_nodes",
)


class Plan:
    """Everything that one callable needs beyond what its caller passes.

    Made by `Services.plan`; ``settled`` is told when its singletons were made. Call the target as
    ``plan.call(*passed, *plan.bind(context, scope))``, or with ``await
    plan.abind(context, scope)`` where ``is_async``. ``scope`` may be ``None``
    unless ``needs_scope``, ``context`` may be ``None`` unless ``contextual``;
    ``empty`` says that there is nothing to inject. ``constants`` are the arguments,
    where these are the same in every call; ``None`` where they are not.

    All of this is worked out when first asked for, and again after a
    registration changed. Asking raises `ServiceNotFoundError`,
    `ServiceLifetimeError` or `ServiceError` where a need cannot be met.

    >>> from modulus_es.services import Services
    >>> services = Services()
    >>> _ = services.singleton(int, 42)
    >>> def handler(message: str, answer: int) -> str:
    ...     return f"{message} {answer}"
    >>> plan = services.plan(handler, handler="handler", skip=1)
    >>> plan.empty, plan.needs_scope, plan.is_async
    (False, False, False)
    >>> plan.call("the answer is", *plan.bind(None, None))
    'the answer is 42'
    """

    __slots__ = ("__weakref__", "_settled", "_source", *_COMPILED)

    call: Callable[..., Any]
    constants: tuple[Any, ...] | None
    bind: Bind
    empty: bool
    needs_scope: bool
    contextual: bool
    is_async: bool
    _nodes: Sequence[Node]

    def __init__(self, source: Source, settled: Callable[[], None]) -> None:
        self._source, self._settled = source, settled

    if not TYPE_CHECKING:  # a type checker would take it for leave to read any name

        def __getattr__(self, name):
            # Python comes here only for an empty slot: before the first use and after `forget`.
            if name not in _COMPILED:
                raise AttributeError(f"a Plan has no attribute {name!r}")
            self.check()
            return object.__getattribute__(self, name)

    def check(self) -> None:
        """Work everything out now, so that what is missing is said now.

        Raises what using the plan would raise.
        """
        call, nodes = self._source()
        self.call, self._nodes, self.empty = call, nodes, not nodes
        if not nodes:
            self.needs_scope = self.contextual = self.is_async = False
            self.constants, self.bind = (), _nothing
            return
        self.needs_scope = any(node.needs_scope for node in nodes)
        self.contextual = any(node.contextual for node in nodes)
        self.is_async = any(node.aget for node in nodes)
        are_constant = all(node.value is not UNMADE for node in nodes)
        self.constants = tuple(node.value for node in nodes) if are_constant else None
        self.bind = self._binder(nodes, self.constants)

    def forget(self) -> None:
        """A registration changed: work everything out again at the next use."""
        try:
            del self.call
        except AttributeError:
            return  # nothing was worked out
        for name in _COMPILED[1:]:
            delattr(self, name)

    async def abind(self, context: Any, scope: Scope | None) -> Sequence[Any]:
        """`bind`, also where something is made by an async factory."""
        nodes = self._nodes
        arguments = await arguments_of(nodes, context, scope)
        if any(node.settles for node in nodes):
            self._settle()
        return arguments

    def _settle(self) -> None:
        """The singletons exist now: from here on they are constants."""
        self.forget()
        self._settled()

    def _binder(self, nodes: Sequence[Node], constants: tuple[Any, ...] | None) -> Bind:
        """The shortest code that gets these arguments."""
        if constants is not None:
            values = constants
            return lambda context, scope: values
        if all(node.attribute or node.value is not UNMADE for node in nodes):
            return _from_context(nodes)
        getters = [node.get for node in nodes]
        if not any(node.settles for node in nodes):
            return lambda context, scope: [get(context, scope) for get in getters]

        def bind_and_settle(context: Any, scope: Scope | None) -> Sequence[Any]:
            arguments = [get(context, scope) for get in getters]
            self._settle()
            return arguments

        return bind_and_settle


def _nothing(context: Any, scope: Scope | None) -> Sequence[Any]:
    return ()


def _from_context(nodes: Sequence[Node]) -> Bind:
    """Constants, and attributes of the context."""
    read = attrgetter(*(node.attribute for node in nodes if node.attribute))
    if len(nodes) == 1:
        return lambda context, scope: (read(context),)
    if all(node.attribute for node in nodes):
        return lambda context, scope: read(context)
    template = [node.value for node in nodes]
    places = [(i, attrgetter(node.attribute)) for i, node in enumerate(nodes) if node.attribute]

    def bind(context: Any, scope: Scope | None) -> Sequence[Any]:
        arguments = template[:]
        for place, get in places:
            arguments[place] = get(context)
        return arguments

    return bind


class Asker(msgspec.Struct, frozen=True):
    """Who asks: its name in messages, the name of its logger, and who asked for it.

    ``chain`` is a name and a parameter for each of these; it is said only where
    something is missing. ``kept`` is true for a singleton and for all that it is
    made of.
    """

    name: str
    logger: str
    chain: tuple[tuple[str, Parameter], ...] = ()
    kept: bool = False

    def said(self) -> str:
        """The chain, as a message shows it."""
        return " -> ".join(
            f"{name}({parameter.name}: {label(parameter.annotation)})"
            for name, parameter in self.chain
        )


class Compiler:
    """Turns parameters into nodes, for one choice of contextual types."""

    def __init__(
        self, registrations: Mapping[str, Registration], contextual: Mapping[str, str], root: Scope
    ) -> None:
        self._registrations = registrations
        self._contextual = contextual
        self._root = root

    def callable(
        self, target: Callable[..., Any], needed: Sequence[Parameter], asker: Asker
    ) -> tuple[Callable[..., Any], list[Node]]:
        """What to call, and the nodes of its positional arguments."""
        positional: list[Node] = []
        keywords: dict[str, Node] = {}
        for parameter in needed:
            node = self._argument(parameter, asker)
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

    def service(self, registration: Registration, asker: Asker | None = None) -> Node:
        """The node that gives one registered service."""
        if registration.instance is not UNMADE:
            return Node.constant(registration.instance)
        if asker is None or not asker.chain:
            self.vet(registration)
        name, needed = label(registration.service), registration.parameters
        for parameter in needed:
            if parameter.problem:
                raise ServiceError(f"{name}: parameter {parameter.name} {parameter.problem}")
        made = Asker(
            name,
            name,
            asker.chain if asker else (),
            registration.lifetime == "singleton" or bool(asker and asker.kept),
        )
        call, nodes = self.callable(registration.provider, needed, made)
        return Node.of_service(registration, call, nodes, self._root)

    def vet(self, registration: Registration) -> None:
        """Refuse circles, and singletons that would keep what lives shorter."""
        if not registration.parameters:
            return
        seen: set[tuple[str, str]] = set()

        def visit(current: Registration, keeper: str, path: tuple[Registration, ...]) -> None:
            name = label(current.service)
            if current in path:
                circle = [label(each.service) for each in path[path.index(current) :]]
                raise ServiceError(
                    f"services need each other in a circle: {' -> '.join([*circle, name])}. "
                    "Let one of them take what it needs when it is called, not when it is made"
                )
            keeper = name if current.lifetime == "singleton" else keeper
            if (current.key, keeper) in seen:
                return
            seen.add((current.key, keeper))
            for parameter in current.parameters:
                needed = self._registrations.get(parameter.key)
                if needed is None:
                    if keeper and parameter.key in self._contextual:
                        raise _captive(keeper, name, parameter, "belongs to one message")
                elif keeper and needed.lifetime == "scoped":
                    raise _captive(keeper, name, parameter, "is scoped")
                else:
                    visit(needed, keeper, (*path, current))

        visit(registration, "", ())

    def _argument(self, parameter: Parameter, asker: Asker) -> Node:
        attribute = self._contextual.get(parameter.key)
        if attribute is not None and not asker.kept:
            return Node.of_context(attribute)
        chain = (*asker.chain, (asker.name, parameter))
        registration = self._registrations.get(parameter.key)
        if registration is not None:
            if registration.instance is not UNMADE:
                return Node.constant(registration.instance)
            if not asker.chain:
                self.vet(registration)
            return self.service(registration, Asker(asker.name, asker.logger, chain, asker.kept))
        if parameter.key == _LOGGER:
            import logging

            return Node.constant(logging.getLogger(f"modulus_es.{asker.logger}"))
        if parameter.default is not NO_DEFAULT:
            return Node.constant(parameter.default, is_default=True)
        asked, wanted = Asker("", "", chain), parameter.annotation
        raise ServiceNotFoundError(
            f"{asked.said()}: no service is registered for {label(wanted)}. {self._advice(wanted)}"
        )

    def _advice(self, wanted: Any) -> str:
        """How to register it, seen what else there is."""
        name, key = label(wanted), key_of(wanted)
        for each in self._registrations.values():
            other = label(each.service)
            if any(key_of(base) == key for base in bases_of(each.service)):
                return f"{other} is one: services.singleton({name}, {other}) gives it for {name}"
            if other == name:
                return (
                    f"The {name} that is registered is {each.key.replace(':', '.')}, "
                    f"this one is {key.replace(':', '.')}"
                )
        plain = get_origin(wanted) or wanted
        how = f"services.singleton({name}, what_provides_it)"
        if isinstance(plain, type) and not is_abstract(plain):
            how = f"services.singleton({name}), .scoped or .transient"
        return f"Register it with {how}, or give the parameter a default"


def is_abstract(service: type) -> bool:
    """Whether there can be no instance of exactly this class."""
    return inspect.isabstract(service) or bool(getattr(service, "_is_protocol", False))


def _captive(keeper: str, owner: str, parameter: Parameter, lives: str) -> ServiceLifetimeError:
    kind = label(parameter.annotation)
    through = "" if keeper == owner else f", through {owner}"
    return ServiceLifetimeError(
        f"singleton {keeper} would keep its parameter {parameter.name}: {kind}{through}, but "
        f"{kind} {lives}. Register {keeper} with services.scoped, or let the handler take "
        f"{kind} and pass it to the method that needs it"
    )
