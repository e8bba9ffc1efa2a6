"""What can go wrong, as one tree.

Every error that the kit raises on purpose derives from `ModulusError`; its
message says what happened and what to do about it, its attributes hold the
data. Only an argument of the wrong type or out of range is a ``TypeError`` or
``ValueError``, as everywhere in Python::

    ModulusError
    ├── DefinitionError               a class, handler or service is declared wrongly
    │   ├── ReservedFieldError        a field would shadow one that every event has
    │   ├── UnsupportedFieldError     a field's type cannot be recorded
    │   ├── NameClashError            two classes or handlers want one stable name
    │   ├── HandlerSignatureError     a handler does not say which message it takes
    │   ├── DuplicateHandlerError     a second handler for one command or query
    │   └── ServiceError              something cannot be injected
    │       ├── ServiceNotFoundError  nothing is registered for a parameter
    │       └── ServiceLifetimeError  a singleton would keep something short-lived
    ├── HandlerNotFoundError          nobody handles this command or query
    ├── HandlerResultError            a handler answered something it did not promise
    ├── ProjectionError               a projector returned something else than integration events
    ├── ResultError                   the value of a failure was asked for
    ├── PublishError                  handlers failed after the commit (also an ExceptionGroup)
    ├── CascadeDepthError             events cause events without end
    ├── StepLimitError                work reschedules itself without end
    ├── StaleSystemError              a module of a system that was made again
    ├── BackgroundError               something failed while the system ran live
    ├── MissingExtraError             packages of an extra are not installed
    ├── SerializationError            a value cannot be recorded, or would not read back equal
    ├── DeserializationError          recorded or received bytes cannot be read
    │   └── UnknownEventError         a stored event's class is not defined here
    ├── StoreError                    the store said no
    │   ├── StoreURLError             no store answers to this URL
    │   ├── StoreUnavailableError     the store cannot be reached now
    │   ├── ConcurrencyError          the aggregate was changed by somebody else
    │   ├── AggregateNotFoundError    no such aggregate in this module
    │   └── LeaseLostError            somebody else finished this delivery
    └── TransportError                the transport said no
        ├── TransportURLError         no transport answers to this URL
        ├── HeldBackError             a message must wait for an earlier one of its key
        └── TransportUnavailableError the transport cannot be reached now
            └── NoAcknowledgementError it is not known whether a message arrived

`SimulatedCrash` stands outside: it derives from `BaseException`, because a
process that dies does not stop to run anybody's ``except Exception``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self


class ModulusError(Exception):
    """Base of every error that the kit raises on purpose.

    >>> from modulus_es import System
    >>> try:
    ...     System(store="oracle://shop")
    ... except ModulusError as error:
    ...     print(type(error).__name__)
    StoreURLError
    """


class DefinitionError(ModulusError):
    """A class, handler or service is declared wrongly; nothing was registered.

    >>> from modulus_es import System
    >>> System(seed=7).module("two words")
    Traceback (most recent call last):
        ...
    modulus_es.errors.DefinitionError: 'two words' is no name for a module: use letters, ...
    """


class ReservedFieldError(DefinitionError):
    """A field would shadow an attribute that every event of its kind has.

    >>> from modulus_es import IntegrationEvent
    >>> class Placed(IntegrationEvent):
    ...     event_id: int
    Traceback (most recent call last):
        ...
    modulus_es.errors.ReservedFieldError: Placed has a field 'event_id', which every event ...
    """


class UnsupportedFieldError(DefinitionError):
    """A field's type cannot be recorded so that it reads back equal.

    >>> from modulus_es import IntegrationEvent
    >>> class Placed(IntegrationEvent):
    ...     cart: type
    Traceback (most recent call last):
        ...
    modulus_es.errors.UnsupportedFieldError: Placed.cart: type cannot be recorded, ...
    """


class NameClashError(DefinitionError):
    """Two classes or handlers from different places want one stable name.

    >>> from modulus_es import IntegrationEvent, System
    >>> class Placed(IntegrationEvent): ...
    >>> orders = System(seed=7).module("orders")
    >>> _ = orders.on(Placed, name="tell")(print)
    >>> _ = orders.on(Placed, name="tell")(repr)
    Traceback (most recent call last):
        ...
    modulus_es.errors.NameClashError: orders has a handler 'tell' of Placed ...
    """


class HandlerSignatureError(DefinitionError):
    """A handler does not say which message it takes, or takes what cannot be given.

    >>> from modulus_es import System
    >>> System(seed=7).module("orders").on(int)
    Traceback (most recent call last):
        ...
    modulus_es.errors.HandlerSignatureError: int is neither the class of a message nor ...
    """


class DuplicateHandlerError(DefinitionError):
    """A second handler for a command or query, which has exactly one.

    >>> from modulus_es import Query, System
    >>> class Count(Query[int]): ...
    >>> orders = System(seed=7).module("orders")
    >>> @orders.handles(Count)
    ... def count_all(query: Count) -> int: ...
    >>> @orders.handles(Count)
    ... def count_new(query: Count) -> int: ...
    Traceback (most recent call last):
        ...
    modulus_es.errors.DuplicateHandlerError: ...
    """


class ServiceError(DefinitionError):
    """Something cannot be injected.

    >>> issubclass(ServiceError, DefinitionError)
    True
    """


class ServiceNotFoundError(ServiceError):
    """Nothing is registered for a parameter; the message names both.

    >>> from modulus_es import Query, System
    >>> class Count(Query[int]): ...
    >>> import asyncio
    >>> orders = System(seed=7).module("orders")
    >>> @orders.handles(Count)
    ... def count(query: Count, limit: int) -> int: ...
    >>> asyncio.run(orders.query(Count()))
    Traceback (most recent call last):
        ...
    modulus_es.errors.ServiceNotFoundError: ...
    """


class ServiceLifetimeError(ServiceError):
    """A longer-lived service would keep a shorter-lived one.

    >>> from modulus_es import MessageBus, System
    >>> class Clerk:
    ...     def __init__(self, bus: MessageBus) -> None: ...
    >>> System(seed=7).services.singleton(Clerk)
    Traceback (most recent call last):
        ...
    modulus_es.errors.ServiceLifetimeError: singleton Clerk would keep its parameter bus: ...
    """


class HandlerNotFoundError(ModulusError):
    """Nobody handles this command or query; the message names near misses.

    >>> import asyncio
    >>> from modulus_es import Query, System
    >>> class Count(Query[int]): ...
    >>> asyncio.run(System(seed=7).query(Count()))
    Traceback (most recent call last):
        ...
    modulus_es.errors.HandlerNotFoundError: no module handles the query Count: register ...
    """


class HandlerResultError(ModulusError):
    """A handler answered something that its message does not promise.

    >>> from modulus_es.answers import as_result
    >>> from modulus_es.messages import Query
    >>> class Count(Query[int]): ...
    >>> as_result(None, Count, "count")
    Traceback (most recent call last):
        ...
    modulus_es.errors.HandlerResultError: count answered None to Count, which promises int: ...
    """


class ProjectionError(ModulusError):
    """A projector returned something else than integration events or None.

    >>> import asyncio
    >>> from modulus_es import Aggregate, System
    >>> class Door(Aggregate): ...
    >>> doors = System(seed=7).module("doors")
    >>> _ = doors.projects(Door.Created, name="tell")(lambda created: "a door")
    >>> asyncio.run(doors.save(Door()))
    Traceback (most recent call last):
        ...
    modulus_es.errors.ProjectionError: ...
    """


class ResultError(ModulusError):
    """The value of a `Failure` was asked for. ``errors`` holds the failure's errors.

    >>> from modulus_es import Failure
    >>> Failure("out of stock").value
    Traceback (most recent call last):
        ...
    modulus_es.errors.ResultError: there is no value, because: failure: out of stock
    """

    def __init__(self, message: str, errors: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class PublishError(ModulusError, ExceptionGroup[Exception]):
    """Event handlers failed; every handler had its turn first.

    It is an `ExceptionGroup` of what they raised, so ``except*`` works.
    ``result`` is the command's `Result` where a command caused the events: the
    command did happen, and sending it again would make it happen twice.

    >>> group = PublishError("2 handlers failed", [ValueError("a"), KeyError("b")])
    >>> [type(error).__name__ for error in group.exceptions]
    ['ValueError', 'KeyError']
    >>> group.result is None
    True
    """

    def __new__(cls, message: str, exceptions: Sequence[Exception], result: Any = None) -> Self:
        """Made before `__init__`, as every exception group is."""
        group = super().__new__(cls, message, exceptions)
        group.result = result
        return group

    def __init__(self, message: str, exceptions: Sequence[Exception], result: Any = None) -> None:
        super().__init__(message, exceptions)
        self.result = result

    def derive(self, excs: Sequence[Exception]) -> PublishError:  # type: ignore[override]  # it is not generic
        """Keep class and result when ``except*`` splits the group."""
        return PublishError(self.message, excs, self.result)


class CascadeDepthError(ModulusError):
    """Events cause events, or commands send commands, without an end in sight.

    >>> import asyncio
    >>> from modulus_es import DomainEvent, Mediator, System
    >>> class Rang(DomainEvent): ...
    >>> bells = System(seed=7).module("bells")
    >>> @bells.on(Rang, phase="before_commit")
    ... async def answer(rang: Rang, mediator: Mediator) -> None:
    ...     await mediator.publish(Rang())
    >>> asyncio.run(bells.publish(Rang()))
    Traceback (most recent call last):
        ...
    modulus_es.errors.CascadeDepthError: ...
    """


class StepLimitError(ModulusError):
    """A run took more steps than its limit: work reschedules itself without end.

    >>> import asyncio
    >>> from modulus_es import IntegrationEvent, System
    >>> class Ping(IntegrationEvent): ...
    >>> system = System(seed=7)
    >>> pings = system.module("pings")
    >>> _ = pings.on(Ping, name="pong")(lambda ping: pings.bus.publish(Ping()))
    >>> asyncio.run(pings.bus.publish(Ping()))
    >>> asyncio.run(system.run(limit=10))
    Traceback (most recent call last):
        ...
    modulus_es.errors.StepLimitError: the run took more than 10 steps, ...
    """


class StaleSystemError(ModulusError):
    """A module belongs to a system that was made again by re-running its cell.

    >>> from modulus_es import System
    >>> system = System(seed=7)
    >>> orders = system.module("orders")
    >>> system = System(seed=7)
    >>> orders.unit_of_work()
    Traceback (most recent call last):
        ...
    modulus_es.errors.StaleSystemError: this module 'orders' belongs to a system ...
    """


class BackgroundError(ModulusError):
    """Something failed while the system ran live; ``__cause__`` is what it was.

    The next call to the system raises it.

    >>> failure = OSError("the disk is full")
    >>> try:
    ...     raise BackgroundError(f"the live system failed: {failure}") from failure
    ... except BackgroundError as error:
    ...     print(repr(error.__cause__))
    OSError('the disk is full')
    """


class MissingExtraError(ModulusError):
    """Something needs packages that are not installed; the message names their extra.

    >>> issubclass(MissingExtraError, ModulusError)
    True
    """


class SerializationError(ModulusError):
    """A value cannot be recorded, or would not read back equal; nothing was written.

    ``path`` names the field, such as ``Order.Placed.total``.

    >>> from modulus_es import IntegrationEvent
    >>> from modulus_es.records import codec_of
    >>> class Placed(IntegrationEvent):
    ...     total: int
    >>> codec_of(Placed).encode({"total": "42"})
    Traceback (most recent call last):
        ...
    modulus_es.errors.SerializationError: Placed.total ...
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class DeserializationError(ModulusError):
    """Recorded or received bytes cannot be read; ``path`` names the field.

    >>> from modulus_es import Envelope
    >>> Envelope.from_bytes(b"{}")
    Traceback (most recent call last):
        ...
    modulus_es.errors.DeserializationError: not an envelope: ...
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class UnknownEventError(DeserializationError):
    """A stored event's class is not defined here; the message says which to define.

    >>> import asyncio
    >>> from modulus_es import Aggregate, System
    >>> class Door(Aggregate): ...
    >>> one, other = (System(seed=7).module("doors") for _ in range(2))
    >>> asyncio.run(one.save(Door()))
    >>> [stored] = one.stored_events()
    >>> other.mapper.to_domain_event(stored)
    Traceback (most recent call last):
        ...
    modulus_es.errors.UnknownEventError: event 1 of ... (Door.Created): ...
    """


class StoreError(ModulusError):
    """The store said no.

    >>> from modulus_es import System
    >>> try:
    ...     System(store="oracle://shop")
    ... except StoreError as error:
    ...     print(error)
    no store answers to 'oracle://shop'; there is: ...
    """


class StoreURLError(StoreError):
    """No store answers to this URL; the message lists the ones that exist.

    >>> from modulus_es import System
    >>> System(store="oracle://shop")
    Traceback (most recent call last):
        ...
    modulus_es.errors.StoreURLError: no store answers to 'oracle://shop'; there is: ...
    """


class StoreUnavailableError(StoreError):
    """The store cannot be reached now; trying again later may work.

    >>> from modulus_es import System
    >>> try:
    ...     System(store="sqlite:///no/such/folder/shop.db")
    ... except StoreUnavailableError as error:
    ...     print(error)
    the store sqlite:///no/such/folder/shop.db cannot be used now: ...
    """


class ConcurrencyError(StoreError):
    """The aggregate was changed by somebody else since it was loaded.

    Nothing was written, and this copy of the aggregate can never be saved:
    load it again and repeat what you did to it.

    >>> import asyncio
    >>> from modulus_es import Aggregate, System
    >>> class Door(Aggregate): ...
    >>> orders = System(seed=7).module("orders")
    >>> async def save_it_twice(door: Door) -> None:
    ...     await orders.save(door)
    ...     mine, theirs = await orders.get(Door, door.id), await orders.get(Door, door.id)
    ...     mine.trigger_event(Door.Event), theirs.trigger_event(Door.Event)
    ...     await orders.save(mine)
    ...     await orders.save(theirs)
    >>> asyncio.run(save_it_twice(Door()))
    Traceback (most recent call last):
        ...
    modulus_es.errors.ConcurrencyError: Door ... was changed by somebody else ...
    """


class AggregateNotFoundError(StoreError):
    """No such aggregate, or not at that version, in this module's store.

    >>> import asyncio, uuid
    >>> from modulus_es import Aggregate, System
    >>> orders = System(seed=7).module("orders")
    >>> asyncio.run(orders.get(Aggregate, uuid.UUID(int=1)))
    Traceback (most recent call last):
        ...
    modulus_es.errors.AggregateNotFoundError: orders has no Aggregate 00000000-...
    """


class LeaseLostError(StoreError):
    """Somebody else finished this delivery while it ran here; its effects were undone.

    >>> issubclass(LeaseLostError, StoreError)
    True
    """


class TransportError(ModulusError):
    """The transport said no.

    >>> from modulus_es import System
    >>> try:
    ...     System(transport="pigeon://")
    ... except TransportError as error:
    ...     print(error)
    no transport answers to 'pigeon://'; there is: ...
    """


class TransportURLError(TransportError):
    """No transport answers to this URL; the message lists the ones that exist.

    >>> from modulus_es import System
    >>> System(transport="pigeon://")
    Traceback (most recent call last):
        ...
    modulus_es.errors.TransportURLError: no transport answers to 'pigeon://'; there is: ...
    """


class HeldBackError(TransportError):
    """The message was not sent: an earlier one of its key failed, or nobody listens any more.

    It stays in the outbox, and no attempt is counted.

    >>> issubclass(HeldBackError, TransportError)
    True
    """


class TransportUnavailableError(TransportError):
    """The transport cannot be reached now; no attempt is counted.

    >>> issubclass(TransportUnavailableError, TransportError)
    True
    """


class NoAcknowledgementError(TransportUnavailableError):
    """It is not known whether the message arrived; it is sent again, and recognised.

    >>> issubclass(NoAcknowledgementError, TransportUnavailableError)
    True
    """


class SimulatedCrash(BaseException):
    """The process died here, as `Faults.crash` was told to let it.

    ``point`` is the crash point, ``module`` the module whose component died,
    ``committed`` whether the unit of work in progress had reached its store.

    >>> SimulatedCrash("after_commit", "orders", committed=True)
    SimulatedCrash('crash at after_commit in orders; the unit of work was committed')
    """

    def __init__(self, point: str, module: str, *, committed: bool | None = None) -> None:
        said = {
            True: "; the unit of work was committed",
            False: "; the unit of work was not committed",
            None: "",
        }[committed]
        super().__init__(f"crash at {point} in {module}{said}")
        self.point, self.module, self.committed = point, module, committed
