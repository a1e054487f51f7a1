"""A backup holds everything or is not there; it opens with its password only; what comes back is what was saved."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from bisikd import cli
from bisikd.backup import making
from bisikd.backup.archive import Archive, files_to_keep, write_archive
from bisikd.backup.making import check_backup, make_backup, restore_backup
from bisikd.backup.sealed import CHUNK_BYTES, TAG_BYTES, BackupError, SealedReader, SealedWriter
from bisikd.log import Log
from bisikd.log.facts import device_record
from bisikd.passwords import Cost
from bisikd.state import StateDirectory
from bisikd.users import UserStore
from tests.support.daemon_process import fresh_state
from tests.support.keys import device_key

PASSWORD = "correct horse"
CHEAP = Cost(memory_kib=8, passes=1, lanes=1)


def sealed(path: Path, content: bytes, password: str = PASSWORD) -> Path:
    with path.open("wb") as out, SealedWriter(out, password, cost=CHEAP) as writer:
        writer.write(content)
    return path


# The sealed file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 200_000])
def test_what_was_written_is_read_from_any_place(tmp_path: Path, size: int) -> None:
    """However it was written, at every edge of a chunk."""
    content = bytes(at % 251 for at in range(size))
    path = tmp_path / "sealed"
    with path.open("wb") as out, SealedWriter(out, PASSWORD, cost=CHEAP) as writer:
        for at in range(0, size, 40_001):
            writer.write(content[at : at + 40_001])
    with SealedReader(path, PASSWORD) as reader:
        assert reader.size == size
        assert reader.read_at(0, size + 5) == content
        for at in (0, CHUNK_BYTES - 3, CHUNK_BYTES, size - 1):
            if 0 <= at < size:
                assert reader.read_at(at, 7) == content[at : at + 7]


def opens(path: Path) -> bool:
    """Whether all of it can be read."""
    try:
        with SealedReader(path, PASSWORD) as reader:
            reader.read_at(0, reader.size)
    except BackupError:
        return False
    return True


def test_no_bit_can_be_changed_no_chunk_moved_and_nothing_cut_off(tmp_path: Path) -> None:
    """Read to the end, every file that is not the one that was written is refused."""
    good = sealed(tmp_path / "good", bytes(3 * CHUNK_BYTES + 100)).read_bytes()
    chunk = CHUNK_BYTES + TAG_BYTES
    header, body = good[:32], good[32:]
    chunks = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    assert len(chunks) == 4
    bad = {
        "a bit": good[:50_000] + bytes([good[50_000] ^ 1]) + good[50_001:],
        "the salt": good[:20] + b"x" + good[21:],
        "swapped": header + chunks[1] + chunks[0] + chunks[2] + chunks[3],
        "left out": header + chunks[0] + chunks[2] + chunks[3],
        "repeated": header + chunks[0] + chunks[0] + chunks[1] + chunks[2] + chunks[3],
        "cut off at a chunk": header + b"".join(chunks[:3]),
        "cut off in a chunk": good[:-1],
        "cut off in a tag": good[: 32 + chunk + 5],
        "longer": good + b"x",
        "the header alone": header,
        "nothing": b"",
        "another file": b"PK\x03\x04" * 20,
        "a key that nobody can pay for": header[:8] + b"\xff" * 4 + good[12:],
    }
    for what, content in bad.items():
        path = tmp_path / "bad"
        path.write_bytes(content)
        assert not opens(path), what


def test_the_wrong_password_opens_nothing(tmp_path: Path) -> None:
    """And is said; the password is in no message."""
    path = sealed(tmp_path / "sealed", b"secret")
    with pytest.raises(BackupError, match="the password is wrong") as refused:
        SealedReader(path, "wrong horse")
    assert "horse" not in str(refused.value)


@pytest.mark.parametrize(("at", "value"), [(8, 513 * 1024), (8, 7), (12, 11), (12, 0)])
def test_a_file_cannot_ask_for_more_work_than_a_backup_needs(tmp_path: Path, at: int, value: int) -> None:
    """Its header is believed before anything is authentic: it must not cost the machine its memory, or a day."""
    path = sealed(tmp_path / "b", b"hello")
    content = path.read_bytes()
    path.write_bytes(content[:at] + value.to_bytes(4) + content[at + 4 :])
    with pytest.raises(BackupError, match="no backup asks for such a key"):
        SealedReader(path, PASSWORD)


def test_two_backups_of_the_same_have_nothing_in_common(tmp_path: Path) -> None:
    """A fresh salt, so a fresh key, each time: no nonce is ever used twice under one."""
    one, two = (sealed(tmp_path / name, bytes(1000)).read_bytes() for name in ("one", "two"))
    assert one[:16] == two[:16]
    assert one[16:32] != two[16:32]
    assert one[32:64] != two[32:64]


# The state directory -----------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with an account, a log and a configuration."""
    path = fresh_state(tmp_path / "state")
    with StateDirectory.open_or_create(path) as opened:
        users = UserStore.open(opened.users_directory)
        users.create("tama", device_key(1).public.modulus, opened.join_hash, 7)
        log = Log.open(opened.log_directory, opened.identity, now_ms=lambda: 7)
        log.append([device_record("tama", device_key(1).public.modulus, 7)])
        log.close()
    (path / "bisikd.toml").write_text('listen = ":9999"\n')
    return path


def contents_of(state: Path) -> dict[str, bytes]:
    return {path.relative_to(state).as_posix(): path.read_bytes() for path in files_to_keep(state)}


def test_what_is_restored_is_what_was_saved(tmp_path: Path, state: Path) -> None:
    """Keys, accounts, log and configuration, byte for byte, for their owner only; and the daemon's parts open it."""
    made = make_backup(state, tmp_path / "backup", PASSWORD, cost=CHEAP)
    assert made.log.records == 1
    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600
    again = tmp_path / "again"
    restored = restore_backup(tmp_path / "backup", again, PASSWORD)
    assert restored == made
    assert contents_of(again) == contents_of(state)
    assert not [name for name in contents_of(again) if "index" in name or name in ("lock", "admin.sock")]
    assert {path.stat().st_mode & 0o77 for path in again.rglob("*")} == {0}
    with StateDirectory.open_or_create(again) as opened:
        users = UserStore.open(opened.users_directory)
        assert [user.name for user in users] == ["tama"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "backup", "state"]


def test_a_copy_made_while_the_log_grows_is_a_whole_log(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts first, segments rising; a group that is half in the copy was not acknowledged in it."""
    with StateDirectory.open_or_create(state) as opened:
        log = Log.open(opened.log_directory, opened.identity, now_ms=lambda: 7)
        real, grown = tarfile.TarFile.addfile, []

        def addfile(tar: tarfile.TarFile, info: tarfile.TarInfo, file: io.BufferedReader) -> None:
            number = len(grown) + 2
            log.append([device_record(f"user{number}", device_key(number % 5).public.modulus, 7)])
            grown.append(info.name)
            real(tar, info, file)

        monkeypatch.setattr(tarfile.TarFile, "addfile", addfile)
        made = make_backup(state, tmp_path / "backup", PASSWORD, cost=CHEAP)
        log.close()
    first_segment = next(name for name in grown if name.endswith(".segment"))
    assert grown.index("users/tama.toml") < grown.index(first_segment)
    assert 1 < made.log.records <= len(grown) + 1
    restore_backup(tmp_path / "backup", tmp_path / "again", PASSWORD)


def test_a_half_written_record_at_the_end_is_left_for_the_next_start_to_cut(tmp_path: Path, state: Path) -> None:
    """That is what a copy of a log that is being written to may end with."""
    last = sorted((state / "log").glob("*.segment"))[-1]
    with last.open("ab") as file:
        file.write(b"\x00\x00\x01\x00half")
    made = make_backup(state, tmp_path / "backup", PASSWORD, cost=CHEAP)
    assert made.log.ok
    assert made.log.unfinished_bytes == 8


def test_a_segment_that_goes_away_meanwhile_makes_it_begin_again(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And after some tries it gives up and leaves nothing."""
    tries = []

    def gone(directory: Path, out: io.RawIOBase) -> int:
        tries.append(out)
        if len(tries) < 3:
            raise FileNotFoundError(2, "No such file", "segment")
        return write_archive(directory, out)

    monkeypatch.setattr(making, "write_archive", gone)
    make_backup(state, tmp_path / "backup", PASSWORD, cost=CHEAP)
    tries.clear()
    monkeypatch.setattr(making, "MAX_TRIES", 2)
    with pytest.raises(BackupError, match="There is none"):
        make_backup(state, tmp_path / "other", PASSWORD, cost=CHEAP)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "state"]


def test_a_damaged_log_is_not_called_a_backup(tmp_path: Path, state: Path) -> None:
    """The sentence names the file; nothing is left behind."""
    segment = sorted((state / "log").glob("*.segment"))[0]
    content = bytearray(segment.read_bytes())
    content[1200] ^= 1
    segment.write_bytes(content)
    with pytest.raises(BackupError, match=r"The log is not whole: log/.*segment, byte"):
        make_backup(state, tmp_path / "backup", PASSWORD, cost=CHEAP)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_nothing_is_overwritten(tmp_path: Path, state: Path) -> None:
    """Neither a file by a backup nor a directory by a restore; nor is a backup put into what it saves."""
    (tmp_path / "there").write_text("mine")
    with pytest.raises(BackupError, match="is there already and was kept"):
        make_backup(state, tmp_path / "there", PASSWORD, cost=CHEAP)
    assert (tmp_path / "there").read_text() == "mine"
    with pytest.raises(BackupError, match="outside of"):
        make_backup(state, state / "backup", PASSWORD, cost=CHEAP)
    make_backup(state, tmp_path / "backup", PASSWORD, cost=CHEAP)
    before = contents_of(state)
    for place in (state, tmp_path / "there"):
        with pytest.raises(BackupError, match="is not empty and was kept"):
            restore_backup(tmp_path / "backup", place, PASSWORD)
    assert contents_of(state) == before
    empty = tmp_path / "empty"
    empty.mkdir()
    restore_backup(tmp_path / "backup", empty, PASSWORD)
    assert contents_of(empty) == before


def test_a_restore_that_fails_leaves_the_place_as_it_was(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong password, damage in the last file, a disk that refuses: no directory, and no half of one."""
    path = tmp_path / "backup"
    make_backup(state, path, PASSWORD, cost=CHEAP)
    good = path.read_bytes()
    with pytest.raises(BackupError):
        restore_backup(path, tmp_path / "again", "wrong")
    path.write_bytes(good[:-1])
    with pytest.raises(BackupError):
        restore_backup(path, tmp_path / "again", PASSWORD)
    path.write_bytes(good)

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(BackupError, match=r"No space left on device.*is as it was"):
        restore_backup(path, tmp_path / "again", PASSWORD)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["backup", "state"]


@pytest.mark.parametrize("name", ["../evil", "/evil", "users/../../evil", "users/link"])
def test_a_backup_cannot_write_outside_of_the_directory(tmp_path: Path, name: str) -> None:
    """Whoever knows the password could have made it; still only plain files below come out."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        info = tarfile.TarInfo(name)
        if name.endswith("link"):
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info, io.BytesIO())
    path = sealed(tmp_path / "backup", plain.getvalue())
    with SealedReader(path, PASSWORD) as reader, pytest.raises(BackupError, match="no state directory has"):
        Archive(reader)


def test_what_is_no_archive_or_has_no_keys_is_said(tmp_path: Path) -> None:
    """In a sentence."""
    with pytest.raises(BackupError, match="makes no sense"):
        check_backup(sealed(tmp_path / "a", b"x" * 2000), PASSWORD)
    with pytest.raises(BackupError, match=r"holds no identity/signing.pem"):
        check_backup(sealed(tmp_path / "b", bytes(10240)), PASSWORD)


# The commands ------------------------------------------------------------------------------------------------------


def test_the_commands_take_the_password_from_a_file_or_standard_input(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Never from a flag; too short a one is refused, and so is a place where nobody can be asked."""

    def run(*words: str | Path, given: str = "") -> tuple[int | str | None, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        with pytest.raises(SystemExit) as ended:
            cli.main([*map(str, words), "--state", str(place)])
        return ended.value.code, *capfd.readouterr()

    place, secret, file = state, tmp_path / "secret", tmp_path / "b"
    secret.write_text(f"{PASSWORD}\nmore\n")
    code, _, said = run("backup", file, "--password-file", "-", given="short\n")
    assert (code, file.exists()) == (2, False)
    assert "at least 12 characters" in said
    code, _, said = run("backup", file)
    assert code == 2
    assert "nobody to ask" in said
    code, out, _ = run("backup", file, "--password-file", secret, "--json")
    assert code == 0
    assert json.loads(out)["records"] == 1
    place = tmp_path / "again"
    code, out, said = run("restore", file, "--password-file", "-", given=f"{PASSWORD}\n")
    assert code == 0
    assert "The log in it is whole" in out
    assert "has to decide" in said
    assert contents_of(place) == contents_of(state)
