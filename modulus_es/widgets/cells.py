"""Which cell an explorer belongs to, so that running it again closes the one before."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from modulus_es.widgets.explorer import Explorer

_open: dict[str, list[tuple[str, Explorer]]] = {}
"""Cell -> (which run of it, explorer)."""


def is_live() -> bool:
    """Whether a page asked for this that names its cells, as JupyterLab does.

    Where a notebook is run without a page, as nbconvert and nbval do, an explorer
    is its static pictures, the same on every run.
    """
    return bool(_parent()[0])


def soon(act: Callable[[], Any]) -> None:
    """Call this when the cell has been carried out; at once where no page waits for the cell."""
    try:
        loop = asyncio.get_running_loop() if is_live() else None
    except RuntimeError:
        loop = None
    if loop is None:
        act()
    else:
        loop.call_soon(act)


def show(bundle: dict[str, Any], key: str, *, again: bool = False) -> None:
    """Add to the cell's output; ``again`` puts it in place of what was shown with this key."""
    shell = _shell()
    if shell is not None:
        shell.display_pub.publish(bundle, transient={"display_id": key}, update=again)


def after_each(look: Callable[[], Any]) -> Callable[[], None]:
    """Call this after every cell from now on; answers how to stop that."""
    events = getattr(_shell(), "events", None)
    if events is None:
        return lambda: None

    def ran(*_: object) -> None:
        look()

    events.register("post_run_cell", ran)
    return lambda: events.unregister("post_run_cell", ran)


def key() -> str:
    """A name for a place in the page, unlike that of any other explorer in it."""
    return uuid4().hex if is_live() else ""


def opened(explorer: Explorer) -> list[Explorer]:
    """Take note of an explorer; answers those that an earlier run of the same cell made."""
    cell, run = _parent()
    if not cell:
        return []
    known = _open.setdefault(cell, [])
    earlier = [other for before, other in known if before != run]
    known.append((run, explorer))
    return earlier


def closed(explorer: Explorer) -> None:
    """Forget an explorer."""
    for cell, held in tuple(_open.items()):
        kept = [(run, other) for run, other in held if other is not explorer]
        if kept:
            _open[cell] = kept
        else:
            del _open[cell]


def _parent() -> tuple[str, str]:
    """The ids of the cell and of the request that is being carried out; empty outside a page."""
    parent: dict[str, Any] = getattr(_shell(), "get_parent", dict)() or {}
    cell = str(parent.get("metadata", {}).get("cellId", ""))
    return cell, str(parent.get("header", {}).get("msg_id", ""))


def _shell() -> Any:
    """The notebook's own shell; None without one."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
