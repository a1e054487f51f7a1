"""Windows of the past: the parts of a room that somebody scrolls to, from the server or, offline, from this device.

Of each room one part is under way at a time. Which part a window lacks is known by the `RoomView`; that an end of it
is near is said by the screen.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import trio

from bisik.chat import Chat
from bisik.errors import BisikError
from bisik.events import ChatEvent, Event, Notice
from bisik.tui.room import RoomView, Told
from bisik.tui.rooms import Rooms
from bisik_protocol.chat.messages import MAX_PAGE_ENTRIES

if TYPE_CHECKING:
    from bisik.tui.session import Face


class Past:
    """Of all rooms of one chat. Its tasks are the nursery's; none of its methods waits."""

    def __init__(
        self,
        chat: Chat,
        rooms: Rooms,
        face: "Face",
        nursery: trio.Nursery,
        *,
        hides: Callable[[Event], bool],
        tell: Callable[[Told], None],
    ) -> None:
        """`hides` says what the person does not want to see, `tell` takes what went wrong."""
        self._chat = chat
        self._rooms = rooms
        self._face = face
        self._nursery = nursery
        self._hides = hides
        self._tell = tell
        self._fetching: set[str] = set()

    def is_fetching(self, room: str) -> bool:
        """Whether a part of this room is under way."""
        return room in self._fetching

    def fetch(self, room: RoomView, *, older: bool) -> None:
        """An end of a room's window is near: get what follows there."""
        if older and self._chat.offline:
            if not room.kept_whole:
                self._begin(room, self._fetch_kept, self._face.draw_room)
        elif room.oldest is not None:
            self._begin(room, self._fetch_older if older else self._fetch_newer, self._face.draw_room)

    def newest(self, room: RoomView) -> None:
        """Forget the part of the past that is in the window, and get the newest page."""
        if room.detached:
            self._begin(room, self._fetch_newest, self._face.show_room)

    def on_link(self) -> None:
        """What this device has stands in for the server only as long as that cannot be asked."""
        for room in self._rooms:
            if room.kept and not self._chat.offline and room.oldest is not None:
                room.drop_kept()
        if self._rooms.current is not None:
            self._face.draw_room(self._rooms.current)

    # Inside -----------------------------------------------------------------------------------------------------

    def _begin(
        self, room: RoomView, fetch: Callable[[RoomView], Awaitable[None]], draw: Callable[[RoomView], None]
    ) -> None:
        if room.name not in self._fetching:
            self._fetching.add(room.name)
            self._nursery.start_soon(self._run, room, fetch, draw)

    async def _run(
        self, room: RoomView, fetch: Callable[[RoomView], Awaitable[None]], draw: Callable[[RoomView], None]
    ) -> None:
        try:
            await fetch(room)
        except BisikError as error:
            self._tell(Told(text=str(error), style="notice"))
        finally:
            self._fetching.discard(room.name)
            draw(room)

    async def _fetch_older(self, room: RoomView) -> None:
        end = (room.oldest or 1) - 1
        room.put_before(await self._page(room, max(0, end - MAX_PAGE_ENTRIES), end))
        self._trim(room)

    async def _fetch_newer(self, room: RoomView) -> None:
        after = room.newest
        room.put_behind(await self._page(room, after, min(room.head, after + MAX_PAGE_ENTRIES)))
        self._trim(room)

    async def _fetch_newest(self, room: RoomView) -> None:
        head = room.head
        events = await self._page(room, max(0, head - MAX_PAGE_ENTRIES), head)
        room.clear()
        room.put_before(events)

    async def _fetch_kept(self, room: RoomView) -> None:
        try:
            kept = await self._chat.searching.last(room.name, MAX_PAGE_ENTRIES, before=room.kept_before)
        except BisikError:
            room.kept_whole = True  # once is enough to be told of it
            raise
        if self._chat.offline:
            room.put_kept([message for message in kept if not self._hides(message)])

    def _trim(self, room: RoomView) -> None:
        room.trim(hidden=room is not self._rooms.current, keep=self._face.reading)

    async def _page(self, room: RoomView, after: int, end: int) -> Sequence[ChatEvent | Notice]:
        if end <= after:
            return []
        archive = self._chat.history(room.name)
        return await archive.window(after, end, archive.request(end + 1, end - after))
