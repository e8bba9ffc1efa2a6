"""Projectors: recorded domain events become integration events, inside the unit of work."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from datetime import datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from modulus_es.clock import to_utc
from modulus_es.domain import Aggregate
from modulus_es.errors import HandlerSignatureError, ProjectionError
from modulus_es.handlers import Handler, meant, said_handler
from modulus_es.ids import text
from modulus_es.kept import kept_of
from modulus_es.messages import IntegrationEvent
from modulus_es.naming import qualified_name, stable_name
from modulus_es.outgoing import projected_row
from modulus_es.signatures import NO_DEFAULT, parameters
from modulus_es.stores.rows import OutboxRow
from modulus_es.trace import record_of

if TYPE_CHECKING:
    from modulus_es.module import Module

_BATCH = 100


def check_pure(handler: Handler) -> None:
    """Refuse a projector that takes more than the event and its aggregate.

    Notes on the handler whether it takes the aggregate.
    """
    if handler.is_class and not hasattr(handler.target, "project"):
        raise HandlerSignatureError(
            f"{handler.name} is a class without a method project(): that is what projects "
            f"{handler.type_name}"
        )
    function = handler.target.project if handler.is_class else handler.target
    wanted = [p for p in parameters(function, 2 if handler.is_class else 1) if _is_needed(p)]
    if handler.is_class:
        wanted[:0] = [p for p in parameters(handler.target) if _is_needed(p)]
    owner = getattr(handler.message, "__aggregate__", Aggregate)
    names = {stable_name(c) for c in owner.__mro__ if issubclass(c, Aggregate)}
    for index, parameter in enumerate(wanted):
        kind = parameter.annotation
        is_aggregate = isinstance(kind, type) and stable_name(kind) in names
        if index or not is_aggregate:
            raise HandlerSignatureError(
                f"projector {handler.name} takes {parameter.name!r}"
                f"{f', which {parameter.problem}' if parameter.problem else ''}: a projector is "
                f"pure and takes its event and, by its type, the {qualified_name(owner)}, nothing "
                "else"
            )
    handler.options["aggregate"] = bool(wanted)


def _is_needed(parameter: Any) -> bool:
    return parameter.default is NO_DEFAULT


async def project(
    module: Module,
    projectors: Iterable[Handler],
    event: Any,
    aggregate: Any,
    rows: list[OutboxRow],
) -> None:
    """Add the outbox rows that these projectors make of one recorded event.

    The same event and projector give the same message, byte for byte, whenever
    it is projected: consumers recognise it.
    """
    system = module.system
    now, trace = system.clock.now(), system.trace
    event_id = text(event.id)
    for projector in projectors:
        name = projector.name
        target = projector.target().project if projector.is_class else projector.target
        if projector.options["aggregate"]:
            answer = target(event, await _aggregate_at(module, event, aggregate))
        else:
            answer = target(event)
        # Nearly all make one message of an event, and wait for nothing.
        is_one = isinstance(answer, IntegrationEvent)
        made = (answer,) if is_one else await _several(answer, projector, event)
        for index, contract in enumerate(made):
            row = projected_row(module, contract, now, event, event_id, name, index)
            rows.append(row)
            trace.add(
                record_of(row.envelope, now, "project", module.name, "", name, outcome="done")
            )


async def _several(answer: Any, projector: Handler, event: Any) -> Sequence[IntegrationEvent]:
    """What a projector answered that is not simply one message."""
    if isawaitable(answer):
        answer = await answer
    if answer is None:
        return ()
    if isinstance(answer, IntegrationEvent):
        return (answer,)
    if isinstance(answer, AsyncIterable):
        answer = [item async for item in answer]
    if isinstance(answer, Iterable) and not isinstance(answer, str | bytes | type):
        contracts = list(answer)
        wrong = [item for item in contracts if not isinstance(item, IntegrationEvent)]
        if not wrong:
            return contracts
        answer = wrong[0]
    what = f"the class {qualified_name(answer)}" if isinstance(answer, type) else repr(answer)
    raise ProjectionError(
        f"projector {projector.name} made {what} of {stable_name(type(event))}: it returns an "
        "integration event, several of them, or None"
    )


async def _aggregate_at(module: Module, event: Any, aggregate: Any) -> Any:
    """The aggregate as it was at this event's version; a copy, so that a projector stays pure."""
    pending = () if aggregate is None else tuple(aggregate.pending_events)
    version = event.originator_version
    if not pending or pending[0].originator_version > version:
        return await module.repository.get(type(event).__aggregate__, event.originator_id, version)
    cls = type(aggregate)
    first = pending[0].originator_version
    rebuilt: Any = None
    if first > cls.INITIAL_VERSION:
        rebuilt = await module.repository.get(cls, aggregate.id, first - 1)
    for past in pending:
        if past.originator_version <= version:
            kept = kept_of(past)
            rebuilt = past.mutate(rebuilt) if rebuilt is not None else past.begin(cls)
            past.__dict__.update(kept)
    return rebuilt


async def replay(module: Module, projector: Any, since: datetime | int | None) -> int:
    """Project history again into the outbox; see `Module.replay`."""
    dispatcher = module.dispatcher
    held = [each for projectors in dispatcher.projectors.values() for each in projectors]
    names = {each.name for each in meant(projector, held)}
    if not names:
        known = ", ".join(dict.fromkeys(each.name for each in held)) or "none"
        raise HandlerSignatureError(
            f"{module.name} has no projector {said_handler(projector)}; it has {known}"
        )
    if since is not None and not isinstance(since, datetime | int):
        raise TypeError(f"since= is a time or a position, not {since!r}")
    from_time = to_utc(since, "since") if isinstance(since, datetime) else None
    from_position = since if isinstance(since, int) else 1
    rows: list[OutboxRow] = []
    count = 0
    for stored in module.stored_events(from_position):
        cls = module.registry.get(stored.topic)
        wanted = () if cls is None else dispatcher.projectors_of(cls)
        wanted = tuple(each for each in wanted if each.name in names)
        if not wanted:
            continue
        event = module.mapper.to_domain_event(stored)
        if from_time is not None and event.occurred_on_utc < from_time:
            continue
        await project(module, wanted, event, None, rows)
        if len(rows) >= _BATCH:
            await module.store.commit([], rows)
            count, rows = count + len(rows), []
    if rows:
        await module.store.commit([], rows)
    module.system.scheduler.wake()
    return count + len(rows)
