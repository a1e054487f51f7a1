"""Direct rooms: who the two people are, which room is theirs, and for which devices something must be sealed.

A direct room is called after two accounts as they were when it began; names that an account has had stay its own, so
the room stays theirs through renames. To everybody else it is as if it were not there. Asks and counts only.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bisik_protocol.chat.direct_names import direct_names, direct_room
from bisik_protocol.chat.messages import MAX_SEALING_DEVICES
from bisik_protocol.chat.names import InvalidName

if TYPE_CHECKING:
    from bisikd.rooms import Hub, Room
    from bisikd.userfile import Device, User
    from bisikd.users import UserStore

MAX_REMEMBERED_OPENINGS: Final = 4096


class Directs:
    """What is known of direct rooms, over accounts and rooms that are given."""

    def __init__(self, users: "UserStore", hub: "Hub") -> None:
        self._users = users
        self._hub = hub
        self._of_name: dict[str, dict[str, None]] = {}  # a name in a room's name, to the rooms that have begun
        self._opened: OrderedDict[tuple[str, str], None] = OrderedDict()  # by whom, which; not begun yet perhaps
        for room in hub:
            if room.direct and room.begun:
                self.on_begun(room.name)

    def on_begun(self, room: str) -> None:
        """The first entry of a direct room is stored."""
        for name in _names_in(room):
            self._of_name.setdefault(name, {})[room] = None

    def of(self, user: "User") -> "list[Room]":
        """The conversations of a person that have begun."""
        names = [room for name in user.names for room in self._of_name.get(name, ())]
        return [room for name in dict.fromkeys(names) if (room := self._hub.get(name)) is not None]

    def between(self, one: "User", other: "User") -> str:
        """The name of the room of two people: the one that they have, or that would begin."""
        for name in one.names:
            for room in self._of_name.get(name, ()):
                if not {*_names_in(room)}.isdisjoint(other.names):
                    return room
        return direct_room(one.name, other.name)

    def other(self, user: "User", room: str) -> "User | None":
        """The other person of a room of this one's, also one whose account was closed; None: nobody has the name."""
        name = self.other_name(user, room)
        return self._account(name) or self._users.get_closed(name)

    def other_name(self, user: "User", room: str) -> str:
        """How the room calls the other person."""
        one, other = _names_in(room)
        return one if other in user.names else other

    def people(self, room: str) -> "Iterator[User]":
        """The accounts of a room's people, of those that are still open."""
        for name in _names_in(room):
            if (user := self._account(name)) is not None:
                yield user

    def recipients(self, room: str) -> list[bytes]:
        """The devices that a statement must be sealed to, in order; empty where one of the two has none."""
        devices = [[device.key_hash for device in sealable(user)] for user in self.people(room)]
        if len(devices) < len(_names_in(room)) or not all(devices):
            return []
        return sorted(key_hash for theirs in devices for key_hash in theirs)

    def opened_before(self, name: str, room: str) -> bool:
        """Whether this person has opened the room before, as far as is remembered; from now on they have.

        Who comes back to a conversation in which nothing was said yet has not begun another one.
        """
        before = (name, room) in self._opened
        self._opened[name, room] = None
        if len(self._opened) > MAX_REMEMBERED_OPENINGS:
            self._opened.popitem(last=False)
        return before

    def _account(self, name: str) -> "User | None":
        return self._users.by_any_name(name)


def sealable(user: "User") -> "list[Device]":
    """The devices of an account that something can be sealed to: of many, those that came in last."""
    published = [device for device in user.devices if device.published is not None]
    return sorted(published, key=lambda device: device.added_ms)[-MAX_SEALING_DEVICES:]


def _names_in(room: str) -> tuple[str, str]:
    try:
        return direct_names(room)
    except InvalidName:
        raise AssertionError("a direct room's name was checked when it was asked for") from None
