"""A UDP relay in front of a server: every datagram, both ways, goes through bad weather.

Clients speak to the relay's address as if it were the server. For each of them the relay has a socket of its own
towards the server, so that the server sees as many addresses as there are clients. A server that is gone is a network
that swallows everything; when it is back on its port, the relay serves it again.
"""

import random
import socket
from collections import Counter
from typing import Any, Final

import trio

from bisik.demo.weather import Conditions, Weather

Address = tuple[Any, ...]

MAX_RECEIVE_BYTES: Final = 65_535
MAX_CLIENTS: Final = 64
MAX_UNDER_WAY: Final = 4_096  # datagrams; whatever comes above it is lost


class Way:
    """One direction: the weather there, and how many datagrams overtook others in it."""

    def __init__(self, conditions: Conditions, seed: str) -> None:
        self._weather = Weather(conditions, random.Random(seed))  # noqa: S311 # weather, not a secret
        self._number = 0
        self._newest_delivered = 0
        self._under_way = 0

    @property
    def counts(self) -> Counter[str]:
        """`offered`, `lost`, `duplicated`, `corrupted`, `overtaken`, `delivered`."""
        return self._weather.counts

    def carry(
        self, datagram: bytes, source: trio.socket.SocketType, target: Address | None, via: trio.Nursery
    ) -> None:
        """Let the datagram arrive when and as the weather wants it; `target` None: where the socket is connected."""
        self._number += 1
        for delay_s, arriving in self._weather.carry(datagram):
            if self._under_way >= MAX_UNDER_WAY:
                self.counts["lost"] += 1
                continue
            self._under_way += 1
            via.start_soon(self._deliver_later, delay_s, self._number, arriving, source, target)

    async def _deliver_later(
        self, delay_s: float, number: int, datagram: bytes, source: trio.socket.SocketType, target: Address | None
    ) -> None:
        await trio.sleep(delay_s)
        self._under_way -= 1
        self.counts["overtaken"] += number < self._newest_delivered
        self._newest_delivered = max(number, self._newest_delivered)
        try:
            await (source.send(datagram) if target is None else source.sendto(datagram, target))
        except OSError:  # nobody listens there at the moment
            self.counts["refused"] += 1
        else:
            self.counts["delivered"] += 1


class Relay:
    """Between clients and the server at `server`. `up` and `down` say what happened on the way there and back."""

    def __init__(self, server: Address, *, conditions: Conditions | None = None, seed: int = 1) -> None:
        conditions = conditions or Conditions()
        self.up = Way(conditions, f"{seed} up")
        self.down = Way(conditions, f"{seed} down")
        self._server = server
        self._clients: dict[Address, trio.socket.SocketType] = {}

    async def run(self, *, task_status: trio.TaskStatus[Address] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry datagrams until cancelled. Starts with the address that clients are to speak to."""
        front = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            await front.bind(("127.0.0.1", 0))
            async with trio.open_nursery() as nursery:
                task_status.started(front.getsockname())
                await self._carry_up(front, nursery)
        finally:
            for sock in (front, *self._clients.values()):
                sock.close()

    async def _carry_up(self, front: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        while True:
            try:
                datagram, client = await front.recvfrom(MAX_RECEIVE_BYTES)
                towards_server = self._clients.get(client) or await self._welcome(client, front, nursery)
            except OSError:  # some systems tell an unconnected socket, too, that nobody listened
                continue
            if towards_server is not None:
                self.up.carry(datagram, towards_server, None, nursery)

    async def _welcome(
        self, client: Address, front: trio.socket.SocketType, nursery: trio.Nursery
    ) -> trio.socket.SocketType | None:
        if len(self._clients) >= MAX_CLIENTS:
            return None
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._clients[client] = sock
        await sock.connect(self._server)
        nursery.start_soon(self._carry_down, sock, client, front, nursery)
        return sock

    async def _carry_down(
        self, sock: trio.socket.SocketType, client: Address, front: trio.socket.SocketType, nursery: trio.Nursery
    ) -> None:
        while True:
            try:
                datagram = await sock.recv(MAX_RECEIVE_BYTES)
            except OSError:  # the server is gone, and may come back
                continue
            self.down.carry(datagram, front, client, nursery)
