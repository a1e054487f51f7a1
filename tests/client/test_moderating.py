"""Moderators through the library: every method reaches a real daemon, and what cannot be asked is said before."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from bisik.chat import Chat, open_chat
from bisik.errors import Refused, WrongUsage
from bisik.events import Moderated, TopicSet
from bisik.moderating import Moderating
from bisik_protocol.chat.messages import BanKind, Code, Role
from tests.client.processes import Daemon
from tests.support.daemon_process import bisikd

LOBBY = "#lobby"
ROOM = "#ops"


async def promote(daemon: Daemon, name: str) -> None:
    state = daemon.directory / "state"
    done = await trio.to_thread.run_sync(lambda: bisikd("users", "role", name, "moderator", "--state", state))
    assert done.returncode == 0, done.stderr


async def refused(waiting: Awaitable[object]) -> Code:
    with pytest.raises(Refused) as caught:
        await waiting
    assert caught.value.code is not None
    return caught.value.code


async def test_a_moderators_day(daemon: Daemon, tmp_path: Path) -> None:
    """Topic, mute, read-only, private, kick and ban, as a member and a moderator see them."""
    daemon.home(tmp_path / "mod", key=1)
    daemon.home(tmp_path / "tama", key=2)
    async with open_chat(daemon.invite, name="mod", home=tmp_path / "mod", rooms=(LOBBY, ROOM)) as mod:
        assert mod.role is Role.MEMBER
        assert await refused(mod.kick(LOBBY, "mod")) is Code.FORBIDDEN
        await promote(daemon, "mod")
        async with open_chat(daemon.invite, name="tama", home=tmp_path / "tama", rooms=(LOBBY, ROOM)) as tama:
            await tama.join(ROOM)
            await play(mod, tama)
        again = await refused_login(daemon, tmp_path / "tama")
        assert again.startswith("You are banned from this server until ")
        await mod.unban("tama")
        async with open_chat(daemon.invite, name="tama", home=tmp_path / "tama") as tama:
            await tama.send(LOBBY, "back")


async def play(mod: Chat, tama: Chat) -> None:
    await mod.set_topic(ROOM, "Release on Friday")
    async for event in tama.events():
        if isinstance(event, TopicSet):
            assert (event.author, event.text, event.room) == ("mod", "Release on Friday", ROOM)
            break
    assert tama.topic(ROOM) == "Release on Friday"
    await mod.mute("tama", ROOM, lasts_s=3600, reason="noise")
    with pytest.raises(Refused, match=r"^You are muted in #ops until .* \(noise\)\.$"):
        await tama.send(ROOM, "no")
    await mod.unmute("tama", ROOM)
    await mod.set_room(ROOM, read_only=True)
    with pytest.raises(Refused, match="only moderators write"):
        await tama.send(ROOM, "no")
    await mod.set_room(ROOM, read_only=False, private=True)
    state = await mod.room_state(ROOM)
    assert (state.private, state.allowed) == (True, ["mod", "tama"])
    await tama.send(ROOM, "inside")
    await mod.disallow(ROOM, "tama")
    async for happened in tama.everything():
        if happened.type == "notice" and ROOM in happened.text:
            break
    assert tama.rooms == [LOBBY]
    assert await refused(tama.join(ROOM)) is Code.ROOM_PRIVATE
    await mod.allow(ROOM, "tama")
    await tama.join(ROOM)
    await mod.kick(ROOM, "tama", "enough")
    await mod.ban("tama", lasts_s=3600, reason="enough")
    (ban,) = await mod.bans()
    assert (ban.what, ban.target, ban.by, ban.reason) == (BanKind.NAME, "tama", "mod", "enough")
    acts: list[str] = []
    async for event in mod.events():
        if isinstance(event, Moderated):
            acts.append(event.act)
            if event.act == "kick":
                break
    assert "mute" in acts
    with pytest.raises(Refused, match="banned"):
        async for _ in tama.everything():
            pass


async def refused_login(daemon: Daemon, home: Path) -> str:
    with pytest.raises(Refused) as caught:
        async with open_chat(daemon.invite, name="tama", home=home):
            pass
    assert caught.value.code is Code.BANNED
    return str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda moderating: moderating.ban(),
        lambda moderating: moderating.ban("tama", address="192.0.2.7"),
        lambda moderating: moderating.unban(),
        lambda moderating: moderating.kick(LOBBY, "a b"),
        lambda moderating: moderating.kick("# x", "tama"),
        lambda moderating: moderating.kick(LOBBY, "tama", "x" * 201),
        lambda moderating: moderating.set_topic(LOBBY, "x" * 301),
    ],
)
async def test_what_cannot_be_asked_is_said_without_asking(ask: Callable[[Moderating], Awaitable[None]]) -> None:
    """A sentence for whoever typed it, and nothing goes to the server."""
    with pytest.raises(WrongUsage, match=r"\.$"):
        await ask(Moderating())
