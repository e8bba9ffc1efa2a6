"""The system: the composition root, where modules, bus, clock, ids and faults are wired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from modulus_es import ambient
from modulus_es.bus import MessageBus
from modulus_es.cascade import Cascades
from modulus_es.clock import Clock, SystemClock, VirtualClock, iso
from modulus_es.counts import whole
from modulus_es.errors import (
    DefinitionError,
    MissingExtraError,
    StoreURLError,
    TransportURLError,
)
from modulus_es.faults import Faults, Network
from modulus_es.ids import Ids
from modulus_es.live import Live
from modulus_es.mediator import Mediator
from modulus_es.messages import Command, IntegrationEvent
from modulus_es.module import Module
from modulus_es.naming import NAME, Registry, near_misses
from modulus_es.relay import OutboxRelay
from modulus_es.retry import Retry
from modulus_es.routing import Routing
from modulus_es.running import Running
from modulus_es.services import Services
from modulus_es.steps import Closed
from modulus_es.surrounding import Surrounding, with_behaviors
from modulus_es.trace import Trace
from modulus_es.turns import Turns
from modulus_es.unit_of_work import UnitOfWork
from modulus_es.views.looking import Looking

if TYPE_CHECKING:
    from modulus_es.stores.port import Database
    from modulus_es.transports.port import Transport
    from modulus_es.views.handler_graph import HandlerGraph
    from modulus_es.views.timeline import Timeline
    from modulus_es.widgets.explorer import Explorer

_NOTHING = nullcontext()


class System(Routing, Running, Looking):
    """A set of modules, and everything between them, in one process.

    ``seed`` makes a run repeatable: with the same seed the same code gives the
    same ids, times and faults; without one a fresh seed is drawn and shown.
    ``start`` is where virtual time begins; ``clock=SystemClock()`` lives in real
    time. ``store`` is the URL of the store, ``transport`` that of the transport.
    ``retry`` is how deliveries are retried, ``retry_conflicts`` how often a
    command is when others were faster. ``group_commit`` is how many deliveries, and
    how many commands that are sent at the same time, a store may commit together,
    each behind a savepoint of its own: faster where a commit has to reach the disk.
    A power cut or a crash then undoes all that were not committed yet: deliveries
    are made again, commands were not answered. ``trace`` is how many records are
    kept.

    >>> system = System(seed=7)
    >>> orders = system.module("orders")
    >>> system
    System(seed=7, modules: orders, 2024-01-01T00:00:00Z)
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        start: datetime | None = None,
        clock: Clock | None = None,
        store: str = "memory://",
        transport: str = "memory://",
        retry: Retry | None = None,
        retry_conflicts: int = 3,
        group_commit: int = 1,
        trace: int = 100_000,
    ) -> None:
        self.group_commit = whole(group_commit, "group_commit", 1)
        self.retry_conflicts = whole(retry_conflicts, "retry_conflicts")
        self.retry = _checked_retry(retry)
        self.trace = Trace(trace)
        if clock is not None and start is not None:
            raise ValueError("give start= or clock=: a clock knows its own time")
        self._drawn = seed is None
        self.seed = SystemRandom().getrandbits(32) if seed is None else _checked_seed(seed)
        self._ids = Ids(self.seed)
        self.random = Random(f"modulus_es:{self.seed}")
        self._databases: dict[str, Database] = {}
        self._store_url = store
        self.clock: Clock = self._virtual_clock(start) if clock is None else _checked_clock(clock)
        self._database(store)
        from modulus_es.scheduler import Scheduler  # it needs asyncio, which is slow to import

        self.scheduler = Scheduler(self.clock, self)
        self._modules: dict[str, Module] = {}
        self.network = Network(Random(f"modulus_es:network:{self.seed}"), self._modules)
        self.faults = Faults(self._modules)
        self.cascades = Cascades()
        self.services = Services(
            {
                UnitOfWork: "unit_of_work",
                Mediator: "mediator",
                MessageBus: "bus",
                Module: "module",
            }
        )
        for kind in (Clock, VirtualClock, SystemClock):
            self.services.singleton(kind, self.clock)
        self.services.singleton(System, self)
        self.transport: Transport = self._open_transport(transport)
        self.contracts = Registry("the system")
        self.turns = Turns()
        self.behaviors: list[Surrounding] = []
        self._roads = {}
        self._relays: dict[str, list[OutboxRelay]] = {}
        self._live = Live(self.trace, self.clock)
        ambient.make_last(self)

    # Modules

    @property
    def modules(self) -> tuple[Module, ...]:
        """The modules, in the order in which they were made."""
        return tuple(self._modules.values())

    def module(self, name: str, *, store: str | None = None) -> Module:
        """The module of that name; made when first asked for.

        ``store`` is the URL of a store of its own.
        """
        module = self._modules.get(name)
        if module is None:
            _checked_name(name)
            url = store or self._store_url
            module = self._modules[name] = Module(self, name, self._database(url).store(name))
            relay = self.new_relay(module)
            self.scheduler.sources.extend([relay, module.consumer])
        elif store is not None and module.store.url != store:
            raise DefinitionError(f"module {name} has its store already: {module.store.url}")
        module.bind_to_caller(2)
        return module

    def __getitem__(self, name: str) -> Module:
        """The module of that name, which must exist."""
        try:
            return self._modules[name]
        except KeyError:
            hint = near_misses(name, list(self._modules))
            raise KeyError(f"there is no module {name!r}{hint}") from None

    def new_relay(self, module: Module, name: str = "relay") -> OutboxRelay:
        """A relay for a module's outbox; the one that a module has runs by itself."""
        peers = self._relays.setdefault(module.name, [])
        relay = OutboxRelay(
            module.store,
            self.transport,
            clock=self.clock,
            trace=self.trace,
            faults=self.faults,
            scheduler=self.scheduler,
            random=self.random,
            name=name,
            peers=peers,
        )
        peers.append(relay)
        return relay

    def use(self, *behaviors: Any) -> None:
        """Surround all commands and queries; the first is the outermost.

        A behaviour is a class with ``handle(request, proceed)``, made by
        injection, an object, or a function of the two.
        """
        self.behaviors[:] = with_behaviors(self.behaviors, behaviors, self.services)

    # What it had given up, or done with

    async def replay_dead_letters(
        self,
        message_id: str | UUID | None = None,
        *,
        module: str | Module | None = None,
        handler: str | None = None,
        type: str | None = None,
        payload: Mapping[str, Any] | IntegrationEvent | Command[Any] | None = None,
    ) -> int:
        """Make dead letters pending again: only the handlers that had not succeeded.

        Picks those of a message, module, handler or type; all without any.
        ``payload`` replaces fields of the one message picked, by name, each a value of
        its type or as ``dead_letters()`` shows it in the body, or is an
        object of its class. Answers how many deliveries will be made again; `run`
        makes them. Raises
        `DeserializationError` where the edited payload does not fit the contract.
        """
        from modulus_es.replay import replay_dead_letters

        self._live.raise_failure()
        name = module.name if isinstance(module, Module) else module
        wanted = None if message_id is None else str(message_id)
        return await replay_dead_letters(self, wanted, name, handler, type, payload)

    async def purge(self, older_than: timedelta = timedelta(days=7)) -> int:
        """Drop delivered rows of the outboxes, in batches; answers how many.

        Nothing is dropped unless this is called. The ledger forgets when a
        dropped message was recorded, and no longer counts it as an effect of the
        handler that published it; it keeps what the message's own handlers did.
        """
        count = 0
        for module in self.modules:
            while dropped := await module.store.purge(self.now() - older_than):
                count += dropped
        return count

    def close(self) -> Closed:
        """Let go of the stores' files and connections.

        Awaited, it runs the clean-ups of singletons too, the newest first.
        """
        for database in self._databases.values():
            database.close()
        return Closed(self.services.aclose)

    # Being looked at

    def explore(self) -> Explorer:
        """The live view of a notebook: graph, timeline, inspector and controls, linked.

        Raises `MissingExtraError` where the packages of the extra ``notebook`` are
        not installed.
        """
        return self._explored(self.graph, self.timeline)

    def _explored(
        self, graph: Callable[[], HandlerGraph], timeline: Callable[[], Timeline]
    ) -> Explorer:
        try:
            from modulus_es.widgets.explorer import Explorer
        except ModuleNotFoundError as error:
            if error.name not in ("anywidget", "ipywidgets", "traitlets"):
                raise
            raise MissingExtraError(
                f"explore() needs the package {error.name}, which is not installed: "
                'pip install "modulus-es[notebook]"'
            ) from None
        return Explorer(self, graph, timeline)

    # Where ids and times come from

    def now(self) -> datetime:
        """The time of the system's clock."""
        return self.clock.now()

    def new_id(self) -> UUID:
        """A fresh id, from the seed."""
        return self._ids.new()

    def current(self) -> AbstractContextManager[None]:
        """Let aggregates and events made inside the block take ids and times from here."""
        return ambient.Use(self)

    def current_here(self) -> AbstractContextManager[None]:
        """The same, for nothing where it was said already."""
        return _NOTHING if ambient.chosen() is self else ambient.Use(self)

    def __repr__(self) -> str:
        names = ", ".join(self._modules) or "none"
        drawn = " (drawn)" if self._drawn else ""
        live = ", live" if self._live.is_on else ""
        at = iso(self.now()) if isinstance(self.clock, VirtualClock) else repr(self.clock)
        return f"System(seed={self.seed}{drawn}, modules: {names}, {at}{live})"

    # Inside

    def _virtual_clock(self, start: datetime | None) -> VirtualClock:
        return VirtualClock(SystemClock().now() if start is None and self._drawn else start)

    def _database(self, url: str) -> Database:
        database = self._databases.get(str(url))
        if database is None:
            database = self._databases[url] = _open(url)
            self._ids.enter_session(*(d.session for d in self._databases.values()))
            # Virtual time goes on where the last of its stores was left.
            if isinstance(self.clock, VirtualClock) and (latest := database.latest_time()):
                self.clock.jump(latest)
        return database

    def _open_transport(self, url: str) -> Transport:
        if url == "memory://":
            from modulus_es.transports.memory import MemoryTransport

            return MemoryTransport(self.network, self.trace, self.scheduler)
        raise TransportURLError(f"no transport answers to {_redacted(url)!r}; there is: memory://")


def _checked_seed(seed: object) -> int:
    if not isinstance(seed, int):
        raise TypeError(f"a seed is an integer, not {seed!r}")
    return seed


def _checked_retry(retry: object) -> Retry:
    if retry is None:
        return Retry()
    if not isinstance(retry, Retry):
        raise TypeError(f"retry= takes a Retry, such as Retry(attempts=3), not {retry!r}")
    return retry


def _checked_name(name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} is no name for a module: use letters, digits, '_', '-' and '.'"
        )


def _checked_clock(clock: Any) -> Clock:
    if isinstance(clock, type) or not callable(getattr(clock, "now", None)):
        raise TypeError(f"clock= takes a clock, such as SystemClock(), not {clock!r}")
    return cast("Clock", clock)


def _open_memory(url: str) -> Database:
    if url != "memory://":
        raise StoreURLError(f"a store in memory has no name: write 'memory://', not {url!r}")
    # Adapters are imported when first used, to keep `import modulus_es` light.
    from modulus_es.stores.memory import MemoryDatabase

    return MemoryDatabase(url)


def _open_sqlite(url: str) -> Database:
    from modulus_es.stores.sqlite import SQLiteDatabase

    return SQLiteDatabase(url)


_STORES: dict[str, Callable[[str], Database]] = {"memory": _open_memory, "sqlite": _open_sqlite}


def _open(url: str) -> Database:
    scheme, separator, _ = str(url).partition("://")
    opener = _STORES.get(scheme) if separator else None
    if opener is None:
        known = ", ".join(f"{name}://" for name in _STORES)
        raise StoreURLError(f"no store answers to {_redacted(url)!r}; there is: {known}")
    return opener(url)


def _redacted(url: object) -> str:
    text = str(url)
    scheme, separator, rest = text.partition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}{separator}***@{host}" if at else text
