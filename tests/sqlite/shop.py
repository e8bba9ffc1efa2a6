"""The little shop of the tests of the SQLite store, in their own process and in others."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from modulus_es.testing.shop import (
    NoteOrder,
    Order,
    OrderCreated,
    PlaceOrder,
    Reservation,
    Shop,
)

__all__ = ["NoteOrder", "Order", "OrderCreated", "PlaceOrder", "Reservation", "Shop", "python"]
__all__ += ["run"]


def run(work: Any) -> Any:
    """Run a coroutine to its end."""
    return asyncio.run(work)


def python(
    script: str, *arguments: object, interpreter: str = sys.executable, **options: Any
) -> subprocess.Popen[str]:
    """Another Python, which finds this module, running a piece of code."""
    head = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    return subprocess.Popen(
        [interpreter, "-c", head + script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
