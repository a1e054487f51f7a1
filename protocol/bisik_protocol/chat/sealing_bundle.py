"""A device's public sealing key as it is published: bound to the device's signing key, and signed by it.

Who has pinned the signing key needs nobody's word that the sealing key is the same device's.
"""

from hashlib import sha256
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bisik_protocol.chat.messages import Digest, Modulus
from bisik_protocol.crypto.identity import SigningKey, VerifyKey
from bisik_protocol.crypto.sealing_key import MLKEM_KEY_BYTES, SealingPublic
from bisik_protocol.errors import RemoteProtocolError

SEALING_KEY_CONTEXT: Final = b"bisik sealing key v1"


class SealingBundle(Struct, frozen=True, array_like=True, tag="k1", forbid_unknown_fields=True):
    """What is signed. Its bytes, not this object, are what the signature covers."""

    device: Digest  # hash of the signing key
    modulus: Modulus  # of the sealing key
    mlkem: Annotated[bytes, Meta(min_length=MLKEM_KEY_BYTES, max_length=MLKEM_KEY_BYTES)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SealingBundle)


def encode_bundle(device: bytes, key: SealingPublic) -> bytes:
    """The bundle of the device with this hash."""
    return _encoder.encode(SealingBundle(device, key.rsa.modulus, key.mlkem))


def make_bundle(device: SigningKey, key: SealingPublic) -> tuple[bytes, bytes]:
    """The bundle and its signature, for `Publish`."""
    bundle = encode_bundle(device.public.key_hash, key)
    return bundle, device.sign(SEALING_KEY_CONTEXT, bundle)


def check_bundle_untrusted(device: VerifyKey, bundle: bytes, signature: bytes) -> SealingPublic:
    """The sealing key that `device` published.

    Raises RemoteProtocolError: "bundle" for what is none, or another device's, "key" for keys that are not good
    enough, "bundle-signature" where `device` has not signed it.
    """
    try:
        read = _decoder.decode(bundle)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise RemoteProtocolError("bundle") from None
    if read.device != device.key_hash:
        raise RemoteProtocolError("bundle")
    key = SealingPublic.from_keys_untrusted(read.modulus, read.mlkem)
    if not device.verify(SEALING_KEY_CONTEXT, bundle, signature):
        raise RemoteProtocolError("bundle-signature")
    return key


def bundle_digest(bundle: bytes) -> bytes:
    """What `Admitted.sealing` says of a published bundle."""
    return sha256(bundle).digest()
