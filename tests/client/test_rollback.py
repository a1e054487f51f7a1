"""A server's state put back to an older backup, with a real daemon: every client that has seen more notices."""

import shutil
import subprocess
from pathlib import Path

from tests.client.processes import BISIKD, Daemon, bisik, json_lines

LOBBY = "#lobby"


def say(home: Path, *texts: str) -> None:
    for text in texts:
        assert bisik("send", "--home", home, LOBBY, text).returncode == 0


def bisikd(*words: str | Path) -> None:
    done = subprocess.run([BISIKD, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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
    say(tama, "one")
    bisikd("backup", copy, "--state", state, "--password-file", secret)  # beside the running daemon
    say(tama, "two", "three")
    restart(daemon)
    say(tama, "four")
    daemon.stop()
    shutil.rmtree(state)
    bisikd("restore", copy, "--state", state, "--password-file", secret)

    daemon.start()
    refused = bisik("send", "--home", tama, LOBBY, "five")
    assert refused.returncode == 4
    assert "shorter than it was" in refused.stderr
    assert "bisik trust-log" in refused.stderr
    for number in range(3):
        say(ayu, f"other {number}")  # has never seen more
    restart(daemon)
    piped = bisik("--home", tama, stdin="six\n")
    assert piped.returncode == 4
    assert "NOT a continuation" in piped.stderr
    texts = [line["text"] for line in json_lines(bisik("history", "--home", ayu, "--json").stdout)]
    assert texts == ["one", *(f"other {number}" for number in range(3))]

    undecided = bisik("trust-log", "--home", tama, stdin="")
    assert undecided.returncode == 2
    assert "NOT a continuation" in undecided.stderr
    decided = bisik("trust-log", "--yes", "--json", "--home", tama)
    assert decided.returncode == 0
    assert json_lines(decided.stdout)[0]["changed"] is True
    say(tama, "seven")
    texts = [line["text"] for line in json_lines(bisik("history", "--home", ayu, "--json").stdout)]
    assert texts[-3:] == ["five", "six", "seven"]
    assert "nothing to decide" in bisik("trust-log", "--home", tama).stderr
