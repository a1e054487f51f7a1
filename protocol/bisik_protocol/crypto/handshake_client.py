"""The client's side of the handshake: one attempt to reach one server, and the order of its checks.

The fingerprint is checked before anything is encrypted to the server's keys, and the server's signature before any
session key exists. A datagram that fails a check changes nothing that a good one brought: someone who can add
datagrams but not remove any does not stop the handshake by adding a few.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from bisik_protocol.crypto.identity import ServerPublic
from bisik_protocol.crypto.mac import check_mac_untrusted, hello_key, nonce_key, with_mac
from bisik_protocol.crypto.schedule import KeySchedule
from bisik_protocol.crypto.session import SERVER_SIGNATURE_CONTEXT, SHARED_SECRET_BYTES, SessionSecrets
from bisik_protocol.crypto.transcript import HELLO, KEX, RETRY, Th1Fields, Th2Fields, Th3Fields, transcript_hash
from bisik_protocol.crypto.versions import SUPPORTED
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.randomness import RandomSource
from bisik_protocol.wire.handshake import (
    NONCE_BYTES,
    X25519_BYTES,
    SkexContent,
    VersionPair,
    encode_hello,
    encode_kex,
    encode_offer,
    parse_retry_untrusted,
    parse_skex_part_untrusted,
    split_skex_content,
)

# Different chunks kept for each part of the SKEX. All but one are forged, by someone who reads our datagrams. Each
# arrival is tried against the other part's, so this also bounds the work for one datagram, to some 0.5 ms.
MAX_CANDIDATES: Final = 4

_MLKEM_SEED_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class _Exchange:
    """What `start_exchange` made."""

    server: ServerPublic
    x25519: X25519PrivateKey = field(repr=False)
    mlkem: MLKEM768PrivateKey = field(repr=False)
    secret: bytes = field(repr=False)
    kex: tuple[bytes, bytes]
    th1: bytes


class ClientHandshake:
    """One attempt. A cookie lives 30 s: an attempt whose KEX stays unanswered that long is replaced by a new one."""

    def __init__(
        self, random: RandomSource, fingerprint: bytes | None, offer: Sequence[VersionPair] = SUPPORTED
    ) -> None:
        """`fingerprint`: of the server to be reached, or None to take whichever answers and then ask a person."""
        self._random = random
        self._fingerprint = fingerprint
        self._offer = encode_offer(offer)
        self._nonce = random(NONCE_BYTES)
        self._mac_key = nonce_key(self._nonce)
        self._server: ServerPublic | None = None
        self._cookie = b""
        self._exchange: _Exchange | None = None
        self._chunks: tuple[list[bytes], list[bytes]] = ([], [])
        self._finished = False

    def hello(self, anonymous: bool = False) -> bytes:
        """The HELLO, 1200 bytes, as often as needed. `anonymous` asks any server, to learn who is there now."""
        key = hello_key(None if anonymous else self._fingerprint)
        return with_mac(key, encode_hello(self._nonce, self._offer))

    def receive_retry_untrusted(self, data: bytes) -> ServerPublic:
        """Who answers, so far without any proof. Compare its fingerprint, or show it; then `start_exchange`.

        A server with another fingerprint than the pinned one is returned and not kept. Without a pinned one, the
        first to answer is kept, so that nobody else takes its place while a person decides; a later RETRY from the
        same server brings a fresh cookie.
        Raises RemoteProtocolError: "size", "type", "mac", "key", "retry", and "late" once the exchange is started.
        """
        retry = parse_retry_untrusted(data)
        check_mac_untrusted(self._mac_key, data)
        if self._exchange is not None or self._finished:
            raise RemoteProtocolError("late")
        server = ServerPublic.from_moduli_untrusted(retry.signing_modulus, retry.encryption_modulus)
        if self._fingerprint is not None and server.fingerprint != self._fingerprint:
            return server
        if self._server is not None and server != self._server:
            raise RemoteProtocolError("retry")
        self._server = server
        self._cookie = retry.cookie
        return server

    def start_exchange(self) -> None:
        """Make this attempt's keys and encrypt to the server that `receive_retry_untrusted` returned.

        Without a pinned fingerprint, calling this says that a person has confirmed it. If that took longer than a
        cookie lives, send `hello` again and take the new RETRY first.
        Raises LocalProtocolError if no server has answered, or none with the pinned fingerprint.
        """
        if self._exchange is not None or self._finished:
            raise LocalProtocolError("the exchange was started before")
        if self._server is None:
            raise LocalProtocolError("no server with the right fingerprint has answered")
        secret = self._random(SHARED_SECRET_BYTES)
        x25519 = X25519PrivateKey.from_private_bytes(self._random(X25519_BYTES))
        mlkem = MLKEM768PrivateKey.from_seed_bytes(self._random(_MLKEM_SEED_BYTES))
        th1_fields = Th1Fields(
            hello=HELLO,
            client_nonce=self._nonce,
            offer=self._offer,
            retry=RETRY,
            cookie=self._cookie,
            server_signing_modulus=self._server.signing.modulus,
            server_encryption_modulus=self._server.encryption.modulus,
            kex=KEX,
            client_x25519=x25519.public_key().public_bytes_raw(),
            client_mlkem_key=mlkem.public_key().public_bytes_raw(),
            sealed_secret=self._server.encryption.encrypt(secret),
        )
        first, second = encode_kex(
            self._nonce,
            self._cookie,
            th1_fields.client_x25519,
            th1_fields.client_mlkem_key,
            th1_fields.sealed_secret,
            self._offer,
        )
        kex = (with_mac(self._mac_key, first), with_mac(self._mac_key, second))
        self._exchange = _Exchange(self._server, x25519, mlkem, secret, kex, transcript_hash(th1_fields))

    def kex(self) -> tuple[bytes, bytes]:
        """Both parts of the KEX, the same bytes each time. Raises LocalProtocolError outside the exchange."""
        if self._exchange is None:
            raise LocalProtocolError("no exchange is under way")
        return self._exchange.kex

    def receive_skex_untrusted(self, data: bytes) -> SessionSecrets | None:
        """The session, once: when both parts of the SKEX are there and the server's signature is good. Else None.

        Raises RemoteProtocolError: "size", "type", "mac", "late" (before the exchange or after its end), and
        "skex" when the parts so far do not fit together; the genuine ones may still come.
        """
        part = parse_skex_part_untrusted(data)
        check_mac_untrusted(self._mac_key, data)
        if self._exchange is None:
            raise RemoteProtocolError("late")
        candidates, others = self._chunks[part.index], self._chunks[1 - part.index]
        if part.chunk in candidates:
            return None
        candidates.append(part.chunk)
        del candidates[:-MAX_CANDIDATES]
        for other in others:
            content = part.chunk + other if part.index == 0 else other + part.chunk
            secrets = _finish(self._exchange, split_skex_content(content))
            if secrets is not None:
                self._forget()
                return secrets
        if others:
            raise RemoteProtocolError("skex")
        return None

    def _forget(self) -> None:
        """Ephemeral keys end here: with them gone, nobody can compute this session's keys again."""
        self._exchange = None
        self._chunks = ([], [])
        self._finished = True


def _finish(exchange: _Exchange, skex: SkexContent) -> SessionSecrets | None:
    """The session that this SKEX stands for, or None if any check fails."""
    th2 = transcript_hash(Th2Fields(exchange.th1, skex.x25519, skex.mlkem_ciphertext))
    try:
        x25519 = exchange.x25519.exchange(X25519PublicKey.from_public_bytes(skex.x25519))
        mlkem = exchange.mlkem.decapsulate(skex.mlkem_ciphertext)
    except ValueError:  # a low-order point
        return None
    schedule = KeySchedule(x25519, mlkem, exchange.secret)
    signature = schedule.open_signature(th2, skex.sealed_signature)
    if signature is None or not exchange.server.signing.verify(SERVER_SIGNATURE_CONTEXT, th2, signature):
        return None
    return schedule.session_secrets(transcript_hash(Th3Fields(th2, signature)))
