"""Confirming what has come: how far each room is on this device, said now and then, and again on every connection.

Sans-IO. A position covers all before it, so that one message stands for many, and saying it again does no harm.
The first of a while goes out at once, so that an author sees soon that somebody has it; what follows is gathered.
"""

from dataclasses import dataclass
from typing import Final

from bisik_protocol.chat.messages import Confirm

GATHER_S: Final = 1.0


@dataclass(slots=True)
class _Position:
    delivered: int = 0
    by_hand: int = 0
    said: tuple[int, int] = (0, 0)
    free_at: float = 0.0  # when the next may be said


class Confirming:
    """The rooms of one session."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Position] = {}

    def on_delivered(self, room: str, seq: int) -> None:
        """An entry of somebody else is on this device."""
        position = self._rooms.setdefault(room, _Position())
        position.delivered = max(position.delivered, seq)

    def by_hand(self, room: str, seq: int) -> None:
        """The person confirms everything up to here, at once."""
        position = self._rooms.setdefault(room, _Position())
        position.by_hand = max(position.by_hand, seq)
        position.delivered = max(position.delivered, seq)
        position.free_at = 0.0

    def on_joined(self, room: str) -> None:
        """The server may know nothing of what was said before."""
        position = self._rooms.get(room)
        if position is not None:
            position.said, position.free_at = (0, 0), 0.0

    def forget(self, room: str) -> None:
        self._rooms.pop(room, None)

    def due(self, now: float) -> list[tuple[str, Confirm]]:
        """What is to be said now, by room."""
        due = []
        for room, position in self._rooms.items():
            newest = (position.delivered, position.by_hand)
            if newest != position.said and now >= position.free_at:
                position.said, position.free_at = newest, now + GATHER_S
                due.append((room, Confirm(*newest)))
        return due

    def next_timeout(self) -> float | None:
        """When something that is gathered may be said."""
        waiting = [
            position.free_at
            for position in self._rooms.values()
            if (position.delivered, position.by_hand) != position.said
        ]
        return min(waiting, default=None)
