"""Snapshots: where rebuilding an aggregate took many events, the next time takes few."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from modulus_es.codec import FieldSpec, RecordCodec
from modulus_es.domain import Aggregate
from modulus_es.errors import SerializationError
from modulus_es.failures import told
from modulus_es.fingerprint import fingerprint
from modulus_es.naming import qualified_name, stable_name
from modulus_es.stores.rows import EventRow
from modulus_es.trace import TraceRecord

if TYPE_CHECKING:
    from modulus_es.module import Module

_codec = RecordCodec("snapshot", [FieldSpec("state", Any)])


class _Kept(msgspec.Struct):
    """What is stored of a snapshot: of which code it is, and the aggregate's own state."""

    code: str
    state: msgspec.Raw


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Kept)


class Snapshots:
    """The snapshots of one module.

    One is taken of an aggregate that was just rebuilt from at least
    ``snapshot_interval`` events, before anybody could change it, and replaces
    the one before. It counts as long as its class is made of the same code; what
    cannot be read, or is of other code, is as if it were not there.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._rows = module.store.snapshots
        self._refused: set[type] = set()

    def latest(self, id: UUID, version: int | None) -> Any:
        """The aggregate as it was last kept, not after ``version``; None if it was not."""
        try:
            stored = self._rows.latest(id)
            if stored is None or (version is not None and stored.originator_version > version):
                return None
            cls: Any = self._module.registry.get(stored.topic)
            if cls is None or not issubclass(cls, Aggregate):
                return None
            kept = _decoder.decode(self._module.mapper.opened(stored.state))
            if kept.code != fingerprint(cls):
                return None
            state = _codec.decode(kept.state)["state"]
            taken = cls.Snapshot(
                originator_id=id,
                originator_version=stored.originator_version,
                timestamp=state["_modified_on"],
                topic=stored.topic,
                state=state,
            )
            return taken.mutate(None)
        except Exception:
            # Whatever may be wrong with it: the events say the same.
            return None

    def consider(self, aggregate: Any, replayed: int) -> None:
        """Keep an aggregate that was just rebuilt from so many events, if that pays.

        A failure is logged and in the trace, and nothing else: the aggregate is
        rebuilt from its events once more.
        """
        cls = type(aggregate)
        interval = cls.snapshot_interval
        if interval is None or replayed < interval or cls in self._refused:
            return
        try:
            self._rows.keep(self._stored(aggregate))
        except SerializationError:
            # Its state holds what has no safe form in a store. That is no failure.
            self._refused.add(cls)
        except Exception as error:
            # It is a help, and what it was to help with is done.
            self._failed(aggregate, error)

    def _stored(self, aggregate: Any) -> EventRow:
        taken = type(aggregate).Snapshot.take(aggregate)
        kept = _Kept(
            fingerprint(type(aggregate)), msgspec.Raw(_codec.encode({"state": taken.state}))
        )
        data = self._module.mapper.closed(_encoder.encode(kept))
        return EventRow(aggregate.id, aggregate.version, stable_name(type(aggregate)), data)

    def _failed(self, aggregate: Any, error: Exception) -> None:
        name = qualified_name(type(aggregate))
        said = told(error)
        import logging  # it is slow to import, and seldom needed

        logging.getLogger(__name__).warning(
            "no snapshot of %s %s was kept, so it is rebuilt from its events: %s",
            name,
            aggregate.id,
            said,
        )
        system = self._module.system
        system.trace.add(
            TraceRecord(
                system.now(),
                "failure",
                self._module.name,
                type=name,
                handler="snapshot",
                error=said,
            )
        )
