"""Replacing a file: old or new, whole, wherever a process dies, a disk refuses or the power fails."""

import stat
from contextlib import suppress
from pathlib import Path

import pytest

from bisikd.replace import NotDurable, is_leftover, replace_file
from tests.support.failing_files import FailingFiles, Killed, PaperDisk, each_call

OLD, NEW = b"old " * 30, b"new " * 50


def test_a_new_file_has_its_content_and_is_for_its_owner_only(tmp_path: Path) -> None:
    """Nothing else is left in the directory."""
    replace_file(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_order_is_write_sync_rename_sync_directory(tmp_path: Path) -> None:
    """Any other order has a moment at which a crash leaves neither content."""
    files = FailingFiles()
    replace_file(tmp_path / "file", b"content", files)
    assert files.calls == [
        "create .file.new",
        "write",
        "sync",
        "close",
        "rename .file.new to file",
        f"sync directory {tmp_path.name}",
    ]


def in_a_directory(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(OLD)
    return tmp_path / "file"


def test_a_kill_at_any_call_leaves_the_old_or_the_new_file_whole(tmp_path: Path) -> None:
    """And the next replacement works, whatever was left lying about."""
    path = in_a_directory(tmp_path)
    for at in each_call(lambda files: replace_file(path, NEW, files)):
        path.write_bytes(OLD)
        with pytest.raises(Killed):
            replace_file(path, NEW, FailingFiles(at, dead=True))
        assert path.read_bytes() in (OLD, NEW)
        assert all(is_leftover(other.name) for other in tmp_path.iterdir() if other != path)
        replace_file(path, b"next")
        assert path.read_bytes() == b"next"


def test_a_refusing_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """Only when the directory could not be synced is it open which content a power failure would leave."""
    path = in_a_directory(tmp_path)
    calls = list(each_call(lambda files: replace_file(path, NEW, files)))
    for at in calls:
        path.write_bytes(OLD)
        with pytest.raises(OSError, match="Input/output error") as caught:
            replace_file(path, NEW, FailingFiles(at))
        last = at == calls[-1]
        assert isinstance(caught.value, NotDurable) is last
        assert path.read_bytes() == (NEW if last else OLD)
        assert [other.name for other in tmp_path.iterdir()] == ["file"]


def test_a_power_failure_after_any_call_leaves_the_old_or_the_new_file_whole() -> None:
    """On a disk that keeps only what was synced, or half of the rest, or all of it."""
    path = Path("/users/file")

    healthy = FailingFiles(real=PaperDisk())
    replace_file(path, NEW, healthy)
    for at in range(len(healthy.calls) + 1):
        disk = PaperDisk()
        replace_file(path, OLD, disk)
        with suppress(Killed):
            replace_file(path, NEW, FailingFiles(at, dead=True, real=disk))
        for left in disk.after_power_failure():
            assert left[path] in (OLD, NEW)


def test_a_replacement_that_returned_outlives_a_power_failure() -> None:
    """Durable means durable."""
    path, disk = Path("/users/file"), PaperDisk()
    replace_file(path, OLD, disk)
    replace_file(path, NEW, disk)
    assert all(left[path] == NEW for left in disk.after_power_failure())


@pytest.mark.parametrize(("name", "left_over"), [(".tama.toml.new", True), ("tama.toml", False), (".hidden", False)])
def test_what_a_crash_leaves_is_known_by_its_name(name: str, left_over: bool) -> None:
    """So that it can be told from files that hold something."""
    assert is_leftover(name) is left_over
