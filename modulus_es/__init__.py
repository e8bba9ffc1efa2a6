"""A flight simulator for event-driven systems.

Build a modular, event-sourced system in a few notebook cells, watch every event
travel through it, break it on purpose, and see why nothing was lost. The names
here are the public API; `docs/` explains the ideas.
"""

from __future__ import annotations

import typing

if typing.TYPE_CHECKING:
    from modulus_es.behaviors import (
        Behavior,
        LoggingBehavior,
        UnhandledExceptionBehavior,
        ValidationBehavior,
        Validator,
    )
    from modulus_es.boxes import DeadLetter, Inbox, Outbox
    from modulus_es.bus import MessageBus
    from modulus_es.clock import Clock, SystemClock, VirtualClock
    from modulus_es.discovery import handles, on, projects
    from modulus_es.domain import Aggregate, DomainEvent, UnknownEvent, event
    from modulus_es.envelope import Envelope
    from modulus_es.errors import (
        AggregateNotFoundError,
        BackgroundError,
        CascadeDepthError,
        ConcurrencyError,
        DefinitionError,
        DeserializationError,
        DuplicateHandlerError,
        HandlerNotFoundError,
        HandlerResultError,
        HandlerSignatureError,
        HeldBackError,
        LeaseLostError,
        MissingExtraError,
        ModulusError,
        NameClashError,
        NoAcknowledgementError,
        ProjectionError,
        PublishError,
        ReservedFieldError,
        ResultError,
        SerializationError,
        ServiceError,
        ServiceLifetimeError,
        ServiceNotFoundError,
        SimulatedCrash,
        StaleSystemError,
        StepLimitError,
        StoreError,
        StoreUnavailableError,
        StoreURLError,
        TransportError,
        TransportUnavailableError,
        TransportURLError,
        UnknownEventError,
        UnsupportedFieldError,
    )
    from modulus_es.faults import Faults, Network
    from modulus_es.handler_bases import (
        CommandHandler,
        DomainEventHandler,
        IntegrationEventHandler,
        Projector,
        QueryHandler,
        StreamQueryHandler,
    )
    from modulus_es.mediator import Mediator
    from modulus_es.messages import Command, IntegrationEvent, Query, StreamQuery
    from modulus_es.module import Module
    from modulus_es.relay import OutboxRelay
    from modulus_es.result import Error, Failure, Result, Success
    from modulus_es.retry import Retry
    from modulus_es.services import Services
    from modulus_es.steps import Run, Step
    from modulus_es.system import System
    from modulus_es.trace import Delivery, Trace, TraceRecord
    from modulus_es.transports.port import Transport
    from modulus_es.unit_of_work import UnitOfWork

__version__ = "0.1.0"

__all__ = [
    "Aggregate",
    "AggregateNotFoundError",
    "BackgroundError",
    "Behavior",
    "CascadeDepthError",
    "Clock",
    "Command",
    "CommandHandler",
    "ConcurrencyError",
    "DeadLetter",
    "DefinitionError",
    "Delivery",
    "DeserializationError",
    "DomainEvent",
    "DomainEventHandler",
    "DuplicateHandlerError",
    "Envelope",
    "Error",
    "Failure",
    "Faults",
    "HandlerNotFoundError",
    "HandlerResultError",
    "HandlerSignatureError",
    "HeldBackError",
    "Inbox",
    "IntegrationEvent",
    "IntegrationEventHandler",
    "LeaseLostError",
    "LoggingBehavior",
    "Mediator",
    "MessageBus",
    "MissingExtraError",
    "Module",
    "ModulusError",
    "NameClashError",
    "Network",
    "NoAcknowledgementError",
    "Outbox",
    "OutboxRelay",
    "ProjectionError",
    "Projector",
    "PublishError",
    "Query",
    "QueryHandler",
    "ReservedFieldError",
    "Result",
    "ResultError",
    "Retry",
    "Run",
    "SerializationError",
    "ServiceError",
    "ServiceLifetimeError",
    "ServiceNotFoundError",
    "Services",
    "SimulatedCrash",
    "StaleSystemError",
    "Step",
    "StepLimitError",
    "StoreError",
    "StoreURLError",
    "StoreUnavailableError",
    "StreamQuery",
    "StreamQueryHandler",
    "Success",
    "System",
    "SystemClock",
    "Trace",
    "TraceRecord",
    "Transport",
    "TransportError",
    "TransportURLError",
    "TransportUnavailableError",
    "UnhandledExceptionBehavior",
    "UnitOfWork",
    "UnknownEvent",
    "UnknownEventError",
    "UnsupportedFieldError",
    "ValidationBehavior",
    "Validator",
    "VirtualClock",
    "event",
    "handles",
    "on",
    "projects",
]

# A name's module is imported when the name is first asked for (PEP 562), so that who needs
# one error class or one contract base does not load the whole system.
_HOMES = {
    "Aggregate": "domain",
    "AggregateNotFoundError": "errors",
    "BackgroundError": "errors",
    "Behavior": "behaviors",
    "CascadeDepthError": "errors",
    "Clock": "clock",
    "Command": "messages",
    "CommandHandler": "handler_bases",
    "ConcurrencyError": "errors",
    "DeadLetter": "boxes",
    "DefinitionError": "errors",
    "Delivery": "trace",
    "DeserializationError": "errors",
    "DomainEvent": "domain",
    "DomainEventHandler": "handler_bases",
    "DuplicateHandlerError": "errors",
    "Envelope": "envelope",
    "Error": "result",
    "Failure": "result",
    "Faults": "faults",
    "HandlerNotFoundError": "errors",
    "HandlerResultError": "errors",
    "HandlerSignatureError": "errors",
    "HeldBackError": "errors",
    "Inbox": "boxes",
    "IntegrationEvent": "messages",
    "IntegrationEventHandler": "handler_bases",
    "LeaseLostError": "errors",
    "MissingExtraError": "errors",
    "LoggingBehavior": "behaviors",
    "Mediator": "mediator",
    "MessageBus": "bus",
    "Module": "module",
    "ModulusError": "errors",
    "NameClashError": "errors",
    "Network": "faults",
    "NoAcknowledgementError": "errors",
    "Outbox": "boxes",
    "OutboxRelay": "relay",
    "ProjectionError": "errors",
    "Projector": "handler_bases",
    "PublishError": "errors",
    "Query": "messages",
    "QueryHandler": "handler_bases",
    "ReservedFieldError": "errors",
    "Result": "result",
    "ResultError": "errors",
    "Retry": "retry",
    "Run": "steps",
    "SerializationError": "errors",
    "ServiceError": "errors",
    "ServiceLifetimeError": "errors",
    "ServiceNotFoundError": "errors",
    "Services": "services",
    "SimulatedCrash": "errors",
    "StaleSystemError": "errors",
    "Step": "steps",
    "StepLimitError": "errors",
    "StoreError": "errors",
    "StoreURLError": "errors",
    "StoreUnavailableError": "errors",
    "StreamQuery": "messages",
    "StreamQueryHandler": "handler_bases",
    "Success": "result",
    "System": "system",
    "SystemClock": "clock",
    "Trace": "trace",
    "TraceRecord": "trace",
    "Transport": "transports.port",
    "TransportError": "errors",
    "TransportURLError": "errors",
    "TransportUnavailableError": "errors",
    "UnhandledExceptionBehavior": "behaviors",
    "UnitOfWork": "unit_of_work",
    "UnknownEvent": "domain",
    "UnknownEventError": "errors",
    "UnsupportedFieldError": "errors",
    "ValidationBehavior": "behaviors",
    "Validator": "behaviors",
    "VirtualClock": "clock",
    "event": "domain",
    "handles": "discovery",
    "on": "discovery",
    "projects": "discovery",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
