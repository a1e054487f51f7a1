"""The round-trip estimate, RFC 9002 section 5. Chat data is acknowledged at once, so no ACK delay enters it."""

from typing import Final

GRANULARITY_S: Final = 0.001
INITIAL_RTT_S: Final = 0.333  # RFC 9002 section 6.2.2
SHORTER_SAMPLES: Final = 4  # in a row and below half of the estimate: the link has become another one


class RttEstimator:
    """All times in seconds. `smoothed` is the initial guess until the first sample."""

    __slots__ = ("_shorter", "has_sample", "latest", "minimum", "smoothed", "variance")

    def __init__(self, initial: float = INITIAL_RTT_S) -> None:
        self.has_sample = False
        self._shorter = 0
        self._set(initial)

    def guess(self, rtt: float) -> None:
        """Something better than the initial guess, and still no sample; never a longer one."""
        if not self.has_sample and rtt < self.smoothed:
            self._set(rtt)

    def _set(self, rtt: float) -> None:
        self.latest = self.minimum = self.smoothed = rtt
        self.variance = rtt / 2

    def add_sample(self, rtt: float) -> None:
        """A measured round trip; negative ones (a clock that jumped back) are taken as zero."""
        if rtt < 0.0:
            rtt = 0.0
        self.latest = rtt
        if not self.has_sample:
            self.has_sample = True
            self._set(rtt)
            return
        if rtt < self.minimum:
            self.minimum = rtt
        # A thin stream has few samples: what a long queue had taught would delay probes for minutes after it is gone.
        self._shorter = self._shorter + 1 if rtt < self.smoothed / 2 else 0
        if self._shorter == SHORTER_SAMPLES:
            self._shorter = 0
            self.smoothed, self.variance = rtt, rtt / 2
            return
        self.variance += (abs(self.smoothed - rtt) - self.variance) / 4
        self.smoothed += (rtt - self.smoothed) / 8

    @property
    def probe_timeout(self) -> float:
        """PTO without backoff, RFC 9002 section 6.2.1; max_ack_delay is zero here."""
        spread = 4 * self.variance
        return self.smoothed + (spread if spread > GRANULARITY_S else GRANULARITY_S)

    @property
    def loss_delay(self) -> float:
        """How long a packet may be overtaken before it counts as lost, RFC 9002 section 6.1.2."""
        longer = self.smoothed if self.smoothed > self.latest else self.latest
        return 1.125 * longer if 1.125 * longer > GRANULARITY_S else GRANULARITY_S
