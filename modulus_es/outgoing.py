"""From a message to the row of the outbox that carries it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from modulus_es.clock import to_utc
from modulus_es.envelope import Envelope
from modulus_es.records import codec_of
from modulus_es.stores.port import OutboxRow

if TYPE_CHECKING:
    from modulus_es.messages import Command, IntegrationEvent
    from modulus_es.module import Module
    from modulus_es.unit_of_work import UnitOfWork


def event_row(
    module: Module,
    event: IntegrationEvent,
    now: datetime,
    *,
    key: str,
    uow: UnitOfWork | None = None,
    at: datetime | None = None,
    projected: tuple[str, datetime, str | None, str] | None = None,
) -> OutboxRow:
    """The row of an integration event.

    ``projected`` is what a projector's event takes from its domain event:
    message id, time, correlation and causation. Raises `SerializationError`
    naming the field that cannot travel.
    """
    if projected is not None:
        message_id, occurred_on, correlation, causation = projected
    else:
        message_id, occurred_on = str(event.event_id), to_utc(event.occurred_on, "occurred_on")
        correlation = None if uow is None else uow.correlation_id
        causation = "" if uow is None else uow.causation_id or ""
    envelope = _envelope(
        module,
        event,
        kind="event",
        message_id=message_id,
        key=key,
        occurred_on=occurred_on,
        correlation_id=event.correlation_id or correlation,
        causation_id=event.causation_id or causation or None,
    )
    return _row(envelope, now, at, uow)


def command_row(
    module: Module,
    command: Command[Any],
    to: str,
    now: datetime,
    *,
    key: str,
    uow: UnitOfWork,
    at: datetime | None = None,
) -> OutboxRow:
    """The row of a command for one module; raises `SerializationError`."""
    envelope = _envelope(
        module,
        command,
        kind="command",
        message_id=str(module.system.new_id()),
        key=key,
        occurred_on=now,
        correlation_id=uow.correlation_id,
        causation_id=uow.causation_id,
        to=to,
    )
    return _row(envelope, now, at, uow)


def _envelope(module: Module, message: Any, **said: Any) -> Envelope:
    cls = type(message)
    return Envelope(
        type=module.system.contracts.learn(cls),
        version=cls.class_version,
        body=codec_of(cls).encode(vars(message)),
        source=module.name,
        **said,
    )


def _row(
    envelope: Envelope, now: datetime, at: datetime | None, uow: UnitOfWork | None
) -> OutboxRow:
    handler = "" if uow is None else uow.handler
    if at is None:
        return OutboxRow(envelope, now, now, handler=handler)
    due = to_utc(at, "at")
    return OutboxRow(envelope, now, max(due, now), scheduled=due > now, handler=handler)
