"""How a session that is behind catches up: pages of the log, read in a thread, sent as fast as its lanes drain.

A session has one feed, and the feed has a task only while there is something to do. A lane that is full waits for the
transport's `LaneDrained`; the other lanes go on, so that one busy room does not hold up another.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from bisikd.errors import BisikdError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import trio

    from bisikd.rooms import Membership

PAGE_ENTRIES: Final = 32

ReadEntries = Callable[[str, int, int], "Awaitable[list[bytes]]"]


class HistoryMissing(BisikdError):  # noqa: N818 # reads as what it says
    """The log does not have entries that it said are stored."""


class Feed:
    """The lanes of one session that are behind. `read(room, after, count)` gives encoded entries in order."""

    def __init__(self, nursery: "trio.Nursery", *, read: ReadEntries, flush: Callable[[], None]) -> None:
        self._nursery = nursery
        self._read = read
        self._flush = flush
        self._behind: dict[int, Membership] = {}
        self._running = False

    @property
    def behind(self) -> list[str]:
        """The names of the rooms that are behind."""
        return [member.room.name for member in self._behind.values()]

    def add(self, member: "Membership") -> None:
        """`member` is not live any more, or not yet; where it is `blocked`, begin when its lane has drained."""
        self._behind[member.lane] = member
        self._start()

    def drop(self, member: "Membership") -> None:
        self._behind.pop(member.lane, None)

    def on_drained(self, lane: int) -> None:
        if member := self._behind.get(lane):
            member.blocked = False
            self._start()

    def _start(self) -> None:
        if not self._running and self._next() is not None:
            self._running = True
            self._nursery.start_soon(self._run)

    def _next(self) -> "Membership | None":
        return next((member for member in self._behind.values() if not member.blocked), None)

    async def _run(self) -> None:
        try:
            while (member := self._next()) is not None:
                await self._send_page(member)
        finally:
            self._running = False

    async def _send_page(self, member: "Membership") -> None:
        room, after = member.room, member.cursor
        entries = await self._read(room.name, after, PAGE_ENTRIES)
        if self._behind.get(member.lane) is not member:
            return  # it left meanwhile
        shown = entries[: room.head - after]  # the log may be ahead of what anyone was told
        if not shown and after < room.head:
            raise HistoryMissing(
                f"The log has nothing after entry {after} of {room.name}, which goes to {room.head}."
            )
        for entry in shown:
            if not member.has_room:
                member.blocked = True
                break
            member.send(entry)
            member.cursor += 1
        del self._behind[member.lane]
        if member.cursor == room.head:
            member.live, member.blocked = True, False
        else:
            self._behind[member.lane] = member  # last in line: the other lanes have their turn
        self._flush()
