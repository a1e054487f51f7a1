"""Two connections that share a session's secrets, on a `SimNet` between them: the transport without a handshake."""

import random

from bisik_protocol.crypto.session import SessionSecrets
from bisik_protocol.transport.config import CLIENT_CONFIG, SERVER_CONFIG, TransportConfig
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import Closed, ConnectionEvent, MessageReceived
from tests.support.simnet import Conditions, Link, SimNet

CLIENT_ADDRESS = ("client", 1)
SERVER_ADDRESS = ("server", 9999)


class Pair:
    """`client` and `server` are connections; what each received is in `to_client` and `to_server`."""

    def __init__(
        self,
        seed: int = 0,
        conditions: Conditions | None = None,
        *,
        client_config: TransportConfig = CLIENT_CONFIG,
        server_config: TransportConfig = SERVER_CONFIG,
    ) -> None:
        self.net = SimNet(seed, conditions)
        source = random.Random(seed + 1).randbytes
        secrets = SessionSecrets(
            client_traffic=source(32),
            server_traffic=source(32),
            channel_binding=source(32),
            client_connection_id=source(8),
            server_connection_id=source(8),
        )
        self.token = source(16)
        self.client = Connection(
            is_client=True,
            secrets=secrets,
            address=SERVER_ADDRESS,
            now=self.net.now,
            random=source,
            config=client_config,
        )
        self.server = Connection(
            is_client=False,
            secrets=secrets,
            address=CLIENT_ADDRESS,
            now=self.net.now,
            random=source,
            config=server_config,
            reset_token=self.token,
        )
        self.net.attach(self.client, CLIENT_ADDRESS)
        self.net.attach(self.server, SERVER_ADDRESS)
        self.taking = True  # whether the applications take what arrives
        self.to_client: list[tuple[float, int, bytes]] = []  # time, lane, message
        self.to_server: list[tuple[float, int, bytes]] = []
        self.client_events: list[ConnectionEvent] = []
        self.server_events: list[ConnectionEvent] = []
        self.net.after_step = self.take

    @property
    def up(self) -> Link:
        return self.net.link(self.client, self.server)

    @property
    def down(self) -> Link:
        return self.net.link(self.server, self.client)

    def send(self, end: Connection, lane: int, data: bytes) -> None:
        end.send(lane, data)
        self.net.poke(end)

    def take(self) -> None:
        """Let both applications take their events."""
        if not self.taking:
            return
        for end, messages, events in (
            (self.client, self.to_client, self.client_events),
            (self.server, self.to_server, self.server_events),
        ):
            if not end.has_events:
                continue
            while (event := end.next_event()) is not None:
                if isinstance(event, MessageReceived):
                    messages.append((self.net.now, event.lane, event.data))
                else:
                    events.append(event)
            self.net.poke(end)

    def closed(self, events: list[ConnectionEvent]) -> Closed | None:
        return next((event for event in events if isinstance(event, Closed)), None)
