"""One room's entries on their way to the reader: in order, once, without a gap, and never more than a few at a time.

Entries come on the room's lane in the room's order. What comes twice is dropped. What comes faster than it is read is
dropped too and fetched again later, page by page, from the server's log: a slow reader costs memory nowhere. A gap
is closed in the same way.

It knows sequence numbers, and neither signatures nor what anybody does with the entries.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from bisik.store import Link
from bisik_protocol.chat.messages import MAX_PAGE_ENTRIES, Entry, GetHistory, Joined, JoinRoom, Presence
from bisik_protocol.chat.statements import AnyStatement
from bisik_protocol.errors import RemoteProtocolError

MAX_INBOX_ENTRIES: Final = 64
MAX_AUTHORS_HEARD: Final = 10_000  # of one room


class RoomFeed:
    """What one session follows in one room."""

    def __init__(
        self, room: str, presence: Presence, *, position: int | None = None, history: int = MAX_PAGE_ENTRIES
    ) -> None:
        """`position` is the newest entry that is not wanted any more; None: begin with the last `history`."""
        self.room = room
        self.presence = presence
        self.lane: int | None = None
        self.head = 0
        """The newest entry that the server is known to have."""
        self._history = history
        self._position = position  # the newest entry that was taken out
        self._inbox: deque[Entry] = deque()
        self._lagging = False  # entries were dropped or never came: pages of history take their place
        self._page: deque[Entry] = deque()
        self._page_end: int | None = None  # of the page that was asked for

    @property
    def position(self) -> int | None:
        return self._position

    @property
    def caught_up(self) -> bool:
        """Whether the room was joined, and everything that the server is known to have was taken out."""
        return self.lane is not None and self._position is not None and self._position >= self.head

    def join_request(self, number: int) -> JoinRoom:
        return JoinRoom(number, self.room, self.presence, self._position, self._history)

    def on_joined(self, joined: Joined) -> bool:
        """Begin, or go on after a reconnect. False when the server's log is shorter than what it once showed us."""
        first_time = self.lane is None
        self.lane = joined.lane
        self.head = max(self.head, joined.head)
        if self._position is None:
            self._position = max(0, joined.head - self._history)
        elif first_time and joined.head < self._position:
            self._position = self.head = joined.head
            return False
        return True

    def on_disconnected(self) -> None:
        """What was not taken out comes again after the next JoinRoom."""
        self.lane = None
        self.head = 0
        self._inbox.clear()
        self._page.clear()
        self._page_end = None
        self._lagging = False

    def on_entry(self, entry: Entry, *, own: bool) -> None:
        """An entry came on the lane. `own`: it answers a post of ours, so it may be any entry of the room."""
        if self.presence is Presence.WRITER or self._position is None:
            return
        newest = self._inbox[-1].seq if self._inbox else self._position
        if entry.seq <= newest:
            return
        self.head = max(self.head, entry.seq)
        if self._lagging:
            return
        if entry.seq == newest + 1 and len(self._inbox) < MAX_INBOX_ENTRIES:
            self._inbox.append(entry)
        elif entry.seq == newest + 1 or not own:
            self._lagging = True

    def peek(self) -> Entry | None:
        """The next entry for the reader, if it has come."""
        return self._inbox[0] if self._inbox else None

    def waiting(self) -> Iterable[Entry]:
        """All that `peek` and `take` would give, one after the other."""
        return tuple(self._inbox)

    def take(self) -> Entry:
        """Take the entry that `peek` showed."""
        entry = self._inbox.popleft()
        self._position = entry.seq
        return entry

    # Pages of history in place of what was dropped ----------------------------------------------------------------

    def page_wanted(self) -> bool:
        """Whether a page is to be asked for now, with `page_request`."""
        if not self._lagging or self._inbox or self._page_end is not None or self.lane is None:
            return False
        self._lagging = self._after < self.head
        return self._lagging

    def page_request(self, number: int) -> GetHistory:
        """The entries right behind the position; of a page that came in parts, those that are still missing."""
        self._page_end = self._page[0].seq - 1 if self._page else min(self._after + MAX_PAGE_ENTRIES, self.head)
        return GetHistory(number, self.room, self._page_end + 1, self._page_end - self._after)

    def on_page_untrusted(self, entries: list[Entry]) -> None:
        """The reply to `page_request`, oldest first. Raises RemoteProtocolError("history") for any other entries."""
        end, self._page_end = self._page_end, None
        if end is None or not entries:
            raise RemoteProtocolError("history")
        first = end - len(entries) + 1
        if first <= self._after or [entry.seq for entry in entries] != list(range(first, end + 1)):
            raise RemoteProtocolError("history")
        self._page.extendleft(reversed(entries))
        if first == self._after + 1:
            self._inbox.extend(self._page)
            self._page.clear()

    @property
    def _after(self) -> int:
        return self._position or 0


class Heard:
    """For each author's device in a room, the newest statement: what the next one must continue."""

    def __init__(self, statements: dict[bytes, Link]) -> None:
        self._newest = statements

    def continues(self, statement: AnyStatement, digest: bytes) -> bool:
        """Whether nothing is missing before this statement. From now on it is the newest."""
        before = self._newest.pop(statement.author, None)
        self._newest[statement.author] = (statement.seq, digest)
        if len(self._newest) > MAX_AUTHORS_HEARD:
            del self._newest[next(iter(self._newest))]
        return before is None or (statement.seq, statement.previous) == (before[0] + 1, before[1])

    def forget(self) -> None:
        self._newest.clear()
