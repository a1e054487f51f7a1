"""The transcript hashes th1, th2, th3: which fields the two sides must have seen alike, and in which order.

The field lists here are those of the model in docs/formal, and a test holds the two together: change both or none.

A hash is SHA-256 over all fields of its list, each as its length in two bytes and then its bytes, so that no two
different lists of fields give the same input.
"""

from typing import Final, NamedTuple

from bisik_protocol.crypto.primitives import hash_fields
from bisik_protocol.wire.handshake import TYPE_HELLO, TYPE_KEX, TYPE_RETRY


class Th1Fields(NamedTuple):
    """Everything that was said before the server's share, from HELLO, RETRY and KEX."""

    hello: bytes
    client_nonce: bytes
    offer: bytes
    retry: bytes  # its type, which stands for the version and suite that the server chose
    cookie: bytes
    server_signing_modulus: bytes
    server_encryption_modulus: bytes
    kex: bytes
    client_x25519: bytes
    client_mlkem_key: bytes
    sealed_secret: bytes


class Th2Fields(NamedTuple):
    """And the server's share. The server signs this hash."""

    th1: bytes
    server_x25519: bytes
    mlkem_ciphertext: bytes


class Th3Fields(NamedTuple):
    """And the server's signature. This hash is the channel binding: a device signs it to log in."""

    th2: bytes
    signature: bytes


HELLO: Final = bytes([TYPE_HELLO])
RETRY: Final = bytes([TYPE_RETRY])
KEX: Final = bytes([TYPE_KEX])


def transcript_hash(fields: Th1Fields | Th2Fields | Th3Fields) -> bytes:
    """32 bytes. The model's h((...))."""
    return hash_fields(fields)
