"""Contract of stores: used in any order, a store is what a model says that is too simple to err."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from random import Random
from typing import Any

from modulus_es.stores.port import Store
from modulus_es.stores.rows import Handled, InboxRow, OutboxRow, Receipt
from modulus_es.testing.contracts.promises import promise
from modulus_es.testing.contracts.store_bench import (
    HANDLERS,
    LEASE,
    ROUTES,
    StoreBench,
    StoreSuite,
    at,
    envelope,
    message,
)

WALKS = 4
STEPS = 120


class AnyOrderContract(StoreSuite):
    """Owners claim, finish, fail and die in any order, and whose turn it is stays right.

    >>> from modulus_es.testing.contracts import promises
    >>> next(promises(AnyOrderContract)).name
    'test_an_inbox_in_any_order_of_use_is_what_its_model_says'
    """

    @promise()
    async def test_an_outbox_in_any_order_of_use_is_what_its_model_says(
        self, bench: StoreBench
    ) -> None:
        for seed in range(WALKS):
            await _OutboxWalk(bench.database.store(f"outbox{seed}"), seed).go()

    @promise()
    async def test_an_inbox_in_any_order_of_use_is_what_its_model_says(
        self, bench: StoreBench
    ) -> None:
        for seed in range(WALKS):
            await _InboxWalk(bench.database.store(f"inbox{seed}"), seed).go()


class _Model:
    """A row as it must be.

    ``lane`` keeps the order; one that is ``patient`` holds up nobody before it is due.
    """

    def __init__(self, n: int, lane: Hashable, due: float, *, patient: bool = False) -> None:
        self.n, self.lane, self.due, self.patient = n, lane, due, patient
        self.row: Any = None
        self.owner = ""
        self.until = 0.0
        self.attempts = 0
        self.state = "open"

    def free(self, owner: str, now: float) -> bool:
        return not self.owner or (self.owner != owner and self.until <= now)


class _Walk:
    """Does things by chance, and compares what the store says with what the model says."""

    through = True

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.chance = store, Random(seed)
        self.rows: list[_Model] = []
        self.now = 0.0
        self.lives = {"anna": 1, "bert": 1}
        self.said: list[str] = []

    async def go(self) -> None:
        for _ in range(STEPS):
            await self.step()
        found = [self.status(row) for row in self.stored()]
        assert found == [self.expected(each) for each in self.rows], self.story()

    async def step(self) -> None:
        owner = f"{(name := self.chance.choice(list(self.lives)))}-{self.lives[name]}"
        held = [each for each in self.rows if each.owner == owner and each.state == "open"]
        chosen = self.chance.choice(held) if held else None
        act = self.chance.choice(
            ["add", "add", "claim", "claim", "finish", "finish", "time", "some"]
        )
        if act == "add":
            await self.add()
        elif act == "claim":
            await self.claim(owner, self.chance.choice([1, 2, 100]))
        elif act == "time":
            self.pass_time(self.chance.choice([1, 7, 31]))
        elif chosen is not None:
            end = "finish" if act == "finish" else self.chance.choice(["retry", "bury", "release"])
            self.said.append(f"{owner}: {end} {chosen.n}")
            await self.end(end, owner, chosen)

    def pass_time(self, seconds: float) -> None:
        self.said.append(f"{seconds} s pass")
        self.now += seconds
        for name, life in self.lives.items():
            # Who lost a lease dies: whether it could have the row again is not said.
            late = any(e.owner == f"{name}-{life}" and e.until <= self.now for e in self.rows)
            self.lives[name] += late

    def claimable(self, owner: str) -> list[_Model]:
        held: set[Hashable] = set()
        answer: list[_Model] = []
        for each in self.rows:
            if each.state != "open" or each.lane in held:
                continue
            due = each.due <= self.now
            if each.free(owner, self.now) and due:
                answer.append(each)
            mine = each.owner == owner or each in answer
            if not (self.through and mine) and not (each.patient and not due):
                held.add(each.lane)
        return answer

    async def claim(self, owner: str, limit: int) -> None:
        expected = self.claimable(owner)
        due = await self.is_due(owner)
        assert due == bool(expected), f"due: {due}, expected: {expected}\n{self.story()}"
        found: list[Any] = await self.take(owner, limit)
        self.said.append(f"{owner}: claim {limit} -> {[self.number(row) for row in found]}")
        wanted = expected[:limit]
        assert [self.number(row) for row in found] == [each.n for each in wanted], self.story()
        for each, row in zip(wanted, found, strict=True):
            each.owner, each.until, each.row = owner, self.now + LEASE.total_seconds(), row
            each.patient = False

    async def end(self, end: str, owner: str, each: _Model) -> None:
        each.owner = ""
        if end == "release":
            await self.release(owner, each.row)
            return
        each.attempts += 1
        if end == "retry":
            each.due = self.now + self.chance.choice([0, 3, 11])
            await self.retry(owner, each.row, at(each.due))
        else:
            each.state = "dead" if end == "bury" else "finished"
            await (self.bury if end == "bury" else self.finish)(owner, each.row)

    def number(self, row: Any) -> int:
        return int(row.envelope.message_id)

    def status(self, row: Any) -> tuple[int, str, int]:
        status = {"delivered": "finished", "done": "finished", "pending": "open", "claimed": "open"}
        return self.number(row), status.get(row.status, row.status), row.attempts

    def expected(self, each: _Model) -> tuple[int, str, int]:
        return each.n, each.state, each.attempts

    def story(self) -> str:
        return "after:\n  " + "\n  ".join(self.said[-40:])

    # What the outbox and the inbox do in their own ways

    def stored(self) -> list[Any]:
        raise NotImplementedError

    async def add(self) -> None:
        raise NotImplementedError

    async def is_due(self, owner: str) -> bool:
        raise NotImplementedError

    async def take(self, owner: str, limit: int) -> list[Any]:
        raise NotImplementedError

    async def finish(self, owner: str, row: Any) -> None:
        raise NotImplementedError

    async def release(self, owner: str, row: Any) -> None:
        raise NotImplementedError

    async def retry(self, owner: str, row: Any, due: datetime) -> None:
        raise NotImplementedError

    async def bury(self, owner: str, row: Any) -> None:
        raise NotImplementedError


class _OutboxWalk(_Walk):
    def stored(self) -> list[OutboxRow]:
        return list(self.store.outbox_rows())

    async def add(self) -> None:
        n, key = len(self.rows) + 1, self.chance.choice("xyz")
        wait = self.chance.choice([0, 0, 0, 7])
        self.said.append(f"write {n}, key {key}, due in {wait} s")
        row = message(n, key, due=self.now + wait, scheduled=wait > 0, message_id=str(n))
        await self.store.commit([], [row])
        self.rows.append(_Model(n, key, self.now + wait, patient=wait > 0))

    async def is_due(self, owner: str) -> bool:
        return await self.store.outbox_due(owner, at(self.now), ROUTES) == at(self.now)

    async def take(self, owner: str, limit: int) -> list[OutboxRow]:
        return await self.store.claim_outbox(owner, at(self.now), LEASE, limit, ROUTES)

    async def finish(self, owner: str, row: OutboxRow) -> None:
        await self.store.mark_delivered(owner, [row], at(self.now))

    async def release(self, owner: str, row: OutboxRow) -> None:
        await self.store.release_outbox(owner, [row])

    async def retry(self, owner: str, row: OutboxRow, due: datetime) -> None:
        await self.store.retry_outbox(owner, row, "no", due)

    async def bury(self, owner: str, row: OutboxRow) -> None:
        await self.store.bury_outbox(owner, row, "never", at(self.now))


class _InboxWalk(_Walk):
    through = False

    def stored(self) -> list[InboxRow]:
        return list(self.store.inbox_rows())

    async def step(self) -> None:
        dead = [each for each in self.rows if each.state == "dead"]
        if dead and self.chance.random() < 0.1:
            each = self.chance.choice(dead)
            self.said.append(f"revive {each.n}")
            [row] = [row for row in self.stored() if self.number(row) == each.n]
            await self.store.revive_delivery(row, at(self.now))
            each.state, each.attempts, each.due = "open", 0, self.now
        else:
            await super().step()

    async def add(self) -> None:
        n, key = len(self.rows) + 1, self.chance.choice("xyz")
        handler = self.chance.choice(["note", "count"])
        ordered = self.chance.random() < 0.8
        self.said.append(f"receive {n}, key {key} for {handler}{'' if ordered else ', unordered'}")
        sent = envelope(n, key, message_id=str(n))
        await self.store.receive([Receipt(sent, ((handler, ordered),))], at(self.now))
        self.rows.append(_Model(n, (handler, key if ordered else n), self.now))

    async def is_due(self, owner: str) -> bool:
        return await self.store.inbox_due(owner, at(self.now), HANDLERS) == at(self.now)

    async def take(self, owner: str, limit: int) -> list[InboxRow]:
        return await self.store.claim_inbox(owner, at(self.now), LEASE, limit, HANDLERS)

    async def finish(self, owner: str, row: InboxRow) -> None:
        await self.store.commit([], [], Handled(row, owner, "done", at(self.now)))

    async def release(self, owner: str, row: InboxRow) -> None:
        await self.store.release_inbox(owner, [row])

    async def retry(self, owner: str, row: InboxRow, due: datetime) -> None:
        await self.store.retry_delivery(owner, row, "no", due)

    async def bury(self, owner: str, row: InboxRow) -> None:
        await self.store.bury_delivery(owner, row, "never", at(self.now))
