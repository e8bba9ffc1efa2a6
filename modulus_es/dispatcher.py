"""Domain events reach their handlers: in process, in order, awaited."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from modulus_es import ambient
from modulus_es.cascade import UNTRACKED, deeper
from modulus_es.domain import DomainEvent, RecordedEvent
from modulus_es.errors import CascadeDepthError, ModulusError, PublishError, ServiceError
from modulus_es.handlers import NO_SHORTCUT, Handler, Shortcut
from modulus_es.naming import place_of, stable_name
from modulus_es.trace import TraceRecord, made_of_facts
from modulus_es.turns import Turns, give_way
from modulus_es.unit_of_work import UnitOfWork, in_unit

if TYPE_CHECKING:
    from modulus_es.module import Module

Strategy: TypeAlias = Literal["sequential", "parallel", "stop_on_first_failure"]
"""How the handlers of one event are run."""

_EVERY = 256  # published events from one turn of the event loop to the next: most take no time

STRATEGIES: tuple[Strategy, ...] = ("sequential", "parallel", "stop_on_first_failure")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an event class means here, worked out once and again after a registration."""

    before: tuple[Handler, ...]
    after: tuple[tuple[Handler, Any, Any], ...]  # each with its shortcut
    projectors: tuple[Handler, ...]
    module: str
    type_name: str
    before_names: str
    after_names: str
    says_correlation: bool
    changes: int


class Dispatcher:
    """The domain event handlers and projectors of one module.

    An event reaches the handlers of its runtime type and of that type's bases,
    by stable name, in the order in which they were registered.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        system = self._system = module.system
        self._services, self._cascades = system.services, system.cascades
        self._turns = Turns(_EVERY)
        self._trace, self._clock = system.trace, system.clock
        self.handlers: dict[str, list[Handler]] = {}
        self.projectors: dict[str, list[Handler]] = {}
        self.has_before_commit = False
        self.strategy: Strategy = "sequential"
        self._plans: dict[type, _Plan] = {}

    def changed(self) -> None:
        """A registration changed."""
        self._plans.clear()
        self.has_before_commit = any(
            handler.phase == "before_commit" for each in self.handlers.values() for handler in each
        )

    def projectors_of(self, cls: type) -> tuple[Handler, ...]:
        """The projectors of an event class, in the order registered."""
        return self._plan(cls).projectors

    def handlers_of(self, cls: type) -> tuple[Handler, ...]:
        """The handlers of an event class, of both phases, before-commit ones first."""
        plan = self._plan(cls)
        return (*plan.before, *(handler for handler, *_ in plan.after))

    async def before_commit(self, event: DomainEvent, uow: UnitOfWork) -> None:
        """Run the before-commit handlers inside the unit of work; a failure aborts it."""
        plan = self._plan(type(event))
        if not plan.before:
            return
        outcome = "failed"
        try:
            for handler in plan.before:
                try:
                    await handler.run(event, uow)
                except BaseException as error:
                    failure = _noted(handler, event, failure_of(handler.name, error))
                    if failure is error:
                        raise
                    raise failure from error
            outcome = "done"
        finally:
            self._note(plan, plan.before_names, event, uow, outcome)

    async def after_commit(
        self, events: Sequence[tuple[DomainEvent, Strategy | None]], uow: UnitOfWork
    ) -> None:
        """Run the after-commit handlers of these events; raises `PublishError`."""
        failures: list[Exception] = []
        for event, strategy in events:
            plan = self._plan(type(event))
            if plan.after:
                failures.extend(await self._run_all(plan, event, uow, strategy))
                if _is_endless(failures):
                    break
        if failures:
            raise _publish_error([event for event, _ in events], failures)

    def publish(
        self, event: DomainEvent, strategy: Strategy | None = None
    ) -> Coroutine[Any, Any, object]:
        """Publish an event that belongs to no unit of work: its phases run at once."""
        plan = self._plans.get(type(event))
        if plan is None or plan.changes != self._services.changes:
            plan = self._plan(type(event))
        if plan.before:
            return self._in_a_unit(event, strategy)
        return self._run_all(plan, event, None, strategy)

    async def _in_a_unit(self, event: DomainEvent, strategy: Strategy | None) -> None:
        if self._turns.due():
            await give_way()
        uow = UnitOfWork(self._module)
        uow.note(event, strategy)
        await in_unit(uow, None)

    async def _run_all(  # noqa: PLR0912 - in one frame, because each event goes through it
        self,
        plan: _Plan,
        event: DomainEvent,
        uow: UnitOfWork | None,
        strategy: Strategy | None,
    ) -> Sequence[Exception]:
        """Run the after-commit handlers of one event.

        Answers what failed; outside a unit of work, raises it as a `PublishError`.
        """
        if uow is None and self._turns.due():
            await give_way()
        here = None if ambient.chosen() is self._system else ambient.choose(self._system)
        cascades = self._cascades
        chosen = strategy or self.strategy
        failures: Sequence[Exception] = ()
        handler: Any = None
        outcome = "failed"
        try:
            level = None if cascades.open < UNTRACKED else deeper(plan.module, plan.type_name)
            cascades.open += 1
            try:
                if chosen == "parallel":
                    failures = await self._in_parallel(plan, event, uow)
                else:
                    rest = iter(plan.after)
                    while True:
                        try:
                            for handler, call, make in rest:
                                if call is not None:
                                    await call(event)
                                elif make is not None:
                                    await make().handle(event)
                                else:
                                    await self._in_own_unit(handler, event, uow)
                            break
                        except BaseException as error:
                            failures = [*failures, *_failures_of(handler, event, error)]
                            if chosen == "stop_on_first_failure" or _is_endless(failures):
                                break
            finally:
                cascades.open -= 1
                if level is not None:
                    level.leave()
            outcome = "failed" if failures else "done"
        except CascadeDepthError as error:
            failures = [error]
        finally:
            if here is not None:
                ambient.unchoose(here)
            self._note(plan, plan.after_names, event, uow, outcome)
        if failures and uow is None:
            raise _publish_error([event], failures)
        return failures

    async def _in_parallel(
        self, plan: _Plan, event: DomainEvent, uow: UnitOfWork | None
    ) -> list[Exception]:
        import asyncio

        handlers = [handler for handler, *_ in plan.after]
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

    def _note(
        self, plan: _Plan, handlers: str, event: Any, uow: UnitOfWork | None, outcome: str
    ) -> None:
        correlation_id = causation_id = None
        if plan.says_correlation:
            correlation_id, causation_id = event.correlation_id, event.causation_id
        if uow is not None:
            correlation_id = correlation_id or uow.conversation
        now, id_ = self._clock.now(), event.id
        self._trace.note(("event", now, plan, handlers, id_, outcome, correlation_id, causation_id))

    def _plan(self, cls: type) -> _Plan:
        plan = self._plans.get(cls)
        if plan is None or plan.changes != self._services.changes:
            plan = self._plans[cls] = self._planned(cls)
        return plan

    def _planned(self, cls: type) -> _Plan:
        bases = [c for c in cls.__mro__ if issubclass(c, DomainEvent)]
        handlers = _in_order(self.handlers, bases)
        before = tuple(h for h in handlers if h.phase == "before_commit")
        after = tuple(h for h in handlers if h.phase == "after_commit")
        return _Plan(
            before,
            tuple((handler, *_shortcut(handler)) for handler in after),
            tuple(_in_order(self.projectors, bases)),
            self._module.name,
            stable_name(cls),
            " ".join(handler.name for handler in before),
            " ".join(handler.name for handler in after),
            issubclass(cls, RecordedEvent),
            self._services.changes,
        )


def _shortcut(handler: Handler) -> Shortcut:
    try:
        return handler.shortcut()
    except ServiceError:
        # What is missing may still be registered; until then running it says what it is.
        return NO_SHORTCUT


def _record(
    now: datetime, plan: _Plan, handlers: str, event_id: object, outcome: str, *caused: str | None
) -> TraceRecord:
    """What is shown of an event that was published."""
    correlation_id, causation_id = caused
    return TraceRecord(
        now,
        "event",
        plan.module,
        str(event_id),
        plan.type_name,
        handlers,
        outcome=outcome,
        correlation_id=correlation_id,
        causation_id=causation_id,
    )


made_of_facts("event", _record)


def _in_order(registered: dict[str, list[Handler]], bases: Sequence[type]) -> list[Handler]:
    # A class of that name from another Python module is another event.
    found = {
        id(h): h
        for base in bases
        for h in registered.get(stable_name(base), ())
        if place_of(h.message) == place_of(base)
    }
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


def _failures_of(handler: Handler, event: DomainEvent, error: BaseException) -> Sequence[Exception]:
    return _leaves(_noted(handler, event, failure_of(handler.name, error)))


def _noted(handler: Handler, event: DomainEvent, failure: Exception) -> Exception:
    failure.add_note(f"raised by {handler.name}, a handler of {stable_name(type(event))}")
    return failure


def _leaves(failure: Exception) -> Sequence[Exception]:
    """What failed inside what failed, so that one group carries all failures."""
    return failure.exceptions if isinstance(failure, PublishError) else (failure,)


def _is_endless(failures: Sequence[Exception]) -> bool:
    return bool(failures) and isinstance(failures[-1], CascadeDepthError)


def _publish_error(events: Sequence[Any], failures: Sequence[Exception]) -> PublishError:
    names = " and ".join(dict.fromkeys(stable_name(type(event)) for event in events))
    handlers = "handler" if len(failures) == 1 else "handlers"
    first = f"{type(failures[0]).__name__}: {failures[0]}"
    return PublishError(f"{len(failures)} {handlers} of {names} failed, first {first}", failures)
