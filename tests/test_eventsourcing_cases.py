"""eventsourcing's own test cases, unchanged, over the stores in memory and in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest import TestCase

import pytest
from eventsourcing import popo, sqlite
from eventsourcing.persistence import AggregateRecorder
from eventsourcing.tests import application, persistence
from eventsourcing.utils import Environment, get_topic

from modulus_es.stores.memory import MemoryFactory, MemoryRecorder
from modulus_es.stores.sqlite import ModulusSQLiteFactory
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.recorders import ModulusApplicationRecorder, ModulusProcessRecorder
from modulus_es.stores.sqlite.url import parse

# eventsourcing's own case looks at this warning of its own.
pytestmark = pytest.mark.filterwarnings("always:'log' is deprecated:DeprecationWarning")


class InMemory(TestCase):
    """eventsourcing's cases take what they try from the store in memory."""

    def create_recorder(self) -> Any:
        return MemoryFactory(None).process_recorder()


class InFile(TestCase):
    """They take it from SQLite, each test with a file of its own."""

    database: ClassVar[str] = "sqlite:///{folder}/store.db"
    recorder_class: ClassVar[type[Any]] = ModulusApplicationRecorder

    @pytest.fixture(autouse=True)
    def datastore_in_a_folder(self) -> Iterator[None]:
        with TemporaryDirectory() as folder:
            self.datastore = Datastore(parse(self.database.format(folder=folder)))
            yield
            self.datastore.close()

    def create_recorder(self) -> Any:
        recorder = self.recorder_class(self.datastore)
        recorder.create_table()
        return recorder


class InSQLiteMemory(InFile):
    """They take it from SQLite without a file."""

    database = "sqlite:///:memory:"


class TestAggregateRecorderInMemory(InMemory, persistence.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return MemoryFactory(None).aggregate_recorder()


class TestAggregateRecorderInFile(InFile, persistence.AggregateRecorderTestCase):
    recorder_class = sqlite.SQLiteAggregateRecorder


class TestAggregateRecorderInSQLiteMemory(InSQLiteMemory, persistence.AggregateRecorderTestCase):
    recorder_class = sqlite.SQLiteAggregateRecorder


class TestApplicationRecorderInMemory(InMemory, persistence.ApplicationRecorderTestCase[Any]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderInFile(InFile, persistence.ApplicationRecorderTestCase[Any]):
    pass


class TestApplicationRecorderInSQLiteMemory(
    InSQLiteMemory, persistence.ApplicationRecorderTestCase[Any]
):
    pass


class TestTrackingRecorderInMemory(InMemory, persistence.TrackingRecorderTestCase):
    pass


class TestTrackingRecorderInFile(InFile, persistence.TrackingRecorderTestCase):
    recorder_class = sqlite.SQLiteTrackingRecorder


class TestTrackingRecorderInSQLiteMemory(InSQLiteMemory, persistence.TrackingRecorderTestCase):
    recorder_class = ModulusProcessRecorder


class TestProcessRecorderInMemory(InMemory, persistence.ProcessRecorderTestCase):
    pass


class TestProcessRecorderInFile(InFile, persistence.ProcessRecorderTestCase):
    recorder_class = ModulusProcessRecorder


class TestProcessRecorderInSQLiteMemory(InSQLiteMemory, persistence.ProcessRecorderTestCase):
    recorder_class = ModulusProcessRecorder


class TestNotificationIdsInMemory(InMemory, persistence.NonInterleavingNotificationIDsBaseCase):
    pass


class TestNotificationIdsInFile(InFile, persistence.NonInterleavingNotificationIDsBaseCase):
    pass


class TestNotificationIdsInSQLiteMemory(
    InSQLiteMemory, persistence.NonInterleavingNotificationIDsBaseCase
):
    pass


class MemoryTrackingRecorder(popo.POPOTrackingRecorder):
    """A reader's own, found by its topic."""


class TestFactoryInMemory(persistence.InfrastructureFactoryTestCase[MemoryFactory]):
    def setUp(self) -> None:
        self.env = Environment(
            "TestCase", {"PERSISTENCE_MODULE": get_topic(MemoryFactory).partition(":")[0]}
        )
        super().setUp()

    def expected_factory_class(self) -> type[MemoryFactory]:
        return MemoryFactory

    def expected_aggregate_recorder_class(self) -> type[Any]:
        return popo.POPOAggregateRecorder

    def expected_application_recorder_class(self) -> type[Any]:
        return MemoryRecorder

    def expected_tracking_recorder_class(self) -> type[Any]:
        return popo.POPOTrackingRecorder

    def tracking_recorder_subclass(self) -> type[Any]:
        return MemoryTrackingRecorder

    def expected_process_recorder_class(self) -> type[Any]:
        return MemoryRecorder


class FileTrackingRecorder(sqlite.SQLiteTrackingRecorder):
    """A reader's own, found by its topic."""


class TestFactoryInSQLite(persistence.InfrastructureFactoryTestCase[ModulusSQLiteFactory]):
    def setUp(self) -> None:
        self.env = Environment(
            "TestCase",
            {"PERSISTENCE_MODULE": "modulus_es.stores.sqlite", "SQLITE_DBNAME": ":memory:"},
        )
        super().setUp()

    def expected_factory_class(self) -> type[ModulusSQLiteFactory]:
        return ModulusSQLiteFactory

    def expected_aggregate_recorder_class(self) -> type[Any]:
        return sqlite.SQLiteAggregateRecorder

    def expected_application_recorder_class(self) -> type[Any]:
        return ModulusApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[Any]:
        return sqlite.SQLiteTrackingRecorder

    def tracking_recorder_subclass(self) -> type[Any]:
        return FileTrackingRecorder

    def expected_process_recorder_class(self) -> type[Any]:
        return ModulusProcessRecorder


class WithMemory(TestCase):
    """eventsourcing's applications keep their events in our store in memory."""

    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PERSISTENCE_MODULE", "modulus_es.stores.memory")


class WithFile(TestCase):
    """They keep them in a SQLite file."""

    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with TemporaryDirectory() as folder:
            monkeypatch.setenv("PERSISTENCE_MODULE", "modulus_es.stores.sqlite")
            monkeypatch.setenv("SQLITE_DBNAME", f"{folder}/application.db")
            yield


class TestExampleApplicationInMemory(WithMemory, application.ExampleApplicationTestCase):
    expected_factory_topic = get_topic(MemoryFactory)


class TestExampleApplicationInFile(WithFile, application.ExampleApplicationTestCase):
    expected_factory_topic = get_topic(ModulusSQLiteFactory)


class TestApplicationInMemory(WithMemory, application.ApplicationTestCase):
    pass


class TestApplicationInFile(WithFile, application.ApplicationTestCase):
    pass


def test_each_of_our_persistence_modules_shows_exactly_one_factory() -> None:
    for module, factory in (
        ("modulus_es.stores.memory", MemoryFactory),
        ("modulus_es.stores.sqlite", ModulusSQLiteFactory),
    ):
        environment = Environment("", {"PERSISTENCE_MODULE": module, "SQLITE_DBNAME": ":memory:"})
        assert type(factory.construct(environment)) is factory
