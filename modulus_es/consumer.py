"""The consumer side of a module: its inbox, and the deliveries to its handlers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from modulus_es.dispatcher import not_cancelled_by_us
from modulus_es.envelope import Envelope
from modulus_es.errors import (
    DeserializationError,
    LeaseLostError,
    ModulusError,
    PublishError,
    SimulatedCrash,
)
from modulus_es.handlers import Handler
from modulus_es.ids import derived_id
from modulus_es.mapper import upcast
from modulus_es.mediator import as_result
from modulus_es.messages import Command, IntegrationEvent
from modulus_es.records import codec_of
from modulus_es.relay import BATCH, LEASE
from modulus_es.result import Error, Failure
from modulus_es.scheduler import Step
from modulus_es.stores.port import Handled, InboxRow, Receipt
from modulus_es.trace import TraceRecord
from modulus_es.transports.port import Subscription
from modulus_es.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from modulus_es.module import Module


class Consumer:
    """Holds messages in a module's inbox and runs each handler of each of them.

    Every handler of a message succeeds, is retried and dies on its own. Its
    effects in the module's store and the inbox mark are one transaction, so
    they happen exactly once, however often the message arrives.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._claimed: deque[InboxRow] = deque()
        self._lives = 1
        self._names: frozenset[str] = frozenset()

    @property
    def owner(self) -> str:
        """Under which name it claims; a new one each time it dies and is restarted."""
        return f"{self._module.name}.consumer-{self._lives}"

    def changed(self) -> None:
        """A registration changed: listen for what is handled now."""
        module = self._module
        commands = {
            name
            for name, handler in module.requests.items()
            if issubclass(handler.message, Command)
        }
        self._names = frozenset(
            [module.requests[name].name for name in commands]
            + [name for handlers in module.subscribers.values() for name in handlers]
        )
        module.system.transport.subscribe(
            module.name,
            Subscription(frozenset(n for n, h in module.subscribers.items() if h), frozenset(commands)),
            self.receive,
        )

    def handlers_of(self, envelope: Envelope) -> list[Handler]:
        """The handlers here that a message is for."""
        module = self._module
        if envelope.kind == "event":
            return list(module.subscribers.get(envelope.type, {}).values())
        handler = module.requests.get(envelope.type) if envelope.to == module.name else None
        return [handler] if handler is not None and issubclass(handler.message, Command) else []

    async def receive(self, envelopes: Sequence[Envelope]) -> None:
        """Hold messages durably; what nobody here handles becomes a dead letter."""
        module = self._module
        system = module.system
        now = system.clock.now()
        receipts = []
        for envelope in envelopes:
            handlers = self.handlers_of(envelope)
            if handlers:
                wanted = tuple((handler.name, handler.ordered) for handler in handlers)
                receipts.append(Receipt(envelope, wanted))
            else:
                await self._bury(envelope, f"no handler in {module.name} for {envelope.type}")
        for message_id, handler_name in await module.store.receive(receipts, now):
            envelope = next(r.envelope for r in receipts if r.envelope.message_id == message_id)
            self._say(envelope, handler_name, envelope.attempt, "duplicate")
        system.scheduler.wake()
        if system.faults.armed:
            try:
                system.faults.reach("before_ack", module.name)
            except SimulatedCrash as crash:
                self._die(crash)
                raise

    async def receive_bytes(self, data: bytes, source: str = "unknown") -> None:
        """Hold a message as it came from a broker; bytes that are none become a dead letter."""
        try:
            envelope = Envelope.from_bytes(data)
        except DeserializationError as error:
            unreadable = Envelope(
                message_id=str(derived_id(source, data)),
                kind="event",
                type="unreadable",
                version=1,
                body=data,
                source=source,
                key="",
                occurred_on=self._module.system.clock.now(),
            )
            await self._bury(unreadable, str(error))
        else:
            await self.receive([envelope])

    async def work(self, limit: int = BATCH) -> Step | None:
        """Make the next delivery that is due; None if there is none."""
        module = self._module
        try:
            if not self._claimed:
                self._claimed.extend(
                    await module.store.claim_inbox(
                        self.owner, module.system.clock.now(), LEASE, min(limit, BATCH), self._names
                    )
                )
            if not self._claimed:
                return None
            row = self._claimed.popleft()
            with module.system.current_here():
                outcome = await self._deliver(row)
        except SimulatedCrash as crash:
            self._die(crash)
            outcome = f"crash at {crash.point}"
        except Exception:
            raise
        except BaseException:
            # Interrupted: what was claimed and not given back is free when its lease is out.
            self._lives += 1
            self._claimed.clear()
            raise
        envelope = row.envelope
        return Step(
            module.system.clock.now(),
            "deliver",
            module.name,
            envelope.type,
            row.handler,
            outcome,
            envelope.message_id,
        )

    async def due(self) -> Any:
        """When there is a delivery to make next."""
        now = self._module.system.clock.now()
        if self._claimed:
            return now
        return await self._module.store.inbox_due(self.owner, now, self._names)

    def blocked(self) -> list[str]:
        """Deliveries whose handler is gone."""
        waiting: dict[str, int] = {}
        for row in self._module.store.unprocessed():
            if row.handler not in self._names:
                waiting[row.handler] = waiting.get(row.handler, 0) + 1
        name = self._module.name
        return [f"{name}: handler {h} is gone ({n} waiting)" for h, n in waiting.items()]

    def resume(self) -> None:
        """Nothing here waits for anything but time."""

    async def abandon(self) -> None:
        """Give back what is claimed and not begun."""
        rows, self._claimed = list(self._claimed), deque()
        if rows:
            await self._module.store.release_inbox(self.owner, rows)

    async def _deliver(self, row: InboxRow) -> str:
        module, envelope, owner = self._module, row.envelope, self.owner
        clock = module.system.clock
        handler = next((h for h in self.handlers_of(envelope) if h.name == row.handler), None)
        if handler is None:
            await module.store.release_inbox(owner, [row])
            return "handler is gone"
        attempt, began = row.attempts + 1, clock.now()
        try:
            try:
                message = self._read(envelope, handler)
            except DeserializationError as error:
                return await self._dead(row, owner, attempt, began, error)
            outcome, said = await self._handle(row, owner, handler, message)
        except LeaseLostError as error:
            self._say(envelope, row.handler, attempt, "duplicate", began, error)
            return "duplicate"
        except Exception as error:
            return await self._failed(row, owner, handler, attempt, began, error)
        except SimulatedCrash:
            raise
        except BaseException as error:
            try:
                failure = not_cancelled_by_us(row.handler, error)
            except BaseException:
                await module.store.release_inbox(owner, [row])
                raise
            return await self._failed(row, owner, handler, attempt, began, failure)
        self._say(envelope, row.handler, attempt, outcome, began, said)
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
                    await module.store.commit([], [], Handled(row, owner, "failed", now))
                    return "failed", "; ".join(map(str, result.errors))
            elif isinstance(answer, Failure | Error):
                raise ModulusError(f"{handler.name} answered {answer!r}")
            uow.handled = Handled(row, owner, "done", now)
            try:
                await uow.commit()
            except PublishError as error:
                if not uow.committed:
                    raise
                return "done", error
            return "done", None
        except BaseException:
            await uow.rollback()
            raise
        finally:
            await uow.close()

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
        began: Any,
        error: Exception,
    ) -> str:
        module = self._module
        retry = handler.retry or module.system.retry
        if retry.is_last(attempt):
            return await self._dead(row, owner, attempt, began, error)
        at = module.system.clock.now() + timedelta(
            seconds=retry.wait(attempt, module.system.random)
        )
        await module.store.retry_delivery(owner, row, _said(error), at)
        self._say(row.envelope, row.handler, attempt, "retry", began, error)
        return "retry"

    async def _dead(
        self, row: InboxRow, owner: str, attempt: int, began: Any, error: Exception
    ) -> str:
        now = self._module.system.clock.now()
        await self._module.store.bury_delivery(owner, row, _said(error), now)
        self._say(row.envelope, row.handler, attempt, "dead", began, error)
        return "dead"

    async def _bury(self, envelope: Envelope, why: str) -> None:
        now = self._module.system.clock.now()
        await self._module.store.bury_unreadable(envelope, why, now)
        self._say(envelope, "", envelope.attempt, "dead", error=why)

    def _die(self, crash: SimulatedCrash) -> None:
        self._lives += 1
        self._claimed.clear()
        system = self._module.system
        system.trace.add(
            TraceRecord(
                system.clock.now(),
                "crash",
                self._module.name,
                handler="consumer",
                outcome=crash.point,
            )
        )

    def _say(
        self,
        envelope: Envelope,
        handler: str,
        attempt: int,
        outcome: str,
        began: Any = None,
        error: Any = None,
    ) -> None:
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

    def __repr__(self) -> str:
        return f"Consumer({self._module.name})"


def _said(error: Any) -> str:
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
