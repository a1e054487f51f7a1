"""Sealed payloads: bytes that a handful of devices can open, and nobody who carries or keeps them.

A fresh key encrypts the content once; for each device the key is wrapped under a secret that takes both its RSA and
its ML-KEM key to learn. The commitment ties all wraps to one key, so that no two devices can be made to read other
content, and whatever the caller binds is part of every tag: nothing can be moved into another place. Who sealed it is
not said here; that takes a signature over all of it.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta, Struct

from bisik_protocol.crypto.identity import OAEP_BYTES
from bisik_protocol.crypto.primitives import hash_fields, hkdf_expand, hkdf_extract, sha256
from bisik_protocol.crypto.sealing_key import MLKEM_CIPHERTEXT_BYTES, SealingKey, SealingPublic
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.randomness import RandomSource

SEALED_CONTEXT: Final = b"bisik sealed v1"
COMMITMENT_CONTEXT: Final = b"bisik sealed commitment v1"
WRAP_CONTEXT: Final = b"bisik sealed wrap v1"

MAX_RECIPIENTS: Final = 24  # two people with twelve devices each; with a long text still one message
MAX_CONTENT_BYTES: Final = 20 * 1024
CONTENT_KEY_BYTES: Final = 32
WRAP_SECRET_BYTES: Final = 32
WRAPPED_KEY_BYTES: Final = 48

_TAG_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_ONLY_NONCE: Final = bytes(_NONCE_BYTES)  # a content key encrypts one content

_Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]


class Wrap(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The content key for one device."""

    device: _Digest  # hash of its signing key
    oaep: Annotated[bytes, Meta(min_length=OAEP_BYTES, max_length=OAEP_BYTES)]
    mlkem: Annotated[bytes, Meta(min_length=MLKEM_CIPHERTEXT_BYTES, max_length=MLKEM_CIPHERTEXT_BYTES)]
    wrapped: Annotated[bytes, Meta(min_length=WRAPPED_KEY_BYTES, max_length=WRAPPED_KEY_BYTES)]


class Sealed(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Content for the devices of `wraps`, which stand in ascending order, each once."""

    commitment: _Digest  # to the content key
    wraps: Annotated[list[Wrap], Meta(min_length=1, max_length=MAX_RECIPIENTS)]
    ciphertext: Annotated[bytes, Meta(min_length=_TAG_BYTES, max_length=MAX_CONTENT_BYTES + _TAG_BYTES)]

    @property
    def devices(self) -> list[bytes]:
        """Whom it is for, by the hashes of their signing keys."""
        return [wrap.device for wrap in self.wraps]

    @property
    def in_order(self) -> bool:
        """Whether each device is there once, in the one order."""
        devices = self.devices
        return all(before < after for before, after in pairwise(devices))


def seal(
    content: bytes, recipients: Mapping[bytes, SealingPublic], bound: Sequence[bytes], random: RandomSource
) -> Sealed:
    """Encrypt `content` to the devices of `recipients`, so that it opens only together with `bound`.

    Raises LocalProtocolError for nobody, for more than MAX_RECIPIENTS, and for more than MAX_CONTENT_BYTES.
    """
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        raise LocalProtocolError(f"something is sealed to 1 to {MAX_RECIPIENTS} devices")
    if len(content) > MAX_CONTENT_BYTES:
        raise LocalProtocolError("too long to be sealed")
    key = random(CONTENT_KEY_BYTES)
    commitment = commitment_of(key)
    place = place_of(bound, commitment)
    wraps = [
        _wrap(key, place, device, recipients[device], random(WRAP_SECRET_BYTES)) for device in sorted(recipients)
    ]
    return Sealed(commitment, wraps, encrypt_content(key, place, sorted(recipients), content))


def open_sealed_untrusted(sealed: Sealed, device: bytes, key: SealingKey, bound: Sequence[bytes]) -> bytes:
    """The content, for the device with this key and signing key's hash.

    Raises RemoteProtocolError: "sealed-elsewhere" when nothing is wrapped for the device, "sealed" when what is there
    does not open: it was damaged, moved from another place, or sealed wrongly.
    """
    wrap = next((wrap for wrap in sealed.wraps if wrap.device == device), None)
    if wrap is None:
        raise RemoteProtocolError("sealed-elsewhere")
    place = place_of(bound, sealed.commitment)
    secret = key.decrypt(wrap.oaep)
    if secret is None or len(secret) != WRAP_SECRET_BYTES:
        raise RemoteProtocolError("sealed")
    wrap_key, nonce = wrap_key_of(key.decapsulate(wrap.mlkem), secret, place, wrap.device, wrap.oaep, wrap.mlkem)
    try:
        content_key = AESGCM(wrap_key).decrypt(nonce, wrap.wrapped, place)
        if commitment_of(content_key) != sealed.commitment:
            raise RemoteProtocolError("sealed")
        return AESGCM(content_key).decrypt(_ONLY_NONCE, sealed.ciphertext, place + b"".join(sealed.devices))
    except InvalidTag:
        raise RemoteProtocolError("sealed") from None


# The steps, which are all of it but what `cryptography` draws itself ---------------------------------------------


def commitment_of(content_key: bytes) -> bytes:
    """What ties every wrap to this one content key: GCM alone would let two keys open one ciphertext."""
    return sha256(COMMITMENT_CONTEXT + b"\0" + content_key)


def place_of(bound: Sequence[bytes], commitment: bytes) -> bytes:
    """Where a payload belongs, 32 bytes: associated data of all that is encrypted in it."""
    return hash_fields([SEALED_CONTEXT, *bound, commitment])


def wrap_key_of(
    shared: bytes, secret: bytes, place: bytes, device: bytes, oaep: bytes, mlkem: bytes
) -> tuple[bytes, bytes]:
    """Key and nonce of one wrap. `shared` is ML-KEM's, `secret` what went through RSA: whoever lacks one has neither.

    Both ciphertexts go in, so that no other pair of them leads to the same key.
    """
    info = place + device + sha256(mlkem) + sha256(oaep)
    both = hkdf_expand(hkdf_extract(WRAP_CONTEXT, shared + secret), info, CONTENT_KEY_BYTES + _NONCE_BYTES)
    return both[:CONTENT_KEY_BYTES], both[CONTENT_KEY_BYTES:]


def encrypt_content(content_key: bytes, place: bytes, devices: Sequence[bytes], content: bytes) -> bytes:
    """The ciphertext; whom else it is for is part of what is authenticated."""
    return AESGCM(content_key).encrypt(_ONLY_NONCE, content, place + b"".join(devices))


def _wrap(content_key: bytes, place: bytes, device: bytes, recipient: SealingPublic, secret: bytes) -> Wrap:
    shared, mlkem = recipient.encapsulate()
    oaep = recipient.rsa.encrypt(secret)
    key, nonce = wrap_key_of(shared, secret, place, device, oaep, mlkem)
    return Wrap(device, oaep, mlkem, AESGCM(key).encrypt(nonce, content_key, place))
