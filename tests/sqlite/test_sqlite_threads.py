"""A store that is closed, or finds its file replaced, while other threads are at work in it."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from modulus_es import StoreUnavailableError
from modulus_es.stores.sqlite.datastore import Datastore
from modulus_es.stores.sqlite.url import parse


class Pause:
    """A function of SQL that does not come back before it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = Event(), Event()

    def __call__(self) -> int:
        self.begun.set()
        self.may_end.wait(20)
        return 7


@pytest.mark.parametrize("writing", [False, True])
def test_a_store_closed_under_a_thread_at_work_lets_it_finish_and_then_lets_go(
    tmp_path: Path, writing: bool
) -> None:
    datastore = Datastore(parse(f"sqlite:///{tmp_path}/shop.db?timeout=0.05"))
    datastore.write(lambda cursor: cursor.execute("CREATE TABLE seen (n)"))
    used: list[sqlite3.Connection] = []
    pause = Pause()

    def query(connection: sqlite3.Connection) -> int:
        used.append(connection)
        connection.create_function("pause", 0, pause)
        if writing:
            connection.execute("INSERT INTO seen SELECT pause()")
            return connection.total_changes
        return int(connection.execute("SELECT pause()").fetchone()[0])

    with ThreadPoolExecutor(1) as pool:
        if writing:
            answer = pool.submit(datastore.write, lambda cursor: query(cursor.connection))
        else:
            answer = pool.submit(datastore.read, query)
        assert pause.begun.wait(20)
        datastore.close()
        with pytest.raises(StoreUnavailableError, match="is closed"):
            datastore.select("SELECT 1")
        pause.may_end.set()
        assert answer.result(20) == (1 if writing else 7)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        used[0].execute("SELECT 1")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as after:
        assert after.execute("SELECT count(*) FROM seen").fetchone() == (int(writing),)


def test_a_reader_that_finds_another_file_leaves_the_writer_at_work_alone(tmp_path: Path) -> None:
    datastore = Datastore(parse(f"sqlite:///{tmp_path}/shop.db"))
    datastore.write(lambda cursor: cursor.execute("CREATE TABLE seen (n)"))
    pause = Pause()

    def insert(cursor: sqlite3.Cursor) -> int:
        cursor.connection.create_function("pause", 0, pause)
        return cursor.execute("INSERT INTO seen SELECT pause()").rowcount

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(datastore.write, insert)
        assert pause.begun.wait(20)
        datastore.connections.doubt()
        assert datastore.select("SELECT count(*) FROM seen")[0][0] == 0
        pause.may_end.set()
        assert answer.result(20) == 1
    assert datastore.write(lambda cursor: cursor.execute("DELETE FROM seen").rowcount) == 1
    datastore.close()
