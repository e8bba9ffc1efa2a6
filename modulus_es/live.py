"""Living in real time: the scheduler runs in the background until it is stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modulus_es.clock import Clock
from modulus_es.errors import BackgroundError
from modulus_es.trace import Trace, TraceRecord

if TYPE_CHECKING:
    import asyncio

    from modulus_es.scheduler import Scheduler
    from modulus_es.transports.port import Transport


class Live:
    """The background task of a live system, and what became of it.

    A failure shows nowhere by itself: it goes into the trace, and the next call to
    the system raises it.
    """

    def __init__(self, trace: Trace, clock: Clock) -> None:
        self._trace, self._clock = trace, clock
        self._task: asyncio.Task[Any] | None = None
        self._failure: BaseException | None = None

    @property
    def is_on(self) -> bool:
        """Whether the system relays and delivers in the background."""
        return self._task is not None and not self._task.done()

    async def start(self, scheduler: Scheduler, transport: Transport) -> None:
        """Run in the background from now on; nothing where it does already."""
        import asyncio

        if self._task is None or self._task.done():
            await transport.start()
            self._task = asyncio.get_running_loop().create_task(self._run(scheduler))
            await asyncio.sleep(0)

    async def stop(self, scheduler: Scheduler, transport: Transport, limit: int) -> None:
        """Finish what is due, and stop; raises `BackgroundError`."""
        import asyncio

        task = self._task
        if task is None:
            return
        try:
            if not task.done():
                scheduler.finish(limit)
                await asyncio.wait([task])
            self._raise_failure("what waits is delivered when it is started again, or runs")
        finally:
            task.cancel()
            self._task = None
            await transport.stop()

    def raise_failure(self) -> None:
        """Raise `BackgroundError` once where something failed in the background."""
        if self._failure is not None:
            self._raise_failure(
                "this call was not made; `await system.start()` goes on with what waits, then "
                "make it again"
            )

    def _raise_failure(self, what_now: str) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            # An interrupt has nothing to say but what it is.
            why = str(failure) or type(failure).__name__
            raise BackgroundError(f"the live system failed: {why}: {what_now}") from failure

    async def _run(self, scheduler: Scheduler) -> None:
        from asyncio import CancelledError

        try:
            await scheduler.run(forever=True)
        except CancelledError:
            raise
        except BaseException as error:
            # An interrupt too: whoever drove has raised it, and one is not raised twice.
            self._failure = error
            said = ": ".join(filter(None, (type(error).__name__, str(error))))
            self._trace.add(TraceRecord(self._clock.now(), "failure", "", error=said))
