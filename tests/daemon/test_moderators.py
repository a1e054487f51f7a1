"""Moderators at work: who may, what follows for those who are here, what stands in the log, what a restart keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bisik_protocol.chat.messages import (
    OPERATOR,
    Act,
    Admitted,
    Allow,
    Ban,
    BanKind,
    Bans,
    Code,
    Done,
    GetHistory,
    GetInclusion,
    GetRoom,
    Joined,
    JoinEntry,
    Kick,
    LeaveEntry,
    ListBans,
    ListMembers,
    ListRooms,
    MessageEntry,
    ModerationEntry,
    Mute,
    Presence,
    PutOut,
    Role,
    Rooms,
    RoomState,
    SetRoom,
    SetTopic,
    TopicEntry,
    Unban,
    Unmute,
)
from bisik_protocol.crypto.identity import fingerprint_text
from bisik_protocol.transport.events import CloseCode
from bisikd.moderation import Moderation, open_moderation
from bisikd.moderators import THE_OPERATOR, ActRefused
from tests.support.memory_log import MemoryLog
from tests.support.stage import Stage, Visitor, open_stage

LOBBY = "#lobby"


async def cast(stage: Stage, *rooms: str) -> tuple[Visitor, Visitor, Visitor]:
    """A moderator, a member and a bystander, in the lobby and these rooms."""
    mod = await stage.member("mod", 0, LOBBY, *rooms)
    stage.promote("mod")
    tama = await stage.member("tama", 1, LOBBY, *rooms)
    budi = await stage.member("budi", 2, LOBBY, *rooms)
    return mod, tama, budi


async def done(visitor: Visitor, request: Any) -> None:
    assert isinstance(reply := await visitor.request(request), Done), reply


async def refused(visitor: Visitor, request: Any) -> Code:
    return visitor.refusal(await visitor.request(request))


def acts(visitor: Visitor, room: str = LOBBY) -> list[tuple[str, Act, str]]:
    entries = [entry for entry in visitor.entries(room) if isinstance(entry, ModerationEntry)]
    return [(entry.author, entry.act, entry.target) for entry in entries]


def put_out(visitor: Visitor) -> list[str]:
    return [message.text for message in visitor.control if isinstance(message, PutOut)]


# Who may -----------------------------------------------------------------------------------------------------------

REQUESTS: list[Callable[[int], Any]] = [
    lambda number: Kick(number, LOBBY, "budi"),
    lambda number: Ban(number, BanKind.NAME, "budi"),
    lambda number: Unban(number, BanKind.NAME, "budi"),
    ListBans,
    lambda number: Mute(number, "budi"),
    lambda number: Unmute(number, "budi"),
    lambda number: SetTopic(number, LOBBY, "mine"),
    lambda number: SetRoom(number, LOBBY, read_only=True),
    lambda number: Allow(number, LOBBY, "budi"),
]


async def test_members_moderate_nothing(tmp_path: Path) -> None:
    """Every request of moderators is refused to who is none, and nothing happens."""
    async with open_stage(tmp_path) as stage:
        _, tama, budi = await cast(stage)
        for make in REQUESTS:
            assert await refused(tama, make(tama.number())) is Code.FORBIDDEN
        assert not budi.connection.closed
        assert acts(budi) == []
        assert stage.chat.moderation.decisions == Moderation().decisions


async def test_moderators_do_not_act_on_their_own_kind(tmp_path: Path) -> None:
    """A moderator on a moderator, or on an owner: no. An owner on a moderator: yes."""
    async with open_stage(tmp_path) as stage:
        mod, tama, _ = await cast(stage)
        for role in (Role.MODERATOR, Role.OWNER):
            stage.promote("tama", role)
            assert await refused(mod, Kick(mod.number(), LOBBY, "tama")) is Code.FORBIDDEN
            assert await refused(mod, Ban(mod.number(), BanKind.NAME, "tama")) is Code.FORBIDDEN
            device = fingerprint_text(tama.key_hash)
            assert await refused(mod, Ban(mod.number(), BanKind.DEVICE, device)) is Code.FORBIDDEN
            assert await refused(mod, Mute(mod.number(), "tama")) is Code.FORBIDDEN
        await done(tama, Kick(tama.number(), LOBBY, "mod"))


async def test_a_role_is_told_at_login_and_holds_at_once(tmp_path: Path) -> None:
    """What the operator gives or takes counts from the next request on, without a new login."""
    async with open_stage(tmp_path) as stage:
        mod, tama, _ = await cast(stage)
        again = stage.visitor(0)
        admitted = await again.login("mod")
        assert isinstance(admitted, Admitted)
        assert admitted.role is Role.MODERATOR
        stage.promote("mod", Role.MEMBER)
        assert await refused(mod, Kick(mod.number(), LOBBY, "tama")) is Code.FORBIDDEN
        stage.promote("tama")
        await done(tama, SetTopic(tama.number(), LOBBY, "mine"))


# Kick --------------------------------------------------------------------------------------------------------------


async def test_a_kick_ends_every_session_of_a_person_in_that_room_and_in_no_other(tmp_path: Path) -> None:
    """They are told why, everybody sees it and then the leave, what they still post there is dropped."""
    async with open_stage(tmp_path) as stage:
        mod, tama, budi = await cast(stage, "#ops")
        second = await stage.member("tama", 1, "#ops")
        await done(mod, Kick(mod.number(), "#ops", "tama", "flooding"))
        for session in (tama, second):
            assert put_out(session) == ["mod put you out of #ops (flooding)."]
            assert not session.connection.closed
        kinds = [type(entry) for entry in budi.entries("#ops")][-2:]
        assert sorted(kind.__name__ for kind in kinds) == ["LeaveEntry", "ModerationEntry"]
        assert acts(budi, "#ops") == [("mod", Act.KICK, "tama")]
        tama.say("#ops", "still here")
        tama.say(LOBBY, "here")
        await stage.settled()
        assert "still here" not in budi.texts("#ops")
        assert budi.texts(LOBBY) == ["here"]


async def test_a_kicked_person_may_come_back(tmp_path: Path) -> None:
    """By joining the room again, on a new lane; that is a new coming in the log."""
    async with open_stage(tmp_path) as stage:
        mod, tama, budi = await cast(stage, "#ops")
        before = tama.lanes["#ops"]
        await done(mod, Kick(mod.number(), "#ops", "tama"))
        assert isinstance(await tama.join("#ops"), Joined)
        assert tama.lanes["#ops"] != before
        assert [entry.author for entry in budi.entries("#ops") if isinstance(entry, JoinEntry)][-1] == "tama"


async def test_who_vanished_can_be_kicked_and_does_not_linger(tmp_path: Path) -> None:
    """The two minutes in which somebody may be reconnecting end with a kick."""
    async with open_stage(tmp_path) as stage:
        mod, tama, _ = await cast(stage)
        tama.connection.end(CloseCode.RESET)
        await stage.settled()
        await done(mod, Kick(mod.number(), LOBBY, "tama"))
        await stage.settled()
        assert [entry.author for entry in mod.entries(LOBBY) if isinstance(entry, LeaveEntry)] == ["tama"]


@pytest.mark.parametrize(
    ("room", "name", "code"),
    [
        ("#none", "tama", Code.ROOM_INVALID),
        ("# x", "tama", Code.ROOM_INVALID),
        (LOBBY, "nobody", Code.NAME_UNKNOWN),
        (LOBBY, "a b", Code.NAME_INVALID),
        ("#ops", "tama", Code.NOT_JOINED),
    ],
)
async def test_kicks_that_cannot_be_are_said(tmp_path: Path, room: str, name: str, code: Code) -> None:
    """No such room, no such person, not there."""
    async with open_stage(tmp_path) as stage:
        mod, _, _ = await cast(stage)
        await mod.join("#ops")
        assert await refused(mod, Kick(mod.number(), room, name)) is code


# Bans --------------------------------------------------------------------------------------------------------------


async def test_a_banned_name_goes_at_once_and_is_told_when_it_comes_back(tmp_path: Path) -> None:
    """Its sessions end, it leaves its rooms without lingering, and its known device is refused in words."""
    async with open_stage(tmp_path) as stage:
        mod, tama, budi = await cast(stage)
        await done(mod, Ban(mod.number(), BanKind.NAME, "tama", 3600, "spam"))
        assert tama.connection.close_code == CloseCode.REFUSED
        assert [entry.author for entry in budi.entries(LOBBY) if isinstance(entry, LeaveEntry)] == ["tama"]
        assert acts(budi) == [("mod", Act.BAN, "tama")]
        again = stage.visitor(1)
        reply = await again.login("tama")
        assert again.refusal(reply) is Code.BANNED
        assert reply.text == "You are banned from this server until 2026-11-22T10:00:00.000Z (spam)."


async def test_a_ban_ends_when_it_was_said_to_end(tmp_path: Path) -> None:
    """By the wall clock, without anybody doing anything."""
    async with open_stage(tmp_path) as stage:
        mod, _, _ = await cast(stage)
        await done(mod, Ban(mod.number(), BanKind.NAME, "tama", 60))
        stage.time_ms += 59_999
        assert stage.visitor(1).refusal(await stage.visitor(1).login("tama")) is Code.BANNED
        stage.time_ms += 1
        assert isinstance(await stage.visitor(1).login("tama"), Admitted)


async def test_a_banned_device_cannot_take_a_new_name(tmp_path: Path) -> None:
    """Neither under its own name nor as somebody new, and another device of the same person can."""
    async with open_stage(tmp_path) as stage:
        mod, tama, _ = await cast(stage)
        stranger = stage.visitor(5)
        for key_hash in (tama.key_hash, stranger.key_hash):
            await done(mod, Ban(mod.number(), BanKind.DEVICE, fingerprint_text(key_hash)))
        assert tama.connection.closed
        again = stage.visitor(1)
        assert again.refusal(await again.login("tama")) is Code.BANNED
        await stranger.prove()
        assert stranger.refusal(await stranger.register("somebody")) is Code.BANNED
        assert stage.users.get("somebody") is None


async def test_a_banned_address_gets_no_session(tmp_path: Path) -> None:
    """Who is there from that range goes, and who comes from it is turned away before any password."""
    async with open_stage(tmp_path) as stage:
        mod, tama, _ = await cast(stage)
        tama.connection.peer_address = ("::ffff:198.51.100.9", 1)
        await done(mod, Ban(mod.number(), BanKind.ADDRESS, "198.51.100.77/24"))
        assert tama.connection.close_code == CloseCode.REFUSED
        assert not mod.connection.closed
        assert acts(mod) == [("mod", Act.BAN, "")], "nobody's address is shown to the room"
        newcomer = stage.visitor(1, host="198.51.100.200")
        assert newcomer.connection.close_code == CloseCode.REFUSED
        assert stage.sessions.counters["banned"] == 1
        assert not stage.visitor(1, host="198.51.101.1").connection.closed


async def test_before_the_ban_is_told_a_device_has_to_prove_itself(tmp_path: Path) -> None:
    """A stranger who names a banned person learns nothing: it is the one refusal, as for everybody."""
    async with open_stage(tmp_path) as stage:
        mod, _, _ = await cast(stage)
        await done(mod, Ban(mod.number(), BanKind.NAME, "tama"))
        stranger = stage.visitor(6)
        assert stranger.refusal(await stranger.login("tama")) is Code.INCORRECT_PASSWORD


async def test_bans_are_listed_newest_first_and_taken_back(tmp_path: Path) -> None:
    """A second ban of the same target takes the place of the first; one that is not there cannot be taken back."""
    async with open_stage(tmp_path) as stage:
        mod, _, _ = await cast(stage)
        await done(mod, Ban(mod.number(), BanKind.NAME, "tama", None, "first"))
        await done(mod, Ban(mod.number(), BanKind.NAME, "budi"))
        await done(mod, Ban(mod.number(), BanKind.NAME, "tama", None, "second"))
        listed = await mod.request(ListBans(mod.number()))
        assert isinstance(listed, Bans)
        assert [(ban.target, ban.reason, ban.by) for ban in listed.bans] == [
            ("tama", "second", "mod"),
            ("budi", "", "mod"),
        ]
        await done(mod, Unban(mod.number(), BanKind.NAME, "tama"))
        assert await refused(mod, Unban(mod.number(), BanKind.NAME, "tama")) is Code.UNKNOWN
        assert isinstance(await stage.visitor(1).login("tama"), Admitted)


@pytest.mark.parametrize(
    ("what", "target"),
    [(BanKind.ADDRESS, "x"), (BanKind.ADDRESS, "1.2.3.4/33"), (BanKind.DEVICE, "abc"), (BanKind.NAME, "nobody")],
)
async def test_bans_on_what_there_cannot_be_are_refused(tmp_path: Path, what: BanKind, target: str) -> None:
    """No such range, no fingerprint, nobody of that name."""
    async with open_stage(tmp_path) as stage:
        mod, _, _ = await cast(stage)
        assert await refused(mod, Ban(mod.number(), what, target)) in (Code.UNKNOWN, Code.NAME_UNKNOWN)


# Mutes and rooms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [None, LOBBY])
async def test_the_muted_hear_and_do_not_speak(tmp_path: Path, room: str | None) -> None:
    """In one room or in all, until it ends or is taken back; what was said before stays theirs."""
    async with open_stage(tmp_path) as stage:
        mod, tama, budi = await cast(stage, "#ops")
        await done(mod, Mute(mod.number(), "tama", room, 60))
        tama.post(LOBBY, tama.statement(LOBBY, "no"))
        tama.say("#ops", "elsewhere")
        budi.say(LOBBY, "hear me")
        await stage.settled()
        muted_there = room is None
        assert tama.refused_posts == [(1, Code.MUTED)] * (2 if muted_there else 1)
        assert tama.texts(LOBBY) == ["hear me"]
        assert budi.texts("#ops") == ([] if muted_there else ["elsewhere"])
        await done(mod, Unmute(mod.number(), "tama", room))
        assert await refused(mod, Unmute(mod.number(), "tama", room)) is Code.UNKNOWN
        tama.say(LOBBY, "yes")
        await stage.settled()
        assert budi.texts(LOBBY) == ["hear me", "yes"]
        assert [act for _, act, _ in acts(budi)] == [Act.MUTE, Act.UNMUTE]


async def test_in_a_read_only_room_moderators_speak(tmp_path: Path) -> None:
    """Everybody else is told so."""
    async with open_stage(tmp_path) as stage:
        mod, tama, budi = await cast(stage)
        await done(mod, SetRoom(mod.number(), LOBBY, read_only=True))
        tama.post(LOBBY, tama.statement(LOBBY, "no"))
        mod.say(LOBBY, "announcement")
        await stage.settled()
        assert tama.refused_posts == [(1, Code.READ_ONLY)]
        assert budi.texts(LOBBY) == ["announcement"]
        await done(mod, SetRoom(mod.number(), LOBBY, read_only=True))
        await done(mod, SetRoom(mod.number(), LOBBY, read_only=False))
        assert [act for _, act, _ in acts(budi)] == [Act.READ_ONLY, Act.WRITABLE], "what is so already is not done"


async def test_a_topic_is_an_entry_and_is_told_to_who_joins_later(tmp_path: Path) -> None:
    """With who set it; an empty one takes it away."""
    async with open_stage(tmp_path) as stage:
        mod, tama, _ = await cast(stage)
        await done(mod, SetTopic(mod.number(), LOBBY, "Release on Friday"))
        entry = tama.entries(LOBBY)[-1]
        assert isinstance(entry, TopicEntry)
        assert (entry.author, entry.topic) == ("mod", "Release on Friday")
        late = await stage.member("late", 4)
        joined = await late.join(LOBBY)
        assert joined.topic == "Release on Friday"
        state = await late.request(GetRoom(late.number(), LOBBY))
        assert isinstance(state, RoomState)
        assert (state.topic, state.private, state.read_only, state.allowed) == (joined.topic, False, False, [])


async def test_a_room_that_becomes_private_keeps_who_is_in_it(tmp_path: Path) -> None:
    """They may come back; others are refused whatever they ask of it, and do not see that it is there."""
    async with open_stage(tmp_path) as stage:
        mod = await stage.member("mod", 0, LOBBY, "#ops")
        stage.promote("mod")
        tama = await stage.member("tama", 1, LOBBY, "#ops")
        budi = await stage.member("budi", 2, LOBBY)
        await done(mod, SetRoom(mod.number(), "#ops", private=True))
        for make in (
            lambda number: GetHistory(number, "#ops"),
            lambda number: ListMembers(number, "#ops"),
            lambda number: GetRoom(number, "#ops"),
            lambda number: GetInclusion(number, "#ops", 1),
        ):
            assert await refused(budi, make(budi.number())) is Code.ROOM_PRIVATE
        for presence in Presence:
            assert budi.refusal(await budi.join("#ops", presence)) is Code.ROOM_PRIVATE
        listed = await budi.request(ListRooms(budi.number()))
        assert isinstance(listed, Rooms)
        assert [info.room for info in listed.rooms] == [LOBBY]
        seen = await tama.request(ListRooms(tama.number()))
        assert [(info.room, info.private) for info in seen.rooms] == [(LOBBY, False), ("#ops", True)]
        await tama.request_leave("#ops")
        assert isinstance(await tama.join("#ops"), Joined)
        await done(mod, Allow(mod.number(), "#ops", "budi"))
        assert isinstance(await budi.join("#ops"), Joined)
        await done(mod, SetRoom(mod.number(), "#ops", private=False))
        late = await stage.member("late", 4, "#ops")
        assert late.lanes


async def test_who_is_let_in_no_longer_is_put_out(tmp_path: Path) -> None:
    """At once, with all their sessions, readers too."""
    async with open_stage(tmp_path) as stage:
        mod, tama, budi = await cast(stage, "#ops")
        reader = await stage.member("tama", 1)
        await reader.join("#ops", Presence.READER)
        await done(mod, SetRoom(mod.number(), "#ops", private=True))
        await done(mod, Allow(mod.number(), "#ops", "tama", allowed=False))
        assert len(put_out(tama)) == len(put_out(reader)) == 1
        mod.say("#ops", "secret")
        await stage.settled()
        assert "secret" not in [*tama.texts("#ops"), *reader.texts("#ops")]
        assert budi.texts("#ops") == ["secret"]


async def test_the_lobby_is_everybodys(tmp_path: Path) -> None:
    """It cannot be private, and nobody is let into a room that is open."""
    async with open_stage(tmp_path) as stage:
        mod, _, _ = await cast(stage, "#ops")
        assert await refused(mod, SetRoom(mod.number(), LOBBY, private=True)) is Code.FORBIDDEN
        assert await refused(mod, Allow(mod.number(), "#ops", "tama")) is Code.ROOM_INVALID


async def test_a_join_that_was_under_way_does_not_slip_into_a_room_that_closed(tmp_path: Path) -> None:
    """Between the question and the answer a room may have become private."""
    async with open_stage(tmp_path) as stage:
        mod = await stage.member("mod", 0, LOBBY, "#ops")
        stage.promote("mod")
        budi = await stage.member("budi", 2)
        stage.reading.hold()
        number = budi.ask_join("#ops")
        await stage.settled()
        await done(mod, SetRoom(mod.number(), "#ops", private=True))
        stage.reading.release()
        await stage.settled()
        assert budi.refusal(budi.reply(number)) is Code.ROOM_PRIVATE


# What lasts --------------------------------------------------------------------------------------------------------


async def test_decisions_hold_after_a_restart(tmp_path: Path) -> None:
    """Bans, mutes, topic and rules come from the file; the log has what was done."""
    log = MemoryLog()
    moderation_directory = tmp_path / "state"
    moderation_directory.mkdir()
    async with open_stage(tmp_path / "users", log=log, moderation=open_moderation(moderation_directory)) as stage:
        mod, _, _ = await cast(stage, "#ops")
        await done(mod, Ban(mod.number(), BanKind.NAME, "tama"))
        await done(mod, Mute(mod.number(), "budi"))
        await done(mod, SetTopic(mod.number(), "#ops", "quiet"))
        await done(mod, SetRoom(mod.number(), "#ops", private=True, read_only=True))
    async with open_stage(tmp_path / "users", log=log, moderation=open_moderation(moderation_directory)) as stage:
        assert stage.visitor(1).refusal(await stage.visitor(1).login("tama")) is Code.BANNED
        budi = await stage.member("budi", 2)
        joined = await budi.join("#ops")
        assert (joined.topic, joined.private, joined.read_only) == ("quiet", True, True)
        await budi.join(LOBBY)
        budi.post(LOBBY, budi.statement(LOBBY, "no"))
        await stage.settled()
        assert budi.refused_posts == [(1, Code.MUTED)]


async def test_what_cannot_be_written_is_not_done(tmp_path: Path) -> None:
    """The disk refuses: the moderator is told, and everything is as it was."""

    def fail(decisions: object) -> None:
        raise OSError(28, "No space left on device")

    async with open_stage(tmp_path, moderation=Moderation(save=fail)) as stage:
        mod, tama, budi = await cast(stage)
        assert await refused(mod, Ban(mod.number(), BanKind.NAME, "tama")) is Code.STORAGE
        assert not tama.connection.closed
        assert acts(budi) == []


async def test_a_full_log_does_not_keep_a_moderator_from_acting(tmp_path: Path) -> None:
    """The ban holds, and the moderator is told that the log could not take it."""
    async with open_stage(tmp_path) as stage:
        mod, tama, _ = await cast(stage)
        stage.log.full = True
        reply = await mod.request(Ban(mod.number(), BanKind.NAME, "tama"))
        assert mod.refusal(reply) is Code.STORAGE
        assert reply.text.startswith("It was done, but")
        assert tama.connection.closed


async def test_the_operator_moderates_everybody_and_is_shown_as_such(tmp_path: Path) -> None:
    """Owners too; nobody else can be called that."""
    async with open_stage(tmp_path) as stage:
        _, tama, budi = await cast(stage)
        stage.promote("tama", Role.OWNER)
        moderators = stage.chat.moderators
        await moderators.kick(THE_OPERATOR, LOBBY, "tama")
        await moderators.set_topic(THE_OPERATOR, LOBBY, "hi")
        assert acts(budi) == [(OPERATOR, Act.KICK, "tama")]
        assert put_out(tama) == ["(operator) put you out of #lobby."]
        stranger = stage.visitor(7)
        await stranger.prove()
        assert stranger.refusal(await stranger.register(OPERATOR)) is Code.NAME_INVALID
        with pytest.raises(ActRefused, match=r"^Nobody here is called nobody\.$"):
            await moderators.mute(THE_OPERATOR, "nobody")


async def test_numbers_have_no_gaps_with_moderation_in_between(tmp_path: Path) -> None:
    """Entries of moderators are counted like all others, also when many act at once."""
    async with open_stage(tmp_path) as stage:
        mod, tama, budi = await cast(stage)
        for topic in "abc":
            mod.ask(SetTopic(mod.number(), LOBBY, topic))
            tama.say(LOBBY, topic)
        await stage.settled()
        numbers = [entry.seq for entry in budi.entries(LOBBY)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len([entry for entry in budi.entries(LOBBY) if isinstance(entry, TopicEntry)]) == 3
        assert len([entry for entry in budi.entries(LOBBY) if isinstance(entry, MessageEntry)]) == 3
