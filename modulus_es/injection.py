"""How services are made: registrations become nodes, nodes become plans.

A `Plan` is what a handler holds. It is compiled when first used, forgets
everything when a registration changes, and compiles again when next used, so
no call ever asks whether it is still current.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, Literal

from .errors import ServiceError
from .signatures import label

if TYPE_CHECKING:
    import asyncio

Lifetime = Literal["singleton", "scoped", "transient"]
Kind = Literal["instance", "sync", "async", "generator", "async generator"]

UNMADE: Any = object()


class Scope:
    """What was made for one message, and how to clean it up.

    ``async with`` it, or call `aclose`. One scope belongs to one task.

    >>> import asyncio
    >>> async def demo() -> None:
    ...     async with Scope() as scope:
    ...         print(scope)
    >>> asyncio.run(demo())
    Scope()
    """

    __slots__ = ("cleanups", "instances")

    def __init__(self) -> None:
        self.instances: dict[Registration, Any] = {}
        self.cleanups: list[Any] = []

    async def aclose(self) -> None:
        """Run every clean-up, the newest first, even where some of them fail.

        Raises an `ExceptionGroup` of what failed. A cancellation is raised
        instead of it, and only after the last clean-up.
        """
        if not self.cleanups:
            self.instances.clear()
            return
        failures: list[Exception] = []
        interruption: BaseException | None = None
        while self.cleanups:
            try:
                await _finish(self.cleanups.pop())
            except Exception as error:
                failures.append(error)
            except BaseException as error:
                interruption = interruption or error
        self.instances.clear()
        if interruption is not None:
            raise interruption
        if failures:
            raise ExceptionGroup("services failed to clean up", failures)

    async def __aenter__(self) -> Scope:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Scope({', '.join(label(made.service) for made in self.instances)})"


async def _finish(generator: Any) -> None:
    """Let a generator factory run on after its ``yield``."""
    if isinstance(generator, AsyncGeneratorType):
        async for _ in generator:
            await generator.aclose()
            raise ServiceError(f"{generator.__qualname__} yields twice; a factory yields once")
    else:
        for _ in generator:
            generator.close()
            raise ServiceError(f"{generator.__qualname__} yields twice; a factory yields once")


@dataclass(eq=False, slots=True)
class Registration:
    """One service: how it is made, for how long it lives, and its singleton instance."""

    service: Any
    key: str
    lifetime: Lifetime
    provider: Any
    kind: Kind
    instance: Any = UNMADE
    pending: asyncio.Event | None = None

    def fresh(self) -> Registration:
        """The same without its instance; who still holds the old one disturbs nobody."""
        return Registration(self.service, self.key, self.lifetime, self.provider, self.kind)

    @property
    def is_async(self) -> bool:
        """Whether making one needs an ``await``."""
        return self.kind in ("async", "async generator")

    def make(self, call: Callable[..., Any], arguments: Sequence[Any], scope: Scope) -> Any:
        """Make one, and leave its clean-up with ``scope``."""
        made = call(*arguments)
        if self.kind == "generator":
            try:
                value = next(made)
            except StopIteration:
                raise self._error("yields nothing; it must yield the service once") from None
            scope.cleanups.append(made)
            return value
        if inspect.iscoroutine(made):
            made.close()
            raise self._error("returns a coroutine; write it as `async def`")
        return made

    async def amake(self, call: Callable[..., Any], arguments: Sequence[Any], scope: Scope) -> Any:
        """The same for every kind of provider."""
        if self.kind == "async":
            return await call(*arguments)
        if self.kind != "async generator":
            return self.make(call, arguments, scope)
        made = call(*arguments)
        try:
            value = await anext(made)
        except StopAsyncIteration:
            raise self._error("yields nothing; it must yield the service once") from None
        scope.cleanups.append(made)
        return value

    def _error(self, what: str) -> ServiceError:
        return ServiceError(f"the factory of {label(self.service)} {what}")


@dataclass(frozen=True, slots=True)
class Node:
    """How one argument is got; ``aget`` is there only where it takes an ``await``."""

    get: Callable[[Any, Any], Any]
    aget: Callable[[Any, Any], Awaitable[Any]] | None = None
    value: Any = UNMADE
    attribute: str = ""
    needs_scope: bool = False
    contextual: bool = False
    settles: bool = False
    is_default: bool = False

    @classmethod
    def constant(cls, value: Any, *, is_default: bool = False) -> Node:
        """A value that is the same in every call."""
        return cls(lambda context, scope: value, value=value, is_default=is_default)

    @classmethod
    def of_context(cls, attribute: str) -> Node:
        """An attribute of the object that every call passes in."""
        read = attrgetter(attribute)
        return cls(lambda context, scope: read(context), attribute=attribute, contextual=True)


async def arguments_of(nodes: Iterable[Node], context: Any, scope: Any) -> list[Any]:
    """The arguments, awaiting where one needs it."""
    return [
        node.get(context, scope) if node.aget is None else await node.aget(context, scope)
        for node in nodes
    ]


def node_of(
    registration: Registration, call: Callable[..., Any], nodes: Sequence[Node], root: Scope
) -> Node:
    """The node that makes ``registration`` from what ``nodes`` give."""
    awaits = registration.is_async or any(node.aget for node in nodes)
    settles = any(node.settles for node in nodes)
    contextual = any(node.contextual for node in nodes)
    if registration.lifetime == "singleton":
        return _singleton(registration, call, nodes, root, awaits)

    def make(context: Any, scope: Scope) -> Any:
        if awaits:
            raise ServiceError(f"{label(registration.service)} needs `await`: use `Plan.abind`")
        return registration.make(call, [node.get(context, scope) for node in nodes], scope)

    async def amake(context: Any, scope: Scope) -> Any:
        return await registration.amake(call, await arguments_of(nodes, context, scope), scope)

    if registration.lifetime == "transient":
        cleans_up = registration.kind in ("generator", "async generator")
        return Node(
            make,
            amake if awaits else None,
            needs_scope=cleans_up or any(node.needs_scope for node in nodes),
            contextual=contextual,
            settles=settles,
        )

    def once(context: Any, scope: Scope) -> Any:
        if registration not in scope.instances:
            scope.instances[registration] = make(context, scope)
        return scope.instances[registration]

    async def aonce(context: Any, scope: Scope) -> Any:
        if registration not in scope.instances:
            scope.instances[registration] = await amake(context, scope)
        return scope.instances[registration]

    return Node(
        once,
        aonce if awaits else None,
        needs_scope=True,
        contextual=contextual,
        settles=settles,
    )


def _singleton(
    registration: Registration,
    call: Callable[..., Any],
    nodes: Sequence[Node],
    root: Scope,
    awaits: bool,
) -> Node:
    def get(context: Any, scope: Any) -> Any:
        if registration.instance is UNMADE:
            if awaits:
                raise ServiceError(f"{label(registration.service)} needs `await`: use `Plan.abind`")
            arguments = [node.get(None, root) for node in nodes]
            registration.instance = registration.make(call, arguments, root)
        return registration.instance

    async def aget(context: Any, scope: Any) -> Any:
        import asyncio

        while registration.instance is UNMADE:
            if registration.pending is not None:
                await registration.pending.wait()
                continue
            registration.pending = made = asyncio.Event()
            try:
                arguments = await arguments_of(nodes, None, root)
                # Somebody who needed no await may have made it in the meantime.
                if registration.instance is UNMADE:
                    registration.instance = await registration.amake(call, arguments, root)
            finally:
                registration.pending = None
                made.set()
        return registration.instance

    return Node(get, aget if awaits else None, settles=True)


class Plan:
    """Everything one callable needs beyond what its caller passes.

    Made by `Services.plan`. Call the target as
    ``plan.call(*passed, *plan.bind(context, scope))``, or with ``await
    plan.abind(...)`` where ``is_async``. ``scope`` may be ``None`` unless
    ``needs_scope``, ``context`` may be ``None`` unless ``contextual``.

    ``empty`` says that there is nothing to inject. All of this is worked out
    when first asked for, and again after a registration changed; it raises
    `ServiceNotFoundError`, `ServiceLifetimeError` or `ServiceError` where the
    needs cannot be met.

    >>> from modulus_es.services import Services
    >>> services = Services()
    >>> services.singleton(int, 42)
    <class 'int'>
    >>> def handler(message: str, answer: int) -> str: return f"{message} {answer}"
    >>> plan = services.plan(handler, handler="handler", skip=1)
    >>> plan.empty, plan.needs_scope, plan.is_async
    (False, False, False)
    >>> plan.call("the answer is", *plan.bind(None, None))
    'the answer is 42'
    """

    __slots__ = (
        "__weakref__",
        "_source",
        "bind",
        "call",
        "contextual",
        "empty",
        "is_async",
        "needs_scope",
    )

    call: Callable[..., Any]
    bind: Callable[[Any, Scope | None], Sequence[Any]]
    empty: bool
    needs_scope: bool
    contextual: bool
    is_async: bool

    def __init__(self, source: Callable[[], tuple[Callable[..., Any], Sequence[Node]]]) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        # Reached only while the slots are empty: before the first use and after `forget`.
        if name not in Plan.__slots__:
            raise AttributeError(f"a Plan has no attribute {name!r}")
        self._compile()
        return getattr(self, name)

    def check(self) -> None:
        """Work it out now, so that what is missing is said now."""
        self._compile()

    def forget(self) -> None:
        """A registration changed: work everything out again at the next use."""
        for name in ("call", "bind", "empty", "needs_scope", "contextual", "is_async"):
            try:
                delattr(self, name)
            except AttributeError:
                return

    async def abind(self, context: Any, scope: Scope | None) -> Sequence[Any]:
        """`bind`, also where something is made by an async factory."""
        _, nodes = self._source()
        arguments = await arguments_of(nodes, context, scope)
        if any(node.settles for node in nodes):
            self.forget()
        return arguments

    def _compile(self) -> None:
        call, nodes = self._source()
        self.call = call
        self.empty = not nodes
        self.needs_scope = any(node.needs_scope for node in nodes)
        self.contextual = any(node.contextual for node in nodes)
        self.is_async = any(node.aget for node in nodes)
        self.bind = self._binder(nodes)

    def _binder(self, nodes: Sequence[Node]) -> Callable[[Any, Scope | None], Sequence[Any]]:
        """The shortest code that gets these arguments."""
        if all(node.value is not UNMADE for node in nodes):
            values = tuple(node.value for node in nodes)
            return lambda context, scope: values
        if all(node.attribute for node in nodes):
            read = attrgetter(*(node.attribute for node in nodes))
            if len(nodes) == 1:
                return lambda context, scope: (read(context),)
            return lambda context, scope: read(context)  # type: ignore[no-any-return]
        if all(node.attribute or node.value is not UNMADE for node in nodes):
            return _mixed(nodes)
        getters = [node.get for node in nodes]
        if not any(node.settles for node in nodes):
            return lambda context, scope: [get(context, scope) for get in getters]

        def bind_and_settle(context: Any, scope: Scope | None) -> Sequence[Any]:
            arguments = [get(context, scope) for get in getters]
            self.forget()  # the singletons exist now, so the next plan just hands them out
            return arguments

        return bind_and_settle


def _mixed(nodes: Sequence[Node]) -> Callable[[Any, Scope | None], Sequence[Any]]:
    template = [node.value for node in nodes]
    places = [(i, attrgetter(node.attribute)) for i, node in enumerate(nodes) if node.attribute]

    def bind(context: Any, scope: Scope | None) -> Sequence[Any]:
        arguments = template[:]
        for place, read in places:
            arguments[place] = read(context)
        return arguments

    return bind
