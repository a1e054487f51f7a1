"""The hash, MAC and key derivation that the rest of `crypto` shares: SHA-256, HMAC-SHA-256 and HKDF (RFC 5869).

It owns how this protocol calls `cryptography` for these three and nothing else: no labels, no lengths, no keys.
"""

from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

SHA256: Final = hashes.SHA256()
DIGEST_BYTES: Final = 32


def sha256(data: bytes) -> bytes:
    digest = hashes.Hash(SHA256)
    digest.update(data)
    return digest.finalize()


def hash_fields(fields: Iterable[bytes]) -> bytes:
    """SHA-256 over each field's length in two bytes and the field: no two lists of fields give the same input."""
    return sha256(b"".join(len(field).to_bytes(2) + field for field in fields))


def hmac_sha256(key: hmac.HMAC, data: bytes) -> bytes:
    """The 32-byte MAC of `data`. `key` comes from `hmac_key` and is reused: keying costs as much as a short MAC."""
    mac = key.copy()
    mac.update(data)
    return mac.finalize()


def hmac_key(key: bytes) -> hmac.HMAC:
    return hmac.HMAC(key, SHA256)


def hkdf_extract(salt: bytes, key_material: bytes) -> bytes:
    return HKDF.extract(SHA256, salt, key_material)


def hkdf_expand(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256, length, info).derive(secret)
