"""Where what a reader does is carried out: in the thread and event loop of the cell.

JupyterLab may bring clicks and turned knobs to a thread of their own, a subshell
of the kernel. A system belongs to one thread, as its futures belong to one loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from threading import get_ident
from typing import Any


class Home:
    """The thread and the event loop in which it was made.

    >>> Home().here(print)("where it was made: called at once")
    where it was made: called at once
    """

    def __init__(self) -> None:
        self._thread = get_ident()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def here(self, act: Callable[..., Any]) -> Callable[..., None]:
        """``act``, which may be called from any thread, and from another one happens soon."""

        @wraps(act)
        def called(*args: Any) -> None:
            loop = self._loop
            if loop is None or loop.is_closed() or get_ident() == self._thread:
                act(*args)
            else:
                loop.call_soon_threadsafe(act, *args)

        return called
