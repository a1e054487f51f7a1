"""Datagrams without a protocol, as the same small chat: what system calls and Trio cost whoever uses them.

    python -m benchmarks.peers.bare_chat

serves on a free port of 127.0.0.1 until stdin ends. A message goes to all others, who answer each with a few bytes.
Nothing is encrypted, numbered or sent again: it is a floor for a slow stream on loopback, and no chat.
"""

import json
import sys
from collections.abc import Callable
from typing import Final

import trio

from benchmarks.peers.transport_chat import OnMessage
from bisikd.config import ListenAddress
from bisikd.sockets import open_udp_socket
from bisikd.udp import Address, UdpDriver

HELLO: Final = b"\x00"
MESSAGE: Final = b"\x01"
ANSWER: Final = b"\x02" + bytes(39)  # as long as a packet that only acknowledges
PADDING: Final = bytes(39)  # what header, frames and tag add to a message of the transport


class BareClient:
    """A core for a fleet; ready once the server has answered."""

    def __init__(self, on_message: OnMessage, on_ready: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_ready = on_ready
        self._out = [HELLO]

    def send(self, message: bytes) -> None:
        """Flush the core afterwards."""
        self._out.append(MESSAGE + PADDING + message)

    def receive_datagram(self, datagram: bytes, now: float) -> None:
        if datagram[:1] == HELLO:
            self._on_ready()
        elif datagram[:1] == MESSAGE:
            self._out.append(ANSWER)
            self._on_message(datagram[1 + len(PADDING) :])

    def handle_timeout(self, now: float) -> None:
        """There are none."""

    def next_timeout(self) -> float | None:
        return None

    def datagrams_to_send(self, now: float) -> list[bytes]:
        out, self._out = self._out, []
        return out


class BareHall:
    """The server's side, in place of an endpoint."""

    def __init__(self) -> None:
        self._members: dict[Address, None] = {}
        self._out: list[tuple[bytes, Address]] = []

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        if data == HELLO:
            self._members[address] = None
            self._out.append((HELLO, address))
        elif data[:1] == MESSAGE:
            self._out += [(data, other) for other in self._members if other != address]

    def handle_timeout(self, now: float) -> None:
        """There are none."""

    def next_timeout(self) -> float | None:
        return None

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        out, self._out = self._out, []
        return out


async def serve() -> None:
    """Serve until stdin ends."""
    with open_udp_socket(ListenAddress(host="127.0.0.1", port=0)) as sock:
        driver = UdpDriver(sock, BareHall(), lambda: None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(driver.run)
            print(json.dumps({"type": "ready", "port": sock.getsockname()[1]}), flush=True)
            await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(serve)
