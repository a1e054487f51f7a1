"""Somebody on the way who sees every datagram, holds no key, and tries what can be tried without one.

It replays, mutates, floods with garbage, begins handshakes and leaves them half done, moves a member's packets to a
victim's address, and forges resets. It never stops a datagram for good: that is the weather's part.
"""

import random
from collections import deque
from typing import TYPE_CHECKING

import trio

from bisik_protocol.crypto.handshake import ClientHandshake
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire.packets import RESET_TYPE, encode_reset, is_data
from tests.simulation.network import SERVER_ADDRESS, Address, Seen
from tests.support.keys import server_identity

if TYPE_CHECKING:
    from tests.simulation.plan import Hostile
    from tests.simulation.world import World

CAPTURED = 200
HALF_OPEN_AT_ONCE = 6
MOVED_DELAY_S = 0.05


class Attacker:
    """`run` does one trick after another, at the plan's rate."""

    def __init__(self, world: "World", plan: "Hostile") -> None:
        self._world = world
        self._plan = plan
        self._rng = random.Random(world.rng.random())
        self._captured: deque[Seen] = deque(maxlen=CAPTURED)
        self._own_port = 0
        self._moving = 0
        self._half_open: dict[Address, ClientHandshake] = {}
        world.network.tap = self._see
        world.network.divert = self._move

    def _see(self, seen: Seen) -> None:
        if not seen.upward and seen.target in self._half_open:
            self._go_on_half_way(seen)
        elif self._rng.random() < 0.3:
            self._captured.append(seen)

    async def run(self) -> None:
        while True:
            await trio.sleep(self._rng.expovariate(self._plan.rate))
            trick = self._rng.choice(self._plan.tricks)
            self._world.trace.note("hostile", trick)
            if trick == "garbage":
                self._garbage()
            elif trick == "half-open":
                self._begin_half_open()
            elif trick == "move":
                self._moving = self._rng.randrange(1, 4)
            elif self._captured:
                seen = self._rng.choice(self._captured)
                {"replay": self._replay, "mutate": self._mutate, "reset": self._reset}[trick](seen)

    def stop(self) -> None:
        self._world.network.tap = self._world.network.divert = None

    # Tricks --------------------------------------------------------------------------------------------------------

    def _inject(self, seen: Seen) -> None:
        network = self._world.network
        if seen.upward:
            network.at(trio.current_time(), lambda: network.arrive_up(seen))
        else:
            network.at(trio.current_time(), lambda: network.deliver_down(seen.target, seen.data))

    def _replay(self, seen: Seen) -> None:
        source = seen.source if not seen.upward or self._rng.random() < 0.5 else self._address()
        for _ in range(self._rng.randrange(1, 4)):
            self._inject(seen._replace(source=source))

    def _mutate(self, seen: Seen) -> None:
        rng, data = self._rng, bytearray(seen.data)
        how = rng.randrange(5)
        if how == 0:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[0] = rng.randrange(256)
        elif how == 2:
            del data[rng.randrange(len(data)) :]
        elif how == 3:
            data += rng.randbytes(rng.randrange(1, 100))
        else:
            at = rng.randrange(len(data))
            data[at : at + 8] = rng.randbytes(len(data[at : at + 8]))
        self._inject(seen._replace(data=bytes(data), proof=()))

    def _garbage(self) -> None:
        rng = self._rng
        for _ in range(rng.randrange(1, 6)):
            data = rng.randbytes(rng.choice((0, 1, 20, 40, 300, 1200, 1500)))
            if data and rng.random() < 0.7:
                data = bytes((rng.choice((1, 2, 3, 4, 5, 0x40, 0x41)),)) + data[1:]
            self._inject(Seen(True, self._address(), SERVER_ADDRESS, data, ()))
            if self._captured:
                member = rng.choice(self._captured)
                self._inject(Seen(False, SERVER_ADDRESS, member.source if member.upward else member.target, data, ()))

    def _begin_half_open(self) -> None:
        """HELLOs like any stranger's that has the invite."""
        for _ in range(HALF_OPEN_AT_ONCE):
            handshake = ClientHandshake(self._rng.randbytes, server_identity().fingerprint)
            address = self._address(host="203.0.113.66")
            self._half_open[address] = handshake
            self._inject(Seen(True, address, SERVER_ADDRESS, handshake.hello(), ()))

    def _go_on_half_way(self, seen: Seen) -> None:
        """The cookie came: the first half of the KEX goes out, the second never."""
        handshake = self._half_open.pop(seen.target)
        try:
            handshake.receive_retry_untrusted(seen.data)
        except RemoteProtocolError:
            return
        handshake.start_exchange()
        self._inject(Seen(True, seen.target, SERVER_ADDRESS, handshake.kex()[0], (seen.target,)))

    def _move(self, seen: Seen) -> bool:
        """A member's packet comes from a victim's address first, and from its own a moment later."""
        if not self._moving or not is_data(seen.data):
            return False
        self._moving -= 1
        network = self._world.network
        victim = ("203.0.113.99", 50_000 + self._rng.randrange(3))
        network.at(trio.current_time() + 0.001, lambda: network.arrive_up(seen._replace(source=victim)))
        network.at(trio.current_time() + MOVED_DELAY_S, lambda: network.arrive_up(seen))
        return True

    def _reset(self, seen: Seen) -> None:
        """A reset for a connection that is alive, with a token out of the air."""
        if is_data(seen.data):
            target = seen.source if seen.upward else seen.target
            for connection_id in (seen.data[1:9], self._rng.randbytes(8)):
                self._inject(Seen(False, SERVER_ADDRESS, target, encode_reset(connection_id, bytes(16)), ()))
        elif seen.data[:1] == bytes((RESET_TYPE,)):
            self._replay(seen)

    def _address(self, host: str = "203.0.113.7") -> Address:
        self._own_port += 1
        return (host, 1024 + self._own_port % 60_000)
