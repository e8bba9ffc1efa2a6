"""Contract of stores: texts, bytes and times that somebody will use one day."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from modulus_es.stores.rows import EventRow, Handled, Routes
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import (
    LEASE,
    StoreBench,
    StoreSuite,
    at,
    envelope,
    message,
)

TEXTS = (
    'it\'s "quoted" `so`',
    "'; DROP TABLE modulus_events_orders; --",
    "%s %d {} {0} :name ?1 $1 \\ /",
    "two\nlines\tand a tab",
    " spaces ",
    "ÄÖÜ ß ñ 漢字 العربية 🦆👩‍👩‍👧",
    "e\u0301 is not \u00e9",
    "null",
    "0",
    "x" * 2_000,
)
"""Texts that a store keeps as they are; NUL is not among them, because not every store can."""


class OddValuesContract(StoreSuite):
    """Whatever a text, a body or a time looks like, it reads back equal and means nothing else.

    >>> from modulus_es.testing.contracts import promises
    >>> [promise.name[:30] for promise in promises(OddValuesContract)][0]
    'test_a_body_is_any_bytes'
    """

    @promise()
    async def test_texts_of_a_message_stay_as_they_are(self, bench: StoreBench) -> None:
        for text in TEXTS:
            sent = message(1, text, message_id=text, correlation_id=text, causation_id=text)
            sent.handler = text
            await bench.write(sent)
            *_, found = bench.store.outbox_rows()
            assert (found.envelope, found.handler) == (sent.envelope, text)
            [row] = await bench.claim(text)
            await bench.store.retry_outbox(text, row, text, at(0))
            *_, found = bench.store.outbox_rows()
            assert (found.last_error, found.attempts) == (text, 1)
            [row] = await bench.claim(text)
            await bench.store.mark_delivered(text, [row], at(0))

    @promise()
    async def test_texts_of_a_delivery_stay_as_they_are(self, bench: StoreBench) -> None:
        for text in TEXTS:
            sent = envelope(1, text, message_id=text, source=text)
            assert await bench.receive(sent, handlers=[(text, True)]) == []
            assert await bench.receive(sent, handlers=[(text, True)]) == [(text, text)]
            handlers = frozenset({text})
            [row] = await bench.take(text, handlers=handlers)
            await bench.store.retry_delivery(text, row, text, at(0))
            [row] = await bench.store.claim_inbox(text, at(0), LEASE, 9, handlers)
            assert (row.envelope, row.handler, row.last_error) == (sent, text, text)
            await bench.store.commit([], [], Handled(row, text, "done", at(0)))
            await bench.store.bury_unreadable(envelope(2, message_id=text), text, at(0))
            *_, dead = bench.store.inbox_rows()
            assert (dead.last_error, dead.envelope.message_id) == (text, text)

    @promise()
    async def test_types_and_modules_are_compared_exactly(self, bench: StoreBench) -> None:
        await bench.write(
            message(1, "a", type="said"),
            message(2, "b", type="Said "),
            message(3, "c", type="hearer.Do"),
            message(4, "d", type="Do", to="Hearer"),
            message(5, "e", type="%"),
        )
        assert await bench.claim() == []
        for row in list(bench.store.outbox_rows()):
            sent = row.envelope
            routes = (
                Routes(frozenset({sent.type}), frozenset())
                if sent.to is None
                else Routes(frozenset(), frozenset({(sent.to, sent.type)}))
            )
            assert [each.envelope for each in await bench.claim(routes=routes)] == [sent]

    @promise()
    async def test_a_body_is_any_bytes(self, bench: StoreBench) -> None:
        bodies = (b"", b"\x00\xff\xfe", b'{"n":1}', b"'\"\\", bytes(range(256)), b"x" * 1_000_000)
        for n, body in enumerate(bodies):
            await bench.write(message(1, message_id=str(n), body=body))
            await bench.receive(envelope(1, message_id=str(n), body=body))
            await bench.store.bury_unreadable(envelope(1, message_id=f"-{n}", body=body), "", at(0))
        assert [row.envelope.body for row in bench.store.outbox_rows()] == list(bodies)
        found = [row.envelope.body for row in bench.store.inbox_rows()]
        assert found == [body for body in bodies for _ in range(2)]

    @promise()
    async def test_an_event_is_any_bytes_under_any_topic(self, bench: StoreBench) -> None:
        events = [
            EventRow(UUID(int=n), 1, text, state)
            for n, (text, state) in enumerate(
                zip(TEXTS, (b"\x00\xff", b"", *(b"x" * n for n in range(8))), strict=True)
            )
        ]
        await bench.write(events=events)
        for n, event in enumerate(events):
            assert list(bench.store.event_rows(UUID(int=n))) == [event]

    @promise()
    async def test_a_time_is_kept_to_the_microsecond(self, bench: StoreBench) -> None:
        moments = (
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            datetime(2024, 2, 29, 23, 59, 59, 1, tzinfo=UTC),
            datetime(2500, 1, 1, tzinfo=UTC),
        )
        for moment in moments:
            row = message(1, str(moment), occurred_on=moment)
            row.created_at = row.available_at = moment
            await bench.write(row)
        found = list(bench.store.outbox_rows())
        assert [row.created_at for row in found] == list(moments)
        assert [row.available_at for row in found] == list(moments)
        assert [row.envelope.occurred_on for row in found] == list(moments)

    @promise()
    async def test_a_microsecond_makes_the_difference(self, bench: StoreBench) -> None:
        await bench.write(message(1, due=5, scheduled=True))
        await bench.receive(envelope(1))
        [row] = await bench.take()
        await bench.store.retry_delivery("anna", row, "no", at(5))
        assert await bench.claim(seconds=4.999999) == []
        assert await bench.take(seconds=4.999999) == []
        assert len(await bench.claim(seconds=5)) == 1
        assert len(await bench.take(seconds=5)) == 1
