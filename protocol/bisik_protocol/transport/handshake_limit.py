"""How many handshakes a server completes in a second: for one host, and for all of them together.

Completing one costs two private RSA operations, some 3 ms of computing with all around them, and who wants it done
has only proved an address. Within these bounds all of them together take no more than a quarter of a processor. A
refused client sends its datagrams again by itself, and finds room a moment later; a host that asks for more than a
crowd behind one address would, waits for itself.
"""

from typing import Final

HOST_RATE: Final = 10.0  # a second
HOST_BURST: Final = 64.0  # a class that comes back behind one address after a restart
RATE: Final = 40.0  # and the unconfirmed ones, which are kept for ten seconds, stay far below their bound
BURST: Final = 100.0
# Who is on this machine has easier ways to keep it busy; and a relay beside the server would be one host for all.
LOOPBACK: Final = frozenset({b"127.0.0.1", b"::1", b"::ffff:127.0.0.1"})
MAX_HOSTS: Final = 4096  # more are forgotten, oldest first; then the common bound is what holds


class Bucket:
    """Holds `burst` tokens at most, and gains `rate` a second."""

    __slots__ = ("_burst", "_last", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._last = now

    def has_one(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + max(now - self._last, 0.0) * self._rate)
        self._last = now
        return self._tokens >= 1.0

    def take(self) -> None:
        self._tokens -= 1.0


class HandshakeLimit:
    """`allow` counts what it allows."""

    def __init__(self) -> None:
        self._all: Bucket | None = None
        self._hosts: dict[object, Bucket] = {}  # the one that was asked for longest ago first

    def __len__(self) -> int:
        return len(self._hosts)

    def allow(self, host: object, now: float) -> bool:
        """Whether a handshake with `host` may be completed now."""
        if host in LOOPBACK:
            return True
        if self._all is None:
            self._all = Bucket(RATE, BURST, now)
        bucket = self._hosts.pop(host, None) or Bucket(HOST_RATE, HOST_BURST, now)
        self._hosts[host] = bucket
        if len(self._hosts) > MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]
        if not bucket.has_one(now) or not self._all.has_one(now):
            return False  # and what one of the two had is not lost
        bucket.take()
        self._all.take()
        return True
