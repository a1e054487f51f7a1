"""What direct rooms are called for people: `@` and the other's name, as it is now. The log has another name for them.

Names change and rooms do not: this is the one place that knows which is which. It is kept in the home, so that
conversations can be gone on with before the server has said anything.
"""

from dataclasses import replace
from typing import TypeVar

from bisik.errors import NotKnown, WrongUsage
from bisik.events import ChatEvent, DirectCalled, Notice, OwnMessage, Receipt
from bisik.i18n import _
from bisik.store import Store
from bisik_protocol.chat.direct_names import direct_names, is_direct
from bisik_protocol.chat.names import InvalidName, canonical_name, canonical_room
from bisik_protocol.errors import RemoteProtocolError

T = TypeVar("T")


def room_name(text: str) -> str:
    """A room's name for people in its one spelling: `#lobby`, `@sari`. Raises WrongUsage."""
    try:
        if text[:1] in ("@", "\uff20"):  # U+FF20: the full-width form
            return f"@{canonical_name(text[1:])}"
        return canonical_room(text)
    except InvalidName as error:
        raise WrongUsage(str(error)) from None


class Directs:
    """The direct rooms that this home knows of."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: dict[str, str] = {}  # by room
        self._closed: dict[str, int] = {}
        for room, name, closed in store.directs():
            self._names[room] = name
            if closed is not None:
                self._closed[room] = closed

    def knows(self, label: str) -> bool:
        """Whether the room of `@name` is known, or it is a room of another kind."""
        return not is_direct(label) or label[1:] in self._names.values()

    def room(self, label: str) -> str:
        """The log's name of a room that people call so. Raises NotKnown."""
        if not is_direct(label):
            return label
        for room, name in self._names.items():
            if name == label[1:]:
                return room
        raise NotKnown(_("There is no conversation with {name} here yet: /msg {name}").format(name=label[1:]))

    def label(self, room: str) -> str:
        """What people call it."""
        name = self._names.get(room)
        return room if name is None else f"@{name}"

    def name(self, room: str) -> str:
        """The other person's name."""
        return self._names[room]

    def open_rooms(self) -> list[str]:
        """Those that the person has not closed."""
        return [room for room in self._names if room not in self._closed]

    def learn_untrusted(self, room: str, name: str) -> DirectCalled | None:
        """What the server says of a room. What is new about that.

        Raises RemoteProtocolError("direct") for what is no direct room, or nobody's name.
        """
        try:
            direct_names(room)
            if canonical_name(name) != name:
                raise RemoteProtocolError("direct")
        except InvalidName:
            raise RemoteProtocolError("direct") from None
        before = self._names.get(room)
        if before == name:
            return None
        for other, taken in list(self._names.items()):
            if taken == name:  # somebody who was called so before has yet to be asked about
                self._names[other] = other.removeprefix("@")
        self._names[room] = name
        self._store.remember_direct(room, name)
        return DirectCalled(room=f"@{name}", before=None if before is None else f"@{before}")

    def close(self, room: str, newest: int) -> None:
        """The person has closed it, until something newer is said."""
        if room in self._names:
            self._closed[room] = newest
            self._store.close_direct(room, newest)

    def reopen(self, room: str) -> None:
        if self._closed.pop(room, None) is not None:
            self._store.close_direct(room, None)

    def wants(self, room: str, head: int) -> bool:
        """Whether a room in which this is the newest entry is to be followed by itself."""
        return head > self._closed.get(room, -1)

    def told(self, event: T) -> T:
        """The event, with its room called as people do."""
        if isinstance(event, ChatEvent | Notice | OwnMessage | Receipt) and event.room is not None:
            label = self.label(event.room)
            if label != event.room:
                return replace(event, room=label)
        return event
