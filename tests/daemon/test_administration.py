"""The operator's commands: what each does, what is refused in words, and the command line in front of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from bisik_protocol.chat.messages import MAX_BAN_S, Code, Joined
from bisik_protocol.crypto.identity import fingerprint_text
from bisik_protocol.transport.events import CloseCode
from bisikd.administration import Administration
from bisikd.commands.common import DurationType
from bisikd.config import Flags, Limits, Settings, load
from bisikd.draining import DRAIN_S, Draining
from bisikd.errors import BisikdError
from bisikd.reloading import Reloading, reload_for_people
from bisikd.requests import UNREACHABLE_S
from tests.support.chatter import open_chatter
from tests.support.daemon_process import DaemonProcess, bisikd, fresh_state, open_daemon
from tests.support.keys import device_key
from tests.support.stage import Stage, open_stage

LOBBY = "#lobby"


async def ask(stage: Stage, command: str, **arguments: Any) -> Any:
    return await Administration(stage.chat).commands()[command]({"command": command, **arguments})


# Rooms and people --------------------------------------------------------------------------------------------------


async def test_a_kick_without_a_room_is_out_of_all(tmp_path: Path) -> None:
    """Out of every room they are in; who is in none cannot be kicked."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, LOBBY, "#ops")
        budi = await stage.member("budi", 2, LOBBY, "#ops")
        await ask(stage, "kick", name="tama", room="#ops")
        await stage.settled()
        assert stage.chat.hub.get("#ops").presence.stored == {"budi"}  # type: ignore[union-attr]
        await ask(stage, "kick", name="budi", reason="all out")
        await stage.settled()
        assert budi.stage.chat.hub.lobby.presence.stored == {"tama"}
        with pytest.raises(BisikdError, match=r"^budi is in no room\.$"):
            await ask(stage, "kick", name="budi")
        assert not tama.connection.closed


async def test_bans_and_mutes_are_listed_with_all_that_was_said(tmp_path: Path) -> None:
    """What, whom, by whom, since when, until when, why."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, LOBBY)
        await ask(stage, "ban", what="address", target="203.0.113.9/24", lasts_s=60, reason="scan")
        await ask(stage, "ban", what="device", target=fingerprint_text(stage.visitor(5).key_hash))
        await ask(stage, "mute", name="tama", room=LOBBY)
        found = await ask(stage, "bans")
        device, address = found["bans"]
        assert device["what"] == "device"
        assert address == {
            "type": "ban",
            "what": "address",
            "target": "203.0.113.0/24",
            "by": "(operator)",
            "since": "2026-11-22T09:00:00.000Z",
            "until": "2026-11-22T09:01:00.000Z",
            "reason": "scan",
        }
        (mute,) = found["mutes"]
        assert (mute["name"], mute["room"], mute["until"]) == ("tama", LOBBY, None)
        await ask(stage, "unban", what="address", target="203.0.113.0/24")
        await ask(stage, "unmute", name="tama", room=LOBBY)
        assert len((await ask(stage, "bans"))["bans"]) == 1
        assert (await ask(stage, "bans"))["mutes"] == []
        assert not tama.connection.closed


async def test_rooms_are_shown_with_their_rules(tmp_path: Path) -> None:
    """Topic, private, whom it lets in."""
    async with open_stage(tmp_path) as stage:
        await stage.member("tama", 1, LOBBY, "#ops")
        await stage.member("budi", 2, LOBBY)
        await ask(stage, "topic", room="ops", topic="quiet")
        await ask(stage, "room", room="#ops", private=True)
        await ask(stage, "allow", room="#ops", name="budi")
        ops = next(room for room in await ask(stage, "rooms") if room["room"] == "#ops")
        assert (ops["topic"], ops["private"], ops["read_only"], ops["members"]) == ("quiet", True, False, ["tama"])
        assert ops["allowed"] == ["tama", "budi"]
        await ask(stage, "allow", room="#ops", name="tama", allowed=False)
        ops = next(room for room in await ask(stage, "rooms") if room["room"] == "#ops")
        assert (ops["allowed"], ops["members"]) == (["budi"], [])


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("kick", {}, "lacks its name"),
        ("kick", {"name": "nobody", "room": LOBBY}, "Nobody here is called nobody."),
        ("ban", {"what": "planet", "target": "x"}, "on a name, a device or an address"),
        ("ban", {"what": "name", "target": "tama", "lasts_s": 0}, "a number of seconds"),
        ("ban", {"what": "name", "target": "tama", "lasts_s": MAX_BAN_S + 1}, "a number of seconds"),
        ("ban", {"what": "name", "target": "tama", "lasts_s": True}, "a number of seconds"),
        ("ban", {"what": "name", "target": "tama", "reason": "x" * 201}, "at most 200 characters"),
        ("topic", {"room": LOBBY, "topic": "x" * 301}, "at most 300 characters"),
        ("topic", {"room": "#none", "topic": "x"}, "There is no room #none."),
    ],
)
async def test_what_cannot_be_done_is_said(
    tmp_path: Path, command: str, arguments: dict[str, Any], sentence: str
) -> None:
    """One sentence for the operator."""
    async with open_stage(tmp_path) as stage:
        await stage.member("tama", 1, LOBBY)
        with pytest.raises(BisikdError, match=sentence):
            await ask(stage, command, **arguments)


# A new configuration -----------------------------------------------------------------------------------------------


async def test_a_reload_takes_in_what_changed_and_says_what_waits(tmp_path: Path) -> None:
    """Limits hold at once; the address to listen on holds after a restart, and is said each time until then."""
    path = tmp_path / "bisikd.toml"
    taken: list[Settings] = []
    reloading = Reloading(load(Flags(state=tmp_path), {}), taken.append)
    path.write_text('listen = ":5"\n[limits]\nrooms = 7\n')
    answer = await reloading.reload()
    assert answer == {"type": "reloaded", "changed": ["limits.rooms"], "restart": ["listen"]}
    assert taken[-1].limits == Limits(rooms=7)
    assert reload_for_people(answer) == "Took in limits.rooms. listen will hold after a restart."
    again = await reloading.reload()
    assert (again["changed"], again["restart"]) == ([], ["listen"])
    path.write_text("")
    assert (await reloading.reload())["restart"] == []


async def test_a_mistake_in_the_new_configuration_leaves_the_old_one(tmp_path: Path) -> None:
    """All of it is checked before any of it holds."""
    path = tmp_path / "bisikd.toml"
    taken: list[Settings] = []
    reloading = Reloading(load(Flags(state=tmp_path), {}), taken.append)
    path.write_text("[limits]\nrooms = 7\nsessions = 0\n")
    with pytest.raises(BisikdError, match=r"line 3: 'limits.sessions' is .* what held before holds\.$"):
        await reloading.reload()
    assert taken == []


async def test_limits_that_were_taken_in_hold_for_who_comes_next(tmp_path: Path) -> None:
    """Rooms that are there stay; no further one begins."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, LOBBY, "#ops")
        stage.chat.set_limits(Limits(rooms=2))
        assert tama.refusal(await tama.join("#more")) is Code.ROOM_LIMIT
        stage.chat.set_limits(Limits(rooms=3))
        assert isinstance(await tama.join("#more"), Joined)


# A planned end -----------------------------------------------------------------------------------------------------


async def test_a_drain_ends_when_everybody_has_everything(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """It waits for who is slow, takes nothing new meanwhile, and says when to try again."""
    async with open_stage(tmp_path) as stage, trio.open_nursery() as nursery:
        tama = await stage.member("tama", 1, LOBBY)
        budi = await stage.member("budi", 2, LOBBY)
        budi.connection.takes = False
        tama.say(LOBBY, "last words")
        await stage.settled()
        stopped = trio.Event()
        draining = Draining(stage.chat, stopped.set)
        assert draining.begin(nursery) == {"type": "draining", "sessions": 2}
        tama.post(LOBBY, tama.statement(LOBBY, "too late"))
        await stage.settled()
        assert tama.refused_posts == [(2, Code.TRY_LATER)]
        await trio.sleep(5)
        assert not stopped.is_set()
        budi.connection.drain()
        with trio.fail_after(1):
            await stopped.wait()


async def test_a_drain_does_not_wait_for_ever(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Who takes nothing is waited for until the time is over; who is out of reach not at all."""
    async with open_stage(tmp_path) as stage, trio.open_nursery() as nursery:
        await stage.member("tama", 1, LOBBY)
        budi = await stage.member("budi", 2)
        budi.connection.takes = False
        await budi.join(LOBBY)
        stopped = trio.Event()
        began = trio.current_time()
        Draining(stage.chat, stopped.set).begin(nursery)
        await stopped.wait()
        assert trio.current_time() - began == pytest.approx(DRAIN_S)
        budi.connection.last_heard = trio.current_time() - UNREACHABLE_S
        again = trio.Event()
        Draining(stage.chat, again.set).begin(nursery)
        with trio.fail_after(1):
            await again.wait()
        with pytest.raises(BisikdError, match="number of seconds"):
            Draining(stage.chat, again.set).begin(nursery, -1)


# The command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("2 h", 7200), ("7d", 604_800), ("1w", 604_800)]
)
def test_durations_as_people_write_them(text: str, seconds: int) -> None:
    """A number and a letter."""
    assert DurationType().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "0s", "-1d", "99999w", "1y", "5 m x"])
def test_what_is_no_duration_is_said(text: str) -> None:
    """With what would be one."""
    with pytest.raises(Exception, match="write a number and s, m, h, d or w"):
        DurationType().convert(text, None, None)


async def test_the_commands_in_front_of_a_running_daemon(tmp_path: Path) -> None:
    """Each reaches it, says what it should, and exits as it should; draining ends it with 0."""
    state = fresh_state(tmp_path / "state")
    async with open_daemon(state) as daemon:
        fingerprint = daemon.invite.fingerprint
        assert fingerprint is not None
        async with open_chatter(device_key(1), daemon.address, fingerprint) as tama:
            await tama.enter("tama", daemon.ready["join_password"])
            await tama.join(LOBBY)
            await _play(daemon, state)
            assert (await tama.until(lambda: tama.closed)).code == CloseCode.REFUSED
        done = await _run(state, "drain")
        assert done.returncode == 0
        assert "it stops when they have everything" in done.stderr
        with trio.fail_after(20):
            assert await daemon.process.wait() == 0
    assert (await _run(state, "rooms")).returncode == 3


async def _run(state: Path, *arguments: str) -> Any:
    return await trio.to_thread.run_sync(lambda: bisikd(*arguments, "--state", state))


async def _play(daemon: DaemonProcess, state: Path) -> None:
    assert (await _run(state, "topic", LOBBY, "Release on Friday")).returncode == 0
    await daemon.line(lambda line: line["type"] == "topic")
    shown = (await _run(state, "rooms")).stdout
    assert "topic: Release on Friday" in shown
    (room,) = map(json.loads, (await _run(state, "rooms", "--json")).stdout.splitlines())
    assert (room["type"], room["topic"]) == ("room", "Release on Friday")
    assert (await _run(state, "mute", "tama", LOBBY, "--for", "5m", "--reason", "noise")).returncode == 0
    (state / "bisikd.toml").write_text("[limits]\nrooms = 7\n")
    assert (await _run(state, "reload")).stdout == "Took in limits.rooms.\n"
    (state / "bisikd.toml").write_text("[limits]\nroms = 7\n")
    wrong = await _run(state, "reload")
    assert wrong.returncode == 1
    assert "Did you mean 'limits.rooms'?" in wrong.stderr
    (state / "bisikd.toml").unlink()
    assert (await _run(state, "ban", "tama", "--reason", "noise")).returncode == 0
    listed = (await _run(state, "bans")).stdout.splitlines()
    assert listed[0].startswith("ban on name tama, until it is taken back, by (operator) at ")
    assert listed[1].startswith("mute of tama in #lobby, until 20")
    assert (await _run(state, "ban")).returncode == 2
    assert (await _run(state, "kick", "nobody")).returncode == 1
    status = json.loads((await _run(state, "status", "--json")).stdout)
    assert status["disk"]["free_bytes"] > 0
    assert status["disk"]["log_bytes"] > 0
    assert status["rooms"][0]["topic"] == "Release on Friday"
