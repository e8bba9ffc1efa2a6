"""How an aggregate begins, worked out once for each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias

from modulus_es import ambient
from modulus_es.applying import applies, apply_of, init_of
from modulus_es.kept import kept_of
from modulus_es.making import is_plain
from modulus_es.naming import stable_name

_EVERY_FIRST_EVENT = (
    "id",
    "timestamp",
    "originator_topic",
    "originator_id",
    "originator_version",
)

Begin: TypeAlias = Callable[[tuple[Any, ...]], Any]
"""Makes an aggregate of its constructor's arguments, in order, with the event that made it."""


def beginning(cls: Any, first_event: Any, names: tuple[str, ...]) -> Begin | None:
    """What calling ``cls`` does, in one go; None where somebody has changed a part of it.

    ``names`` are what the arguments are called in ``first_event``. The parts are
    ``_create``, ``create_id``, ``create_timestamp``, and how the event is made.
    """
    from modulus_es.domain import Aggregate  # it needs this

    if (
        cls._create.__func__ is not vars(Aggregate)["_create"].__func__
        or cls.create_id is not Aggregate.create_id
        or first_event.create_timestamp is not Aggregate.Event.create_timestamp
        or first_event.begin is not Aggregate.Created.begin
        or not is_plain(first_event)
        or {field.name for field in fields(first_event)} != {*_EVERY_FIRST_EVENT, *names}
        or "id" in names
    ):
        return None
    topic, version = stable_name(cls), cls.INITIAL_VERSION
    construct = init_of(cls)
    apply = apply_of(first_event) if applies(first_event) else None
    new, become = object.__new__, object.__setattr__

    def begin(args: tuple[Any, ...]) -> Any:
        source = ambient.source()
        state = dict(zip(names, args, strict=True))
        id = source.new_id()
        at = state["timestamp"] = source.now()
        state["originator_topic"] = topic
        state["originator_id"] = id
        state["originator_version"] = version
        state["id"] = source.new_id()
        created = new(first_event)
        become(created, "__dict__", state)
        aggregate = cls.__new__(cls)
        aggregate.__base_init__(id, version, at)
        kept = kept_of(created)
        construct(created, aggregate)
        if apply is not None:
            apply(created, aggregate)
        if kept:
            state.update(kept)
        aggregate._pending_events.append(created)
        return aggregate

    return begin
