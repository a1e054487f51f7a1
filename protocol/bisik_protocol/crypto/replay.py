"""The replay window: each packet number is accepted once (RFC 4303 section 3.4.3, RFC 6479).

It owns which numbers were seen. It must be asked only about packets that proved authentic: a forged number would
otherwise push the window past the genuine ones.
"""

from typing import Final

REPLAY_WINDOW_PACKETS: Final = 2048


class ReplayWindow:
    """Remembers the newest `size` packet numbers; anything older counts as seen."""

    __slots__ = ("_highest", "_mask", "_seen", "_size")

    def __init__(self, size: int = REPLAY_WINDOW_PACKETS) -> None:
        self._size = size
        self._mask = (1 << size) - 1
        self._highest = -1
        self._seen = 0  # bit i stands for the number _highest - i

    def accept(self, number: int) -> bool:
        """Whether this number is new; it counts as seen from now on. False also for one behind the window."""
        ahead = number - self._highest
        if ahead > 0:
            # The shift is bounded before it is made: a peer may skip 2**47 numbers, our memory may not.
            self._seen = (self._seen << ahead | 1) & self._mask if ahead < self._size else 1
            self._highest = number
            return True
        if -ahead >= self._size:
            return False
        bit = 1 << -ahead
        if self._seen & bit:
            return False
        self._seen |= bit
        return True
