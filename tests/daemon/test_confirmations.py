"""How far messages have come: positions, counts for authors, and what a session is told of them."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from bisik_protocol.chat.messages import (
    MAX_CONFIRMED,
    Code,
    Confirm,
    Confirmed,
    Delivered,
    GetConfirmed,
    ListMembers,
    Presence,
    SetAway,
    encode,
)
from bisikd import confirmations as module
from bisikd.confirmations import MAX_FOLLOWED, TELL_EVERY_S, Confirmations
from tests.support.stage import Visitor, open_stage


def test_counts_are_what_a_slow_count_finds() -> None:
    """For any positions and any people who are there; seed in the failure."""
    for seed in range(200):
        chance = Random(seed)
        names = [f"p{number}" for number in range(chance.randint(1, 6))]
        room = Confirmations()
        positions: dict[str, int] = {}
        for _turn in range(chance.randint(0, 12)):
            name, position = chance.choice(names), chance.randint(0, 9)
            news = room.on_confirm(name, position, 0)
            assert news == (position > positions.get(name, 0)), seed
            positions[name] = max(position, positions.get(name, 0))
        present = set(chance.sample(names, chance.randint(0, len(names))))
        for seq in (1, 5, 9):
            room.on_posted("p0", seq)
        for seq, (count, members) in room.counts("p0", present).items():
            have = {name for name, position in positions.items() if position >= seq} - {"p0"}
            assert (count, members) == (len(have), len(have | (present - {"p0"}))), seed


def test_positions_only_grow_and_one_by_hand_counts_as_delivered() -> None:
    """An old or repeated word changes nothing."""
    room = Confirmations()
    assert room.on_confirm("sari", 5, 0)
    assert not room.on_confirm("sari", 3, 0)
    assert room.who(5) == (["sari"], [])
    room.on_confirm("sari", 0, 7)
    assert room.who(7) == (["sari"], ["sari"])
    assert room.who(8) == ([], [])


def test_nothing_that_is_kept_grows_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, authors, messages of each, and names in an answer."""
    monkeypatch.setattr(module, "MAX_NAMES", 300)
    monkeypatch.setattr(module, "MAX_AUTHORS", 3)
    room = Confirmations()
    for number in range(1000):
        room.on_confirm(f"p{number}", 1, 1)
        room.on_posted(f"p{number}", number)
        room.on_posted("busy", number)
    assert len(room._delivered) == len(room._by_hand) == 300
    assert len(room._posted) == 3
    assert len(room.counts("busy", set())) == MAX_FOLLOWED
    assert [len(names) for names in room.who(1)] == [MAX_CONFIRMED, MAX_CONFIRMED]


def confirm(visitor: Visitor, room: str, delivered: int, by_hand: int = 0) -> None:
    visitor.connection.arrive(visitor.lanes[room], encode(Confirm(delivered, by_hand)))


def told(visitor: Visitor) -> list[tuple[int, int, int]]:
    """What an author was told, newest last."""
    return [
        (count.seq, count.delivered, count.members)
        for message in visitor.control
        if isinstance(message, Delivered)
        for count in message.counts
    ]


async def ask(visitor: Visitor, room: str, seq: int) -> Any:
    return await visitor.request(GetConfirmed(visitor.number(), room, seq))


async def test_an_author_is_told_how_many_have_a_message(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Gathered for a moment, once for each change, on all of the author's sessions, and on nobody else's."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 0, "#lobby")
        sari = await stage.member("sari", 1, "#lobby")
        ayu = await stage.member("ayu", 2, "#lobby")
        tama.say("#lobby", "halo")
        await stage.settled()
        confirm(sari, "#lobby", 4)
        confirm(ayu, "#lobby", 4)
        await trio.sleep(TELL_EVERY_S * 2)
        assert told(tama) == [(4, 2, 2)]
        confirm(ayu, "#lobby", 4)
        await trio.sleep(TELL_EVERY_S * 2)
        assert told(tama) == [(4, 2, 2)]
        assert told(sari) == told(ayu) == []


async def test_numbers_that_nobody_has_and_people_who_are_not_seen_count_for_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A position above the newest entry is the newest; readers and writers have none."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 0, "#lobby")
        sari = await stage.member("sari", 1, "#lobby")
        reader = await stage.member("rita", 2)
        await reader.join("#lobby", Presence.READER)
        tama.say("#lobby", "halo")
        await stage.settled()
        confirm(reader, "#lobby", 3)
        confirm(sari, "#lobby", 1 << 52, 1 << 52)
        await stage.settled()
        tama.say("#lobby", "and this")
        await trio.sleep(TELL_EVERY_S * 2)
        assert told(tama) == [(3, 1, 1)]
        answer = await ask(tama, "#lobby", 3)
        assert (answer.members, answer.delivered, answer.by_hand) == (1, ["sari"], ["sari"])


async def test_who_has_a_message_can_be_asked_in_the_room(tmp_path: Path) -> None:
    """By whoever is in it, of messages that are there; the author is not among them."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 0, "#lobby")
        sari = await stage.member("sari", 1, "#lobby")
        tama.say("#lobby", "halo")
        await stage.settled()
        confirm(tama, "#lobby", 3)
        confirm(sari, "#lobby", 3, 2)
        answer = await ask(sari, "#lobby", 3)
        assert isinstance(answer, Confirmed)
        assert (answer.members, answer.delivered, answer.by_hand) == (1, ["sari"], [])
        outside = await stage.member("ayu", 2)
        assert outside.refusal(await ask(outside, "#lobby", 3)) is Code.NOT_JOINED
        assert sari.refusal(await ask(sari, "#lobby", 4)) is Code.UNKNOWN
        assert sari.refusal(await ask(sari, "#lobby", 0)) is Code.UNKNOWN


async def test_a_message_is_still_delivered_after_its_reader_left(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Whoever has it counts, whether still there or not."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 0, "#lobby")
        sari = await stage.member("sari", 1, "#lobby")
        tama.say("#lobby", "halo")
        await stage.settled()
        confirm(sari, "#lobby", 3)
        await sari.request_leave("#lobby")
        await trio.sleep(TELL_EVERY_S * 2)
        assert told(tama) == [(3, 1, 1)]


async def test_being_away_is_seen_by_who_asks(tmp_path: Path) -> None:
    """While all of one's sessions say so; cut to what fits, between letters; gone with the session."""
    async with open_stage(tmp_path) as stage:
        tama = await stage.member("tama", 0, "#lobby")
        sari = await stage.member("sari", 1, "#lobby")

        async def seen() -> dict[str, str | None]:
            reply = await tama.request(ListMembers(tama.number(), "#lobby"))
            return {member.name: member.away for member in reply.members}

        await sari.request(SetAway(sari.number(), "é" * 40))
        assert await seen() == {"tama": None, "sari": "é" * 24}
        phone = await stage.member("sari", 1, "#lobby")
        assert (await seen())["sari"] is None
        await phone.request(SetAway(phone.number(), "lunch"))
        assert (await seen())["sari"] is not None
        await sari.request(SetAway(sari.number()))
        assert (await seen())["sari"] is None
