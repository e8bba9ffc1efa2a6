"""What the tables of a store are called, and the one place where a name enters a statement."""

from __future__ import annotations

import re
from string import Template
from typing import NamedTuple


class Names(NamedTuple):
    """The tables of one module."""

    events: str
    outbox: str
    inbox: str
    snapshots: str

    def fill(self, statement: str) -> str:
        """A statement with its tables: ``$outbox``, or ``$outbox_pending`` for an index of it.

        Only names enter a statement so, quoted; values are parameters.

        ``$outbox_columns`` and ``$inbox_columns`` are what a whole row is made of,
        in the order in which `rows` takes it apart.

        >>> names_of("shop").fill("DELETE FROM $outbox WHERE position = ?")
        'DELETE FROM "modulus_outbox_shop" WHERE position = ?'
        """
        quoted = {kind: _quoted(name) for kind, name in self._asdict().items()}
        quoted |= {"outbox_columns": ", ".join(OUTBOX), "inbox_columns": ", ".join(INBOX)}
        for kind, purpose in _INDEXES:
            quoted[f"{kind}_{purpose}"] = _quoted(f"{getattr(self, kind)}_{purpose}")
        return Template(statement).substitute(quoted)


_MESSAGE = ("message_id", "kind", "type", "version", "source", "key", "headers", "body")
OUTBOX = (
    "position",
    *_MESSAGE,
    "route",
    "handler",
    "created_at",
    "available_at",
    "scheduled",
    "attempts",
    "last_error",
    "claimed_by",
    "claimed_until",
    "delivered_at",
    "dead_at",
)
INBOX = (
    "position",
    *_MESSAGE,
    "handler",
    "received_at",
    "available_at",
    "ordered",
    "attempts",
    "last_error",
    "claimed_by",
    "claimed_until",
    "processed_at",
    "outcome",
    "dead_at",
    "duplicates",
    "out_of_order",
)

_INDEXES = (
    ("outbox", "pending"),
    ("outbox", "later"),
    ("inbox", "ready"),
    ("inbox", "later"),
    ("inbox", "lane"),
    ("inbox", "order"),
)


class Statements:
    """A set of statements, each filled with the tables of one module when it is made."""

    def __init__(self, names: Names) -> None:
        for base in type(self).__mro__:
            for name, value in vars(base).items():
                if isinstance(value, str) and not name.startswith("_"):
                    setattr(self, name, names.fill(value))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def names_of(module: str | None) -> Names:
    """The tables of a module; without one, those that eventsourcing's own recorder would use.

    SQLite takes ``Orders`` and ``orders`` for one table, and they are two
    modules: a capital letter is written with a circumflex.

    >>> names_of("Orders").events
    'modulus_events_^orders'
    >>> names_of(None).events
    'stored_events'
    """
    if module is None:
        return Names("stored_events", "stored_outbox", "stored_inbox", "stored_latest")
    plain = re.sub(r"[A-Z]", lambda found: f"^{found.group().lower()}", module)
    return Names(*(f"modulus_{kind}_{plain}" for kind in Names._fields))


def module_of(table: str) -> str | None:
    """The module whose events a table holds; None where it is another table.

    >>> module_of("modulus_events_^orders")
    'Orders'
    """
    plain = table.removeprefix("modulus_events_")
    if plain == table:
        return None
    return re.sub(r"\^([a-z])", lambda found: found.group(1).upper(), plain)
