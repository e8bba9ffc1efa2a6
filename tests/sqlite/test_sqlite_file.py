"""What a file goes through: a full disk, a lock, another's file, a backup, damage, malice."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from shop import Order, Shop, python, run

from modulus_es import StoreError, StoreUnavailableError, System
from modulus_es.stores.sqlite import SQLiteDatabase
from modulus_es.stores.sqlite.connections import Connections

Open = Callable[..., Shop]


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///").partition("?")[0])


def alter(url: str, *statements: str) -> None:
    """Change the file by hand, as somebody would who means no good."""
    connection = sqlite3.connect(path_of(url))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def save_until_it_fails(shop: Shop, text: str) -> tuple[int, Exception]:
    """How many orders were saved before one was not, and why."""
    for count in range(10_000):
        try:
            run(shop.orders.save(Order(f"{count}-{text}")))
        except StoreError as error:
            return count, error
    raise AssertionError("it never failed")


# A full disk


def fill_and_recover(shop: Shop, make_room: Callable[[], None]) -> None:
    saved, error = save_until_it_fails(shop, "x" * 2000)
    assert isinstance(error, StoreUnavailableError)
    assert "full" in str(error)
    for _ in range(5):
        with pytest.raises(StoreUnavailableError, match="full"):
            save_until_it_fails_at_once(shop)
    # Only what was acknowledged is there, and each event has its message.
    assert len(shop.recorded("orders", "Order.Placed")) == saved
    assert len(shop.system.outbox()) == saved
    make_room()
    for i in range(20):
        run(shop.orders.save(Order(f"again {i}")))
    run(shop.system.run())
    shop.agree()
    assert len(shop.recorded("orders", "Order.Placed")) == saved + 20


def save_until_it_fails_at_once(shop: Shop) -> None:
    run(shop.orders.save(Order("y" * 100_000)))


def test_a_full_disk_is_said_writes_nothing_half_and_is_over_when_there_is_room(
    open_shop: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [120]
    connect = Connections._connect

    def connect_with_quota(self: Connections) -> sqlite3.Connection:
        connection = connect(self)
        connection.execute(f"PRAGMA max_page_count={pages[0]}")
        return connection

    monkeypatch.setattr(Connections, "_connect", connect_with_quota)

    def make_room() -> None:
        pages[0] = 1_000_000
        store: Any = shop.orders.store
        store._datastore.connections.doubt()

    shop = open_shop()
    fill_and_recover(shop, make_room)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if not made or made.returncode:
        pytest.skip("only root may mount a small disk; the quota above is tried everywhere")
    yield folder
    subprocess.run([str(shutil.which("umount")), "-l", str(folder)], check=True)


def test_a_disk_that_is_really_full_behaves_the_same(small_disk: Path, open_shop: Open) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 9_000_000)
    shop = open_shop(f"sqlite:///{small_disk}/shop.db")
    fill_and_recover(shop, ballast.unlink)
    shop.system.close()


# Somebody else's lock


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN " + sys.argv[2])
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("let go", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def hold(url: str) -> Iterator[Callable[..., Any]]:
    """Lets another process hold the lock of the file; answers how to make it let go."""
    held: list[Any] = []

    def hold_it(how: str = "IMMEDIATE") -> Callable[[], None]:
        process = python(HOLD, path_of(url), how, stdin=subprocess.PIPE)
        held.append(process)
        assert process.stdout.readline() == "held\n"

        def let_go() -> None:
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "let go\n"

        return let_go

    yield hold_it
    for process in held:
        process.communicate("\n\n")


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_lock_that_is_held_too_long_is_said_and_reading_goes_on(
    open_shop: Open, url: str, hold: Callable[..., Any], how: str
) -> None:
    shop = open_shop(f"{url}?timeout=0.2")
    run(shop.place("A1"))
    let_go = hold(how)
    with pytest.raises(StoreUnavailableError, match="others are writing to it"):
        run(shop.place("A2"))
    with pytest.raises(StoreUnavailableError, match="others are writing to it"):
        run(shop.system.run())
    assert shop.recorded("orders", "Order.Placed") == ["A1"]
    let_go()
    run(shop.place("A3"))
    run(shop.system.run())
    shop.agree()


def test_others_go_on_while_one_waits_for_the_lock(
    open_shop: Open, hold: Callable[..., Any]
) -> None:
    shop = open_shop()
    let_go = hold()

    async def work() -> list[str]:
        said: list[str] = []

        async def save() -> None:
            await shop.place("A1")
            said.append("saved")

        waiting = asyncio.create_task(save())
        await asyncio.sleep(0.05)
        said.append("somebody else had a turn")
        await asyncio.to_thread(let_go)
        await waiting
        return said

    assert run(work()) == ["somebody else had a turn", "saved"]


def test_a_file_that_is_locked_for_good_cannot_be_opened_and_can_be_later(
    open_shop: Open, url: str, hold: Callable[..., Any]
) -> None:
    open_shop().system.close()
    let_go = hold("EXCLUSIVE")
    with pytest.raises(StoreUnavailableError):
        open_shop(f"{url}?timeout=0.2")
    let_go()
    run(open_shop().place("A1"))


# A file that is gone, or another


def test_a_folder_that_was_missing_is_no_harm_once_it_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/later/shop.db"
    for _ in range(3):
        with pytest.raises(StoreUnavailableError, match="folder has to exist"):
            SQLiteDatabase(url)
    (tmp_path / "later").mkdir()
    database = SQLiteDatabase(url)
    assert database.session == 1
    database.close()


def test_a_folder_that_is_gone_for_a_moment_is_noticed_and_loses_nothing(
    tmp_path: Path, open_shop: Open
) -> None:
    folder, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    folder.mkdir()
    shop = open_shop(f"sqlite:///{folder}/shop.db")
    run(shop.place("A1"))
    folder.rename(elsewhere)
    for work in (lambda: run(shop.place("A2")), shop.system.events, lambda: run(shop.system.run())):
        with pytest.raises(StoreUnavailableError, match=r"gone.*put the file back"):
            work()
    folder.mkdir()
    with pytest.raises(StoreUnavailableError, match="gone"):
        run(shop.place("A3"))
    assert list(folder.iterdir()) == []
    folder.rmdir()
    elsewhere.rename(folder)
    run(shop.place("A4"))
    run(shop.system.run())
    shop.agree()
    assert shop.recorded("orders", "Order.Placed") == ["A1", "A4"]


def test_a_backup_that_takes_the_file_s_place_is_taken_up(shop: Shop, url: str) -> None:
    path = path_of(url)
    run(shop.place("A1"))
    backup = path.with_name("backup.db")
    alter(url, f"VACUUM INTO '{backup}'")
    lost = run(shop.place("A2"))
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    backup.replace(path)
    [new] = run(shop.place("A3"))
    run(shop.system.run())
    assert shop.recorded("orders", "Order.Placed") == ["A1", "A3"]
    assert new not in lost
    shop.agree()


def test_after_a_backup_was_restored_no_later_opening_draws_ids_of_before(
    open_shop: Open, url: str
) -> None:
    path = path_of(url)
    open_shop().system.close()
    shutil.copy(path, path.with_name("old.db"))
    for _ in range(3):
        open_shop().system.close()
    shop = open_shop()
    before = run(shop.place("A1"))
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    path.with_name("old.db").replace(path)
    run(shop.place("A2"))
    shop.system.close()
    again = open_shop()
    assert before != run(again.place("A3"))
    assert again.system.events().event_id.is_unique


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (("CREATE TABLE theirs (a)",), "not a store of modulus_es"),
        (("PRAGMA application_id = 7",), "not a store of modulus_es"),
        (("PRAGMA user_version = 3",), "not a store of modulus_es"),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_left_alone(
    url: str, statements: tuple[str, ...], said: str
) -> None:
    alter(url, *statements)
    before = path_of(url).read_bytes()
    with pytest.raises(StoreError, match=said):
        System(store=url)
    assert path_of(url).read_bytes() == before
    assert not Path(f"{path_of(url)}-wal").exists()


def test_a_file_of_a_newer_version_is_refused(open_shop: Open, url: str) -> None:
    open_shop().system.close()
    alter(url, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer modulus_es.*version 99.*upgrade"):
        open_shop()


def test_a_file_of_an_older_version_is_refused(open_shop: Open, url: str) -> None:
    open_shop().system.close()
    alter(url, "PRAGMA user_version = 1")
    with pytest.raises(StoreError, match=r"before its first release.*version 1.*another file"):
        open_shop()


def test_a_file_with_a_trigger_on_our_tables_is_refused(open_shop: Open, url: str) -> None:
    open_shop().system.close()
    alter(
        url,
        "CREATE TRIGGER evil AFTER INSERT ON modulus_events_orders BEGIN "
        "DELETE FROM modulus_outbox_orders; END",
    )
    with pytest.raises(StoreError, match=r"altered.*trigger 'evil'"):
        open_shop()


@pytest.mark.parametrize("garbage", [b"no database\n" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused_and_may_be_replaced(
    open_shop: Open, url: str, garbage: bytes
) -> None:
    path_of(url).write_bytes(garbage)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"not an SQLite file|damaged|cannot be read"):
            open_shop()
    assert path_of(url).read_bytes() == garbage
    path_of(url).unlink()
    run(open_shop().place("A1"))


def test_a_damaged_page_is_said_and_the_same_system_goes_on_when_it_is_mended(
    shop: Shop, url: str
) -> None:
    path = path_of(url)
    run(shop.place(*(f"A{i}" for i in range(200))))
    run(shop.system.run())
    alter(url, "PRAGMA wal_checkpoint(TRUNCATE)")
    sound = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xa5" * (len(sound) - 4096 * 3))
    store: Any = shop.orders.store
    store._datastore.connections.doubt()
    for work in (shop.system.events, lambda: run(shop.orders.save(Order("B")))):
        with pytest.raises(StoreError, match=r"cannot be read.*damaged.*backup"):
            work()
    with path.open("r+b") as file:
        file.write(sound)
    run(shop.place("C"))
    run(shop.system.run())
    shop.agree()


def test_a_file_that_was_emptied_is_not_taken_for_a_new_one(shop: Shop, url: str) -> None:
    run(shop.place("A1"))
    path = path_of(url)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    path.unlink()
    path.touch()
    with pytest.raises(StoreError, match="empty now"):
        run(shop.place("A2"))


READ_ONLY = """
import os, sys
from shop import Shop, run
from modulus_es import StoreUnavailableError
for store in ("memory://", "sqlite:///:memory:"):  # so that all that is needed is imported
    shop = Shop(store)
    run(shop.place("A0"))
    run(shop.system.run())
    shop.agree()
if os.geteuid() == 0:  # who may write whatever the rights say
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
shop = None
try:
    shop = Shop(sys.argv[1])
    run(shop.place("A2"))
except StoreUnavailableError as error:
    print(error, flush=True)
sys.stdin.readline()
shop = shop or Shop(sys.argv[1])
run(shop.place("A3"))
run(shop.system.run())
shop.agree()
print(shop.recorded("orders", "Order.Placed"))
shop.system.close()
"""


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that a user without rights reaches."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
        folder.chmod(0o777)


def test_a_read_only_folder_is_said_and_is_over_when_it_is_writable(public_folder: Path) -> None:
    url = f"sqlite:///{public_folder}/shop.db"
    shop = Shop(url)
    run(shop.place("A1"))
    shop.system.close()
    (public_folder / "shop.db").chmod(0o444)
    public_folder.chmod(0o555)
    process = python(READ_ONLY, url, stdin=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.readline()
    assert "cannot be written" in said or "cannot be opened" in said, process.communicate()
    public_folder.chmod(0o777)
    (public_folder / "shop.db").chmod(0o666)
    rest, errors = process.communicate("\n")
    assert rest == "['A1', 'A3']\n", errors


def test_the_file_is_made_by_whoever_opens_it_first_and_read_by_a_plain_sqlite(
    shop: Shop, url: str
) -> None:
    run(shop.place("A1"))
    connection = sqlite3.connect(path_of(url))
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    [(key, body)] = connection.execute("SELECT key, body FROM modulus_outbox_orders")
    connection.close()
    assert {"modulus_store", "modulus_events_orders", "modulus_inbox_inventory"} <= tables
    assert key == shop.system.outbox().key[0]
    assert body == b'{"number":"A1"}'
