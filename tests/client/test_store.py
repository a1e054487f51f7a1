"""The database of a profile: how an older one becomes the present one."""

import os
import sqlite3
from pathlib import Path

import pytest

from bisik import store as module
from bisik.store import Store


def tables(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    return names


def test_an_older_database_becomes_the_present_one_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From every version that ever was, step by step."""
    present = module._SCHEMA
    Store(tmp_path / "new.db").close()
    for version in range(1, len(present) + 1):
        path = tmp_path / f"{version}.db"
        monkeypatch.setattr(module, "_SCHEMA", present[:version])
        old = Store(path)
        old.remember_room("#dapur")
        old.close()
        monkeypatch.setattr(module, "_SCHEMA", present)
        for _turn in range(2):
            new = Store(path)
            assert new.rooms() == ["#dapur"]
            new.close()
        assert tables(path) == tables(tmp_path / "new.db")


def test_what_is_written_to_disk_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write-ahead log, after the commit is in it; a commit that waits for no disk is not."""
    store, synced = Store(tmp_path / "store.db"), list[bool]()
    wal = tmp_path / "store.db-wal"

    def sync_data(descriptor: int) -> None:
        assert os.fstat(descriptor).st_ino == wal.stat().st_ino
        synced.append(b"#dapur-is-in-it" in wal.read_bytes())

    monkeypatch.setattr(module, "_sync_data", sync_data)
    for writing in (store.writing, store.writing_in_worker):
        with writing() as connection:
            connection.execute("INSERT INTO rooms VALUES (?)", (writing.__name__,))
    assert synced == []
    with store.writing_to_disk() as connection:
        connection.execute("INSERT INTO rooms VALUES ('#dapur-is-in-it')")
    assert synced == [True]
    store.close()


def test_who_is_ignored_is_remembered(tmp_path: Path) -> None:
    """Once, until it is taken back."""
    store = Store(tmp_path / "store.db")
    for name in ("sari", "sari", "ayu"):
        store.ignore(name, ignored=True)
    store.close()
    store = Store(tmp_path / "store.db")
    assert store.ignored() == {"sari", "ayu"}
    store.ignore("sari", ignored=False)
    assert store.ignored() == {"ayu"}
    store.close()


def test_conversations_are_remembered(tmp_path: Path) -> None:
    """By what the other is called now, and whether the person has closed them."""
    store = Store(tmp_path / "store.db")
    store.remember_direct("@sari+tama", "sari")
    store.close_direct("@sari+tama", 7)
    store.remember_direct("@sari+tama", "wati")
    store.close()
    store = Store(tmp_path / "store.db")
    assert store.directs() == [("@sari+tama", "wati", 7)]
    store.close_direct("@sari+tama", None)
    assert store.directs() == [("@sari+tama", "wati", None)]
    store.close()
