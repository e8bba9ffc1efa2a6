"""Every supported type comes back through store and wire; anything else is refused, by name.

Here a whole system carries the values: an aggregate's event into the store and back, a contract
and a command from one module to another. ``MODULUS_ES_HOSTILE_PAYLOADS=100000`` tries that many
hostile values instead of 1500.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from types import new_class
from typing import Any
from uuid import UUID

import pytest
from budgets import examples
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate as StockAggregate
from eventsourcing.domain import event as stock_event
from hypothesis import given
from hypothesis import strategies as st
from test_codec_properties import (
    HINTS,
    SCALARS,
    Box,
    Hostile,
    Item,
    Level,
    Line,
    Mode,
    Money,
    Status,
    plain_values,
    same,
    text,
    typed,
)

from modulus_es import Aggregate, Command, IntegrationEvent, SerializationError, System, event

PAYLOADS = int(os.environ.get("MODULUS_ES_HOSTILE_PAYLOADS", "1500"))


class Carrier:
    """A system that carries values of one type hint: through a store, as event and as command."""

    def __init__(self, fields: dict[str, Any], *, projects: bool = True) -> None:
        self.names = list(fields)
        self.thing = _aggregate(fields)
        space = {"__module__": __name__, "__annotations__": fields}
        self.told = new_class("Told", (IntegrationEvent,), {}, lambda ns: ns.update(space))
        self.do = new_class("Do", (Command[None],), {}, lambda ns: ns.update(space))
        self.projects = projects
        self.renew()

    def renew(self) -> None:
        """Begin with an empty system."""
        self.system = System(seed=3)
        self.here, self.there = self.system.module("here"), self.system.module("there")
        self.arrived: list[Any] = []
        if self.projects:
            self.here.projects(self.thing.Made, name="tell")(self._tell)
        self.there.on(self.told, name="told")(self.arrived.append)
        self.there.handles(self.do, name="do")(self.arrived.append)

    def _tell(self, made: Any) -> Any:
        return self.told(**{name: getattr(made, name) for name in self.names})

    def written(self) -> tuple[int, int]:
        """How many events and messages there are."""
        store = self.here.store
        return sum(1 for _ in self.here.stored_events()), sum(1 for _ in store.outbox_rows())

    async def carry(self, **values: Any) -> None:
        """Let values travel every way, and compare what arrives."""
        thing = self.thing(**values)
        await self.here.save(thing)
        found = await self.here.get(self.thing, thing.id)
        await self.here.bus.publish(self.told(**values))
        await self.here.bus.send(self.do(**values), to="there")
        self.arrived.clear()
        await self.system.run()
        assert len(self.arrived) == 3
        for name in self.names:
            for other in (found, *self.arrived):
                assert same(getattr(other, name), values[name]), name


def _aggregate(fields: dict[str, Any]) -> Any:
    # What `class Thing(Aggregate)` with an `__init__` of these parameters does.
    def made(self: Any, **values: Any) -> None:
        vars(self).update(values)

    body = "".join(f"    self.{name} = {name}\n" for name in fields)
    space: dict[str, Any] = {}
    exec(f"def __init__(self, {', '.join(fields)}):\n{body}", space)
    init = space["__init__"]
    init.__annotations__ = {**fields, "return": None}
    init.__module__, init.__qualname__ = __name__, "Thing.__init__"
    return type(
        "Thing",
        (Aggregate,),
        {"__module__": __name__, "__qualname__": "Thing", "__init__": event("Made")(init)},
    )


EVERYTHING: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    **{hint.__name__.lower(): (hint, values) for hint, values in SCALARS.items()},
    "a_list": (list[Decimal], st.lists(SCALARS[Decimal], max_size=3)),
    "a_tuple": (tuple[UUID, ...], st.lists(SCALARS[UUID], max_size=3).map(tuple)),
    "a_pair": (tuple[date, time], st.tuples(SCALARS[date], SCALARS[time])),
    "a_set": (set[timedelta], st.sets(SCALARS[timedelta], max_size=3)),
    "a_frozenset": (frozenset[Status], st.frozensets(SCALARS[Status], max_size=3)),
    "a_dict": (dict[UUID, Money], st.dictionaries(SCALARS[UUID], SCALARS[Money], max_size=3)),
    "keyed_by_item": (dict[Item, int], st.dictionaries(SCALARS[Item], SCALARS[int], max_size=3)),
    "nested": (
        dict[str, list[tuple[Line, ...]]],
        st.dictionaries(text, st.lists(st.tuples(SCALARS[Line]), max_size=2), max_size=2),
    ),
    "optional": (Decimal | None, st.none() | SCALARS[Decimal]),
    "either": (UUID | str, SCALARS[UUID] | text),
    "many": (
        datetime | date | int | float | bool | None,
        st.one_of(*(SCALARS[each] for each in (datetime, date, int, float, bool)), st.none()),
    ),
    "items_or_one": (Item | list[Item] | None, SCALARS[Item] | st.lists(SCALARS[Item], max_size=2)),
    "boxed": (Box[Decimal], SCALARS[Decimal].map(Box)),
    "untyped": (Any, plain_values),
}


@cache
def everything() -> Carrier:
    return Carrier({name: hint for name, (hint, _) in EVERYTHING.items()})


@given(st.fixed_dictionaries({name: values for name, (_, values) in EVERYTHING.items()}))
@examples(30)
def test_every_supported_type_comes_back_equal_and_of_the_same_type(values: dict[str, Any]) -> None:
    asyncio.run(everything().carry(**values))


def test_a_value_that_came_back_with_another_type_would_be_noticed() -> None:
    assert same([1, Decimal("1.0"), {"a": (1,)}], [1, Decimal("1.0"), {"a": (1,)}])
    for value, other in [
        (1, True),
        (1, 1.0),
        (Decimal("1.0"), Decimal("1.00")),
        (Level.LOW, 1),
        (Status.OPEN, "open"),
        ((1,), [1]),
        ({1}, frozenset({1})),
        ({"a": [Mode(1)]}, {"a": [1]}),
        (Item("a", 1), Item("a", True)),
    ]:
        assert not same(value, other)


@given(typed())
@examples(40)
def test_a_value_of_any_composed_type_comes_back(case: tuple[Any, Any]) -> None:
    hint, value = case
    asyncio.run(Carrier({"value": hint}).carry(value=value))


# Hostile values

ROUTES = ("store", "event", "command")


@pytest.mark.parametrize("route", ROUTES)
def test_hostile_values_are_refused_with_nothing_written_or_come_back(route: str) -> None:
    hints = (Any, *(type(None) if hint is None else hint for hint in HINTS))
    carriers = [Carrier({"value": hint}, projects=False) for hint in hints]
    hostile, tally = Hostile(seed=ROUTES.index(route)), Counter[str]()

    async def try_all() -> None:
        for number in range(PAYLOADS // len(ROUTES)):
            # Half of them go where anything may go, and half where something else is declared.
            carrier = carriers[0 if number % 2 else number // 2 % len(carriers)]
            tally[await _try(carrier, route, hostile.value())] += 1

    asyncio.run(try_all())
    assert sum(tally.values()) == PAYLOADS // len(ROUTES)
    assert tally["refused"] > 0.4 * PAYLOADS / len(ROUTES)
    assert tally["came back"] > 0.05 * PAYLOADS / len(ROUTES)


async def _try(carrier: Carrier, route: str, value: Any) -> str:
    before, refused = carrier.written(), None
    thing = carrier.thing(value=value)
    name = {"store": "Thing.Made.value", "event": "Told.value", "command": "Do.value"}[route]
    try:
        if route == "store":
            await carrier.here.save(thing)
        elif route == "event":
            await carrier.here.bus.publish(carrier.told(value=value))
        else:
            await carrier.here.bus.send(carrier.do(value=value), to="there")
    except SerializationError as error:
        refused = error
    if refused is not None:
        assert refused.path.startswith(name)
        assert name in str(refused)
        assert carrier.written() == before
        assert len(thing.pending_events) == 1
        return "refused"
    if route == "store":
        found = (await carrier.here.get(carrier.thing, thing.id)).value
    else:
        carrier.arrived.clear()
        await carrier.system.run()
        (arrived,) = carrier.arrived
        found = arrived.value
    assert same(found, value)
    return "came back"


def test_a_refused_value_takes_everything_of_its_unit_of_work_with_it() -> None:
    carrier = Carrier({"value": Any})
    hostile = Hostile(seed=4)

    async def try_all() -> int:
        refused = 0
        for _ in range(300):
            before = carrier.written()
            good, bad = carrier.thing(value=1), carrier.thing(value=hostile.value())
            try:
                await carrier.here.save(good, bad)
            except SerializationError:
                refused += 1
                assert carrier.written() == before
                assert len(good.pending_events) == 1
                await carrier.here.save(good)
                assert (await carrier.here.get(carrier.thing, good.id)).value == 1
        return refused

    assert asyncio.run(try_all()) > 100


# The control: eventsourcing as it comes


class StockThing(StockAggregate):
    @stock_event("Made")
    def __init__(self, value: Any) -> None:
        self.value = value


def test_the_stock_library_changes_some_of_the_same_values_and_cannot_read_others() -> None:
    application, hostile = Application[UUID](), Hostile(seed=0)
    tally = Counter[str]()
    for _ in range(2000):
        value = hostile.value()
        try:
            thing = StockThing(value)
            application.save(thing)
        except Exception:
            tally["refused"] += 1
            continue
        try:
            found = application.repository.get(thing.id)
        except Exception:
            tally["unreadable"] += 1
        else:
            tally["came back" if same(found.value, value) else "changed"] += 1
    assert tally["changed"] > 0
    assert tally["unreadable"] > 0
