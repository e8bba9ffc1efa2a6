"""Domain events reach their handlers: in process, in order, awaited."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from modulus_es.ambient import choose, chosen, unchoose
from modulus_es.cascade import UNTRACKED, deeper
from modulus_es.domain import DomainEvent
from modulus_es.errors import CascadeDepthError
from modulus_es.event_plan import EventPlan, planned
from modulus_es.failures import (
    cancelled_itself,
    failure_of,
    failures_of,
    is_endless,
    leaves,
    noted,
    publish_error,
)
from modulus_es.handlers import Handler
from modulus_es.short_way import Way, short_way
from modulus_es.trace import Published, Said
from modulus_es.turns import Turns, give_way
from modulus_es.unit_of_work import UnitOfWork, in_unit

if TYPE_CHECKING:
    from modulus_es.module import Module

Strategy: TypeAlias = Literal["sequential", "parallel", "stop_on_first_failure"]
"""How the handlers of one event are run."""

_EVERY = 256  # published events from one turn of the event loop to the next: most take no time

STRATEGIES: tuple[Strategy, ...] = ("sequential", "parallel", "stop_on_first_failure")


class Dispatcher:
    """The domain event handlers and projectors of one module.

    An event reaches the handlers of its runtime type and of that type's bases,
    by stable name, in the order in which they were registered.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        system = self._system = module.system
        self._cascades = system.cascades
        self._turns = Turns(_EVERY)
        self._trace, self._clock = system.trace, system.clock
        self.handlers: dict[str, list[Handler]] = {}
        self.projectors: dict[str, list[Handler]] = {}
        self.has_before_commit = False
        self._strategy: Strategy = "sequential"
        self._plans: dict[type, EventPlan] = {}
        # Of events that have been published; it holds until something changes.
        self.short: dict[type, Way] = {}
        system.services.when_changed(self._forget)

    @property
    def strategy(self) -> Strategy:
        """How the handlers of an event are run, unless its publishing says otherwise."""
        return self._strategy

    @strategy.setter
    def strategy(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self.short.clear()

    def changed(self) -> None:
        """A registration changed."""
        self._forget()
        self.has_before_commit = any(
            handler.phase == "before_commit" for each in self.handlers.values() for handler in each
        )

    def _forget(self) -> None:
        self._plans.clear()
        self.short.clear()

    def projectors_of(self, cls: type) -> tuple[Handler, ...]:
        """The projectors of an event class, in the order registered."""
        plan = self._plans.get(cls)
        return (self._plan(cls) if plan is None else plan).projectors

    def handlers_of(self, cls: type) -> tuple[Handler, ...]:
        """The handlers of an event class, of both phases, before-commit ones first."""
        plan = self._plan(cls)
        return (*plan.before, *(handler for handler, _ in plan.after))

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
                    failure = noted(handler, event, failure_of(handler.name, error))
                    if failure is error:
                        raise
                    raise failure from error
            outcome = "done"
        finally:
            self._note(plan, plan.said_before, event, uow, outcome)

    async def after_commit(
        self, events: Sequence[tuple[DomainEvent, Strategy | None]], uow: UnitOfWork
    ) -> None:
        """Run the after-commit handlers of these events; raises `PublishError`."""
        failures: list[Exception] = []
        for event, strategy in events:
            plan = self._plan(type(event))
            if plan.after:
                failures.extend(await self._run_all(plan, event, uow, strategy))
                if is_endless(failures):
                    break
        if failures:
            raise publish_error([event for event, _ in events], failures)

    def publish(self, event: DomainEvent, strategy: Strategy | None) -> Coroutine[Any, Any, object]:
        """Publish an event that belongs to no unit of work: its phases run at once."""
        check_event(event, strategy)
        plan = self._plan(type(event))
        if plan.before:
            return self._in_a_unit(event, strategy)
        if type(event) not in self.short and plan.is_short and self._strategy == "sequential":
            self.short[type(event)] = short_way(plan, self._system, self._turns, self)
        return self._run_all(plan, event, None, strategy)

    async def _in_a_unit(self, event: DomainEvent, strategy: Strategy | None) -> None:
        if self._turns.due():
            await give_way()
        uow = UnitOfWork(self._module)
        uow.note(event, strategy)
        await in_unit(uow, None)

    async def fail(
        self, plan: EventPlan, event: DomainEvent, left: int, error: BaseException
    ) -> NoReturn:
        """Go on after a handler that raised, so many being left, and raise what failed."""
        place = len(plan.after) - left
        try:
            failures = failures_of(plan.after[place - 1][0], event, error)
            if not is_endless(failures):
                rest = iter(plan.after[place:])
                failures = await self._in_turn(rest, event, None, failures, stops=False)
        finally:
            self._note(plan, plan.said, event, None, "failed")
        raise publish_error([event], failures)

    async def _run_all(
        self,
        plan: EventPlan,
        event: DomainEvent,
        uow: UnitOfWork | None,
        strategy: Strategy | None,
    ) -> Sequence[Exception]:
        """Run the after-commit handlers of one event.

        Answers what failed; outside a unit of work, raises it as a `PublishError`.
        """
        if uow is None and self._turns.due():
            await give_way()
        here = None if chosen() is self._system else choose(self._system)
        cascades = self._cascades
        how = strategy or self.strategy
        failures: Sequence[Exception] = ()
        outcome = "failed"
        try:
            level = None if cascades.open < UNTRACKED else deeper(plan.said.module, plan.said.type)
            cascades.open += 1
            try:
                if how == "parallel":
                    failures = await self._in_parallel(plan, event, uow)
                else:
                    rest = iter(plan.after)
                    stops = how == "stop_on_first_failure"
                    failures = await self._in_turn(rest, event, uow, (), stops=stops)
            finally:
                cascades.open -= 1
                if level is not None:
                    level.leave()
            outcome = "failed" if failures else "done"
        except CascadeDepthError as error:
            failures = [error]
        finally:
            if here is not None:
                unchoose(here)
            self._note(plan, plan.said, event, uow, outcome)
        if failures and uow is None:
            raise publish_error([event], failures)
        return failures

    async def _in_turn(
        self,
        rest: Iterator[tuple[Handler, Any]],
        event: DomainEvent,
        uow: UnitOfWork | None,
        failures: Sequence[Exception],
        *,
        stops: bool,
    ) -> Sequence[Exception]:
        """Run these handlers one after the other; answers the failures, these added to those."""
        handler: Any = None
        while True:
            try:
                for handler, call in rest:
                    if call is not None:
                        await call(event)
                    else:
                        await self._in_own_unit(handler, event, uow)
            except BaseException as error:
                failures = [*failures, *failures_of(handler, event, error)]
                if stops or is_endless(failures):
                    return failures
            else:
                return failures

    async def _in_parallel(
        self, plan: EventPlan, event: DomainEvent, uow: UnitOfWork | None
    ) -> list[Exception]:
        import asyncio

        handlers = [handler for handler, _ in plan.after]
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
                failures.append(noted(handler, event, cancelled_itself(handler.name, error)))
            except Exception as error:
                failures.extend(leaves(noted(handler, event, error)))
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
        self, plan: EventPlan, said: Said, event: Any, uow: UnitOfWork | None, outcome: str
    ) -> None:
        correlation_id = causation_id = None
        if plan.says_correlation:
            correlation_id, causation_id = event.correlation_id, event.causation_id
        if uow is not None:
            correlation_id = correlation_id or uow.conversation
        now = self._clock.now()
        self._trace.note(Published(now, said, event.id, outcome, correlation_id, causation_id))

    def _plan(self, cls: type) -> EventPlan:
        plan = self._plans.get(cls)
        if plan is None:
            name = self._module.name
            plan = self._plans[cls] = planned(cls, name, self.handlers, self.projectors)
        return plan


def check_event(event: object, strategy: str | None) -> None:
    """Raise `TypeError` for what is no domain event, `ValueError` for what is no strategy."""
    if not isinstance(event, DomainEvent):
        what = f"the class {event.__name__}" if isinstance(event, type) else repr(event)
        raise TypeError(
            f"publish() takes a domain event, not {what}; integration events go through the "
            "bus or uow.publish()"
        )
    if strategy is not None and strategy not in STRATEGIES:
        raise ValueError(f"a strategy is one of {', '.join(STRATEGIES)}, not {strategy!r}")
