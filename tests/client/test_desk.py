"""What typed lines do, with a chat and a front that only remember."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from bisik.chat import Chat
from bisik.desk import Desk
from bisik.errors import NoRecipients, NotOnDisk, Refused
from bisik.events import ChatEvent, Join, Message, Notice
from bisik.home import Profile
from bisik.slash import Where, available
from bisik.typed import Command
from bisik_protocol.chat.messages import Code, Confirmed, MemberInfo, RoomInfo
from bisik_protocol.crypto.identity import fingerprint_groups


def message(author: str = "sari", text: str = "halo") -> Message:
    return Message(room="#lobby", author=author, text=text, seq=1, id="0" * 32, time="2026-11-22T09:00:00.123Z")


class FakeChat:
    """As much of a chat as commands need."""

    def __init__(self) -> None:
        self.name = "tama"
        self.seals = True
        self.rooms = ["#lobby"]
        self.queued: list[tuple[str, str, str]] = []
        self.ignored: set[str] = set()
        self.answers = True
        self.disk_fails = False
        self.offline = False
        self.asked: list[object] = []
        self.searching = self
        self.found = [message(text="two coffees")]
        self.profile = Profile(name="tama", host="::1", port=9999, fingerprint=bytes(32), folder=Path())

    async def queue(self, room: str, text: str, *, kind: str = "say") -> int:
        if not self.seals and room.startswith("@"):
            raise NoRecipients
        self.queued.append((room, text, kind))
        if self.disk_fails:
            raise NotOnDisk(1, "Cannot use store.db.")
        return 1

    async def join(self, room: str) -> None:
        await self._answer()
        if room == "#private":
            raise Refused(Code.ROOM_INVALID, "Not \x1b[31mthere.")
        self.rooms.append(room)

    async def open_direct(self, name: str) -> str:
        await self._answer()
        if name == "nobody":
            raise Refused(Code.NAME_UNKNOWN, "There is nobody of that name.")
        return f"@{name}"

    def ask_recipients(self, room: str) -> None:
        self.asked.append(room)

    def follow(self, room: str) -> None:
        self.rooms.append(room)

    async def leave(self, room: str) -> None:
        await self._answer()
        self.rooms.remove(room)

    async def list_rooms(self) -> list[RoomInfo]:
        await self._answer()
        return [RoomInfo("#lobby", 2, 12), RoomInfo("#dapur", 0, 1)]

    async def who(self, room: str) -> list[MemberInfo]:
        await self._answer()
        return [] if room == "#empty" else [MemberInfo("sari", 0), MemberInfo("tama", 7300, reachable=False)]

    def history(self, room: str) -> "FakeChat":
        return self

    async def last(self, *arguments: object, messages_only: bool = False) -> list[Message]:
        if not messages_only:
            return [message(text="kept")]
        await self._answer()
        return [message(text=str(number)) for number in range(int(str(arguments[0])))]

    def ignored_names(self) -> frozenset[str]:
        return frozenset(self.ignored)

    def ignore(self, name: str, *, ignored: bool = True) -> frozenset[str]:
        (self.ignored.add if ignored else self.ignored.discard)(name)
        return self.ignored_names()

    async def catch_up(self, rooms: Sequence[str], patience_s: float) -> bool:
        return self.answers

    async def search(self, query: str, *, room: str | None, count: int) -> list[Message]:
        return [message for message in self.found if query in message.text and room in (None, message.room)]

    async def set_away(self, text: str | None) -> None:
        self.away = text

    def newest(self, room: str, *, own: bool = False) -> int:
        return 7 if own else 9

    def confirm(self, room: str, seq: int) -> None:
        self.confirmed = (room, seq)

    async def who_confirmed(self, room: str, seq: int) -> Confirmed:
        return Confirmed(1, room, seq, 3, ["sari", "ayu"], ["ayu"] if seq == 7 else [])

    def known_devices(self, name: str) -> list[bytes]:
        return [bytes(32)] if name == "sari" else []

    def topic(self, room: str) -> str:
        return ""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        """What moderators ask: only remembered."""
        if name not in {"kick", "ban", "unban", "mute", "unmute", "set_topic", "set_room", "allow", "disallow"}:
            raise AttributeError(name)

        async def ask(*arguments: object, **named: object) -> None:
            self.asked.append((name, arguments, {key: value for key, value in named.items() if value}))

        return ask

    async def _answer(self) -> None:
        if not self.answers:
            await trio.sleep_forever()


class FakeFront:
    """Remembers what it was told."""

    def __init__(self, where: Where = Where.LINE) -> None:
        self.where = where
        self.room = "#lobby"
        self.told: list[str] = []
        self.over = False
        self.left: list[str] = []
        self.given_back: list[tuple[str, str]] = []
        self.own: list[Command] = []

    def tell(self, sentence: str) -> None:
        self.told.append(sentence)

    def show_list(self, lines: Sequence[str]) -> None:
        self.told += lines

    def show_past(self, events: Sequence[ChatEvent | Notice]) -> None:
        self.told += [event.text for event in events if isinstance(event, Message)]

    def give_back(self, room: str, line: str) -> None:
        self.given_back.append((room, line))

    def speak_in(self, room: str) -> None:
        self.room = room

    def on_left(self, room: str) -> None:
        self.left.append(room)

    def carry_out(self, command: Command) -> None:
        self.own.append(command)

    def quit(self) -> None:
        self.over = True


class Table:
    """A desk with somebody at it."""

    def __init__(self, where: Where = Where.LINE) -> None:
        self.chat = FakeChat()
        self.front = FakeFront(where)
        self.desk = Desk(cast(Chat, self.chat), self.front)

    async def type(self, *lines: str) -> list[str]:
        for line in lines:
            await self.desk.take(line)
        told, self.front.told = self.front.told, []
        return told


async def test_messages_are_queued_in_the_room_that_is_spoken_in() -> None:
    """Acts too; nothing is said for a line without anything."""
    table = Table()
    assert await table.type("halo", "/join dapur", "/me waves", "   ") == ["You speak in #dapur now."]
    assert table.chat.queued == [("#lobby", "halo", "say"), ("#dapur", "waves", "act")]


async def test_speaking_to_one_person() -> None:
    """The conversation is opened, followed and spoken in, and its devices are asked for; then the text is said."""
    table = Table()
    assert await table.type("/msg Sari halo dua", "/me waves") == ["You speak to sari alone now."]
    assert table.chat.rooms == ["#lobby", "@sari"]
    assert table.chat.asked == ["@sari"]
    assert table.chat.queued == [("@sari", "halo dua", "say"), ("@sari", "waves", "act")]


async def test_joining_a_person_is_speaking_to_them() -> None:
    """`/join @sari` is what people try; nobody of that name is a sentence, and nothing is opened."""
    table = Table()
    assert await table.type("/join @sari", "/msg nobody hm") == [
        "You speak to sari alone now.",
        "There is nobody of that name.",
    ]
    assert table.chat.queued == []


async def test_what_is_on_its_way_is_not_given_back() -> None:
    """Whoever enters it again says it twice, so a disk that failed under it is told and no more."""
    table = Table()
    table.chat.disk_fails = True
    told = await table.type("halo")
    assert [sentence for sentence in told if "on its way" in sentence]
    assert table.front.given_back == []


async def test_what_cannot_be_sealed_is_given_back() -> None:
    """The text stands where it was typed, and the person is told why."""
    table = Table()
    table.chat.seals = False
    told = await table.type("/msg sari halo", "lagi")
    assert [sentence for sentence in told if "needs a connection once" in sentence]
    assert table.front.given_back == [("@sari", "halo"), ("@sari", "lagi")]


@pytest.mark.parametrize("line", ["/topic tea", "/kick budi", "/mute budi", "/room private", "/allow budi"])
async def test_nobody_moderates_a_conversation(line: str) -> None:
    """What is of rooms is refused there before anybody is asked."""
    table = Table()
    table.front.room = "@sari"
    assert await table.type(line) == ["That is for rooms; you speak to sari alone."]
    assert table.chat.asked == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/rooms", ["* #lobby  2 here, 12 lines", "  #dapur  0 here, 1 line"]),
        ("/who", ["sari", "tama  unreachable for 2 h"]),
        ("/who #empty", ["Nobody is in #empty."]),
        ("/history 2", ["0", "1"]),
        ("/leave", ["That is the last room you are in; /quit leaves altogether."]),
        ("/leave #x", ["You are not in #x."]),
        ("/ack", ["You have confirmed what was said in #lobby, up to number 9."]),
        ("/ack ?", ["Message 7 is with 2 of 3: sari, ayu. Confirmed by hand: ayu."]),
        ("/ack 12", ["Message 12 is with 2 of 3: sari, ayu."]),
        ("/search coffee", ["two coffees"]),
        ("/search * coffee", ["two coffees"]),
        ("/search tea", ["Nothing was found."]),
        ("/whois Sari", ["sari", f"a device seen here: {fingerprint_groups(bytes(32))}"]),
        ("/whois ayu", ["ayu is not in #lobby."]),
        ("/ack twelve", ["Which number? One from 1 to 9007199254740991."]),
        ("/away lunch", ["Who asks sees that you are away."]),
        ("/away", ["You are back."]),
        ("/ignore", ["You ignore nobody."]),
        ("/ignore tama", ["That is you."]),
        ("/jion #x", ["There is no command /jion. Did you mean /join?"]),
        ("/theme light", ["/theme is of the full-screen interface; here it does nothing."]),
        ("/join #private", ["Not ␛[31mthere."]),
    ],
)
async def test_a_command_is_answered(line: str, told: list[str]) -> None:
    """With a list or a sentence, in which nothing acts on a terminal."""
    assert await Table().type(line) == told


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("/topic tea", ("set_topic", ("#lobby", "tea"), {})),
        ("/topic -", ("set_topic", ("#lobby", ""), {})),
        ("/kick budi", ("kick", ("#lobby", "budi", ""), {})),
        ("/kick budi too loud", ("kick", ("#lobby", "budi", "too loud"), {})),
        ("/ban budi", ("ban", ("budi",), {})),
        ("/ban budi 2h too loud", ("ban", ("budi",), {"lasts_s": 7200, "reason": "too loud"})),
        ("/ban budi 2 loud", ("ban", ("budi",), {"reason": "2 loud"})),
        ("/ban 192.0.2.0/24 1w", ("ban", (), {"address": "192.0.2.0/24", "lasts_s": 604800})),
        ("/unban 2001:db8::1", ("unban", (), {"address": "2001:db8::1"})),
        ("/unban budi", ("unban", ("budi",), {})),
        ("/mute budi 10m", ("mute", ("budi", "#lobby"), {"lasts_s": 600})),
        ("/unmute budi", ("unmute", ("budi", "#lobby"), {})),
        ("/room private", ("set_room", ("#lobby",), {"private": True})),
        ("/room open", ("set_room", ("#lobby",), {})),
        ("/allow budi", ("allow", ("#lobby", "budi"), {})),
        ("/allow -budi", ("disallow", ("#lobby", "budi"), {})),
    ],
)
async def test_moderators_words_become_questions_to_the_server(line: str, asked: object) -> None:
    """With a time where one is given, and the rest as the reason."""
    table = Table()
    assert await table.type(line) == ["Done."]
    assert table.chat.asked == [asked]


async def test_a_topic_is_shown_and_a_strange_rule_explained() -> None:
    """Nothing is asked of the server."""
    table = Table()
    told = await table.type("/topic", "/room secret")
    assert told == ["#lobby has no topic.", "One of these: private, public, read-only, open"]
    assert table.chat.asked == []


@pytest.mark.parametrize("count", ["0", "1001", "-3", "many", "1e3", "٣"])
async def test_a_strange_count_is_explained(count: str) -> None:
    """Not raised."""
    assert await Table().type(f"/history {count}") == ["Which number? One from 1 to 1000."]


async def test_who_is_ignored_is_hidden_until_he_is_not() -> None:
    """Messages only: that somebody comes and goes is still seen."""
    table = Table()
    assert await table.type("/ignore Sari") == ["What sari says is hidden here from now on."]
    assert table.desk.hides(message("sari"))
    assert not table.desk.hides(message("ayu"))
    assert not table.desk.hides(Join(room="#lobby", author="sari", seq=2, time="2026-11-22T09:00:00.123Z"))
    assert await table.type("/ignore") == ["sari"]
    assert Desk(cast(Chat, table.chat), table.front).hides(message("sari"))
    assert await table.type("/ignore -sari") == ["You see again what sari says."]
    assert not table.desk.hides(message("sari"))


async def test_leaving_the_room_that_is_spoken_in_goes_back_to_another() -> None:
    """And says both."""
    table = Table()
    told = await table.type("/join #dapur", "/leave")
    assert told[1:] == ["You have left #dapur.", "You speak in #lobby now."]
    assert (table.front.room, table.front.left) == ("#lobby", ["#dapur"])


async def test_the_invite_names_the_server_and_no_password() -> None:
    """The password is not this client's to give."""
    link, sentence = await Table().type("/invite")
    assert link.startswith("bisik://[::1]:9999/?fp=")
    assert "join=" not in link
    assert "join password" in sentence


async def test_a_name_stays_and_the_reason_is_told() -> None:
    """With the way to another name."""
    assert "bound to its keys" in (await Table().type("/nick sarah"))[0]


async def test_a_silent_server_does_not_hold_up_typing(autojump_clock: MockClock) -> None:
    """After a while it is said, and the next line is taken."""
    table = Table()
    table.chat.answers = False
    assert await table.type("/rooms") == ["The server does not answer now. Try again later."]
    assert await table.type("qqq") == []
    assert table.front.over


@pytest.mark.parametrize("offline", [True, False])
async def test_history_without_the_server_is_what_this_device_has(autojump_clock: MockClock, offline: bool) -> None:
    """Where it is known not to be there, and where it only turns out."""
    table = Table()
    table.chat.offline, table.chat.answers = offline, False
    told = await table.type("/history 3")
    assert told[0] == "The server does not answer now: this is what was read on this device."
    assert ["kept" in line for line in told[1:]] == [True]


@pytest.mark.parametrize("where", list(Where))
async def test_every_command_of_the_table_is_carried_out(where: Where) -> None:
    """By the desk or, where it is the front's own, by the front."""
    table = Table(where)
    for row in available(where):
        before = (len(table.front.own), table.front.over, len(table.front.told), len(table.chat.queued))
        await table.desk.take(row.example or row.name)
        after = (len(table.front.own), table.front.over, len(table.front.told), len(table.chat.queued))
        assert after != before, row.name
    assert {command.name for command in table.front.own} == (
        {"/theme", "/set"} if where is Where.SCREEN else {"/set"}
    )
