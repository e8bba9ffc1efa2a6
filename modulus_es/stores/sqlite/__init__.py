"""The store in a SQLite file, and an ``eventsourcing`` persistence module.

``System(store="sqlite:///shop.db")`` keeps a system in a file; an
``Application`` of eventsourcing uses the same recorders with
``PERSISTENCE_MODULE=modulus_es.stores.sqlite``.
"""

from __future__ import annotations

from modulus_es.stores.sqlite.database import SQLiteDatabase
from modulus_es.stores.sqlite.factory import ModulusSQLiteFactory
from modulus_es.stores.sqlite.store import SQLiteStore

__all__ = ["ModulusSQLiteFactory", "SQLiteDatabase", "SQLiteStore"]
