"""A room's past: complete, verified, and refused where the server cannot count."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import pytest

from bisik.authors import Authors
from bisik.directs import Directs
from bisik.errors import Nonsense, Refused
from bisik.events import Message, Notice
from bisik.history import PAGES_AHEAD, Archive
from bisik.opener import Opener
from bisik.requests import MakeRequest
from bisik.store import Store
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import Code, Entry, JoinEntry, LeaveEntry, MessageEntry, Reply
from bisik_protocol.chat.statements import STATEMENT_CONTEXT, Kind, Statement, encode_statement
from tests.support.keys import device_key

ROOM = "#lobby"
AYU, BIMA = device_key(1), device_key(2)
NAMES = {AYU.public.key_hash: ("ayu", AYU), BIMA.public.key_hash: ("bima", BIMA)}


def message(seq: int, text: str, key: Any = AYU, author: str = "ayu") -> MessageEntry:
    encoded = encode_statement(Statement(ROOM, key.public.key_hash, seq, 0, Kind.SAY, text, bytes(32)))
    return MessageEntry(ROOM, seq, seq, author, encoded, key.sign(STATEMENT_CONTEXT, encoded))


class Answer:
    """Something to await, or not."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __await__(self) -> Generator[Any, None, Reply]:
        return self._answer().__await__()

    async def _answer(self) -> Reply:
        return self._reply


class Library:
    """A server's log, asked directly."""

    def __init__(self, entries: list[Entry], *, part: int = 50) -> None:
        self.entries = entries
        self.asked: list[messages.Request] = []
        self.twist: Callable[[list[Entry]], list[Entry]] = lambda entries: entries
        self._part = part

    def ask(self, make: MakeRequest) -> Awaitable[Reply]:
        request = make(1)
        self.asked.append(request)
        if isinstance(request, messages.GetDevice):
            if request.key_hash not in NAMES:
                return Answer(messages.Refused(1, Code.UNKNOWN, "Nobody's."))
            name, key = NAMES[request.key_hash]
            return Answer(messages.Device(1, name, key.public.modulus))
        assert isinstance(request, messages.GetHistory)
        before = 1 << 52 if request.before is None else request.before
        page = [entry for entry in self.entries if entry.seq < before][-min(request.count, self._part) :]
        return Answer(messages.History(1, ROOM, [messages.encode(entry) for entry in self.twist(page)]))

    def archive(self) -> Archive:
        return Archive(ROOM, self.ask, Authors(Store(None)), Opener(bytes(32)), Directs(Store(None)))

    async def texts(self) -> list[str]:
        return [
            event.text
            async for page in self.archive().pages()
            for event in page
            if isinstance(event, Message | Notice)
        ]


LOG: list[Entry] = [message(seq, f"m{seq}") for seq in range(1, 181)]


class TestEverything:
    @pytest.mark.parametrize("length", [0, 1, 49, 50, 51, 100, 180])
    async def test_every_entry_comes_once_and_in_order(self, length: int) -> None:
        """Whatever the number."""
        assert await Library(LOG[:length]).texts() == [f"m{seq}" for seq in range(1, length + 1)]

    @pytest.mark.parametrize("part", [1, 7, 49])
    async def test_pages_in_parts_are_put_together(self, part: int) -> None:
        """Long messages make a page short."""
        assert await Library(LOG[:120], part=part).texts() == [f"m{seq}" for seq in range(1, 121)]

    async def test_pages_are_asked_for_ahead(self) -> None:
        """A long way to the server costs one round trip for several."""
        library = Library([JoinEntry(ROOM, seq, 0, "ayu") for seq in range(1, 1001)])
        pages = library.archive().pages()
        await anext(pages)
        asked = [request for request in library.asked if isinstance(request, messages.GetHistory)]
        assert len(asked) == 1 + PAGES_AHEAD

    async def test_a_key_is_asked_for_once(self) -> None:
        """However much its device said."""
        library = Library([*LOG[:60], message(61, "x", BIMA, "bima")])
        await library.texts()
        keys = [request.key_hash for request in library.asked if isinstance(request, messages.GetDevice)]
        assert keys == [AYU.public.key_hash, BIMA.public.key_hash]

    async def test_what_cannot_be_believed_is_a_notice(self) -> None:
        """In the place of the message."""
        forged = message(2, "forged")
        forged = MessageEntry(ROOM, 2, 2, "ayu", forged.statement, bytes(384))
        borrowed = message(3, "borrowed", BIMA, "ayu")
        unknown = message(4, "unknown", device_key(3), "cici")
        texts = await Library([message(1, "good"), forged, borrowed, unknown, message(5, "good")]).texts()
        assert [text for text in texts if text == "good"] == ["good", "good"]
        assert ["not shown" in text for text in texts] == [False, True, True, True, False]


class TestLast:
    def mixed(self) -> Library:
        entries: list[Entry] = []
        for seq in range(1, 121):
            kinds: list[Entry] = [JoinEntry(ROOM, seq, 0, "ayu"), LeaveEntry(ROOM, seq, 0, "ayu")]
            entries.append(message(seq, f"m{seq}") if seq % 3 == 0 else kinds[seq % 3 - 1])
        return Library(entries)

    async def test_the_last_messages(self) -> None:
        """Over as many pages as it takes, oldest first."""
        last = await self.mixed().archive().last(30, messages_only=True)
        assert [event.text for event in last if isinstance(event, Message)] == [f"m{n}" for n in range(33, 121, 3)]
        assert len(last) == 30

    async def test_the_last_of_everything(self) -> None:
        """Joins and leaves count."""
        last = await self.mixed().archive().last(4, messages_only=False)
        assert [event.type for event in last] == ["message", "join", "leave", "message"]

    @pytest.mark.parametrize("count", [40, 41, 1000])
    async def test_no_more_than_there_is(self, count: int) -> None:
        """It ends at the beginning."""
        assert len(await self.mixed().archive().last(count, messages_only=True)) == 40
        assert await Library([]).archive().last(count, messages_only=True) == []


class TestHostileServer:
    @pytest.mark.parametrize(
        "twist",
        [
            lambda page: page[:-1],
            lambda page: list(reversed(page)),
            lambda page: page + page[-1:],
            lambda page: page[:10] + page[11:],
            lambda page: [],
            lambda page: [JoinEntry("#other", entry.seq, 0, "ayu") for entry in page],
            lambda page: [JoinEntry(ROOM, entry.seq + 1000, 0, "ayu") for entry in page],
            lambda page: [MessageEntry(ROOM, entry.seq, 0, "ayu", b"nonsense", bytes(384)) for entry in page],
        ],
    )
    async def test_a_server_that_cannot_count_is_refused(self, twist: Callable[[list[Entry]], list[Entry]]) -> None:
        """Gaps, repeats, other rooms, pages that were not asked for."""
        library = Library(LOG[:60])
        newest = library.archive()
        assert await newest.newest() == 60
        library.twist = lambda page: page if len(page) == 1 else twist(page)
        with pytest.raises(Nonsense):
            await library.texts()

    async def test_a_reply_of_the_wrong_kind_is_refused(self) -> None:
        """Done is no history."""
        archive = Archive(
            ROOM, lambda _: Answer(messages.Done(1)), Authors(Store(None)), Opener(bytes(32)), Directs(Store(None))
        )
        with pytest.raises(Nonsense):
            await archive.newest()

    async def test_a_refusal_is_itself(self) -> None:
        """There is no such room."""
        refused = messages.Refused(1, Code.ROOM_INVALID, "There is no room #lobby.")
        archive = Archive(
            ROOM, lambda _: Answer(refused), Authors(Store(None)), Opener(bytes(32)), Directs(Store(None))
        )
        with pytest.raises(Refused, match="There is no room"):
            await archive.newest()
