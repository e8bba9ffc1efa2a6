"""eventsourcing's own test cases, unchanged, over the stores in memory and in SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar
from unittest import TestCase
from uuid import UUID

import pytest
from eventsourcing import popo, sqlite
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.cipher import AESCipher
from eventsourcing.domain import Aggregate, event
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


CASES = (
    persistence.AggregateRecorderTestCase,
    persistence.ApplicationRecorderTestCase,
    persistence.TrackingRecorderTestCase,
    persistence.ProcessRecorderTestCase,
    persistence.NonInterleavingNotificationIDsBaseCase,
    persistence.InfrastructureFactoryTestCase,
    application.ExampleApplicationTestCase,
    application.ApplicationTestCase,
)


def classes_of(case: type[Any]) -> list[type[Any]]:
    """The classes here that run one of their cases."""
    return [
        value
        for name, value in globals().items()
        if name.startswith("Test") and isinstance(value, type) and issubclass(value, case)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_each_of_their_cases_runs_over_memory_and_over_a_file(case: type[Any]) -> None:
    names = " ".join(cls.__name__ for cls in classes_of(case))
    assert "InMemory" in names
    assert "InFile" in names or "InSQLite" in names


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_their_cases_run_unchanged(case: type[Any]) -> None:
    """One is optional, and runs all the same: who has no subscription takes it up so."""
    for cls in classes_of(case):
        ours = {
            name
            for base in cls.__mro__[: cls.__mro__.index(case)]
            if base.__module__ == __name__
            for name in vars(base)
            if name.startswith("test")
        }
        assert ours <= {"test_insert_subscribe"}


class Note(Aggregate):
    @event("Written")
    def __init__(self, text: str) -> None:
        self.text = text

    @event("Changed")
    def change(self, text: str) -> None:
        self.text = text


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_encryption_compression_and_snapshots_are_chosen_by_their_environment_variables(
    kind: str, tmp_path: Path
) -> None:
    environment = {
        "PERSISTENCE_MODULE": f"modulus_es.stores.{kind}",
        "SQLITE_DBNAME": str(tmp_path / "notes.db"),
        "CIPHER_KEY": AESCipher.create_key(16),
        "CIPHER_TOPIC": "eventsourcing.cipher:AESCipher",
        "COMPRESSOR_TOPIC": "eventsourcing.compressor:ZlibCompressor",
        "IS_SNAPSHOTTING_ENABLED": "y",
    }
    app = Application[UUID](env=environment)
    note = Note("a secret " * 100)
    app.save(note)
    note.change("another secret")
    app.save(note)
    app.take_snapshot(note.id)
    note.change("the last secret")
    app.save(note)
    stored = app.recorder.select_events(note.id)
    assert len(stored) == 3
    assert not [each for each in stored if b"secret" in each.state]
    assert len(stored[0].state) < 300
    assert app.snapshots is not None
    [snapshot] = app.snapshots.get(note.id)
    assert snapshot.originator_version == 2
    found: Note = app.repository.get(note.id)
    assert (found.text, found.version) == ("the last secret", 3)
    with pytest.raises(AggregateNotFoundError):
        app.repository.get(UUID(int=1))
    app.close()
