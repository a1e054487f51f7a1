"""A server's endpoint on a real socket in this process, for tests of the link: the test decides what it answers."""

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from bisik_protocol.chat import messages
from bisik_protocol.chat.messages import CONTROL_LANE
from bisik_protocol.crypto.identity import ServerIdentity
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import CloseCode, Closed, ConnectionOpened, MessageReceived
from bisik_protocol.transport.server import ServerEndpoint
from tests.support.keys import server_identity

OnMessage = Callable[[Connection, MessageReceived], None]


class Server:
    """Answers with `on_message`; keeps what it was told."""

    def __init__(self, sock: socket.socket, identity: ServerIdentity, on_message: OnMessage) -> None:
        self.fingerprint = identity.fingerprint
        self.port: int = sock.getsockname()[1]
        self.connections: list[Connection] = []
        self.closed: list[Closed] = []
        self.deaf = False
        self._socket = sock
        self._on_message = on_message
        self._endpoint = ServerEndpoint(
            identity=identity, cookie_key=os.urandom(32), reset_key=os.urandom(32), random=os.urandom
        )

    async def run(self) -> None:
        while True:
            deadline = self._endpoint.next_timeout()
            with trio.move_on_at(trio.current_time() + 5 if deadline is None else deadline):
                await trio.lowlevel.wait_readable(self._socket)
            self._receive()
            self._endpoint.handle_timeout(trio.current_time())
            self._take_events()
            self.flush()

    def flush(self) -> None:
        for datagram, address in self._endpoint.datagrams_to_send(trio.current_time()):
            self._socket.sendto(datagram, address)

    async def chatter(self) -> None:
        """Say something on every connection, again and again."""
        while True:
            for connection in self.connections:
                connection.send(CONTROL_LANE, b"chatter")
            self.flush()
            await trio.sleep(0.02)

    def close_all(self, code: CloseCode, reason: str = "") -> None:
        """End every connection."""
        for connection in self.connections:
            if not connection.closed:
                connection.close(code, reason)
        self.flush()

    def _receive(self) -> None:
        while True:
            try:
                datagram, address = self._socket.recvfrom(2048)
            except OSError:
                return
            if not self.deaf:
                self._endpoint.receive_datagram(datagram, address, trio.current_time())

    def _take_events(self) -> None:
        while (told := self._endpoint.next_event()) is not None:
            if isinstance(told, ConnectionOpened):
                self.connections.append(told.connection)
            while (event := told.connection.next_event()) is not None:
                if isinstance(event, MessageReceived):
                    self._on_message(told.connection, event)
                elif isinstance(event, Closed):
                    self.closed.append(event)


@asynccontextmanager
async def open_server(
    on_message: OnMessage = lambda *_: None, *, key: int = 0, family: socket.AddressFamily = socket.AF_INET
) -> AsyncIterator[Server]:
    """A server on a free port of loopback."""
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        server = Server(sock, server_identity(key), on_message)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            yield server
            nursery.cancel_scope.cancel()


def answer(connection: Connection, message: messages.FromDaemon) -> None:
    """Say something on the control lane."""
    connection.send(CONTROL_LANE, messages.encode(message))
