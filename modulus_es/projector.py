"""Projectors: recorded domain events become integration events, inside the unit of work."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from modulus_es.domain import Aggregate
from modulus_es.errors import HandlerSignatureError, ProjectionError
from modulus_es.handlers import Handler
from modulus_es.ids import derived_id
from modulus_es.messages import IntegrationEvent
from modulus_es.naming import qualified_name, stable_name
from modulus_es.outgoing import event_row
from modulus_es.signatures import parameters
from modulus_es.stores.port import OutboxRow

if TYPE_CHECKING:
    from modulus_es.module import Module


def check_pure(handler: Handler) -> None:
    """Refuse a projector that takes more than the event and its aggregate."""
    function = handler.target.project if handler.is_class else handler.target
    skip = 2 if handler.is_class else 1
    extra = parameters(function, skip)
    if handler.is_class and parameters(handler.target):
        extra = (*extra, *parameters(handler.target))
    for parameter in extra:
        kind = parameter.annotation
        if not (isinstance(kind, type) and issubclass(kind, Aggregate)):
            raise HandlerSignatureError(
                f"projector {handler.name} takes {parameter.name!r}: a projector is pure and takes "
                "its event and, by its type, the aggregate, nothing else"
            )
    handler.options["aggregate"] = bool(extra)


async def project(
    module: Module, projectors: Iterable[Handler], event: Any, aggregate: Any = None
) -> list[OutboxRow]:
    """The outbox rows that these projectors make of one recorded event.

    The same event and projector give the same message, byte for byte, whenever
    it is projected: consumers recognise it.
    """
    rows: list[OutboxRow] = []
    for projector in projectors:
        for index, contract in enumerate(await _contracts(module, projector, event, aggregate)):
            rows.append(
                event_row(
                    module,
                    contract,
                    module.system.now(),
                    key=str(event.originator_id),
                    projected=(
                        str(derived_id(event.id, projector.name, index)),
                        event.occurred_on_utc,
                        event.correlation_id,
                        str(event.id),
                    ),
                )
            )
    return rows


async def _contracts(
    module: Module, projector: Handler, event: Any, aggregate: Any
) -> list[IntegrationEvent]:
    arguments = [event]
    if projector.options.get("aggregate"):
        arguments.append(await aggregate_at(module, event, aggregate))
    target = projector.target().project if projector.is_class else projector.target
    answer = target(*arguments)
    if isawaitable(answer):
        answer = await answer
    if answer is None:
        return []
    if isinstance(answer, IntegrationEvent):
        return [answer]
    if isinstance(answer, AsyncIterable):
        answer = [item async for item in answer]
    if isinstance(answer, Iterable) and not isinstance(answer, str | bytes | type):
        contracts = list(answer)
        if all(isinstance(item, IntegrationEvent) for item in contracts):
            return contracts
        answer = next(item for item in contracts if not isinstance(item, IntegrationEvent))
    what = f"the class {qualified_name(answer)}" if isinstance(answer, type) else repr(answer)
    raise ProjectionError(
        f"projector {projector.name} made {what} of {stable_name(type(event))}: it returns an "
        "integration event, several of them, or None"
    )


async def aggregate_at(module: Module, event: Any, aggregate: Any) -> Any:
    """The aggregate as it was at this event's version; a copy, so that a projector stays pure."""
    pending = () if aggregate is None else tuple(aggregate.pending_events)
    version = event.originator_version
    if not pending or pending[0].originator_version > version:
        cls = type(event).__aggregate__
        return await module.repository.get(cls, event.originator_id, version)
    first = pending[0].originator_version
    rebuilt: Any = None
    if first > 1:
        rebuilt = await module.repository.get(type(aggregate), aggregate.id, first - 1)
    for past in pending:
        if past.originator_version <= version:
            rebuilt = past.mutate(rebuilt)
    return rebuilt
