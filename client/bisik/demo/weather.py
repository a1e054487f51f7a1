"""What a bad network does to one datagram: lose it, copy it, change a byte of it, keep it waiting.

The same seed and the same datagrams give the same weather. It has no clock and no sockets, and does not know what the
datagrams mean.
"""

import random
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """One direction of a link. Times in seconds, shares between 0 and 1."""

    delay_s: float = 0.03
    jitter_s: float = 0.02  # uniform extra; more than the gap between two datagrams lets one overtake the other
    loss: float = 0.3
    duplicate: float = 0.05
    corrupt: float = 0.03  # share with one byte changed, behind the back of UDP's checksum
    hold_back: float = 0.1  # share that waits up to `hold_back_s` longer
    hold_back_s: float = 0.06


@dataclass(slots=True)
class Weather:
    """One direction's conditions, and a count of what they did: `offered`, `lost`, `duplicated`, `corrupted`."""

    conditions: Conditions
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)

    def carry(self, datagram: bytes) -> list[tuple[float, bytes]]:
        """What comes out at the other end, none or more: seconds from now, and bytes."""
        conditions, rng = self.conditions, self.rng
        self.counts["offered"] += 1
        if rng.random() < conditions.loss:
            self.counts["lost"] += 1
            return []
        delay_s = self._delay_s()
        arriving = [(delay_s, self._damaged(datagram))]
        if rng.random() < conditions.duplicate:
            self.counts["duplicated"] += 1
            arriving.append((delay_s + self._delay_s(), datagram))
        return arriving

    def _delay_s(self) -> float:
        conditions, rng = self.conditions, self.rng
        delay_s = conditions.delay_s + rng.random() * conditions.jitter_s
        if rng.random() < conditions.hold_back:
            delay_s += rng.random() * conditions.hold_back_s
        return delay_s

    def _damaged(self, datagram: bytes) -> bytes:
        rng = self.rng
        if not datagram or rng.random() >= self.conditions.corrupt:
            return datagram
        self.counts["corrupted"] += 1
        at = rng.randrange(len(datagram))
        return datagram[:at] + bytes((datagram[at] ^ rng.randrange(1, 256),)) + datagram[at + 1 :]
