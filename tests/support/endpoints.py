"""A server's endpoint and clients' endpoints on a `SimNet`: everything of the core but the chat.

The applications at both ends take every event as it comes, and note it with its time.
"""

import random
from collections import defaultdict

from bisik_protocol.transport.client import ClientEndpoint, ClientEvent
from bisik_protocol.transport.config import CLIENT_CONFIG, SERVER_CONFIG, TransportConfig
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import (
    Closed,
    Connected,
    ConnectionEvent,
    ConnectionOpened,
    ConnectionReady,
    LaneDrained,
    MessageReceived,
)
from bisik_protocol.transport.server import ServerEndpoint
from tests.support import keys
from tests.support.simnet import Address, Conditions, SimNet

SERVER_ADDRESS = ("192.0.2.1", 9999)
RESET_KEY = b"reset key that outlives processes"

Delivery = tuple[float, int, bytes]  # time, lane, message


class Caller:
    """One client: its endpoint, and what its program was told. `messages` are the connection's, in their order."""

    def __init__(self, endpoint: ClientEndpoint, address: Address) -> None:
        self.endpoint = endpoint
        self.address = address
        self.events: list[ClientEvent | ConnectionEvent] = []
        self.messages: list[Delivery] = []
        self.connected_at: float | None = None

    @property
    def connection(self) -> Connection:
        """Only after it is connected."""
        assert self.endpoint.connection is not None
        return self.endpoint.connection

    @property
    def closed(self) -> Closed | None:
        return next((event for event in self.events if isinstance(event, Closed)), None)

    def take(self, now: float) -> bool:
        """Take all events; whether there were any."""
        taken = False
        while (event := self.endpoint.next_event()) is not None:
            taken = True
            self.events.append(event)
            if isinstance(event, Connected):
                self.connected_at = now
        connection = self.endpoint.connection
        while connection is not None and (told := connection.next_event()) is not None:
            taken = True
            if isinstance(told, MessageReceived):
                self.messages.append((now, told.lane, told.data))
            else:
                self.events.append(told)
        return taken


class Endpoints:
    """`server` is the endpoint at SERVER_ADDRESS; `opened` are its confirmed connections in their order.

    What came over each of them is in `received`, which of its lanes drained in `drained`, how it ended in `ended`.
    With `echo` on, the server sends every message back on its lane.
    """

    def __init__(
        self, seed: int = 0, conditions: Conditions | None = None, *, server_config: TransportConfig = SERVER_CONFIG
    ) -> None:
        self.net = SimNet(seed, conditions)
        self.identity = keys.server_identity()
        self.echo = False
        self.callers: list[Caller] = []
        self.opened: list[Connection] = []
        self.received: dict[Connection, list[Delivery]] = defaultdict(list)
        self.drained: dict[Connection, list[int]] = defaultdict(list)
        self.ended: dict[Connection, Closed] = {}
        self._random = random.Random(seed)
        self._server_config = server_config
        self.server = self._new_server(RESET_KEY)
        self.net.attach(self.server, SERVER_ADDRESS)
        self.net.after_step = self.take

    def _new_server(self, reset_key: bytes) -> ServerEndpoint:
        return ServerEndpoint(
            identity=self.identity,
            cookie_key=self._random.randbytes(32),
            reset_key=reset_key,
            random=self._random.randbytes,
            config=self._server_config,
        )

    def restart_server(self, reset_key: bytes = RESET_KEY) -> None:
        """The server's process is gone, and another one answers at its address, with the same identity."""
        self.net.detach(SERVER_ADDRESS)
        self.server = self._new_server(reset_key)
        self.net.attach(self.server, SERVER_ADDRESS)

    def call(
        self,
        *,
        fingerprint: bytes | None = b"right",
        config: TransportConfig = CLIENT_CONFIG,
        host: str | None = None,
    ) -> Caller:
        """A client begins to call; `fingerprint` is the server's own unless another, or None, is given."""
        address = (host or f"198.51.100.{len(self.callers) + 1}", 4242)
        endpoint = ClientEndpoint(
            SERVER_ADDRESS,
            self.identity.fingerprint if fingerprint == b"right" else fingerprint,
            random=self._random.randbytes,
            now=self.net.now,
            config=config,
        )
        caller = Caller(endpoint, address)
        self.callers.append(caller)
        self.net.attach(endpoint, address)
        return caller

    def connect(self, *, config: TransportConfig = CLIENT_CONFIG, limit: float = 60.0) -> tuple[Caller, Connection]:
        """A client that is connected, and the server's end of its connection."""
        before = len(self.opened)
        caller = self.call(config=config)
        self.net.run(lambda: caller.connected_at is not None and len(self.opened) > before, limit)
        return caller, self.opened[-1]

    def send(self, caller: Caller, lane: int, data: bytes) -> None:
        caller.connection.send(lane, data)
        self.net.poke(caller.endpoint)

    def send_back(self, connection: Connection, lane: int, data: bytes) -> None:
        connection.send(lane, data)
        self.net.poke(self.server)

    def close(self, caller: Caller) -> None:
        caller.endpoint.close()
        self.net.poke(caller.endpoint)

    def take(self) -> None:
        """Let the applications at all ends take their events."""
        for caller in self.callers:
            if caller.take(self.net.now):
                self.net.poke(caller.endpoint)
        taken = False
        while (event := self.server.next_event()) is not None:
            taken = True
            if isinstance(event, ConnectionOpened):
                self.opened.append(event.connection)
            elif isinstance(event, ConnectionReady):
                self._take_from(event.connection)
        if taken:
            self.net.poke(self.server)

    def _take_from(self, connection: Connection) -> None:
        while (event := connection.next_event()) is not None:
            if isinstance(event, MessageReceived):
                self.received[connection].append((self.net.now, event.lane, event.data))
                if self.echo:
                    connection.send(event.lane, event.data)
            elif isinstance(event, LaneDrained):
                self.drained[connection].append(event.lane)
            else:
                self.ended[connection] = event
