"""What the operator does to accounts, as the people see it: real daemon, real commands."""

import json
from pathlib import Path

import pytest
import trio

from bisik.chat import Chat, open_chat
from bisik.errors import Refused
from bisik.events import Message, Notice
from bisik.home import Home
from bisik_protocol.chat.messages import Code
from tests.client.processes import Daemon, bisik, bisikd, json_lines

LOBBY = "#lobby"


def users(daemon: Daemon, *words: str) -> str:
    code, out = bisikd("users", *words, "--state", daemon.directory / "state")
    assert code == 0
    return out


def test_a_rename_is_seen_by_everybody_and_breaks_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """Who was renamed goes on without doing anything; the others are told once, and read old and new messages."""
    tama_home, ayu_home = (daemon.home(tmp_path / name, key=key) for name, key in (("a", 1), ("b", 2)))
    trio.run(_talk_while_renamed, daemon, tama_home, ayu_home)
    profile = Home(tama_home).default()
    assert profile is not None
    assert profile.name == "sari"
    daemon.stop()
    assert users(daemon, "rename", "sari", "dewi") == "sari is called dewi from now on.\n"
    daemon.start()
    assert bisik("send", "--home", tama_home, LOBBY, "three").returncode == 0
    newcomer = daemon.home(tmp_path / "c", key=3)
    assert bisik("register", daemon.invite, "--name", "budi", "--home", newcomer).returncode == 0
    told = json_lines(bisik("history", "--home", newcomer, "--json").stdout)
    assert [(line["author"], line["text"]) for line in told] == [("tama", "one"), ("sari", "two"), ("dewi", "three")]
    daemon.stop()
    assert bisikd("log", "verify", "--state", daemon.directory / "state")[0] == 0


async def _talk_while_renamed(daemon: Daemon, tama_home: Path, ayu_home: Path) -> None:
    async with (
        open_chat(daemon.invite, name="tama", home=tama_home) as tama,
        open_chat(daemon.invite, name="ayu", home=ayu_home) as ayu,
    ):
        await tama.send(LOBBY, "one")
        heard: list[tuple[str, str]] = []
        notices: list[str] = []
        await _hear(ayu, heard, notices, 1)
        assert users(daemon, "rename", "tama", "sari") == "tama is called sari from now on.\n"
        await tama.send(LOBBY, "two")
        assert tama.name == "sari"
        await _hear(ayu, heard, notices, 2)
        assert heard == [("tama", "one"), ("sari", "two")]
        assert [notice for notice in notices if notice.startswith("tama is called sari")]


async def _hear(chat: Chat, heard: list[tuple[str, str]], notices: list[str], count: int) -> None:
    async for event in chat.everything():
        if isinstance(event, Message):
            heard.append((event.author, event.text))
        elif isinstance(event, Notice):
            notices.append(event.text)
        if len(heard) == count:
            return


def test_who_was_put_out_is_told_the_truth(daemon: Daemon, tmp_path: Path) -> None:
    """While chatting, and at the next command; the message is kept and exit code 1 says that it was refused."""
    home = daemon.home(tmp_path / "a", key=1)

    async def talk() -> None:
        async with open_chat(daemon.invite, name="tama", home=home) as tama:
            await tama.send(LOBBY, "halo")
            assert users(daemon, "remove", "tama") == "The account tama is closed; its name stays taken.\n"
            await tama.send(LOBBY, "still here?")

    with pytest.raises(Refused, match="operator of this server has closed your account") as refused:
        trio.run(talk)
    assert refused.value.code is Code.ACCOUNT_CLOSED
    said = bisik("send", "--home", home, LOBBY, "hello?")
    assert said.returncode == 1
    assert "has closed your account" in said.stderr
    listed = json.loads(users(daemon, "list", "--json"))
    assert (listed["name"], "removed" in listed) == ("tama", True)
    assert "its name is free" in users(daemon, "remove", "--forget", "tama")
    assert users(daemon, "list") == ""


def test_a_login_id_is_replaced_and_a_role_is_given(daemon: Daemon, tmp_path: Path) -> None:
    """The same words with and without a daemon that runs."""
    home = daemon.home(tmp_path / "a", key=1)
    old = json_lines(bisik("register", daemon.invite, "--name", "tama", "--home", home, "--json").stdout)[0]
    new = users(daemon, "reset-id", "tama").strip()
    other = daemon.home(tmp_path / "b", key=2)
    login = ("login", daemon.invite, "--name", "tama", "--home", other, "--json")
    assert bisik(*login, stdin=f"{old['login_id']}\n").returncode == 1
    assert bisik(*login, stdin=f"{new}\n").returncode == 0
    assert users(daemon, "role", "tama", "owner") == "tama is owner now.\n"
    daemon.stop()
    assert users(daemon, "show", "tama").splitlines()[0].endswith("2 devices  owner")
    assert users(daemon, "role", "tama", "member") == "tama is member now.\n"
    assert len(users(daemon, "reset-id", "tama").strip()) == len(new)
