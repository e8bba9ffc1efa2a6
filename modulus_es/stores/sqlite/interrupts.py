"""Holds interrupts off while a transaction is open on the event loop."""

from __future__ import annotations

from collections.abc import Callable
from signal import SIG_DFL, SIGINT, raise_signal
from types import FrameType, TracebackType
from typing import Any

try:
    # The plain functions. Those of `signal` look every handler up among the members of an
    # enum, which takes longer than the rest of a small transaction. Nobody types a private module.
    from _signal import getsignal, signal  # type: ignore[import-not-found,unused-ignore]
except ImportError:  # pragma: no cover - another Python
    from signal import getsignal, signal


class HeldOff:
    """Notes an interrupt that comes inside the block, and lets it happen at its end.

    Python raises `KeyboardInterrupt` between any two instructions of the main
    thread, and one between ``BEGIN`` and ``COMMIT`` would leave the connection
    in a transaction that nobody ends. Nothing to do in other threads.

    >>> with HeldOff():
    ...     pass
    """

    _before: Callable[[int, FrameType | None], Any] | int | None = None
    _noted: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> None:
        if getsignal(SIGINT) is not None:
            try:
                self._before = signal(SIGINT, self._note)
            except ValueError:  # another thread, or not the main interpreter: no interrupts
                self._before = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal(SIGINT, self._before)
            if self._noted is not None and callable(self._before):
                self._before(*self._noted)
            elif self._noted is not None and self._before == SIG_DFL:
                raise_signal(SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = (number, frame)
