"""Aggregates and the domain events that they record.

`Aggregate` and `event` are those of `eventsourcing` (its book explains them:
https://eventsourcing.readthedocs.io), with an event base of ours: every
recorded event has ``id``, ``occurred_on_utc``, ``originator_id`` and
``originator_version``. What differs: a class may be defined again under its
name, because a notebook's cell runs again, and names are stable names, never
import paths.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from inspect import Parameter, signature
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform
from uuid import UUID

import eventsourcing.domain as es

from modulus_es import ambient
from modulus_es.errors import ReservedFieldError, UnsupportedFieldError
from modulus_es.naming import define, qualified_name, stable_name
from modulus_es.records import check_fields, readable

if TYPE_CHECKING:
    from types import FunctionType

_DIRECT = ("id", "occurred_on_utc")
_RECORDED = (
    *_DIRECT,
    "originator_id",
    "originator_version",
    "originator_topic",
    "correlation_id",
    "causation_id",
)

Upcast = Callable[[dict[str, Any]], None]


@dataclass_transform(frozen_default=True)
class DomainEvent:
    """Something that happened in a module's domain; it stays in its module and process.

    Aggregates record theirs through `event`. A direct subclass is a frozen
    record that no aggregate records; publish it through the mediator. It has
    ``id`` and ``occurred_on_utc``, filled in from the current system.

    >>> class WarehouseOpened(DomainEvent):
    ...     city: str
    >>> WarehouseOpened("Ghent")
    WarehouseOpened(city='Ghent')
    """

    __base_fields__: ClassVar[frozenset[str]] = frozenset(_DIRECT)

    if TYPE_CHECKING:
        id: UUID = field(kw_only=True, default=UUID(int=0))
        occurred_on_utc: datetime = field(kw_only=True, default=datetime.min)

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        define(cls, name)
        if isinstance(cls, es.EventsourcingType):
            return
        own = cls.__dict__.get("__annotations__", {})
        refuse_reserved(cls, own, _DIRECT)
        if not any("id" in getattr(base, "__dataclass_fields__", ()) for base in cls.__mro__):
            cls.__annotations__ = {"id": UUID, "occurred_on_utc": datetime, **own}
            cls.id = field(kw_only=True, default_factory=ambient.new_id)  # type: ignore[assignment]
            cls.occurred_on_utc = field(kw_only=True, default_factory=ambient.now)  # type: ignore[assignment]
        dataclass(frozen=True, repr=False)(cls)
        check_fields(cls)

    __repr__ = readable


def refuse_reserved(cls: type, names: Mapping[str, Any], reserved: tuple[str, ...]) -> None:
    """Raise `ReservedFieldError` where a class's own field has a reserved name."""
    for name in reserved:
        if name in names:
            raise ReservedFieldError(
                f"{qualified_name(cls)} has a field {name!r}, which every event has already and "
                f"which it would shadow: call it something else, such as "
                f"{qualified_name(cls).split('.')[0].lower()}_{name}"
            )


class _EventType(es.MetaDomainEvent):
    """Makes event classes; lets ``name=`` pin one, and gives it a readable repr."""

    def __new__(
        cls, clsname: str, bases: tuple[Any, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> Any:
        made: Any = super().__new__(cls, clsname, bases, namespace)
        made.__repr__ = readable
        if kwargs.get("name"):
            define(made, kwargs["name"])
        return made

    def __init__(cls, *args: Any, **_: Any) -> None:
        super().__init__(*args)


class RecordedEvent(DomainEvent, es.Aggregate.Event, metaclass=_EventType):
    """A domain event that an aggregate records; `Aggregate.Event` is this class.

    ``correlation_id`` and ``causation_id`` are set when it is recorded: which
    conversation it belongs to, and the id of what caused it.
    """

    __base_fields__: ClassVar[frozenset[str]] = frozenset((*_RECORDED, "timestamp"))
    __parameter_defaults__: ClassVar[Mapping[str, Any]] = {}

    id: UUID = field(kw_only=True, default_factory=ambient.new_id)
    correlation_id: ClassVar[str | None] = None
    causation_id: ClassVar[str | None] = None

    @property
    def occurred_on_utc(self) -> datetime:  # type: ignore[override]
        """When it happened, in UTC."""
        return self.timestamp

    @staticmethod
    def create_timestamp() -> datetime:
        """The time of the current system."""
        return ambient.now()


class AggregateCreated(RecordedEvent, es.AggregateCreated):
    """The first event of an aggregate; `Aggregate.Created` is this class."""

    __aggregate__: ClassVar[type[Aggregate]]

    def mutate(self, aggregate: Any) -> Any:
        """Make the aggregate that this event began; its class is never imported by a name."""
        return self.begin(type(self).__aggregate__)

    def begin(self, cls: type[Any]) -> Any:
        """Make the aggregate as an object of ``cls``."""
        aggregate = cls.__new__(cls)
        aggregate.__base_init__(self.originator_id, self.originator_version, self.timestamp)
        state = vars(self)
        wanted = _init_parameters(cls)
        arguments = {name: state[name] for name in wanted if name in state}
        if "id" in wanted:
            arguments["id"] = self.originator_id
        aggregate.__init__(**arguments)
        self.apply(aggregate)
        return aggregate


def _init_parameters(cls: type) -> tuple[str, ...]:
    known: tuple[str, ...] | None = cls.__dict__.get("__init_parameters__")
    if known is None:
        known = tuple(signature(cls.__init__).parameters)  # type: ignore[misc]
        cls.__init_parameters__ = known  # type: ignore[attr-defined]
    return known


class Snapshot(es.Snapshot):
    """The state of an aggregate at a version, under stable names."""

    __aggregate__: ClassVar[type[Aggregate] | None] = None

    @staticmethod
    def create_timestamp() -> datetime:
        """The time of the current system."""
        return ambient.now()

    @classmethod
    def take(cls, aggregate: Any) -> Any:
        """A snapshot of ``aggregate`` as it is now."""
        state = {
            name: value
            for name, value in vars(aggregate).items()
            if name not in ("_id", "_version", "_pending_events")
        }
        return cls(
            originator_id=aggregate.id,
            originator_version=aggregate.version,
            timestamp=cls.create_timestamp(),
            topic=stable_name(type(aggregate)),
            state=state,
        )

    def mutate(self, _: None) -> Any:
        """The aggregate as it was; its class is the one that defines this snapshot class."""
        cls = type(self).__aggregate__
        if cls is None:
            raise UnsupportedFieldError("a snapshot is rebuilt by the class of its aggregate")
        aggregate = object.__new__(cls)
        aggregate.__dict__.update(self.state)
        aggregate.__dict__.update(
            _id=self.originator_id, _version=self.originator_version, _pending_events=[]
        )
        return aggregate


class Aggregate(es.Aggregate):
    """A cluster of objects that changes as one, by recording domain events.

    >>> class Order(Aggregate):
    ...     @event("Placed")
    ...     def __init__(self, total: int) -> None:
    ...         self.total, self.status = total, "placed"
    ...
    ...     @event("Shipped")
    ...     def ship(self) -> None:
    ...         self.status = "shipped"
    >>> order = Order(42)
    >>> order.ship()
    >>> order.status, order.version, [type(e).__qualname__ for e in order.pending_events]
    ('shipped', 2, ['Order.Placed', 'Order.Shipped'])
    """

    Event = RecordedEvent
    Created = AggregateCreated
    Snapshot = Snapshot

    def __init_subclass__(
        cls, *, name: str | None = None, created_event_name: str = "", **kwargs: Any
    ) -> None:
        define(cls, name)
        decorated = [
            value for value in cls.__dict__.values() if isinstance(value, es.CommandMethodDecorator)
        ]
        for decorator in decorated:
            _refuse_reserved_parameters(cls, decorator)
        with _redefinition_allowed():
            super().__init_subclass__(created_event_name=created_event_name, **kwargs)
        for decorator in decorated:
            _finish_event_class(cls, decorator)
        cls.Snapshot = type("Snapshot", (cls.Snapshot,), {"__aggregate__": cls})  # type: ignore[misc]
        for value in event_classes(cls):
            value.__aggregate__ = cls  # type: ignore[attr-defined]
            own = value.__dict__.get("__annotations__", {})
            refuse_reserved(value, own, _RECORDED)
            if name is not None and not value.__dict__.get("__pinned_name__"):
                define(value, f"{name}.{value.__name__}")
            check_fields(value)

    @staticmethod
    def create_id(*_: Any, **__: Any) -> UUID:
        """A new id, from the current system."""
        return ambient.new_id()

    @classmethod
    def _create(cls, event_class: Any, *, id: UUID | None = None, **kwargs: Any) -> Self:  # noqa: A002
        # eventsourcing's own version names the class by an import path, in a
        # cache for the whole process, which refuses a class defined again.
        if id is None:
            wanted = signature(cls.create_id).parameters
            id = cls.create_id(**{k: v for k, v in kwargs.items() if k in wanted})  # noqa: A001
        if not isinstance(id, UUID):
            raise TypeError(f"the id of {cls.__qualname__} is a UUID, not {id!r}")
        kwargs["timestamp"] = kwargs.get("timestamp") or event_class.create_timestamp()
        created = event_class(
            originator_topic=stable_name(cls),
            originator_id=id,
            originator_version=cls.INITIAL_VERSION,
            **kwargs,
        )
        aggregate: Self = created.begin(cls)
        aggregate.pending_events.append(created)
        return aggregate

    def __hash__(self) -> int:
        return hash((type(self).__qualname__, self.id))

    def __repr__(self) -> str:
        state = "".join(
            f", {name}={value!r}" for name, value in vars(self).items() if name[0] != "_"
        )
        return f"{qualified_name(type(self))}(id={self.id!r}, version={self.version}{state})"


def event_classes(cls: type[Any]) -> Iterator[type[RecordedEvent]]:
    """The event classes of an aggregate class, its bare ``Event`` base left out.

    >>> class Parcel(Aggregate):
    ...     @event("Sent")
    ...     def __init__(self) -> None: ...
    >>> [c.__qualname__ for c in event_classes(Parcel)]
    ['Parcel.Sent', 'Parcel.Created']
    """
    for name, value in tuple(vars(cls).items()):
        if name != "Event" and isinstance(value, type) and issubclass(value, RecordedEvent):
            yield value


_redefinition = RLock()


@contextmanager
def _redefinition_allowed() -> Iterator[None]:
    # eventsourcing refuses a class whose name its Python module has already,
    # and names this environment variable as the way to lift that.
    name = es.ENVVAR_DISABLE_REDEFINITION_CHECK
    with _redefinition:
        before = os.environ.get(name)
        os.environ[name] = "y"
        try:
            yield
        finally:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before


def _refuse_reserved_parameters(cls: type, decorator: es.CommandMethodDecorator) -> None:
    function = decorator.decorated_func
    names = list(signature(function).parameters)[1:]
    reserved = [n for n in _RECORDED if not (n == "id" and function.__name__ == "__init__")]
    for name in reserved:
        if name in names:
            raise ReservedFieldError(
                f"{qualified_name(cls)}.{function.__name__} takes {name!r}, which its event has "
                f"already and which it would shadow: call the parameter something else"
            )


def _finish_event_class(cls: type, decorator: es.CommandMethodDecorator) -> None:
    function: Any = decorator.decorated_func
    spec = getattr(function, "__event_version__", None)
    event_class: Any = None
    if decorator.event_cls_name:
        event_class = cls.__dict__.get(decorator.event_cls_name)
    if event_class is None:
        return
    event_class.__parameter_defaults__ = {
        parameter.name: parameter.default
        for parameter in signature(function).parameters.values()
        if parameter.default is not Parameter.empty
    }
    if spec is not None:
        version, upcasts = spec
        event_class.class_version = version
        for from_version, upcast in upcasts.items():
            name = f"upcast_v{from_version}_v{from_version + 1}"
            setattr(event_class, name, staticmethod(upcast))


def event(
    spec: Any = None,
    /,
    *,
    version: int = 1,
    upcast: Upcast | Mapping[int, Upcast] | None = None,
    topic: str | None = None,
) -> Any:
    """Let an aggregate's method record a domain event; its body applies the event.

    ``spec`` is the event's name, or an explicit event class, or nothing (then
    the method's name says it). When the event's fields changed otherwise than
    by one more with a default, raise ``version`` and give ``upcast``: a
    function that changes the stored fields, as JSON has them, in place from the
    version before to this one, or a mapping from older version to such
    functions.

    >>> class Account(Aggregate):
    ...     @event("Opened", version=2, upcast=lambda stored: stored.setdefault("owner", "?"))
    ...     def __init__(self, owner: str) -> None:
    ...         self.owner = owner
    >>> Account.Opened.class_version
    2
    """
    if upcast is not None and version < 2:
        raise ValueError("upcast leads from an older version to this one: give version=2 or more")
    if callable(upcast):
        upcast = {version - 1: upcast}
    decorate = es.event(spec, topic=topic) if isinstance(spec, str) else es.event(spec)
    if version == 1:
        return decorate

    def versioned(function: FunctionType) -> Any:
        function.__event_version__ = (version, dict(upcast or {}))  # type: ignore[attr-defined]
        return decorate(function)  # type: ignore[call-overload]

    return versioned


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


def own_field_names(event_class: type[Any]) -> list[str]:
    """The names of an event's own fields, without those that every event has.

    >>> class Tower(Aggregate):
    ...     @event("Built")
    ...     def __init__(self, height: int) -> None: ...
    >>> own_field_names(Tower.Built)
    ['height']
    """
    base = event_class.__base_fields__
    return [f.name for f in fields(event_class) if f.name not in base]
