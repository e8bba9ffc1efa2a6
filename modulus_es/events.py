"""Domain events: what every one of them has, recorded by an aggregate or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from inspect import get_annotations, signature
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform
from uuid import UUID

import eventsourcing.domain as es

from modulus_es import ambient
from modulus_es.applying import apply_of, init_of
from modulus_es.naming import define
from modulus_es.records import as_record, readable, refuse_reserved, settle_annotations

if TYPE_CHECKING:
    from modulus_es.domain import Aggregate

DIRECT = ("id", "occurred_on_utc")
"""What a domain event has that no aggregate records."""

RECORDED = (
    *DIRECT,
    "originator_id",
    "originator_version",
    "originator_topic",
    "correlation_id",
    "causation_id",
    "recorded_by",
)
"""What an event has that an aggregate records."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class DomainEvent:
    """Something that happened in a module's domain; it stays in its module and process.

    Aggregates record theirs through `event`. A direct subclass is a frozen
    record that no aggregate records; publish it through the mediator. It has
    ``id`` and ``occurred_on_utc``, filled in from the current system.
    ``name=`` pins its stable name. Raises `ReservedFieldError` where a field
    has the name of one that every event has.

    >>> class WarehouseOpened(DomainEvent):
    ...     city: str
    >>> WarehouseOpened("Ghent")
    WarehouseOpened(city='Ghent')
    """

    __base_fields__: ClassVar[frozenset[str]] = frozenset(DIRECT)

    if TYPE_CHECKING:
        id: UUID = field(kw_only=True, default_factory=ambient.new_id)
        occurred_on_utc: datetime = field(kw_only=True, default_factory=ambient.now)

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        define(cls, _pinned_before(cls) if name is None else name)
        settle_annotations(cls)
        if isinstance(cls, es.EventsourcingType):
            if "__base_fields__" not in cls.__dict__:
                refuse_reserved(cls, (*RECORDED, "timestamp"))
            return
        refuse_reserved(cls, DIRECT)
        if not any("id" in getattr(base, "__dataclass_fields__", ()) for base in cls.__mro__):
            own = get_annotations(cls)
            made: Any = cls
            made.__annotations__ = {"id": UUID, "occurred_on_utc": datetime, **own}
            made.id = field(kw_only=True, default_factory=ambient.new_id)
            made.occurred_on_utc = field(kw_only=True, default_factory=ambient.now)
        as_record(cls)

    __repr__ = readable


def _pinned_before(cls: type) -> str | None:
    """The pinned name of the class that this one wraps.

    eventsourcing derives the event class that an aggregate uses from the one
    that was written in its body, under the same qualified name.
    """
    for base in cls.__bases__:
        if base.__qualname__ == cls.__qualname__ and base.__module__ == cls.__module__:
            pinned: str | None = base.__dict__.get("__pinned_name__")
            return pinned
    return None


class _EventType(es.MetaDomainEvent):
    """Makes event classes; lets ``name=`` pin one, and gives it a readable repr."""

    def __new__(
        cls, clsname: str, bases: tuple[Any, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> Any:
        annotations = namespace.get("__annotations__", {})
        for name, said in tuple(annotations.items()):
            # What eventsourcing writes for a parameter annotated None, in the user's namespace.
            if isinstance(said, str) and said == "typing.Any":
                annotations[name] = Any
        made: Any = type.__new__(cls, clsname, bases, namespace, **kwargs)
        made.__own_init__ = "__init__" in namespace
        made = as_record(made)
        made.__signature__ = signature(made.__init__)
        return made

    def __init__(cls, *args: Any, **_: Any) -> None:
        super().__init__(*args)


class RecordedEvent(DomainEvent, es.Aggregate.Event, metaclass=_EventType):
    """A domain event that an aggregate records; `Aggregate.Event` is this class.

    ``correlation_id`` and ``causation_id`` are set when it is recorded: which
    conversation it belongs to, and the id of what caused it. ``recorded_by``
    is the name of the handler in whose unit of work that was.
    """

    __base_fields__: ClassVar[frozenset[str]] = frozenset((*RECORDED, "timestamp"))
    __parameter_defaults__: ClassVar[Mapping[str, Any]] = {}

    id: UUID = field(kw_only=True, default_factory=ambient.new_id)
    correlation_id: ClassVar[str | None] = None
    causation_id: ClassVar[str | None] = None
    recorded_by: ClassVar[str | None] = None

    @property
    def occurred_on_utc(self) -> datetime:  # type: ignore[override]  # a field there
        """When it happened, in UTC."""
        return self.timestamp

    @staticmethod
    def create_timestamp() -> datetime:
        """The time of the current system."""
        return ambient.now()

    def mutate(self, aggregate: Any) -> Any:
        """Change an aggregate as this event says; raises where it is not its next event."""
        cls, state = type(self), self.__dict__
        id_, version = state["originator_id"], state["originator_version"]
        # Two UUIDs are compared in Python, and nearly always it is one.
        if id_ is not aggregate._id and id_ != aggregate._id:
            raise es.OriginatorIDError(id_, aggregate._id)
        if version != aggregate._version + 1:
            raise es.OriginatorVersionError(version, aggregate._version + 1)
        (cls.__dict__.get("__apply_event__") or apply_of(cls))(self, aggregate)
        aggregate._version = version
        aggregate._modified_on = state["timestamp"]
        return aggregate


class AggregateCreated(RecordedEvent, es.AggregateCreated):
    """The first event of an aggregate; `Aggregate.Created` derives from this class."""

    __base_fields__: ClassVar[frozenset[str]] = RecordedEvent.__base_fields__
    __aggregate__: ClassVar[type[Aggregate]]

    def mutate(self, aggregate: Any) -> Any:
        """Make the aggregate that this event began; its class is never imported by a name."""
        return self.begin(type(self).__aggregate__)

    def begin(self, cls: Any) -> Any:
        """Make the aggregate as an object of ``cls``."""
        aggregate = cls.__new__(cls)
        state = self.__dict__
        aggregate.__base_init__(
            state["originator_id"], state["originator_version"], state["timestamp"]
        )
        (cls.__dict__.get("__begin__") or init_of(cls))(self, aggregate)
        event_class = type(self)
        (event_class.__dict__.get("__apply_event__") or apply_of(event_class))(self, aggregate)
        return aggregate


@dataclass(frozen=True)
class UnknownEvent:
    """A stored event whose class is not defined here; tables show it all the same.

    >>> UnknownEvent("Order.Placed", UUID(int=1), 1, {"total": "42"})
    UnknownEvent(type='Order.Placed', originator_version=1, data={'total': '42'})
    """

    type: str
    originator_id: UUID = field(repr=False)
    originator_version: int
    data: Mapping[str, Any]
