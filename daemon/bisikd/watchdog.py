"""Feeding systemd's watchdog by what it is meant to watch: that datagrams which arrive are taken.

A timer that says "alive" proves that a timer runs. So the daemon sends a datagram of random bytes to its own port, by
the socket that it serves (one that systemd passed in keeps the network it was opened in, whatever the sandbox
closes), and feeds the watchdog when that has come back: through the kernel's queue, the event loop, the loop that
drains the socket, and the sending of what was due.

Under a flood the queue is full and the probe is lost with much else. A daemon that works through a flood is alive,
and killing it would finish the attacker's work; so other datagrams that went all the way count as well.

Where a datagram to oneself cannot arrive at all, say for a firewall on the loopback interface, the first try shows
it; then the watchdog is fed by the event loop alone, and the operator is told.
"""

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from bisikd.sockets import own_addresses

if TYPE_CHECKING:
    from bisikd.notify import Notifier
    from bisikd.udp import UdpDriver

PROBE_BYTES: Final = 32  # shorter than any datagram of the protocol, and not to be guessed
TRIES: Final = 3
TRY_S: Final = 0.2


class Watchdog:
    """`find_way` once, while the driver runs; then `run` until cancelled."""

    def __init__(
        self,
        sock: socket.socket,
        driver: "UdpDriver",
        notifier: "Notifier",
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._socket = sock
        self._driver = driver
        self._notifier = notifier
        self._random = random
        self._address: tuple[Any, ...] | None = None

    async def find_way(self) -> bool:
        """Whether a datagram to ourselves comes back, which is also what `ready` promises: it is being served."""
        for _ in range(TRIES):
            for address in own_addresses(self._socket):
                if await self._round_trip(address, TRY_S):
                    self._address = address
                    return True
        return False

    async def run(self, interval_s: float) -> None:
        """Feed it, twice in each interval at most, for as long as datagrams are taken."""
        while True:
            if await self._alive(interval_s / 2):
                self._notifier.watchdog()
            await trio.sleep(interval_s / 2)

    async def _alive(self, patience_s: float) -> bool:
        if self._address is None:
            return True
        before = self._driver.datagrams_taken
        return await self._round_trip(self._address, patience_s) or self._driver.datagrams_taken > before

    async def _round_trip(self, address: tuple[Any, ...], patience_s: float) -> bool:
        probe = self._random(PROBE_BYTES)
        done = self._driver.expect(probe)
        try:
            self._socket.sendto(probe, address)
        except OSError:
            return False
        with trio.move_on_after(patience_s):
            await done.wait()
        return done.is_set()
