"""eventsourcing's factory, for our recorders."""

from __future__ import annotations

from typing import Any

from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteFactory, SQLiteProcessRecorder
from eventsourcing.utils import Environment, EnvType

from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.recorders import ModulusApplicationRecorder, ModulusProcessRecorder
from modulus_es.stores.sqlite.url import LOCK_TIMEOUT, Place


class ModulusSQLiteFactory(SQLiteFactory):
    """Makes the recorders of a store in SQLite, by eventsourcing's environment variables.

    >>> from eventsourcing.application import Application
    >>> app = Application(
    ...     env={"PERSISTENCE_MODULE": "modulus_es.stores.sqlite", "SQLITE_DBNAME": ":memory:"}
    ... )
    >>> type(app.recorder).__name__
    'ModulusApplicationRecorder'
    """

    application_recorder_class: type[SQLiteApplicationRecorder] = ModulusApplicationRecorder
    process_recorder_class: type[SQLiteProcessRecorder] = ModulusProcessRecorder

    def __init__(
        self, env: Environment | EnvType | None, *, datastore: Datastore | None = None
    ) -> None:
        super().__init__(env)
        # What eventsourcing made of the environment, without its pool.
        theirs = self.datastore
        timeout = theirs.pool.lock_timeout
        self.datastore: Any = datastore or Datastore(
            Place(
                theirs.pool.db_name,
                theirs.pool.db_name,
                LOCK_TIMEOUT if timeout is None else float(timeout),
            ),
            single_row_tracking=theirs.single_row_tracking,
            originator_id_type=theirs.originator_id_type,
        )
        theirs.close()
