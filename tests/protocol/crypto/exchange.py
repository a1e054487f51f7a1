"""A handshake step by step, for tests that look at it or interfere with it. No time passes and nothing is sent."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from bisik_protocol.crypto.handshake import ClientHandshake, ServerHandshake, SessionSecrets
from bisik_protocol.crypto.identity import ServerIdentity
from bisik_protocol.crypto.mac import nonce_key, with_mac
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.randomness import RandomSource
from tests.support.keys import server_identity

COOKIE_KEY = bytes(range(32))
ADDRESS = b"192.0.2.7:40001"
NOW = 1000.0


def seeded(seed: int) -> RandomSource:
    """Randomness that repeats: the same seed, the same bytes."""
    return random.Random(seed).randbytes


def make_server(
    identity: ServerIdentity | None = None, seed: int = 2, *, allow_unpinned: bool = True
) -> ServerHandshake:
    return ServerHandshake(identity or server_identity(), COOKIE_KEY, seeded(seed), allow_unpinned)


def make_client(identity: ServerIdentity | None = None, seed: int = 1) -> ClientHandshake:
    """A client that pins this server."""
    return ClientHandshake(seeded(seed), (identity or server_identity()).fingerprint)


@dataclass
class Exchange:
    """Everything two honest sides said to each other; the SKEX has not reached the client."""

    client: ClientHandshake = field(default_factory=make_client)
    server: ServerHandshake = field(default_factory=make_server)

    def __post_init__(self) -> None:
        self.hello = self.client.hello()
        self.nonce = self.hello[1:33]
        self.retry = self.server.answer_hello_untrusted(self.hello, ADDRESS, NOW)
        self.client.receive_retry_untrusted(self.retry)
        self.client.start_exchange()
        self.kex = self.client.kex()
        self.skex, self.server_secrets = answer_kex(self.server, self.kex)

    def finish(self) -> SessionSecrets | None:
        assert self.client.receive_skex_untrusted(self.skex[0]) is None
        return self.client.receive_skex_untrusted(self.skex[1])


def answer_kex(server: ServerHandshake, kex: tuple[bytes, bytes]) -> tuple[tuple[bytes, bytes], SessionSecrets]:
    """What the transport does with two KEX datagrams."""
    first, second = (server.read_kex_part_untrusted(part, ADDRESS, NOW) for part in kex)
    assert (first.nonce, first.cookie, first.index) == (second.nonce, second.cookie, 1 - second.index)
    return server.complete_untrusted(first.nonce, first.cookie, first.chunk, second.chunk)


def refusal(call: Callable[[], object]) -> str | None:
    """The reason of the RemoteProtocolError that this call raises, or None if it returns."""
    try:
        call()
    except RemoteProtocolError as error:
        return error.reason
    return None


def kex_content(kex: tuple[bytes, bytes]) -> bytes:
    """What both parts of a KEX carry together."""
    return kex[0][74:-16] + kex[1][74:-16]


def with_kex_content(kex: tuple[bytes, bytes], at: int, value: bytes) -> tuple[bytes, bytes]:
    """The same KEX with other bytes at this place of its content, and the MACs put right."""
    content = kex_content(kex)
    content = content[:at] + value + content[at + len(value) :]
    key = nonce_key(kex[0][1:33])
    return with_mac(key, kex[0][:74] + content[:800]), with_mac(key, kex[1][:74] + content[800:])


def skex_part(nonce: bytes, index: int, chunk: bytes) -> bytes:
    """A SKEX datagram as someone who knows the nonce can forge it."""
    return with_mac(nonce_key(nonce), bytes([0x04, index]) + chunk)


def touched_up(nonce: bytes, datagram: bytes) -> bytes:
    """The datagram with its MAC put right, as someone who knows the nonce can do after changing it."""
    return with_mac(nonce_key(nonce), datagram[:-16])


def flip(data: bytes, at: int, bit: int = 0) -> bytes:
    """The same bytes with one bit changed."""
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def refusal_of_skex(client: ClientHandshake, part: bytes) -> str | None:
    return refusal(lambda: client.receive_skex_untrusted(part))


def refusal_of_kex(kex: tuple[bytes, bytes], server: ServerHandshake | None = None) -> str | None:
    return refusal(lambda: answer_kex(server or make_server(), kex))


def client_refuses(client: ClientHandshake, skex: tuple[bytes, bytes]) -> bool:
    """Whether this SKEX is taken, whole, and makes no session."""
    return client.receive_skex_untrusted(skex[0]) is None and refusal_of_skex(client, skex[1]) == "skex"
