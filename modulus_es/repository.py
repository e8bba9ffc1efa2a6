"""Loads aggregates: rebuilds them from their rows, with our names and our errors."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

import eventsourcing.domain as es

from modulus_es.domain import Aggregate, AggregateCreated
from modulus_es.errors import AggregateNotFoundError, DeserializationError, UnknownEventError
from modulus_es.naming import Registry, qualified_name, stable_name
from modulus_es.snapshots import Snapshots
from modulus_es.stores.port import Capability
from modulus_es.strands import holds_transaction

if TYPE_CHECKING:
    from modulus_es.mapper import EventMapper
    from modulus_es.module import Module

A = TypeVar("A", bound=Aggregate)

_in_memory = count()


class Repository:
    """The aggregates of one module, rebuilt from their recorded events."""

    def __init__(self, module: Module, mapper: EventMapper) -> None:
        self._module = module
        self._registry: Registry = module.registry
        self._store, self._mapper = module.store, mapper
        self._snapshots = Snapshots(module)
        # One in memory is a new one in each system, whatever its module is called.
        lasts = Capability.DURABLE in module.store.capabilities
        self.home = (module.name, module.store.url if lasts else f"memory {next(_in_memory)}")

    async def get(self, cls: type[A], id: UUID, version: int | None = None) -> A:
        """Rebuild an aggregate, as it is or as it was at ``version``.

        Raises `AggregateNotFoundError`, and `UnknownEventError` naming the class
        that has to be defined first.
        """
        asked: object = cls
        if not (isinstance(asked, type) and issubclass(asked, Aggregate)):
            raise TypeError(f"get() takes an aggregate class and an id, not {cls!r}")
        if not isinstance(id, UUID):
            raise TypeError(f"the id of an aggregate is a UUID, not {id!r}")
        self._module.learn(cls)
        then = "" if version is None else f" at version {version}"
        nothing = f"{self._module.name} has no {qualified_name(cls)} {id}{then}"
        queue = self._module.queue
        if queue is not None and not holds_transaction():
            await queue.settle((id,))
        aggregate: Any = await self._module.store.run(lambda: self._load(id, version))
        if aggregate is None:
            raise AggregateNotFoundError(nothing)
        names = map(stable_name, type(aggregate).__mro__)
        if stable_name(cls) not in names or version not in (None, aggregate.version):
            raise AggregateNotFoundError(
                f"{nothing}: there is {qualified_name(type(aggregate))} version {aggregate.version}"
            )
        aggregate._home = self.home
        return cast("A", aggregate)

    def check_home(self, aggregate: Aggregate) -> None:
        """Raise `AggregateNotFoundError` where an aggregate is kept by somebody else."""
        home = getattr(aggregate, "_home", None)
        if home is None or home == self.home:
            return
        here, there = self.home[0], home[0]
        nothing = f"{here} has no {qualified_name(type(aggregate))} {aggregate.id}"
        if here == there:
            raise AggregateNotFoundError(
                f"{nothing}: it belongs to the {there!r} of another system, whose cell perhaps "
                "ran again; load it from this one, or make it anew"
            )
        raise AggregateNotFoundError(
            f"{nothing}: it belongs to {there}, and modules share contracts, never aggregates. "
            f"Change it in {there}, or let an integration event tell {here}"
        )

    def _load(self, id: UUID, version: int | None) -> Any:
        kept = self._snapshots.latest(id, version)
        since = None if kept is None else kept.version
        rows = self._store.event_rows(id, gt=since, lte=version)
        aggregate = self._rebuild(kept, map(self._mapper.to_domain_event, rows))
        if aggregate is not None and version is None:
            self._snapshots.consider(aggregate, aggregate.version - (since or 0))
        return aggregate

    def _rebuild(self, aggregate: Any, events: Iterable[Any]) -> Any:
        event: Any = None
        try:
            for event in events:
                if aggregate is not None:
                    event.mutate(aggregate)
                elif isinstance(event, AggregateCreated):
                    aggregate = event.begin(self._class_of(event))
                else:
                    raise DeserializationError(
                        f"the first event of {event.originator_id} is "
                        f"{qualified_name(type(event))}, which does not begin an aggregate: the "
                        "row was altered, or its class was"
                    )
        except (es.OriginatorIDError, es.OriginatorVersionError) as error:
            raise DeserializationError(
                f"event {event.originator_version} of {event.originator_id} "
                f"({qualified_name(type(event))}) does not follow the one before: a row was "
                "altered or removed"
            ) from error
        return aggregate

    def _class_of(self, event: AggregateCreated) -> type[Any]:
        cls = self._registry.get(event.originator_topic)
        if cls is None or not issubclass(cls, Aggregate):
            raise UnknownEventError(
                f"event {event.originator_version} of {event.originator_id} begins an aggregate "
                f"{event.originator_topic!r}, which {self._registry.owner} does not know: run the "
                "cell that defines it, and mention it to the module"
            )
        return cls
