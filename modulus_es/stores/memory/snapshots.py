"""Snapshots in memory: the latest of each aggregate, as bytes."""

from __future__ import annotations

from uuid import UUID

from modulus_es.stores.rows import EventRow


class MemorySnapshots:
    """The latest snapshot of each aggregate of one module."""

    def __init__(self) -> None:
        self._latest: dict[UUID | str, EventRow] = {}

    def latest(self, id: UUID) -> EventRow | None:
        """The snapshot of an aggregate."""
        return self._latest.get(id)

    def keep(self, snapshot: EventRow) -> None:
        """Keep a snapshot in place of the one before."""
        self._latest[snapshot.originator_id] = snapshot
