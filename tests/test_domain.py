"""Aggregates and domain events: both of eventsourcing's styles, with our event base."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from inspect import signature
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from eventsourcing.domain import OriginatorIDError, OriginatorVersionError

from modulus_es import (
    Aggregate,
    AggregateNotFoundError,
    DefinitionError,
    DeserializationError,
    DomainEvent,
    Module,
    ReservedFieldError,
    SerializationError,
    System,
    UnsupportedFieldError,
    event,
)
from modulus_es.clock import START

FOUR = ("id", "occurred_on_utc", "originator_id", "originator_version")


class Order(Aggregate):
    @event("Placed")
    def __init__(self, customer: str, total: Decimal = Decimal(1)) -> None:
        self.customer, self.total, self.status = customer, total, "placed"

    @event("Shipped")
    def ship(self, carrier: str) -> None:
        self.status = f"shipped by {carrier}"


class Parcel(Aggregate):
    """The explicit style, as a typed package writes it."""

    class Sent(Aggregate.Created):
        address: str
        note: str = ""

    class Moved(Aggregate.Event):
        place: str

        def apply(self, aggregate: Any) -> None:
            aggregate.place = self.place

    class Delivered(Aggregate.Event):
        to: str

    def __init__(self, address: str, note: str = "") -> None:
        self.address, self.note, self.place, self.receiver = address, note, "here", ""

    def move(self, place: str) -> None:
        self.trigger_event(self.Moved, place=place)

    @event(Delivered)
    def deliver(self, to: str) -> None:
        self.receiver = to


def new_module(name: str = "orders") -> Module:
    return System(seed=7).module(name)


async def again(aggregate: Any, module: Module | None = None) -> Any:
    """The aggregate, saved and rebuilt from its recorded events."""
    module = module or new_module()
    await module.save(aggregate)
    return await module.get(type(aggregate), aggregate.id)


# Recorded events


def test_every_recorded_event_has_all_four_attributes() -> None:
    order = Order("Ada")
    order.ship("rail")
    for version, recorded in enumerate(order.pending_events, start=1):
        values: Any = [getattr(recorded, name) for name in FOUR]
        assert list(map(type, values)) == [UUID, datetime, UUID, int]
        assert values[2:] == [order.id, version]
        assert values[1].tzinfo is UTC


async def test_the_four_attributes_come_back_from_the_store() -> None:
    module, order = new_module(), Order("Ada")
    pending = list(order.pending_events)
    await module.save(order)
    stored = [module.mapper.to_domain_event(each) for each in module.stored_events()]
    for name in FOUR:
        assert [getattr(e, name) for e in stored] == [getattr(e, name) for e in pending]


def test_an_event_takes_id_and_time_from_the_current_system() -> None:
    first, second = System(seed=7), System(seed=7)
    with first.current():
        one: Any = Order("Ada").pending_events[0]
    with second.current():
        other: Any = Order("Ada").pending_events[0]
    assert one.id == other.id
    assert one.occurred_on_utc == START


def test_an_event_is_frozen() -> None:
    placed: Any = Order("Ada").pending_events[0]
    with pytest.raises(FrozenInstanceError):
        placed.customer = "Bob"


def test_an_event_shows_its_own_fields() -> None:
    order = Order("Ada", Decimal(3))
    assert repr(order.pending_events[0]) == "Order.Placed(customer='Ada', total=Decimal('3'))"


def test_an_explicit_event_class_keeps_a_repr_of_its_own() -> None:
    class Note(Aggregate):
        class Written(Aggregate.Created):
            text: str

            def __repr__(self) -> str:
                return f"<{self.text}>"

        @event(Written)
        def __init__(self, text: str) -> None: ...

    assert repr(Note("hi").pending_events[0]) == "<hi>"


def test_an_aggregate_shows_its_state() -> None:
    order = Order("Ada")
    assert repr(order).startswith(f"Order(id={order.id!r}, version=1, customer='Ada'")


# Both styles


async def test_a_decorated_aggregate_is_rebuilt_from_its_events() -> None:
    order = Order("Ada", Decimal("2.50"))
    order.ship("rail")
    rebuilt = await again(order)
    assert (rebuilt.customer, rebuilt.total, rebuilt.status, rebuilt.version) == (
        "Ada",
        Decimal("2.50"),
        "shipped by rail",
        2,
    )
    assert rebuilt == order


async def test_an_explicit_aggregate_is_rebuilt_from_its_events() -> None:
    parcel = Parcel("Ghent", note="fragile")
    parcel.move("Antwerp")
    parcel.deliver("Bob")
    rebuilt = await again(parcel)
    assert (rebuilt.address, rebuilt.note, rebuilt.place, rebuilt.receiver) == (
        "Ghent",
        "fragile",
        "Antwerp",
        "Bob",
    )


class Opened(Aggregate.Created):
    owner: str


class Deposited(Aggregate.Event):
    amount: int


class Account(Aggregate):
    """Explicit event classes that were written outside the aggregate."""

    @event(Opened)
    def __init__(self, owner: str) -> None:
        self.owner, self.balance = owner, 0

    @event(Deposited)
    def deposit(self, amount: int) -> None:
        self.balance += amount


async def test_explicit_event_classes_may_stand_outside_the_aggregate() -> None:
    account = Account("Ada")
    account.deposit(5)
    assert isinstance(account.pending_events[0], Opened)
    assert isinstance(account.pending_events[1], Deposited)
    assert (await again(account)).balance == 5


def test_one_explicit_event_class_is_recorded_by_one_method() -> None:
    with pytest.raises(DefinitionError, match="used by two methods"):

        class Purse(Aggregate):
            class Changed(Aggregate.Event):
                amount: int

            @event("Opened")
            def __init__(self) -> None: ...

            @event(Changed)
            def add(self, amount: int) -> None: ...

            @event(Changed)
            def take(self, amount: int) -> None: ...


async def test_a_property_setter_may_record_an_event() -> None:
    class Person(Aggregate):
        @event("Born")
        def __init__(self, name: str) -> None:
            self._name = name

        @property
        def name(self) -> str:
            return self._name

        @name.setter
        @event("Renamed")
        def name(self, value: str) -> None:
            self._name = value

    person = Person("Ada")
    person.name = "Grace"
    assert [type(e).__name__ for e in person.pending_events] == ["Born", "Renamed"]
    assert (await again(person)).name == "Grace"


async def test_a_setter_may_be_decorated_from_above() -> None:
    class Person(Aggregate):
        @event("Born")
        def __init__(self, name: str) -> None:
            self._name = name

        @property
        def name(self) -> str:
            return self._name

        @event("Renamed", version=2)
        @name.setter
        def name(self, value: str) -> None:
            self._name = value

    person = Person("Ada")
    person.name = "Grace"  # type: ignore[misc]
    assert type(person.pending_events[1]).class_version == 2  # type: ignore[attr-defined]
    assert (await again(person)).name == "Grace"


def test_a_reserved_name_in_a_property_setter_is_refused() -> None:
    with pytest.raises(ReservedFieldError, match="originator_id"):

        class Person(Aggregate):
            @event("Born")
            def __init__(self) -> None: ...

            @property
            def boss(self) -> UUID: ...

            @boss.setter
            @event("Moved")
            def boss(self, originator_id: UUID) -> None: ...


async def test_the_name_of_an_event_may_come_from_its_method() -> None:
    class Light(Aggregate):
        @event("Installed")
        def __init__(self) -> None:
            self.on = False

        @event
        def switched_on(self) -> None:
            self.on = True

    light = Light()
    light.switched_on()
    assert type(light.pending_events[1]).__name__ == "SwitchedOn"
    assert (await again(light)).on


async def test_a_plain_constructor_records_the_created_event() -> None:
    class Note(Aggregate):
        def __init__(self, text: str, pinned: bool = False) -> None:
            self.text, self.pinned = text, pinned

    rebuilt = await again(Note("hi"))
    assert (rebuilt.text, rebuilt.pinned) == ("hi", False)


@pytest.mark.parametrize("with_constructor", [True, False])
async def test_created_is_the_event_that_is_recorded_where_no_other_is_named(
    orders: Module, with_constructor: bool
) -> None:
    class Plain(Aggregate):
        if with_constructor:

            def __init__(self) -> None: ...

    heard: list[str] = []

    @orders.on(Plain.Created)
    def hear(created: Plain.Created) -> None:
        heard.append(type(created).__qualname__)

    await orders.save(Plain())
    assert [name.rpartition("<locals>.")[2] for name in heard] == ["Plain.Created"]
    assert [stored.topic for stored in orders.stored_events()] == ["Plain.Created"]


async def test_an_aggregate_may_be_written_as_a_dataclass() -> None:
    class Note(Aggregate):
        text: str
        pinned: bool = False

    rebuilt = await again(Note("hi", pinned=True))
    assert (rebuilt.text, rebuilt.pinned) == ("hi", True)


# Ids


async def test_the_constructor_may_take_the_id() -> None:
    class Seat(Aggregate):
        @event("Added")
        def __init__(self, id: UUID, row: int) -> None:
            self.row = row

    chosen = uuid4()
    seat = Seat(chosen, 3)
    assert seat.id == chosen
    assert (await again(seat)).row == 3


async def test_create_id_derives_the_id_from_what_it_names() -> None:
    space = uuid4()

    class Page(Aggregate):
        @staticmethod
        def create_id(name: str) -> UUID:  # type: ignore[override]
            return uuid5(space, name)

        @event("Written")
        def __init__(self, name: str, body: str) -> None:
            self.name, self.body = name, body

    page = Page("home", "hello")
    assert page.id == uuid5(space, "home")
    assert (await again(page)).body == "hello"


@pytest.mark.parametrize("part", ["create_id", "_create", "create_timestamp", "__post_init__"])
def test_what_a_class_says_of_its_beginning_holds_each_time(part: str) -> None:
    asked: list[str] = []

    class Page(Aggregate):
        class Written(Aggregate.Created):
            body: str

            if part == "create_timestamp":

                @staticmethod
                def create_timestamp() -> datetime:
                    asked.append(part)
                    return START

            if part == "__post_init__":

                def __post_init__(self) -> None:
                    asked.append(part)

        @event(Written)
        def __init__(self, body: str) -> None:
            self.body = body

        if part == "create_id":

            @staticmethod
            def create_id(*_: Any, **__: Any) -> UUID:
                asked.append(part)
                return uuid4()

        if part == "_create":

            @classmethod
            def _create(cls, event_class: Any, **kwargs: Any) -> Any:
                asked.append(part)
                return super()._create(event_class, **kwargs)

    pages = [Page("one"), Page("two"), Page("three")]
    assert [page.body for page in pages] == ["one", "two", "three"]
    assert asked == [part] * 3


def test_an_id_that_is_no_uuid_is_refused() -> None:
    class Seat(Aggregate):
        @event("Added")
        def __init__(self, id: UUID) -> None: ...

    with pytest.raises(TypeError, match="the id of Seat is a UUID, not 'A1'"):
        Seat("A1")  # type: ignore[arg-type]


def test_ids_come_from_the_current_system() -> None:
    with System(seed=7).current():
        one = Order("Ada")
    with System(seed=7).current():
        other = Order("Ada")
    with System(seed=8).current():
        third = Order("Ada")
    assert one.id == other.id != third.id


# Inheritance


class Special(Order):
    @event("Blessed")
    def bless(self, by: str) -> None:
        self.blessed_by = by


async def test_an_inherited_aggregate_records_and_replays_what_it_inherited() -> None:
    special = Special("Ada")
    special.ship("rail")
    special.bless("Bob")
    rebuilt = await again(special)
    assert type(rebuilt) is Special
    assert (rebuilt.status, rebuilt.blessed_by) == ("shipped by rail", "Bob")


async def test_an_inherited_aggregate_replays_where_only_it_is_known() -> None:
    module, special = new_module(), Special("Ada")
    special.ship("rail")
    await module.save(special)
    fresh = type(module.registry)("module orders")
    module.registry.__dict__.update(fresh.__dict__)
    rebuilt = await module.get(Special, special.id)
    assert rebuilt.status == "shipped by rail"


async def test_an_aggregate_is_found_as_its_base() -> None:
    module, special = new_module(), Special("Ada")
    await module.save(special)
    assert type(await module.get(Order, special.id)) is Special


async def test_an_aggregate_is_not_found_as_another_class() -> None:
    module, order = new_module(), Order("Ada")
    await module.save(order)
    with pytest.raises(AggregateNotFoundError, match=r"orders has no Parcel .*: there is Order"):
        await module.get(Parcel, order.id)


# Loading


async def test_an_aggregate_is_loaded_as_it_was_at_a_version() -> None:
    module, order = new_module(), Order("Ada")
    order.ship("rail")
    await module.save(order)
    assert (await module.get(Order, order.id, version=1)).status == "placed"


@pytest.mark.parametrize("version", [0, 3])
async def test_a_version_that_there_never_was_is_not_found(version: int) -> None:
    module, order = new_module(), Order("Ada")
    await module.save(order)
    with pytest.raises(AggregateNotFoundError, match=f"at version {version}"):
        await module.get(Order, order.id, version=version)


async def test_an_aggregate_that_there_never_was_is_not_found() -> None:
    module, nobody = new_module(), uuid4()
    with pytest.raises(AggregateNotFoundError, match=f"orders has no Order {nobody}"):
        await module.get(Order, nobody)


@pytest.mark.parametrize("wrong", ["Order", Order("Ada"), DomainEvent, None])
async def test_only_aggregates_can_be_loaded(wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes an aggregate class and an id"):
        await new_module().get(wrong, uuid4())


async def test_an_aggregate_is_loaded_by_a_uuid() -> None:
    with pytest.raises(TypeError, match="is a UUID, not '17'"):
        await new_module().get(Order, "17")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "says"),
    [([1], "does not begin an aggregate"), ([0, 2], "does not follow the one before")],
)
async def test_rows_that_were_removed_are_named(rows: list[int], says: str) -> None:
    module, order = new_module(), Order("Ada")
    order.ship("rail")
    order.ship("road")
    stored = [module.mapper.to_stored_event(each) for each in order.pending_events]
    module.store.recorder.insert_events([stored[row] for row in rows])
    module.learn(Order)
    with pytest.raises(DeserializationError, match=says) as caught:
        await module.get(Order, order.id)
    assert str(order.id) in str(caught.value)


# Reserved fields and fields that cannot be recorded


@pytest.mark.parametrize("name", FOUR)
def test_a_decorated_method_cannot_shadow_what_every_event_has(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"def change(self, {name}: int) -> None: ...", namespace)
    with pytest.raises(ReservedFieldError, match=f"'{name}'"):
        type("Thing", (Aggregate,), {"change": event("Changed")(namespace["change"])})


@pytest.mark.parametrize("name", [*FOUR, "correlation_id", "causation_id", "timestamp"])
def test_an_explicit_event_class_cannot_shadow_what_every_event_has(name: str) -> None:
    with pytest.raises(ReservedFieldError, match=f"has a field '{name}'.*call it something else"):
        type("Changed", (Aggregate.Event,), {"__annotations__": {name: int}})


@pytest.mark.parametrize("name", ["id", "occurred_on_utc"])
def test_a_directly_subclassed_event_cannot_shadow_what_it_has(name: str) -> None:
    with pytest.raises(ReservedFieldError, match=f"has a field '{name}'"):
        type("Opened", (DomainEvent,), {"__annotations__": {name: int}})


def test_a_property_shadows_as_a_field_does() -> None:
    with pytest.raises(ReservedFieldError):

        class Opened(DomainEvent):
            @property
            def id(self) -> UUID:  # type: ignore[override]
                return uuid4()


def test_a_refused_definition_leaves_the_name_free() -> None:
    def thing(field: str) -> Any:
        changed = {"__annotations__": {field: int}}
        return type(
            "Thing", (Aggregate,), {"Changed": type("Changed", (Aggregate.Event,), changed)}
        )

    with pytest.raises(ReservedFieldError):
        thing("id")
    assert thing("size")().version == 1


class Mutable:
    pass


@dataclass
class Thawed:
    n: int


@pytest.mark.parametrize("kind", [Mutable, Thawed, io.StringIO, Callable[[], None], complex])
def test_a_field_that_cannot_be_recorded_is_refused_when_the_class_is_defined(kind: Any) -> None:
    with pytest.raises(UnsupportedFieldError, match=r"Order\.Placed\.thing"):

        class Order(Aggregate):
            class Placed(Aggregate.Created):
                thing: kind


async def test_a_field_without_a_type_hint_comes_back_as_it_was() -> None:
    class Box(Aggregate):
        @event("Packed")
        def __init__(self, content) -> None:  # type: ignore[no-untyped-def]
            self.content = content

    content = {"a": (1, Decimal("2.0"), START), "b": [uuid4(), None]}
    rebuilt = await again(Box(content))
    assert rebuilt.content == content
    assert type(rebuilt.content["a"]) is tuple


def test_an_aggregate_class_says_what_it_is_made_of() -> None:
    assert list(signature(Cart).parameters) == ["items", "prices"]


class Cart(Aggregate):
    @event("Filled")
    def __init__(self, items: list[str], prices: dict[str, list[int]]) -> None:
        self.items, self.prices = items, prices

    @event("Added")
    def add(self, item: str, tags: list[str] | None = None) -> None:
        self.items.append(item)
        self.prices["tea"].append(len(self.items))
        self.tags = tags
        if tags is not None:
            tags.append("added")


async def test_what_an_event_recorded_stays_though_the_aggregate_changes_the_same_list() -> None:
    cart = Cart(["tea"], {"tea": [1]})
    cart.add("milk", tags=["cold"])
    filled, added = cart.pending_events
    assert (filled.items, filled.prices, added.tags) == (["tea"], {"tea": [1]}, ["cold"])
    rebuilt = await again(cart)
    assert (rebuilt.items, rebuilt.prices, rebuilt.tags) == (cart.items, cart.prices, cart.tags)


async def test_what_an_event_recorded_stays_though_the_caller_changes_his_list() -> None:
    items = ["tea"]
    cart = Cart(items, {"tea": []})
    items.append("nothing that the cart was told")
    assert (await again(cart)).items == ["tea"]


async def test_what_an_event_recorded_stays_though_a_projector_saw_the_aggregate_between() -> None:
    module = new_module()

    @module.projects(Cart.Filled)
    def seen(filled: Cart.Filled, cart: Cart) -> None:
        assert cart.items == ["tea"]

    @module.projects(Cart.Added)
    def seen_again(added: Cart.Added, cart: Cart) -> None:
        assert len(cart.items) == added.originator_version

    cart = Cart(["tea"], {"tea": []})
    cart.add("milk")
    cart.add("sugar")
    await module.save(cart)
    assert (await module.get(Cart, cart.id)).items == ["tea", "milk", "sugar"]


async def test_a_field_that_a_factory_makes_is_recorded_as_it_was_made() -> None:
    @dataclass
    class Dog(Aggregate):
        name: str
        tricks: list[str] = field(default_factory=list)

        @event("Learned")
        def learn(self, trick: str) -> None:
            self.tricks.append(trick)

    fido, other = Dog("Fido"), Dog("Rex")  # type: ignore[call-arg]
    fido.learn("roll")
    assert (await again(fido)).tricks == ["roll"]
    assert (await again(other)).tricks == []


async def test_a_value_without_a_type_that_cannot_be_stored_is_refused_by_name() -> None:
    class Box(Aggregate):
        @event("Packed")
        def __init__(self, content) -> None:  # type: ignore[no-untyped-def]
            self.content = content

    module = new_module()
    with pytest.raises(SerializationError) as caught:
        await module.save(Box(object()))
    assert caught.value.path == "Box.Packed.content"
    assert list(module.stored_events()) == []


async def test_a_value_of_the_wrong_type_is_refused_by_name_and_nothing_is_written() -> None:
    module = new_module()
    good, bad = Order("Ada"), Order(17)  # type: ignore[arg-type]
    with pytest.raises(SerializationError) as caught:
        await module.save(good, bad)
    assert caught.value.path == "Order.Placed.customer"
    assert list(module.stored_events()) == []


@pytest.mark.parametrize("at", [datetime(2024, 1, 1), "now"])  # noqa: DTZ001
async def test_an_event_without_a_proper_time_is_refused_by_name(at: Any) -> None:
    class Sensor(Aggregate):
        class Read(Aggregate.Event):
            value: int

        @event("Installed")
        def __init__(self) -> None: ...

    module, sensor = new_module(), Sensor()
    sensor.trigger_event(Sensor.Read, value=1, timestamp=at)
    with pytest.raises(SerializationError, match=r"Sensor\.Read\.timestamp"):
        await module.save(sensor)


async def test_an_explicit_time_is_the_events_time() -> None:
    class Sensor(Aggregate):
        class Read(Aggregate.Event):
            value: int

        @event("Installed")
        def __init__(self) -> None: ...

    module, sensor = new_module(), Sensor()
    then = datetime(2020, 2, 3, tzinfo=UTC)
    sensor.trigger_event(Sensor.Read, value=1, timestamp=then)
    await module.save(sensor)
    stored = list(module.stored_events())[1]
    assert module.mapper.to_domain_event(stored).occurred_on_utc == then


def test_eventsourcings_explicit_topics_are_named_our_way() -> None:
    with pytest.raises(DefinitionError, match="name="):

        class Order(Aggregate):
            TOPIC = "order"


# Events that no aggregate records


class WarehouseOpened(DomainEvent):
    city: str
    size: int = 3


def test_a_directly_subclassed_event_has_id_and_time_filled_in() -> None:
    with System(seed=7).current():
        opened = WarehouseOpened("Ghent")
    assert type(opened.id) is UUID
    assert opened.occurred_on_utc == START


def test_a_directly_subclassed_event_takes_its_fields_by_position_or_name() -> None:
    assert WarehouseOpened("Ghent", 4).size == 4
    assert WarehouseOpened(city="Ghent").city == "Ghent"


def test_a_directly_subclassed_event_is_frozen_and_compares_by_content() -> None:
    one = WarehouseOpened("Ghent", id=UUID(int=1), occurred_on_utc=START)
    same = WarehouseOpened("Ghent", id=UUID(int=1), occurred_on_utc=START)
    assert one == same
    assert hash(one) == hash(same)
    with pytest.raises(FrozenInstanceError):
        one.city = "Bruges"  # type: ignore[misc]


def test_a_directly_subclassed_event_may_hold_anything_because_it_is_not_recorded() -> None:
    class Loaded(DomainEvent):
        stream: io.StringIO

    assert Loaded(io.StringIO("a")).stream.read() == "a"


def test_a_subclass_of_a_direct_event_adds_its_fields() -> None:
    class BigWarehouseOpened(WarehouseOpened):
        floors: int = 2

    opened = BigWarehouseOpened("Ghent", floors=5)
    assert (opened.city, opened.floors) == ("Ghent", 5)
    assert type(opened.id) is UUID


class Note(Aggregate):
    @event("Made")
    def __init__(self, n: int) -> None:
        self.n = n

    @event("Added")
    def add(self, k: int) -> None:
        self.n += k


class Note0(Note):
    pass


class Note1(Note0):
    pass


@pytest.mark.parametrize("cls", [Note, Note0, Note1])
async def test_an_inherited_method_records_the_event_of_its_own_class(cls: Any) -> None:
    module = System(seed=7).module("notes")
    heard: list[str] = []

    @module.on(cls.Added)
    def added(event: Any) -> None:
        heard.append(type(event).__qualname__)

    note = cls(1)
    note.add(2)
    await module.save(note)
    assert heard == [f"{cls.__name__}.Added"]
    assert [stored.topic for stored in module.stored_events()] == [
        f"{cls.__name__}.Made",
        f"{cls.__name__}.Added",
    ]
    assert (await module.get(cls, note.id)).n == 3


async def test_an_inherited_method_s_event_reaches_who_listens_to_the_base() -> None:
    module = System(seed=7).module("notes")
    heard: list[Any] = []

    @module.on(Note.Added)
    def added(event: Any) -> None:
        heard.append(event.k)

    note = Note1(1)
    note.add(2)
    await module.save(note)
    assert heard == [2]


async def test_what_was_recorded_under_the_base_s_event_replays() -> None:
    module = System(seed=7).module("notes")
    note = Note0(1)
    Aggregate.__base__.trigger_event(note, Note.Added, k=2)  # type: ignore[union-attr]
    await module.save(note)
    assert [stored.topic for stored in module.stored_events()] == ["Note0.Made", "Note.Added"]
    again = await module.get(Note0, note.id)
    assert (again.n, type(again)) == (3, Note0)
    again.add(4)
    await module.save(again)
    assert (await module.get(Note0, note.id)).n == 7


async def test_a_parameter_annotated_none_needs_no_import() -> None:
    module = System(seed=7).module("notes")
    namespace: dict[str, Any] = {"__name__": "cell", "Aggregate": Aggregate, "event": event}
    exec(
        "class Marked(Aggregate):\n"
        "    @event('Set')\n"
        "    def __init__(self, mark: None) -> None:\n"
        "        self.mark = mark\n",
        namespace,
    )
    marked = namespace["Marked"](None)
    await module.save(marked)
    assert (await module.get(namespace["Marked"], marked.id)).mark is None


class Stepped(Aggregate):
    @event("Begun")
    def __init__(self) -> None:
        self.steps: list[Any] = []

    @event("Stepped")
    def step(self, length: int, *, direction: str) -> None:
        self.steps.append((length, direction))

    @event("Rested")
    def rest(self) -> None:
        self.steps.append("rest")

    class Turned(Aggregate.Event):
        def apply(self, aggregate: Any) -> None:
            aggregate.steps.append("turn")


async def test_every_way_of_applying_an_event_is_the_same_live_and_rebuilt() -> None:
    module = System(seed=7).module("steps")
    stepped = Stepped()
    stepped.step(1, direction="on")
    stepped.step(2, direction="back")
    stepped.rest()
    stepped.trigger_event(Stepped.Turned)
    expected = [(1, "on"), (2, "back"), "rest", "turn"]
    assert stepped.steps == expected
    await module.save(stepped)
    again = await module.get(Stepped, stepped.id)
    assert again.steps == expected
    assert again == stepped


def test_an_event_is_applied_to_its_own_aggregate_and_in_order_only() -> None:
    one, other = Stepped(), Stepped()
    one.rest()
    (_, rested) = one.pending_events
    with pytest.raises(OriginatorIDError):
        rested.mutate(other)
    with pytest.raises(OriginatorVersionError):
        rested.mutate(one)


# However a method that records is called, and however its event is declared


class Basket(Aggregate):
    @event("Begun")
    def __init__(self) -> None:
        self.held: list[tuple[str, int]] = []

    @event("Filled")
    def fill(self, sku: str, pieces: int = 1) -> None:
        """Put something in."""
        self.held.append((sku, pieces))

    class Weighed(Aggregate.Event):
        grams: int
        scale: str = "kitchen"

        def __post_init__(self) -> None:
            if self.grams < 0:
                raise ValueError("nothing weighs so little")

    @event(Weighed)
    def weigh(self, grams: int) -> None:
        """Put it on the scale."""


def test_a_recording_method_takes_its_arguments_by_position_by_name_and_by_default() -> None:
    basket = Basket()
    basket.fill("apple")
    basket.fill("pear", 2)
    basket.fill(pieces=3, sku="plum")
    Basket.fill(basket, "fig", pieces=4)
    assert basket.held == [("apple", 1), ("pear", 2), ("plum", 3), ("fig", 4)]
    found = [(e.sku, e.pieces) for e in basket.pending_events[1:]]  # type: ignore[attr-defined]
    assert found == basket.held


@pytest.mark.parametrize("arguments", [(), ("apple", 1, "more")])
def test_a_recording_method_refuses_what_its_signature_does(arguments: Any) -> None:
    basket = Basket()
    with pytest.raises(TypeError, match="argument"):
        basket.fill(*arguments)
    with pytest.raises(TypeError, match="weight"):
        basket.fill("apple", weight=3)  # type: ignore[call-arg]
    assert (basket.held, basket.version) == ([], 1)


def test_a_recording_method_keeps_its_name_and_what_it_says_of_itself() -> None:
    assert (Basket.fill.__qualname__, Basket.fill.__doc__) == ("Basket.fill", "Put something in.")


def test_an_explicit_event_class_keeps_its_own_default_and_its_own_check() -> None:
    basket = Basket()
    basket.weigh(300)
    weighed: Any = basket.pending_events[-1]
    assert (weighed.grams, weighed.scale) == (300, "kitchen")
    with pytest.raises(ValueError, match="so little"):
        basket.weigh(-1)
    assert basket.version == 2


def test_an_event_with_a_field_too_many_or_too_few_is_refused_by_name() -> None:
    basket: Any = Basket()
    with pytest.raises(TypeError, match=r"Basket\.Filled cannot be recorded.*colour"):
        basket.trigger_event(Basket.Filled, sku="a", pieces=1, colour="red")  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"Basket\.Filled cannot be recorded.*pieces"):
        basket.trigger_event(Basket.Filled, sku="a")  # type: ignore[attr-defined]
    assert basket.version == 1


def test_a_class_that_takes_its_id_takes_it_however_often() -> None:
    class Ticket(Aggregate):
        id: UUID
        seat: str
        price: int = 5

    for number in (1, 2, 3):
        ticket: Any = Ticket(UUID(int=number), "4B")
        assert (ticket.id, ticket.seat, ticket.price) == (UUID(int=number), "4B", 5)


def test_a_constructor_that_records_more_begins_with_its_own_event_however_often() -> None:
    class Parcel(Aggregate):
        @event("Sent")
        def __init__(self) -> None:
            self.weigh(3)

        @event("Weighed")
        def weigh(self, kilograms: int) -> None:
            self.kilograms = kilograms

    for _ in range(3):
        first = min(Parcel().pending_events, key=lambda recorded: recorded.originator_version)
        assert type(first).__qualname__.endswith("Parcel.Sent")
