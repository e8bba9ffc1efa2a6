"""Requests and domain events find the module that handles them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from modulus_es.dispatcher import Strategy
from modulus_es.domain import DomainEvent
from modulus_es.errors import HandlerNotFoundError, PublishError
from modulus_es.messages import Command, IntegrationEvent, Query, StreamQuery, kind_of
from modulus_es.naming import near_misses, qualified_name, stable_name
from modulus_es.result import Result

if TYPE_CHECKING:
    from modulus_es.handlers import Handler
    from modulus_es.live import Live
    from modulus_es.module import Module

T = TypeVar("T")


class Routing:
    """The part of a `System` that hands requests on, which derives from this class.

    >>> import asyncio
    >>> from modulus_es import Command, System
    >>> class Greet(Command[str]):
    ...     name: str
    >>> system = System(seed=7)
    >>> @system.module("greetings").handles(Greet)
    ... def greet(command: Greet) -> str:
    ...     return f"Hello, {command.name}"
    >>> asyncio.run(system.send(Greet("Ada"))).value
    'Hello, Ada'
    """

    _live: Live
    _modules: dict[str, Module]
    # Where a command that was sent is handled; it holds until a registration changes.
    _roads: dict[type, tuple[Module, Handler]]

    def forget_roads(self) -> None:
        """A registration changed."""
        self._roads.clear()

    def send(
        self, command: Command[T], *, retry_conflicts: int | None = None
    ) -> Coroutine[Any, Any, Result[T]]:
        """Send a command to the module that handles it; await it, see `Mediator.send`."""
        self._live.raise_failure()
        road = self._roads.get(type(command))
        if road is None:
            return self._route(command).mediator.send(command, retry_conflicts=retry_conflicts)
        module, handler = road
        module.check_not_stale()
        return module.mediator.bring(handler, command, retry_conflicts)

    def query(self, query: Query[T]) -> Coroutine[Any, Any, Result[T]]:
        """Ask the module that can answer; await it, see `Mediator.query`."""
        self._live.raise_failure()
        return self._route(query).mediator.query(query)

    def stream(self, query: StreamQuery[T]) -> AsyncIterator[T]:
        """Ask the module that can answer; see `Mediator.stream`."""
        self._live.raise_failure()
        return self._route(query).mediator.stream(query)

    async def publish(self, event: DomainEvent, strategy: Strategy | None = None) -> None:
        """Publish a domain event in every module that handles it; see `Mediator.publish`."""
        self._live.raise_failure()
        if isinstance(event, IntegrationEvent):
            raise TypeError(
                f"{stable_name(type(event))} is an integration event, and needs the outbox of the "
                "module that it comes from: await module.bus.publish(event)"
            )
        failed: list[PublishError] = []
        for module in self._modules.values():
            if module.dispatcher.handlers_of(type(event)) or not isinstance(event, DomainEvent):
                try:
                    await module.mediator.publish(event, strategy)
                except PublishError as error:
                    failed.append(error)
        if failed:
            said = "; ".join(error.message for error in failed)
            raise PublishError(said, [each for error in failed for each in error.exceptions])

    def _route(self, request: Any) -> Module:
        name = stable_name(type(request))
        for module in self._modules.values():
            if (handler := module.requests.get(name)) is not None:
                if isinstance(request, Command) and type(request) is handler.message:
                    self._roads[handler.message] = module, handler
                return module  # its mediator looks closer
        if isinstance(request, type) or not isinstance(request, (Command, Query, StreamQuery)):
            what = (
                f"the class {qualified_name(request)}, and an object of it is needed"
                if isinstance(request, type)
                else repr(request)
            )
            raise TypeError(f"a command or query is sent, not {what}")
        known = [name for module in self._modules.values() for name in module.requests]
        hint = near_misses(name, known) or (f": register a handler with @module.handles({name})")
        raise HandlerNotFoundError(f"no module handles the {kind_of(type(request))} {name}{hint}")
