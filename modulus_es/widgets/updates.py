"""Tells a view that the system has changed, not more often than it can be drawn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter

from modulus_es.trace import Trace, TraceRecord

SOONEST = 0.25
"""Seconds between two updates, at least."""

_SHARE = 9
"""How many times as long as an update takes the next one is put off: it has a tenth of the time."""


class Updates:
    """Calls ``refresh`` after something was traced, in the event loop of the notebook.

    ``failed`` is told before what went wrong in the background, where no caller
    was told of it. Without a running loop, as in a script, nothing is called.

    >>> updates = Updates(Trace(), lambda: None, print)
    >>> updates.stop()
    """

    def __init__(
        self, trace: Trace, refresh: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        self._refresh, self._failed = refresh, failed
        self._failure = ""
        self._pending = self._stopped = False
        self._wait = SOONEST
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
        self._unwatch = trace.watch(self._note)

    def stop(self) -> None:
        """Call nothing any more."""
        self._stopped = True
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()

    def _note(self, record: TraceRecord) -> None:
        if record.kind == "failure":
            self._failure = record.error or "a failure"
        if self._pending or self._loop is None or self._loop.is_closed():
            return
        self._pending = True
        # What is traced may come from any thread.
        self._loop.call_soon_threadsafe(self._later)

    def _later(self) -> None:
        if not self._stopped and self._loop is not None:
            self._timer = self._loop.call_later(self._wait, self._update)

    def _update(self) -> None:
        self._pending = False
        began = perf_counter()
        failure, self._failure = self._failure, ""
        if failure:
            self._failed(failure)
        try:
            self._refresh()
        finally:
            self._wait = max(SOONEST, _SHARE * (perf_counter() - began))
