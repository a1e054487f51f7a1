"""The MAC that ends every handshake datagram: HMAC-SHA-256 over all before it, cut to 16 bytes.

A HELLO's is keyed by the fingerprint of the server it is for: the server says nothing to those who do not know it.
All the others are keyed by the client's nonce. Someone off the path, who has not read the nonce, cannot forge them;
and damage on the way is noticed at once, before it is taken for another server's key or for a wrong share. Against
someone on the path they are no protection, and none is built on them.
"""

from typing import Final

from cryptography.hazmat.primitives import constant_time, hmac

from bisik_protocol.crypto.primitives import hmac_key, hmac_sha256
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire.handshake import MAC_BYTES

# For HELLOs from clients that know no fingerprint yet. It keeps nobody out: it only tells them from noise.
ANONYMOUS_KEY: Final = b"bisik v1 hello without a fingerprint"


def hello_key(fingerprint: bytes | None) -> hmac.HMAC:
    """The key of a HELLO to the server with this fingerprint, or to a server whose fingerprint is unknown."""
    return hmac_key(ANONYMOUS_KEY if fingerprint is None else fingerprint)


def nonce_key(nonce: bytes) -> hmac.HMAC:
    """The key of RETRY, KEX and SKEX in the attempt with this client nonce."""
    return hmac_key(nonce)


def with_mac(key: hmac.HMAC, covered: bytes) -> bytes:
    """A whole datagram from everything but its MAC."""
    return covered + _mac(key, covered)


def has_right_mac(key: hmac.HMAC, datagram: bytes) -> bool:
    """Whether a whole datagram, of at least a MAC's size, ends in the MAC over the rest. Constant time."""
    return constant_time.bytes_eq(_mac(key, datagram[:-MAC_BYTES]), datagram[-MAC_BYTES:])


def check_mac_untrusted(key: hmac.HMAC, datagram: bytes) -> None:
    """Raises RemoteProtocolError("mac")."""
    if not has_right_mac(key, datagram):
        raise RemoteProtocolError("mac")


def _mac(key: hmac.HMAC, covered: bytes) -> bytes:
    return hmac_sha256(key, covered)[:MAC_BYTES]
