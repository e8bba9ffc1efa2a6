"""What happened before a test, made of what the test says about it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from modulus_es import ambient
from modulus_es.clock import VirtualClock
from modulus_es.domain import Aggregate
from modulus_es.errors import ModulusError
from modulus_es.events import AggregateCreated, RecordedEvent
from modulus_es.ids import Ids, derived_id
from modulus_es.naming import qualified_name, stable_name
from modulus_es.records import codec_of
from modulus_es.testing.happenings import Happened, happened, own_fields


class Moment:
    """Where ids and times come from in a test of an aggregate: the same on every run."""

    def __init__(self, seed: int) -> None:
        self._ids, self._clock = Ids(seed), VirtualClock()

    def new_id(self) -> UUID:
        """A fresh id."""
        return self._ids.new()

    def now(self) -> datetime:
        """The time of the test."""
        return self._clock.now()

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.jump(self._clock.now() + timedelta(seconds=seconds))

    def current(self) -> ambient.Use:
        """Let what is made inside the block take ids and times from here."""
        return ambient.Use(self)


class History:
    """The events of aggregates, one after the other, each as a store would hold it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.versions: dict[UUID, int] = {}

    def add(self, said: Any) -> None:
        """Add an event: its class, an object of it, or what `happened` made."""
        if isinstance(said, RecordedEvent):
            self._append(said)
        else:
            self._append(self._made(happened(said) if isinstance(said, type) else said))

    def take(self, aggregate: Aggregate) -> None:
        """Add what an aggregate recorded and nobody saved."""
        for event in aggregate.collect_events():
            self._append(event)

    def _made(self, said: Happened) -> Any:
        cls = said.cls
        owner: Any = getattr(cls, "__aggregate__", None)
        if not issubclass(cls, RecordedEvent) or owner is None:
            raise TypeError(
                f"{qualified_name(cls)} is no event that an aggregate records, so it cannot be "
                "what happened to one"
            )
        begins = issubclass(cls, AggregateCreated)
        id_ = said.aggregate_id or derived_id("given", stable_name(owner))
        version = self.versions.get(id_, 0) + 1
        if begins != (version == 1):
            where = "can only be the first" if begins else "cannot be the first"
            raise ModulusError(f"{qualified_name(cls)} {where} event of its aggregate {id_}")
        fields = {**cls.__parameter_defaults__, **said.fields}
        missing = [name for name in own_fields(cls) if name not in fields]
        if missing:
            raise TypeError(f"{qualified_name(cls)} happened with which {', '.join(missing)}?")
        if begins:
            fields["originator_topic"] = stable_name(owner)
        return cls(originator_id=id_, originator_version=version, timestamp=ambient.now(), **fields)

    def _append(self, event: Any) -> None:
        # What could not be stored cannot have happened.
        codec_of(type(event)).encode(vars(event))
        self.versions[event.originator_id] = event.originator_version
        self.events.append(event)


def rebuilt(events: Iterable[Any]) -> Any:
    """The aggregate that had these events; None without any."""
    aggregate: Any = None
    for event in events:
        aggregate = event.mutate(aggregate)
    return aggregate
