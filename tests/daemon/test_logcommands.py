"""`bisikd log`: here, and away from the daemon; what is filtered, what is printed, what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bisik_protocol.chat.messages import JoinEntry
from bisik_protocol.crypto.identity import ServerPublic, fingerprint_text
from bisikd.cli import cli
from bisikd.errors import BisikdError
from bisikd.log import Log, entry_record
from bisikd.logkeys import keep_server_keys
from tests.daemon.log.talk import START_MS, Talk
from tests.support.keys import decryption_key, device_key, server_identity

DAY_MS = 86_400_000
ROOM = "@sari+tama"


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """A copy of a log with an auditor, and nothing else of its server but the auditor's key."""
    directory = tmp_path / "copy"
    identity, talk = server_identity(), Talk()
    log = Log.open(directory, identity, now_ms=lambda: START_MS, auditor=decryption_key(1).public)
    log.append([talk.register("tama"), talk.register("budi", 1), talk.join("tama"), talk.say("tama", "halo")])
    log.append([talk.say("budi", "di dapur", "#dapur"), talk.say("tama", "\x1b[31mmerah")])
    log.append([entry_record(JoinEntry("#lobby", 4, START_MS + 3 * DAY_MS, "sari"))])
    log.close()
    keep_server_keys(directory, identity.public)
    for path in directory.glob("index.sqlite3*"):
        path.unlink()
    (tmp_path / "auditor.pem").write_bytes(decryption_key(1).to_pem())
    return directory


def run(away: Path, *arguments: str) -> Result:
    command, *rest = arguments
    key = str(away.parent / "auditor.pem")
    return CliRunner().invoke(cli, ["log", command, "--log", str(away), "--key", key, *rest])


def lines(away: Path, *arguments: str) -> list[dict[str, Any]]:
    result = run(away, *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_auditor_proves_a_log_on_another_machine(away: Path) -> None:
    """Without the daemon, its state or its keys; the fingerprint says whose log it is. Nothing is changed."""
    before = sorted((path.name, path.read_bytes()) for path in away.iterdir())
    result = run(away, "verify")
    assert result.exit_code == 0
    assert "3 messages in 7 records" in result.stdout
    assert "The log is whole, and every signature fits." in result.stdout
    (report,) = lines(away, "verify", "--json", "--server", fingerprint_text(server_identity().fingerprint))
    assert report["ok"]
    assert report["server"] == fingerprint_text(server_identity().fingerprint)
    assert sorted((path.name, path.read_bytes()) for path in away.iterdir()) == before


def test_a_log_of_another_server_is_refused(away: Path) -> None:
    """Where the fingerprint is known from elsewhere, that is what counts."""
    result = run(away, "verify", "--server", fingerprint_text(bytes(32)))
    assert isinstance(result.exception, BisikdError)
    assert "not of the one that you named" in str(result.exception)


def test_forged_keys_beside_a_log_prove_nothing(away: Path) -> None:
    """server.pem is no authority: with other keys in it the headers are not signed by that server."""
    keep_server_keys(away, ServerPublic(device_key(0).public, decryption_key(0).public))
    result = run(away, "verify")
    assert result.exit_code == 1
    assert "was not signed by this server" in result.stdout


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["tama", "budi", "tama", "tama", "budi", "tama", "sari"]),
        (["--room", "#dapur"], ["budi"]),
        (["--room", "lobby"], ["tama", "tama", "tama", "sari"]),
        (["--user", "Budi"], ["budi", "budi"]),
        (["--user", "tama", "--room", "#lobby"], ["tama", "tama", "tama"]),
        (["--since", "2023-11-16T00:00:00Z"], ["sari"]),
        (["--until", "2023-11-16T00:00:00Z", "--room", "#lobby"], ["tama", "tama", "tama"]),
        (["--since", "2h"], []),
    ],
)
def test_records_are_filtered(away: Path, options: list[str], found: list[str]) -> None:
    """By room, person and time, alone and together, the same for both commands."""
    for command in ("show", "export"):
        records = lines(away, command, "--json", *options)
        assert [record.get("author", record.get("name")) for record in records] == found


def test_show_is_for_people_and_export_for_proofs(away: Path) -> None:
    """One line each and nothing that moves a terminal; JSON as the daemon prints it, or with all that was signed."""
    shown = run(away, "show", "--room", "#lobby").stdout
    assert "<tama> halo" in shown
    assert "\x1b" not in shown
    said = lines(away, "show", "--json", "--room", "#dapur")[0]
    assert set(said) == {"type", "room", "author", "text", "seq", "id", "time"}
    proved = lines(away, "export", "--room", "#dapur")[0]
    assert set(proved) == {*said, "statement", "signature", "index", "segment", "offset"}
    assert proved["index"] == 4


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--since", "gestern"], "'gestern' is no time"),
        (["--until", "2026-13-01"], "is no time"),
        (["--room", "#a b"], "cannot hold spaces"),
        (["--server", "abc"], "A fingerprint is 52 letters"),
    ],
)
def test_mistakes_are_sentences(away: Path, options: list[str], sentence: str) -> None:
    """Nothing is printed for a question that cannot be meant."""
    result = run(away, "show", *options)
    assert isinstance(result.exception, BisikdError)
    assert (result.stdout, result.exception.exit_code) == ("", 2)
    assert sentence in str(result.exception)


def test_direct_messages_are_proved_and_not_read(tmp_path: Path) -> None:
    """By their room's whole name; verified like all, shown by their length, exported as they are: no text."""
    directory, talk = tmp_path / "copy", Talk()
    log = Log.open(directory, server_identity(), now_ms=lambda: START_MS, auditor=decryption_key(1).public)
    log.append([talk.register("sari", 1), talk.register("tama")])
    log.append([talk.whisper("tama", "rahasia sekali", ROOM), talk.whisper("sari", "rahasia juga", ROOM)])
    assert not any(b"rahasia" in entry for entry in log.entries(ROOM, 0, 10))
    assert log.chain(ROOM, talk.key_hash("tama"))[0] == 1
    log.close()
    keep_server_keys(directory, server_identity().public)
    (tmp_path / "auditor.pem").write_bytes(decryption_key(1).to_pem())
    assert not any(b"rahasia" in path.read_bytes() for path in directory.iterdir())
    assert "The log is whole, and every signature fits." in run(directory, "verify").stdout
    shown = run(directory, "show", "--room", ROOM).stdout
    assert [line.split(" ", 2)[2] for line in shown.splitlines()] == [
        f"{ROOM} <tama> (sealed, 144 bytes)",
        f"{ROOM} <sari> (sealed, 144 bytes)",
    ]
    exported = run(directory, "export").stdout
    assert "rahasia" not in exported + shown
    sealed = [line["sealed"] for line in map(json.loads, exported.splitlines()) if line["type"] == "message"]
    assert sealed == [144, 144]
