"""The state directory: whole or not there, for one process and one user, and never repaired by guessing."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from bisik_protocol.crypto.identity import DecryptionKey, SigningKey
from bisikd.onlyone import StateInUse
from bisikd.passwords import Cost, Passwords
from bisikd.state import Ingredients, StateDirectory, StateError
from tests.support.failing_files import FailingFiles, Killed, each_call
from tests.support.keys import server_identity

PASSWORDS = Passwords(Cost(memory_kib=8, passes=1, lanes=1))
CHEAP = Ingredients(identity=server_identity, random=lambda size: bytes(range(size)), passwords=PASSWORDS)
PRIVATE = ("signing.pem", "decryption.pem", "reset.key", "join.toml")


@pytest.fixture(autouse=True)
def load_each_key_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking a private key takes a tenth of a second; here the same few are read again and again."""
    for kind, load in _LOADERS.items():
        monkeypatch.setattr(kind, "from_pem", load)


_LOADERS: dict[type, Callable[[bytes], object]] = {
    SigningKey: cache(SigningKey.from_pem),
    DecryptionKey: cache(DecryptionKey.from_pem),
}


def opened(path: Path, files: FailingFiles | None = None) -> StateDirectory:
    if files is None:
        return StateDirectory.open_or_create(path, ingredients=CHEAP)
    return StateDirectory.open_or_create(path, ingredients=CHEAP, files=files)


def made(path: Path) -> Path:
    """A state directory after a first start and an orderly end."""
    opened(path).close()
    return path


def content_of(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != "lock"}


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Starts -------------------------------------------------------------------------------------------------------------


def test_a_first_start_makes_everything_for_its_owner_only(tmp_path: Path) -> None:
    """Missing parents included."""
    path = tmp_path / "var" / "bisikd"
    with opened(path) as state:
        assert sorted(file.name for file in path.iterdir()) == ["identity", "lock", "log", "users"]
        assert sorted(file.name for file in (path / "identity").iterdir()) == sorted(PRIVATE)
        assert {mode_of(directory) for directory in (path, path / "identity", path / "users", path / "log")} == {
            0o700
        }
        assert {mode_of(path / "identity" / name) for name in PRIVATE} == {0o600}
        assert state.identity.fingerprint == server_identity().fingerprint
        assert state.reset_key == bytes(range(32))
        assert PASSWORDS.verify(state.join_hash, state.join_password)
        assert state.users_directory == path / "users"
        assert state.log_directory == path / "log"
        assert state.warnings == []


def test_a_second_start_finds_what_the_first_made(tmp_path: Path) -> None:
    """Keys and password stay, and no file is written again."""
    with opened(tmp_path / "state") as state:
        password = state.join_password
    before = content_of(tmp_path / "state")
    with opened(tmp_path / "state") as state:
        assert state.join_password == password
        assert state.identity.fingerprint == server_identity().fingerprint
        assert state.warnings == []
    assert content_of(tmp_path / "state") == before


def test_the_operators_configuration_may_be_there_first(tmp_path: Path) -> None:
    """It is the one file that people put there themselves."""
    (tmp_path / "bisikd.toml").write_text("")
    made(tmp_path)


def test_a_real_first_start_makes_real_keys(tmp_path: Path) -> None:
    """Without the test's ingredients: another identity, and a password hashed at the full cost."""
    with StateDirectory.open_or_create(tmp_path / "state") as state:
        assert state.identity.fingerprint != server_identity().fingerprint
        assert state.join_hash.startswith("$argon2id$v=19$m=65536,t=3,p=1$")


# One process at a time ----------------------------------------------------------------------------------------------


def test_a_second_start_at_the_same_time_is_refused_by_number(tmp_path: Path) -> None:
    """And can begin when the first has ended."""
    first = opened(tmp_path)
    with pytest.raises(StateInUse, match=rf"process {os.getpid()}\) is using .*Nothing was changed; stop that one"):
        opened(tmp_path)
    first.close()
    first.close()
    made(tmp_path)


def test_a_lock_file_without_a_number_still_refuses(tmp_path: Path) -> None:
    """Its holder may not have come to write it yet."""
    with opened(tmp_path):
        (tmp_path / "lock").write_text("")
        with pytest.raises(StateInUse, match="Another bisikd is using"):
            opened(tmp_path)


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    """The system takes the lock back at kill -9, and the next start needs no help."""
    made(tmp_path)
    program = (
        "import sys, pathlib; from bisikd.onlyone import DirectoryLock;"
        "lock = DirectoryLock.take(pathlib.Path(sys.argv[1]) / 'lock'); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(StateInUse, match=f"process {holder.pid}") as caught:
            opened(tmp_path)
        assert caught.value.pid == holder.pid
        holder.kill()
        holder.wait()
    made(tmp_path)


def test_a_start_that_fails_gives_the_lock_back(tmp_path: Path) -> None:
    """So that the repaired directory can be opened by the same process."""
    key = made(tmp_path) / "identity" / "reset.key"
    key.rename(tmp_path / "identity" / "saved")
    with pytest.raises(StateError):
        opened(tmp_path)
    (tmp_path / "identity" / "saved").rename(key)
    made(tmp_path)


# Kills and refusing disks -------------------------------------------------------------------------------------------


def test_a_kill_at_any_call_of_the_first_start_is_completed_by_the_next(tmp_path: Path) -> None:
    """Either nothing was promised yet and it is all made anew, or all of it is there."""
    for at in each_call(lambda files: opened(tmp_path / "count", files).close()):
        path = tmp_path / str(at)
        with pytest.raises(Killed):
            opened(path, FailingFiles(at, dead=True))
        finished = (path / "identity").exists()
        before = content_of(path / "identity") if finished else {}
        with opened(path) as state:
            assert PASSWORDS.verify(state.join_hash, state.join_password)
            assert sorted(file.name for file in path.iterdir()) == ["identity", "lock", "log", "users"]
            assert sorted(file.name for file in (path / "identity").iterdir()) == sorted(PRIVATE)
        if finished:
            assert content_of(path / "identity") == before


def test_a_refusing_disk_at_any_call_of_the_first_start_is_one_sentence(tmp_path: Path) -> None:
    """What failed, what was kept, what to do; and the next start succeeds."""
    for at in each_call(lambda files: opened(tmp_path / "count", files).close()):
        path = tmp_path / str(at)
        with pytest.raises(StateError, match=r"\(Input/output error\).* kept as it is.*; .*\.$|Everything was kept"):
            opened(path, FailingFiles(at))
        made(path)


def test_a_kill_at_any_call_of_a_rotation_leaves_the_old_or_the_new_password(tmp_path: Path) -> None:
    """Never none."""

    def rotate(files: FailingFiles) -> None:
        with opened(tmp_path) as state:
            state._files = files
            state.rotate_join_password()

    for at in each_call(rotate):
        with opened(tmp_path) as state:
            old = state.join_password
        with pytest.raises(Killed):
            rotate(FailingFiles(at, dead=True))
        with opened(tmp_path) as state:
            assert PASSWORDS.verify(state.join_hash, state.join_password)
            assert state.join_password == old or not list(tmp_path.rglob(".join*"))


# The join password --------------------------------------------------------------------------------------------------


def test_a_rotated_join_password_replaces_the_old_one(tmp_path: Path) -> None:
    """At once and after a restart; the keys stay."""
    with opened(tmp_path) as state:
        old = state.join_password
        new = state.rotate_join_password()
        assert new != old
        assert state.join_password == new
        assert PASSWORDS.verify(state.join_hash, new)
        assert not PASSWORDS.verify(state.join_hash, old)
    with opened(tmp_path) as state:
        assert state.join_password == new


def test_a_rotation_that_cannot_be_written_keeps_the_old_password(tmp_path: Path) -> None:
    """In memory as on the disk."""
    with opened(tmp_path) as state:
        old = state.join_password
        state._files = FailingFiles(0)
        with pytest.raises(StateError, match="the old one was kept"):
            state.rotate_join_password()
        assert state.join_password == old


def test_a_removed_join_file_means_a_new_password_and_the_same_keys(tmp_path: Path) -> None:
    """The documented way out when it is damaged; members do not notice."""
    made(tmp_path)
    (tmp_path / "identity" / "join.toml").unlink()
    with opened(tmp_path) as state:
        assert state.identity.fingerprint == server_identity().fingerprint
        assert any("new join password" in warning for warning in state.warnings)
        password = state.join_password
    with opened(tmp_path) as state:
        assert state.join_password == password


def test_neither_password_nor_hash_is_readable_in_the_join_file(tmp_path: Path) -> None:
    """The password is sealed to the server's key; a screen or a grep shows nothing."""
    with opened(tmp_path) as state:
        content = (tmp_path / "identity" / "join.toml").read_text()
        assert state.join_password not in content
        assert state.join_password not in repr(state._join)
        assert state.join_hash not in repr(state._join)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: "", "not those it was written for"),
        (lambda text: text[:40], "it is not TOML"),
        (lambda text: text.replace("$argon2id$", "$argon2d$"), "Argon2id"),
        (lambda text: text.replace('sealed = "', 'sealed = "AAAA'), "cannot be opened"),
        (lambda text: text.replace("sealed", "seeled"), "cannot be opened"),
        (lambda text: text.replace('sealed = "', 'sealed = 7 #"'), "cannot be opened"),
        (lambda text: text.replace('fingerprint = "', 'fingerprint = "a'), "not those it was written for"),
        (lambda text: "\udcff" + text, "it is not TOML"),
    ],
)
def test_a_damaged_join_file_is_kept_and_explained(tmp_path: Path, damage: Callable[[str], str], says: str) -> None:
    """The sentence names the file and the way out."""
    path = made(tmp_path) / "identity" / "join.toml"
    path.write_text(damage(path.read_text()), errors="surrogateescape")
    before = content_of(tmp_path)
    with pytest.raises(StateError, match=r"join\.toml is damaged: .*kept as it is.*remove this one file") as caught:
        opened(tmp_path)
    assert says in str(caught.value)
    assert content_of(tmp_path) == before


# Damage -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["signing.pem", "decryption.pem", "reset.key"])
@pytest.mark.parametrize("damage", ["emptied", "cut", "longer", "removed", "a directory"])
def test_a_damaged_or_lost_key_is_never_made_again(tmp_path: Path, name: str, damage: str) -> None:
    """The daemon refuses to start, names the file, and leaves everything as it was."""
    path = made(tmp_path) / "identity" / name
    content = path.read_bytes()
    if damage == "emptied":
        path.write_bytes(b"")
    elif damage == "cut":
        path.write_bytes(content[:-8])
    elif damage == "longer":
        path.write_bytes(content[:20] + b"!" + content[20:])
    else:
        path.unlink()
        if damage == "a directory":
            path.mkdir()
    before = content_of(tmp_path)
    with pytest.raises(StateError, match=f"{name} (is damaged|cannot be read).*kept as it is.*from a backup"):
        opened(tmp_path)
    assert content_of(tmp_path) == before
    assert not (tmp_path / "identity.new").exists()


@pytest.mark.parametrize("name", ["signing.pem", "decryption.pem"])
def test_a_flipped_bit_in_a_private_key_is_noticed(tmp_path: Path, name: str) -> None:
    """Not when the first client fails to trust the server, but at the start."""
    path = made(tmp_path) / "identity" / name
    content = path.read_bytes()
    for place in range(100, len(content) - 100, 900):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(StateError, match=f"{name} is damaged"):
            opened(tmp_path)


def test_keys_from_two_backups_are_noticed(tmp_path: Path) -> None:
    """A signing key of another server would make every client cry wolf."""
    made(tmp_path)
    (tmp_path / "identity" / "signing.pem").write_bytes(server_identity(1).signing.to_pem())
    with pytest.raises(StateError, match="not those it was written for"):
        opened(tmp_path)


@pytest.mark.parametrize("left", ["users/tama.toml", "log/000001.log"])
def test_a_lost_identity_is_not_replaced_beside_a_log_or_users(tmp_path: Path, left: str) -> None:
    """New keys would neither open the log nor be trusted."""
    made(tmp_path)
    shutil.rmtree(tmp_path / "identity")
    (tmp_path / left).write_text("")
    with pytest.raises(StateError, match=r"is gone, but .* is not empty.*Nothing was changed; restore"):
        opened(tmp_path)
    assert not (tmp_path / "identity").exists()


# Wrong directories and wrong rights ---------------------------------------------------------------------------------


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    """`--state /tmp` must not close /tmp to everybody, nor fill it."""
    tmp_path.chmod(0o755)
    (tmp_path / "thesis\x1b[31m.odt").write_text("")
    with pytest.raises(StateError, match=r"holds other things \('thesis\\x1b\[31m.odt'\).*empty or new directory"):
        opened(tmp_path)
    assert mode_of(tmp_path) == 0o755
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_is_not_a_state_directory(tmp_path: Path) -> None:
    """Said before anything is tried."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="is not a directory"):
        opened(tmp_path / "state")


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """The system's words, and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot be used \(Not a directory\)"):
        opened(tmp_path / "file" / "state")


def test_open_rights_are_taken_back_and_told(tmp_path: Path) -> None:
    """Keys that others could read are a matter for the operator, once."""
    made(tmp_path)
    for path in (tmp_path, tmp_path / "identity", tmp_path / "users", tmp_path / "log"):
        path.chmod(0o755)
    (tmp_path / "identity" / "signing.pem").chmod(0o644)
    with opened(tmp_path) as state:
        assert [warning for warning in state.warnings if "was open to other users" in warning]
    for path in (tmp_path, tmp_path / "identity", tmp_path / "users", tmp_path / "log"):
        assert mode_of(path) == 0o700
    assert mode_of(tmp_path / "identity" / "signing.pem") == 0o600
    with opened(tmp_path) as state:
        assert state.warnings == []


def test_an_open_directory_around_closed_keys_is_closed_without_alarm(tmp_path: Path) -> None:
    """mkdir makes them so, and so does systemd."""
    path = tmp_path / "state"
    path.mkdir(mode=0o755)
    with opened(path) as state:
        assert state.warnings == []
    assert mode_of(path) == 0o700


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could change the keys at any time."""
    made(tmp_path)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(StateError, match=rf"belongs to another user .*number {owner}\).*Nothing was changed"):
        opened(tmp_path)


# Reading without the lock -------------------------------------------------------------------------------------------


def test_a_running_daemons_directory_can_be_read(tmp_path: Path) -> None:
    """For the commands that show and verify; they can change nothing."""
    with opened(tmp_path) as state:
        reader = StateDirectory.open_existing(tmp_path)
        assert reader.join_password == state.join_password
        assert reader.identity.fingerprint == state.identity.fingerprint
        with pytest.raises(StateError, match="was kept"):
            reader.rotate_join_password()


def test_reading_makes_nothing(tmp_path: Path) -> None:
    """Where there is no state there is none afterwards."""
    with pytest.raises(StateError, match="no bisikd state"):
        StateDirectory.open_existing(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
