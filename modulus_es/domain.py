"""Aggregates, and the decorator that lets their methods record domain events.

`Aggregate` and `event` are those of `eventsourcing` (its book explains them:
https://eventsourcing.readthedocs.io), with an event base of ours: every
recorded event has ``id``, ``occurred_on_utc``, ``originator_id`` and
``originator_version``. What differs: a class may be defined again under its
name, because a notebook's cell runs again, and names are stable names, never
import paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload
from uuid import UUID

import eventsourcing.domain as es

from modulus_es import ambient
from modulus_es.definition import (
    Upcast,
    adopt,
    as_upcasts,
    create_id_parameters,
    decorators_of,
    finish_event_class,
    let_explicit_classes_in,
    redefinition_allowed,
    refuse_reserved_parameters,
)
from modulus_es.errors import DefinitionError, UnsupportedFieldError
from modulus_es.events import (
    AggregateCreated,
    DomainEvent,
    RecordedEvent,
    UnknownEvent,
)
from modulus_es.kept import kept_of
from modulus_es.making import make_of
from modulus_es.naming import define, qualified_name, stable_name
from modulus_es.recording import RecordingType, command_methods_of, positional, recording, takes_id

__all__ = [
    "Aggregate",
    "AggregateCreated",
    "DomainEvent",
    "RecordedEvent",
    "Snapshot",
    "UnknownEvent",
    "event",
    "event_classes",
]


Recording = TypeVar("Recording", bound=Callable[..., None] | property)


class Snapshot(es.Snapshot):
    """The state of an aggregate at a version, under stable names."""

    __aggregate__: ClassVar[type[Aggregate] | None] = None

    @staticmethod
    def create_timestamp() -> Any:
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


class Aggregate(es.Aggregate, metaclass=RecordingType):
    """A cluster of objects that changes as one, by recording domain events.

    Derive from it, and let its methods record events with `event`, or trigger
    events of classes written in its body. ``name=`` pins its stable name, and
    with it those of its events.

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

    # Where its events are kept; beside its state, which is compared, shown and kept itself.
    __slots__ = ("_home",)

    if TYPE_CHECKING:
        _home: tuple[str, str]
        snapshot_interval: ClassVar[int | None]
        """From how many events on a rebuilt aggregate is kept as a snapshot; None for never."""

        class Event(RecordedEvent):
            """The base of an aggregate's events."""
    else:
        # Not annotated: eventsourcing takes a class with annotations for a dataclass.
        snapshot_interval = 500
        Event = RecordedEvent

    class Created(AggregateCreated):
        """The base of an aggregate's first event, and that event where no other is named."""

    Snapshot = Snapshot

    def __init_subclass__(
        cls, *, name: str | None = None, created_event_name: str = "", **kwargs: Any
    ) -> None:
        define(cls, name)
        if "TOPIC" in cls.__dict__:
            raise DefinitionError(
                f"{qualified_name(cls)} has a TOPIC, which is eventsourcing's way to pin a name: "
                "write `class ...(Aggregate, name=...)` instead"
            )
        decorators = list(decorators_of(cls))
        let_explicit_classes_in(cls, decorators)
        for decorator in decorators:
            refuse_reserved_parameters(cls, decorator)
        by_id = takes_id(cls)
        with redefinition_allowed(cls.__module__):
            super().__init_subclass__(created_event_name=created_event_name, **kwargs)
        for decorator in decorators:
            finish_event_class(cls, decorator)
        made: Any = cls
        made.Snapshot = type("Snapshot", (cls.Snapshot,), {"__aggregate__": cls})
        made.Event.__aggregate__ = cls
        for value in event_classes(cls):
            adopt(value, cls, name)
        for method, decorator in command_methods_of(cls):
            setattr(cls, method, recording(decorator))
        made.__positional__ = None if by_id else positional(cls)

    @staticmethod
    def create_id(*_: Any, **__: Any) -> UUID:
        """A new id, from the current system."""
        return ambient.new_id()

    @classmethod
    def _create(cls, event_class: Any, *, id: UUID | None = None, **kwargs: Any) -> Self:
        # eventsourcing's own version names the class by an import path, in a
        # cache for the whole process, which refuses a class defined again.
        if id is None:
            taken = create_id_parameters(cls)
            given = {name: kwargs[name] for name in taken if name in kwargs} if taken else {}
            id = cls.create_id(**given)
        if not isinstance(id, UUID):
            raise TypeError(f"the id of {qualified_name(cls)} is a UUID, not {id!r}")
        if kwargs.get("timestamp") is None:
            kwargs["timestamp"] = event_class.create_timestamp()
        kwargs["originator_topic"] = stable_name(cls)
        kwargs["originator_id"] = id
        kwargs["originator_version"] = cls.INITIAL_VERSION
        created = make_of(event_class)(kwargs)
        kept = kept_of(created)
        aggregate: Self = created.begin(cls)
        if kept:
            created.__dict__.update(kept)
        aggregate._pending_events.append(created)
        return aggregate

    def trigger_event(self, event_class: Any, **kwargs: Any) -> None:
        """Record an event of this class, and apply it.

        An inherited method records the event that its own class has of that
        name: ``Note0.Added`` where ``class Note0(Note)`` inherits what records
        ``Note.Added``, of which it is one.
        """
        own = getattr(type(self), event_class.__name__, None)
        if own is not event_class and isinstance(own, type) and issubclass(own, event_class):
            event_class = own
        # As eventsourcing has it, which copies the fields and passes them on twice.
        kwargs["originator_id"] = self._id
        kwargs["originator_version"] = self._version + 1
        if kwargs.get("timestamp") is None:
            kwargs["timestamp"] = event_class.create_timestamp()
        try:
            recorded = make_of(event_class)(kwargs)
        except TypeError as error:
            raise TypeError(f"{event_class.__qualname__} cannot be recorded: {error}") from None
        kept = kept_of(recorded)
        recorded.mutate(self)
        if kept:
            recorded.__dict__.update(kept)
        self._pending_events.append(recorded)

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


@overload
def event(spec: Recording, /) -> Recording: ...
@overload
def event(
    spec: str | type[RecordedEvent] | None = None,
    /,
    *,
    name: str | None = None,
    version: int = 1,
    upcast: Upcast | Mapping[int, Upcast] | None = None,
) -> Callable[[Recording], Recording]: ...
def event(
    spec: Any = None,
    /,
    *,
    name: str | None = None,
    version: int = 1,
    upcast: Upcast | Mapping[int, Upcast] | None = None,
) -> Any:
    """Let an aggregate's method record a domain event; its body applies the event.

    ``spec`` is the event's name, or an explicit event class, or nothing (then
    the method's name says it); ``name`` pins the event's stable name. When the
    event's fields changed otherwise than by one more with a default, raise
    ``version`` and give ``upcast``: a function that takes the stored fields of
    the version before, as JSON has them, and changes them in place or answers
    the new ones; or a mapping from older version to such functions.

    >>> class Account(Aggregate):
    ...     @event("Opened", version=2, upcast=lambda stored: {"owner": "?", **stored})
    ...     def __init__(self, owner: str) -> None:
    ...         self.owner = owner
    >>> Account.Opened.class_version
    2
    """
    if version < 1:
        raise ValueError(f"a version is at least 1, not {version}")
    if upcast is not None and version == 1:
        raise ValueError("upcast leads from an older version to this one: give version=2 or more")
    if isinstance(spec, type):
        # eventsourcing allows a class in one decorator of the whole process;
        # `let_explicit_classes_in` allows it in one of each aggregate class.
        es._given_event_classes.discard(spec)
    decorate: Any = es.event(spec)
    if isinstance(decorate, es.CommandMethodDecorator):
        return decorate

    def finish(decorated: Any) -> Any:
        made = decorate(decorated)
        made.said = (name, version, as_upcasts(version, upcast))
        return made

    return finish
