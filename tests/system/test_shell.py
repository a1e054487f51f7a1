"""The contracts that scripts rely on, with real processes: each command, its output, and its exit code."""

import json
from pathlib import Path

import pytest

from bisik_protocol.chat.invite import parse_invite
from bisik_protocol.crypto.identity import fingerprint_text
from tests.support.daemon_process import bisikd, open_daemon
from tests.support.processes import (
    home_of,
    open_bisik,
    open_member,
    prepared_home,
    registered,
    run_bisik,
    settled_state,
    steady_address,
)

NOBODY = f"bisik://127.0.0.1:9/?fp={fingerprint_text(bytes(32))}"
INCORRECT = "Incorrect password. Try again."


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return settled_state(tmp_path / "state")


async def test_what_was_sent_is_in_tail_history_and_the_daemons_output(state: Path, tmp_path: Path) -> None:
    """The main job from a shell: register, send, read; the same message with the same id everywhere."""
    async with open_daemon(state) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
        sari = home_of(tmp_path / "sari", daemon.ready, "sari")
        for text in ("halo", "apa kabar?"):
            assert (await run_bisik("send", "--home", tama, "#lobby", text)).code == 0
        tail = await run_bisik("tail", "--home", sari, "--room", "#lobby", "--count", "2", "--json")
        history = await run_bisik("history", "--home", sari, "#lobby", "--json")
        assert (tail.code, history.code) == (0, 0)
        said = [json.loads(line) for line in history.lines]
        assert [line["text"] for line in said] == ["halo", "apa kabar?"]
        assert all(line["type"] == "message" and line["author"] == "tama" for line in said)
        assert [json.loads(line) for line in tail.lines if '"message"' in line] == said
        for message in said:
            assert list(message) == ["type", "room", "author", "text", "seq", "id", "time"]
            assert await daemon.line(lambda line, message=message: line.get("id") == message["id"]) == message


async def test_a_running_tail_prints_what_is_said(state: Path, tmp_path: Path) -> None:
    """A program that follows gets each message as a line, once it is stored."""
    async with open_daemon(state) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
        sari = home_of(tmp_path / "sari", daemon.ready, "sari")
        async with open_bisik("tail", "--home", sari, "--json") as tail:
            sent = await run_bisik("send", "--home", tama, "#lobby", "-", "--json", stdin="dari stdin\n")
            message = await tail.first("message")
            receipt = json.loads(sent.out)
            assert (message["text"], message["id"]) == ("dari stdin", receipt["id"])


async def test_who_is_there_is_who_has_joined(state: Path, tmp_path: Path) -> None:
    """A member in the room is seen; scripts that send and follow are not."""
    async with open_daemon(state) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
        assert (await run_bisik("who", "--home", tama, "#lobby", "--json")).lines == []
        async with open_member(tama, daemon.ready["invite"], "tama", "#lobby"):
            who = await run_bisik("who", "--home", tama, "#lobby", "--json")
            assert [json.loads(line)["name"] for line in who.lines] == ["tama"]


async def test_a_login_id_brings_a_name_to_a_second_device(state: Path, tmp_path: Path) -> None:
    """With the right ID the second device is the same person; afterwards it needs no ID."""
    async with open_daemon(state) as daemon:
        budi = await registered(tmp_path / "budi", daemon.ready, "budi", 3)
        phone = prepared_home(tmp_path / "phone", daemon.ready, 4)
        login = ("login", daemon.ready["invite"], "--name", "budi", "--home", phone)
        wrong = await run_bisik(*login, stdin="aaaa-bbbb-cccc-dddd-eeee\n")
        assert (wrong.code, wrong.out) == (1, ""), wrong.talk
        assert (await run_bisik("send", "--home", phone, "#lobby", "dari hp")).code == 1
        right = await run_bisik(*login, "--id-file", budi / "login-id")
        assert right.code == 0, right.talk
        assert (await run_bisik("send", "--home", phone, "#lobby", "dari hp")).code == 0
        history = await run_bisik("history", "--home", budi, "#lobby", "--json")
        assert [json.loads(line)["author"] for line in history.lines] == ["budi"]


async def test_a_wrong_join_password_is_refused_in_the_same_words_as_ever(state: Path, tmp_path: Path) -> None:
    """Exit code 1 and the one sentence; nothing is printed that a script could take for a login ID."""
    async with open_daemon(state) as daemon:
        home = prepared_home(tmp_path / "home", daemon.ready, 3)
        invite = daemon.ready["invite"].replace(daemon.ready["join_password"], "salah-salah")
        refused = await run_bisik("register", invite, "--name", "budi", "--home", home)
        assert (refused.code, refused.out) == (1, ""), refused.talk
        assert INCORRECT in refused.talk


async def test_a_taken_name_and_its_look_alikes_are_refused(state: Path, tmp_path: Path) -> None:
    """Case and letters of other scripts do not make another name."""
    async with open_daemon(state) as daemon:
        home = prepared_home(tmp_path / "other", daemon.ready, 3)
        for name in ("TAMA", "tаma"):  # the second with a Cyrillic letter
            refused = await run_bisik("register", daemon.ready["invite"], "--name", name, "--home", home)
            assert (refused.code, refused.out) == (1, ""), refused.talk
            assert "taken" in refused.talk


async def test_who_is_not_reached_is_exit_code_3(state: Path, tmp_path: Path) -> None:
    """Nobody listens at the port: reading fails at once, and says so."""
    async with open_daemon(state) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
    for command in (("history", "#lobby"), ("tail",), ("who", "#lobby")):
        ended = await run_bisik(*command, "--home", tama)
        assert ended.code == 3, ended.talk
        assert "Nobody is listening" in ended.talk


async def test_what_could_not_be_stored_yet_is_exit_code_5_and_stored_later_once(state: Path, tmp_path: Path) -> None:
    """A message to a server that is away waits in the outbox, and goes out with the next command."""
    async with open_daemon(state, listen=steady_address()) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
    queued = await run_bisik("send", "--home", tama, "#lobby", "nanti", "--timeout", "0.2")
    assert (queued.code, queued.out) == (5, "")
    async with open_daemon(state, listen=daemon.ready["listen"]):
        assert (await run_bisik("send", "--home", tama, "#lobby", "sekarang")).code == 0
        history = await run_bisik("history", "--home", tama, "#lobby", "--json")
        assert [json.loads(line)["text"] for line in history.lines] == ["nanti", "sekarang"]


async def test_another_server_at_the_known_address_is_exit_code_4(state: Path, tmp_path: Path) -> None:
    """Other keys than the pinned ones: nothing is sent, and the person is told."""
    async with open_daemon(state, listen=steady_address()) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
    async with open_daemon(tmp_path / "impostor", listen=daemon.ready["listen"]) as impostor:
        assert impostor.ready["fingerprint"] != daemon.ready["fingerprint"]
        for command in (("history", "#lobby"), ("send", "#lobby", "rahasia")):
            ended = await run_bisik(*command, "--home", tama)
            assert ended.code == 4, ended.talk
            assert "NOT the one" in ended.talk
        assert impostor.lines == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["send", "--nope"],
        ["register", "bisik://127.0.0.1:99999/", "--name", "tama"],
        ["send", "#lobby", ""],
    ],
    ids=" ".join,
)
async def test_wrong_usage_is_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    """What can never work is told apart from what the server refused; no server is needed to know it."""
    home = home_of(tmp_path / "tama", {"invite": NOBODY}, "tama")
    ended = await run_bisik(*arguments, BISIK_HOME=str(home))
    assert (ended.code, ended.out) == (2, ""), ended.talk


async def test_the_same_chat_over_ipv6(state: Path, tmp_path: Path) -> None:
    """The invite's host is an address in brackets, and everything else is as ever."""
    async with open_daemon(state, listen="[::1]:0") as daemon:
        assert parse_invite(daemon.ready["invite"]).host == "::1"
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
        assert (await run_bisik("send", "--home", tama, "#lobby", "enam")).code == 0
        assert "enam" in (await run_bisik("history", "--home", tama, "#lobby")).out


async def test_a_stop_in_the_middle_leaves_a_log_that_proves_everything(state: Path, tmp_path: Path) -> None:
    """SIGTERM exits 0, a follower lives on, and the log is whole with every message in it."""
    async with open_daemon(state, listen=steady_address()) as daemon:
        tama = home_of(tmp_path / "tama", daemon.ready, "tama")
        async with open_bisik("tail", "--home", tama, "--json") as tail:
            assert (await run_bisik("send", "--home", tama, "#lobby", "satu")).code == 0
            await tail.first("message")
            assert await daemon.stop() == 0
            verified = json.loads(bisikd("log", "verify", "--json", "--state", state).stdout)
            assert (verified["ok"], verified["messages"]) == (True, 1)
            async with open_daemon(state, listen=daemon.ready["listen"]):
                assert (await run_bisik("send", "--home", tama, "#lobby", "dua")).code == 0
                await tail.until(lambda tail: len(tail.of_type("message")) == 2)
                assert [line["text"] for line in tail.of_type("message")] == ["satu", "dua"]
