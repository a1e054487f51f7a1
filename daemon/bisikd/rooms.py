"""Rooms and who is in them: numbering, live fan-out, presence. Knows connections only as something to send bytes on.

An entry is encoded once; the same bytes object goes to every session in the room. A session whose backlog is above
its bound is skipped from then on and catches up from the log (see `feed`): it never costs the others anything, and
what waits for it is bounded. The invariant of a live membership: its cursor is the room's head.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import trio

from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.messages import Entry, JoinEntry, LeaveEntry, Presence
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.statements import Statement
from bisikd.chains import Chains, Tip
from bisikd.confirmations import Confirmations
from bisikd.journal import StorageFull
from bisikd.log.facts import entry_record
from bisikd.log.format import Record
from bisikd.presence import Presence as RoomPresence

if TYPE_CHECKING:
    from bisik_protocol.transport.connection import Connection
    from bisikd.confirmations import Counts
    from bisikd.feed import Feed
    from bisikd.journal import Journal, Submission
    from bisikd.posts import MessagePost

LANE_BACKLOG_BYTES: Final = 64 * 1024  # what may wait on a lane before its session is behind


@dataclass(slots=True, eq=False, kw_only=True)
class Membership:
    """One session in one room. `cursor` is the newest entry that was given to its lane."""

    room: "Room"
    lane: int
    presence: Presence
    name: str  # the user's
    device: bytes  # key hash
    tip: "Tip[MessagePost]"  # where this device's chain stands in the room
    connection: "Connection"
    feed: "Feed"
    cursor: int
    live: bool = False
    blocked: bool = False  # behind, and waits until its lane has drained
    away: str | None = None
    told: "Counts" = field(default_factory=dict)  # how far its user's messages have come, as it knows
    open: bool = True

    def send(self, entry: bytes) -> None:
        """Queue an entry on the lane, whatever waits there already."""
        self.connection.send(self.lane, entry)

    @property
    def has_room(self) -> bool:
        return self.connection.backlog(self.lane) <= LANE_BACKLOG_BYTES


class Room:
    """One room. `head` is the newest entry that anyone was shown, which is the newest stored one.

    A direct room shows nobody's presence. `underway` counts what is on its way to the log: submitted, and neither
    stored nor refused yet.
    """

    def __init__(self, name: str, *, head: int, presence: RoomPresence) -> None:
        self.name = name
        self.direct = is_direct(name)
        self.head = head
        self.newest_ms: int | None = None  # when its newest entry was stored, where that is known
        self.underway = 0
        self.presence = presence
        self.chains: Chains[MessagePost] = Chains()
        self.memberships: dict[Membership, None] = {}
        self.confirmations = Confirmations()
        self._numbered = head

    def next_seq(self) -> int:
        """The number of the entry that is being made for the log."""
        self._numbered += 1
        return self._numbered

    def deliver(self, seq: int, entry: bytes, posters: "Iterable[Membership]" = ()) -> None:
        """Entry `seq` is stored: show it to all who follow, and to the writers whose post it is."""
        self.head = seq
        self.underway -= 1
        for member in self.memberships:
            if member.live:
                if member.has_room:
                    member.send(entry)
                    member.cursor = seq
                else:
                    member.live, member.blocked = False, True
                    member.feed.add(member)
        for poster in posters:
            if poster.open and poster.presence is Presence.WRITER:
                poster.send(entry)

    def on_refused(self, now: float) -> None:
        """The log took nothing of what was on its way to it."""
        self._numbered = self.head
        self.underway = 0
        self.chains.on_refused()
        self.presence.on_refused(now)

    @property
    def begun(self) -> bool:
        """Whether there is anything in the log that says it is there."""
        return self.head > 0 or self.name == LOBBY

    def last_heard(self, now: float) -> dict[str, float]:
        """Who is present, by the log, and when anything was last heard from a device of theirs here."""
        shown = {member.name for member in self.memberships} if self.direct else self.presence.stored
        heard = {name: self.presence.vanished_since(name) for name in shown}
        for member in self.memberships:
            if member.presence is Presence.MEMBER and member.name in heard:
                before, last = heard[member.name], member.connection.last_heard
                heard[member.name] = last if before is None else max(before, last)
        return {name: now if last is None else last for name, last in heard.items()}

    def away(self) -> dict[str, str]:
        """Who said that they are away, in all of their sessions here."""
        said: dict[str, str | None] = {}
        for member in self.memberships:
            if member.presence is Presence.MEMBER:
                said[member.name] = member.away and said.get(member.name, member.away)
        return {name: text for name, text in said.items() if text is not None}

    @property
    def unused(self) -> bool:
        """Nobody is here or about to be, nothing was ever stored, nothing is on its way."""
        return not (self.head or self.underway or self.memberships or len(self.chains))


class Hub:
    """All rooms. `on_entry` is told of each stored entry, for the operator's console."""

    def __init__(
        self,
        heads: dict[str, int],
        present: dict[str, set[str]],
        *,
        journal: "Journal",
        max_rooms: int,
        now: Callable[[], float],
        on_entry: Callable[[Entry, Statement | None], None],
    ) -> None:
        self.on_entry = on_entry
        self.now = now
        self._journal = journal
        self.max_rooms = max_rooms
        self._rooms = {
            name: Room(name, head=head, presence=RoomPresence(present.get(name, ()), now()))
            for name, head in {LOBBY: 0, **heads}.items()
        }

    def __iter__(self) -> Iterator[Room]:
        return iter(self._rooms.values())

    def get(self, name: str) -> Room | None:
        return self._rooms.get(name)

    @property
    def lobby(self) -> Room:
        return self._rooms[LOBBY]

    @property
    def full(self) -> bool:
        return sum(not room.direct for room in self._rooms.values()) >= self.max_rooms

    def create(self, name: str) -> Room:
        """A new room; it is there for good once its first entry is stored."""
        room = self._rooms[name] = Room(name, head=0, presence=RoomPresence())
        return room

    def discard_unused(self, room: Room) -> None:
        if room.unused and room.name != LOBBY:
            self._rooms.pop(room.name, None)

    def enter(self, member: Membership) -> None:
        """Put a session into its room: live where it has seen everything, else after its feed caught up."""
        room = member.room
        room.memberships[member] = None
        if member.presence is not Presence.WRITER:
            member.live = member.cursor >= room.head
            if not member.live:
                member.feed.add(member)
        if member.presence is Presence.MEMBER and not room.direct and room.presence.enter(member.name):
            self._submit(room, member.name, joins=True)

    def leave(self, member: Membership, *, lingers: bool) -> None:
        """Take a session out of its room; `lingers` where its user may be back in a moment."""
        room = member.room
        member.open = member.live = False
        del room.memberships[member]
        member.feed.drop(member)
        room.chains.release(member.device)
        shown = member.presence is Presence.MEMBER and not room.direct
        if shown and room.presence.leave(member.name, self.now(), lingers=lingers):
            self._submit(room, member.name, joins=False)
        self.discard_unused(room)

    def dismiss(self, room: Room, name: str) -> None:
        """Whose last session here is gone does not linger."""
        if room.presence.dismiss(name):
            self._submit(room, name, joins=False)

    async def write(self, room: Room, make: Callable[[int, int], Entry]) -> None:
        """Store the entry that `make` makes of its number and the time, and show it. Raises StorageFull."""
        written = _Written(self, room, make)
        self.submit(room, written)
        await written.decided.wait()
        if not written.stored:
            raise StorageFull("There is no room left on the disk of this server.")

    def settle(self) -> None:
        """Write the leaves of those who did not come back, and what the log had no room for before."""
        now = self.now()
        for room in list(self._rooms.values()):
            joins, leaves = room.presence.settle(now)
            for name in joins:
                self._submit(room, name, joins=True)
            for name in leaves:
                self._submit(room, name, joins=False)

    def submit(self, room: Room, submission: "Submission") -> None:
        """Send something of `room` on its way to the log."""
        room.underway += 1
        self._journal.submit(submission)

    def on_refused(self, room: Room) -> None:
        """Called for each submission that was refused; they are refused together, so one call undoes them all."""
        room.on_refused(self.now())
        self.discard_unused(room)

    def _submit(self, room: Room, name: str, *, joins: bool) -> None:
        self.submit(room, _PresenceChange(self, room, name, joins=joins))


class _PresenceChange:
    """A join or a leave on its way to the log."""

    size = 256

    def __init__(self, hub: Hub, room: Room, name: str, *, joins: bool) -> None:
        self._hub = hub
        self._room = room
        self._name = name
        self._joins = joins

    def record(self, now_ms: int) -> Record:
        kind = JoinEntry if self._joins else LeaveEntry
        self._entry: JoinEntry | LeaveEntry = kind(
            room=self._room.name, seq=self._room.next_seq(), time=now_ms, author=self._name
        )
        record = entry_record(self._entry)
        self._encoded = record.payload
        return record

    def on_stored(self) -> None:
        self._room.presence.on_stored(self._name, present=self._joins)
        self._room.deliver(self._entry.seq, self._encoded)
        self._hub.on_entry(self._entry, None)

    def on_refused(self) -> None:
        self._hub.on_refused(self._room)


class _Written:
    """An entry that somebody waits for on its way to the log."""

    size = 1024

    def __init__(self, hub: Hub, room: Room, make: Callable[[int, int], Entry]) -> None:
        self.decided = trio.Event()
        self.stored = False
        self._hub = hub
        self._room = room
        self._make = make

    def record(self, now_ms: int) -> Record:
        self._entry = self._make(self._room.next_seq(), now_ms)
        record = entry_record(self._entry)
        self._encoded = record.payload
        return record

    def on_stored(self) -> None:
        self._room.deliver(self._entry.seq, self._encoded)
        self._hub.on_entry(self._entry, None)
        self.stored = True
        self.decided.set()

    def on_refused(self) -> None:
        self._hub.on_refused(self._room)
        self.decided.set()
