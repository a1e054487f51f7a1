"""The real disk behind the interface, and that the one in memory behaves like it."""

from pathlib import Path

import pytest

from bisikd.log.files import File, FileSystem, RealFiles
from tests.daemon.log.disks import MemoryFiles


@pytest.fixture(params=["real", "memory"])
def files(request: pytest.FixtureRequest) -> FileSystem:
    return RealFiles() if request.param == "real" else MemoryFiles()


def filled(files: FileSystem, path: Path, data: bytes) -> File:
    file = files.create(path)
    assert file.write(0, data) == len(data)
    return file


def test_what_is_written_is_read(files: FileSystem, tmp_path: Path) -> None:
    """At any place, less only at the end."""
    file = filled(files, tmp_path / "a", b"hello")
    assert file.write(5, b" world") == 6
    assert file.write(0, b"J") == 1
    file.sync_data()
    assert [file.read(0, 100), file.read(6, 3), file.read(11, 5), file.read(50, 5)] == [
        b"Jello world",
        b"wor",
        b"",
        b"",
    ]
    assert file.size() == 11
    file.close()


def test_a_cut_file_is_shorter(files: FileSystem, tmp_path: Path) -> None:
    """And what is written behind the cut follows it."""
    file = filled(files, tmp_path / "a", b"hello world")
    file.truncate(5)
    file.sync()
    assert (file.size(), file.read(0, 100)) == (5, b"hello")
    file.write(5, b"!")
    assert file.read(0, 100) == b"hello!"
    file.close()


def test_creating_begins_anew(files: FileSystem, tmp_path: Path) -> None:
    """Whatever was there."""
    filled(files, tmp_path / "a", b"hello").close()
    file = files.create(tmp_path / "a")
    assert file.size() == 0
    file.close()


def test_names_come_go_and_change(files: FileSystem, tmp_path: Path) -> None:
    """Rename keeps the contents, remove takes the name."""
    filled(files, tmp_path / "a", b"hello").close()
    files.rename(tmp_path / "a", tmp_path / "b")
    files.sync_directory(tmp_path)
    assert files.names(tmp_path) == ["b"]
    file = files.open(tmp_path / "b", writable=False)
    assert file.read(0, 100) == b"hello"
    file.close()
    files.remove(tmp_path / "b")
    assert files.names(tmp_path) == []


def test_what_is_not_there_is_not_found(files: FileSystem, tmp_path: Path) -> None:
    """To open and to remove."""
    with pytest.raises(FileNotFoundError):
        files.open(tmp_path / "a", writable=False)
    with pytest.raises(FileNotFoundError):
        files.remove(tmp_path / "a")


def test_a_directory_is_made_once(tmp_path: Path) -> None:
    """Again is no error; without a parent it is."""
    files = RealFiles()
    for _ in range(2):
        files.make_directory(tmp_path / "log")
    assert files.names(tmp_path) == ["log"]
    with pytest.raises(FileNotFoundError):
        files.make_directory(tmp_path / "no" / "log")


def test_a_power_cut_takes_what_was_not_synced() -> None:
    """The disk in memory: contents without fsync, names without an fsync of their directory."""
    files, directory = MemoryFiles(), Path("/d")
    file = filled(files, directory / "a", b"1" * 1000)
    file.sync_data()
    files.sync_directory(directory)
    file.write(900, b"2" * 700)
    files.create(directory / "b")
    assert files.unsynced_sectors() == [("a", 512), ("a", 1024), ("a", 1536)]
    assert files.after_power_cut().snapshot() == {"a": b"1" * 1000}
    assert files.after_power_cut(names_kept=True).snapshot() == {"a": b"1" * 1000, "b": b""}
    torn = files.after_power_cut({("a", 1536)}).snapshot()["a"]
    assert torn == b"1" * 1000 + bytes(536) + b"2" * 64
