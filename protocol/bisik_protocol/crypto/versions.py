"""Which versions and suites this program speaks, and which one of an offer is chosen."""

from collections.abc import Sequence
from typing import Final

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire.handshake import VersionPair

VERSION_1_SUITE_1: Final[VersionPair] = (1, 1)  # RSA-3072, X25519, ML-KEM-768, AES-256-GCM, SHA-256
SUPPORTED: Final[tuple[VersionPair, ...]] = (VERSION_1_SUITE_1,)  # the best first


def choose_version_untrusted(offered: Sequence[VersionPair]) -> VersionPair:
    """The best pair that both sides speak, best for the server. Raises RemoteProtocolError("version").

    The choice hangs on the offer alone. The offer comes again in the KEX, where the server makes its choice anew, and
    the server signs it: who cuts an offer down on the way stops the handshake and chooses nothing.
    """
    for pair in SUPPORTED:
        if pair in offered:
            return pair
    raise RemoteProtocolError("version")
