"""Keys that the service manager hands in stand in for those of the state directory."""

import shutil
from pathlib import Path

import pytest

from bisikd.credentials import credential
from bisikd.passwords import Cost, Passwords
from bisikd.state import Ingredients, StateDirectory, StateError
from tests.support.keys import server_identity

CHEAP = Ingredients(identity=server_identity, passwords=Passwords(Cost(memory_kib=8, passes=1, lanes=1)))
KEYS = ("signing.pem", "decryption.pem", "reset.key")


def opened(path: Path) -> StateDirectory:
    return StateDirectory.open_or_create(path, ingredients=CHEAP)


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory whose keys were moved into credentials."""
    state, given = tmp_path / "state", tmp_path / "credentials"
    opened(state).close()
    given.mkdir()
    for name in KEYS:
        shutil.move(state / "identity" / name, given / f"bisikd.{name}")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    return state


def test_without_a_service_manager_there_is_no_credential(tmp_path: Path) -> None:
    """Nor where it gave others."""
    assert credential("reset.key", {}) is None
    assert credential("reset.key", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None


def test_keys_are_taken_from_credentials(sealed: Path) -> None:
    """The server is who it was, and its keys are not written anywhere."""
    with opened(sealed) as state:
        assert state.identity.fingerprint == server_identity().fingerprint
        assert len(state.reset_key) == 32
        assert state.join_password
        assert state.warnings == []
    assert [file.name for file in (sealed / "identity").iterdir()] == ["join.toml"]


def test_a_first_start_with_credentials_makes_no_other_keys(sealed: Path) -> None:
    """A machine that was given its keys is that server from the first start."""
    shutil.rmtree(sealed)
    elsewhere = Ingredients(identity=lambda: pytest.fail("made new keys"), passwords=CHEAP.passwords)
    with StateDirectory.open_or_create(sealed, ingredients=elsewhere) as state:
        assert state.identity.fingerprint == server_identity().fingerprint
    assert [file.name for file in (sealed / "identity").iterdir()] == ["join.toml"]


def test_a_key_that_is_in_both_places_is_told(sealed: Path) -> None:
    """The credential holds, and the file should not lie about."""
    (sealed / "identity" / "signing.pem").write_bytes(b"an old one")
    with opened(sealed) as state:
        assert state.identity.fingerprint == server_identity().fingerprint
        assert "signing.pem was not used" in state.warnings[0]


def test_a_removed_join_file_means_a_new_password_with_sealed_keys_too(sealed: Path) -> None:
    """As it does where the keys are files."""
    (sealed / "identity" / "join.toml").unlink()
    with opened(sealed) as state:
        assert state.join_password


def test_a_damaged_credential_refuses_to_start(sealed: Path, tmp_path: Path) -> None:
    """With the sentence that a damaged file gets."""
    (tmp_path / "credentials" / "bisikd.signing.pem").write_bytes(b"?")
    with pytest.raises(StateError, match="damaged"):
        opened(sealed)


def test_a_credential_that_cannot_be_read_refuses_to_start(sealed: Path, tmp_path: Path) -> None:
    """And is named."""
    (tmp_path / "credentials" / "bisikd.signing.pem").unlink()
    (tmp_path / "credentials" / "bisikd.signing.pem").mkdir()
    with pytest.raises((StateError), match=r"cannot be"):
        opened(sealed)
