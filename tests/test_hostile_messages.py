"""Messages from strangers: a dead letter or a delivery, never an exception out of the bus."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from talking import Do, Said, envelope

from modulus_es import Envelope, IntegrationEvent, Module, System
from modulus_es.clock import START
from modulus_es.envelope import SIZE_LIMIT
from modulus_es.stores.rows import InboxRow


class Greeting(IntegrationEvent, name="shop.Greeting", version=2):
    text: str
    language: str = "en"


def pair() -> tuple[System, Module]:
    system = System(seed=7)
    return system, system.module("hearer")


def listening() -> tuple[System, Module]:
    system, hearer = pair()

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    return system, hearer


def only(module: Module) -> InboxRow:
    (row,) = module.inbox
    return row


# What cannot be read


async def test_a_body_that_cannot_be_read_is_a_dead_letter_at_once() -> None:
    system, hearer = listening()
    for n, body in enumerate([b"", b"{", b"[]", b"{}", b'{"n":"one"}', b'{"n":1.5}', b"\xff"]):
        await hearer.consumer.receive([envelope(message_id=str(UUID(int=n)), body=body)])
    run = await system.run()
    assert run.time == START
    assert {row.status for row in hearer.inbox} == {"dead"}
    assert {row.attempts for row in hearer.inbox} == {1}
    assert all(row.last_error.startswith("DeserializationError: ") for row in hearer.inbox)


async def test_a_message_whose_id_is_no_uuid_is_a_dead_letter_at_once() -> None:
    system, hearer = listening()
    await hearer.consumer.receive([envelope(message_id="'; DROP TABLE inbox")])
    await system.run()
    row = only(hearer)
    assert (row.status, row.attempts) == ("dead", 1)
    assert row.last_error is not None
    assert "is not a UUID" in row.last_error


async def test_a_message_of_unknown_type_is_a_dead_letter_at_once() -> None:
    system, hearer = pair()
    await hearer.consumer.receive([envelope(type="os.system")])
    row = only(hearer)
    assert (row.handler, row.status, row.last_error) == (
        "", "dead", "no handler in hearer for os.system",
    )  # fmt: skip
    assert (await system.run()).blocked == ()


async def test_a_command_for_another_module_is_a_dead_letter() -> None:
    _, hearer = pair()

    @hearer.handles(Do)
    def do(command: Do) -> None: ...

    await hearer.consumer.receive([envelope(kind="command", type="Do", to="elsewhere")])
    assert (only(hearer).handler, only(hearer).status) == ("", "dead")


async def test_one_unreadable_message_does_not_spoil_the_batch_it_came_with() -> None:
    system, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    batch = [
        envelope(message_id=str(UUID(int=n)), body=b'{"n":%d}' % n, key=str(n)) for n in range(5)
    ]
    batch[1] = envelope(message_id=str(UUID(int=11)), type="Unknown")
    batch[3] = envelope(message_id=str(UUID(int=13)), body=b"garbage", key="garbage")
    await hearer.consumer.receive(batch)
    await system.run()
    assert heard == [0, 2, 4]


@pytest.mark.parametrize("field", ["version", "position", "attempt"])
async def test_a_number_that_no_database_holds_is_no_envelope(tmp_path: Path, field: str) -> None:
    system = System(seed=7, store=f"sqlite:///{tmp_path}/hearer.db")
    hearer = system.module("hearer")

    @hearer.on(Said)
    def hear(said: Said) -> None: ...

    wire = json.loads(envelope().to_bytes()) | {field: 2**63}
    await hearer.consumer.receive_bytes(json.dumps(wire).encode())
    assert only(hearer).status == "dead"
    assert f"$.{field}" in (only(hearer).last_error or "")
    system.close()


# What a body may have and lack


async def test_unknown_fields_of_a_body_are_ignored_and_missing_ones_take_their_default() -> None:
    system, hearer = pair()
    heard: list[Greeting] = []

    @hearer.on(Greeting)
    def hear(greeting: Greeting) -> None:
        heard.append(greeting)

    body = b'{"text":"hi","mood":{"deep":[1,2]},"class":"os.system"}'
    await hearer.consumer.receive([envelope(type="shop.Greeting", version=2, body=body)])
    await system.run()
    (greeting,) = heard
    assert (greeting.text, greeting.language) == ("hi", "en")
    assert not hasattr(greeting, "mood")


async def test_a_newer_version_with_all_required_fields_is_accepted() -> None:
    system, hearer = pair()
    heard: list[str] = []

    @hearer.on(Greeting)
    def hear(greeting: Greeting) -> None:
        heard.append(greeting.text)

    body = b'{"text":"hi","language":"fr","added":1}'
    await hearer.consumer.receive([envelope(type="shop.Greeting", version=9, body=body)])
    await system.run()
    assert heard == ["hi"]


async def test_a_contract_is_found_by_its_exact_name() -> None:
    _, hearer = pair()

    @hearer.on(Greeting)
    def hear(greeting: Greeting) -> None: ...

    for n, name in enumerate(["Greeting", "shop.greeting", "shop.Greeting.v2"]):
        await hearer.consumer.receive([envelope(message_id=str(UUID(int=n)), type=name)])
    assert [row.handler for row in hearer.inbox] == ["", "", ""]


# Bytes as they come from a broker


SENT = envelope().to_bytes()

NO_ENVELOPES = {
    "nothing": b"",
    "a zero": b"\x00",
    "null": b"null",
    "a list": b"[]",
    "an empty object": b"{}",
    "one field of the wrong type": b'{"message_id": 7}',
    "lists without end": b"[" * 100_000,
    "objects without end": b'{"a":' * 100_000,
    "a string that is too long": b'"' + b"x" * SIZE_LIMIT,
    "not utf-8": b"\xff\xfe\x00",
    "cut short": SENT[:-1],
    "followed by more": SENT + b"x",
    "a type that is no name": SENT.replace(b'"Said"', b'"os; system"'),
    "a body without end": SENT.replace(b'"n":1', b'"n":' + b"[" * 5_000),
    "a field too few": SENT.replace(b'"source":"sender",', b""),
    "a field misspelt": SENT.replace(b'"source"', b'"sauce"'),
    "a field too many": SENT.replace(b'{"message', b'{"extra":1,"message'),
    "a kind that there is not": SENT.replace(b'"event"', b'"import"'),
    "a time without zone": SENT.replace(b"Z", b""),
    "a version that is text": SENT.replace(b'"version":1', b'"version":"1"'),
    "a version without end": SENT.replace(b'"version":1', b'"version":' + b"9" * 10_000),
    "a version that is infinite": SENT.replace(b'"version":1', b'"version":1e999'),
    "half a character": SENT.replace(b'"sender"', b'"\\ud800"'),
}


@pytest.mark.parametrize("what", NO_ENVELOPES)
async def test_bytes_that_are_no_envelope_are_a_dead_letter_and_no_exception(what: str) -> None:
    system, hearer = listening()
    for _ in range(2):
        await hearer.consumer.receive_bytes(NO_ENVELOPES[what], source="broker")
    await system.run()
    row = only(hearer)
    assert (row.status, row.handler, row.duplicates) == ("dead", "", 1)
    assert row.last_error


async def test_bytes_that_are_an_envelope_are_delivered() -> None:
    system, hearer = pair()
    heard: list[int] = []

    @hearer.on(Said)
    def hear(said: Said) -> None:
        heard.append(said.n)

    sent = envelope()
    assert Envelope.from_bytes(sent.to_bytes()) == sent
    await hearer.consumer.receive_bytes(sent.to_bytes())
    await system.run()
    assert heard == [1]


async def test_the_body_of_an_unreadable_message_is_kept_as_it_came() -> None:
    system, hearer = pair()
    await hearer.consumer.receive_bytes(b"\xff not json", source="broker")
    row = only(hearer)
    assert (row.envelope.body, row.envelope.source, row.envelope.type) == (
        b"\xff not json", "broker", "unreadable",
    )  # fmt: skip
    (dead,) = hearer.dead_letters()
    assert dead.died_at == system.now()


# Any bytes at all, and any JSON in the shape of an envelope

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
fields = {
    "message_id": st.sampled_from([str(UUID(int=1)), "", "x" * 1000]) | json_values,
    "kind": st.sampled_from(["event", "command"]) | json_values,
    "type": st.sampled_from(["Said", "Do", "os.system", "builtins:eval"]) | json_values,
    "version": st.integers(-3, 3) | json_values,
    "body": st.fixed_dictionaries({"n": st.integers(0, 3) | json_values}) | json_values,
    "source": st.sampled_from(["sender", "hearer", ""]) | json_values,
    "key": st.text() | json_values,
    "occurred_on": st.sampled_from(["2024-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"])
    | json_values,
}
optional = {
    "to": st.sampled_from(["hearer", "elsewhere"]) | json_values,
    "correlation_id": st.text() | json_values,
    "position": st.integers() | json_values,
    "attempt": st.integers() | json_values,
}
hostile = st.binary() | st.fixed_dictionaries(fields, optional=optional).map(
    lambda value: json.dumps(value).encode()
)


@pytest.fixture(scope="module")
def imported() -> None:
    """What any delivery imports when it is the first, is there."""
    asyncio.run(deliver([b"{}", envelope().to_bytes()]))


@pytest.mark.usefixtures("imported")
@given(st.lists(hostile, min_size=1, max_size=5))
def test_any_bytes_become_a_dead_letter_or_a_delivery(messages: list[bytes]) -> None:
    imported = set(sys.modules)
    asyncio.run(deliver(messages))
    assert set(sys.modules) - imported == set()


async def deliver(messages: list[bytes]) -> None:
    system, hearer = listening()
    hearer.handles(Do)(do)
    for data in messages:
        held = len(hearer.inbox) + sum(row.duplicates for row in hearer.inbox)
        await hearer.consumer.receive_bytes(data, source="broker")
        assert len(hearer.inbox) + sum(row.duplicates for row in hearer.inbox) == held + 1
    run = await system.run()
    assert run.time == START
    assert {row.status for row in hearer.inbox} <= {"done", "dead"}


def do(command: Do) -> None: ...
