"""One delivery: one handler gets one message, once more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from modulus_es.answers import as_result
from modulus_es.envelope import Envelope
from modulus_es.errors import (
    DeserializationError,
    LeaseLostError,
    ModulusError,
    PublishError,
    SimulatedCrash,
)
from modulus_es.failures import failure_of, told
from modulus_es.groups import Group
from modulus_es.handlers import Handler
from modulus_es.messages import Command, IntegrationEvent
from modulus_es.reading import Read, read_of
from modulus_es.result import Error, Failure
from modulus_es.stores.port import Store
from modulus_es.stores.rows import Handled, InboxRow
from modulus_es.trace import TraceRecord, commit_record
from modulus_es.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from modulus_es.module import Module

Writer: TypeAlias = Store | Group
"""Where a delivery writes."""

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
"""Lets a handler begin with a message; what is awaited answers what the handler answers."""


class Deliverer:
    """Runs the handlers of one module for the messages that its inbox holds.

    A handler's effects in the module's store and the mark in the inbox are one
    transaction. What fails is tried again later, as the handler's `Retry` says.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._name, self._store = module.name, module.store
        self._system, self._clock = module.system, module.system.clock
        self._trace, self._faults = module.system.trace, module.system.faults
        self._contracts = module.system.contracts
        # How to call each handler, as long as the services stay the same; None for one that
        # takes anything of a unit of work.
        self._calls: dict[Handler, Call | None] = {}
        self._reads: dict[type, Read] = {}
        self._system.services.when_changed(self._calls.clear)

    async def deliver(
        self, row: InboxRow, handler: Handler, owner: str, group: Group | None = None
    ) -> str:
        """Make one attempt; answers done, failed, retry, duplicate or dead.

        It writes to the module's store, or in a ``group`` of deliveries. Raises what must
        not be buried: a cancellation, an interrupt, a crash.
        """
        clock = self._clock
        attempt, began = row.attempts + 1, clock.now()
        store, envelope = group or self._store, row.envelope
        try:
            try:
                cls = self._contracts.get(envelope.type) or handler.message
                read = self._reads.get(cls) or self._read_of(cls)
                message = read(envelope)
            except DeserializationError as error:
                return await self._dead(store, row, owner, attempt, began, error)
            call = self._calls[handler] if handler in self._calls else self._call_of(handler)
            if call is None:
                outcome, said = await self._handle_in_unit(store, row, owner, handler, message)
            else:
                outcome, said = _outcome(await call(message), message, handler)
                await self._mark(store, Handled(row, owner, outcome, clock.now()))
        except LeaseLostError as error:
            outcome, said = "duplicate", error
        except SimulatedCrash:
            raise
        except BaseException as error:
            failure = failure_of(row.handler, error)
            return await self._failed(store, row, owner, handler, attempt, began, failure)
        self.say(envelope, row.handler, attempt, outcome, began, said)
        return outcome

    def changed(self) -> None:
        """A registration changed: some handlers may be gone."""
        self._calls.clear()
        self._reads.clear()

    def _call_of(self, handler: Handler) -> Call | None:
        call = self._calls[handler] = handler.shortcut().call
        return call

    def _read_of(self, cls: type) -> Read:
        read = self._reads[cls] = read_of(cls)
        return read

    async def _handle_in_unit(
        self, store: Writer, row: InboxRow, owner: str, handler: Handler, message: Any
    ) -> tuple[str, Any]:
        """Run a handler in a unit of work, which holds the mark as well."""
        envelope = row.envelope
        uow = UnitOfWork(
            self._module,
            correlation_id=envelope.correlation_id,
            causation_id=envelope.message_id,
            key=envelope.key,
            handler=handler.name,
        )
        uow.store = store
        try:
            answer = await handler.run(message, uow)
            outcome, said = _outcome(answer, message, handler)
            handled = Handled(row, owner, outcome, self._clock.now())
            if outcome == "failed":
                await uow.rollback()
                await uow.close()
                await store.commit((), (), handled)
                return outcome, said
            uow.handled = handled
            try:
                await uow.complete()
            except PublishError as error:
                if not uow.committed:
                    raise
                said = error
            return outcome, said
        except BaseException as error:
            await uow.abandon(error)
            raise

    async def _mark(self, store: Writer, handled: Handled) -> None:
        """Write that a handler is done which had no way to record anything."""
        row, is_done, name = handled.row, handled.outcome == "done", self._name
        faults = self._faults if is_done and self._faults.armed else None
        if faults is not None:
            faults.reach("before_commit", name, committed=False)
        try:
            await store.commit((), (), handled)
        except Exception:
            # Perhaps only the answer got lost: the store knows.
            if not await store.holds((), (), handled):
                raise
        if is_done:
            caused = row.envelope.correlation_id, row.envelope.message_id
            # What a unit of work that recorded nothing says of its commit.
            self._trace.add(commit_record(handled.at, name, row.handler, *caused))
        if faults is not None:
            faults.reach("after_commit", name, committed=True)

    async def _failed(
        self,
        store: Writer,
        row: InboxRow,
        owner: str,
        handler: Handler,
        attempt: int,
        began: datetime,
        error: Exception,
    ) -> str:
        retry = handler.retry or self._system.retry
        if retry.is_last(attempt):
            return await self._dead(store, row, owner, attempt, began, error)
        wait = timedelta(seconds=retry.wait(attempt, self._system.random))
        await store.retry_delivery(owner, row, _said(error), self._clock.now() + wait)
        self.say(row.envelope, row.handler, attempt, "retry", began, error)
        return "retry"

    async def _dead(
        self,
        store: Writer,
        row: InboxRow,
        owner: str,
        attempt: int,
        began: datetime,
        error: Exception,
    ) -> str:
        await store.bury_delivery(owner, row, _said(error), self._clock.now())
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
        now = self._clock.now()
        said = None if error is None else _said(error)
        took = 0.0 if began is None or began is now else (now - began).total_seconds()
        self._trace.add(
            TraceRecord(
                now,
                "delivery",
                self._name,
                envelope.message_id,
                envelope.type,
                handler,
                attempt,
                outcome,
                envelope.source,
                envelope.correlation_id,
                envelope.causation_id,
                said,
                took,
            )
        )


def _outcome(answer: Any, message: Any, handler: Handler) -> tuple[str, Any]:
    """What a handler's answer means: done, or a command that failed, and what it said."""
    if answer is None and isinstance(message, IntegrationEvent):
        return "done", None
    if isinstance(message, Command):
        result = as_result(answer, type(message), handler.name)
        return ("done", None) if result else ("failed", "; ".join(map(str, result.errors)))
    if answer is not None and isinstance(answer, Failure | Error):
        raise ModulusError(f"{handler.name} answered {answer!r}")
    return "done", None


def _said(error: Any) -> str:
    return told(error) if isinstance(error, BaseException) else str(error)
