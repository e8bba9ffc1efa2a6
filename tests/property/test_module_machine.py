"""A module, used in any order: saves, conflicts, crashes, replays, cells that run again.

The model is plain Python. After every rule the store must hold what the model says.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from budgets import examples
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from modulus_es import (
    Aggregate,
    ConcurrencyError,
    HandlerSignatureError,
    IntegrationEvent,
    SerializationError,
    SimulatedCrash,
    System,
    event,
)
from modulus_es.ledger import ledger

AMOUNTS = st.integers(1, 9)


@dataclass
class Model:
    """What one account must be: the amounts put in, in order."""

    amounts: list[int] = field(default_factory=list)


def account_class(factor: int) -> Any:
    """The cell that defines the aggregate, as it is after its body was edited."""

    class Account(Aggregate):
        @event("Opened")
        def __init__(self, amount: int, note: str = "") -> None:
            self.total, self.note = amount * factor, note

        @event("Added")
        def add(self, amount: int, note: str = "") -> None:
            self.total += amount * factor

    return Account


def contract_class() -> Any:
    class Changed(IntegrationEvent):
        amount: int

    return Changed


class ModuleMachine(RuleBasedStateMachine):
    """`held` are live aggregates that somebody kept, stale ones among them."""

    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.system = System(seed=11)
        self.bank = self.system.module("bank")
        self.audit = self.system.module("audit")
        self.models: dict[UUID, Model] = {}
        self.factor = 1
        self.sick = False
        self.heard: Counter[int] = Counter()
        self.told: Counter[int] = Counter()
        self.define()

    def define(self) -> None:
        """Run all the definition cells."""
        machine = self
        self.account, self.changed = account_class(self.factor), contract_class()

        def tell(happened: Any) -> Any:
            return machine.changed(happened.amount)

        def hear(changed: Any) -> None:
            if machine.sick:
                raise RuntimeError("sick")
            machine.heard[changed.amount] += 1

        for event_class in (self.account.Opened, self.account.Added):
            self.bank.projects(event_class, name="tell")(tell)
        self.audit.on(self.changed, name="hear")(hear)

    def do(self, work: Any) -> Any:
        return self.runner.run(_awaited(work))

    def teardown(self) -> None:
        with self.runner:
            self.finish()

    def finish(self) -> None:
        """When the handler is well, everything is heard once."""
        self.sick = False
        self.system.faults.clear()
        self.do(self.system.run())
        self.do(self.system.replay_dead_letters())
        self.do(self.system.run())
        assert set(self.system.ledger().outcome) <= {"done"}
        assert self.heard == self.told

    # Rules

    @rule(target=held, amount=AMOUNTS)
    def open(self, amount: int) -> Any:
        account = self.account(amount)
        self.do(self.bank.save(account))
        self.models[account.id] = Model([amount])
        self.told[amount] += 1
        return account

    @precondition(lambda self: self.models)
    @rule(target=held, data=st.data())
    def load(self, data: st.DataObject) -> Any:
        id_ = data.draw(st.sampled_from(sorted(self.models)))
        account = self.do(self.bank.get(self.account, id_))
        assert account.version == len(self.models[id_].amounts)
        assert account.total == self.factor * sum(self.models[id_].amounts)
        return account

    @rule(account=held, amount=AMOUNTS)
    def add_and_save(self, account: Any, amount: int) -> None:
        """An old copy conflicts, now and for ever; any other is saved, whenever it was made."""
        fresh = self.is_fresh(account)
        account.add(amount)
        waiting = [each.amount for each in account.pending_events]
        if fresh:
            self.do(self.bank.save(account))
            self.note(account, waiting)
        else:
            with pytest.raises(ConcurrencyError):
                self.do(self.bank.save(account))

    @rule(account=held, amount=AMOUNTS, point=st.sampled_from(["before_commit", "after_commit"]))
    def crash_in_a_save(self, account: Any, amount: int, point: Any) -> None:
        fresh = self.is_fresh(account)
        account.add(amount)
        waiting = [each.amount for each in account.pending_events]
        self.system.faults.crash(point, module="bank")
        if not fresh and point == "after_commit":
            with pytest.raises(ConcurrencyError):
                self.do(self.bank.save(account))
            self.system.faults.clear()
            return
        with pytest.raises(SimulatedCrash) as raised:
            self.do(self.bank.save(account))
        assert raised.value.committed is (point == "after_commit")
        if raised.value.committed:
            self.note(account, waiting)
        else:
            assert [each.amount for each in account.pending_events] == waiting

    @rule(account=held)
    def save_what_waits(self, account: Any) -> None:
        """A save that failed may be tried again, and stores what it did not."""
        waiting = [each.amount for each in account.pending_events]
        if self.is_fresh(account) or not waiting:
            self.do(self.bank.save(account))
            self.note(account, waiting)

    @rule(account=held)
    def record_what_cannot_be_stored(self, account: Any) -> None:
        fresh = self.is_fresh(account)
        before = list(account.pending_events)
        account.add(1.5)
        with pytest.raises(SerializationError, match=r"Changed\.amount"):
            self.do(self.bank.save(account))
        assert len(account.pending_events) == len(before) + 1
        if fresh and not before:
            # What is wrong is in this copy only; another one is as good as ever.
            copy = self.do(self.bank.get(self.account, account.id))
            assert copy.version == len(self.models[account.id].amounts)
        account.pending_events.clear()
        account.pending_events.extend(before)
        account._version -= 1
        account.total -= 1.5 * self.factor

    @rule(sick=st.booleans())
    def let_the_handler_be(self, sick: bool) -> None:
        self.sick = sick

    @rule()
    def run_the_system(self) -> None:
        self.do(self.system.run())

    @rule()
    def replay_dead_letters(self) -> None:
        self.do(self.system.replay_dead_letters())

    @rule()
    def replay_the_projector(self) -> None:
        """The same messages again, byte for byte: every consumer recognises them."""
        replayed = self.do(self.bank.replay("tell"))
        assert replayed == sum(len(model.amounts) for model in self.models.values())

    @rule(factor=st.integers(1, 3))
    def run_the_cells_again(self, factor: int) -> None:
        """New code under the old names; what is stored is replayed with it."""
        handlers = [(kind, handler.name) for kind, handler in self.bank.handlers()]
        self.factor = factor
        self.define()
        assert [(kind, handler.name) for kind, handler in self.bank.handlers()] == handlers

    @rule()
    def run_a_cell_that_fails(self) -> None:
        before = [repr(handler) for _, handler in self.audit.handlers()]
        with pytest.raises(HandlerSignatureError):
            self.audit.on(self.changed)(None)
        assert [repr(handler) for _, handler in self.audit.handlers()] == before

    # What must hold

    @invariant()
    def the_store_holds_what_the_model_says(self) -> None:
        found: dict[UUID, list[int]] = {}
        for stored in self.bank.stored_events():
            data = json.loads(bytes(self.bank.mapper.read(stored).data))
            found.setdefault(stored.originator_id, []).append(data["amount"])
        assert found == {id_: model.amounts for id_, model in self.models.items()}
        messages = {row.envelope.message_id for row in self.bank.store.outbox_rows()}
        assert len(messages) == sum(self.told.values())

    @invariant()
    def nothing_was_lost_and_nothing_heard_twice(self) -> None:
        assert self.heard <= self.told
        assert all(row.outcome != "lost" for row in ledger(self.system.modules))

    # Helpers

    def is_fresh(self, account: Any) -> bool:
        stored = account.version - len(account.pending_events)
        return stored == len(self.models[account.id].amounts)

    def note(self, account: Any, amounts: list[int]) -> None:
        self.models[account.id].amounts += amounts
        self.told.update(amounts)
        assert account.pending_events == []


async def _awaited(work: Any) -> Any:
    return await work


def test_a_module_in_any_order_of_use_is_what_its_model_says() -> None:
    run_state_machine_as_test(ModuleMachine, settings=examples(40, stateful_step_count=25))


# The controls: a machine whose model, or whose module, is wrong.


class Distrustful(ModuleMachine):
    """Its model believes that nothing was stored where the caller saw a crash."""

    @rule(account=ModuleMachine.held, amount=AMOUNTS)
    def crash_in_a_save(self, account: Any, amount: int) -> None:  # type: ignore[override]
        account.add(amount)
        self.system.faults.crash("after_commit", module="bank")
        with suppress(SimulatedCrash, ConcurrencyError):
            self.do(self.bank.save(account))
        self.system.faults.clear()


class Draining(ModuleMachine):
    """Its aggregates lose their pending events when a save fails, as eventsourcing's do."""

    @rule(account=ModuleMachine.held, amount=AMOUNTS)
    def crash_in_a_save(self, account: Any, amount: int) -> None:  # type: ignore[override]
        fresh = self.is_fresh(account)
        account.add(amount)
        waiting = [each.amount for each in account.pending_events]
        self.system.faults.crash("before_commit", module="bank")
        with pytest.raises(SimulatedCrash):
            self.do(self.bank.save(account))
        account.collect_events()
        self.do(self.bank.save(account))
        if fresh:
            self.note(account, waiting)


class Impure(ModuleMachine):
    """Its messages have new ids each time that they are projected."""

    def define(self) -> None:
        super().define()
        project, machine = self.bank.replay, self

        async def replay(projector: str) -> int:
            for event_class in (machine.account.Opened, machine.account.Added):
                again = f"tell{machine.system.new_id()}"
                machine.bank.projects(event_class, name=again)(lambda e: machine.changed(e.amount))
            count = await project(again)
            machine.bank.forget(again)
            return count

        self.bank.replay = replay


@pytest.mark.parametrize("machine", [Distrustful, Draining, Impure])
@pytest.mark.slow
def test_a_wrong_module_or_model_is_found_out(machine: Any) -> None:
    # The first failure will do: nobody reads a control's smallest example.
    quickly = examples(
        60, stateful_step_count=25, phases=[Phase.generate], report_multiple_bugs=False
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=quickly)
