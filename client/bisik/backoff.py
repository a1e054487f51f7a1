"""How long to wait before the next try: at once the first time, then longer and longer up to a few seconds.

Jittered, so that a hundred clients of a daemon that was restarted do not come back in the same instant.
"""

from collections.abc import Callable
from typing import Final

FIRST_WAIT_S: Final = 0.4
MAX_WAIT_S: Final = 5.0
GROWTH: Final = 1.6


class Backoff:
    """`jitter()` returns a number from 0 to 1."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._failures = 0

    def next_wait(self) -> float:
        """Seconds until the next try, after one more that failed."""
        self._failures += 1
        if self._failures == 1:
            return 0.0
        wait = min(FIRST_WAIT_S * GROWTH ** min(self._failures - 2, 20), MAX_WAIT_S)
        return wait * (0.5 + 0.5 * self._jitter())

    def reset(self) -> None:
        """It worked."""
        self._failures = 0
