"""What both halves of a store in memory share: one lock, and what to do after an interrupt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modulus_es.stores.memory.recorder import MemoryRecorder


class Half:
    """Rows, which say what is true, and queues, which say what is next.

    An interruption between both leaves ``_torn``; whoever comes next makes the
    queues anew from the rows. Locks are taken by ``with`` alone: an interrupt can
    strike in a method of ours that takes one, and it would never be given back.
    """

    def __init__(self, recorder: MemoryRecorder) -> None:
        self._recorder = recorder
        self._lock = recorder.lock
        self._torn = False

    def _begin(self) -> None:
        """Rows and queues are about to change."""
        if self._torn or self._recorder.undo is not None:
            self._settle()
        self._torn = True

    def _settle(self) -> None:
        self._recorder.recover()
        if self._torn:
            self._rebuild()
            self._torn = False

    def _rebuild(self) -> None:
        """Make the queues from the rows."""
        raise NotImplementedError
