"""Packet numbers that are never sent: who acknowledges one has not seen what it acknowledges.

The defence against optimistic acknowledgement of RFC 9000 section 21.4. Gaps grow as the connection proves itself,
so that the receiver's count of losses is not disturbed.
"""

from collections import deque
from typing import Final

from bisik_protocol.randomness import RandomSource

FIRST_PERIOD: Final = 256
LONGEST_PERIOD: Final = 128 * 1024
REMEMBERED: Final = 16


class NumberSkipper:
    """Deals out packet numbers from 0, leaving one out now and then where the peer cannot guess it."""

    __slots__ = ("_next_skip", "_period", "_random", "_skipped", "next_number")

    def __init__(self, random: RandomSource) -> None:
        self._random = random
        self._period = FIRST_PERIOD
        self.next_number = 0
        self._skipped: deque[int] = deque(maxlen=REMEMBERED)
        self._plan()

    def _plan(self) -> None:
        self._next_skip = self.next_number + 1 + int.from_bytes(self._random(4)) % (2 * self._period)
        self._period = min(self._period * 2, LONGEST_PERIOD)

    def take(self) -> int:
        """The number for the next packet."""
        if self.next_number == self._next_skip:
            self._skipped.append(self.next_number)
            self.next_number += 1
            self._plan()
        number = self.next_number
        self.next_number = number + 1
        return number

    def is_skipped(self, low: int, high: int) -> bool:
        """Whether one of these numbers, both ends included, was never sent."""
        for number in self._skipped:  # noqa: SIM110 # a generator costs more than the few comparisons
            if low <= number <= high:
                return True
        return False
