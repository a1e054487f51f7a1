"""Pacing: bulk leaves at 1.25 windows a round trip, RFC 9002 section 7.7, after a burst of one initial window."""

from typing import Final

PACING_GAIN: Final = 1.25
MIN_DELAY_S: Final = 0.001  # a timer any finer may come before the clock has moved, and find the same again
ROUNDING_BYTES: Final = 1.0  # who waited as long as told may find this much missing, and must not be told to wait 0 s


class Pacer:
    """A bucket of bytes. Thin streams never feel it: their next message comes long after the bucket is full."""

    __slots__ = ("_burst", "_last", "_tokens")

    def __init__(self, burst_bytes: int, now: float) -> None:
        self._burst = float(burst_bytes)
        self._tokens = self._burst
        self._last = now

    def delay(self, size: int, window: int, rtt: float, now: float) -> float:
        """Seconds until `size` bytes may go; 0.0 when they may go now."""
        rate = PACING_GAIN * window / max(rtt, 0.001)
        self._tokens = min(self._burst, self._tokens + max(now - self._last, 0.0) * rate)
        self._last = now
        missing = size - self._tokens
        return missing / rate if missing > ROUNDING_BYTES else 0.0

    def on_sent(self, size: int) -> None:
        """May go below zero: probes, repairs and acknowledgements are not held back, but they count."""
        tokens = self._tokens - size
        self._tokens = tokens if tokens > -self._burst else -self._burst
