"""Domain events reach their handlers: in process, in order, awaited."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from modulus_es.domain import DomainEvent
from modulus_es.errors import ModulusError, PublishError
from modulus_es.handlers import Handler
from modulus_es.naming import stable_name
from modulus_es.trace import TraceRecord
from modulus_es.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from modulus_es.module import Module

Strategy: TypeAlias = Literal["sequential", "parallel", "stop_on_first_failure"]

STRATEGIES: tuple[Strategy, ...] = ("sequential", "parallel", "stop_on_first_failure")


class _Plan(NamedTuple):
    before: tuple[Handler, ...]
    after: tuple[Handler, ...]
    projectors: tuple[Handler, ...]


class Dispatcher:
    """The domain event handlers and projectors of one module.

    An event reaches the handlers of its runtime type and of that type's bases,
    by stable name, in the order in which they were registered.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self.handlers: dict[str, list[Handler]] = {}
        self.projectors: dict[str, list[Handler]] = {}
        self.has_before_commit = False
        self._plans: dict[type, _Plan] = {}

    def changed(self) -> None:
        """A registration changed."""
        self._plans.clear()
        self.has_before_commit = any(
            handler.phase == "before_commit" for each in self.handlers.values() for handler in each
        )

    def projectors_of(self, cls: type) -> tuple[Handler, ...]:
        """The projectors of an event class, in the order registered."""
        return (self._plans.get(cls) or self._plan(cls)).projectors

    def handlers_of(self, cls: type) -> tuple[Handler, ...]:
        """The handlers of an event class, of both phases, before-commit ones first."""
        plan = self._plans.get(cls) or self._plan(cls)
        return (*plan.before, *plan.after)

    async def before_commit(self, event: DomainEvent, uow: UnitOfWork) -> None:
        """Run the before-commit handlers inside the unit of work; a failure aborts it."""
        cls = type(event)
        for handler in (self._plans.get(cls) or self._plan(cls)).before:
            await handler.run(event, uow)

    async def after_commit(self, events: Sequence[Any], uow: UnitOfWork) -> None:
        """Run the after-commit handlers of these events; raises `PublishError`."""
        failures: list[Exception] = []
        strategy = self._module.publish_strategy
        for event in events:
            cls = type(event)
            handlers = (self._plans.get(cls) or self._plan(cls)).after
            if handlers:
                try:
                    await self._run_all(handlers, event, uow, strategy)
                except PublishError as error:
                    failures.extend(error.exceptions)
        if failures:
            raise _publish_error(events, failures)

    async def publish(self, event: DomainEvent, strategy: Strategy | None = None) -> None:
        """Publish an event that belongs to no unit of work: its phases run at once."""
        cls = type(event)
        plan = self._plans.get(cls) or self._plan(cls)
        if not plan.before:
            failures: list[Exception] = []
            try:
                await self._run_all(plan.after, event, None, strategy)
            except PublishError as error:
                failures.extend(error.exceptions)
            if failures:
                raise _publish_error([event], failures)
            return
        uow = UnitOfWork(self._module)
        try:
            uow.note(event)
            await uow.commit()
        finally:
            await uow.close()

    async def _run_all(
        self,
        handlers: Sequence[Handler],
        event: Any,
        uow: UnitOfWork | None,
        strategy: Strategy | None,
    ) -> None:
        system = self._module.system
        outcome = "done"
        try:
            if strategy == "parallel":
                await self._in_parallel(handlers, event, uow)
            else:
                await self._one_by_one(handlers, event, uow, strategy == "stop_on_first_failure")
        except PublishError:
            outcome = "failed"
            raise
        finally:
            correlation = getattr(event, "correlation_id", None)
            system.trace.add(
                TraceRecord(
                    system.clock.now(),
                    "event",
                    self._module.name,
                    str(event.id),
                    stable_name(type(event)),
                    " ".join(handler.name for handler in handlers),
                    outcome=outcome,
                    correlation_id=correlation or (uow.correlation_id if uow else None),
                    causation_id=getattr(event, "causation_id", None),
                )
            )

    async def _one_by_one(
        self, handlers: Sequence[Handler], event: Any, uow: UnitOfWork | None, stop: bool
    ) -> None:
        failures: list[Exception] = []
        for handler in handlers:
            try:
                if handler.simple:
                    answer = handler.target(event)
                    if isawaitable(answer):
                        await answer
                elif not handler.needs_context:
                    await handler.run(event, None)
                else:
                    await self._in_own_unit(handler, event, uow)
            except Exception as error:
                failures.append(error)
            except BaseException as error:
                failures.append(not_cancelled_by_us(handler.name, error))
            if failures and stop:
                break
        if failures:
            raise _publish_error([event], failures)

    async def _in_parallel(
        self, handlers: Sequence[Handler], event: Any, uow: UnitOfWork | None
    ) -> None:
        import asyncio

        async def run(handler: Handler) -> Exception | None:
            try:
                await self._in_own_unit(handler, event, uow)
            except Exception as error:
                return error
            except BaseException as error:
                return not_cancelled_by_us(handler.name, error)
            return None

        answers = await asyncio.gather(*(run(handler) for handler in handlers))
        if failures := [answer for answer in answers if answer is not None]:
            raise _publish_error([event], failures)

    async def _in_own_unit(self, handler: Handler, event: Any, outer: UnitOfWork | None) -> None:
        uow = UnitOfWork(
            self._module,
            correlation_id=outer.correlation_id if outer else None,
            causation_id=str(event.id),
            key=outer.key if outer else None,
            depth=outer.depth + 1 if outer else 0,
            handler=handler.name,
        )
        await in_unit(uow, lambda: handler.run(event, uow))

    def _plan(self, cls: type) -> _Plan:
        names = [stable_name(c) for c in cls.__mro__ if issubclass(c, DomainEvent)]
        handlers = _in_order(self.handlers, names)
        plan = self._plans[cls] = _Plan(
            tuple(h for h in handlers if h.phase == "before_commit"),
            tuple(h for h in handlers if h.phase == "after_commit"),
            tuple(_in_order(self.projectors, names)),
        )
        return plan


async def in_unit(uow: UnitOfWork, work: Callable[[], Awaitable[Any]]) -> Any:
    """Do something in a unit of work: commit it, or undo it where it raises."""
    try:
        try:
            answer = await work()
        except BaseException:
            await uow.rollback()
            raise
        await uow.commit()
        return answer
    finally:
        await uow.close()


def _in_order(registered: dict[str, list[Handler]], names: Sequence[str]) -> list[Handler]:
    found = {id(h): h for name in names for h in registered.get(name, ())}
    return sorted(found.values(), key=lambda handler: handler.order)


def not_cancelled_by_us(handler: str, error: BaseException) -> Exception:
    """The failure of a handler that cancelled itself; anything else is raised again.

    A cancellation or an interrupt from outside must never be buried in a group.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            failure = ModulusError(f"{handler} cancelled itself")
            failure.__cause__ = error
            return failure
    raise error


def _publish_error(events: Sequence[Any], failures: list[Exception]) -> PublishError:
    names = " and ".join(dict.fromkeys(stable_name(type(event)) for event in events))
    handlers = "handler" if len(failures) == 1 else "handlers"
    return PublishError(f"{len(failures)} {handlers} of {names} failed", failures)
