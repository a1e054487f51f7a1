"""What both sides must agree on before any key is exchanged: the MAC of a HELLO, and the choice of a version.

It owns the versions and suites this program speaks, and who may be answered at all.
"""

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives import constant_time, hmac

from bisik_protocol.crypto.primitives import hmac_key, hmac_sha256
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire.handshake import MAC_BYTES, VersionPair

VERSION_1_SUITE_1: Final[VersionPair] = (1, 1)  # RSA-3072, X25519, ML-KEM-768, AES-256-GCM, SHA-256
SUPPORTED: Final[tuple[VersionPair, ...]] = (VERSION_1_SUITE_1,)

# For clients that know no fingerprint yet. It keeps nobody out: it only tells a HELLO of ours from noise.
ANONYMOUS_KEY: Final = b"bisik v1 hello without a fingerprint"


def hello_key(fingerprint: bytes | None) -> hmac.HMAC:
    """The MAC key of a HELLO to the server with this fingerprint, or to a server whose fingerprint is unknown."""
    return hmac_key(ANONYMOUS_KEY if fingerprint is None else fingerprint)


def hello_mac(key: hmac.HMAC, covered: bytes) -> bytes:
    """HMAC-SHA-256 cut to 16 bytes."""
    return hmac_sha256(key, covered)[:MAC_BYTES]


def hello_mac_is_right(key: hmac.HMAC, covered: bytes, mac: bytes) -> bool:
    return constant_time.bytes_eq(hello_mac(key, covered), mac)


def choose_version_untrusted(offered: Sequence[VersionPair]) -> VersionPair:
    """The best pair that both sides speak, best for the server. Raises RemoteProtocolError("version").

    The choice hangs on the offer alone. The offer comes again in the KEX, where the server makes its choice anew, and
    the server signs it: who cuts an offer down on the way stops the handshake and chooses nothing.
    """
    for pair in SUPPORTED:
        if pair in offered:
            return pair
    raise RemoteProtocolError("version")
