"""Searching: what came meanwhile is put into the index first, as far as the server and a time limit let it.

It joins a chat's history to the index of its profile.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from bisik.errors import Refused
from bisik.events import Message
from bisik.index import SearchIndex

if TYPE_CHECKING:
    from bisik.chat import Chat

LIVE_BATCH: Final = 64


class Searching:
    """The index of one chat. Opened when it is first needed."""

    def __init__(self, chat: "Chat", *, keeps: bool) -> None:
        """`keeps`: what this chat's reader reads goes into the index as it comes."""
        self._chat = chat
        self._keeps = keeps
        self._index: SearchIndex | None = None
        self._live: list[Message] = []

    def close(self) -> None:
        self.flush()
        if self._index is not None:
            self._index.close()
            self._index = None

    def on_message(self, message: Message) -> None:
        """The reader has read it."""
        if self._keeps:
            self._live.append(message)
            if len(self._live) >= LIVE_BATCH:
                self.flush()

    def flush(self) -> None:
        """Write down what was read."""
        if self._live:
            live, self._live = self._live, []
            self._opened().add(map(self._inward, live))

    async def catch_up(self, rooms: Sequence[str], patience_s: float) -> bool:
        """Fetch what the index lacks of these rooms. False where that took too long, or could not be."""
        whole = True
        with trio.move_on_after(patience_s) as scope:
            for room in rooms:
                try:
                    await self._cover(room)
                except Refused:  # no such room any more, or not for us
                    whole = False
        return whole and not scope.cancelled_caught

    async def search(
        self, query: str, *, room: str | None = None, author: str | None = None, count: int = 20
    ) -> list[Message]:
        """What the index has, the newest so many, oldest first."""
        self.flush()
        index = self._opened()
        place = None if room is None else self._chat.log_name(room)
        found = await trio.to_thread.run_sync(lambda: index.search(query, room=place, author=author, count=count))
        return [replace(message, room=self._chat.shown_name(message.room)) for message in found]

    async def last(self, room: str, count: int | None = None, *, before: int | None = None) -> list[Message]:
        """What this device has of a room, as far as it goes: the newest so many, oldest first."""
        self.flush()
        index, place = self._opened(), self._chat.log_name(room)
        found = await trio.to_thread.run_sync(lambda: index.last(place, count, before=before))
        return [replace(message, room=self._chat.shown_name(message.room)) for message in found]

    async def _cover(self, room: str) -> None:
        index = self._opened()
        place = self._chat.log_name(room)
        async for page in self._chat.history(room).pages(after=index.covered(place)):
            index.add(self._inward(event) for event in page if isinstance(event, Message))
            index.cover(place, max((event.seq for event in page if hasattr(event, "seq")), default=0))

    def _inward(self, message: Message) -> Message:
        """Names of people change: in the index, rooms are called what the log calls them."""
        return replace(message, room=self._chat.log_name(message.room))

    def _opened(self) -> SearchIndex:
        if self._index is None:
            self._index = SearchIndex(self._chat.profile.search_path)
        return self._index
