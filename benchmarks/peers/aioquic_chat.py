"""The same chat on aioquic, by its public API: a unidirectional stream for each message.

    python -m benchmarks.peers.aioquic_chat DIRECTORY

serves on a free port of 127.0.0.1 with DIRECTORY/cert.pem and key.pem until stdin ends. The server is
`aioquic.asyncio.serve`, as its documentation shows; the client is its sans-IO `QuicConnection`, so that fleets of
both kinds are driven by the same loop. A stream a message is what keeps a lost one from delaying the others, and what
measured best among the ways to use it. Settings are aioquic's own but for two: idle connections are not closed while
a benchmark waits, and flow control is wide enough never to be what limits it.
"""

import asyncio
import contextlib
import datetime
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import trio
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent, StreamDataReceived
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

ALPN: Final = "chat"
NAME: Final = "localhost"
IDLE_S: Final = 3600.0
WINDOW_BYTES: Final = 16 * 1024 * 1024
MAX_DATAGRAM_BYTES: Final = 1200

OnMessage = Callable[[bytes], None]


def make_certificate(directory: Path) -> Path:
    """A self-signed P-256 certificate, QUIC's cheapest usual kind; returns the file that clients trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    path = directory / "cert.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "key.pem").write_bytes(pem)
    return path


def _configuration(*, is_client: bool) -> QuicConfiguration:
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=[ALPN],
        idle_timeout=IDLE_S,
        max_data=WINDOW_BYTES,
        max_stream_data=WINDOW_BYTES,
        max_datagram_size=MAX_DATAGRAM_BYTES,
        server_name=NAME if is_client else None,
    )


class _Messages:
    """Puts streams together again: a stream is a message."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}

    def take(self, event: StreamDataReceived) -> bytes | None:
        data = self._parts.pop(event.stream_id, b"") + event.data
        if event.end_stream:
            return data
        self._parts[event.stream_id] = data
        return None


def _send(quic: QuicConnection, message: bytes) -> None:
    stream = quic.get_next_available_stream_id(is_unidirectional=True)
    quic.send_stream_data(stream, message, end_stream=True)


class QuicClient:
    """A core for a fleet. `on_ready` is told once, `on_message` of everything that comes."""

    def __init__(
        self, address: tuple[Any, ...], trusted: Path, on_message: OnMessage, on_ready: Callable[[], None]
    ) -> None:
        configuration = _configuration(is_client=True)
        configuration.load_verify_locations(cafile=str(trusted))
        self.quic = QuicConnection(configuration=configuration)
        self.closed: ConnectionTerminated | None = None
        self._address = address
        self._on_message = on_message
        self._on_ready = on_ready
        self._messages = _Messages()
        self.quic.connect(address, now=trio.current_time())

    def send(self, message: bytes) -> None:
        """Flush the core afterwards."""
        _send(self.quic, message)

    def say_goodbye(self) -> None:
        self.quic.close()

    def receive_datagram(self, datagram: bytes, now: float) -> None:
        self.quic.receive_datagram(datagram, self._address, now)
        self._take_events()

    def handle_timeout(self, now: float) -> None:
        self.quic.handle_timer(now)
        self._take_events()

    def datagrams_to_send(self, now: float) -> list[bytes]:
        return [datagram for datagram, _ in self.quic.datagrams_to_send(now)]

    def next_timeout(self) -> float | None:
        return self.quic.get_timer()

    def _take_events(self) -> None:
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, StreamDataReceived):
                message = self._messages.take(event)
                if message is not None:
                    self._on_message(message)
            elif isinstance(event, HandshakeCompleted):
                self._on_ready()
            elif isinstance(event, ConnectionTerminated):
                self.closed = event


class _Guest(QuicConnectionProtocol):
    """One client at the server."""

    def __init__(self, hall: dict["_Guest", None], *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._hall = hall
        self._messages = _Messages()
        self._due = False

    def tell(self, message: bytes) -> None:
        """Send it in this turn of the loop, together with whatever else comes up in it."""
        _send(self._quic, message)
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._transmit_once)

    def _transmit_once(self) -> None:
        self._due = False
        self.transmit()

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            message = self._messages.take(event)
            if message is not None:
                for other in self._hall:
                    if other is not self:
                        other.tell(message)
        elif isinstance(event, HandshakeCompleted):
            self._hall[self] = None
        elif isinstance(event, ConnectionTerminated):
            self._hall.pop(self, None)


async def _serve(directory: Path) -> None:
    hall: dict[_Guest, None] = {}
    configuration = _configuration(is_client=False)
    configuration.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    server = await serve(
        "127.0.0.1",
        0,
        configuration=configuration,
        create_protocol=lambda *arguments, **named: _Guest(hall, *arguments, **named),
    )
    # There is no public way to ask for the port that was picked.
    transport = server._transport
    assert transport is not None
    print(json.dumps({"type": "ready", "port": transport.get_extra_info("sockname")[1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Path(sys.argv[1])))
