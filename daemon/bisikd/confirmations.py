"""Who has what in a room: positions that members confirm, and telling authors how far their messages have come.

Kept in memory only. A position says "everything up to here", so it can be said again at any time: after a restart of
the daemon each client says it again when it comes back, and nothing in the log depends on it. What an author is told
is gathered for a moment first, so that a message to a hundred people is not answered a hundred times.
"""

from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    MAX_CONFIRMED,
    Confirm,
    Delivered,
    DeliveredCount,
    Presence,
    encode,
)

if TYPE_CHECKING:
    from bisikd.rooms import Membership, Room

TELL_EVERY_S: Final = 0.25
MAX_NAMES: Final = 4_096  # of a room; above it the one that was not heard from for longest is forgotten
MAX_AUTHORS: Final = 512
MAX_FOLLOWED: Final = 32  # messages of an author whose way is followed
MAX_BACKLOG_BYTES: Final = 16 * 1024  # who does not take what waits for him already is not told more

Counts = dict[int, tuple[int, int]]
"""From an entry's number to how many have it, of how many."""


class Confirmations:
    """One room's positions. Names are users, whatever number of devices they have there."""

    def __init__(self) -> None:
        self._delivered: OrderedDict[str, int] = OrderedDict()
        self._by_hand: dict[str, int] = {}
        self._posted: OrderedDict[str, deque[int]] = OrderedDict()

    def on_confirm(self, name: str, delivered: int, by_hand: int) -> bool:
        """Somebody has everything up to `delivered`. Whether that is new to anybody."""
        before = self._delivered.pop(name, 0)
        self._delivered[name] = max(before, delivered, by_hand)
        if by_hand > self._by_hand.get(name, 0):
            self._by_hand[name] = by_hand
        if len(self._delivered) > MAX_NAMES:
            self._by_hand.pop(self._delivered.popitem(last=False)[0], None)
        return self._delivered[name] > before

    def on_posted(self, name: str, seq: int) -> None:
        """An entry of this author is stored: from now on its way is followed."""
        posted = self._posted.pop(name, None) or deque(maxlen=MAX_FOLLOWED)
        posted.append(seq)
        self._posted[name] = posted
        if len(self._posted) > MAX_AUTHORS:
            self._posted.popitem(last=False)

    def counts(self, author: str, present: set[str]) -> Counts:
        """For the author's latest entries, how many others have each, of those who are there or have it."""
        posted = self._posted.get(author)
        if not posted:
            return {}
        others = {name: position for name, position in self._delivered.items() if name != author}
        positions = sorted(others.values())
        absent = sorted(position for name, position in others.items() if name not in present)
        there = len(present - {author})
        return {
            seq: (len(positions) - bisect_left(positions, seq), there + len(absent) - bisect_left(absent, seq))
            for seq in posted
        }

    def who(self, seq: int) -> tuple[list[str], list[str]]:
        """Who has the entry, and who said so by hand; of many, those that were heard from lately."""
        delivered = [name for name, position in reversed(self._delivered.items()) if position >= seq]
        by_hand = [name for name in delivered if self._by_hand.get(name, 0) >= seq]
        return delivered[:MAX_CONFIRMED], by_hand[:MAX_CONFIRMED]


class ConfirmationDesk:
    """Takes confirmations of all sessions, and tells authors. `flush` sends what was queued; `present` says who is in
    a room."""

    def __init__(self, flush: Callable[[], None], present: "Callable[[Room], set[str]]") -> None:
        self._flush = flush
        self._present = present
        self._due: dict[Room, None] = {}
        self._wake = trio.Event()

    def take(self, member: "Membership", confirm: Confirm) -> None:
        """A member's confirmation; nobody else has one to give."""
        if member.presence is not Presence.MEMBER:
            return
        room = member.room
        newest = room.head
        if room.confirmations.on_confirm(member.name, min(confirm.delivered, newest), min(confirm.by_hand, newest)):
            self.tell_later(room)

    def tell_later(self, room: "Room") -> None:
        """Something of the room is to be told to its authors."""
        self._due[room] = None
        self._wake.set()

    async def run(self) -> None:
        """Tell authors, until cancelled."""
        while True:
            await self._wake.wait()
            await trio.sleep(TELL_EVERY_S)
            self._wake = trio.Event()
            due, self._due = self._due, {}
            for room in due:
                tell_authors(room, self._present(room))
            self._flush()


def tell_authors(room: "Room", present: set[str]) -> None:
    """Tell each member what has changed since it was told last."""
    for member in room.memberships:
        if member.presence is not Presence.MEMBER:
            continue
        counts = room.confirmations.counts(member.name, present)
        changed = [(seq, count) for seq, count in counts.items() if count[0] and member.told.get(seq) != count]
        if changed and member.connection.backlog(CONTROL_LANE) <= MAX_BACKLOG_BYTES:
            member.told = counts
            told = Delivered(room.name, [DeliveredCount(seq, *count) for seq, count in changed])
            member.connection.send(CONTROL_LANE, encode(told))
