"""Compare what a world did with what its plan says: every difference is a sentence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from plans import Plan, crashed, expected
from worlds import World


class Books:
    """The tables of a world, read once, beside what its plan says."""

    def __init__(self, world: World, plan: Plan | None = None) -> None:
        self.world, self.plan = world, plan or world.plan
        system = world.system
        self.ledger, self.dead_letters = system.ledger(), system.dead_letters()
        self.events, self.outbox, self.inbox = system.events(), system.outbox(), system.inbox()
        self.said = expected(self.plan)
        self.sent = [row for module in world.modules for row in module.store.outbox_rows()]
        held = [row for module in world.modules for row in module.store.inbox_rows()]
        # A message's id differs from one attempt to the next; its node does not.
        self.node_of = {
            row.envelope.message_id: json.loads(row.envelope.body)["node"]
            for row in [*self.sent, *held]
        }


def complaints(world: World, plan: Plan | None = None) -> list[str]:
    """What does not agree, in the tables and between them; nothing, if all is well."""
    books = Books(world, plan)
    parts = (
        about_deliveries,
        about_effects,
        about_tables,
        about_calls,
        about_retries,
        about_arrivals,
        about_order,
    )
    return [complaint for part in parts for complaint in part(books)]


def _differ(what: str, found: Any, wanted: Any) -> Iterator[str]:
    for key in sorted({*found, *wanted}, key=str):
        if found.get(key) != wanted.get(key):
            yield f"{what} {key}: {found.get(key)}, and should be {wanted.get(key)}"


def about_deliveries(books: Books) -> Iterator[str]:
    """The ledger says of every handler of every message what became of it."""
    if books.ledger.duplicated(["message_id", "module", "handler"]).any():
        yield "a handler of a message has two rows in the ledger"
    found: dict[tuple[int, str], tuple[str, int, int]] = {}
    unheard = Counter[int]()
    for row in books.ledger.itertuples():
        node = books.node_of[row.message_id]
        if row.outcome == "unheard":
            unheard[node] += 1
        elif (node, row.handler) in found:
            yield f"message {node} reached {row.handler} twice, under two ids"
        else:
            found[node, row.handler] = (row.outcome, row.attempts, row.effects)
    yield from _differ("ledger", found, books.said.deliveries)
    yield from _differ("unheard", unheard, dict.fromkeys(books.said.unheard, 1))
    dead = Counter(
        (books.node_of[row.message_id], row.handler) for row in books.dead_letters.itertuples()
    )
    always = {k: 1 for k, (outcome, _, _) in books.said.deliveries.items() if outcome == "dead"}
    yield from _differ("dead letters of", dead, always)


def about_effects(books: Books) -> Iterator[str]:
    """The events that handlers recorded are in the stores once, and no others."""
    said = books.said
    own, echoes, afters = Counter[tuple[int, str]](), Counter[int](), Counter[int]()
    for data in books.events.data:
        node, handler = data["node"], data["handler"]
        if handler == "echo":
            echoes[node] += 1
        elif handler == "after":
            afters[node] += 1
        else:
            own[node, handler] += 1
    yield from _differ("events", own, {key: n for key, n in said.events.items() if n})
    yield from _differ("echoes", echoes, {key: n for key, n in said.echoes.items() if n})
    if not crashed(books.plan.weather):
        yield from _differ("after", afters, {key: n for key, n in said.afters.items() if n})
    for node, count in afters.items():
        if count > said.afters.get(node, 0):
            yield f"after-commit handlers of {node} recorded {count} events"


def about_tables(books: Books) -> Iterator[str]:
    """Outbox, inbox and events agree with each other."""
    outbox, inbox, events = books.outbox, books.inbox, books.events
    sent = set(outbox.message_id)
    if not outbox.message_id.is_unique or not events.event_id.is_unique:
        yield "an id was given twice"
    delivered = set(outbox.message_id[outbox.status == "delivered"])
    if outside := set(inbox.message_id) - delivered:
        yield f"received, and not marked as delivered: {outside}"
    if silent := delivered - set(inbox.message_id):
        yield f"marked as delivered, and in no inbox: {silent}"
    if odd := set(inbox.status) - {"done", "dead"}:
        yield f"deliveries are still {odd}"
    if (held := {books.node_of[each] for each in sent - delivered}) != books.said.unheard:
        yield f"messages {held} wait in an outbox, and {books.said.unheard} should"
    known = sent | set(events.event_id)
    if unknown := {*events.causation_id.dropna(), *outbox.causation_id.dropna()} - known:
        yield f"caused by nothing that was recorded: {unknown}"
    for _, versions in events.groupby("aggregate_id").version:
        if list(versions) != list(range(1, len(versions) + 1)):
            yield f"an aggregate has versions {list(versions)}"


def about_calls(books: Books) -> Iterator[str]:
    """Handlers were called as often as they had to be, and never before their message was due."""
    world, said = books.world, books.said
    found = Counter((call.node, call.handler) for call in world.calls)
    if _uncut(books.plan):
        yield from _differ("calls", found, said.calls)
    for key, count in said.calls.items():
        if found[key] < count:
            yield f"{key} was called {found[key]} times, and should be {count} times"
    for call in world.calls:
        if call.at < world.due.get(call.node, call.at):
            yield f"{call.handler} of {call.node} was called early, at {call.at}"


def about_retries(books: Books) -> Iterator[str]:
    """A failed delivery is made again after 1, 2, 4 and 8 seconds, and no sooner."""
    times: dict[tuple[int, str], list[Any]] = {}
    for call in books.world.calls:
        times.setdefault((call.node, call.handler), []).append(call.at)
    for key, called in times.items():
        waits = [(later - sooner).total_seconds() for sooner, later in pairwise(called)]
        if _uncut(books.plan) and any(wait < 2.0**n for n, wait in enumerate(waits)):
            yield f"{key} was tried again after {waits} seconds"


def about_arrivals(books: Books) -> Iterator[str]:
    """The ledger counts duplicates, and what came out of order, as the outside account does."""
    came, late = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    latest: dict[tuple[str, str, str, str], int] = {}
    for arrival in books.world.arrivals:
        for handler in arrival.handlers:
            key = (arrival.message_id, arrival.module, handler)
            came[key] += 1
            lane = (arrival.module, arrival.source, handler, arrival.key)
            if came[key] == 1 and arrival.position:
                late[key] = int(arrival.position < latest.get(lane, 0))
                latest[lane] = max(arrival.position, latest.get(lane, 0))
    for row in books.ledger.itertuples():
        key = (row.message_id, row.module, row.handler)
        if row.outcome != "unheard" and row.duplicates != came[key] - 1:
            yield f"{key} came {came[key]} times, and the ledger says {row.duplicates} duplicates"
        if row.out_of_order != late[key]:
            yield f"{key}: out of order {row.out_of_order}, and should be {late[key]}"


def about_order(books: Books) -> Iterator[str]:
    """Unless the network reorders, each handler has the messages of a key in order."""
    if books.plan.weather.reorder:
        return
    if count := books.ledger.out_of_order.sum():
        yield f"{count} messages came out of order"
    unordered = {hearer.name for hearer in books.plan.hearers if not hearer.ordered}
    place = {
        books.node_of[row.envelope.message_id]: (
            row.envelope.source,
            row.envelope.key,
            row.position,
        )
        for row in books.sent
        if not row.scheduled
    }
    seen: dict[tuple[str, str, str], int] = {}
    for call in books.world.calls:
        if call.node in place and call.handler not in unordered:
            source, key, position = place[call.node]
            lane = (call.handler, source, key)
            if position < seen.get(lane, 0):
                yield f"{call.handler} had message {call.node} of key {key} too late"
            seen[lane] = max(position, seen.get(lane, 0))


def _uncut(plan: Plan) -> bool:
    """Whether no crash can cut a call short, so that it is made again."""
    return all("publish" in point for point, _, _ in plan.weather.crashes)
