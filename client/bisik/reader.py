"""What waits for the reader, and how far the reader has come.

An entry counts as read when the reader asks for what comes after it: a program that is killed while it handles an
event is given the event again. Cursors are saved in batches, and whenever the reader has caught up.

Readers have names, because one home may have several: a terminal and a script that follows each have their own place.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from bisik.events import Event
from bisik.store import Link, Store

MAX_EVENTS: Final = 512
MAX_TEXT: Final = 4 * 1024 * 1024  # characters, in all that waits
MAX_SIDE_EVENTS: Final = 256  # about this client itself; the oldest give way
SAVE_EVERY: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reader stands in a room after an event: the entry, and the statement in it if there is one."""

    room: str
    seq: int
    author: bytes | None = None
    statement: Link | None = None


class Reader:
    """One reader's queue and cursors."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name
        self._events: deque[tuple[Event, Place | None]] = deque()
        self._side: deque[Event] = deque(maxlen=MAX_SIDE_EVENTS)
        self._text_size = 0
        self._given: Place | None = None  # the reader has it and has not come back for more
        self._cursors: dict[str, int] = {}
        self._heard: dict[tuple[str, bytes], Link] = {}
        self._unsaved = 0

    def cursor(self, room: str) -> int | None:
        """The newest entry of the room that this reader has read, in this run or an earlier one."""
        return self._store.cursor(self._name, room)

    def begin(self, room: str, seq: int) -> None:
        """This reader starts behind an entry."""
        self._store.advance(self._name, {room: seq}, {})

    def heard(self, room: str) -> dict[bytes, Link]:
        return self._store.heard(self._name, room)

    @property
    def full(self) -> bool:
        return len(self._events) >= MAX_EVENTS or self._text_size >= MAX_TEXT

    @property
    def hungry(self) -> bool:
        """Half of what was waiting is gone: time to fetch more."""
        return len(self._events) <= MAX_EVENTS // 2 and self._text_size <= MAX_TEXT // 2

    @property
    def has_events(self) -> bool:
        return bool(self._events or self._side)

    def put(self, event: Event, place: Place | None = None) -> None:
        """Queue an event in the order of the rooms."""
        self._events.append((event, place))
        self._text_size += len(getattr(event, "text", ""))

    def put_side(self, event: Event) -> None:
        """Queue an event about this client itself: it overtakes, and is dropped rather than let the queue grow."""
        self._side.append(event)

    def next(self) -> Event | None:
        """The next event, or None. Asking means that the one before was dealt with."""
        self.done()
        if self._side:
            return self._side.popleft()
        if not self._events:
            self.save()
            return None
        event, self._given = self._events.popleft()
        self._text_size -= len(getattr(event, "text", ""))
        return event

    def done(self) -> None:
        """What was given last has been dealt with."""
        place, self._given = self._given, None
        if place is None:
            return
        self._cursors[place.room] = place.seq
        if place.author is not None and place.statement is not None:
            self._heard[place.room, place.author] = place.statement
        self._unsaved += 1
        if self._unsaved >= SAVE_EVERY:
            self.save()

    def save(self) -> None:
        """Write down how far the reader has come."""
        if self._unsaved:
            self._store.advance(self._name, self._cursors, self._heard)
            self._cursors.clear()
            self._heard.clear()
            self._unsaved = 0
