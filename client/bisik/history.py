"""What was said in a room, from the server's log: all of it from the beginning, or the last so many messages.

Pages are asked for ahead of the one that is being read, so that a long history costs one round trip for several
pages. Entries are verified as live ones are. It moves no cursor.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Self

from bisik.authors import Authors
from bisik.directs import Directs
from bisik.entries import missing_key_untrusted, to_event_untrusted
from bisik.errors import Nonsense
from bisik.events import ChatEvent, Message, Notice
from bisik.incoming import decode_page_untrusted, learn_key_untrusted
from bisik.opener import Opener
from bisik.requests import MakeRequest, refusal_untrusted
from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import MAX_PAGE_ENTRIES, Entry, Reply
from bisik_protocol.chat.statements import message_id
from bisik_protocol.errors import RemoteProtocolError

PAGES_AHEAD: Final = 4

Ask = Callable[[MakeRequest], Awaitable[Reply]]
"""Asks at once; what it returns is awaited for the reply, which may be a refusal."""


class Archive:
    """One room's past. Each method raises Refused or Nonsense."""

    def __init__(self, room: str, ask: Ask, authors: Authors, opener: Opener, directs: Directs) -> None:
        """`room` is its name in the log."""
        self._opener = opener
        self._directs = directs
        self._room = room
        self._ask = ask
        self._authors = authors

    def pages(self, *, after: int = 0) -> "Pages":
        """Every entry behind `after`, up to the one that is the newest now, oldest first, in lists."""
        return Pages(self, after)

    async def last(self, count: int, *, messages_only: bool) -> list[ChatEvent | Notice]:
        """The newest `count`, oldest first."""
        kept: deque[ChatEvent | Notice] = deque()
        before: int | None = None
        while before is None or before > 1:
            entries = await self._page(self.request(before, MAX_PAGE_ENTRIES), before)
            if not entries:
                break
            before = entries[0].seq
            for event in reversed(await self._believe(entries)):
                if isinstance(event, Message) or not messages_only:
                    kept.appendleft(event)
                    if len(kept) == count:
                        return list(kept)
        return list(kept)

    async def find(self, id_: str) -> int | None:
        """The number of the newest message whose id begins so. Nothing of it is believed yet."""
        before: int | None = None
        while before is None or before > 1:
            entries = await self._page(self.request(before, MAX_PAGE_ENTRIES), before)
            if not entries:
                break
            before = entries[0].seq
            for entry in reversed(entries):
                if isinstance(entry, messages.MessageEntry) and message_id(entry.statement).startswith(id_):
                    return entry.seq
        return None

    def request(self, before: int | None, count: int) -> Awaitable[Reply]:
        """Ask for a page."""
        return self._ask(partial(messages.GetHistory, room=self._room, before=before, count=count))

    async def newest(self) -> int:
        """The number of the newest entry; 0 in an empty room."""
        newest = await self._page(self.request(None, 1), None)
        return newest[-1].seq if newest else 0

    async def window(self, after: int, end: int, reply: Awaitable[Reply]) -> list[ChatEvent | Notice]:
        """The entries after `after` up to `end`; a page may come in several parts, the newest first."""
        entries = await self._page(reply, end + 1)
        while entries and entries[0].seq > after + 1:
            first = entries[0].seq
            entries = await self._page(self.request(first, first - after - 1), first) + entries
        if [entry.seq for entry in entries] != list(range(after + 1, end + 1)):
            raise Nonsense("history")
        return await self._believe(entries)

    async def _page(self, waiting: Awaitable[Reply], before: int | None) -> list[Entry]:
        reply = await waiting
        if isinstance(reply, messages.Refused):
            raise refusal_untrusted(reply)
        if not isinstance(reply, messages.History):
            raise Nonsense("reply")
        try:
            entries = decode_page_untrusted(reply, self._room)
        except RemoteProtocolError as error:
            raise Nonsense(error.reason) from None
        if before is not None and entries and entries[-1].seq >= before:
            raise Nonsense("history")
        return entries

    async def _believe(self, entries: list[Entry]) -> list[ChatEvent | Notice]:
        missing = {missing_key_untrusted(entry, self._authors): entry.author for entry in entries}
        questions = [
            (key_hash, author, self._ask(partial(messages.GetDevice, key_hash=key_hash)))
            for key_hash, author in missing.items()
            if key_hash is not None
        ]
        for key_hash, author, waiting in questions:
            try:
                learn_key_untrusted(self._authors, key_hash, author, await waiting)
            except RemoteProtocolError as error:
                raise Nonsense(error.reason) from None
        return [self._directs.told(to_event_untrusted(entry, self._authors, self._opener)) for entry in entries]


class Pages:
    """All entries of a room, a page at a time, with the next few already asked for."""

    def __init__(self, archive: Archive, after: int) -> None:
        self._archive = archive
        self._head: int | None = None
        self._asked = after  # the newest entry that was asked for
        self._ahead: deque[tuple[int, int, Awaitable[Reply]]] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[ChatEvent | Notice]:
        if self._head is None:
            self._head = await self._archive.newest()
        while self._asked < self._head and len(self._ahead) < PAGES_AHEAD:
            after, end = self._asked, min(self._asked + MAX_PAGE_ENTRIES, self._head)
            self._ahead.append((after, end, self._archive.request(end + 1, end - after)))
            self._asked = end
        if not self._ahead:
            raise StopAsyncIteration
        return await self._archive.window(*self._ahead.popleft())
