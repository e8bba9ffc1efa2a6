"""What a module is told to do: its handlers, subscribers and projectors, by message.

Everything is checked before anything is changed, and registering something
again, as a cell does that runs twice, replaces it in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import isasyncgenfunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from modulus_es.counts import whole
from modulus_es.domain import Aggregate, DomainEvent, RecordedEvent, event_classes
from modulus_es.errors import (
    DefinitionError,
    DuplicateHandlerError,
    HandlerSignatureError,
    NameClashError,
)
from modulus_es.handlers import Handler, first_message, handler_name, meant, said_handler
from modulus_es.messages import (
    Command,
    IntegrationEvent,
    Message,
    Query,
    StreamQuery,
    kind_of,
)
from modulus_es.naming import qualified_name, stable_name
from modulus_es.projector import check_pure

if TYPE_CHECKING:
    from modulus_es.module import Module

Call: TypeAlias = Literal["handles", "on", "projects"]

_TAKES: dict[Call, tuple[type, ...]] = {
    "handles": (Command, Query, StreamQuery),
    "on": (DomainEvent, IntegrationEvent),
    "projects": (RecordedEvent,),
}
_BASES = (Message, Command, Query, StreamQuery, IntegrationEvent)


class Registrations:
    """The registrations of one module."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._count = 0
        self.requests: dict[str, Handler] = {}
        self.subscribers: dict[str, dict[str, Handler]] = {}

    def add(self, call: Call, message: Any, **options: Any) -> Any:
        """Register, or answer what registers when it decorates.

        ``message`` is a message class, or a handler that itself says which one
        it takes. Options that are None were not given.
        """
        self._module.check_not_stale()
        if isinstance(message, type) and issubclass(message, (Message, DomainEvent)):
            self._check_kind(call, message)
            return lambda target: self._register(call, target, message, options)
        return self._add_handler(call, message, options)

    def add_found(self, target: Any) -> None:
        """Register a handler class that was found: its base says what it is."""
        message = first_message(target)
        call: Call = "handles"
        if hasattr(target, "project"):
            call = "projects"
        elif isinstance(message, type) and issubclass(message, _TAKES["on"]):
            call = "on"
        getattr(self._module, call)(target)

    def forget(self, handler: Any) -> None:
        """Remove a handler or projector; see `Module.forget`."""
        module = self._module
        gone = meant(handler, (held for _, held in self.all()))
        if not gone:
            raise DefinitionError(f"{module.name} has no handler {said_handler(handler)}")
        for held in gone:
            if self.requests.get(held.type_name) is held:
                del self.requests[held.type_name]
            subscribers = self.subscribers.get(held.type_name, {})
            if subscribers.get(held.name) is held:
                del subscribers[held.name]
        for registered in (module.dispatcher.handlers, module.dispatcher.projectors):
            for handlers in registered.values():
                handlers[:] = [held for held in handlers if held not in gone]
        module.system.forget_roads()
        module.dispatcher.changed()
        module.consumer.changed()

    def all(self) -> Iterator[tuple[str, Handler]]:
        """Everything registered, each with the word for it."""
        dispatcher = self._module.dispatcher
        for handler in self.requests.values():
            yield kind_of(handler.message), handler
        for handlers in dispatcher.handlers.values():
            yield from (("on", handler) for handler in handlers)
        for handlers in dispatcher.projectors.values():
            yield from (("projector", handler) for handler in handlers)
        for subscribers in self.subscribers.values():
            yield from (("subscriber", handler) for handler in subscribers.values())

    def _check_kind(self, call: Call, message: type) -> None:
        if not issubclass(message, _TAKES[call]):
            raise HandlerSignatureError(
                f"@{self._module.name}.{call}() takes no {qualified_name(message)}: handles() is "
                "for commands and queries, on() for events, projects() for events that an "
                "aggregate records"
            )
        if message in _BASES:
            raise HandlerSignatureError(
                f"{message.__name__} is the base of all: name the one message to be handled"
            )

    def _add_handler(self, call: Call, target: Any, options: dict[str, Any]) -> Any:
        method = "project" if call == "projects" and hasattr(target, "project") else "handle"
        if not callable(target) or (isinstance(target, type) and not hasattr(target, method)):
            what = qualified_name(target) if isinstance(target, type) else repr(target)
            raise HandlerSignatureError(
                f"{what} is neither the class of a message nor a handler class "
                f"with a method {method}() for @{self._module.name}.{call}(){_hint(target)}"
            )
        message = first_message(target)
        if not issubclass(message, (Message, DomainEvent)):
            raise HandlerSignatureError(
                f"{handler_name(target)} does not say which message it takes: its first parameter "
                f"is a {qualified_name(message)}, which is no message"
            )
        self._check_kind(call, message)
        return self._register(call, target, message, options)

    def _register(self, call: Call, target: Any, message: Any, options: dict[str, Any]) -> Any:
        self._module.check_not_stale()
        given = {name: value for name, value in options.items() if value is not None}
        for name in options:
            if name not in given and isinstance(target, type) and name != "name":
                default = getattr(target, name, None)
                if default is not None:
                    given[name] = default
        if call == "handles":
            self._handle(target, message, **given)
        elif call == "projects":
            self._project(target, message, **given)
        elif issubclass(message, IntegrationEvent):
            self._subscribe(target, message, **given)
        else:
            self._listen(target, message, **given)
        return target

    def _handle(
        self, target: Any, message: Any, *, retry_conflicts: int | None = None, **said: Any
    ) -> None:
        if not issubclass(message, StreamQuery) and _yields(target):
            raise HandlerSignatureError(
                f"{handler_name(target)} yields, and a {kind_of(message)} has one answer: return "
                "it, or make the message a StreamQuery"
            )
        options = {}
        if retry_conflicts is not None:
            options["retry_conflicts"] = whole(retry_conflicts, "retry_conflicts")
        handler = self._make(target, message, options=options, **said)
        module = self._module
        module.system.contracts.check(message)
        for other in module.system.modules:
            held = other.requests.get(handler.type_name)
            if held is not None and (other is not module or held.place != handler.place):
                raise DuplicateHandlerError(
                    f"{handler.type_name} is handled by {other.name}.{held.name} already, and a "
                    f"{kind_of(message)} has one handler: drop {handler.name}, or first say "
                    f"{other.name}.forget({held.name!r})"
                )
        module.system.contracts.learn(message)
        self.requests[handler.type_name] = handler
        module.system.forget_roads()
        module.consumer.changed()

    def _subscribe(
        self, target: Any, message: Any, *, phase: str | None = None, **said: Any
    ) -> None:
        _check_does_not_yield(target)
        handler = self._make(target, message, **said)
        if phase is not None:
            raise HandlerSignatureError(
                f"{handler.name}: {handler.type_name} comes over the bus, after the commit; "
                "phases are for domain events"
            )
        module = self._module
        module.system.contracts.check(message)
        held = self.subscribers.get(handler.type_name, {}).get(handler.name)
        if held is not None and held.place != handler.place:
            raise self._clash(held, handler)
        module.system.contracts.learn(message)
        self.subscribers.setdefault(handler.type_name, {})[handler.name] = handler
        module.consumer.changed()

    def _listen(
        self,
        target: Any,
        message: Any,
        *,
        phase: str = "after_commit",
        retry: Any = None,
        ordered: bool = True,
        name: str | None = None,
    ) -> None:
        if phase not in ("before_commit", "after_commit"):
            raise ValueError(f"a phase is before_commit or after_commit, not {phase!r}")
        _check_does_not_yield(target)
        handler = self._make(target, message, name=name, phase=phase)
        if retry is not None or not ordered:
            raise HandlerSignatureError(
                f"{handler.name}: a domain event's handler runs once, in order, awaited by the "
                "caller; what must not be missed goes through a projector"
            )
        self._put(self._module.dispatcher.handlers, handler)

    def _project(self, target: Any, message: Any, **said: Any) -> None:
        method = "project" if hasattr(target, "project") else "handle"
        handler = self._make(target, message, method=method, **said)
        check_pure(handler)
        self._put(self._module.dispatcher.projectors, handler)

    def _make(self, target: Any, message: Any, **said: Any) -> Handler:
        self._count += 1
        return Handler(target, message, self._module.system.services, order=self._count, **said)

    def _put(self, registered: dict[str, list[Handler]], handler: Handler) -> None:
        module = self._module
        handlers = registered.get(handler.type_name, [])
        names = [held.name for held in handlers]
        index = names.index(handler.name) if handler.name in names else None
        if index is not None and handlers[index].place != handler.place:
            raise self._clash(handlers[index], handler)
        self._learn_event(handler.message)
        registered[handler.type_name] = handlers
        if index is None:
            handlers.append(handler)
        else:
            handler.order = handlers[index].order
            handlers[index] = handler
        module.dispatcher.changed()

    def _learn_event(self, message: Any) -> None:
        owner: type[Aggregate] | None = message.__dict__.get("__aggregate__")
        if owner is not None:
            self._module.learn(owner)
        elif not issubclass(message, RecordedEvent):
            self._module.registry.learn(message)

    def _clash(self, held: Handler, handler: Handler) -> NameClashError:
        return NameClashError(
            f"{self._module.name} has a handler {held.name!r} of {held.type_name} from "
            f"{held.place[0]}; one of that name from {handler.place[0]} is another: rename one, or "
            "give name="
        )


def _hint(target: Any) -> str:
    if not isinstance(target, type) or not issubclass(target, Aggregate):
        return ""
    names = ", ".join(sorted(stable_name(each) for each in event_classes(target)))
    return f"; {qualified_name(target)} is an aggregate: name one of its events, {names}"


def _yields(target: Any) -> bool:
    function = getattr(target, "handle", target) if isinstance(target, type) else target
    return isgeneratorfunction(function) or isasyncgenfunction(function)


def _check_does_not_yield(target: Any) -> None:
    """Nobody asks the handler of an event for answers: one that yields would never run."""
    if _yields(target):
        raise HandlerSignatureError(
            f"{handler_name(target)} yields, and the handler of an event answers nothing: take a "
            "UnitOfWork, a Mediator or a MessageBus and say there what follows"
        )
