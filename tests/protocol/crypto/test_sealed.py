"""Sealed payloads: fixed bytes, who can open them, and that nothing of them can be moved or changed."""

import hashlib
import hmac
import random

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.crypto.sealed import (
    MAX_CONTENT_BYTES,
    MAX_RECIPIENTS,
    Sealed,
    Wrap,
    commitment_of,
    encrypt_content,
    open_sealed_untrusted,
    place_of,
    seal,
    wrap_key_of,
)
from bisik_protocol.crypto.sealing_key import SealingKey, SealingPublic
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from tests.protocol.crypto.exchange import flip
from tests.support.keys import decryption_key, sealing_key

CONTENT_KEY = bytes(range(32))
SHARED = bytes(range(32, 64))
SECRET = bytes(range(64, 96))
DEVICE = bytes(range(96, 128))
BOUND = (b"@sari+tama", b"\x11" * 32, (1).to_bytes(8), bytes(32))

# docs/protocol.md has these too.
COMMITMENT = "46ba5f31481a503269996fa9abfd1b55593952ca3eecf9455a27f622ca6866aa"
PLACE = "964583593fe0e0599066ca2fd7b9fb37e92aa4f73374e818b180db83e06896cd"
WRAP_KEY = "da21380fb9679b1718c41452da2f3c271ce675a8e9163978842fa08bc7a9d124"
WRAP_NONCE = "fbe1904195c627ae043f8d5c"
CIPHERTEXT = "66ddd9b1956d434beddfaf84955b16590529760d"

ONE, OTHER = b"\x01" * 32, b"\x02" * 32


def sealed_to(*devices: bytes, content: bytes = b"halo") -> Sealed:
    """To `ONE` with key 0, to any other with key 1."""
    keys = {device: sealing_key(0 if device == ONE else 1).public for device in devices}
    return seal(content, keys, BOUND, random.Random(7).randbytes)


def test_steps_are_fixed_to_the_byte() -> None:
    """All that the library does not draw itself, for known inputs."""
    place = place_of(BOUND, commitment_of(CONTENT_KEY))
    key, nonce = wrap_key_of(SHARED, SECRET, place, DEVICE, b"oaep", b"mlkem")
    assert commitment_of(CONTENT_KEY).hex() == COMMITMENT
    assert place.hex() == PLACE
    assert (key.hex(), nonce.hex()) == (WRAP_KEY, WRAP_NONCE)
    assert encrypt_content(CONTENT_KEY, place, [DEVICE], b"halo").hex() == CIPHERTEXT


def test_wrap_key_is_hkdf_of_both_secrets() -> None:
    """The same bytes from another implementation of HKDF."""
    place = bytes.fromhex(PLACE)
    extracted = hmac.digest(b"bisik sealed wrap v1", SHARED + SECRET, hashlib.sha256)
    info = place + DEVICE + hashlib.sha256(b"mlkem").digest() + hashlib.sha256(b"oaep").digest()
    first = hmac.digest(extracted, info + b"\x01", hashlib.sha256)
    second = hmac.digest(extracted, first + info + b"\x02", hashlib.sha256)
    assert (first.hex(), second[:12].hex()) == (WRAP_KEY, WRAP_NONCE)


def test_every_device_reads_the_content() -> None:
    """Each with its own wrap."""
    sealed = sealed_to(OTHER, ONE)
    assert sealed.devices == [ONE, OTHER]
    assert open_sealed_untrusted(sealed, ONE, sealing_key(0), BOUND) == b"halo"
    assert open_sealed_untrusted(sealed, OTHER, sealing_key(1), BOUND) == b"halo"


def test_a_device_that_it_was_not_sealed_to_is_told_so() -> None:
    """That is no damage: it was said before the device was there."""
    with pytest.raises(RemoteProtocolError, match="sealed-elsewhere"):
        open_sealed_untrusted(sealed_to(ONE), OTHER, sealing_key(1), BOUND)


def test_another_key_does_not_open_it() -> None:
    """The right device's name alone opens nothing."""
    with pytest.raises(RemoteProtocolError, match=r"sealed$"):
        open_sealed_untrusted(sealed_to(ONE), ONE, sealing_key(1), BOUND)


def test_both_keys_are_needed() -> None:
    """Whoever has only the RSA or only the ML-KEM key of a device reads nothing."""
    right, wrong = sealing_key(0), sealing_key(1)
    for key in (SealingKey(right._rsa, wrong._mlkem), SealingKey(wrong._rsa, right._mlkem)):
        with pytest.raises(RemoteProtocolError, match=r"sealed$"):
            open_sealed_untrusted(sealed_to(ONE), ONE, key, BOUND)


@pytest.mark.parametrize("place", range(len(BOUND)))
def test_nothing_opens_in_another_place(place: int) -> None:
    """Each of the bound values counts."""
    elsewhere = [flip(value, 0) if n == place else value for n, value in enumerate(BOUND)]
    with pytest.raises(RemoteProtocolError, match=r"sealed$"):
        open_sealed_untrusted(sealed_to(ONE), ONE, sealing_key(0), elsewhere)


@pytest.mark.parametrize("field", ["oaep", "mlkem", "wrapped"])
def test_a_changed_wrap_does_not_open(field: str) -> None:
    """A bit in any part of it."""
    sealed = sealed_to(ONE)
    wrap = msgspec.structs.replace(sealed.wraps[0], **{field: flip(getattr(sealed.wraps[0], field), 9)})
    with pytest.raises(RemoteProtocolError, match=r"sealed$"):
        open_sealed_untrusted(msgspec.structs.replace(sealed, wraps=[wrap]), ONE, sealing_key(0), BOUND)


@pytest.mark.parametrize("field", ["commitment", "ciphertext"])
def test_a_changed_payload_does_not_open(field: str) -> None:
    """A bit in what is there once."""
    sealed = sealed_to(ONE)
    changed = msgspec.structs.replace(sealed, **{field: flip(getattr(sealed, field), 9)})
    with pytest.raises(RemoteProtocolError, match=r"sealed$"):
        open_sealed_untrusted(changed, ONE, sealing_key(0), BOUND)


def test_a_recipient_cannot_be_added_or_taken_away_or_renamed() -> None:
    """Who reads knows for whom it was sealed."""
    both, alone = sealed_to(ONE, OTHER), sealed_to(ONE)
    renamed = msgspec.structs.replace(both.wraps[1], device=b"\x03" * 32)
    changed = (
        msgspec.structs.replace(both, wraps=[both.wraps[0]]),
        msgspec.structs.replace(both, wraps=[both.wraps[0], renamed]),
        msgspec.structs.replace(alone, wraps=[alone.wraps[0], both.wraps[1]]),
    )
    for sealed in changed:
        with pytest.raises(RemoteProtocolError, match=r"sealed$"):
            open_sealed_untrusted(sealed, ONE, sealing_key(0), BOUND)


def test_a_wrap_of_another_payload_does_not_open() -> None:
    """Not even under the right device."""
    first, second = sealed_to(ONE), seal(b"lain", {ONE: sealing_key(0).public}, BOUND, random.Random(8).randbytes)
    mixed = msgspec.structs.replace(first, wraps=second.wraps)
    with pytest.raises(RemoteProtocolError, match=r"sealed$"):
        open_sealed_untrusted(mixed, ONE, sealing_key(0), BOUND)


def test_a_content_key_that_the_commitment_is_not_to_is_refused() -> None:
    """Two devices cannot be given two keys, even by who seals: the commitment is to one."""
    other_key = bytes(32)
    commitment = commitment_of(CONTENT_KEY)
    place = place_of(BOUND, commitment)
    public = sealing_key(0).public
    shared, mlkem = public.encapsulate()
    oaep = public.rsa.encrypt(SECRET)
    key, nonce = wrap_key_of(shared, SECRET, place, ONE, oaep, mlkem)
    wrapped = _gcm(key, nonce, other_key, place)
    sealed = Sealed(commitment, [Wrap(ONE, oaep, mlkem, wrapped)], encrypt_content(other_key, place, [ONE], b"halo"))
    with pytest.raises(RemoteProtocolError, match=r"sealed$"):
        open_sealed_untrusted(sealed, ONE, sealing_key(0), BOUND)


def _gcm(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    return AESGCM(key).encrypt(nonce, plaintext, associated)


def test_two_sealings_of_one_content_share_no_key() -> None:
    """Each draws its own; so a content key meets its one nonce once."""
    source = random.Random(1).randbytes
    first, second = (seal(b"halo", {ONE: sealing_key(0).public}, BOUND, source) for _ in range(2))
    assert first.commitment != second.commitment
    assert first.ciphertext != second.ciphertext


def test_what_cannot_be_sealed_is_our_own_mistake() -> None:
    """Nobody, too many, too much."""
    public = sealing_key(0).public
    crowd = {bytes([n]) * 32: public for n in range(MAX_RECIPIENTS + 1)}
    for content, recipients in ((b"", {}), (b"", crowd), (bytes(MAX_CONTENT_BYTES + 1), {ONE: public})):
        with pytest.raises(LocalProtocolError):
            seal(content, recipients, BOUND, bytes)


@given(st.binary(max_size=64), st.integers(0, 19))
def test_anything_is_refused_in_one_way(noise: bytes, at: int) -> None:
    """Whatever stands in a payload, opening it raises RemoteProtocolError and nothing else."""
    sealed = sealed_to(ONE)
    ciphertext = (sealed.ciphertext[:at] + noise).ljust(16, b"\0")[:20] + b"\0"  # never the right length
    with pytest.raises(RemoteProtocolError):
        open_sealed_untrusted(msgspec.structs.replace(sealed, ciphertext=ciphertext), ONE, sealing_key(0), BOUND)


# Keys ------------------------------------------------------------------------------------------------------------


def test_a_key_is_read_back() -> None:
    """What was sealed before opens after it."""
    key = SealingKey.from_pem(sealing_key(0).to_pem())
    assert key.public == sealing_key(0).public
    assert open_sealed_untrusted(sealed_to(ONE), ONE, key, BOUND) == b"halo"


@pytest.mark.parametrize("pem", [b"", b"halo", decryption_key().to_pem(), decryption_key().to_pem() * 2])
def test_what_is_no_key_is_refused_with_a_sentence(pem: bytes) -> None:
    """A file that is not one, one with half of it, one with the wrong half."""
    with pytest.raises(LocalProtocolError, match="key"):
        SealingKey.from_pem(pem)


def test_a_key_is_not_shown() -> None:
    """Its representation ends up in logs."""
    assert "Key(" in repr(sealing_key(0))
    assert "object" not in repr(sealing_key(0))


@given(st.binary(max_size=1200), st.binary(max_size=1200))
def test_keys_from_anybody_are_refused_in_one_way(modulus: bytes, mlkem: bytes) -> None:
    """RemoteProtocolError, whichever of the two is bad."""
    public = sealing_key(0).public
    for pair in ((modulus, public.mlkem), (public.rsa.modulus, mlkem), (public.rsa.modulus, b"\xff" * 1184)):
        with pytest.raises(RemoteProtocolError, match="key"):
            SealingPublic.from_keys_untrusted(*pair)
