"""A module: one bounded context with its store, its mediator and its handlers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from modulus_es.behaviors import Surrounding
from modulus_es.boxes import DeadLetter, Inbox, Outbox, dead_letters
from modulus_es.bus import MessageBus
from modulus_es.consumer import Consumer
from modulus_es.dispatcher import Dispatcher, Strategy, in_unit
from modulus_es.domain import Aggregate, DomainEvent, RecordedEvent, event_classes
from modulus_es.errors import (
    DefinitionError,
    DuplicateHandlerError,
    HandlerSignatureError,
    NameClashError,
    StaleSystemError,
)
from modulus_es.handlers import Handler, HandlerBase, first_message, handler_name
from modulus_es.mapper import EventMapper
from modulus_es.mediator import Mediator
from modulus_es.messages import Command, IntegrationEvent, Query, StreamQuery, kind_of
from modulus_es.naming import Registry, qualified_name, stable_name
from modulus_es.projector import check_pure, project
from modulus_es.repository import Repository
from modulus_es.retry import Retry
from modulus_es.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from modulus_es.stores.port import OutboxRow, Store
    from modulus_es.system import System

A = TypeVar("A", bound=Aggregate)
F = TypeVar("F", bound=Callable[..., Any])

_REPLAY_BATCH = 100


class Module:
    """One bounded context of a system; made by `System.module`.

    Modules share contracts, never aggregates. Registering something again, as a
    cell does that runs twice, replaces it in its place.
    """

    def __init__(self, system: System, name: str, store: Store) -> None:
        self.system, self.name, self.store = system, name, store
        self.registry = Registry(f"module {name}")
        mapper_class = type("ModuleMapper", (EventMapper,), {"registry": self.registry})
        self.mapper: EventMapper = store.factory.mapper(mapper_class=mapper_class)  # type: ignore[assignment]
        self.repository = Repository(self, self.mapper)
        self.requests: dict[str, Handler] = {}
        self.subscribers: dict[str, dict[str, Handler]] = {}
        self.dispatcher = Dispatcher(self)
        self.behaviors: list[Surrounding] = []
        self.publish_strategy: Strategy = "sequential"
        self.mediator = Mediator(self)
        self.bus = MessageBus(self)
        self.consumer = Consumer(self)
        self.outbox = Outbox(store)
        self.inbox = Inbox(store)
        self._order = 0
        self._bindings: list[tuple[dict[str, Any], str]] = []

    # What it does

    async def send(self, command: Command[Any]) -> Any:
        """`Mediator.send` of this module."""
        return await self.mediator.send(command)

    async def query(self, query: Query[Any]) -> Any:
        """`Mediator.query` of this module."""
        return await self.mediator.query(query)

    def stream(self, query: StreamQuery[Any]) -> Any:
        """`Mediator.stream` of this module."""
        return self.mediator.stream(query)

    async def publish(self, event: DomainEvent, strategy: Strategy | None = None) -> None:
        """`Mediator.publish` of this module."""
        await self.mediator.publish(event, strategy)

    async def save(self, *aggregates: Aggregate) -> None:
        """Save aggregates in a unit of work of their own.

        Raises `ConcurrencyError` where one was changed by somebody else since it
        was loaded, `SerializationError` naming a field that cannot be stored, and
        `PublishError` where it was saved and handlers failed afterwards.
        """
        self.check_not_stale()
        uow = UnitOfWork(self)

        async def work() -> None:
            uow.add(*aggregates)

        with self.system.current_here():
            await in_unit(uow, work)

    async def get(self, cls: type[A], id: UUID, version: int | None = None) -> A:  # noqa: A002
        """Load an aggregate, as it is or as it was at ``version``.

        Raises `AggregateNotFoundError`.
        """
        self.check_not_stale()
        return await self.repository.get(cls, id, version)

    def unit_of_work(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """A unit of work: it commits at the end of the block, and undoes what raised."""
        self.check_not_stale()
        return UnitOfWork(self)

    async def replay(self, projector: Any, since: datetime | int | None = None) -> int:
        """Project history again into the outbox; answers how many messages.

        ``projector`` is the registered function, class or its name; ``since`` a
        time or a position. The same events give the same messages, byte for
        byte, so that consumers recognise the ones that they had.
        """
        name = projector if isinstance(projector, str) else handler_name(projector)
        found = {
            handler.type_name: handler
            for handlers in self.dispatcher.projectors.values()
            for handler in handlers
            if handler.name == name
        }
        if not found:
            raise HandlerSignatureError(f"{self.name} has no projector {name!r}")
        rows: list[OutboxRow] = []
        count = 0
        for stored in self.stored_events(since if isinstance(since, int) else 1):
            cls = self.registry.get(stored.topic)
            if cls is None:
                continue
            wanted = [p for p in self.dispatcher.projectors_of(cls) if p in found.values()]
            if not wanted:
                continue
            event = self.mapper.to_domain_event(stored)
            if isinstance(since, datetime) and event.occurred_on_utc < since:
                continue
            rows.extend(await project(self, wanted, event))
            if len(rows) >= _REPLAY_BATCH:
                await self.store.commit([], rows)
                count, rows = count + len(rows), []
        if rows:
            await self.store.commit([], rows)
        self.system.scheduler.wake()
        return count + len(rows)

    def dead_letters(self) -> list[DeadLetter]:
        """What this module gave up; `System.replay_dead_letters` brings it back."""
        return list(dead_letters(self.store))

    def stored_events(self, start: int = 1) -> Iterator[Any]:
        """The recorded events as they are stored, in order of position."""
        position: int | None = start
        while position is not None:
            batch = self.store.recorder.select_notifications(position, 1000)
            yield from batch
            position = batch[-1].id + 1 if len(batch) == 1000 else None

    # What is registered

    def handles(
        self,
        message: Any,
        *,
        name: str | None = None,
        retry: Retry | None = None,
        retry_conflicts: int | None = None,
    ) -> Any:
        """Register the one handler of a command, query or stream query.

        ``retry_conflicts`` is how often `Mediator.send` tries again when others
        were faster; ``retry`` is for the command when it comes over the bus.
        Raises `DuplicateHandlerError`, `HandlerSignatureError`.
        """

        def register(target: F) -> F:
            self._handle(target, message, name, retry, retry_conflicts)
            return target

        return self._decorator(message, register, (Command, Query, StreamQuery))

    def on(
        self,
        message: Any,
        *,
        phase: str | None = None,
        retry: Retry | None = None,
        ordered: bool = True,
        name: str | None = None,
    ) -> Any:
        """Register a handler of a domain event, or of an integration event.

        A domain event's handler runs after the commit, or with
        ``phase="before_commit"`` inside the unit of work. An integration event's
        is retried as ``retry`` says, and keeps the order of each key unless
        ``ordered=False``.
        """

        def register(target: F) -> F:
            if issubclass(message, IntegrationEvent):
                self._subscribe(target, message, phase, retry, ordered, name)
            else:
                self._listen(target, message, phase, retry, ordered, name)
            return target

        return self._decorator(message, register, (DomainEvent, IntegrationEvent))

    def projects(self, message: Any, *, name: str | None = None) -> Any:
        """Register a projector: recorded domain event to integration events, or None.

        ``name`` pins its name, which its messages' ids derive from.
        """

        def register(target: F) -> F:
            if not issubclass(message, RecordedEvent):
                raise HandlerSignatureError(
                    f"{handler_name(target, name)}: a projector maps events that an aggregate "
                    f"records, and {stable_name(message)} is none"
                )
            handler = self._make(target, message, name=name, method="project")
            check_pure(handler)
            self._learn_event(message)
            _put(self.dispatcher.projectors.setdefault(handler.type_name, []), handler, self)
            self.dispatcher.changed()
            return target

        return self._decorator(message, register, (DomainEvent,))

    def use(self, *behaviors: Any) -> None:
        """Surround this module's commands and queries; see `modulus_es.behaviors`."""
        self.check_not_stale()
        self.behaviors[:] = with_behaviors(self.behaviors, behaviors, self.system.services)

    def discover(self, *places: Any) -> list[str]:
        """Register every handler class and decorated function below packages or modules.

        Answers the names of what is registered; doing it again changes nothing.
        """
        from modulus_es.discovery import discover  # noqa: PLC0415 - it knows modules

        return discover(self, *places)

    def forget(self, handler: Any) -> None:
        """Remove a handler or projector, by function, class or name; its rows stay."""
        name = handler if isinstance(handler, str) else handler_name(handler)
        before = len(list(self.handlers()))
        self.requests = {k: h for k, h in self.requests.items() if h.name != name}
        for subscribers in self.subscribers.values():
            subscribers.pop(name, None)
        for registered in (self.dispatcher.handlers, self.dispatcher.projectors):
            for handlers in registered.values():
                handlers[:] = [h for h in handlers if h.name != name]
        if len(list(self.handlers())) == before:
            raise DefinitionError(f"{self.name} has no handler {name!r}")
        self.dispatcher.changed()
        self.consumer.changed()

    def handlers(self) -> Iterator[tuple[str, Handler]]:
        """Everything registered: (command, query, stream query, on, subscriber or projector, it)."""
        for handler in self.requests.values():
            yield kind_of(handler.message), handler
        for handlers in self.dispatcher.handlers.values():
            yield from (("on", handler) for handler in handlers)
        for handlers in self.dispatcher.projectors.values():
            yield from (("projector", handler) for handler in handlers)
        for subscribers in self.subscribers.values():
            yield from (("subscriber", handler) for handler in subscribers.values())

    def learn(self, cls: type) -> None:
        """Take note of an aggregate class and its events; raises `NameClashError`."""
        if not self.registry.knows(cls):
            self.registry.learn(cls)
            if issubclass(cls, Aggregate):
                for event_class in event_classes(cls):
                    self.registry.learn(event_class)

    def check_not_stale(self) -> None:
        """Raise `StaleSystemError` where the cell that made the system ran again."""
        if self._bindings and all(_rebound(*b, self.system) for b in self._bindings):
            _, name = self._bindings[0]
            raise StaleSystemError(
                f"this module {self.name!r} belongs to a system that was made again since: take it "
                f"from the new one, {self.name} = {name}.module({self.name!r}), and register its "
                "handlers there"
            )

    def bind_to_caller(self, depth: int) -> None:
        """Remember under which global names the caller holds the system."""
        names = sys._getframe(depth).f_globals
        for name, value in tuple(names.items()):
            if value is self.system and (names, name) not in self._bindings:
                self._bindings.append((names, name))

    def __repr__(self) -> str:
        kinds: dict[str, int] = {}
        for kind, _ in self.handlers():
            kinds[kind] = kinds.get(kind, 0) + 1
        said = ", ".join(f"{n} {_plural(kind, n)}" for kind, n in kinds.items())
        return f"Module({self.name!r}: {said or 'nothing registered'})"

    def _decorator(self, message: Any, register: Callable[[Any], Any], bases: Any) -> Any:
        self.check_not_stale()
        if not isinstance(message, type) or issubclass(message, HandlerBase):
            return self._infer(message)
        if not issubclass(message, bases):
            if not any(issubclass(message, b) for b in (DomainEvent, Command, Query, StreamQuery, IntegrationEvent)):
                if hasattr(message, "handle") or hasattr(message, "project"):
                    return self._infer(message)
            words = " or ".join(b.__name__ for b in bases)
            raise HandlerSignatureError(
                f"{qualified_name(message)} is not the class of a {words}: @module.handles() takes "
                "commands and queries, @module.on() events, @module.projects() recorded events"
            )
        if message in (IntegrationEvent, Command, Query, StreamQuery):
            raise HandlerSignatureError(
                f"{message.__name__} is the base of all: name the one message to be handled"
            )
        return register

    def _infer(self, target: Any) -> Any:
        message = first_message(target)
        if hasattr(target, "project") and isinstance(target, type):
            self.projects(message)(target)
        elif issubclass(message, DomainEvent):
            self.on(message, phase=getattr(target, "phase", None))(target)
        elif issubclass(message, IntegrationEvent):
            self.on(
                message,
                retry=getattr(target, "retry", None),
                ordered=getattr(target, "ordered", True),
            )(target)
        elif issubclass(message, (Command, Query, StreamQuery)):
            self.handles(message)(target)
        else:
            raise HandlerSignatureError(
                f"{handler_name(target)} does not say which message it takes: its first parameter "
                f"is a {qualified_name(message)}, which is no message"
            )
        return target

    def _make(self, target: Any, message: Any, **said: Any) -> Handler:
        if isinstance(target, type) and said.get("method") == "project" and not hasattr(target, "project"):
            said["method"] = "handle"
        self._order += 1
        return Handler(target, message, self.system.services, order=self._order, **said)

    def _handle(
        self,
        target: Any,
        message: Any,
        name: str | None,
        retry: Retry | None,
        retry_conflicts: int | None,
    ) -> None:
        options = {} if retry_conflicts is None else {"retry_conflicts": retry_conflicts}
        handler = self._make(target, message, name=name, retry=retry, options=options)
        for module in self.system.modules:
            held = module.requests.get(handler.type_name)
            if held is not None and (module is not self or held.place != handler.place):
                raise DuplicateHandlerError(
                    f"{handler.type_name} is handled by {module.name}.{held.name} already, and a "
                    f"{kind_of(message)} has one handler: drop {handler.name}, or first say "
                    f"{module.name}.forget({held.name!r})"
                )
        self.system.contracts.learn(message)
        self.requests[handler.type_name] = handler
        self.consumer.changed()

    def _subscribe(
        self,
        target: Any,
        message: Any,
        phase: str | None,
        retry: Retry | None,
        ordered: bool,
        name: str | None,
    ) -> None:
        if phase is not None:
            raise HandlerSignatureError(
                f"{handler_name(target, name)}: {stable_name(message)} comes over the bus, after "
                "the commit; phases are for domain events"
            )
        handler = self._make(target, message, name=name, retry=retry, ordered=ordered)
        subscribers = self.subscribers.setdefault(handler.type_name, {})
        held = subscribers.get(handler.name)
        if held is not None and held.place != handler.place:
            raise _name_clash(self, held, handler)
        self.system.contracts.learn(message)
        subscribers[handler.name] = handler
        self.consumer.changed()

    def _listen(
        self,
        target: Any,
        message: Any,
        phase: str | None,
        retry: Retry | None,
        ordered: bool,
        name: str | None,
    ) -> None:
        if retry is not None or not ordered:
            raise HandlerSignatureError(
                f"{handler_name(target, name)}: a domain event's handler runs once, in order, "
                "awaited by the caller; what must not be missed goes through a projector"
            )
        phase = phase or "after_commit"
        if phase not in ("before_commit", "after_commit"):
            raise ValueError(f"a phase is before_commit or after_commit, not {phase!r}")
        handler = self._make(target, message, name=name, phase=phase)
        self._learn_event(message)
        _put(self.dispatcher.handlers.setdefault(handler.type_name, []), handler, self)
        self.dispatcher.changed()

    def _learn_event(self, message: type) -> None:
        owner = message.__dict__.get("__aggregate__")
        if owner is not None:
            self.learn(owner)
        elif not issubclass(message, RecordedEvent):
            self.registry.learn(message)


def _put(handlers: list[Handler], handler: Handler, module: Module) -> None:
    for index, held in enumerate(handlers):
        if held.name == handler.name:
            if held.place != handler.place:
                raise _name_clash(module, held, handler)
            handler.order = held.order
            handlers[index] = handler
            return
    handlers.append(handler)


def _name_clash(module: Module, held: Handler, handler: Handler) -> NameClashError:
    return NameClashError(
        f"{module.name} has a handler {held.name!r} of {held.type_name} from {held.place[0]}; one "
        f"of that name from {handler.place[0]} is another: rename one, or give name="
    )


def with_behaviors(
    held: list[Surrounding], targets: tuple[Any, ...], services: Any
) -> list[Surrounding]:
    """The behaviours with these added, each in the place of its former self if it had one."""
    behaviors = list(held)
    for target in targets:
        new = Surrounding(target, services)
        places = [b.place for b in behaviors]
        if new.place in places:
            behaviors[places.index(new.place)] = new
        else:
            behaviors.append(new)
    return behaviors


def _rebound(names: dict[str, Any], name: str, system: System) -> bool:
    value = names.get(name)
    return value is not system and type(value) is type(system)


def _plural(kind: str, n: int) -> str:
    word = {"on": "event handler"}.get(kind, kind)
    if n == 1:
        return word
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
