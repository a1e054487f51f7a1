"""Keys for a log away from its daemon: which files are taken, and what is said of the others."""

from pathlib import Path

import pytest

from bisikd.errors import BisikdError, UsageProblem
from bisikd.logkeys import keep_server_keys, load_auditor, load_private_key, read_server_keys
from tests.support.keys import decryption_key, server_identity


def test_the_servers_public_keys_lie_beside_the_log(tmp_path: Path) -> None:
    """What is read back has the server's fingerprint; a second keeping writes nothing."""
    keep_server_keys(tmp_path, server_identity().public)
    path = tmp_path / "server.pem"
    before = path.stat().st_ino
    assert read_server_keys(tmp_path).fingerprint == server_identity().fingerprint
    keep_server_keys(tmp_path, server_identity().public)
    assert path.stat().st_ino == before
    assert b"PRIVATE" not in path.read_bytes()


def test_a_file_that_is_not_the_servers_keys_is_put_right(tmp_path: Path) -> None:
    """It is no secret and no authority, so the daemon writes it anew."""
    (tmp_path / "server.pem").write_bytes(b"nonsense")
    with pytest.raises(BisikdError, match=r"server\.pem does not hold the server's public keys"):
        read_server_keys(tmp_path)
    keep_server_keys(tmp_path, server_identity().public)
    assert read_server_keys(tmp_path).signing == server_identity().public.signing


def test_an_auditors_key_has_two_halves(tmp_path: Path) -> None:
    """The daemon takes the public one and warns of the private one; reading takes the private one."""
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(decryption_key(1).to_pem())
    public.write_bytes(decryption_key(1).public.to_pem())
    assert load_auditor(public) == decryption_key(1).public
    assert load_private_key(private).public == decryption_key(1).public
    with pytest.raises(UsageProblem, match="is a private key"):
        load_auditor(private)
    with pytest.raises(UsageProblem, match="opens no log"):
        load_private_key(public)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff"])
def test_other_files_are_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    """Whatever is in them."""
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    for load in (load_auditor, load_private_key):
        with pytest.raises(UsageProblem, match=r"key\.pem"):
            load(path)
    with pytest.raises(UsageProblem, match="Cannot read"):
        load_auditor(tmp_path / "none.pem")
