"""All rooms of the UI: which is on the screen, what arrives where, what counts as unread, what is worth a ring.

It is told of events and changes views; who draws and who asks the network is told by what the methods return.
"""

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from bisik.events import ChatEvent, DirectCalled, Event, LinkChanged, Message, Notice, OwnMessage
from bisik.mentions import speaks_to
from bisik.tui.room import Pending, RoomView, Told

MAX_NOTICES_WAITING: Final = 50


class Ring(Enum):
    """What has come is worth this much noise."""

    NOTHING = 0
    MESSAGE = 1
    MENTION = 2


class Rooms:
    """The rooms by name, in the order in which they were joined. `current` is the one on the screen."""

    def __init__(self, me: str) -> None:
        self.me = me
        self.current: RoomView | None = None
        self.attending = True
        """Whether the person looks at the screen, as far as the terminal tells."""
        self._rooms: dict[str, RoomView] = {}
        self._early: list[Told] = []  # told before there was a room to tell it in

    def __iter__(self) -> Iterator[RoomView]:
        return iter(self._rooms.values())

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, name: str) -> RoomView | None:
        return self._rooms.get(name)

    def names(self) -> list[str]:
        return list(self._rooms)

    # Coming and going -------------------------------------------------------------------------------------------

    def open(self, name: str, *, seen: int | None = None) -> RoomView:
        """The view of a room; a new one where there is none. `seen` is the newest entry that the person has seen."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = RoomView(name, seen=seen)
        return room

    def close(self, name: str) -> None:
        """The room is followed no more."""
        room = self._rooms.pop(name, None)
        if room is self.current:
            self.current = None

    def show(self, name: str) -> RoomView:
        """Put a room on the screen. What had not been seen in it gets a mark."""
        if self.current is not None:
            self.current.marker = None
            self.current.trim(hidden=True)
        room = self.current = self.open(name)
        room.marker = room.seen if room.unread and room.seen is not None else None
        self._see(room)
        for told in self._early:
            room.tell(told)
        self._early.clear()
        return room

    def attend(self, attending: bool) -> None:
        """The person looks at the screen, or away from it."""
        self.attending = attending
        if self.current is None:
            return
        if attending:
            self._see(self.current)
        elif not self.current.unread:
            self.current.marker = self.current.seen

    def neighbour(self, step: int, *, unread: bool = False) -> str | None:
        """The room so many places further, round and round; only those with something unread if so wanted."""
        names = [room.name for room in self if not unread or room.unread or room is self.current]
        if self.current is None or self.current.name not in names or len(names) < 2:
            return None
        names_ahead = names[(names.index(self.current.name) + step) % len(names)]
        if not unread:
            return names_ahead
        mentioned = [room.name for room in self if room.mentions and room is not self.current]
        return mentioned[0] if mentioned else names_ahead

    # What arrives -----------------------------------------------------------------------------------------------

    def handle(self, event: Event) -> Ring:
        """Take an event; how much noise it is worth."""
        if isinstance(event, ChatEvent):
            return self._on_entry(event)
        if isinstance(event, Notice):
            self.tell(Told(text=event.text, style="notice"), room=event.room)
        elif isinstance(event, OwnMessage):
            self._on_own(event)
        elif isinstance(event, DirectCalled):
            self._on_called(event)
        elif not isinstance(event, LinkChanged):
            raise TypeError(event)
        return Ring.NOTHING

    def skip(self, event: Message) -> None:
        """A message that the person does not want to see."""
        room = self._rooms.get(event.room)
        if room is not None:
            room.skip(event)

    def tell(self, told: Told, *, room: str | None = None) -> None:
        """A line for the person, in the room that it is about or in the one on the screen."""
        view = self._rooms.get(room) if room is not None else None
        view = view or self.current
        if view is not None:
            view.tell(told)
        elif len(self._early) < MAX_NOTICES_WAITING:
            self._early.append(told)

    def _on_entry(self, event: ChatEvent) -> Ring:
        room = self._rooms.get(event.room)
        if room is None or not room.add(event):
            return Ring.NOTHING
        is_read = room.seen is not None and event.seq <= room.seen
        ring = Ring.NOTHING
        if isinstance(event, Message) and event.author != self.me and not is_read and room.seen is not None:
            ring = Ring.MENTION if speaks_to(event, self.me) else Ring.MESSAGE
            room.unread += 1
            room.mentions += ring is Ring.MENTION
        if room is self.current:
            if self.attending:
                self._see(room)
        else:
            room.trim(hidden=True)
        return ring

    def on_caught_up(self, name: str) -> None:
        """All that was in a room has come. Where the person never was, nothing of that is unread."""
        room = self._rooms.get(name)
        if room is not None and room.seen is None:
            room.seen = room.head

    def _on_own(self, event: OwnMessage) -> None:
        room = self._rooms.get(event.room)
        pending = None if room is None else room.pending.get(event.outbox_id)
        if room is None or pending is None:
            return
        if event.state == "failed":
            room.queue(_changed(pending, state="failed", reason=event.reason))

    def on_stored(self, room_name: str, outbox_id: int, id_: str) -> None:
        """One's own message has this name in the log, and comes, or has come, like everybody's."""
        room = self._rooms.get(room_name)
        pending = None if room is None else room.pending.get(outbox_id)
        if room is None or pending is None:
            return
        if any(isinstance(item, Message) and item.id == id_ for item in reversed(room.items)):
            del room.pending[outbox_id]
        else:
            room.queue(_changed(pending, state="stored", id=id_))

    def _on_called(self, event: DirectCalled) -> None:
        """The other has another name now: the conversation stays what and where it is."""
        if event.before in self._rooms and event.room not in self._rooms:
            self._rooms[event.before].name = event.room
            self._rooms = {room.name: room for room in self._rooms.values()}

    def _see(self, room: RoomView) -> None:
        if room.seen is not None:
            room.seen = max(room.seen, room.head)
        room.unread = room.mentions = 0


def _changed(pending: Pending, **changes: Any) -> Pending:
    return replace(pending, **changes)
