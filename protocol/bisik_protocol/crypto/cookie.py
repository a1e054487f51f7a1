"""The cookie: proof that a client receives at the address it sends from, so that the server need remember nobody.

It owns the cookie's bytes and their lifetime. It knows nothing of what an address is: those bytes are the caller's.

    0  8   when it was made, milliseconds, u64, on the server's own clock
    8  32  HMAC-SHA-256(cookie key, those 8 bytes || address || client nonce)
"""

from typing import Final

from cryptography.hazmat.primitives import constant_time

from bisik_protocol.crypto.primitives import hmac_key, hmac_sha256

COOKIE_LIFETIME_S: Final = 30.0

_TIME_BYTES: Final = 8


class CookieMaker:
    """Makes and checks cookies under one key. The clock must be the same one for as long as the key is."""

    __slots__ = ("_key", "_lifetime_ms")

    def __init__(self, key: bytes, lifetime_s: float = COOKIE_LIFETIME_S) -> None:
        self._key = hmac_key(key)
        self._lifetime_ms = round(lifetime_s * 1000)

    def make(self, nonce: bytes, address: bytes, now: float) -> bytes:
        """40 bytes. `nonce` is 32 bytes, which is what keeps it apart from an address of any length."""
        made = int(now * 1000).to_bytes(_TIME_BYTES)
        return made + hmac_sha256(self._key, made + address + nonce)

    def check(self, cookie: bytes, nonce: bytes, address: bytes, now: float) -> bool:
        """Whether this cookie was made here for this nonce and address, and not over its lifetime ago."""
        made, mac = cookie[:_TIME_BYTES], cookie[_TIME_BYTES:]
        if not constant_time.bytes_eq(mac, hmac_sha256(self._key, made + address + nonce)):
            return False
        age_ms = int(now * 1000) - int.from_bytes(made)
        return 0 <= age_ms <= self._lifetime_ms
