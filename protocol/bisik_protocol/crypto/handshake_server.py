"""The server's side of the handshake, without a memory: every answer is computed from the datagrams alone.

It owns the order of the server's checks: size, MAC, cookie, shape, and only then arithmetic, the cheap before the
dear. It keeps no state per client. Putting the parts of a KEX together, limiting how many are under way, and
answering a repeated KEX from a cache instead of calling this again is the transport's work.
"""

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from bisik_protocol.crypto.cookie import CookieMaker
from bisik_protocol.crypto.identity import ServerIdentity
from bisik_protocol.crypto.mac import check_mac_untrusted, has_right_mac, hello_key, nonce_key, with_mac
from bisik_protocol.crypto.schedule import KeySchedule
from bisik_protocol.crypto.session import SERVER_SIGNATURE_CONTEXT, SHARED_SECRET_BYTES, SessionSecrets
from bisik_protocol.crypto.transcript import HELLO, KEX, RETRY, Th1Fields, Th2Fields, Th3Fields, transcript_hash
from bisik_protocol.crypto.versions import VERSION_1_SUITE_1, choose_version_untrusted
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.randomness import RandomSource
from bisik_protocol.wire.handshake import (
    X25519_BYTES,
    KexContent,
    KexPart,
    check_hello_shape_untrusted,
    encode_retry,
    encode_skex,
    parse_hello_untrusted,
    parse_kex_content_untrusted,
    parse_kex_part_untrusted,
)


class ServerHandshake:
    """Answers HELLOs and completes KEXs. One object serves every client."""

    def __init__(
        self, identity: ServerIdentity, cookie_key: bytes, random: RandomSource, allow_unpinned: bool = True
    ) -> None:
        """`cookie_key`: 32 secret bytes. `allow_unpinned`: also answer clients that do not know the fingerprint."""
        self._identity = identity
        self._public = identity.public
        self._cookies = CookieMaker(cookie_key)
        self._random = random
        self._hello_keys = [hello_key(self._public.fingerprint)]
        if allow_unpinned:
            self._hello_keys.append(hello_key(None))

    def answer_hello_untrusted(self, data: bytes, address: bytes, now: float) -> bytes:
        """The RETRY, 825 bytes, for a HELLO of 1200. To anyone who may not be answered: silence.

        Raises RemoteProtocolError: "size", "type", "hello-mac", "offer", "padding", "version".
        """
        check_hello_shape_untrusted(data)
        if not any(has_right_mac(key, data) for key in self._hello_keys):
            raise RemoteProtocolError("hello-mac")
        hello = parse_hello_untrusted(data)
        choose_version_untrusted(hello.pairs)
        cookie = self._cookies.make(hello.nonce, address, now)
        retry = encode_retry(cookie, self._public.signing.modulus, self._public.encryption.modulus)
        return with_mac(nonce_key(hello.nonce), retry)

    def read_kex_part_untrusted(self, data: bytes, address: bytes, now: float) -> KexPart:
        """One part of a KEX, from an address that is proved to receive: its cookie is good.

        Parts belong together when nonce and cookie are equal.
        Raises RemoteProtocolError: "size", "type", "cookie", "mac".
        """
        part = parse_kex_part_untrusted(data)
        if not self._cookies.check(part.cookie, part.nonce, address, now):
            raise RemoteProtocolError("cookie")
        check_mac_untrusted(nonce_key(part.nonce), data)
        return part

    def complete_untrusted(
        self, nonce: bytes, cookie: bytes, chunk0: bytes, chunk1: bytes
    ) -> tuple[tuple[bytes, bytes], SessionSecrets]:
        """The two SKEX datagrams and the session. Costs two RSA operations, about 1.5 ms.

        The chunks come from parts with this nonce and cookie that `read_kex_part_untrusted` returned. Called twice
        for one KEX it makes two different sessions: keep the answer and repeat it.
        Raises RemoteProtocolError: "offer", "version", "kex".
        """
        content = parse_kex_content_untrusted(chunk0 + chunk1)
        # The RETRY said version 1, suite 1. If that is not what this offer deserves, someone cut the HELLO's down.
        if choose_version_untrusted(content.pairs) != VERSION_1_SUITE_1:
            raise RemoteProtocolError("version")
        share, ciphertext, schedule = self._exchange_untrusted(content)
        th1 = transcript_hash(
            Th1Fields(
                hello=HELLO,
                client_nonce=nonce,
                offer=content.offer,
                retry=RETRY,
                cookie=cookie,
                server_signing_modulus=self._public.signing.modulus,
                server_encryption_modulus=self._public.encryption.modulus,
                kex=KEX,
                client_x25519=content.x25519,
                client_mlkem_key=content.mlkem_key,
                sealed_secret=content.sealed_secret,
            )
        )
        th2 = transcript_hash(Th2Fields(th1=th1, server_x25519=share, mlkem_ciphertext=ciphertext))
        signature = self._identity.signing.sign(SERVER_SIGNATURE_CONTEXT, th2)
        th3 = transcript_hash(Th3Fields(th2=th2, signature=signature))
        first, second = encode_skex(share, ciphertext, schedule.seal_signature(th2, signature))
        key = nonce_key(nonce)
        return (with_mac(key, first), with_mac(key, second)), schedule.session_secrets(th3)

    def _exchange_untrusted(self, content: KexContent) -> tuple[bytes, bytes, KeySchedule]:
        """The server's X25519 share, the ML-KEM ciphertext, and the keys. Raises RemoteProtocolError("kex").

        A low-order point, a malformed ML-KEM key and a bad OAEP ciphertext are one and the same refusal, and what
        goes out is nothing, as for any other bad packet.
        """
        private = X25519PrivateKey.from_private_bytes(self._random(X25519_BYTES))
        try:
            x25519 = private.exchange(X25519PublicKey.from_public_bytes(content.x25519))
            mlkem, ciphertext = MLKEM768PublicKey.from_public_bytes(content.mlkem_key).encapsulate()
        except ValueError:
            raise RemoteProtocolError("kex") from None
        secret = self._identity.decryption.decrypt(content.sealed_secret)
        if secret is None or len(secret) != SHARED_SECRET_BYTES:
            raise RemoteProtocolError("kex")
        return private.public_key().public_bytes_raw(), ciphertext, KeySchedule(x25519, mlkem, secret)
