"""Imports of what may not be there."""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.harness import NotHereError


def need(module: str) -> Any:
    """Import a module of a peer, or say that it is not there."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotHereError(f"{error}; `make bench` installs the peers") from None
