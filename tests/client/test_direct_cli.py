"""Direct messages with the real programs: two homes, a daemon on loopback, scripts and line mode."""

from pathlib import Path

import pytest

from tests.client.processes import Daemon, bisik, bisik_process, json_lines


def members(daemon: Daemon, tmp_path: Path, prefix: str, keys: tuple[int, int]) -> list[Path]:
    """Two people who have done no more than to register."""
    homes = []
    for name, key in zip(("a", "b"), keys, strict=True):
        home = daemon.home(tmp_path / name, key=key)
        assert bisik("register", daemon.invite, "--name", f"{prefix}-{name}", "--home", home).returncode == 0
        homes.append(home)
    return homes


@pytest.fixture
def pair(shared_daemon: Daemon, tmp_path: Path, request: pytest.FixtureRequest) -> list[Path]:
    """Each test has people of its own, because they share a daemon."""
    number = request.param
    return members(shared_daemon, tmp_path, f"dm-{number}", (number, number + 1))


def name_of(home: Path) -> str:
    [server] = json_lines(bisik("servers", "--json", "--home", home).stdout)
    return str(server["name"])


@pytest.mark.parametrize("pair", [900], indirect=True)
def test_scripts_speak_to_one_person(pair: list[Path]) -> None:
    """`send @name`, and the other's tail, history, unread, search and wait have it under `@name`, and only theirs."""
    one, other = pair
    me, you = name_of(one), name_of(other)
    sent = bisik("send", "--home", one, "--json", f"@{you}", "hanya untukmu")
    assert json_lines(sent.stdout)[0]["room"] == f"@{you}"
    for words in (
        ("tail", "--json", "--room", f"@{me}", "--count", "1", "--home", other),
        ("history", "--json", f"@{me}", "--home", other),
        ("search", "--json", "untukmu", "--home", other),
    ):
        done = bisik(*words)
        assert done.returncode == 0, done.stderr
        message = json_lines(done.stdout)[-1]
        assert (message["room"], message["author"], message["text"]) == (f"@{me}", me, "hanya untukmu")
    [unread] = [
        line for line in json_lines(bisik("unread", "--json", "--home", other).stdout) if line["room"][0] == "@"
    ]
    assert unread == {"type": "unread", "room": f"@{me}", "messages": 1, "mentions": 1}
    proved = bisik("verify", "--home", other, json_lines(sent.stdout)[0]["id"])
    assert "hanya untukmu" in proved.stdout


@pytest.mark.parametrize("pair", [902], indirect=True)
def test_nobody_of_that_name(pair: list[Path]) -> None:
    """A sentence, exit code 1, and nothing in the outbox; oneself is nobody to speak to either."""
    for name in ("nobody-at-all", name_of(pair[0])):
        refused = bisik("send", "--home", pair[0], f"@{name}", "halo")
        assert refused.returncode == 1
        assert refused.stderr.startswith("bisik: ")


@pytest.mark.parametrize("pair", [904], indirect=True)
def test_line_mode_speaks_and_answers(pair: list[Path]) -> None:
    """`/msg` from a pipe is stored before it ends; the other reads it, answers, and it comes back."""
    one, other = pair
    me, you = name_of(one), name_of(other)
    assert bisik_process("--plain", "--home", str(one), stdin=f"/msg {you} dari pipa\n").returncode == 0
    answered = bisik_process("--plain", "--home", str(other), stdin=f"/msg {me} sudah sampai\n")
    assert answered.returncode == 0, answered.stderr
    heard = json_lines(bisik("history", "--json", f"@{you}", "--home", one).stdout)
    assert [(line["author"], line["text"]) for line in heard] == [(me, "dari pipa"), (you, "sudah sampai")]


def test_without_a_connection(daemon: Daemon, tmp_path: Path) -> None:
    """To somebody known it is queued and goes out later, once; to others nothing is, and the exit code is 3."""
    one, other = members(daemon, tmp_path, "dm", (900, 901))
    assert bisik("send", "--home", one, "@dm-b", "satu").returncode == 0
    daemon.stop()
    assert bisik("send", "--home", one, "--timeout", "0.5", "@dm-b", "dua").returncode == 5
    assert bisik("send", "--home", other, "--timeout", "0.5", "@somebody", "tiga").returncode == 3
    daemon.start()
    assert bisik("send", "--home", one, "@dm-b", "empat").returncode == 0
    heard = json_lines(bisik("history", "--json", "@dm-a", "--home", other).stdout)
    assert [line["text"] for line in heard] == ["satu", "dua", "empat"]
