"""A server's state put back to an older backup, with a real daemon: every client that has seen more notices."""

import shutil
from pathlib import Path

import trio

from bisik.chat import open_chat
from bisik_protocol.chat.messages import Presence
from tests.client.processes import Daemon, bisik, bisikd, json_lines

LOBBY = "#lobby"


def say(home: Path, *texts: str) -> None:
    for text in texts:
        assert bisik("send", "--home", home, LOBBY, text).returncode == 0


def restart(daemon: Daemon) -> None:
    """A stop signs the head of the log; whoever comes after the start has seen it."""
    daemon.stop()
    daemon.start()


def test_a_rolled_back_and_a_forked_log_are_caught_and_gone_on_with_only_by_decision(
    daemon: Daemon, tmp_path: Path
) -> None:
    """Shorter first, then longer with other messages; what was written waits, and is stored after the decision."""
    tama, ayu = daemon.home(tmp_path / "a", key=1), daemon.home(tmp_path / "b", key=2)
    state, copy = daemon.directory / "state", tmp_path / "copy"
    secret = tmp_path / "secret"
    secret.write_text("correct horse battery")
    for name, home in (("tama", tama), ("ayu", ayu)):
        assert bisik("register", daemon.invite, "--name", name, "--home", home).returncode == 0
    assert bisikd("backup", copy, "--state", state, "--password-file", secret)[0] == 0  # beside the running daemon
    say(tama, "one")
    restart(daemon)
    say(tama, "two")
    daemon.stop()
    shutil.rmtree(state)
    assert bisikd("restore", copy, "--state", state, "--password-file", secret)[0] == 0

    daemon.start()
    refused = bisik("send", "--home", tama, LOBBY, "three")
    assert refused.returncode == 4
    assert "shorter than it was" in refused.stderr
    assert "bisik trust-log" in refused.stderr
    trio.run(_say_others, ayu)  # who has never seen more
    restart(daemon)
    piped = bisik("--home", tama, stdin="four\n")
    assert piped.returncode == 4
    assert "NOT a continuation" in piped.stderr

    undecided = bisik("trust-log", "--home", tama)
    assert undecided.returncode == 2
    assert "NOT a continuation" in undecided.stderr
    decided = bisik("trust-log", "--yes", "--json", "--home", tama)
    assert decided.returncode == 0
    assert json_lines(decided.stdout)[0]["changed"] is True
    say(tama, "five")
    texts = [line["text"] for line in json_lines(bisik("history", "--home", ayu, "--json").stdout)]
    assert texts == ["other 0", "other 1", "other 2", "three", "four", "five"]
    assert "nothing to decide" in bisik("trust-log", "--home", tama).stderr


async def _say_others(home: Path) -> None:
    async with open_chat(home=home, presence=Presence.WRITER) as chat:
        for number in range(3):
            await chat.send(LOBBY, f"other {number}")
