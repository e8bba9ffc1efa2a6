"""Faults, on purpose: a network that misbehaves, and processes that die."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from math import inf
from random import Random
from typing import TYPE_CHECKING, Literal, TypeAlias

from modulus_es.counts import whole
from modulus_es.errors import SimulatedCrash
from modulus_es.naming import near_misses

if TYPE_CHECKING:
    from modulus_es.module import Module

CrashPoint: TypeAlias = Literal[
    "before_commit", "after_commit", "before_publish", "after_publish", "before_ack"
]

CRASH_POINTS: tuple[CrashPoint, ...] = (
    "before_commit",
    "after_commit",
    "before_publish",
    "after_publish",
    "before_ack",
)


class Network:
    """What lies between the modules: perfect, until you turn its knobs.

    ``loss``, ``duplicates`` and ``reorder`` are the parts of the messages, 0 to
    below 1, that are lost (and sent again after a second), arrive twice, or are
    overtaken by later ones; ``latency`` is the shortest and longest travelling
    time in seconds. `partition` cuts two modules off from each other, each
    given as itself or by its name.

    >>> network = Network(Random(7))
    >>> network
    Network(perfect)
    >>> network.loss, network.latency = 0.05, (0.01, 0.2)
    >>> network.partition("orders", "inventory")
    >>> network
    Network(loss=0.05, latency=(0.01, 0.2), cut: inventory | orders)
    """

    # A knob that is misspelt must not turn silently.
    __slots__ = (
        "__weakref__",
        "_cuts",
        "_duplicates",
        "_latency",
        "_loss",
        "_modules",
        "_random",
        "_reorder",
        "_watchers",
        "perfect",
    )

    def __init__(self, random: Random, modules: Collection[str] = ()) -> None:
        self._random = random
        self._modules = modules
        self._loss = self._duplicates = self._reorder = 0.0
        self._latency = (0.0, 0.0)
        self._cuts: set[frozenset[str]] = set()
        self.perfect = True
        self._watchers: list[Callable[[], None]] = []

    @property
    def loss(self) -> float:
        """The part of the messages that is lost on the way, and sent again."""
        return self._loss

    @loss.setter
    def loss(self, part: float) -> None:
        if part == 1:
            raise ValueError(
                "loss is a part of the messages, below 1: what is lost is sent again until it "
                "arrives. To stop all messages, use network.partition(...)"
            )
        self._loss = _part(part, "loss")
        self._changed()

    @property
    def duplicates(self) -> float:
        """The part of the messages that arrives twice."""
        return self._duplicates

    @duplicates.setter
    def duplicates(self, part: float) -> None:
        self._duplicates = _part(part, "duplicates")
        self._changed()

    @property
    def reorder(self) -> float:
        """The part of the messages that later ones overtake."""
        return self._reorder

    @reorder.setter
    def reorder(self, part: float) -> None:
        self._reorder = _part(part, "reorder")
        self._changed()

    @property
    def latency(self) -> tuple[float, float]:
        """The shortest and the longest travelling time, in seconds."""
        return self._latency

    @latency.setter
    def latency(self, seconds: Sequence[float] | float) -> None:
        pair = seconds if isinstance(seconds, Sequence) else (seconds, seconds)
        numbers = all(isinstance(each, int | float) for each in pair)
        if len(pair) != 2 or not numbers or not 0 <= pair[0] <= pair[1] < inf:
            raise ValueError(f"latency is (shortest, longest) in seconds, not {seconds!r}")
        self._latency = (float(pair[0]), float(pair[1]))
        self._changed()

    def partition(self, module: str | Module, other: str | Module) -> None:
        """Cut two modules off from each other; their messages wait until `heal`.

        Raises `ValueError` for a name that none of the system's modules has. Before
        there are any, every name will do.
        """
        cut = frozenset(_named(each, self._modules) for each in (module, other))
        if len(cut) == 1:
            raise ValueError(f"a module cannot be cut off from itself: {_named(module)!r}")
        self._cuts.add(cut)
        self._changed()

    def heal(self, module: str | Module | None = None, other: str | Module | None = None) -> None:
        """Mend the cut between two modules, all cuts of one, or every cut.

        Raises `ValueError` for a name that no module and no cut has.
        """
        cut = sorted(frozenset().union(*self._cuts))
        known = self._modules and dict.fromkeys([*self._modules, *cut])
        wanted = {_named(each, known) for each in (module, other) if each is not None}
        self._cuts = {cut for cut in self._cuts if not wanted <= cut}
        self._changed()

    def is_cut(self, module: str, other: str) -> bool:
        """Whether the two cannot reach each other."""
        return bool(self._cuts) and frozenset((module, other)) in self._cuts

    def reset(self) -> None:
        """Be perfect again."""
        self._loss = self._duplicates = self._reorder = 0.0
        self._latency = (0.0, 0.0)
        self._cuts.clear()
        self._changed()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` whenever a knob was turned, from now on."""
        self._watchers.append(watcher)

    def loses(self) -> bool:
        """Chance decides whether this message is lost."""
        return self._loss > 0 and self._random.random() < self._loss

    def repeats(self) -> bool:
        """Chance decides whether this message arrives twice."""
        return self._duplicates > 0 and self._random.random() < self._duplicates

    def reorders(self) -> bool:
        """Chance decides whether later messages overtake this one."""
        return self._reorder > 0 and self._random.random() < self._reorder

    def travel_time(self) -> float:
        """Seconds that this message travels."""
        shortest, longest = self._latency
        if longest == 0:
            return 0.0
        return shortest + (longest - shortest) * self._random.random()

    def detour(self) -> float:
        """Seconds that a message which is overtaken takes longer."""
        return self.travel_time() + 0.05 + 0.45 * self._random.random()

    def _changed(self) -> None:
        self.perfect = not (
            self._loss or self._duplicates or self._reorder or self._latency[1] or self._cuts
        )
        for watcher in self._watchers:
            watcher()

    def __repr__(self) -> str:
        said = [
            f"{name}={value}"
            for name, value in (
                ("loss", self._loss),
                ("duplicates", self._duplicates),
                ("reorder", self._reorder),
            )
            if value
        ]
        if self._latency[1]:
            said.append(f"latency={self._latency}")
        said.extend(sorted(f"cut: {' | '.join(sorted(cut))}" for cut in self._cuts))
        return f"Network({', '.join(said) or 'perfect'})"


def _named(module: object, known: Collection[str] = ()) -> str:
    """The name of a module that is given by its name or as itself, one of those that there are."""
    name = getattr(module, "name", module)
    if not isinstance(name, str):
        raise TypeError(f"a module, or its name, is asked for, not {module!r}")
    if known and name not in known:
        hint = near_misses(name, known) or f"; the modules are {', '.join(known)}"
        raise ValueError(f"there is no module {name!r}{hint}")
    return name


def _part(part: object, name: str) -> float:
    if not isinstance(part, int | float) or not 0 <= part <= 1:
        raise ValueError(f"{name} is a part of the messages, from 0 to 1, not {part!r}")
    return float(part)


class Faults:
    """Crashes, told beforehand: the next so many times that a point is reached.

    >>> faults = Faults()
    >>> faults.crash("before_commit", times=2, module="orders")
    >>> faults
    Faults(2 x before_commit in orders)
    >>> faults.reach("before_commit", "inventory")
    >>> faults.reach("before_commit", "orders")
    Traceback (most recent call last):
        ...
    modulus_es.errors.SimulatedCrash: crash at before_commit in orders
    """

    def __init__(self, modules: Collection[str] = ()) -> None:
        self._modules = modules
        self._armed: list[tuple[CrashPoint, str | None, int]] = []
        self.armed = False

    def crash(self, point: CrashPoint, times: int = 1, module: str | Module | None = None) -> None:
        """Let a component die where it next reaches ``point``.

        ``before_commit`` and ``after_commit``: in a unit of work;
        ``before_publish`` and ``after_publish``: in the relay, around handing a
        message to the transport; ``before_ack``: in the consumer, when it holds
        a message and has not said so. ``module`` picks one, which must exist
        once there are any; else it is whichever comes first.
        """
        if point not in CRASH_POINTS:
            raise ValueError(f"a crash point is one of {', '.join(CRASH_POINTS)}, not {point!r}")
        times = whole(times, "times", 1)
        where = None if module is None else _named(module, self._modules)
        self._armed.append((point, where, times))
        self.armed = True

    def clear(self) -> None:
        """Forget the crashes that have not happened."""
        self._armed.clear()
        self.armed = False

    def reach(self, point: CrashPoint, module: str, *, committed: bool | None = None) -> None:
        """Raise `SimulatedCrash` if it was told to happen here."""
        for index, (armed, where, times) in enumerate(self._armed):
            if armed == point and where in (None, module):
                if times > 1:
                    self._armed[index] = (armed, where, times - 1)
                else:
                    del self._armed[index]
                self.armed = bool(self._armed)
                raise SimulatedCrash(point, module, committed=committed)

    def __repr__(self) -> str:
        said = [
            f"{times} x {point}{f' in {where}' if where else ''}"
            for point, where, times in self._armed
        ]
        return f"Faults({', '.join(said) or 'none'})"


ACKNOWLEDGEMENT_TIMEOUT = timedelta(seconds=1)
"""How long a sender waits for an acknowledgement before it sends again."""
