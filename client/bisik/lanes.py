"""Which lane is which room's, and what to do with messages on lanes that are nobody's, yet or any more.

Lanes do not wait for one another: a room's first entries may come before the reply that names their lane, and its
last ones after the room was left.
"""

from typing import Final

from bisik_protocol.errors import RemoteProtocolError

MAX_EARLY_BYTES: Final = 4 * 1024 * 1024  # a daemon keeps far less under way in one session


class Lanes:
    """The rooms' lanes of one connection."""

    def __init__(self) -> None:
        self._rooms: dict[int, str] = {}
        self._retired: set[int] = set()
        self._early: dict[int, list[bytes]] = {}
        self._early_bytes = 0

    def open(self, lane: int, room: str) -> list[bytes]:
        """The lane is this room's from now on. What has already come on it, in order."""
        self._rooms[lane] = room
        self._retired.discard(lane)
        early = self._early.pop(lane, [])
        self._early_bytes -= sum(map(len, early))
        return early

    def retire(self, lane: int) -> None:
        """Nobody wants what comes on the lane now."""
        self.open(lane, "")
        del self._rooms[lane]
        self._retired.add(lane)

    def route_untrusted(self, lane: int, data: bytes) -> str | None:
        """The room whose message this is; None where there is nothing to do now.

        Raises RemoteProtocolError("lane") when too much comes on lanes that were never opened.
        """
        room = self._rooms.get(lane)
        if room is None and lane not in self._retired:
            self._early_bytes += len(data)
            if self._early_bytes > MAX_EARLY_BYTES:
                raise RemoteProtocolError("lane")
            self._early.setdefault(lane, []).append(data)
        return room
