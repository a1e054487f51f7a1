"""One room as the UI keeps it: a window of its entries, what is queued, what is unread, the draft.

Entries of the log come in order and without gaps, each with its number. The window holds the newest of them, or, when
somebody reads far back, a part of the past; it is bounded, and what falls out of it is fetched again. Positions in it
are absolute: they stay what they are when something is put before or taken away.

It knows neither widgets nor the network.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from bisik.events import ChatEvent, Message, Notice

MAX_ITEMS: Final = 1500
MAX_TEXT: Final = 4 * 1024 * 1024  # characters in a window
MAX_HIDDEN_ITEMS: Final = 200  # of a room that is not on the screen
MAX_HIDDEN_TEXT: Final = 256 * 1024
MAX_KEPT_ITEMS: Final = 500  # of what this device has, above a window; /history has more
MAX_CONFIRMED: Final = 300  # own messages whose reach is remembered
MAX_PENDING: Final = 200  # queued messages that are shown; more stay in the outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A line of this client's own: a notice, the answer to a command."""

    text: str
    style: Literal["talk", "notice", "list"] = "talk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One's own message on its way: `stored` until it comes back as everybody's does."""

    outbox_id: int
    text: str
    act: bool = False
    state: Literal["queued", "stored", "failed"] = "queued"
    reason: str | None = None
    id: str | None = None  # once it is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What this device has of the past, shown while the server cannot be asked; between two there may be others."""

    message: Message


Item = ChatEvent | Told | Pending | Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody in the room."""

    name: str
    here: bool = True
    """Reachable, and not away."""
    mark: str = ""
    """`@` for a moderator, `~` for an owner, as IRC has it."""


@dataclass(slots=True)
class Draft:
    """What stands in the input while one is in another room."""

    text: str = ""
    cursor: int = 0


@dataclass(slots=True, eq=False)
class RoomView:
    """`items[i]` has the position `first + i`; pending messages follow behind the last one."""

    name: str
    is_open: bool = False
    """Whether what the home knows about it has been read; before that it is only a name on the screen."""
    seen: int | None = None
    """The newest entry that the person has had on the screen; None: was never here."""
    items: list[Item] = field(default_factory=list)
    first: int = 0
    pending: dict[int, Pending] = field(default_factory=dict)
    oldest: int | None = None
    """Number of the first entry in the window."""
    newest: int = 0
    """Number of the last entry in the window."""
    head: int = 0
    """The newest entry that is known of."""
    unread: int = 0
    mentions: int = 0
    marker: int | None = None
    """Entries behind this one were unread when the person came into the room."""
    members: tuple[Member, ...] = ()
    topic: str = ""
    draft: Draft = field(default_factory=Draft)
    confirmed: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By message: how many of how many have said that they have it."""
    kept: int = 0
    """How many items at the beginning are `Kept`; they make room for what the server says."""
    kept_whole: bool = False
    """Whether this device has nothing older, or enough of it is shown."""
    _text: int = 0

    # Looking ----------------------------------------------------------------------------------------------------

    @property
    def last(self) -> int:
        """The position behind the last item."""
        return self.first + len(self.items) + len(self.pending)

    def item(self, position: int) -> Item:
        index = position - self.first
        if index < len(self.items):
            return self.items[index]
        return list(self.pending.values())[index - len(self.items)]

    @property
    def detached(self) -> bool:
        """Whether the newest entries are not in the window, because somebody reads far back."""
        return self.newest < self.head

    @property
    def begins(self) -> bool:
        """Whether the window reaches back to the room's first entry."""
        return self.oldest is not None and self.oldest <= 1

    # What comes -------------------------------------------------------------------------------------------------

    def add(self, event: ChatEvent) -> bool:
        """A new entry at the end. False where it is not news: it was here before, or the window ends earlier."""
        if isinstance(event, Message):
            self._came_back(event)
        attached = not self.detached
        if event.seq <= self.head:
            return False
        self.head = event.seq
        if not attached:
            return True
        self.newest = event.seq
        if self.oldest is None:
            self.drop_kept()
            self.oldest = event.seq
        self._append(event)
        return True

    def skip(self, event: ChatEvent) -> None:
        """An entry that is not to be shown."""
        if not self.detached and event.seq > self.head:
            self.newest = event.seq
            self.oldest = event.seq if self.oldest is None else self.oldest
        self.head = max(self.head, event.seq)

    def tell(self, told: Told) -> None:
        """A line of this client at the end."""
        self._append(told)

    def queue(self, pending: Pending) -> None:
        """One's own message was queued, or became something else."""
        if pending.outbox_id in self.pending or len(self.pending) < MAX_PENDING:
            self.pending[pending.outbox_id] = pending

    def put_before(self, events: Sequence[ChatEvent | Notice]) -> int:
        """A page of the past. Returns how many items it was."""
        self.drop_kept()
        items = _items(events, before=self.oldest)
        numbers = _numbers(events)
        if numbers:
            self.oldest = min(numbers[0], self.oldest or numbers[0])
            self.newest = max(self.newest, numbers[-1])
            self.head = max(self.head, self.newest)
        self.items[:0] = items
        self.first -= len(items)
        self._text += _size(items)
        return len(items)

    def put_behind(self, events: Sequence[ChatEvent | Notice]) -> int:
        """The page behind the window's end."""
        items = _items(events, after=self.newest)
        for item in items:
            self._append(item)
        numbers = _numbers(events)
        if numbers:
            self.newest = max(self.newest, numbers[-1])
            self.head = max(self.head, self.newest)
        return len(items)

    @property
    def kept_before(self) -> int | None:
        """The number below which this device is to be asked for more; None: for the newest that it has."""
        first = self.items[0] if self.kept else None
        return first.message.seq if isinstance(first, Kept) else self.oldest

    def put_kept(self, messages: Sequence[Message]) -> None:
        """What this device has from before; nothing means that there is no more."""
        self.items[:0] = [Kept(message=message) for message in messages]
        self.first -= len(messages)
        self.kept += len(messages)
        self._text += _size(messages)
        self.kept_whole = not messages or self.kept >= MAX_KEPT_ITEMS or self._text >= MAX_TEXT

    def drop_kept(self) -> None:
        """The server can be asked again."""
        self._text -= _size(self.items[: self.kept])
        del self.items[: self.kept]
        self.first += self.kept
        self.kept, self.kept_whole = 0, False

    def clear(self) -> None:
        """Forget the window; what comes next begins another one."""
        self.kept, self.kept_whole = 0, False
        self.first += len(self.items)
        self.items.clear()
        self.oldest, self.newest, self._text = None, 0, 0

    def confirm(self, id_: str, delivered: int, members: int) -> None:
        """So many of so many others have one's own message on their devices."""
        self.confirmed.pop(id_, None)
        self.confirmed[id_] = (delivered, members)
        if len(self.confirmed) > MAX_CONFIRMED:
            del self.confirmed[next(iter(self.confirmed))]

    # Bounds -----------------------------------------------------------------------------------------------------

    def trim(self, *, hidden: bool, keep: int | None = None) -> None:
        """Let the window be no larger than it may be. `keep` is a position that must stay: then the far end goes."""
        most, text = (MAX_HIDDEN_ITEMS, MAX_HIDDEN_TEXT) if hidden else (MAX_ITEMS, MAX_TEXT)
        while len(self.items) > 1 and (len(self.items) > most or self._text > text):
            if keep is not None and keep - self.first < len(self.items) // 2:
                self._drop_newest()
            else:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        step = max(1, len(self.items) // 8)
        self._text -= _size(self.items[:step])
        del self.items[:step]
        self.first += step
        self.kept, self.kept_whole = max(0, self.kept - step), False
        self.oldest = next((item.seq for item in self.items if isinstance(item, ChatEvent)), None)
        if self.oldest is None:
            self.oldest = self.newest + 1

    def _drop_newest(self) -> None:
        step = max(1, len(self.items) // 8)
        self._text -= _size(self.items[-step:])
        del self.items[-step:]
        self.kept = min(self.kept, len(self.items))
        held = (item.seq for item in reversed(self.items) if isinstance(item, ChatEvent))
        self.newest = next(held, (self.oldest or 1) - 1)

    def _append(self, item: Item) -> None:
        self.items.append(item)
        self._text += _size((item,))

    def _came_back(self, event: Message) -> None:
        for outbox_id, pending in self.pending.items():
            if pending.id == event.id:
                del self.pending[outbox_id]
                return


def _items(events: Sequence[ChatEvent | Notice], *, before: int | None = None, after: int = 0) -> list[Item]:
    kept: list[Item] = []
    for event in events:
        if isinstance(event, Notice):
            kept.append(Told(text=event.text, style="notice"))
        elif event.seq > after and (before is None or event.seq < before):
            kept.append(event)
    return kept


def _numbers(events: Sequence[ChatEvent | Notice]) -> list[int]:
    return [event.seq for event in events if not isinstance(event, Notice)]


def _size(items: Iterable[Item]) -> int:
    said = (item.message if isinstance(item, Kept) else item for item in items)
    return sum(len(item.text) if isinstance(item, Message | Told | Pending) else 16 for item in said)
