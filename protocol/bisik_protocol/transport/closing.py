"""Goodbyes: CLOSE is repeated until the far side answers it with its own, or it is clear that nobody listens."""

from typing import Final

MAX_GOODBYES: Final = 10


class Closing:
    """One `frame` to send: `answer` once, otherwise up to MAX_GOODBYES times, a probe timeout apart."""

    __slots__ = ("_left", "frame", "next_at")

    def __init__(self, frame: bytes, *, answer: bool = False) -> None:
        self.frame = frame
        self._left = 1 if answer else MAX_GOODBYES
        self.next_at: float | None = None  # None before the first and after the last

    @property
    def has_more(self) -> bool:
        return self._left > 0

    def due(self, now: float) -> bool:
        return self._left > 0 and (self.next_at is None or now >= self.next_at)

    def on_sent(self, now: float, interval: float) -> None:
        self._left -= 1
        self.next_at = now + interval

    def handle_timeout(self, now: float) -> bool:
        """Whether the last goodbye has had its time and the connection is over."""
        return self._left == 0 and self.next_at is not None and now >= self.next_at
