"""Control frames that have to arrive: credit and connection IDs. Only the newest of each kind matters.

A lost credit frame is not sent again as it was: whatever is newest under its key goes out instead.
"""

from collections.abc import Iterable

Key = tuple[int, int]  # frame type, and lane or sequence
SentFrame = tuple[Key, bytes]


class ControlFrames:
    """The newest frame under each key, until that very frame is acknowledged."""

    __slots__ = ("_newest", "waiting")

    def __init__(self) -> None:
        self._newest: dict[Key, bytes] = {}  # not acknowledged yet
        self.waiting: dict[Key, None] = {}
        """The keys of what is to be sent, oldest first."""

    def put(self, key: Key, frame: bytes) -> None:
        """Replace what stood under `key` and send it."""
        self._newest[key] = frame
        self.waiting[key] = None

    def take(self, room: int) -> list[SentFrame]:
        """The waiting frames that fit into `room` bytes, with their keys."""
        taken: list[SentFrame] = []
        for key in list(self.waiting):
            frame = self._newest[key]
            if len(frame) > room:
                break
            room -= len(frame)
            taken.append((key, frame))
            del self.waiting[key]
        return taken

    def on_acknowledged(self, sent: Iterable[SentFrame]) -> None:
        for key, frame in sent:
            # That an older frame arrived says nothing about the newest, which still has to.
            if self._newest.get(key) == frame:
                del self._newest[key]
                self.waiting.pop(key, None)

    def on_lost(self, sent: Iterable[SentFrame]) -> None:
        for key, frame in sent:
            if self._newest.get(key) == frame:
                self.waiting[key] = None
