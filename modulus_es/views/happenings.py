"""What happened in one conversation, one thing after the other: the rows of a sequence diagram."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from modulus_es.views.lives import causes_of, lives_of, steps_of
from modulus_es.views.marks import INBOX, OUTBOX, SPANS, Mark

CALLER = "(caller)"
"""Who sends a command from outside every module."""


class Happening(NamedTuple):
    """A message that goes from one module to another, or what became of it there.

    ``kind`` is command or event for a message on its way, else that of the
    mark: recorded, done, failed, retry, duplicate, crash or dead, and then
    ``source`` and ``target`` are the same module. ``sent`` is when a message
    was recorded, and ``time`` when it arrived.

    >>> from modulus_es.clock import START
    >>> Happening(START, "done", "orders", "orders", "place_order", "PlaceOrder").is_message
    False
    """

    time: datetime
    kind: str
    source: str
    target: str
    handler: str
    type: str
    message_id: str = ""
    sent: datetime | None = None
    attempt: int = 0
    text: str = ""
    error: str | None = None

    @property
    def is_message(self) -> bool:
        """Whether it is a message on its way."""
        return self.kind in ("command", "event")


def happenings_of(marks: Sequence[Mark], commands: Collection[str] = ()) -> list[Happening]:
    """The marks of a conversation as messages and what became of them, in order.

    ``commands`` are the ids of the messages that are commands; all others with
    an id are events. What follows from another at the same instant comes after it.
    """
    lives = lives_of(marks)
    steps = steps_of(marks, lives, causes_of(marks, lives))
    recorded = {mark.message_id: mark for mark in marks if mark.handler == OUTBOX}
    arrived = {marks[life.marks[0]].message_id for life in lives if life.lane[1] != OUTBOX}
    found: list[tuple[datetime, int, int, Happening]] = []
    for life in lives:
        first = life.marks[0]
        mark = marks[first]
        held = [i for i in life.marks if marks[i].kind not in SPANS]
        if life.lane[1] not in (OUTBOX, INBOX):
            told = _message(mark, recorded, commands)
            # One that was on its way arrives before anything becomes of it.
            step = -1 if told.time > mark.time else steps[first]
            found.append((told.time, step, 2 * first, told))
        elif life.lane[1] == OUTBOX and mark.message_id in arrived:
            # Its arrow says that it was recorded.
            held = [i for i in held if marks[i].kind != "recorded"]
        found += [(marks[i].time, steps[i], 2 * i + 1, _became(marks[i])) for i in held]
    return [happening for *_, happening in sorted(found, key=lambda item: item[:3])]


def _message(mark: Mark, recorded: dict[str, Mark], commands: Collection[str]) -> Happening:
    sent = recorded.get(mark.message_id) if mark.message_id else None
    local = not mark.message_id
    return Happening(
        mark.end if mark.kind == "in_flight" else mark.time,
        "command" if local or mark.message_id in commands else "event",
        sent.module if sent else CALLER if local else mark.module,
        mark.module,
        mark.handler,
        mark.type,
        mark.message_id,
        sent.time if sent else None,
    )


def _became(mark: Mark) -> Happening:
    return Happening(
        mark.time, mark.kind, mark.module, mark.module, mark.handler, mark.type, mark.message_id,
        None, mark.attempt, mark.text, mark.error,
    )  # fmt: skip
