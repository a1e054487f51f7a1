"""Direct messages: between two people, sealed, and for everybody else not there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bisik_protocol.chat.messages import (
    MAX_SEALING_DEVICES,
    Admitted,
    Allow,
    Code,
    Confirm,
    Confirmed,
    Delivered,
    DirectInfo,
    DirectNews,
    Directs,
    Done,
    GetConfirmed,
    GetDirect,
    GetHistory,
    GetInclusion,
    GetRoom,
    GetSealingKeys,
    History,
    Joined,
    JoinRoom,
    Kick,
    LeaveRoom,
    ListDirects,
    ListMembers,
    ListRooms,
    Members,
    MessageEntry,
    Mute,
    Presence,
    Publish,
    Refused,
    RevokeDevice,
    Role,
    SetRoom,
    SetTopic,
    encode,
)
from bisik_protocol.chat.sealing_bundle import bundle_digest, make_bundle
from bisik_protocol.chat.statements import decode_any_statement_untrusted, encode_statement
from bisikd.accounts import Accounts
from bisikd.config import Limits
from bisikd.confirmations import tell_authors
from bisikd.console import entry_as_json, entry_for_people
from bisikd.status import directs_status, rooms_status, session_status
from bisikd.userfile import Unreadable, decode_user, encode_user
from bisikd.users import UserStore
from tests.support.keys import device_key, sealing_key
from tests.support.stage import Stage, Visitor, open_stage

ROOM = "@sari+tama"


@asynccontextmanager
async def two_people(path: Path, **how: Any) -> AsyncIterator[tuple[Stage, Visitor, Visitor]]:
    """Tama and Sari, each with a device that can be sealed to; Budi, who is a moderator, has one too."""
    async with open_stage(path, **how) as stage:
        tama, sari = await stage.member("tama", 0), await stage.member("sari", 1)
        await tama.publish(0)
        await sari.publish(1)
        yield stage, tama, sari


async def conversations(visitor: Visitor) -> list[DirectInfo]:
    reply = await visitor.request(ListDirects(visitor.number()))
    assert isinstance(reply, Directs)
    return reply.directs


def news(visitor: Visitor) -> list[tuple[str, str]]:
    return [(said.room, said.name) for said in visitor.control if isinstance(said, DirectNews)]


async def test_two_people_talk_and_both_read_it(tmp_path: Path) -> None:
    """The author too, from the log; without a join or a leave."""
    async with two_people(tmp_path) as (stage, tama, sari):
        assert await tama.open_direct("Sari") == await sari.open_direct("tama") == ROOM
        await tama.whisper(ROOM, "halo", "tama", "sari")
        await sari.whisper(ROOM, "hai", "tama", "sari")
        assert tama.opened(ROOM, 0) == sari.opened(ROOM, 1) == ["halo", "hai"]
        reply = await sari.request(GetHistory(sari.number(), ROOM))
        assert isinstance(reply, History)
        assert len(reply.entries) == 2
        assert not any(b"halo" in entry or b"hai" in entry for entry in reply.entries)
        await tama.request_leave(ROOM)
        assert stage.log.heads() == {ROOM: 2}
        assert stage.failures == []


async def test_the_operator_is_shown_nothing(tmp_path: Path) -> None:
    """Not by the console, not by `bisikd rooms`, not in a session's line; only how many conversations there are."""
    async with two_people(tmp_path) as (stage, tama, _sari):
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        assert stage.entries_seen == []
        assert [room["room"] for room in rooms_status(stage.chat)] == ["#lobby"]
        assert directs_status(stage.chat) == 1
        (session, *_) = stage.sessions
        assert session_status(session, 0.0)["rooms"] == []
        (entry,) = tama.entries(ROOM)
        assert isinstance(entry, MessageEntry)
        statement = decode_any_statement_untrusted(entry.statement)
        assert entry_as_json(entry, statement)["sealed"] == 144
        assert "text" not in entry_as_json(entry, statement)
        assert entry_for_people(entry, statement).endswith("@sari+tama <tama> (sealed, 144 bytes)\n")


async def test_a_conversation_is_listed_once_something_was_said(tmp_path: Path) -> None:
    """The newest first, by the other's name, also after a restart; and not among the rooms."""
    async with two_people(tmp_path) as (stage, tama, sari):
        budi = await stage.member("budi", 2)
        await budi.publish(2)
        with_sari = await tama.open_direct("sari")
        with_budi = await tama.open_direct("budi")
        assert await conversations(tama) == []
        await tama.whisper(with_budi, "halo", "tama", "budi")
        stage.time_ms += 1
        await tama.whisper(with_sari, "halo", "tama", "sari")
        newest_first = [DirectInfo(ROOM, "sari", 1), DirectInfo("@budi+tama", "budi", 1)]
        assert await conversations(tama) == newest_first
        assert await conversations(sari) == [DirectInfo(ROOM, "tama", 1)]
        assert (await tama.request(ListRooms(tama.number()))).rooms[0].room == "#lobby"
        assert len((await tama.request(ListRooms(tama.number()))).rooms) == 1
        log = stage.log
    async with open_stage(tmp_path, log=log) as again:
        assert await conversations(await again.member("tama", 0)) == newest_first


def asked(room: str) -> dict[str, Any]:
    """Everything that can be asked about a room."""
    return {
        "join": JoinRoom(90, room, Presence.MEMBER),
        "join as reader": JoinRoom(90, room, Presence.READER),
        "join as writer": JoinRoom(90, room, Presence.WRITER),
        "leave": LeaveRoom(90, room),
        "who": ListMembers(90, room),
        "history": GetHistory(90, room),
        "confirmed": GetConfirmed(90, room, 1),
        "room": GetRoom(90, room),
        "inclusion": GetInclusion(90, room, 1),
        "kick": Kick(90, room, "sari"),
        "mute": Mute(90, "sari", room),
        "topic": SetTopic(90, room, "x"),
        "private": SetRoom(90, room, private=True),
        "allow": Allow(90, room, "budi"),
    }


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("what", asked(ROOM))
async def test_a_third_person_is_refused_as_if_there_were_no_room(tmp_path: Path, what: str, role: Role) -> None:
    """Member, moderator or owner: word for word what is said of a room that nobody has."""
    async with two_people(tmp_path) as (stage, tama, _):
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        budi = await stage.member("budi", 2)
        stage.promote("budi", role)
        reply = await budi.request(asked(ROOM)[what])
        assert isinstance(reply, Refused), reply
        assert reply.code in (Code.ROOM_INVALID, Code.NOT_JOINED, Code.FORBIDDEN)
        other = await (await stage.member("budi", 2)).request(asked("@sari+wati")[what])
        assert (reply.code, reply.text) == (other.code, other.text.replace("@sari+wati", ROOM))


@pytest.mark.parametrize("what", ["kick", "mute", "topic", "private", "allow"])
async def test_nobody_moderates_a_conversation(tmp_path: Path, what: str) -> None:
    """Not even an owner who is one of the two."""
    async with two_people(tmp_path) as (stage, tama, _):
        await tama.open_direct("sari")
        stage.promote("tama", Role.OWNER)
        assert tama.refusal(await tama.request(asked(ROOM)[what])) is Code.ROOM_INVALID


async def test_who_is_muted_everywhere_is_muted_here(tmp_path: Path) -> None:
    """What is about the whole server holds."""
    async with two_people(tmp_path) as (stage, tama, _):
        wati = await stage.member("wati", 3)
        stage.promote("wati")
        assert isinstance(await wati.request(Mute(wati.number(), "tama")), Done)
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        assert tama.refused_posts == [(1, Code.MUTED)]


@pytest.mark.parametrize(
    ("name", "code"), [("tama", Code.NAME_INVALID), ("nobody", Code.NAME_UNKNOWN), ("a b", Code.NAME_INVALID)]
)
async def test_there_is_no_conversation_with_oneself_or_nobody(tmp_path: Path, name: str, code: Code) -> None:
    """Each gets a sentence."""
    async with two_people(tmp_path) as (_, tama, _sari):
        assert tama.refusal(await tama.request(GetDirect(tama.number(), name))) is code


@pytest.mark.parametrize("room", ["@tama+sari", "@tama", "@", "@sari+Tama", "@tama+tama", "@nobody+tama"])
async def test_a_room_that_two_people_cannot_have_is_refused(tmp_path: Path, room: str) -> None:
    """Another spelling, one person, nobody."""
    async with two_people(tmp_path) as (stage, tama, _):
        code = tama.refusal(await tama.join(room))
        assert code is (Code.NAME_UNKNOWN if room == "@nobody+tama" else Code.ROOM_INVALID)
        assert [each.name for each in stage.chat.hub] == ["#lobby"]


# What may be posted ------------------------------------------------------------------------------------------------


async def test_only_what_is_sealed_is_taken_there_and_only_there(tmp_path: Path) -> None:
    """The other kind is refused, in both directions."""
    async with two_people(tmp_path) as (_, tama, _sari):
        await tama.open_direct("sari")
        await tama.join("#lobby")
        tama.post(ROOM, tama.statement(ROOM, "halo"))
        tama.post("#lobby", tama.sealed("#lobby", "halo", await tama.recipients("tama", "sari")))
        await tama.stage.settled()
        assert tama.refused_posts == [(1, Code.STATEMENT_INVALID), (1, Code.STATEMENT_INVALID)]
        assert tama.entries(ROOM) == []


@pytest.mark.parametrize("names", [("tama",), ("sari",), ("tama", "sari", "budi")])
async def test_a_statement_for_other_devices_is_sent_back(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Too few or too many: nothing is stored, and what is sealed anew goes in under the same number."""
    async with two_people(tmp_path) as (stage, tama, _sari):
        await (await stage.member("budi", 2)).publish(2)
        await tama.open_direct("sari")
        tama.post(ROOM, tama.sealed(ROOM, "halo", await tama.recipients(*names)))
        await stage.settled()
        assert tama.refused_posts == [(1, Code.RECIPIENTS)]
        await tama.whisper(ROOM, "halo", "tama", "sari")
        assert tama.opened(ROOM, 0) == ["halo"]


async def test_a_retry_after_the_devices_changed_is_answered_with_its_entry(tmp_path: Path) -> None:
    """What is stored is stored; only what is new is held to the devices of now."""
    async with two_people(tmp_path) as (stage, tama, _sari):
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        (statement,) = tama.said[ROOM]
        stage.users.add_device("sari", device_key(4).public.modulus, 7)
        phone = await stage.member("sari", 4)
        await phone.publish(4)
        tama.post(ROOM, statement)
        await stage.settled()
        assert tama.refused_posts == []
        assert tama.opened(ROOM, 0) == ["halo", "halo"]
        tama.post(ROOM, tama.sealed(ROOM, "lagi", _keys()))
        await stage.settled()
        assert tama.refused_posts == [(2, Code.RECIPIENTS)]
        await tama.whisper(ROOM, "lagi", "tama", "sari")
        await phone.open_direct("tama")
        await stage.settled()
        assert phone.entries(ROOM)[1:] == tama.entries(ROOM)[2:]
        statement = decode_any_statement_untrusted(tama.said[ROOM][1])
        assert len(statement.sealed.wraps) == 3  # type: ignore[union-attr]


def _keys() -> dict[bytes, Any]:
    return {device_key(n).public.key_hash: sealing_key(n).public for n in (0, 1)}


async def test_somebody_without_a_sealing_key_cannot_be_written_to(tmp_path: Path) -> None:
    """A client of before: the sentence says why, and nothing is stored that nobody there could open."""
    async with open_stage(tmp_path) as stage:
        tama, sari = await stage.member("tama", 0), await stage.member("sari", 1)
        await tama.publish(0)
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        assert tama.refused_posts == [(1, Code.RECIPIENTS)]
        assert await sari.recipients("sari") == {}


async def test_a_changed_or_foreign_statement_is_refused(tmp_path: Path) -> None:
    """Signature, author and chain are checked as everywhere."""
    async with two_people(tmp_path) as (stage, tama, sari):
        await tama.open_direct("sari")
        await sari.open_direct("tama")
        statement = tama.sealed(ROOM, "halo", await tama.recipients("tama", "sari"))
        sari.post(ROOM, statement)
        tama.post(ROOM, statement, signer=device_key(1))
        moved = msgspec.structs.replace(decode_any_statement_untrusted(statement), seq=2)
        tama.post(ROOM, encode_statement(moved))
        await stage.settled()
        assert sari.refused_posts == [(1, Code.STATEMENT_INVALID)]
        assert tama.refused_posts == [(1, Code.STATEMENT_INVALID), (2, Code.CHAIN)]


async def test_a_writer_may_begin_a_conversation(tmp_path: Path) -> None:
    """A script that sends has nobody who would join before it."""
    async with two_people(tmp_path) as (_, tama, sari):
        await tama.open_direct("sari", Presence.WRITER)
        await tama.whisper(ROOM, "halo", "tama", "sari")
        assert tama.opened(ROOM, 0) == ["halo"]
        assert await conversations(sari) == [DirectInfo(ROOM, "tama", 1)]


# News, confirmations, names ----------------------------------------------------------------------------------------


async def test_who_has_not_joined_hears_that_there_is_something(tmp_path: Path) -> None:
    """All sessions of both, by the name of the other; nobody else, and nobody who is in the room."""
    async with two_people(tmp_path) as (stage, tama, sari):
        budi, second = await stage.member("budi", 2), await stage.member("tama", 0)
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        assert news(sari) == [(ROOM, "tama")]
        assert news(second) == [(ROOM, "sari")]
        assert news(tama) == news(budi) == []


async def test_who_only_writes_there_hears_that_there_is_something(tmp_path: Path) -> None:
    """Another program of the same home may have begun it, so that this one knows of nothing but a post to send."""
    async with two_people(tmp_path) as (stage, tama, sari):
        second = await stage.member("sari", 1)
        await tama.open_direct("sari")
        await second.open_direct("tama", Presence.WRITER)
        await tama.whisper(ROOM, "halo", "tama", "sari")
        assert news(second) == [(ROOM, "tama")]
        await second.request_leave(ROOM)
        await second.open_direct("tama")
        assert second.opened(ROOM, 1) == ["halo"]
        await tama.whisper(ROOM, "masih?", "tama", "sari")
        assert news(second) == [(ROOM, "tama")]
        assert news(sari) == [(ROOM, "tama")]


async def test_who_takes_nothing_hears_of_it_later_and_once(tmp_path: Path) -> None:
    """However much a slow session is owed already, the news is not lost; nor is it said for every message."""
    async with two_people(tmp_path) as (stage, tama, sari):
        (session,) = stage.chat.sessions.of_user("sari") if stage.chat.sessions is not None else ()
        session.connection.backlog = lambda lane: 1 << 20
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        await tama.whisper(ROOM, "masih di sana?", "tama", "sari")
        assert news(sari) == [(ROOM, "tama")]
        await sari.open_direct("tama")
        await sari.request_leave(ROOM)
        await tama.whisper(ROOM, "sudah pergi?", "tama", "sari")
        assert news(sari) == [(ROOM, "tama")] * 2


async def test_the_other_ones_confirmation_counts(tmp_path: Path) -> None:
    """Delivered to one of one, and who it is can be asked."""
    async with two_people(tmp_path) as (stage, tama, sari):
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        await sari.open_direct("tama")
        sari.connection.arrive(sari.lanes[ROOM], encode(Confirm(1, 1)))
        await stage.settled()
        reply = await tama.request(GetConfirmed(tama.number(), ROOM, 1))
        assert reply == Confirmed(reply.number, ROOM, 1, 1, ["sari"], ["sari"])
        room = stage.chat.hub.get(ROOM)
        assert room is not None
        tell_authors(room, stage.chat.present(room))
        counts = [said.counts[0] for said in tama.control if isinstance(said, Delivered)]
        assert [(count.seq, count.delivered, count.members) for count in counts] == [(1, 1, 1)]
        reply = await tama.request(ListMembers(tama.number(), ROOM))
        assert isinstance(reply, Members)
        assert [member.name for member in reply.members] == ["sari", "tama"]


async def test_a_conversation_outlasts_new_names(tmp_path: Path) -> None:
    """It keeps its room; each is shown the other as they are called now."""
    async with two_people(tmp_path) as (stage, tama, _):
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        await Accounts(stage.chat.doorkeeper, stage.sessions.put_out).rename("sari", "sarah")
        assert await tama.open_direct("sarah") == ROOM
        assert await tama.open_direct("sari") == ROOM
        assert await conversations(tama) == [DirectInfo(ROOM, "sarah", 1)]
        assert tama.refusal(await tama.join("@sarah+tama")) is Code.ROOM_INVALID
        sarah = await stage.member("sarah", 1)
        assert await sarah.open_direct("tama") == ROOM
        await sarah.whisper(ROOM, "hai", "tama", "sarah")
        assert sarah.opened(ROOM, 1) == ["halo", "hai"]


async def test_with_a_closed_account_there_is_only_the_past(tmp_path: Path) -> None:
    """It can be read; nothing new can be said, and no conversation begins."""
    async with two_people(tmp_path) as (stage, tama, _):
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        stage.users.close_account("sari", 7)
        assert await conversations(tama) == [DirectInfo(ROOM, "sari", 1)]
        await tama.request_leave(ROOM)
        assert isinstance(await tama.join(ROOM), Joined)
        assert tama.refusal(await tama.request(GetDirect(tama.number(), "sari"))) is Code.NAME_UNKNOWN
        tama.post(ROOM, tama.sealed(ROOM, "lagi", _keys()))
        await stage.settled()
        assert tama.refused_posts == [(2, Code.RECIPIENTS)]


# Bounds ------------------------------------------------------------------------------------------------------------


async def test_conversations_are_bounded(tmp_path: Path) -> None:
    """How many one has, whoever began them; rooms have a bound of their own."""
    limits = Limits(directs_per_person=1, rooms=1)
    async with two_people(tmp_path, limits=limits) as (stage, tama, sari):
        await (await stage.member("budi", 2)).publish(2)
        await tama.open_direct("sari")
        await tama.whisper(ROOM, "halo", "tama", "sari")
        for visitor in (tama, sari):
            reply = await visitor.request(GetDirect(visitor.number(), "budi"))
            assert visitor.refusal(await visitor.join(reply.room)) is Code.ROOM_LIMIT


async def test_beginning_them_has_a_pace_and_coming_back_costs_nothing(tmp_path: Path) -> None:
    """An empty one that is opened again is the same one."""
    async with two_people(tmp_path, limits=Limits(new_rooms_per_day=1)) as (stage, tama, _):
        await stage.member("budi", 2)
        for _ in range(3):
            await tama.open_direct("sari")
            await tama.request_leave(ROOM)
        assert tama.refusal(await tama.join("@budi+tama")) is Code.ROOM_LIMIT


# Keys --------------------------------------------------------------------------------------------------------------


async def test_a_device_publishes_its_key_and_is_told_what_is_known_of_it(tmp_path: Path) -> None:
    """At the next login, also after a restart: the digest says whether it has to publish again."""
    bundle, signature = make_bundle(device_key(0), sealing_key(0).public)
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 0)
        assert isinstance(await tama.request(Publish(tama.number(), bundle, signature)), Done)
        assert isinstance(await tama.request(Publish(tama.number(), bundle, signature)), Done)
        keys = await tama.request(GetSealingKeys(tama.number(), "tama"))
        assert [(key.bundle, key.signature) for key in keys.keys] == [(bundle, signature)]
        log = stage.log
    async with open_stage(tmp_path, log=log) as again:
        reply = await again.visitor(0).login("tama")
        assert isinstance(reply, Admitted)
        assert reply.sealing == bundle_digest(bundle)


@pytest.mark.parametrize("change", ["another device's", "not signed", "garbage"])
async def test_a_key_that_is_not_the_devices_is_not_published(tmp_path: Path, change: str) -> None:
    """Nobody can put a key in another device's place."""
    bundle, signature = make_bundle(device_key(1 if change == "another device's" else 0), sealing_key(0).public)
    if change == "not signed":
        signature = bytes(384)
    if change == "garbage":
        bundle = b"halo"
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 0)
        reply = await tama.request(Publish(tama.number(), bundle, signature))
        assert tama.refusal(reply) is Code.STATEMENT_INVALID
        assert await tama.recipients("tama") == {}


async def test_of_many_devices_the_last_ones_are_listed(tmp_path: Path) -> None:
    """More would not fit into a statement; a device that was revoked is not among them."""
    async with two_people(tmp_path) as (stage, tama, _):
        for number in range(10, 10 + MAX_SEALING_DEVICES):
            stage.users.add_device("tama", device_key(number).public.modulus, stage.time_ms + number)
            await (await stage.member("tama", number)).publish(0)
        listed = await tama.recipients("tama")
        assert len(listed) == MAX_SEALING_DEVICES
        assert tama.key_hash not in listed
        gone = device_key(10).public.key_hash
        assert isinstance(await tama.request(RevokeDevice(tama.number(), gone)), Done)
        assert tama.key_hash in await tama.recipients("tama")
        assert gone not in await tama.recipients("tama")


async def test_a_published_key_is_in_the_accounts_file(tmp_path: Path) -> None:
    """It is read back; one that is damaged is refused by its line; files without any stay as they were."""
    async with two_people(tmp_path) as (_, _tama, _sari):
        pass
    user = UserStore.open(tmp_path).get("tama")
    assert user is not None
    text = encode_user(user).decode()
    assert decode_user(text, "tama") == user
    line = next(n for n, each in enumerate(text.split("\n"), 1) if each.startswith("sealing ="))
    with pytest.raises(Unreadable, match="sealing key") as damage:
        decode_user(text.replace('sealing = "', 'sealing = "AAAA'), "tama")
    assert damage.value.line == line
    without = "\n".join(each for each in text.split("\n") if not each.startswith("sealing_signature"))
    with pytest.raises(Unreadable, match="sealing key"):
        decode_user(without, "tama")
    before = "\n".join(each for each in text.split("\n") if not each.startswith("sealing"))
    assert decode_user(before, "tama").devices[0].published is None
