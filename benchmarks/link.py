"""A link's two ways, as rules: when a datagram comes out at the other end, if it does. Knows no sockets and no clock.

The demonstration's weather decides for each datagram alone. What benchmarks need depends on time and on what went
before: outages by the clock, a bottleneck with a queue, blackouts on command.
"""

import random
from dataclasses import asdict, dataclass, field

DUPLICATE_BEHIND_S = 0.01  # at most
HEADER_BYTES = 28  # IPv4 and UDP: what a datagram takes on the wire besides its own bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """One way of a link. Times in seconds, shares between 0 and 1, bits a second."""

    delay_s: float = 0.05
    jitter_s: float = 0.0  # uniform extra
    loss: float = 0.0  # each datagram by itself
    outage_s: float = 0.0  # mean length of an outage, by the clock and not by the datagram; 0: there are none
    outage_share: float = 0.0  # of the time
    duplicate: float = 0.0
    rate_bps: float = 0.0  # 0: no bottleneck
    queue_s: float = 0.1  # of waiting at the bottleneck; what would wait longer is dropped

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(slots=True)
class Counts:
    """What one flow offered to one way, and what came of it. Bytes are with IP and UDP headers."""

    offered: int = 0
    large: int = 0  # of those offered: long enough to carry the benchmark's message
    offered_bytes: int = 0
    lost: int = 0
    dropped: int = 0  # at the bottleneck
    carried: int = 0
    carried_bytes: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(slots=True)
class Outages:
    """Good and bad spells of exponentially distributed lengths; the same seed gives the same spells."""

    conditions: Conditions
    rng: random.Random
    bad: bool = False
    until: float = float("-inf")

    def now_bad(self, now: float) -> bool:
        """Whether there is an outage; `now` may not run backwards."""
        conditions = self.conditions
        if not conditions.outage_s:
            return False
        while now >= self.until:
            if self.until == float("-inf"):
                self.bad, self.until = self.rng.random() < conditions.outage_share, now
            else:
                self.bad = not self.bad
            bad_s = conditions.outage_s
            mean_s = bad_s if self.bad else bad_s * (1 - conditions.outage_share) / conditions.outage_share
            self.until += self.rng.expovariate(1 / mean_s)
        return self.bad

    def clear_at(self, now: float) -> float:
        """The next time at which there is none; `now` may not run backwards."""
        return self.until if self.now_bad(now) else now


@dataclass(slots=True)
class Way:
    """One direction, shared by all flows that go over it."""

    conditions: Conditions
    seed: str
    blackout_until: float = float("-inf")
    _free_at: float = float("-inf")  # when the bottleneck has sent everything it holds
    _rng: random.Random = field(init=False)
    _outages: Outages = field(init=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._outages = Outages(self.conditions, random.Random(f"{self.seed} outages"))

    def offer(self, size: int, now: float, counts: Counts) -> list[float]:
        """When a datagram of `size` bytes arrives: no time, one, or two. Counts for its flow."""
        conditions, rng = self.conditions, self._rng
        on_wire = size + HEADER_BYTES
        counts.offered += 1
        counts.offered_bytes += on_wire
        # All dice are thrown for every datagram, so that what happens to one does not change what comes after.
        lost, jitter, duplicate, behind = rng.random(), rng.random(), rng.random(), rng.random()
        if lost < conditions.loss or self._outages.now_bad(now) or now < self.blackout_until:
            counts.lost += 1
            return []
        departs = now
        if conditions.rate_bps:
            starts = max(now, self._free_at)
            if starts - now > conditions.queue_s:
                counts.dropped += 1
                return []
            self._free_at = departs = starts + on_wire * 8 / conditions.rate_bps
        counts.carried += 1
        counts.carried_bytes += on_wire
        arrivals = [departs + conditions.delay_s + jitter * conditions.jitter_s]
        if duplicate < conditions.duplicate:
            arrivals.append(arrivals[0] + behind * DUPLICATE_BEHIND_S)
        return arrivals
