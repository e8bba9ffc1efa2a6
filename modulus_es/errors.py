"""What can go wrong, as one tree.

Every error that the kit raises on purpose derives from `ModulusError`; its
message says what happened and what to do about it, its attributes hold the
data::

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

    >>> issubclass(ConcurrencyError, ModulusError)
    True
    """


class DefinitionError(ModulusError):
    """A class, handler or service is declared wrongly; nothing was registered."""


class ReservedFieldError(DefinitionError):
    """A field would shadow an attribute that every event of its kind has."""


class UnsupportedFieldError(DefinitionError):
    """A field's type cannot be recorded so that it reads back equal."""


class NameClashError(DefinitionError):
    """Two classes or handlers from different places want one stable name."""


class HandlerSignatureError(DefinitionError):
    """A handler does not say which message it takes, or takes what cannot be given."""


class DuplicateHandlerError(DefinitionError):
    """A second handler for a command or query, which has exactly one."""


class ServiceError(DefinitionError):
    """Something cannot be injected."""


class ServiceNotFoundError(ServiceError):
    """Nothing is registered for a parameter; the message names both."""


class ServiceLifetimeError(ServiceError):
    """A longer-lived service would keep a shorter-lived one."""


class HandlerNotFoundError(ModulusError):
    """Nobody handles this command or query; the message names near misses."""


class HandlerResultError(ModulusError):
    """A handler answered something that its message does not promise."""


class ProjectionError(ModulusError):
    """A projector returned something else than integration events or None."""


class ResultError(ModulusError):
    """The value of a `Failure` was asked for. ``errors`` holds the failure's errors."""

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

    def derive(self, excs: Sequence[Exception]) -> PublishError:  # type: ignore[override]
        """Keep class and result when ``except*`` splits the group."""
        return PublishError(self.message, excs, self.result)


class CascadeDepthError(ModulusError):
    """Events cause events, or commands send commands, without an end in sight."""


class StepLimitError(ModulusError):
    """A run took more steps than its limit: work reschedules itself without end."""


class StaleSystemError(ModulusError):
    """A module belongs to a system that was made again by re-running its cell."""


class BackgroundError(ModulusError):
    """Something failed while the system ran live; ``__cause__`` is what it was."""


class MissingExtraError(ModulusError):
    """Something needs packages that are not installed; the message names their extra."""


class SerializationError(ModulusError):
    """A value cannot be recorded, or would not read back equal; nothing was written.

    ``path`` names the field, such as ``Order.Placed.total``.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class DeserializationError(ModulusError):
    """Recorded or received bytes cannot be read; ``path`` names the field."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class UnknownEventError(DeserializationError):
    """A stored event's class is not defined here; the message says which to define."""


class StoreError(ModulusError):
    """The store said no."""


class StoreURLError(StoreError):
    """No store answers to this URL; the message lists the ones that exist."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached now; trying again later may work."""


class ConcurrencyError(StoreError):
    """The aggregate was changed by somebody else since it was loaded.

    Nothing was written, and this copy of the aggregate can never be saved:
    load it again and repeat what you did to it.
    """


class AggregateNotFoundError(StoreError):
    """No such aggregate, or not at that version, in this module's store."""


class LeaseLostError(StoreError):
    """Somebody else finished this delivery while it ran here; its effects were undone."""


class TransportError(ModulusError):
    """The transport said no."""


class TransportURLError(TransportError):
    """No transport answers to this URL; the message lists the ones that exist."""


class HeldBackError(TransportError):
    """The message was not sent: an earlier one of its key failed, or nobody listens any more.

    It stays in the outbox, and no attempt is counted.
    """


class TransportUnavailableError(TransportError):
    """The transport cannot be reached now; no attempt is counted."""


class NoAcknowledgementError(TransportUnavailableError):
    """It is not known whether the message arrived; it is sent again, and recognised."""


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
