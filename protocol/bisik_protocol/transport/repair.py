"""Adaptive repair: copies of a chat message before anyone can know whether they are needed.

Chat is a thin stream: a message is one datagram and the link is idle. Waiting a round trip to learn of a loss is what
makes a chat feel slow. So above a measured loss rate, copies of a message go out spaced over the first round trip,
as many as the loss needs; then a linear cadence until the message is acknowledged; then, when nothing was heard for
long, ever more slowly. On a clean link there is one copy, and a probe only when the acknowledgement is overdue.

What bounds it: only thin streams are watched (a few small chunks in flight and nothing queued), every copy counts in
flight, and a token bucket bounds the average. The departure from RFC 9002's doubling is argued in
docs/decisions/adaptive-repair.md.
"""

from math import ceil, log
from typing import Final

from bisik_protocol.transport.chunks import Chunk
from bisik_protocol.transport.rtt import RttEstimator

MAX_THIN_CHUNKS: Final = 8
MAX_THIN_BYTES: Final = 8 * 1024

CLEAN_LOSS: Final = 0.005  # below it, a link counts as clean
RESIDUAL_LOSS: Final = 0.003  # the share of messages that may need more than the early copies
EARLY_GAPS: Final = (0.10, 0.15, 0.20, 0.25)  # round trips between the early copies
MIN_GAP_S: Final = 0.002
CADENCE_RTTS: Final = 0.3  # between late copies
MIN_CADENCE_S: Final = 0.02
PATIENCE_RTTS: Final = 1.2  # the first copy's acknowledgement may take this long before late copies begin

LINEAR_S: Final = 10.0  # how long the cadence is held without hearing anything, as mosh holds it
SLOW_CADENCE_S: Final = 0.1  # after that, for the eager side
MAX_INTERVAL_S: Final = 3.0  # RFC 8085 section 3.1.3: without feedback, one datagram in three seconds

# Counted in datagrams, as links that lose them and radios that send them do; none is longer than the path's MTU.
BUCKET_DATAGRAMS: Final = 96
REFILL_DATAGRAMS_PER_S: Final = 96
REFILL_IN_OUTAGE: Final = 0.5  # share of the refill while nothing is acknowledged


class TokenBucket:
    """Datagrams that repair may send whatever the congestion window says."""

    __slots__ = ("_last", "_tokens")

    def __init__(self, now: float) -> None:
        self._tokens = float(BUCKET_DATAGRAMS)
        self._last = now

    def take(self, now: float, *, share: float = 1.0) -> bool:
        """Pay for one datagram."""
        elapsed = max(now - self._last, 0.0)
        self._last = now
        self._tokens = min(float(BUCKET_DATAGRAMS), self._tokens + elapsed * REFILL_DATAGRAMS_PER_S * share)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def wait(self, *, share: float = 1.0) -> float:
        """Seconds from the last `take` until one is there; never so short that a timer would spin."""
        return max((1.0 - self._tokens) / (REFILL_DATAGRAMS_PER_S * share), MIN_GAP_S)

    def empty(self) -> None:
        """Persistent congestion: what was saved up is not for spending now."""
        self._tokens = 0.0


def early_copies(loss: float) -> int:
    """How many copies the measured loss asks for within the first round trip, the first included."""
    if loss < CLEAN_LOSS:
        return 1
    # A little more than was measured: a copy too many costs bytes, one too few a round trip.
    expected = min(1.25 * loss + 0.02, 0.9)
    return min(ceil(log(RESIDUAL_LOSS) / log(expected)), len(EARLY_GAPS) + 1)


def silent_interval(silence: float, rtt: RttEstimator, eager_s: float) -> float:
    """Seconds between probes when nothing has been heard for `silence` seconds while something was owed."""
    cadence = max(CADENCE_RTTS * rtt.smoothed, MIN_CADENCE_S)
    if silence < LINEAR_S:
        return cadence
    if silence < eager_s:
        return max(cadence, SLOW_CADENCE_S)
    # From here on, intervals grow with the silence, which is exponential backoff without a counter.
    return min(max((silence - max(eager_s, LINEAR_S)) / 4, cadence, SLOW_CADENCE_S), MAX_INTERVAL_S)


class Repair:
    """The few small chunks in flight that are watched, and when each goes out again. Times in seconds."""

    __slots__ = ("_eager_s", "_rtt", "bucket", "watched")

    def __init__(self, rtt: RttEstimator, eager_s: float, now: float) -> None:
        self._rtt = rtt
        self._eager_s = eager_s
        self.bucket = TokenBucket(now)
        self.watched: list[Chunk] = []

    def watch(self, chunk: Chunk) -> None:
        """A thin chunk is about to go out for the first time."""
        chunk.thin = True
        self.watched.append(chunk)

    def has_space(self, size: int) -> bool:
        watched = self.watched
        if not watched:
            return size <= MAX_THIN_BYTES
        return len(watched) < MAX_THIN_CHUNKS and size + sum(chunk.size for chunk in watched) <= MAX_THIN_BYTES

    def on_copy_sent(self, chunk: Chunk, now: float, loss: float, silence: float) -> None:
        """Plan the next copy; called for every copy, the first included, after its counters were updated."""
        rtt = self._rtt
        srtt = rtt.smoothed
        copies = chunk.copies
        early = early_copies(loss)
        if copies < early:
            chunk.due = now + max(EARLY_GAPS[copies - 1] * srtt, MIN_GAP_S)
            return
        if silence > rtt.probe_timeout:
            chunk.due = now + silent_interval(silence, rtt, self._eager_s)
            return
        patience = chunk.first_sent + PATIENCE_RTTS * srtt if early > 1 else chunk.first_sent + rtt.probe_timeout
        chunk.due = max(patience, now + max(CADENCE_RTTS * srtt, MIN_CADENCE_S))

    def next_due(self) -> float:
        """When the next copy is due, of one or more chunks that are watched."""
        watched = self.watched
        return watched[0].due if len(watched) == 1 else min(chunk.due for chunk in watched)

    def due(self, now: float) -> list[Chunk]:
        """The chunks whose next copy is due, the most urgent first."""
        ready = [chunk for chunk in self.watched if chunk.due <= now]
        if len(ready) > 1:
            ready.sort(key=_due)
        return ready

    def hurry(self, now: float) -> None:
        """The link is back: everything unacknowledged goes now."""
        for chunk in self.watched:
            chunk.due = now


def _due(chunk: Chunk) -> float:
    return chunk.due
