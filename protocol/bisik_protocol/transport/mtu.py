"""How large a datagram this path carries: a search by padded probes, in the manner of RFC 8899 (DPLPMTUD).

Every path is taken to carry BASE_BYTES. More is tried only when messages are waiting that a larger datagram would
have taken along, so that a chat of single messages never probes. A probe holds nothing that would be missed, and its
loss says nothing about congestion. What is sure to fit is sent while acknowledgements are overdue, and larger
datagrams that all get lost end the search's result: the way may have changed under us without a word.
"""

from typing import Final

from bisik_protocol.wire.packets import MIN_DATAGRAM_BYTES

BASE_BYTES: Final = MIN_DATAGRAM_BYTES
# Ethernet with IPv6; PPPoE and common tunnels; WireGuard in IPv6; the IPv6 minimum behind a little more overhead.
SIZES: Final = (1452, 1412, 1352, 1252)
MAX_PROBES: Final = 3  # for a size, RFC 8899 section 5.1.2
RAISE_AFTER_S: Final = 600.0  # until larger sizes are tried again, RFC 8899 section 5.1.1
BLACK_HOLE_LOSSES: Final = 4  # larger datagrams lost, with none arriving between them


class PathMtu:
    """`size` is what a datagram may have now, in bytes of UDP payload."""

    __slots__ = ("_largest", "_lost", "_probe_out", "_rest_until", "_tries", "size")

    def __init__(self, largest: int) -> None:
        """`largest` is what the socket below can send unfragmented; no probe is larger."""
        self._largest = largest
        self.start_over()

    def start_over(self) -> None:
        """A new path: nothing is known of it."""
        self.size = BASE_BYTES
        self._tries: dict[int, int] = {}  # probes lost, by size
        self._probe_out = False
        self._rest_until = float("-inf")
        self._lost = 0  # larger datagrams lost since one arrived

    def probe_size(self, missing: int, now: float) -> int | None:
        """The size of the probe to send now, if any. The last datagram was `missing` bytes too short for more."""
        if self._probe_out or self.size + missing > self._largest or now < self._rest_until:
            return None
        for size in SIZES:
            if size <= self.size:
                break
            if size <= self._largest and self._tries.get(size, 0) < MAX_PROBES:
                return size
        self._rest_until = now + RAISE_AFTER_S
        self._tries.clear()
        return None

    def on_probe_sent(self) -> None:
        self._probe_out = True

    def on_probe_arrived(self, size: int) -> None:
        """A probe of `size` bytes was acknowledged."""
        self._probe_out = False
        self._lost = 0
        self.size = max(self.size, size)

    def on_probe_lost(self, size: int) -> None:
        self._probe_out = False
        self._tries[size] = self._tries.get(size, 0) + 1

    def on_arrived(self) -> None:
        """A datagram above BASE_BYTES arrived."""
        self._lost = 0

    def on_lost(self, now: float) -> None:
        """A datagram above BASE_BYTES was lost, and it was no probe."""
        self._lost += 1
        if self._lost >= BLACK_HOLE_LOSSES:
            self.start_over()
            self._rest_until = now + RAISE_AFTER_S
