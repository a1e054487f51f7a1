"""Control frames that have to arrive: credit and connection IDs. Only the newest of each kind matters.

A lost credit frame is not sent again as it was: whatever is newest under its key goes out instead.
"""


class ControlFrames:
    """Frames by key: (frame type, lane or sequence)."""

    __slots__ = ("_newest", "_waiting")

    def __init__(self) -> None:
        self._newest: dict[tuple[int, int], bytes] = {}  # not acknowledged yet
        self._waiting: dict[tuple[int, int], None] = {}  # to be sent, oldest first

    def put(self, key: tuple[int, int], frame: bytes) -> None:
        """Replace what stood under `key` and send it."""
        self._newest[key] = frame
        self._waiting[key] = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self, room: int) -> tuple[list[tuple[int, int]], list[bytes]]:
        """The waiting frames that fit into `room` bytes, with their keys."""
        keys: list[tuple[int, int]] = []
        frames: list[bytes] = []
        for key in list(self._waiting):
            frame = self._newest[key]
            if len(frame) > room:
                break
            room -= len(frame)
            keys.append(key)
            frames.append(frame)
            del self._waiting[key]
        return keys, frames

    def on_acknowledged(self, keys: tuple[tuple[int, int], ...]) -> None:
        for key in keys:
            # Where a newer one is waiting, that one still has to arrive.
            if key not in self._waiting:
                self._newest.pop(key, None)

    def on_lost(self, keys: tuple[tuple[int, int], ...]) -> None:
        for key in keys:
            if key in self._newest:
                self._waiting[key] = None
