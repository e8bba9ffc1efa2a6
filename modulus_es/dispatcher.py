"""Domain events reach their handlers: in process, in order, awaited."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from modulus_es.cascade import Cascade
from modulus_es.domain import DomainEvent
from modulus_es.errors import CascadeDepthError, ModulusError, PublishError
from modulus_es.handlers import Handler
from modulus_es.naming import stable_name
from modulus_es.trace import TraceRecord
from modulus_es.unit_of_work import UnitOfWork, in_unit

if TYPE_CHECKING:
    from modulus_es.module import Module

Strategy: TypeAlias = Literal["sequential", "parallel", "stop_on_first_failure"]
"""How the handlers of one event are run."""

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
        handlers = (self._plans.get(cls) or self._plan(cls)).before
        if not handlers:
            return
        outcome = "failed"
        try:
            for handler in handlers:
                try:
                    await handler.run(event, uow)
                except BaseException as error:
                    failure = _noted(handler, event, failure_of(handler.name, error))
                    if failure is error:
                        raise
                    raise failure from error
            outcome = "done"
        finally:
            self._trace(handlers, event, uow, outcome)

    async def after_commit(
        self, events: Sequence[tuple[DomainEvent, Strategy | None]], uow: UnitOfWork
    ) -> None:
        """Run the after-commit handlers of these events; raises `PublishError`."""
        failures: list[Exception] = []
        for event, strategy in events:
            cls = type(event)
            handlers = (self._plans.get(cls) or self._plan(cls)).after
            if handlers:
                failures.extend(await self._run_all(handlers, event, uow, strategy))
                if _is_endless(failures):
                    break
        if failures:
            raise _publish_error([event for event, _ in events], failures)

    async def publish(self, event: DomainEvent, strategy: Strategy | None = None) -> None:
        """Publish an event that belongs to no unit of work: its phases run at once."""
        cls = type(event)
        plan = self._plans.get(cls) or self._plan(cls)
        if plan.before:
            uow = UnitOfWork(self._module)
            uow.note(event, strategy)
            await in_unit(uow, None)
        elif failures := await self._run_all(plan.after, event, None, strategy):
            raise _publish_error([event], failures)

    async def _run_all(
        self,
        handlers: Sequence[Handler],
        event: DomainEvent,
        uow: UnitOfWork | None,
        strategy: Strategy | None,
    ) -> list[Exception]:
        """Run the handlers of one event; answers what failed."""
        chosen = strategy or self._module.publish_strategy
        outcome = "failed"
        try:
            with Cascade(self._module.name, stable_name(type(event))):
                if chosen == "parallel":
                    failures = await self._in_parallel(handlers, event, uow)
                else:
                    stops = chosen == "stop_on_first_failure"
                    failures = await self._one_by_one(handlers, event, uow, stops)
            if not failures:
                outcome = "done"
        except CascadeDepthError as error:
            failures = [error]
        finally:
            self._trace(handlers, event, uow, outcome)
        return failures

    async def _one_by_one(
        self,
        handlers: Sequence[Handler],
        event: DomainEvent,
        uow: UnitOfWork | None,
        stops: bool,
    ) -> list[Exception]:
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
            except BaseException as error:
                failure = failure_of(handler.name, error)
                failures.extend(_leaves(_noted(handler, event, failure)))
                if stops or _is_endless(failures):
                    break
        return failures

    async def _in_parallel(
        self, handlers: Sequence[Handler], event: DomainEvent, uow: UnitOfWork | None
    ) -> list[Exception]:
        import asyncio

        tasks = [
            asyncio.ensure_future(self._in_own_unit(handler, event, uow)) for handler in handlers
        ]
        if not tasks:
            return []
        try:
            await asyncio.wait(tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        failures: list[Exception] = []
        for handler, task in zip(handlers, tasks, strict=True):
            try:
                task.result()
            except asyncio.CancelledError as error:
                failures.append(_noted(handler, event, _cancelled_itself(handler.name, error)))
            except Exception as error:
                failures.extend(_leaves(_noted(handler, event, error)))
        return failures

    async def _in_own_unit(
        self, handler: Handler, event: DomainEvent, outer: UnitOfWork | None
    ) -> None:
        uow = UnitOfWork(
            self._module,
            correlation_id=str(event.id) if outer is None else outer.correlation_id,
            causation_id=str(event.id),
            key=outer.key if outer else None,
            handler=handler.name,
        )
        await in_unit(uow, lambda: handler.run(event, uow))

    def _trace(
        self, handlers: Sequence[Handler], event: Any, uow: UnitOfWork | None, outcome: str
    ) -> None:
        system = self._module.system
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
                correlation_id=correlation or (uow.conversation if uow else None),
                causation_id=getattr(event, "causation_id", None),
            )
        )

    def _plan(self, cls: type) -> _Plan:
        names = [stable_name(c) for c in cls.__mro__ if issubclass(c, DomainEvent)]
        handlers = _in_order(self.handlers, names)
        plan = self._plans[cls] = _Plan(
            tuple(h for h in handlers if h.phase == "before_commit"),
            tuple(h for h in handlers if h.phase == "after_commit"),
            tuple(_in_order(self.projectors, names)),
        )
        return plan


def _in_order(registered: dict[str, list[Handler]], names: Sequence[str]) -> list[Handler]:
    found = {id(h): h for name in names for h in registered.get(name, ())}
    return sorted(found.values(), key=lambda handler: handler.order)


def failure_of(handler: str, error: BaseException) -> Exception:
    """What a handler failed with, if it did; anything else is raised again.

    A handler that cancelled itself failed. A cancellation or an interrupt from
    outside did not come from it, and must never be buried among failures.
    """
    if isinstance(error, Exception):
        return error
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            return _cancelled_itself(handler, error)
    raise error


def _cancelled_itself(handler: str, error: BaseException) -> Exception:
    failure = ModulusError(f"{handler} cancelled itself")
    failure.__cause__ = error
    return failure


def _noted(handler: Handler, event: DomainEvent, failure: Exception) -> Exception:
    failure.add_note(f"raised by {handler.name}, a handler of {stable_name(type(event))}")
    return failure


def _leaves(failure: Exception) -> Sequence[Exception]:
    """What failed inside what failed, so that one group carries all failures."""
    return failure.exceptions if isinstance(failure, PublishError) else (failure,)


def _is_endless(failures: Sequence[Exception]) -> bool:
    return bool(failures) and isinstance(failures[-1], CascadeDepthError)


def _publish_error(events: Sequence[Any], failures: list[Exception]) -> PublishError:
    names = " and ".join(dict.fromkeys(stable_name(type(event)) for event in events))
    handlers = "handler" if len(failures) == 1 else "handlers"
    first = f"{type(failures[0]).__name__}: {failures[0]}"
    return PublishError(f"{len(failures)} {handlers} of {names} failed, first {first}", failures)
