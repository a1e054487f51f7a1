"""Our transport alone as a chat: a server that hands each message to all other clients, and a client for a fleet.

    python -m benchmarks.peers.transport_chat STATE

serves on a free port of 127.0.0.1 with the identity of a bisikd state directory until stdin ends. What it has in
common with the aioquic chat is what makes the two comparable: encryption and delivery, and nothing signed or stored.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import trio

from bisik_protocol.crypto.identity import fingerprint_text
from bisik_protocol.transport.client import ClientEndpoint
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import CloseCode, Closed, Connected, ConnectionOpened, MessageReceived
from bisik_protocol.transport.server import ServerEndpoint
from bisikd.config import ListenAddress
from bisikd.sockets import open_udp_socket
from bisikd.state import StateDirectory
from bisikd.udp import UdpDriver

LANE: Final = 1
OnMessage = Callable[[bytes], None]


class TransportClient:
    """A core for a fleet. `on_ready` is told once, `on_message` of everything that comes."""

    def __init__(
        self, address: tuple[Any, ...], fingerprint: bytes, on_message: OnMessage, on_ready: Callable[[], None]
    ) -> None:
        self.endpoint = ClientEndpoint(address, fingerprint, random=os.urandom, now=trio.current_time())
        self.closed: Closed | None = None
        self._address = address
        self._on_message = on_message
        self._on_ready = on_ready

    @property
    def connection(self) -> Connection:
        """Only once it is ready."""
        connection = self.endpoint.connection
        assert connection is not None
        return connection

    @property
    def backlog_bytes(self) -> int:
        """Queued or not yet acknowledged."""
        return self.connection.backlog(LANE)

    def send(self, message: bytes) -> None:
        """Flush the core afterwards."""
        self.connection.send(LANE, message)

    def say_goodbye(self) -> None:
        self.endpoint.close(CloseCode.NORMAL)

    def receive_datagram(self, datagram: bytes, now: float) -> None:
        self.endpoint.receive_datagram(datagram, self._address, now)
        self._take_events()

    def handle_timeout(self, now: float) -> None:
        self.endpoint.handle_timeout(now)
        self._take_events()

    def datagrams_to_send(self, now: float) -> list[bytes]:
        return [datagram for datagram, _ in self.endpoint.datagrams_to_send(now)]

    def next_timeout(self) -> float | None:
        return self.endpoint.next_timeout()

    def on_connected(self) -> None:
        """The handshake is complete; where more has to come before the client is ready, override this."""
        self._on_ready()

    def on_lane_message(self, lane: int, data: bytes) -> None:
        self._on_message(data)

    def _take_events(self) -> None:
        while (event := self.endpoint.next_event()) is not None:
            if isinstance(event, Connected):
                self.on_connected()
        connection = self.endpoint.connection
        while connection is not None and (happened := connection.next_event()) is not None:
            if isinstance(happened, MessageReceived):
                self.on_lane_message(happened.lane, happened.data)
            elif isinstance(happened, Closed):
                self.closed = happened


class Hall:
    """The server: everybody hears everybody else."""

    def __init__(self, state: Path) -> None:
        directory = StateDirectory.open_existing(state)
        self.fingerprint = directory.identity.fingerprint
        self._endpoint = ServerEndpoint(
            identity=directory.identity,
            cookie_key=os.urandom(32),
            reset_key=directory.reset_key,
            random=os.urandom,
        )
        self._open: dict[Connection, None] = {}

    async def run(self) -> None:
        """Serve until stdin ends."""
        with open_udp_socket(ListenAddress(host="127.0.0.1", port=0)) as sock:
            driver = UdpDriver(sock, self._endpoint, self._on_events)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.run)
                ready = {
                    "type": "ready",
                    "port": sock.getsockname()[1],
                    "fingerprint": fingerprint_text(self.fingerprint),
                }
                print(json.dumps(ready), flush=True)
                await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
                nursery.cancel_scope.cancel()

    def _on_events(self) -> None:
        while (event := self._endpoint.next_event()) is not None:
            if isinstance(event, ConnectionOpened):
                self._open[event.connection] = None
            else:
                self._take_events(event.connection)

    def _take_events(self, connection: Connection) -> None:
        while (event := connection.next_event()) is not None:
            if isinstance(event, MessageReceived):
                for other in self._open:
                    if other is not connection:
                        other.send(LANE, event.data)
            elif isinstance(event, Closed):
                self._open.pop(connection, None)


if __name__ == "__main__":
    trio.run(Hall(Path(sys.argv[1])).run)
