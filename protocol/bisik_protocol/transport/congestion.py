"""The congestion window: NewReno as RFC 9002 section 7 has it, with no growth while the application is the limit."""

from typing import Final

INITIAL_WINDOW_DATAGRAMS: Final = 10
MINIMUM_WINDOW_DATAGRAMS: Final = 2
LOSS_REDUCTION_FACTOR: Final = 0.5


class CongestionWindow:
    """Bytes in flight and how many are allowed. Times in seconds, sizes in bytes of whole datagrams."""

    __slots__ = ("_datagram", "_growth", "_limited", "_recovery_start", "_threshold", "in_flight", "window")

    def __init__(self, datagram_bytes: int) -> None:
        self._datagram = datagram_bytes
        self.reset()
        self.in_flight = 0

    def reset(self) -> None:
        """A new path: what was learned of the old one does not hold. What is in flight still is."""
        datagram = self._datagram
        self.window = min(INITIAL_WINDOW_DATAGRAMS * datagram, max(14_720, 2 * datagram))
        self._threshold: float = float("inf")
        self._recovery_start: float = float("-inf")
        self._growth = 0  # bytes acknowledged towards the next datagram of linear growth
        self._limited = False

    def has_room(self, size: int) -> bool:
        """Whether a datagram may go; a refusal is remembered as proof that the window is what limits us."""
        if self.in_flight + size <= self.window:
            return True
        self._limited = True
        return False

    def on_sent(self, size: int) -> None:
        self.in_flight += size

    def on_acknowledged(self, size: int, sent_at: float) -> None:
        self.in_flight -= size
        if not self._limited or sent_at <= self._recovery_start:
            return
        if self.window < self._threshold:
            self.window += size
        else:
            self._growth += size
            if self._growth >= self.window:
                self._growth -= self.window
                self.window += self._datagram
        if self.in_flight + self._datagram < self.window // 2:
            self._limited = False

    def on_lost(self, size: int, sent_at: float, now: float) -> None:
        """One reduction for each round trip, however many of its packets are lost."""
        self.in_flight -= size
        if sent_at <= self._recovery_start:
            return
        self._recovery_start = now
        self.window = max(int(self.window * LOSS_REDUCTION_FACTOR), self.minimum)
        self._threshold = self.window
        self._growth = 0

    def on_forgotten(self, size: int) -> None:
        """A packet that will be neither acknowledged nor counted as lost."""
        self.in_flight -= size

    def on_persistent_congestion(self) -> None:
        self.window = self.minimum
        self._recovery_start = float("-inf")

    @property
    def minimum(self) -> int:
        return MINIMUM_WINDOW_DATAGRAMS * self._datagram
