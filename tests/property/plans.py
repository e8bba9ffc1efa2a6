"""What a system is to do, as plain data, and what must come of it, told without any system.

A plan is a forest of messages. The roots are commands; a handler does its `Work` about a
message: it records events, which projectors turn into more messages, publishes and sends others,
and fails so many times first. `expected` walks the forest and says what must be in the stores in
the end, whatever the network and the crashes did meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import strategies as st

ALWAYS = 99
CONTRACTS = 3


@dataclass(frozen=True)
class Record:
    """One domain event: what a projector tells of it, and who handles it in its own module."""

    told: tuple[Message, ...] = ()
    echo: bool = False
    """A before-commit handler records another event in the same unit of work."""
    after: bool = False
    """An after-commit handler records another event in a unit of work of its own."""


@dataclass(frozen=True)
class Work:
    """What one handler does about one message."""

    records: tuple[Record, ...] = ()
    publishes: tuple[Message, ...] = ()
    commands: tuple[Message, ...] = ()
    """Sent through the mediator: each happens at once, in a unit of work of its own."""
    fails: int = 0
    late: bool = False
    """It fails when all is done already, and all of that must be undone."""
    rests: float = 0.0
    """So many seconds of virtual time pass meanwhile."""
    refuses: bool = False
    """It answers a `Failure`: commands only."""


@dataclass(frozen=True)
class Message:
    """An event of contract ``contract``, or a command to module ``to``."""

    node: int
    contract: int | None = None
    to: int | None = None
    key: str | None = None
    later: float = 0.0
    works: dict[str, Work] = field(default_factory=dict)


@dataclass(frozen=True)
class Hearer:
    """A handler of an integration event."""

    name: str
    contract: int
    module: int
    attempts: int = 5
    ordered: bool = True
    is_class: bool = False


@dataclass(frozen=True)
class Weather:
    """What goes wrong on the way."""

    loss: float = 0.0
    duplicates: float = 0.0
    reorder: float = 0.0
    latency: tuple[float, float] = (0.0, 0.0)
    crashes: tuple[tuple[str, int, int | None], ...] = ()
    cuts: tuple[tuple[int, int, float], ...] = ()
    """Two modules, and after how long they are cut off from each other."""


@dataclass(frozen=True)
class Plan:
    """A system, what it is to do, and what goes wrong."""

    modules: int
    hearers: tuple[Hearer, ...]
    roots: tuple[Message, ...]
    pauses: tuple[float, ...]
    """So many seconds of virtual time pass after each root."""
    weather: Weather = Weather()
    relays: tuple[int, ...] = ()
    """Modules that have one relay more."""
    seed: int = 0

    def hearers_of(self, message: Message) -> list[Hearer]:
        """The handlers of a message."""
        if message.to is not None:
            return [Hearer(f"do_{message.to}", -1, message.to)]
        return [each for each in self.hearers if each.contract == message.contract]

    def messages(self) -> Iterator[Message]:
        """Every message that may come to be."""
        waiting = list(self.roots)
        while waiting:
            message = waiting.pop()
            yield message
            for work in message.works.values():
                waiting += children(work) + list(work.commands)


def children(work: Work) -> list[Message]:
    """The messages that a work puts into the outbox when it succeeds."""
    return [*(m for record in work.records for m in record.told), *work.publishes]


def dies(work: Work, hearer: Hearer) -> bool:
    """Whether the handler uses up all of its attempts."""
    return work.fails >= hearer.attempts


@dataclass
class Expected:
    """What must be in the stores in the end."""

    deliveries: dict[tuple[int, str], tuple[str, int, int]] = field(default_factory=dict)
    """(node, handler): outcome in the ledger, attempts, effects."""
    unheard: set[int] = field(default_factory=set)
    events: dict[tuple[int, str], int] = field(default_factory=dict)
    """(node, handler): events recorded by the handler itself."""
    echoes: dict[int, int] = field(default_factory=dict)
    afters: dict[int, int] = field(default_factory=dict)
    """node: events recorded after the commit; fewer are right where something crashed."""
    calls: dict[tuple[int, str], int] = field(default_factory=dict)
    """(node, handler): how often the handler is called, if nothing crashes."""


def expected(plan: Plan) -> Expected:
    """Walk through a plan and say what must be in the stores in the end."""
    said = Expected()
    waiting = []
    for root in plan.roots:
        waiting += _happens(said, root, f"do_{root.to}", None)
    while waiting:
        message = waiting.pop()
        hearers = plan.hearers_of(message)
        if not hearers:
            said.unheard.add(message.node)
        for hearer in hearers:
            work = message.works[hearer.name]
            if dies(work, hearer):
                said.deliveries[message.node, hearer.name] = ("dead", hearer.attempts, 0)
                said.calls[message.node, hearer.name] = hearer.attempts
            else:
                waiting += _happens(said, message, hearer.name, work.fails + 1)
    return said


def _happens(said: Expected, message: Message, handler: str, attempts: int | None) -> list[Message]:
    work, node = message.works[handler], message.node
    said.calls[node, handler] = attempts or 1
    if work.refuses:
        if attempts is not None:
            said.deliveries[node, handler] = ("done", attempts, 0)
        return []
    following = children(work)
    echoes = sum(record.echo for record in work.records)
    said.events[node, handler] = len(work.records)
    said.echoes[node] = said.echoes.get(node, 0) + echoes
    said.afters[node] = said.afters.get(node, 0) + sum(record.after for record in work.records)
    for command in work.commands:
        following += _happens(said, command, f"do_{command.to}", None)
    if attempts is not None:
        said.deliveries[node, handler] = ("done", attempts, _effects(work))
    return following


def _effects(work: Work) -> int:
    """What is written because of a delivery: also by the commands sent within it."""
    if work.refuses:
        return 0
    own = len(work.records) + sum(record.echo for record in work.records) + len(work.publishes)
    return own + sum(_effects(w) for command in work.commands for w in command.works.values())


# How plans are drawn

_parts = st.sampled_from([0.0, 0.2, 0.5])


@st.composite
def weathers(
    draw: st.DrawFn, modules: int, *, reorder: bool = True, crashes: bool = True
) -> Weather:
    """Bad weather of every kind."""
    points = ["before_commit", "after_commit", "before_publish", "after_publish", "before_ack"]
    where = st.none() | st.integers(0, modules - 1)
    crash = st.tuples(st.sampled_from(points), st.integers(1, 2), where)
    pair = st.sampled_from([(a, b) for a in range(modules) for b in range(a)])
    cut = st.builds(lambda two, when: (*two, when), pair, st.sampled_from([0.0, 0.3, 2.0]))
    return Weather(
        draw(_parts),
        draw(_parts),
        draw(_parts) if reorder else 0.0,
        draw(st.sampled_from([(0.0, 0.0), (0.0, 0.2), (0.01, 40.0)])),
        tuple(draw(st.lists(crash, max_size=4))) if crashes else (),
        tuple(draw(st.lists(cut, max_size=2))),
    )


@st.composite
def plans(
    draw: st.DrawFn,
    *,
    reorder: bool = True,
    crashes: bool = True,
    fair: bool = False,
    most: int = 15,
) -> Plan:
    """Any tree of commands, events, projectors and faults; in ``fair`` weather nothing goes wrong.

    At most ``most`` messages.
    """
    modules = draw(st.integers(2, 4))
    weather = Weather() if fair else draw(weathers(modules, reorder=reorder, crashes=crashes))
    relays = draw(st.lists(st.integers(0, modules - 1), max_size=0 if fair else 3))
    hearers: list[Hearer] = []
    for contract in range(CONTRACTS):
        for number in range(draw(st.integers(0, 3))):
            hearers.append(
                Hearer(
                    f"hear_{contract}_{number}",
                    contract,
                    draw(st.integers(0, modules - 1)),
                    draw(st.sampled_from([5, 5, 2])),
                    draw(st.sampled_from([True, True, False])),
                    draw(st.booleans()),
                )
            )
    author = _Author(draw, modules, tuple(hearers), most, nested=not crashed(weather))
    roots = [author.message(0, root=True) for _ in range(draw(st.integers(1, 4)))]
    pauses = [0.0 if fair else draw(st.sampled_from([0.0, 0.0, 0.1, 35.0])) for _ in roots]
    return Plan(
        modules,
        tuple(hearers),
        tuple(roots),
        tuple(pauses),
        weather,
        tuple(relays),
        draw(st.integers(0, 1000)),
    )


def crashed(weather: Weather) -> bool:
    """Whether units of work crash: what is nested in one, and committed before, stays."""
    return any("commit" in point for point, _, _ in weather.crashes)


class _Author:
    """Draws the messages of one plan."""

    def __init__(
        self, draw: Any, modules: int, hearers: tuple[Hearer, ...], most: int, *, nested: bool
    ) -> None:
        self.draw, self.modules, self.hearers, self.nested = draw, modules, hearers, nested
        self.nodes = count(1)
        self.left = most

    def message(self, depth: int, *, root: bool = False, told: bool = False) -> Message:
        """One message, with what its handlers do about it."""
        draw = self.draw
        self.left -= 1
        node = next(self.nodes)
        if root or (not told and draw(st.booleans())):
            to = draw(st.integers(0, self.modules - 1))
            name = f"do_{to}"
            works = {name: self.work(depth, to, root=root, command=True)}
            if root:
                return Message(node, to=to, works=works)
            return Message(node, None, to, draw(_keys), draw(_laters), works)
        contract = draw(st.integers(0, CONTRACTS - 1))
        works = {
            hearer.name: self.work(depth, hearer.module)
            for hearer in self.hearers
            if hearer.contract == contract
        }
        if told:
            return Message(node, contract, works=works)
        return Message(node, contract, None, draw(_keys), draw(_laters), works)

    def work(self, depth: int, module: int, *, root: bool = False, command: bool = False) -> Work:
        """What one handler in a module does."""
        draw = self.draw
        fails = 0 if root else draw(st.sampled_from([0, 0, 0, 1, 2, ALWAYS]))
        late = fails > 0 and draw(st.booleans())
        records = tuple(
            Record(self.some(depth, told=True), draw(st.booleans()), draw(st.booleans()))
            for _ in range(draw(st.integers(1 if root else 0, 2)))
        )
        commands: tuple[Message, ...] = ()
        if self.nested and not late and self.left > 0 and depth < 3 and draw(st.booleans()):
            self.left -= 1
            inner = self.work(depth + 2, module, root=True, command=True)
            works = {f"do_{module}": inner}
            commands = (Message(next(self.nodes), to=module, works=works),)
        rests = 0.0 if root else draw(st.sampled_from([0.0, 0.0, 0.5, 40.0]))
        refuses = command and not fails and not commands and draw(st.integers(0, 5)) == 5
        return Work(records, self.some(depth), commands, fails, late, rests, refuses)

    def some(self, depth: int, *, told: bool = False) -> tuple[Message, ...]:
        """A few messages, fewer the deeper."""
        if depth >= 4 or self.left <= 0:
            return ()
        many = self.draw(st.integers(0, 2))
        return tuple(self.message(depth + 1, told=told) for _ in range(many) if self.left > 0)


_keys = st.sampled_from([None, None, "a", "b"])
_laters = st.sampled_from([0.0, 0.0, 0.0, 3.0, 100.0])
