"""How many messages were where, and when: for the page, where what lasts does not travel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modulus_es.views.marks import KINDS
from modulus_es.widgets.packing import UNIT

PLACES = 1_000
"""Into how many parts the axis is divided: the counts are those at the end of each."""

LANES = 60
"""Of how many lanes, at most, the page shows the counts."""

STATES = ("waiting", "in_flight", "attempt", "done", "failed", "dead", "duplicate")

_WAITING, _DONE, _DEAD, _DUPLICATE = map(STATES.index, ("waiting", "done", "dead", "duplicate"))
# What was recorded, will be tried again or was in hand during a crash waits.
_STATES = np.array([STATES.index(kind) if kind in STATES else _WAITING for kind in KINDS])
_SPAN, _AGAIN, _DIED = map(KINDS.index, ("waiting", "duplicate", "dead"))


def counted_states(held: Mapping[str, Any], outbox: Sequence[bool]) -> Any:
    """The counts as an array of lanes, `STATES` and places, in order of time.

    ``held`` has the columns of all marks, in order of time; ``outbox`` says of each
    lane whether it is one. A message is where its latest mark there says; in an
    outbox it is done when it was handed over, which is when it no longer waits
    there and something of it is elsewhere.
    """
    kind, lane, many, wide = held["kind"], held["lane"].astype("i8"), len(outbox), PLACES + 2
    begin, end = (-(-held[name].astype("i8") * PLACES // UNIT) for name in ("x", "end"))
    counts = np.zeros(many * len(STATES) * wide, "i8")

    def add(lanes: Any, states: Any, first: Any, last: Any) -> None:
        nonlocal counts
        start = (lanes * len(STATES) + states) * wide
        counts += np.bincount(start + first, minlength=len(counts))
        counts -= np.bincount(start + last, minlength=len(counts))

    again = kind == _AGAIN
    never = np.full(len(kind), PLACES + 1)
    add(lane[again], _DUPLICATE, begin[again], never[again])

    # A life is one message in one lane; each mark of it tells where it is until the next one.
    life = held["message"].astype("i8") * many + lane
    order = np.flatnonzero(~again)
    order = order[np.argsort(life[order], kind="stable")]
    life, lane, kind, begin = life[order], lane[order], kind[order], begin[order]
    last = np.append(life[1:] != life[:-1], True)
    until = np.where(last, PLACES + 1, np.append(begin[1:], 0))

    own = np.array(outbox, "?")[lane]
    inbox = ~own
    add(lane[inbox], _STATES[kind[inbox]], begin[inbox], until[inbox])
    died = own & (kind == _DIED)
    add(lane[died], _DEAD, begin[died], until[died])

    number = np.cumsum(last) - last
    message = held["message"][order].astype("i8")
    arrived = np.full(int(message.max(initial=-1)) + 1, PLACES + 1)
    np.minimum.at(arrived, message[inbox], begin[inbox])
    left = np.zeros(int(last.sum()), "i8")
    waits = own & (kind == _SPAN)
    held_up = np.where(held["open"][order] > 0, PLACES + 1, end[order])
    np.maximum.at(left, number[waits], held_up[waits])
    kept = own & ~died
    handed = np.maximum(arrived[message[kept]], left[number[kept]])
    handed = np.clip(handed, begin[kept], until[kept])
    add(lane[kept], _WAITING, begin[kept], handed)
    add(lane[kept], _DONE, handed, until[kept])

    summed = np.cumsum(counts.reshape(many, len(STATES), wide), axis=2)
    return summed[:LANES, :, : PLACES + 1].astype("<u4")
