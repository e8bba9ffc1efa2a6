"""The contract of stores, over every store that there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modulus_es.stores.memory import MemoryDatabase
from modulus_es.stores.port import Database
from modulus_es.stores.sqlite import SQLiteDatabase
from modulus_es.testing.contracts import StoreContract, SystemContract

Open = Callable[[], Database]


class TestMemory(StoreContract):
    @pytest.fixture
    def open_database(self) -> Open:
        return MemoryDatabase


class TestSQLiteFile(StoreContract):
    @pytest.fixture
    def open_database(self, tmp_path: Path) -> Open:
        return lambda: SQLiteDatabase(f"sqlite:///{tmp_path}/store.db")


class TestSQLiteMemory(StoreContract):
    @pytest.fixture
    def open_database(self) -> Open:
        return lambda: SQLiteDatabase("sqlite:///:memory:")


class TestSystemInMemory(SystemContract):
    @pytest.fixture
    def store_url(self) -> str:
        return "memory://"


class TestSystemInSQLiteFile(SystemContract):
    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/store.db"


class TestSystemInSQLiteMemory(SystemContract):
    @pytest.fixture
    def store_url(self) -> str:
        return "sqlite:///:memory:"


class TestSystemInGroups(TestSystemInSQLiteFile):
    """A day that is committed in groups differs in nothing that its tables show."""

    @pytest.fixture
    def system_options(self) -> dict[str, Any]:
        return {"group_commit": 50}
