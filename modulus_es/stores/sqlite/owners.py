"""Under which names claims are written."""

from __future__ import annotations

from typing import Any


class Owners:
    """Under which names this opening of the store claims.

    Two processes call their relays the same; the session number tells them
    apart, and this one's claims from those of the process that died before it.

    >>> Owners(3).written("orders.relay-1")
    'orders.relay-1@3'
    >>> Owners(3).read("orders.relay-1@2"), Owners(3).read("orders.relay-1@3")
    ('orders.relay-1@2', 'orders.relay-1')
    """

    def __init__(self, session: int) -> None:
        self._suffix = f"@{session}"

    def written(self, owner: str) -> str:
        """The name as it is stored."""
        return owner + self._suffix

    def read(self, stored: Any) -> str:
        """The name as the caller knows it."""
        return str(stored).removesuffix(self._suffix)
