"""From a message to the row of the outbox that carries it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from modulus_es.clock import to_utc
from modulus_es.envelope import Envelope
from modulus_es.errors import SerializationError
from modulus_es.ids import projected_id, text
from modulus_es.naming import stable_name
from modulus_es.records import codec_of
from modulus_es.stores.rows import OutboxRow

if TYPE_CHECKING:
    from modulus_es.messages import Command, IntegrationEvent
    from modulus_es.module import Module
    from modulus_es.unit_of_work import UnitOfWork


def event_row(
    module: Module,
    event: IntegrationEvent,
    now: datetime,
    *,
    uow: UnitOfWork,
    key: str | None = None,
    at: datetime | None = None,
) -> OutboxRow:
    """The row of an integration event that was published.

    Raises `SerializationError` naming the field that cannot travel.
    """
    message_id, occurred_on = _checked(event)
    correlation = _text(event, "correlation_id") or uow.correlation_id
    envelope = _envelope(
        module,
        event,
        kind="event",
        message_id=message_id,
        key=key or uow.key or correlation,
        occurred_on=occurred_on,
        correlation_id=correlation,
        causation_id=_text(event, "causation_id") or uow.causation_id,
    )
    return _row(envelope, now, at, uow)


def projected_row(
    module: Module,
    event: IntegrationEvent,
    now: datetime,
    of: Any,
    of_id: str,
    projector: str,
    index: int,
) -> OutboxRow:
    """The row of an integration event that a projector made ``of`` a recorded event.

    ``index`` is which of the projector's messages it is. Message id, time, key,
    correlation and causation are the recorded event's. Raises `SerializationError`
    naming the field that cannot travel.
    """
    cls, own, recorded = type(event), event.__dict__, of.__dict__
    correlation_id, causation_id = own["correlation_id"], own["causation_id"]
    if correlation_id is not None:
        _text(event, "correlation_id")
    if causation_id is not None:
        _text(event, "causation_id")
    envelope = Envelope(
        message_id=text(projected_id(recorded["id"], projector, index)),
        kind="event",
        type=module.system.contracts.learn(cls),
        version=cls.class_version,
        body=codec_of(cls).encode(own),
        source=module.name,
        key=text(recorded["originator_id"]),
        occurred_on=recorded["timestamp"],
        correlation_id=correlation_id or of.correlation_id,
        causation_id=causation_id or of_id,
    )
    return OutboxRow(envelope, now, now)


def command_row(
    module: Module,
    command: Command[Any],
    to: str,
    now: datetime,
    *,
    uow: UnitOfWork,
    key: str | None = None,
    at: datetime | None = None,
) -> OutboxRow:
    """The row of a command for one module; raises `SerializationError`."""
    envelope = _envelope(
        module,
        command,
        kind="command",
        message_id=text(module.system.new_id()),
        key=key or uow.key or uow.correlation_id,
        occurred_on=now,
        correlation_id=uow.correlation_id,
        causation_id=uow.causation_id,
        to=to,
    )
    return _row(envelope, now, at, uow)


def _checked(event: IntegrationEvent) -> tuple[str, datetime]:
    if not isinstance(event.event_id, UUID):
        raise _refused(event, "event_id", "a UUID")
    try:
        return text(event.event_id), to_utc(event.occurred_on)
    except (TypeError, ValueError):
        raise _refused(event, "occurred_on", "a time with a time zone") from None


def _text(event: IntegrationEvent, name: str) -> str | None:
    value: str | None = getattr(event, name)
    if value is not None and not isinstance(value, str):
        raise _refused(event, name, "a text")
    return value


def _refused(event: IntegrationEvent, name: str, wanted: str) -> SerializationError:
    path = f"{stable_name(type(event))}.{name}"
    return SerializationError(f"{path} is {wanted}, not {getattr(event, name)!r}", path)


def _envelope(module: Module, message: Any, **said: Any) -> Envelope:
    cls = type(message)
    return Envelope(
        type=module.system.contracts.learn(cls),
        version=cls.class_version,
        body=codec_of(cls).encode(vars(message)),
        source=module.name,
        **said,
    )


def _row(envelope: Envelope, now: datetime, at: datetime | None, uow: UnitOfWork) -> OutboxRow:
    if at is None:
        return OutboxRow(envelope, now, now, handler=uow.handler)
    return OutboxRow(envelope, now, max(at, now), scheduled=at > now, handler=uow.handler)
