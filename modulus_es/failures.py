"""What handlers failed with: noted where it came from, gathered into one group."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from modulus_es.errors import CascadeDepthError, ModulusError, PublishError
from modulus_es.naming import stable_name

if TYPE_CHECKING:
    from modulus_es.domain import DomainEvent
    from modulus_es.handlers import Handler


def failure_of(handler: str, error: BaseException) -> Exception:
    """What a handler failed with, if it did; anything else is raised again.

    A handler that cancelled itself failed. A cancellation or an interrupt from
    outside did not come from it, and must never be buried among failures.
    """
    if isinstance(error, Exception):
        return error
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            return cancelled_itself(handler, error)
    raise error


def cancelled_itself(handler: str, error: BaseException) -> Exception:
    """The failure of a handler that cancelled itself."""
    failure = ModulusError(f"{handler} cancelled itself")
    failure.__cause__ = error
    return failure


def failures_of(handler: Handler, event: DomainEvent, error: BaseException) -> Sequence[Exception]:
    """What `failure_of` says, noted, and taken apart where it carries failures itself."""
    return leaves(noted(handler, event, failure_of(handler.name, error)))


def noted(handler: Handler, event: DomainEvent, failure: Exception) -> Exception:
    """The failure, with a note of the handler that it came from."""
    failure.add_note(f"raised by {handler.name}, a handler of {stable_name(type(event))}")
    return failure


def leaves(failure: Exception) -> Sequence[Exception]:
    """What failed inside what failed, so that one group carries all failures."""
    return failure.exceptions if isinstance(failure, PublishError) else (failure,)


def is_endless(failures: Sequence[Exception]) -> bool:
    """Whether the last of them says that a cascade has no end: then nothing more is tried."""
    return bool(failures) and isinstance(failures[-1], CascadeDepthError)


def publish_error(events: Sequence[Any], failures: Sequence[Exception]) -> PublishError:
    """The group of all failures of the handlers of these events."""
    names = " and ".join(dict.fromkeys(stable_name(type(event)) for event in events))
    handlers = "handler" if len(failures) == 1 else "handlers"
    first = told(failures[0])
    return PublishError(f"{len(failures)} {handlers} of {names} failed, first {first}", failures)


def told(error: BaseException) -> str:
    """What an error says, its class first, also where its own class keeps it from saying so.

    >>> told(ValueError("no stock"))
    'ValueError: no stock'
    """
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return f"{type(error).__name__}, whose text cannot be had: its __str__() fails"
