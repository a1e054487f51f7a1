"""Rooms: joining, presence, live delivery, and sessions that are too slow for it."""

from pathlib import Path

import pytest
import trio
import trio.testing

from bisik_protocol.chat.messages import (
    Code,
    Entry,
    Joined,
    JoinEntry,
    LeaveEntry,
    LeaveRoom,
    ListMembers,
    ListRooms,
    MemberInfo,
    Presence,
    RoomInfo,
)
from bisik_protocol.transport.events import CloseCode
from bisikd import session
from bisikd.config import Limits
from bisikd.presence import LINGER_S
from bisikd.requests import MAX_LISTED
from bisikd.rooms import LANE_BACKLOG_BYTES
from tests.support.stage import Stage, Visitor, open_stage


def story(entries: list[Entry]) -> list[str]:
    """Joins and leaves in a few letters: `+tama` came, `-tama` went, `tama` spoke."""
    signs = {JoinEntry: "+", LeaveEntry: "-"}
    return [signs.get(type(entry), "") + entry.author for entry in entries]


def numbers(entries: list[Entry]) -> list[int]:
    return [entry.seq for entry in entries]


async def test_messages_reach_everybody_in_the_room_once_and_in_order(tmp_path: Path) -> None:
    """Author, member and reader see the same entries; their numbers have no gaps."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        reader = await stage.member("sari", 2)
        await reader.join("#lobby", Presence.READER)
        tama.say("#lobby", "one", "two", "three")
        await stage.settled()
        for somebody in (tama, sari, reader):
            assert somebody.texts("#lobby") == ["one", "two", "three"]
        assert numbers(tama.entries("#lobby")) == [1, 2, 3, 4, 5]
        assert story(tama.entries("#lobby")) == ["+tama", "+sari", "tama", "tama", "tama"]
        assert [entry.seq for entry in stage.entries_seen] == [1, 2, 3, 4, 5]


async def test_everyone_is_given_the_very_same_bytes(tmp_path: Path) -> None:
    """An entry is encoded once for all receivers."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        tama.say("#lobby", "halo")
        await stage.settled()
        assert tama.connection.sent[-1][1] is sari.connection.sent[-1][1]


async def test_rooms_do_not_hear_each_other(tmp_path: Path) -> None:
    """A message goes to its room's members only, under that room's own numbers."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby", "#lab")
        sari = await stage.member("sari", 2, "#lab")
        tama.say("#lobby", "here")
        tama.say("#lab", "there")
        await stage.settled()
        assert sari.texts("#lab") == ["there"]
        assert tama.texts("#lobby") == ["here"]
        assert numbers(sari.entries("#lab")) == [1, 2, 3]


async def test_a_join_shows_the_history_before_what_is_new(tmp_path: Path) -> None:
    """The last entries first, then live ones, on one lane, without a gap between them."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        tama.say("#lobby", *map(str, range(100)))
        await stage.settled()
        sari = await stage.member("sari", 2)
        stage.reading.hold()
        asked = sari.ask_join("#lobby")
        await stage.settled()
        tama.say("#lobby", "while sari reads the history")
        await stage.settled()
        stage.reading.release()
        await stage.settled()
        joined = sari.joined(asked)
        assert isinstance(joined, Joined)
        newest = stage.log.heads()["#lobby"]
        assert newest > joined.head
        assert numbers(sari.entries("#lobby")) == list(range(joined.head - 49, newest + 1))
        assert sari.texts("#lobby")[-1] == "while sari reads the history"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"after": 7}, [8, 9, 10, 11, 12]),
        ({"after": 10}, [11, 12]),
        ({"after": 0}, list(range(1, 13))),
        ({"after": 999}, [12]),  # a cursor that this log never had: it was rolled back, or is another one
        ({"history": 3}, [9, 10, 11, 12]),
        ({"history": 0}, [12]),
    ],
)
async def test_a_returning_client_gets_what_it_missed(
    tmp_path: Path, how: dict[str, int], expected: list[int]
) -> None:
    """Entries after the cursor, or the last of the history; the own join, entry 12, is the newest."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        tama.say("#lobby", *map(str, range(10)))
        await stage.settled()
        sari = await stage.member("sari", 2)
        joined = await sari.join("#lobby", **how)
        assert joined.head == 11
        assert numbers(sari.entries("#lobby")) == expected


async def test_a_room_begins_with_its_first_member(tmp_path: Path) -> None:
    """A reader or a writer does not make a room, a member does; its name is put in its one spelling."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        assert tama.refusal(await tama.join("#Lab", Presence.READER)) is Code.ROOM_INVALID
        joined = await tama.join("Lab")
        assert (joined.room, joined.head) == ("#lab", 0)
        sari = await stage.member("sari", 2)
        assert isinstance(await sari.join("#lab", Presence.READER), Joined)


async def test_an_impossible_room_name_is_refused(tmp_path: Path) -> None:
    """The sentence of the naming rules reaches the person."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        assert tama.refusal(await tama.join("#a b")) is Code.ROOM_INVALID


async def test_rooms_and_the_rooms_of_a_session_are_bounded(tmp_path: Path) -> None:
    """Above either bound a join is refused, and leaving one room makes way for another."""
    async with open_stage(tmp_path, limits=Limits(rooms=3, rooms_per_session=2)) as stage:
        tama = await stage.member("tama", 1, "#a", "#b")
        assert tama.refusal(await tama.join("#c")) is Code.ROOM_LIMIT
        sari = await stage.member("sari", 2)
        assert sari.refusal(await sari.join("#c")) is Code.ROOM_LIMIT
        await tama.request_leave("#a")
        assert isinstance(await tama.join("#lobby"), Joined)


async def test_joining_twice_answers_the_same_lane_and_repeats_nothing(tmp_path: Path) -> None:
    """A client that is not sure may ask again."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        tama.say("#lobby", "halo")
        await stage.settled()
        again = await tama.join("#lobby", after=0)
        assert again.lane == tama.lanes["#lobby"]
        assert (again.head, again.chain_seq) == (2, 1)
        assert numbers(tama.entries("#lobby")) == [1, 2]


async def test_a_lane_is_never_used_twice(tmp_path: Path) -> None:
    """A room that is joined again has a new lane: what was under way on the old one is not taken for what is new."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        first = tama.lanes["#lobby"]
        await tama.request_leave("#lobby")
        again = await tama.join("#lobby", after=1)
        assert again.lane != first
        assert story(tama.entries("#lobby")) == ["-tama", "+tama"]


async def test_a_session_that_has_used_up_its_lanes_is_asked_to_connect_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Joining and leaving again and again cannot make a connection grow; coming back is not seen by others."""
    monkeypatch.setattr(session, "MAX_ROOM_LANES", 2)
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#a", "#b")
        await tama.request_leave("#a")
        tama.ask_join("#c")
        await stage.settled()
        assert tama.connection.close_code == CloseCode.GOING_AWAY
        assert stage.chat.hub.get("#c") is None
        again = await stage.member("tama", 1, "#b")
        assert story(again.entries("#b")) == ["+tama"]


async def test_leaving_a_room_is_seen_and_ends_its_messages(tmp_path: Path) -> None:
    """The others see the leave; who left hears nothing more; leaving twice is refused."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        await sari.request_leave("#lobby")
        tama.say("#lobby", "alone")
        await stage.settled()
        assert story(tama.entries("#lobby")) == ["+tama", "+sari", "-sari", "tama"]
        assert sari.texts("#lobby") == []
        assert sari.refusal(await sari.request(LeaveRoom(sari.number(), "#lobby"))) is Code.NOT_JOINED


@pytest.mark.parametrize(
    ("code", "by_peer", "at_once"),
    [
        (CloseCode.NORMAL, True, True),
        (CloseCode.IDLE, False, True),
        (CloseCode.GOING_AWAY, True, False),
        (CloseCode.PROTOCOL, False, False),
        (CloseCode.RESET, True, False),
    ],
)
async def test_only_a_goodbye_or_a_long_silence_is_a_leave_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, code: CloseCode, by_peer: bool, at_once: bool
) -> None:
    """Any other end of a connection may be followed by a reconnect, which should show nothing."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        sari.connection.end(code, by_peer=by_peer)
        await stage.settled()
        assert (story(tama.entries("#lobby"))[-1] == "-sari") is at_once
        await trio.sleep(LINGER_S)
        stage.chat.hub.settle()
        await stage.settled()
        assert story(tama.entries("#lobby")) == ["+tama", "+sari", "-sari"]


async def test_a_reconnect_shows_nothing(tmp_path: Path) -> None:
    """Who vanished and came back within two minutes neither left nor joined."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        sari.connection.end(CloseCode.RESET)
        await stage.settled()
        await stage.member("sari", 2, "#lobby")
        stage.chat.hub.settle()
        await stage.settled()
        assert story(tama.entries("#lobby")) == ["+tama", "+sari"]


async def test_after_a_restart_only_those_who_stay_away_leave(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Presence comes from the log; two minutes later those who did not come back are shown to have left."""
    async with open_stage(tmp_path) as before:
        await before.member("tama", 1, "#lobby")
        await before.member("sari", 2, "#lobby")
    async with open_stage(tmp_path, log=before.log) as after:
        tama = await after.member("tama", 1, "#lobby")
        await trio.sleep(LINGER_S)
        after.chat.hub.settle()
        await after.settled()
        assert story(tama.entries("#lobby")) == ["+tama", "+sari", "-sari"]


async def test_two_sessions_of_one_person_join_and_leave_once(tmp_path: Path) -> None:
    """Both see everything; the person is there until the second session has gone."""
    async with open_stage(tmp_path) as stage:
        watcher = await stage.member("sari", 2, "#lobby")
        first = await stage.member("tama", 1, "#lobby")
        second = await stage.member("tama", 1, "#lobby")
        first.connection.end(CloseCode.NORMAL)
        await stage.settled()
        watcher.say("#lobby", "halo")
        await stage.settled()
        assert second.texts("#lobby") == ["halo"]
        second.connection.end(CloseCode.NORMAL)
        await stage.settled()
        assert story(watcher.entries("#lobby")) == ["+sari", "+tama", "sari", "-tama"]


async def test_readers_and_writers_are_unseen(tmp_path: Path) -> None:
    """Scripts that follow or send come and go without an entry."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        script = await stage.member("sari", 2)
        await script.join("#lobby", Presence.WRITER)
        script.connection.end(CloseCode.NORMAL)
        await stage.settled()
        assert story(tama.entries("#lobby")) == ["+tama"]


async def test_a_writer_receives_its_own_posts_only(tmp_path: Path) -> None:
    """The entries of what it posted are its receipts; nothing else comes."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        script = await stage.member("sari", 2)
        await script.join("#lobby", Presence.WRITER)
        tama.say("#lobby", "not for scripts")
        await stage.settled()
        script.say("#lobby", "from a script")
        await stage.settled()
        assert script.texts("#lobby") == ["from a script"]
        assert tama.texts("#lobby") == ["not for scripts", "from a script"]


# Slow readers ------------------------------------------------------------------------------------------------------


async def fall_behind(stage: Stage, tama: Visitor, slow: Visitor) -> int:
    """Let `tama` talk until `slow`, who takes nothing, is behind; how many messages that took."""
    slow.connection.takes = False
    count = 2 * LANE_BACKLOG_BYTES // 1000
    tama.say("#lobby", *(f"{number} {'x' * 1000}" for number in range(count)))
    await stage.settled()
    assert len(slow.texts("#lobby")) < count
    return count


async def test_what_waits_for_a_slow_reader_is_bounded_and_costs_nobody_else(tmp_path: Path) -> None:
    """Above the bound the session is skipped; the others get everything at once."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        slow = await stage.member("dewi", 3, "#lobby")
        count = await fall_behind(stage, tama, slow)
        assert slow.connection.backlog(slow.lanes["#lobby"]) <= LANE_BACKLOG_BYTES + 2000
        assert len(sari.texts("#lobby")) == len(tama.texts("#lobby")) == count


async def test_a_slow_reader_catches_up_from_the_log(tmp_path: Path) -> None:
    """When its lane drains it gets what it missed, in order, once, and is live again."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        slow = await stage.member("dewi", 3, "#lobby")
        await fall_behind(stage, tama, slow)
        while slow.connection.backlog(slow.lanes["#lobby"]):
            slow.connection.drain()
            await stage.settled()
        tama.say("#lobby", "live again")
        await stage.settled()
        assert numbers(slow.entries("#lobby")) == list(range(1, stage.log.heads()["#lobby"] + 1))
        assert slow.texts("#lobby")[-1] == "live again"


async def test_one_busy_room_does_not_hold_up_another(tmp_path: Path) -> None:
    """A session that is behind in one room is live in the others."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby", "#lab")
        slow = await stage.member("dewi", 3, "#lobby", "#lab")
        await fall_behind(stage, tama, slow)
        tama.say("#lab", "quick")
        await stage.settled()
        assert slow.texts("#lab") == ["quick"]


async def test_who_leaves_while_catching_up_gets_nothing_more(tmp_path: Path) -> None:
    """A page that was being read when its reader left is thrown away."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        tama.say("#lobby", *map(str, range(10)))
        await stage.settled()
        sari = await stage.member("sari", 2)
        await sari.join("#lobby", history=0)
        stage.reading.hold()
        reader = await stage.member("dewi", 3)
        reader.ask_join("#lobby")
        await stage.settled()
        reader.connection.end(CloseCode.NORMAL)
        stage.reading.release()
        await stage.settled()
        assert stage.failures == []


# Looking around ----------------------------------------------------------------------------------------------------


async def test_rooms_are_listed_with_members_and_heads(tmp_path: Path) -> None:
    """The lobby is always there; a room is listed once its first entry is stored."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        listed = await tama.request(ListRooms(tama.number()))
        assert listed.rooms == [RoomInfo("#lobby", 0, 0)]
        await tama.join("#lab")
        listed = await tama.request(ListRooms(tama.number()))
        assert listed.rooms == [RoomInfo("#lab", 1, 1), RoomInfo("#lobby", 0, 0)]


async def test_members_are_listed_with_how_long_they_were_quiet(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Seconds since any of a member's devices was heard, or since the last one vanished."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        sari = await stage.member("sari", 2, "#lobby")
        await stage.member("dewi", 3, "#lobby")
        sari.connection.end(CloseCode.RESET)
        await stage.settled()
        await trio.sleep(30)
        tama.connection.last_heard = trio.current_time() - 5
        members = await tama.request(ListMembers(tama.number(), "#lobby"))
        assert members.members == [MemberInfo("dewi", 30), MemberInfo("sari", 30), MemberInfo("tama", 5)]
        assert tama.refusal(await tama.request(ListMembers(tama.number(), "#none"))) is Code.ROOM_INVALID


async def test_long_lists_fit_into_a_reply(tmp_path: Path) -> None:
    """Of thousands of members those that were heard lately are listed, and the reply stays below 64 KiB."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1, "#lobby")
        lobby = stage.chat.hub.get("#lobby")
        assert lobby is not None
        for number in range(3000):
            lobby.presence.stored.add(f"{'n' * 58}{number:06}")
            lobby.presence._vanished[f"{'n' * 58}{number:06}"] = float(-number)
        members = await tama.request(ListMembers(tama.number(), "#lobby"))
        assert len(members.members) == MAX_LISTED
        assert MemberInfo("tama", 0) in members.members
        assert len(tama.connection.sent[-1][1]) < 64 * 1024
        assert members.members[0].name.endswith("000000")


async def test_a_room_without_room_in_the_log_leaves_nothing_behind(tmp_path: Path) -> None:
    """A join that could not be stored lets its person in unseen, and the room goes with its last session."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 1)
        stage.log.full = True
        await tama.join("#lab")
        assert tama.entries("#lab") == []
        await tama.request_leave("#lab")
        assert stage.chat.hub.get("#lab") is None
        await tama.join("#lobby")
        stage.log.full = False
        stage.chat.hub.settle()
        await stage.settled()
        assert story(tama.entries("#lobby")) == ["+tama"]
