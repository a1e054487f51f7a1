"""Packet protection: AES-256-GCM under keys that ratchet, one sealer and one opener for each direction.

It owns keys, nonces and key phases, and the law that no key meets a nonce twice. It knows nothing of what a header
or a payload means, of time, or of what the peer has acknowledged: when to ratchet is the transport's to decide.

Both classes run once for every packet, so their common path is as short as Python allows: the library's bound
method, one integer xor, one comparison.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bisik_protocol.crypto.primitives import hkdf_expand
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError

TAG_BYTES: Final = 16
NONCE_BYTES: Final = 12
MAX_PACKET_NUMBER: Final = (1 << 48) - 1

# RFC 9001 section 6.6: the confidentiality limit of AES-GCM, in packets. The transport ratchets long before; this
# is the point where sealing refuses.
MAX_NUMBERS_PER_KEY: Final = 1 << 23

# The same section allows 2**52 forgeries before a connection must be given up. 2**36 is well inside it for packets
# of any length, and still 19 hours of a million forgeries a second.
MAX_FAILURES: Final = 1 << 36

KEY_LABEL: Final = b"bisik v1 key"
IV_LABEL: Final = b"bisik v1 iv"
RATCHET_LABEL: Final = b"bisik v1 ratchet"

_Aead = Callable[[bytes, bytes, bytes | None], bytes]


def _next_secret(secret: bytes) -> bytes:
    return hkdf_expand(secret, RATCHET_LABEL, 32)


def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(hkdf_expand(secret, KEY_LABEL, 32))


def _iv(secret: bytes) -> int:
    return int.from_bytes(hkdf_expand(secret, IV_LABEL, NONCE_BYTES))


class PacketSealer:
    """Seals one direction's packets. `phase` is the key-phase bit, `sealed` the packets sealed in this phase.

    `first_number` is the lowest packet number of this phase. The peer holds one key ahead and not two, so ratchet
    again only after it has acknowledged a packet with at least this number (RFC 9001 section 6.1).
    """

    __slots__ = ("_encrypt", "_end", "_iv", "_last", "_secret", "first_number", "phase", "sealed")

    def __init__(self, secret: bytes) -> None:
        self.phase = 0
        self._last = -1
        self._use(secret)

    def seal(self, number: int, header: bytes, plaintext: bytes) -> bytes:
        """Ciphertext and 16-byte tag; the header is authenticated with it.

        Raises LocalProtocolError unless `number` is above every earlier one and within what this key may seal.
        """
        if not self._last < number < self._end:
            raise LocalProtocolError("a packet number is used once, in rising order, and a key for a bounded number")
        self._last = number
        self.sealed += 1
        return self._encrypt((self._iv ^ number).to_bytes(12), plaintext, header)

    def ratchet(self) -> None:
        """Move to the next key and flip the phase. The old key is forgotten and cannot be computed back."""
        self.phase ^= 1
        self._use(_next_secret(self._secret))

    def _use(self, secret: bytes) -> None:
        self._secret = secret
        self._encrypt: _Aead = _cipher(secret).encrypt
        self._iv = _iv(secret)
        self.sealed = 0
        self.first_number = self._last + 1
        self._end = min(self.first_number + MAX_NUMBERS_PER_KEY, MAX_PACKET_NUMBER + 1)


class _OpeningKey(NamedTuple):
    decrypt: _Aead
    iv: int


def _opening_key(secret: bytes) -> _OpeningKey:
    return _OpeningKey(_cipher(secret).decrypt, _iv(secret))


class PacketOpener:
    """Opens one direction's packets, in whatever order they come. `failures` counts forgeries and damage."""

    __slots__ = ("_decrypt", "_iv", "_moved_at", "_next", "_phase", "_previous", "_secret", "failures")

    def __init__(self, secret: bytes) -> None:
        self._phase = 0
        # The number whose packet made the current key current. The sender's numbers rise through its phases: what has
        # the other phase bit is of the next phase if its number is higher, and of the previous one if it is lower.
        self._moved_at = -1
        self._decrypt, self._iv = _opening_key(secret)
        self._previous: _OpeningKey | None = None
        self._secret = secret
        # Computed at the first packet with the other phase bit, and kept: a thousand forged ones cost it once, and
        # an idle session does not hold a cipher (2.5 KiB) for a key that it may never need.
        self._next: _OpeningKey | None = None
        self.failures = 0

    def open_untrusted(self, phase: int, number: int, header: bytes, ciphertext: bytes) -> bytes:
        """The plaintext. Says nothing about repeats: ask the replay window after this, never before.

        Raises RemoteProtocolError("decrypt"), or ("exhausted") once the connection must be given up.
        """
        if phase == self._phase:
            try:
                return self._decrypt((self._iv ^ number).to_bytes(12), ciphertext, header)
            except (InvalidTag, OverflowError):  # OverflowError: a number that fits no nonce
                self._fail()
        return self._open_other_phase_untrusted(number, header, ciphertext)

    def _open_other_phase_untrusted(self, number: int, header: bytes, ciphertext: bytes) -> bytes:
        newer = number > self._moved_at
        if newer and self._next is None:
            self._next = _opening_key(_next_secret(self._secret))
        key = self._next if newer else self._previous
        if key is None:
            self._fail()
        try:
            plaintext = key.decrypt((key.iv ^ number).to_bytes(12), ciphertext, header)
        except (InvalidTag, OverflowError):
            self._fail()
        if newer:
            self._advance(number, key)
        return plaintext

    def _advance(self, number: int, key: _OpeningKey) -> None:
        self._previous = _OpeningKey(self._decrypt, self._iv)
        self._decrypt, self._iv = key
        self._secret = _next_secret(self._secret)
        self._next = None
        self._phase ^= 1
        self._moved_at = number

    def _fail(self) -> NoReturn:
        self.failures += 1
        if self.failures > MAX_FAILURES:
            # Nothing opens from here on, not even what is genuine: the limit is the key's, not the forger's.
            self._decrypt = _refuse
            self._next = _OpeningKey(_refuse, 0)
            self._previous = None
            raise RemoteProtocolError("exhausted")
        raise RemoteProtocolError("decrypt")


def _refuse(nonce: bytes, ciphertext: bytes, header: bytes | None) -> NoReturn:
    raise RemoteProtocolError("exhausted")
