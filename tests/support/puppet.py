"""A far side that keeps no rules: it holds the keys of a connection, and says whatever a test makes it say."""

import random

from bisik_protocol.crypto.session import SessionSecrets
from bisik_protocol.transport.config import TransportConfig
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import Closed, MessageReceived
from bisik_protocol.transport.receiving import PacketReader
from bisik_protocol.transport.sealing import PacketWriter
from bisik_protocol.wire.frames import Frame, parse_frames_untrusted

PUPPET_ADDRESS = ("198.51.100.66", 666)


class Puppet:
    """`connection` is the honest end under test, a server's unless told otherwise; time is where the test puts it.

    The application at the honest end takes messages as they come, into `messages`, unless `taking` is off.
    """

    def __init__(self, *, plays_server: bool = False, config: TransportConfig | None = None) -> None:
        source = random.Random(1).randbytes
        secrets = SessionSecrets(
            client_traffic=source(32),
            server_traffic=source(32),
            channel_binding=source(32),
            client_connection_id=source(8),
            server_connection_id=source(8),
        )
        self.now = 1000.0
        self.connection_id = secrets.server_connection_id
        config = config or TransportConfig()
        ours, theirs, peer = secrets.client_traffic, secrets.server_traffic, secrets.server_connection_id
        if plays_server:
            ours, theirs, peer = theirs, ours, secrets.client_connection_id
        self._writer = PacketWriter(ours, peer, TransportConfig(), source, self.now)
        self._reader = PacketReader(theirs)
        self.connection = Connection(
            is_client=plays_server,
            secrets=secrets,
            address=PUPPET_ADDRESS,
            now=self.now,
            random=source,
            config=config,
            reset_token=None if plays_server else source(16),
        )
        self.taking = True
        self.messages: list[MessageReceived] = []
        self.closed: Closed | None = None
        self.numbers: list[int] = []  # of the packets heard
        self.sizes: list[int] = []  # of their datagrams

    def seal(self, *encoded: bytes) -> bytes:
        """A datagram with these frames."""
        return self._writer.seal(b"".join(encoded), self.now)[1]

    def say(self, *encoded: bytes) -> list[list[Frame]]:
        """Send one packet with these frames; the packets that come back at once."""
        self.connection.receive_datagram(self.seal(*encoded), PUPPET_ADDRESS, self.now)
        return self.hear()

    def hear(self) -> list[list[Frame]]:
        """The packets that the honest end has to send now."""
        self._take()
        packets: list[list[Frame]] = []
        while datagrams := self.connection.datagrams_to_send(self.now):
            for datagram, address in datagrams:
                assert address == PUPPET_ADDRESS
                number, payload = self._reader.open_untrusted(datagram)
                self.numbers.append(number)
                self.sizes.append(len(datagram))
                packets.append(parse_frames_untrusted(payload))
            self._take()
        return packets

    def wait(self, seconds: float) -> list[list[Frame]]:
        """Let time pass, timer by timer; the packets that come meanwhile."""
        end = self.now + seconds
        packets = self.hear()
        while (deadline := self.connection.next_timeout()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.connection.handle_timeout(self.now)
            packets += self.hear()
        self.now = end
        return packets

    def _take(self) -> None:
        if not self.taking:
            return
        while (event := self.connection.next_event()) is not None:
            assert self.closed is None, f"{event} behind the last event"
            if isinstance(event, MessageReceived):
                self.messages.append(event)
            elif isinstance(event, Closed):
                self.closed = event
