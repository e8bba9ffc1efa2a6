"""One delivery: one handler gets one message, once more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from modulus_es.answers import as_result
from modulus_es.dispatcher import failure_of
from modulus_es.envelope import Envelope
from modulus_es.errors import (
    DeserializationError,
    LeaseLostError,
    ModulusError,
    PublishError,
    SimulatedCrash,
)
from modulus_es.handlers import Handler
from modulus_es.mapper import upcast
from modulus_es.messages import Command, IntegrationEvent
from modulus_es.records import codec_of
from modulus_es.result import Error, Failure
from modulus_es.stores.port import Handled, InboxRow
from modulus_es.trace import TraceRecord
from modulus_es.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from modulus_es.module import Module


class Deliverer:
    """Runs the handlers of one module for the messages that its inbox holds.

    A handler's effects in the module's store and the mark in the inbox are one
    transaction. What fails is tried again later, as the handler's `Retry` says.
    """

    def __init__(self, module: Module) -> None:
        self._module = module

    async def deliver(self, row: InboxRow, handler: Handler, owner: str) -> str:
        """Make one attempt; answers done, failed, retry, duplicate or dead.

        Raises what must not be buried: a cancellation, an interrupt, a crash.
        """
        envelope = row.envelope
        attempt, began = row.attempts + 1, self._module.system.clock.now()
        try:
            try:
                message = self._read(envelope, handler)
            except DeserializationError as error:
                return await self._dead(row, owner, attempt, began, error)
            outcome, said = await self._handle(row, owner, handler, message)
        except LeaseLostError as error:
            outcome, said = "duplicate", error
        except SimulatedCrash:
            raise
        except BaseException as error:
            failure = failure_of(row.handler, error)
            return await self._failed(row, owner, handler, attempt, began, failure)
        self.say(envelope, row.handler, attempt, outcome, began, said)
        return outcome

    async def _handle(
        self, row: InboxRow, owner: str, handler: Handler, message: Any
    ) -> tuple[str, Any]:
        module, envelope = self._module, row.envelope
        uow = UnitOfWork(
            module,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.message_id,
            key=envelope.key,
            handler=handler.name,
        )
        try:
            answer = await handler.run(message, uow)
            now = module.system.clock.now()
            if isinstance(message, Command):
                result = as_result(answer, type(message), handler.name)
                if not result:
                    await uow.rollback()
                    await uow.close()
                    await module.store.commit([], [], Handled(row, owner, "failed", now))
                    return "failed", "; ".join(map(str, result.errors))
            elif isinstance(answer, Failure | Error):
                raise ModulusError(f"{handler.name} answered {answer!r}")
            uow.handled = Handled(row, owner, "done", now)
            try:
                await uow.complete()
            except PublishError as error:
                if not uow.committed:
                    raise
                return "done", error
            return "done", None
        except BaseException as error:
            await uow.abandon(error)
            raise

    def _read(self, envelope: Envelope, handler: Handler) -> Any:
        cls: Any = self._module.system.contracts.get(envelope.type) or handler.message
        values = codec_of(cls).decode(upcast(cls, envelope.version, envelope.body))
        if issubclass(cls, IntegrationEvent):
            try:
                values["event_id"] = UUID(envelope.message_id)
            except ValueError:
                raise DeserializationError(
                    f"{envelope.type}: its message id {envelope.message_id[:80]!r} is not a UUID"
                ) from None
            values["occurred_on"] = envelope.occurred_on
            values["correlation_id"] = envelope.correlation_id
            values["causation_id"] = envelope.causation_id
        message = object.__new__(cls)
        message.__dict__.update(values)
        return message

    async def _failed(
        self,
        row: InboxRow,
        owner: str,
        handler: Handler,
        attempt: int,
        began: datetime,
        error: Exception,
    ) -> str:
        module = self._module
        retry = handler.retry or module.system.retry
        if retry.is_last(attempt):
            return await self._dead(row, owner, attempt, began, error)
        wait = timedelta(seconds=retry.wait(attempt, module.system.random))
        await module.store.retry_delivery(
            owner, row, _said(error), module.system.clock.now() + wait
        )
        self.say(row.envelope, row.handler, attempt, "retry", began, error)
        return "retry"

    async def _dead(
        self, row: InboxRow, owner: str, attempt: int, began: datetime, error: Exception
    ) -> str:
        now = self._module.system.clock.now()
        await self._module.store.bury_delivery(owner, row, _said(error), now)
        self.say(row.envelope, row.handler, attempt, "dead", began, error)
        return "dead"

    def say(
        self,
        envelope: Envelope,
        handler: str,
        attempt: int,
        outcome: str,
        began: datetime | None = None,
        error: Any = None,
    ) -> None:
        """Put a delivery, or what became of a message instead of one, into the trace."""
        system = self._module.system
        now = system.clock.now()
        system.trace.add(
            TraceRecord(
                now,
                "delivery",
                self._module.name,
                envelope.message_id,
                envelope.type,
                handler,
                attempt,
                outcome,
                envelope.source,
                envelope.correlation_id,
                envelope.causation_id,
                None if error is None else _said(error),
                0.0 if began is None else (now - began).total_seconds(),
            )
        )


def _said(error: Any) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
