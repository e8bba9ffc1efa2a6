"""What happens when a unit of work commits, up to the moment when it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventsourcing.persistence import IntegrityError

from modulus_es.cascade import DEPTH_LIMIT
from modulus_es.errors import CascadeDepthError, ConcurrencyError, ModulusError
from modulus_es.naming import qualified_name, stable_name
from modulus_es.outgoing import command_row, event_row
from modulus_es.projector import project
from modulus_es.strands import holds_transaction
from modulus_es.trace import commit_record
from modulus_es.turns import give_way

if TYPE_CHECKING:
    from modulus_es.dispatcher import Strategy
    from modulus_es.domain import DomainEvent
    from modulus_es.stores.rows import EventRow, OutboxRow
    from modulus_es.unit_of_work import UnitOfWork

BREADTH_LIMIT = 1000
"""How many events one event may cause before the commit."""

Recorded = list[tuple[Any, Any]]
"""Pending events, each with its aggregate."""


async def commit(uow: UnitOfWork) -> Sequence[tuple[DomainEvent, Strategy | None]]:
    """Run what comes before the commit, and write; answers the events for what comes after.

    The order is: before-commit handlers and what they add, projectors over
    everything recorded, the commit. Where anything raises, nothing is written,
    and pending events stay pending.
    """
    module = uow.module
    dispatcher, faults = module.dispatcher, module.system.faults
    queue = None if module.queue is None or holds_transaction() else module.queue
    if queue is not None and await queue.settle(uow.aggregates):
        # The same object may have been saved by somebody, who learns of it first.
        await give_way()
    recorded = await _collected(uow) if dispatcher.has_before_commit else _pending(uow)
    if uow.read_only and (recorded or uow.outgoing):
        raise ModulusError(
            f"{uow.handler} changed something, and a query must not: let a command do it"
        )
    if uow.read_only and uow.transaction is not None:
        await uow.store.rollback(uow.transaction)
        uow.transaction = None
    stored, rows = await _prepare(uow, recorded)
    if stored or rows or uow.handled is not None or uow.transaction is not None:
        if faults.armed:
            faults.reach("before_commit", module.name, committed=False)
        uow.writing = True
        try:
            await uow.store.commit(stored, rows, uow.handled, uow.transaction)
            _settle(uow, recorded)
        except BaseException as error:
            await _ask_the_store(uow, recorded, stored, rows, error)
        _note(uow, len(stored), len(rows))
        if faults.armed:
            faults.reach("after_commit", module.name, committed=True)
    uow.committed = True
    if not dispatcher.handlers:
        return ()
    events: list[tuple[DomainEvent, Strategy | None]] = [(event, None) for event, _ in recorded]
    return events + uow.published if uow.published else events


def _pending(uow: UnitOfWork) -> Recorded:
    return [
        (event, aggregate)
        for aggregate in uow.aggregates.values()
        for event in aggregate._pending_events
    ]


async def _collected(uow: UnitOfWork) -> Recorded:
    """The pending events, after the before-commit handlers had them, and what these added."""
    recorded: Recorded = []
    seen: dict[UUID, int] = {}
    published = 0
    fresh: list[Any] = []
    first = 0
    for _ in range(DEPTH_LIMIT + 1):
        fresh = []
        for id_, aggregate in tuple(uow.aggregates.items()):
            pending = aggregate.pending_events
            for event in pending[seen.get(id_, 0) :]:
                recorded.append((event, aggregate))
                fresh.append(event)
            seen[id_] = len(pending)
        fresh.extend(event for event, _ in uow.published[published:])
        published = len(uow.published)
        if not fresh:
            return recorded
        first = first or len(fresh)
        if len(recorded) + published > first * BREADTH_LIMIT:
            break
        for event in fresh:
            await uow.module.dispatcher.before_commit(event, uow)
    raise CascadeDepthError(
        f"events of one unit of work in {uow.module.name} cause each other without end, the "
        f"last of them {stable_name(type(fresh[-1]))}: perhaps a before-commit handler causes "
        "the event that it handles"
    )


async def _prepare(uow: UnitOfWork, recorded: Recorded) -> tuple[list[EventRow], list[OutboxRow]]:
    """Everything as it will be stored; what cannot be fails here, by name."""
    rows: list[OutboxRow] = []
    stored: list[EventRow] = []
    if not recorded and not uow.outgoing:
        return stored, rows
    module = uow.module
    _say_what_caused(uow, recorded)
    projectors_of, row_of = module.dispatcher.projectors_of, module.mapper.row_of
    learned: Any = None
    for event, aggregate in recorded:
        if type(aggregate) is not learned:
            learned = type(aggregate)
            if not module.registry.knows(learned):
                module.learn(learned)
        if projectors := projectors_of(type(event)):
            await project(module, projectors, event, aggregate, rows)
        stored.append(row_of(event))
    if uow.outgoing:
        now = module.system.now()
        for message, to, at, key in uow.outgoing:
            if to is None:
                rows.append(event_row(module, message, now, uow=uow, at=at, key=key))
            else:
                rows.append(command_row(module, message, to, now, uow=uow, at=at, key=key))
    return stored, rows


def _say_what_caused(uow: UnitOfWork, recorded: Recorded) -> None:
    """Let the events say what they belong to, and what caused them."""
    correlation_id = uow.conversation or uow.correlation_id
    causation_id, handler = uow.causation_id, uow.handler
    for event, _ in recorded:
        state = event.__dict__
        # What was pending through a failed commit stays the same, to the byte: it
        # may have been stored and only the answer lost.
        if "correlation_id" not in state:
            state["correlation_id"] = correlation_id
            if causation_id is not None:
                state["causation_id"] = causation_id
            if handler:
                state["recorded_by"] = handler


async def _ask_the_store(
    uow: UnitOfWork,
    recorded: Recorded,
    stored: list[EventRow],
    rows: list[OutboxRow],
    error: BaseException,
) -> None:
    """A commit was refused or interrupted, or its answer got lost: the store knows.

    Raises what is to be raised, unless it was and only the answer got lost.
    """
    something = stored or rows or uow.handled is not None
    if not something or not await uow.store.holds(stored, rows, uow.handled):
        uow.committed = False
        if isinstance(error, IntegrityError):
            # What eventsourcing says of it is longer, and says less.
            raise _conflict(recorded) from None
        raise error
    _settle(uow, recorded)
    if not isinstance(error, Exception):
        raise error


def _settle(uow: UnitOfWork, recorded: Recorded) -> None:
    """What is written is pending no longer; doing it again does no harm."""
    settled: Any = None
    home = uow.module.repository.home
    for last, aggregate in reversed(recorded):
        if aggregate is settled:
            continue
        settled = aggregate
        aggregate._home = home
        pending = aggregate._pending_events
        if pending and pending[-1] is not last:
            # Somebody has recorded more meanwhile.
            version = last.originator_version
            pending[:] = [event for event in pending if event.originator_version > version]
        else:
            pending.clear()
    uow.committed = True


def _note(uow: UnitOfWork, events: int, messages: int) -> None:
    module = uow.module
    system = module.system
    if messages:
        system.scheduler.wake()
    system.trace.add(
        commit_record(
            system.clock.now(),
            module.name,
            uow.handler,
            uow.conversation,
            uow.causation_id,
            events,
            messages,
        )
    )


def _conflict(recorded: Recorded) -> ConcurrencyError:
    names = dict.fromkeys(
        f"{qualified_name(type(aggregate))} {aggregate.id}" for _, aggregate in recorded
    )
    return ConcurrencyError(
        f"{' or '.join(names)} was changed by somebody else since it was loaded: nothing was "
        "written, and this copy can never be saved. Load it again and repeat the change"
    )
