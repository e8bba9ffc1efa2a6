"""How one service is made, kept and cleaned up.

A `Registration` says how; a `Scope` keeps what was made for one message; a
`Node` is one argument of a compiled `modulus_es.plans.Plan`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from operator import attrgetter
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from modulus_es.errors import ServiceError
from modulus_es.signatures import Parameter, label, parameters

if TYPE_CHECKING:
    import asyncio

Lifetime = Literal["singleton", "scoped", "transient"]
Kind = Literal["instance", "class", "sync", "async", "generator", "async generator"]

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
        in its place, and only after the last clean-up.

        >>> import asyncio
        >>> asyncio.run(Scope().aclose())
        """
        self.instances.clear()
        if not self.cleanups:
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
        failed = ExceptionGroup("services failed to clean up", failures) if failures else None
        if interruption is not None:
            raise interruption from failed
        if failed is not None:
            raise failed

    async def __aenter__(self) -> Self:
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


class Registration(msgspec.Struct, eq=False):
    """One service: how it is made, for how long it lives, and its singleton instance."""

    service: Any
    key: str
    lifetime: Lifetime
    provider: Any
    kind: Kind
    instance: Any = UNMADE
    pending: asyncio.Event | None = None
    known: tuple[Parameter, ...] | None = None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What the provider takes; read again as long as a name in it is not defined yet."""
        if self.kind == "instance":
            return ()
        if self.known is not None:
            return self.known
        read = parameters(self.provider)
        if not any(parameter.problem for parameter in read):
            self.known = read
        return read

    @property
    def is_async(self) -> bool:
        """Whether making one needs an ``await``."""
        return self.kind in ("async", "async generator")

    @property
    def cleans_up(self) -> bool:
        """Whether something is left to do when its time is over."""
        return self.kind in ("generator", "async generator")

    def fresh(self) -> Registration:
        """The same before it was made; whoever still makes the old one disturbs nobody."""
        if self.kind == "instance":
            return self
        return msgspec.structs.replace(self, instance=UNMADE, pending=None)

    def make(self, call: Callable[..., Any], arguments: Sequence[Any], scope: Scope) -> Any:
        """Make one without an ``await``, and leave its clean-up with ``scope``."""
        made = call(*arguments)
        if self.kind == "generator":
            try:
                value = next(made)
            except StopIteration:
                raise self._error("yields nothing; it yields the service once") from None
            scope.cleanups.append(made)
            return value
        if self.kind == "sync" and _is_unstarted(made):
            raise self._error(
                f"returns a {type(made).__name__}, not the service; give the function that "
                "makes it (functools.partial binds arguments), not one that calls it"
            )
        return made

    async def amake(self, call: Callable[..., Any], arguments: Sequence[Any], scope: Scope) -> Any:
        """Make one, whatever kind its provider is."""
        if self.kind == "async":
            return await call(*arguments)
        if self.kind != "async generator":
            return self.make(call, arguments, scope)
        made = call(*arguments)
        try:
            value = await anext(made)
        except StopAsyncIteration:
            raise self._error("yields nothing; it yields the service once") from None
        scope.cleanups.append(made)
        return value

    def needs_await(self) -> ServiceError:
        """The error for whoever asks for it without an ``await``."""
        return ServiceError(
            f"{label(self.service)} is made by an async factory, or needs what is: "
            "use `await plan.abind(...)`"
        )

    def _error(self, what: str) -> ServiceError:
        return ServiceError(f"the factory of {label(self.service)} {what}")


def _is_unstarted(made: Any) -> bool:
    if inspect.iscoroutine(made):
        made.close()  # or Python warns, far from the reason, that it was never awaited
        return True
    return inspect.isgenerator(made) or inspect.isasyncgen(made)


class Node(msgspec.Struct, frozen=True):
    """How one argument is got; ``aget`` is there only where that takes an ``await``.

    ``settles`` says that it makes a singleton, and is a constant from then on.
    """

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
        """An attribute of the object that every call brings along."""
        read = attrgetter(attribute)
        return cls(lambda context, scope: read(context), attribute=attribute, contextual=True)

    @classmethod
    def of_service(
        cls,
        registration: Registration,
        call: Callable[..., Any],
        nodes: Sequence[Node],
        root: Scope,
    ) -> Node:
        """A service, made by ``call`` from what ``nodes`` give."""
        awaits = registration.is_async or any(node.aget for node in nodes)
        if registration.lifetime == "singleton":
            get, aget = _singleton(registration, call, nodes, root, awaits)
            return cls(get, aget if awaits else None, settles=True)
        get, aget = _transient(registration, call, nodes, awaits)
        if registration.lifetime == "scoped":
            get, aget = _scoped(registration, get, aget)
        return cls(
            get,
            aget if awaits else None,
            needs_scope=registration.lifetime == "scoped"
            or registration.cleans_up
            or any(node.needs_scope for node in nodes),
            contextual=any(node.contextual for node in nodes),
            settles=any(node.settles for node in nodes),
        )


Get = Callable[[Any, Any], Any]
AsyncGet = Callable[[Any, Any], Awaitable[Any]]


async def arguments_of(nodes: Iterable[Node], context: Any, scope: Any) -> list[Any]:
    """The arguments, with an ``await`` where one needs it."""
    return [
        node.get(context, scope) if node.aget is None else await node.aget(context, scope)
        for node in nodes
    ]


def _transient(
    registration: Registration, call: Callable[..., Any], nodes: Sequence[Node], awaits: bool
) -> tuple[Get, AsyncGet]:
    def get(context: Any, scope: Any) -> Any:
        if awaits:
            raise registration.needs_await()
        return registration.make(call, [node.get(context, scope) for node in nodes], scope)

    async def aget(context: Any, scope: Any) -> Any:
        return await registration.amake(call, await arguments_of(nodes, context, scope), scope)

    return get, aget


def _scoped(registration: Registration, make: Get, amake: AsyncGet) -> tuple[Get, AsyncGet]:
    def get(context: Any, scope: Any) -> Any:
        if registration not in scope.instances:
            scope.instances[registration] = make(context, scope)
        return scope.instances[registration]

    async def aget(context: Any, scope: Any) -> Any:
        if registration not in scope.instances:
            scope.instances[registration] = await amake(context, scope)
        return scope.instances[registration]

    return get, aget


def _singleton(
    registration: Registration,
    call: Callable[..., Any],
    nodes: Sequence[Node],
    root: Scope,
    awaits: bool,
) -> tuple[Get, AsyncGet]:
    def get(context: Any, scope: Any) -> Any:
        if registration.instance is UNMADE:
            if awaits:
                raise registration.needs_await()
            arguments = [node.get(None, root) for node in nodes]
            registration.instance = registration.make(call, arguments, root)
        return registration.instance

    async def aget(context: Any, scope: Any) -> Any:
        import asyncio

        while registration.instance is UNMADE:
            if registration.pending is not None:
                await registration.pending.wait()
                continue
            registration.pending = done = asyncio.Event()
            try:
                arguments = await arguments_of(nodes, None, root)
                # Once its needs exist it may need no await: somebody may have been faster.
                if registration.instance is UNMADE:
                    registration.instance = await registration.amake(call, arguments, root)
            finally:
                registration.pending = None
                done.set()
        return registration.instance

    return get, aget
