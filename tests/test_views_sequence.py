"""The sequence diagram: one conversation, from module to module, in order."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from msgspec.structs import replace

from modulus_es import Aggregate, Command, IntegrationEvent, System, UnitOfWork, event
from modulus_es.clock import START
from modulus_es.views.happenings import CALLER, happenings_of
from modulus_es.views.marks import OUTBOX, Mark
from modulus_es.views.scene import Group
from modulus_es.views.sequence import SequenceDiagram
from modulus_es.views.sequence_scene import LIMIT

SVG = "{http://www.w3.org/2000/svg}"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def mark(seconds: float, module: str, handler: str, kind: str, lasts: float = 0) -> Mark:
    return Mark(at(seconds), at(seconds + lasts), module, handler, kind, "m1", "OrderCreated")


def conversation() -> list[Mark]:
    return [
        Mark(at(0), at(0), "orders", "place_order", "done", "", "PlaceOrder"),
        mark(0, "orders", OUTBOX, "recorded"),
        mark(0, "inventory", "reserve", "in_flight", 2),
        replace(mark(2, "inventory", "reserve", "retry"), error="TimeoutError: no answer"),
        replace(mark(4, "inventory", "reserve", "done"), attempt=2),
    ]


def told(diagram: SequenceDiagram) -> list[tuple[str, str, str]]:
    return [(row.kind, row.source, row.target) for row in diagram.happenings]


def test_a_message_goes_from_where_it_was_recorded_to_where_it_was_handled() -> None:
    assert told(SequenceDiagram(conversation())) == [
        ("command", CALLER, "orders"),
        ("done", "orders", "orders"),
        ("event", "orders", "inventory"),
        ("retry", "inventory", "inventory"),
        ("done", "inventory", "inventory"),
    ]


def test_a_message_is_drawn_when_it_arrived_and_knows_when_it_was_sent() -> None:
    message = SequenceDiagram(conversation()).happenings[2]
    assert (message.time, message.sent) == (at(2), at(0))


def test_a_message_that_is_a_command_is_told_as_one() -> None:
    diagram = SequenceDiagram(conversation(), commands={"m1"})
    assert ("command", "orders", "inventory") in told(diagram)


def test_a_message_that_has_not_arrived_is_told_where_it_is() -> None:
    (row,) = happenings_of([mark(0, "orders", OUTBOX, "recorded")])
    assert (row.kind, row.target, row.handler) == ("recorded", "orders", OUTBOX)


def test_the_caller_is_the_first_lifeline() -> None:
    marks = [*conversation(), Mark(at(9), at(9), "orders", "ship", "done", "", "ShipOrder")]
    assert SequenceDiagram(marks[1:]).modules == (CALLER, "orders", "inventory")


def test_the_picture_shows_modules_messages_and_errors() -> None:
    root = ET.fromstring(SequenceDiagram(conversation()).to_svg())
    texts = [element.text for element in root.iter(f"{SVG}text")]
    for text in (CALLER, "orders", "inventory", "PlaceOrder", "OrderCreated"):
        assert text in texts
    assert "reserve: failed, tried again (TimeoutError: no answer)" in texts


def test_an_event_is_drawn_dashed_and_a_command_solid() -> None:
    items = SequenceDiagram(conversation()).scene().items
    groups = [item for item in items if isinstance(item, Group)]
    styles = [part.style for group in groups for part in group.items]
    assert styles.count("event") == styles.count("sync") == 1


def test_a_message_of_a_module_to_itself_comes_back() -> None:
    marks = [mark(0, "orders", OUTBOX, "recorded"), mark(1, "orders", "later", "done")]
    diagram = SequenceDiagram(marks)
    assert told(diagram)[0] == ("event", "orders", "orders")
    assert "orders -&gt; orders: OrderCreated" in diagram.to_svg()


def test_what_is_said_beside_the_last_lifeline_is_not_cut_where_there_is_room_for_it() -> None:
    error = "TimeoutError: the card network did not answer in time"
    diagram = SequenceDiagram([Mark(at(1), at(1), "pay", "take", "retry", "m", "Due", error=error)])
    assert f"take: failed, tried again ({error})" in diagram.to_svg()


@pytest.mark.parametrize(
    ("micros", "said"),
    [
        ((0, 1_000_000), ["00:00:00", "00:00:01"]),
        ((0, 1_525_240), ["00:00:00.000", "00:00:01.525"]),
        ((0, 240), ["00:00:00.000000", "00:00:00.000240"]),
    ],
)
def test_all_clocks_are_equally_exact(micros: tuple[int, int], said: list[str]) -> None:
    times = [START + timedelta(microseconds=n) for n in micros]
    marks = [Mark(time, time, "orders", "place", "done", "", "PlaceOrder") for time in times]
    root = ET.fromstring(SequenceDiagram(marks).to_svg())
    captions = [e.text or "" for e in root.iter(f"{SVG}text") if e.get("class") == "m-caption"]
    assert [text for text in captions if text.startswith("00:")] == said


def test_the_legend_tells_a_command_from_an_event() -> None:
    root = ET.fromstring(SequenceDiagram(conversation()).to_svg())
    assert {"command", "event"} <= {element.text for element in root.iter(f"{SVG}text")}


def test_every_attempt_after_the_first_has_its_number() -> None:
    mark_ = Mark(at(1), at(1), "pay", "take", "done", "m", "Due", attempt=3)
    assert "take: done, attempt 3" in SequenceDiagram([mark_]).to_svg()


def test_what_is_too_much_is_counted() -> None:
    marks = [
        Mark(at(i), at(i), "orders", "place", "done", "", "PlaceOrder") for i in range(LIMIT + 1)
    ]
    assert f"and {LIMIT + 2} more: see to_frame()" in SequenceDiagram(marks).to_svg()


def test_the_text_has_a_line_for_each_thing() -> None:
    assert SequenceDiagram(conversation()).to_text().splitlines()[2:4] == [
        "2024-01-01T00:00:02Z  orders -> inventory: OrderCreated, after 2 s",
        "2024-01-01T00:00:02Z  inventory: OrderCreated at reserve retry (TimeoutError: no answer)",
    ]


def test_the_alternative_text_says_what_the_picture_says() -> None:
    alt = SequenceDiagram(conversation()).alt()
    assert alt.startswith(
        "Sequence diagram: 3 lifelines, 1 command, 1 event, 2 done, 1 retry. (caller) -> orders:"
    )
    assert "inventory: OrderCreated at reserve done, attempt 2." in alt


def test_the_frame_has_a_row_for_each_thing_and_keeps_its_dtypes_when_empty() -> None:
    full, empty = SequenceDiagram(conversation()).to_frame(), SequenceDiagram([]).to_frame()
    assert full.kind.tolist() == ["command", "done", "event", "retry", "done"]
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()


def test_mermaid_gets_nothing_that_it_could_take_for_its_own() -> None:
    wicked = Mark(at(0), at(0), "a;b end", "end", "done", "", 'x->>y: "#<b>"')
    lines = SequenceDiagram([wicked]).to_mermaid().splitlines()
    assert lines[2:] == [
        "    participant m1 as a#59;b #101;nd",
        "    m0->>m1: x-#62;#62;y: #34;#35;#60;b#62;#34;",
        "    Note right of m1: #101;nd done",
    ]


def test_a_conversation_of_which_nothing_is_known_is_drawn_empty() -> None:
    diagram = System(seed=1).sequence("nobody")
    assert repr(diagram) == "SequenceDiagram(nothing yet)"
    assert "Nothing is known of this conversation." in diagram.to_svg()


class Order(Aggregate):
    @event("Placed")
    def __init__(self, item: str) -> None:
        self.item = item


class PlaceOrder(Command[UUID]):
    item: str


class OrderCreated(IntegrationEvent):
    item: str


def announce(placed: Order.Placed) -> OrderCreated:
    return OrderCreated(placed.item)


async def place_order(command: PlaceOrder, uow: UnitOfWork) -> UUID:
    order = Order(command.item)
    uow.add(order)
    return order.id


async def reserve(created: OrderCreated) -> None:
    """Nothing to do."""


async def test_a_system_shows_one_of_its_conversations() -> None:
    system = System(seed=7)
    system.module("orders").handles(PlaceOrder)(place_order)
    system.module("orders").projects(Order.Placed)(announce)
    system.module("inventory").on(OrderCreated)(reserve)
    for item in ("book", "pen"):
        await system.send(PlaceOrder(item))
    await system.run()
    correlation = system.events().correlation_id[0]
    assert told(system.sequence(correlation)) == [
        ("command", CALLER, "orders"),
        ("done", "orders", "orders"),
        ("event", "orders", "inventory"),
        ("done", "inventory", "inventory"),
    ]
