"""A process between clients and servers: every datagram takes its way over one shared, seeded link.

    python -m benchmarks.relay '{"servers": [["127.0.0.1", 9]], "up": {}, "down": {}, "seed": 1, "large_bytes": 90}'

For each server it opens an address of its own and speaks there as if it were that server (the same server may be
named more than once, to tell flows apart); all of them share one way up and one way down. Its first line on stdout
tells the ports. Then it obeys JSON lines on stdin: {"do": "blackout", "seconds": 5} and {"do": "counts"}, each
answered by a line on stdout. It ends when stdin does, so that it never outlives who started it.
"""

import heapq
import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.link import Conditions, Counts, Way

Address = tuple[Any, ...]

MAX_RECEIVE_BYTES: Final = 65_535
MAX_FLOWS: Final = 800  # client addresses; select() takes no more than a thousand descriptors
DATAGRAMS_A_WAKE: Final = 64
BUFFER_BYTES: Final = 4 * 1024 * 1024
LONGEST_WAIT_S: Final = 1.0


@dataclass(slots=True, eq=False)
class Front:
    """What stands for one server."""

    server: Address
    sock: socket.socket
    clients: dict[Address, "Back"] = field(default_factory=dict)
    up: Counts = field(default_factory=Counts)
    down: Counts = field(default_factory=Counts)


@dataclass(slots=True, eq=False)
class Back:
    """The server's side of one client: a socket of its own, so that the server sees the clients apart."""

    front: Front
    client: Address
    sock: socket.socket


class Relay:
    """One loop over all sockets, and a heap of what is under way."""

    def __init__(self, servers: list[Address], up: Conditions, down: Conditions, seed: int, large_bytes: int) -> None:
        self.up = Way(up, f"{seed} up")
        self.down = Way(down, f"{seed} down")
        self.fronts = [Front(server, _open_socket()) for server in servers]
        self._large_bytes = large_bytes
        self._by_socket: dict[socket.socket, Front | Back] = {front.sock: front for front in self.fronts}
        self._under_way: list[tuple[float, int, socket.socket, Address, bytes]] = []
        self._number = 0
        self._rest = b""

    def run(self) -> None:
        """Carry datagrams until stdin ends."""
        commands = sys.stdin.fileno()
        while True:
            now = time.monotonic()
            wait_s = self._under_way[0][0] - now if self._under_way else LONGEST_WAIT_S
            # select() waits to the microsecond; epoll in Python rounds up to the next millisecond.
            ready, _, _ = select.select([commands, *self._by_socket], [], [], max(0.0, min(wait_s, LONGEST_WAIT_S)))
            self._deliver()
            for source in ready:
                if isinstance(source, socket.socket):
                    self._receive(source)
                elif not self._obey(commands):
                    return

    def _deliver(self) -> None:
        under_way = self._under_way
        now = time.monotonic()
        while under_way and under_way[0][0] <= now:
            _, _, sock, target, datagram = heapq.heappop(under_way)
            try:
                sock.sendto(datagram, target)
            except OSError:
                continue  # nobody listens there at the moment, or the buffer is full: lost
            now = time.monotonic()

    def _receive(self, sock: socket.socket) -> None:
        end = self._by_socket[sock]
        for _ in range(DATAGRAMS_A_WAKE):
            try:
                datagram, source = sock.recvfrom(MAX_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue
            if isinstance(end, Back):
                self._carry(self.down, end.front.down, datagram, end.front.sock, end.client)
            elif (back := end.clients.get(source) or self._welcome(end, source)) is not None:
                self._carry(self.up, end.up, datagram, back.sock, end.server)

    def _carry(self, way: Way, counts: Counts, datagram: bytes, sock: socket.socket, target: Address) -> None:
        if len(datagram) >= self._large_bytes:
            counts.large += 1
        for arrival in way.offer(len(datagram), time.monotonic(), counts):
            self._number += 1
            heapq.heappush(self._under_way, (arrival, self._number, sock, target, datagram))

    def _welcome(self, front: Front, client: Address) -> Back | None:
        if len(self._by_socket) >= MAX_FLOWS:
            return None
        back = front.clients[client] = Back(front, client, _open_socket())
        self._by_socket[back.sock] = back
        return back

    def _obey(self, commands: int) -> bool:
        read = os.read(commands, MAX_RECEIVE_BYTES)
        if not read:
            return False
        *lines, self._rest = (self._rest + read).split(b"\n")
        for line in lines:
            command = json.loads(line)
            match command["do"]:
                case "blackout":
                    until = time.monotonic() + command["seconds"]
                    self.up.blackout_until = self.down.blackout_until = until
                    _tell({"type": "blackout", "until": until})
                case "counts":
                    counts = [{"up": front.up.as_dict(), "down": front.down.as_dict()} for front in self.fronts]
                    _tell({"type": "counts", "fronts": counts})
        return True


def _open_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    sock.bind(("127.0.0.1", 0))
    return sock


def _tell(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def main(argument: str) -> None:
    """The process."""
    job = json.loads(argument)
    relay = Relay(
        [tuple(server) for server in job["servers"]],
        Conditions(**job["up"]),
        Conditions(**job["down"]),
        job["seed"],
        job["large_bytes"],
    )
    _tell({"type": "ready", "ports": [front.sock.getsockname()[1] for front in relay.fronts]})
    relay.run()


if __name__ == "__main__":
    main(sys.argv[1])
