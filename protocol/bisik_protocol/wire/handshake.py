"""The handshake's datagrams, to the byte: HELLO, RETRY, and the two parts each of KEX and SKEX.

It owns layouts and sizes. It must not know what any field means: no key, MAC or signature is made or checked here,
and what is encoded here still lacks the MAC that ends every datagram. All integers are big-endian. Sizes are exact,
so that every answer is smaller than its cause: RETRY than 0.7 of HELLO, a SKEX part than the KEX part of its index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError

TYPE_HELLO: Final = 0x01
TYPE_RETRY: Final = 0x02
TYPE_KEX: Final = 0x03
TYPE_SKEX: Final = 0x04

NONCE_BYTES: Final = 32
MAC_BYTES: Final = 16
COOKIE_BYTES: Final = 40
MODULUS_BYTES: Final = 384
X25519_BYTES: Final = 32
MLKEM_KEY_BYTES: Final = 1184
MLKEM_CIPHERTEXT_BYTES: Final = 1088
SEALED_SECRET_BYTES: Final = 384  # RSA-OAEP
SEALED_SIGNATURE_BYTES: Final = 400  # RSA-PSS 384, AES-GCM tag 16
MAX_OFFERED_PAIRS: Final = 8

HELLO_BYTES: Final = 1200
RETRY_BYTES: Final = 1 + COOKIE_BYTES + 2 * MODULUS_BYTES + MAC_BYTES  # 825

# Offers ----------------------------------------------------------------------------------------------------------
#
#   0  1    n, the number of pairs, 1 to 8
#   1  4n   pairs, the client's favourite first: version u16, suite u16

VersionPair = tuple[int, int]


def encode_offer(pairs: Sequence[VersionPair]) -> bytes:
    if not 1 <= len(pairs) <= MAX_OFFERED_PAIRS:
        raise LocalProtocolError("an offer has 1 to 8 pairs")
    return bytes([len(pairs)]) + b"".join(version.to_bytes(2) + suite.to_bytes(2) for version, suite in pairs)


def read_offer_untrusted(data: bytes, offset: int) -> tuple[tuple[VersionPair, ...], int]:
    """The pairs of the offer at `offset`, and the offset behind it. Raises RemoteProtocolError("offer")."""
    count = data[offset] if offset < len(data) else 0
    end = offset + 1 + 4 * count
    if not 1 <= count <= MAX_OFFERED_PAIRS or end > len(data):
        raise RemoteProtocolError("offer")
    return tuple(
        (int.from_bytes(data[at : at + 2]), int.from_bytes(data[at + 2 : at + 4])) for at in range(offset + 1, end, 4)
    ), end


# HELLO, client to server, 1200 bytes -----------------------------------------------------------------------------
#
#      0  1     type 0x01
#      1  32    client nonce
#     33  1+4n  offer
#     ..  ..    zeros
#   1184  16    MAC, keyed by the server's fingerprint

HELLO_MAC_AT: Final = HELLO_BYTES - MAC_BYTES


@dataclass(frozen=True, slots=True)
class Hello:
    nonce: bytes
    offer: bytes  # as encoded
    pairs: tuple[VersionPair, ...]


def encode_hello(nonce: bytes, offer: bytes) -> bytes:
    """1184 bytes, without the MAC."""
    return (bytes([TYPE_HELLO]) + nonce + offer).ljust(HELLO_MAC_AT, b"\0")


def check_hello_shape_untrusted(data: bytes) -> None:
    """What can be seen before the MAC is checked. Raises RemoteProtocolError("size") or ("type")."""
    _check_shape_untrusted(data, TYPE_HELLO, HELLO_BYTES)


def parse_hello_untrusted(data: bytes) -> Hello:
    """A HELLO whose MAC is right. Raises RemoteProtocolError: "size", "type", "offer", "padding"."""
    check_hello_shape_untrusted(data)
    offer_at = 1 + NONCE_BYTES
    pairs, end = read_offer_untrusted(data[:HELLO_MAC_AT], offer_at)
    if data.count(0, end, HELLO_MAC_AT) != HELLO_MAC_AT - end:  # what no transcript would bind may not be there
        raise RemoteProtocolError("padding")
    return Hello(data[1:offer_at], data[offer_at:end], pairs)


# RETRY, server to client, 825 bytes ------------------------------------------------------------------------------
#
#     0  1    type 0x02; a RETRY of this type means that version 1, suite 1 was chosen
#     1  40   cookie
#    41  384  modulus of the server's signing key
#   425  384  modulus of the server's encryption key
#   809  16   MAC, keyed by the client nonce


@dataclass(frozen=True, slots=True)
class Retry:
    cookie: bytes
    signing_modulus: bytes
    encryption_modulus: bytes


def encode_retry(cookie: bytes, signing_modulus: bytes, encryption_modulus: bytes) -> bytes:
    """809 bytes, without the MAC."""
    return bytes([TYPE_RETRY]) + cookie + signing_modulus + encryption_modulus


def parse_retry_untrusted(data: bytes) -> Retry:
    """Raises RemoteProtocolError("size") or ("type")."""
    _check_shape_untrusted(data, TYPE_RETRY, RETRY_BYTES)
    return Retry(data[1:41], data[41:425], data[425:809])


# KEX, client to server, in two parts of 890 bytes and 891 + 4n bytes ----------------------------------------------
#
#    0  1    type 0x03
#    1  32   client nonce
#   33  40   cookie, as the RETRY brought it
#   73  1    part index, 0 or 1
#   74  ..   chunk: the first 800 bytes of the content in part 0, the other 801 + 4n in part 1
#   ..  16   MAC, keyed by the client nonce
#
# The content:
#
#      0  32    X25519 public key
#     32  1184  ML-KEM-768 encapsulation key
#   1216  384   RSA-OAEP ciphertext of s1, 32 bytes, under the server's encryption key
#   1600  1+4n  the offer of the HELLO again

KEX_HEADER_BYTES: Final = 1 + NONCE_BYTES + COOKIE_BYTES + 1
KEX_FIRST_CHUNK_BYTES: Final = 800
KEX_OFFER_AT: Final = X25519_BYTES + MLKEM_KEY_BYTES + SEALED_SECRET_BYTES
_KEX_CHUNK_SIZES: Final = (
    frozenset([KEX_FIRST_CHUNK_BYTES]),
    frozenset(KEX_OFFER_AT + 1 + 4 * n - KEX_FIRST_CHUNK_BYTES for n in range(1, MAX_OFFERED_PAIRS + 1)),
)


@dataclass(frozen=True, slots=True)
class KexPart:
    nonce: bytes
    cookie: bytes
    index: int  # 0 or 1
    chunk: bytes


@dataclass(frozen=True, slots=True)
class KexContent:
    x25519: bytes
    mlkem_key: bytes
    sealed_secret: bytes
    offer: bytes  # as encoded
    pairs: tuple[VersionPair, ...]


def encode_kex(
    nonce: bytes, cookie: bytes, x25519: bytes, mlkem_key: bytes, sealed_secret: bytes, offer: bytes
) -> tuple[bytes, bytes]:
    """Both datagrams, without their MACs."""
    header = bytes([TYPE_KEX]) + nonce + cookie
    content = x25519 + mlkem_key + sealed_secret + offer
    return header + b"\0" + content[:KEX_FIRST_CHUNK_BYTES], header + b"\1" + content[KEX_FIRST_CHUNK_BYTES:]


def parse_kex_part_untrusted(data: bytes) -> KexPart:
    """One datagram. Raises RemoteProtocolError("size") or ("type")."""
    if len(data) < KEX_HEADER_BYTES + MAC_BYTES:
        raise RemoteProtocolError("size")
    if data[0] != TYPE_KEX:
        raise RemoteProtocolError("type")
    index, chunk = data[KEX_HEADER_BYTES - 1], data[KEX_HEADER_BYTES:-MAC_BYTES]
    if index > 1 or len(chunk) not in _KEX_CHUNK_SIZES[index]:
        raise RemoteProtocolError("size")
    return KexPart(data[1:33], data[33:73], index, chunk)


def parse_kex_content_untrusted(content: bytes) -> KexContent:
    """Both chunks put together. Raises RemoteProtocolError("offer")."""
    pairs, end = read_offer_untrusted(content, KEX_OFFER_AT)
    if end != len(content):
        raise RemoteProtocolError("offer")
    return KexContent(content[:32], content[32:1216], content[1216:1600], content[1600:], pairs)


# SKEX, server to client, in two parts of 778 bytes ----------------------------------------------------------------
#
#     0  1    type 0x04
#     1  1    part index, 0 or 1
#     2  760  chunk: the first half of the content in part 0, the second in part 1
#   762  16   MAC, keyed by the client nonce
#
# The content:
#
#      0  32    X25519 public key
#     32  1088  ML-KEM-768 ciphertext
#   1120  400   AES-256-GCM of the RSA-PSS signature over th2

SKEX_CHUNK_BYTES: Final = (X25519_BYTES + MLKEM_CIPHERTEXT_BYTES + SEALED_SIGNATURE_BYTES) // 2
SKEX_PART_BYTES: Final = 1 + 1 + SKEX_CHUNK_BYTES + MAC_BYTES  # 778


@dataclass(frozen=True, slots=True)
class SkexPart:
    index: int  # 0 or 1
    chunk: bytes


@dataclass(frozen=True, slots=True)
class SkexContent:
    x25519: bytes
    mlkem_ciphertext: bytes
    sealed_signature: bytes


def encode_skex(x25519: bytes, mlkem_ciphertext: bytes, sealed_signature: bytes) -> tuple[bytes, bytes]:
    """Both datagrams, without their MACs."""
    content = x25519 + mlkem_ciphertext + sealed_signature
    header = bytes([TYPE_SKEX])
    return header + b"\0" + content[:SKEX_CHUNK_BYTES], header + b"\1" + content[SKEX_CHUNK_BYTES:]


def parse_skex_part_untrusted(data: bytes) -> SkexPart:
    """One datagram. Raises RemoteProtocolError("size") or ("type")."""
    _check_shape_untrusted(data, TYPE_SKEX, SKEX_PART_BYTES)
    if data[1] > 1:
        raise RemoteProtocolError("size")
    return SkexPart(data[1], data[2:-MAC_BYTES])


def split_skex_content(content: bytes) -> SkexContent:
    """Both chunks put together; their sizes are exact already."""
    return SkexContent(content[:32], content[32:1120], content[1120:])


def _check_shape_untrusted(data: bytes, kind: int, size: int) -> None:
    if len(data) != size:
        raise RemoteProtocolError("size")
    if data[0] != kind:
        raise RemoteProtocolError("type")
