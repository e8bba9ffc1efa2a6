"""The contract of stores finds out a store that breaks one promise, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest
from eventsourcing.persistence import IntegrityError
from msgspec.structs import replace

from modulus_es import system
from modulus_es.clock import START
from modulus_es.errors import LeaseLostError
from modulus_es.stores.memory import MemoryDatabase, MemoryFactory, MemoryStore
from modulus_es.stores.port import Capability
from modulus_es.stores.rows import (
    Handled,
    InboxRow,
    OutboxRow,
    Receipt,
    Routes,
    Unprocessed,
    Unroutable,
)
from modulus_es.stores.sqlite import SQLiteDatabase
from modulus_es.testing.contracts import (
    AnyOrderContract,
    CommitQueueContract,
    ConnectionContract,
    DeadLetterContract,
    DeliveryContract,
    EventsContract,
    GroupContract,
    InboxContract,
    OddValuesContract,
    OutboxMarksContract,
    OutboxOrderContract,
    SessionContract,
    SharingContract,
    StoreBench,
    StoreContract,
    SystemBench,
    SystemContract,
    TransactionContract,
    broken_promises,
    promises,
)

LIARS: list[tuple[type[Any], tuple[type[Any], ...]]] = []


def found_out_by(*contracts: type[Any]) -> Callable[[type[Any]], type[Any]]:
    """Note a store that breaks a promise, and which contracts have to find it out."""

    def note(liar: type[Any]) -> type[Any]:
        LIARS.append((liar, contracts))
        return liar

    return note


# Events and transactions


@found_out_by(EventsContract, TransactionContract)
class LosesTheLastEvent(MemoryStore):
    async def commit(self, events: Any, *rest: Any) -> Sequence[int]:
        return await super().commit(events[:-1] if len(events) > 1 else events, *rest)


@found_out_by(EventsContract)
class WritesEventsInAnotherOrder(MemoryStore):
    async def commit(self, events: Any, *rest: Any) -> Sequence[int]:
        return await super().commit(sorted(events, key=lambda e: -e.originator_version), *rest)


@found_out_by(EventsContract)
class AnswersNoPositions(MemoryStore):
    async def commit(self, *everything: Any) -> Sequence[int]:
        await super().commit(*everything)
        return ()


@found_out_by(EventsContract, TransactionContract)
class TakesAPlaceTwice(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        try:
            return await super().commit(events, outbox, handled)
        except IntegrityError:
            return await super().commit([], outbox, handled)


@found_out_by(EventsContract)
class AnswersAPositionForNothing(MemoryStore):
    async def commit(self, *everything: Any) -> Sequence[int]:
        return await super().commit(*everything) or [0]


@found_out_by(EventsContract)
class ReadsAllVersions(MemoryStore):
    def event_rows(self, id: Any, **_: Any) -> Sequence[Any]:
        return super().event_rows(id)


@found_out_by(EventsContract, OddValuesContract)
class ReadsWhatItCountsBeside(MemoryStore):
    def event_rows(self, id: Any, **versions: Any) -> Sequence[Any]:
        found = super().event_rows(id, **versions)
        return [replace(row, originator_version=row.originator_version + 1) for row in found]


@found_out_by(EventsContract)
class RefusesForEver(MemoryStore):
    refused = False

    async def commit(self, *everything: Any) -> Sequence[int]:
        try:
            assert not self.refused
            return await super().commit(*everything)
        except Exception:
            self.refused = True
            raise


@found_out_by(EventsContract, TransactionContract)
class WritesMessagesOfARefusedCommit(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        await super().commit([], outbox)
        return await super().commit(events, [], handled)


@found_out_by(TransactionContract)
class MarksBeforeItWrites(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        if handled is not None:
            await super().commit([], [], handled)
        return await super().commit(events, outbox)


@found_out_by(TransactionContract)
class WritesBeforeItMarks(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        positions = await super().commit(events, outbox)
        if handled is not None:
            await super().commit([], [], handled)
        return positions


@found_out_by(TransactionContract)
class CanBeTorn(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        positions = await super().commit(events, [])
        await asyncio.sleep(0)
        await super().commit([], outbox, handled)
        return positions


@found_out_by(TransactionContract)
class ForgetsTheMark(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        return await super().commit(events, outbox)


@found_out_by(TransactionContract)
class TakesEveryOutcomeForSuccess(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        mark = handled and replace(handled, outcome="done")
        return await super().commit(events, outbox, mark)


@found_out_by(TransactionContract, DeliveryContract)
class LetsAnybodyMark(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Handled | None = None, connection: Any = None
    ) -> Sequence[int]:
        if handled is not None:
            handled.row.processed_at = None
            handled = replace(handled, owner=handled.row.claimed_by or "")
            handled.row.claimed_by = handled.owner
        return await super().commit(events, outbox, handled)


@found_out_by(TransactionContract)
class NotesNoPositions(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        return await super().commit(events, [replace(row) for row in outbox], handled)


@found_out_by(TransactionContract)
class HoldsEverything(MemoryStore):
    async def holds(self, *_: Any) -> bool:
        return True


@found_out_by(TransactionContract)
class HoldsNothing(MemoryStore):
    async def holds(self, *_: Any) -> bool:
        return False


@found_out_by(
    CommitQueueContract, ConnectionContract, GroupContract, SessionContract, SharingContract
)
class PromisesTooMuch(MemoryStore):
    def __init__(self, module: str, factory: MemoryFactory) -> None:
        super().__init__(module, factory)
        self.capabilities = ~Capability(0)


# The outbox


class Everything(Routes):
    """Accepts whatever it is asked for."""

    def accept(self, envelope: Any) -> bool:
        return True


EVERYTHING = Everything(frozenset(), frozenset())


@found_out_by(TransactionContract, OutboxOrderContract, OutboxMarksContract)
class LosesAMessage(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        return await super().commit(events, outbox[:1], handled)


@found_out_by(OutboxOrderContract, AnyOrderContract)
class ClaimsInTheWrongOrder(MemoryStore):
    async def claim_outbox(self, *asked: Any) -> list[OutboxRow]:
        return list(reversed(await super().claim_outbox(*asked)))


@found_out_by(OutboxOrderContract, AnyOrderContract)
class ClaimsMoreThanItMay(MemoryStore):
    async def claim_outbox(
        self, owner: Any, now: Any, lease: Any, limit: int, routes: Any, *skew: Any
    ) -> list[OutboxRow]:
        return await super().claim_outbox(owner, now, lease, limit + 1, routes, *skew)


@found_out_by(OutboxOrderContract, OddValuesContract)
class ClaimsWhatNobodyHears(MemoryStore):
    async def claim_outbox(
        self, owner: Any, now: Any, lease: Any, limit: int, routes: Any, *skew: Any
    ) -> list[OutboxRow]:
        return await super().claim_outbox(
            owner, now, lease, limit, Everything(frozenset(), frozenset()), *skew
        )

    async def outbox_due(self, owner: Any, now: Any, routes: Any) -> Any:
        return await super().outbox_due(owner, now, EVERYTHING)


@found_out_by(OutboxOrderContract, AnyOrderContract)
class KeepsNoOrderOfKeys(MemoryStore):
    def _queue_message(self, row: OutboxRow) -> None:
        self._messages.add(row, row.position, scheduled=row.scheduled)


@found_out_by(OutboxOrderContract, AnyOrderContract)
class KeepsOneOrderOfAllKeys(MemoryStore):
    def _queue_message(self, row: OutboxRow) -> None:
        self._messages.add(row, "", scheduled=row.scheduled)


@found_out_by(OutboxOrderContract)
class KeepsTheOrderOfWhatNobodyHears(MemoryStore):
    async def claim_outbox(
        self, owner: Any, now: Any, lease: Any, limit: int, routes: Routes, *skew: Any
    ) -> list[OutboxRow]:
        held = {r.envelope.key for r in self.undelivered() if not routes.accept(r.envelope)}
        rows = await super().claim_outbox(owner, now, lease, limit, routes, *skew)
        await self.release_outbox(owner, [row for row in rows if row.envelope.key in held])
        return [row for row in rows if row.claimed_by]


@found_out_by(OutboxOrderContract, AnyOrderContract)
class LetsScheduledRowsHoldUpTheirKey(MemoryStore):
    def _queue_message(self, row: OutboxRow) -> None:
        self._messages.add(row, row.envelope.key)


@found_out_by(OutboxOrderContract, AnyOrderContract)
class IsEarly(MemoryStore):
    async def claim_outbox(self, owner: Any, now: Any, *asked: Any) -> list[OutboxRow]:
        return await super().claim_outbox(owner, now + timedelta(seconds=9), *asked)


@found_out_by(OddValuesContract)
class RoundsTimes(MemoryStore):
    async def claim_outbox(self, owner: Any, now: Any, *asked: Any) -> list[OutboxRow]:
        return await super().claim_outbox(owner, now + timedelta(milliseconds=1), *asked)


@found_out_by(OutboxOrderContract)
class IsNeverDue(MemoryStore):
    async def outbox_due(self, *_: Any) -> None:
        return None


@found_out_by(OutboxOrderContract, OutboxMarksContract, AnyOrderContract)
class LetsLeasesNeverEnd(MemoryStore):
    async def claim_outbox(self, owner: Any, now: Any, lease: Any, *asked: Any) -> list[OutboxRow]:
        return await super().claim_outbox(owner, now, lease * 1000, *asked)

    async def claim_inbox(self, owner: Any, now: Any, lease: Any, *asked: Any) -> list[InboxRow]:
        return await super().claim_inbox(owner, now, lease * 1000, *asked)


@found_out_by(OutboxOrderContract, OutboxMarksContract, AnyOrderContract)
class GrantsNoLease(MemoryStore):
    async def claim_outbox(self, owner: Any, now: Any, lease: Any, *asked: Any) -> list[OutboxRow]:
        return await super().claim_outbox(owner, now, timedelta(0), *asked)


@found_out_by(OutboxMarksContract, DeliveryContract)
class LetsLeasesEndWhenTheClockIsSet(MemoryStore):
    async def claim_outbox(self, *asked: Any) -> list[OutboxRow]:
        return await super().claim_outbox(*asked[:5])

    async def claim_inbox(self, *asked: Any) -> list[InboxRow]:
        return await super().claim_inbox(*asked[:5])


@found_out_by(OutboxMarksContract, DeliveryContract)
class IsDueWhenTheClockWasSet(MemoryStore):
    async def outbox_due(self, *asked: Any) -> datetime | None:
        return await super().outbox_due(*asked[:3])

    async def inbox_due(self, *asked: Any) -> datetime | None:
        return await super().inbox_due(*asked[:3])


@found_out_by(OutboxMarksContract)
class LetsAnybodySayWhatBecameOfARow(MemoryStore):
    async def mark_delivered(self, owner: Any, rows: Any, now: Any) -> None:
        for row in rows:
            row.delivered_at = None
            await super().mark_delivered(row.claimed_by, [row], now)


@found_out_by(OutboxMarksContract)
class RenewsNothing(MemoryStore):
    async def renew_outbox(self, *_: Any) -> None: ...


@found_out_by(OutboxMarksContract)
class LetsAnybodyRenew(MemoryStore):
    async def renew_outbox(self, owner: Any, rows: Any, until: Any) -> None:
        for row in rows:
            await super().renew_outbox(row.claimed_by, [row], until)


@found_out_by(OutboxMarksContract)
class NeverNotesADelivery(MemoryStore):
    async def mark_delivered(self, owner: Any, rows: Any, now: Any) -> None: ...


@found_out_by(OutboxMarksContract, AnyOrderContract)
class DropsWhatWasDelivered(MemoryStore):
    async def mark_delivered(self, owner: Any, rows: Any, now: Any) -> None:
        await super().mark_delivered(owner, rows, now)
        for row in rows:
            self._recorder.outbox.pop(row.position, None)


@found_out_by(OutboxMarksContract)
class OffersAgainWhatWasDelivered(MemoryStore):
    async def release_outbox(self, owner: Any, rows: Any) -> None:
        await super().release_outbox(owner, rows)
        for row in rows:
            row.delivered_at = None
            self._queue_message(row)


@found_out_by(OutboxMarksContract, AnyOrderContract)
class CountsReleasesAsAttempts(MemoryStore):
    async def release_outbox(self, owner: Any, rows: Any) -> None:
        await super().release_outbox(owner, rows)
        for row in rows:
            row.attempts += 1


@found_out_by(OutboxMarksContract, OddValuesContract)
class ForgetsWhyItFailed(MemoryStore):
    async def retry_outbox(
        self, owner: Any, row: Any, error: Any, at: Any, *, counted: bool = True
    ) -> None:
        await super().retry_outbox(owner, row, "it failed", at, counted=counted)

    async def bury_outbox(self, owner: Any, row: Any, error: Any, now: Any) -> None:
        await super().bury_outbox(owner, row, "it failed", now)


@found_out_by(OutboxMarksContract)
class CountsEveryAttempt(MemoryStore):
    async def retry_outbox(
        self, owner: Any, row: Any, error: Any, at: Any, *, counted: bool = True
    ) -> None:
        await super().retry_outbox(owner, row, error, at)


@found_out_by(OutboxOrderContract, AnyOrderContract)
class RetriesAtOnce(MemoryStore):
    async def retry_outbox(
        self, owner: Any, row: Any, error: Any, at: Any, *, counted: bool = True
    ) -> None:
        await super().retry_outbox(owner, row, error, row.created_at, counted=counted)


@found_out_by(OutboxMarksContract)
class KeepsNoDeadRows(MemoryStore):
    async def bury_outbox(self, owner: Any, row: Any, error: Any, now: Any) -> None:
        await super().bury_outbox(owner, row, error, now)
        del self._recorder.outbox[row.position]


@found_out_by(OutboxOrderContract)
class LetsDeadRowsHoldUpTheirKey(MemoryStore):
    async def bury_outbox(self, owner: Any, row: Any, error: Any, now: Any) -> None:
        row.dead_at = now


@found_out_by(OutboxMarksContract)
class RevivesWhatIsAlive(MemoryStore):
    async def revive_outbox(self, row: Any, now: Any, envelope: Any = None) -> None:
        row.dead_at = row.dead_at or now
        row.claimed_by = None
        await super().revive_outbox(row, now, envelope)

    async def revive_delivery(self, row: Any, now: Any, envelope: Any = None) -> None:
        row.processed_at = None
        row.dead_at = row.dead_at or now
        await super().revive_delivery(row, now, envelope)


@found_out_by(OutboxMarksContract)
class PurgesTooMuch(MemoryStore):
    async def purge(self, before: Any, limit: int = 1000) -> int:
        return await super().purge(before + timedelta(seconds=1), limit)


@found_out_by(OutboxMarksContract)
class UsesPositionsAgain(MemoryStore):
    async def purge(self, before: Any, limit: int = 1000) -> int:
        count = await super().purge(before, limit)
        self._recorder.last_position = max(self._recorder.outbox, default=0)
        return count


@found_out_by(OutboxMarksContract, DeliveryContract)
class RestsTooSoon(MemoryStore):
    def at_rest(self) -> bool:
        return True


@found_out_by(OutboxMarksContract)
class ForgetsWhatIsClaimed(MemoryStore):
    def undelivered(self) -> Iterable[OutboxRow]:
        return [row for row in super().undelivered() if row.status == "pending"]

    def unprocessed(self) -> Iterable[InboxRow]:
        return [row for row in super().unprocessed() if row.status == "pending"]


@found_out_by(OutboxMarksContract)
class CountsWhatIsClaimed(MemoryStore):
    def unroutable(self, routes: Any) -> list[Unroutable]:
        left = [row for row in self.undelivered() if not routes.accept(row.envelope)]
        return [Unroutable(row.envelope.type, row.envelope.to, len(left)) for row in left[:1]]


@found_out_by(DeliveryContract)
class CountsHandlersOnly(MemoryStore):
    def unprocessed_kinds(self) -> list[Unprocessed]:
        return [each._replace(type="Said") for each in super().unprocessed_kinds()]


@found_out_by(OutboxMarksContract, OddValuesContract)
class ForgetsHeaders(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        for row in outbox:
            row.envelope = replace(row.envelope, causation_id=None, traceparent=None)
            row.handler = row.handler.strip()
        return await super().commit(events, outbox, handled)


@found_out_by(OutboxMarksContract, OddValuesContract)
class KeepsSecondsOnly(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        for row in outbox:
            row.created_at = row.created_at.replace(microsecond=0)
            row.available_at += timedelta(seconds=1)
        return await super().commit(events, outbox, handled)


# The inbox


@found_out_by(InboxContract)
class HoldsAMessageForOneHandlerOnly(MemoryStore):
    async def receive(self, receipts: Any, now: Any) -> list[tuple[str, str]]:
        return await super().receive([Receipt(r.envelope, r.handlers[:1]) for r in receipts], now)


@found_out_by(InboxContract, DeadLetterContract)
class RecognisesNothing(MemoryStore):
    async def receive(self, receipts: Any, now: Any) -> list[tuple[str, str]]:
        for receipt in receipts:
            self._held.clear()
            await super().receive([receipt], now)
        return []

    async def bury_unreadable(self, *everything: Any) -> None:
        self._held.clear()
        await super().bury_unreadable(*everything)


@found_out_by(InboxContract)
class BelievesForgers(MemoryStore):
    async def receive(self, receipts: Any, now: Any) -> list[tuple[str, str]]:
        new = [r for r in receipts if r.envelope.source != "forger"]
        repeated = await super().receive(new, now)
        return [*repeated, *((r.envelope.message_id, "note") for r in receipts if r not in new)]


@found_out_by(InboxContract)
class TakesALaterHandlerForARepetition(MemoryStore):
    async def receive(self, receipts: Any, now: Any) -> list[tuple[str, str]]:
        known = {message_id for held in self._held.values() for message_id in held}
        cut = [
            Receipt(r.envelope, r.handlers[:1]) if r.envelope.message_id in known else r
            for r in receipts
        ]
        return await super().receive(cut, now)


@found_out_by(InboxContract)
class CountsNoDuplicates(MemoryStore):
    async def receive(self, receipts: Any, now: Any) -> list[tuple[str, str]]:
        repeated = await super().receive(receipts, now)
        for row in self._inbox.values():
            row.duplicates = 0
        return repeated


@found_out_by(InboxContract)
class SeesNoDisorder(MemoryStore):
    def _note_order(self, row: InboxRow) -> None: ...


@found_out_by(InboxContract)
class KeepsLittleOfAMessage(MemoryStore):
    async def receive(self, receipts: Any, now: Any) -> list[tuple[str, str]]:
        cut = [replace(r, envelope=replace(r.envelope, traceparent=None)) for r in receipts]
        return await super().receive(cut, now)


@found_out_by(DeliveryContract, DeadLetterContract, AnyOrderContract)
class DeliversAKeyInNoOrder(MemoryStore):
    def _queue_delivery(self, row: InboxRow) -> None:
        self._deliveries.add(row, row.position)


@found_out_by(DeliveryContract, AnyOrderContract)
class DeliversEverythingInOrder(MemoryStore):
    def _queue_delivery(self, row: InboxRow) -> None:
        self._deliveries.add(row, (row.handler, row.envelope.key))


@found_out_by(DeliveryContract)
class LetsAHandlerWaitForAnother(MemoryStore):
    def _queue_delivery(self, row: InboxRow) -> None:
        self._deliveries.add(row, row.envelope.key)


@found_out_by(DeliveryContract)
class DeliversToHandlersThatAreGone(MemoryStore):
    async def claim_inbox(
        self, owner: Any, now: Any, lease: Any, limit: Any, handlers: Any, *skew: Any
    ) -> list[InboxRow]:
        return await super().claim_inbox(owner, now, lease, limit, handlers | {"gone"}, *skew)


@found_out_by(DeliveryContract, AnyOrderContract)
class DeliversMoreThanItMay(MemoryStore):
    async def claim_inbox(
        self, owner: Any, now: Any, lease: Any, limit: int, handlers: Any, *skew: Any
    ) -> list[InboxRow]:
        return await super().claim_inbox(owner, now, lease, limit + 1, handlers, *skew)


@found_out_by(DeliveryContract, AnyOrderContract)
class NeverFreesADelivery(MemoryStore):
    async def release_inbox(self, owner: Any, rows: Any) -> None: ...

    async def claim_inbox(self, owner: Any, now: Any, lease: Any, *asked: Any) -> list[InboxRow]:
        return await super().claim_inbox(owner, now, lease * 1000, *asked)


@found_out_by(DeliveryContract, AnyOrderContract)
class LosesWhatFailed(MemoryStore):
    async def retry_delivery(self, owner: Any, row: Any, error: Any, at: Any) -> None:
        await super().bury_delivery(owner, row, error, at)


@found_out_by(DeliveryContract, AnyOrderContract)
class DeliversAgainAtOnce(MemoryStore):
    async def retry_delivery(self, owner: Any, row: Any, error: Any, at: Any) -> None:
        await super().retry_delivery(owner, row, error, row.received_at)


@found_out_by(DeliveryContract)
class LetsAnybodySayWhatBecameOfADelivery(MemoryStore):
    async def bury_delivery(self, owner: Any, row: Any, error: Any, now: Any) -> None:
        await super().bury_delivery(row.claimed_by, row, error, now)


@found_out_by(DeliveryContract)
class DeliversAgainWhatIsDone(MemoryStore):
    async def retry_delivery(self, owner: Any, row: Any, error: Any, at: Any) -> None:
        if row.processed_at is None:
            await super().retry_delivery(owner, row, error, at)
        else:
            row.processed_at = None
            self._queue_delivery(row)


@found_out_by(DeliveryContract)
class ForgetsWhatIsClaimedInTheInbox(ForgetsWhatIsClaimed):
    pass


@found_out_by(DeliveryContract, AnyOrderContract)
class IsNeverDueInTheInbox(MemoryStore):
    async def inbox_due(self, *_: Any) -> None:
        return None


@found_out_by(DeliveryContract)
class LetsTheDeadHoldUpTheirKey(MemoryStore):
    async def bury_delivery(self, owner: Any, row: Any, error: Any, now: Any) -> None:
        row.attempts, row.last_error, row.dead_at = row.attempts + 1, error, now
        row.claimed_by = row.claimed_until = None


# Dead letters


@found_out_by(DeadLetterContract)
class RevivesWithTheOldAttempts(MemoryStore):
    async def revive_delivery(self, row: Any, now: Any, envelope: Any = None) -> None:
        attempts = row.attempts
        await super().revive_delivery(row, now, envelope)
        row.attempts = attempts


@found_out_by(DeadLetterContract)
class RevivesAtTheEndOfTheQueue(MemoryStore):
    async def revive_delivery(self, row: Any, now: Any, envelope: Any = None) -> None:
        await super().revive_delivery(row, now + timedelta(seconds=1), envelope)


@found_out_by(DeadLetterContract)
class IgnoresEdits(MemoryStore):
    async def revive_delivery(self, row: Any, now: Any, envelope: Any = None) -> None:
        await super().revive_delivery(row, now)


@found_out_by(DeadLetterContract)
class RevivesTheLiving(RevivesWhatIsAlive):
    pass


@found_out_by(DeadLetterContract)
class LosesWhatItCannotRead(MemoryStore):
    async def bury_unreadable(self, *_: Any) -> None: ...


@found_out_by(DeadLetterContract)
class ForgetsNothing(MemoryStore):
    async def forget_unreadable(self, row: Any) -> None: ...


# Odd values


@found_out_by(OddValuesContract)
class StripsTexts(MemoryStore):
    async def receive(self, receipts: Any, now: Any) -> list[tuple[str, str]]:
        stripped = [
            replace(r, envelope=replace(r.envelope, key=r.envelope.key.strip())) for r in receipts
        ]
        return await super().receive(stripped, now)


@found_out_by(OddValuesContract)
class TakesBodiesForText(MemoryStore):
    async def commit(
        self, events: Any, outbox: Any, handled: Any = None, connection: Any = None
    ) -> Sequence[int]:
        for row in outbox:
            text = row.envelope.body.decode(errors="replace")
            row.envelope = replace(row.envelope, body=text.encode())
        for event in events:
            event.__dict__["state"] = event.state.decode(errors="replace").encode()
        return await super().commit(events, outbox, handled)


@found_out_by(OddValuesContract)
class TrimsTopics(MemoryStore):
    async def commit(self, events: Any, *rest: Any) -> Sequence[int]:
        for event in events:
            assert len(event.topic) < 1000
        return await super().commit(events, *rest)


# Databases


@found_out_by(EventsContract)
class SharesTables(MemoryDatabase):
    def store(self, module: str) -> Any:
        return super().store(module.lower())


@found_out_by(SessionContract)
class KnowsATimeOfItsOwn(MemoryDatabase):
    def latest_time(self) -> Any:
        return START

    def store(self, module: str) -> Any:
        return PromisesTooMuch(module, MemoryFactory(None))


def bench_of(liar: type[Any]) -> StoreBench:
    """A bench with a database that lies, or one whose stores do."""
    if issubclass(liar, MemoryDatabase):
        return StoreBench(liar)

    class Database(MemoryDatabase):
        def store(self, module: str) -> Any:
            if module not in self._stores:
                self._stores[module] = liar(module, MemoryFactory(None))
            return self._stores[module]

    return StoreBench(Database)


@cache
def broken_by(liar: type[Any], contract: type[Any]) -> frozenset[str]:
    return frozenset(broken_promises(contract, lambda: bench_of(liar)))


CASES = [(liar, contract) for liar, contracts in LIARS for contract in contracts]


@pytest.mark.parametrize(
    ("liar", "contract"), CASES, ids=lambda case: getattr(case, "__name__", None)
)
def test_a_store_that_breaks_a_promise_is_found_out(liar: type[Any], contract: type[Any]) -> None:
    assert broken_by(liar, contract)


def test_no_test_of_the_contract_is_one_that_cannot_fail() -> None:
    failed = frozenset[str]().union(*(broken_by(*case) for case in CASES))
    assert sorted({promise.name for promise in promises(StoreContract)} - failed) == []


class GroupLiar:
    """A group of SQLite that keeps all promises but one."""

    def __init__(self, group: Any) -> None:
        self.group = group

    def __getattr__(self, name: str) -> Any:
        return getattr(self.group, name)


class EndsWithoutACommit(GroupLiar):
    def end(self) -> None:
        self.group.undo()


class UndoesAllForOne(GroupLiar):
    async def commit(self, *everything: Any) -> Any:
        try:
            return await self.group.commit(*everything)
        except Exception:
            self.group.undo()
            raise


class UndoesNothing(GroupLiar):
    def undo(self) -> None:
        self.group.end()


class SwallowsARefusal(GroupLiar):
    async def commit(self, *everything: Any) -> Any:
        try:
            return await self.group.commit(*everything)
        except (IntegrityError, LeaseLostError):
            return ()


class ForgetsFailures(GroupLiar):
    async def retry_delivery(self, *_: Any) -> None: ...

    async def bury_delivery(self, *_: Any) -> None: ...


class IsDeafAfterItsEnd(GroupLiar):
    async def commit(self, *everything: Any) -> Any:
        return () if self.group.ended else await self.group.commit(*everything)


class BeginsTooSoon(GroupLiar):
    def __init__(self, group: Any) -> None:
        super().__init__(group)
        self.mine = group.begin()


GROUP_LIARS = (
    EndsWithoutACommit,
    UndoesAllForOne,
    UndoesNothing,
    SwallowsARefusal,
    ForgetsFailures,
    IsDeafAfterItsEnd,
    BeginsTooSoon,
)


@cache
def broken_by_group(liar: type[Any]) -> frozenset[str]:
    def open_it() -> Any:
        database = SQLiteDatabase("sqlite:///:memory:?timeout=0.1")
        store: Any = database.store("orders")
        group = store.group
        store.group = lambda: liar(group())
        return database

    return frozenset(broken_promises(GroupContract, lambda: StoreBench(open_it)))


@pytest.mark.parametrize("liar", GROUP_LIARS)
def test_a_group_that_breaks_a_promise_is_found_out(liar: type[Any]) -> None:
    assert broken_by_group(liar)


def test_no_test_of_groups_is_one_that_cannot_fail() -> None:
    failed = frozenset[str]().union(*map(broken_by_group, GROUP_LIARS))
    assert sorted({promise.name for promise in promises(GroupContract)} - failed) == []
    assert broken_by_group(GroupLiar) == frozenset()


class CountsOpeningsFromTwo(MemoryDatabase):
    @property
    def session(self) -> int:
        return 2


class ForgetsTypes(MemoryStore):
    async def commit(self, events: Any, *rest: Any) -> Sequence[int]:
        for event in events:
            event.__dict__["state"] = event.state.replace(b"1.10", b"1.1")
        return await super().commit(events, *rest)


SYSTEM_LIARS = (
    CountsOpeningsFromTwo,
    ForgetsTypes,
    TakesAPlaceTwice,
    RecognisesNothing,
    ForgetsTheMark,
    NeverNotesADelivery,
    IsNeverDue,
    PromisesTooMuch,
)


@pytest.fixture
def systems_broken_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Any]], set[str]]:
    def broken(liar: type[Any]) -> set[str]:
        opener = {"liar": lambda _: bench_of(liar).open()}
        monkeypatch.setattr(system, "_STORES", {**system._STORES, **opener})
        return set(broken_promises(SystemContract, lambda: SystemBench("liar://")))

    return broken


@pytest.mark.parametrize("liar", SYSTEM_LIARS)
def test_a_system_on_a_store_that_breaks_a_promise_finds_it_out(
    liar: type[Any], systems_broken_by: Callable[[type[Any]], set[str]]
) -> None:
    assert systems_broken_by(liar)


def test_no_test_of_whole_systems_is_one_that_cannot_fail(
    systems_broken_by: Callable[[type[Any]], set[str]],
) -> None:
    failed = set[str]().union(*map(systems_broken_by, SYSTEM_LIARS))
    assert sorted({promise.name for promise in promises(SystemContract)} - failed) == []


def test_no_two_contracts_have_a_test_of_one_name() -> None:
    names = [p.name for contract in StoreContract.__bases__ for p in promises(contract)]
    assert len(names) == len(set(names)) == len(list(promises(StoreContract)))


def test_the_honest_store_breaks_nothing() -> None:
    assert broken_promises(StoreContract, lambda: bench_of(MemoryStore)) == {}
