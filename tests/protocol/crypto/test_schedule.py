"""The key schedule: fixed bytes, every input matters, every output stands alone."""

import hashlib
import hmac
from dataclasses import astuple

import pytest

from bisik_protocol.crypto.schedule import KeySchedule
from tests.protocol.crypto.exchange import flip

X25519 = bytes(range(32))
MLKEM = bytes(range(32, 64))
RSA = bytes(range(64, 96))
TH2 = bytes(range(96, 128))
TH3 = bytes(range(128, 160))

# HKDF-SHA-256 of the inputs above; docs/protocol.md has them too.
CLIENT_TRAFFIC = "653002e8171755f9c8e70d3cb1a0db6df2a0678d86ed5307f6270badaec89d5e"
SERVER_TRAFFIC = "956b879f627ebb5ddb102e51e41c505623f950eb46843561f0d21dd3cca4e436"
CLIENT_CONNECTION_ID = "a834f26c40f311a0"
SERVER_CONNECTION_ID = "16ad49539a9a934a"
SEALED_HALO = "dcfd3f0190a0f5f168ce109a4509033ceeda166b"


def schedule() -> KeySchedule:
    return KeySchedule(X25519, MLKEM, RSA)


def expand(label: bytes, transcript: bytes, length: int) -> bytes:
    """HKDF from HMAC alone, RFC 5869 section 2; one block is enough here."""
    extracted = hmac.digest(b"bisik v1 handshake", X25519 + MLKEM + RSA, hashlib.sha256)
    return hmac.digest(extracted, label + b"\0" + transcript + b"\x01", hashlib.sha256)[:length]


def test_session_secrets_are_fixed_to_the_byte() -> None:
    """Known shared secrets and a known th3 give these keys and connection IDs."""
    secrets = schedule().session_secrets(TH3)
    assert secrets.client_traffic.hex() == CLIENT_TRAFFIC
    assert secrets.server_traffic.hex() == SERVER_TRAFFIC
    assert secrets.client_connection_id.hex() == CLIENT_CONNECTION_ID
    assert secrets.server_connection_id.hex() == SERVER_CONNECTION_ID
    assert secrets.channel_binding == TH3


def test_session_secrets_are_hkdf_of_label_and_transcript() -> None:
    """The same bytes from another implementation of HKDF."""
    assert expand(b"bisik v1 client traffic", TH3, 32).hex() == CLIENT_TRAFFIC
    assert expand(b"bisik v1 server traffic", TH3, 32).hex() == SERVER_TRAFFIC
    assert expand(b"bisik v1 client connection id", TH3, 8).hex() == CLIENT_CONNECTION_ID
    assert expand(b"bisik v1 server connection id", TH3, 8).hex() == SERVER_CONNECTION_ID


def test_sealed_signature_is_fixed_to_the_byte() -> None:
    """The handshake key, its nonce and th2 as associated data, over a short stand-in for the signature."""
    assert schedule().seal_signature(TH2, b"halo").hex() == SEALED_HALO
    assert schedule().open_signature(TH2, bytes.fromhex(SEALED_HALO)) == b"halo"


@pytest.mark.parametrize("which", range(3))
def test_each_of_the_three_secrets_is_needed(which: int) -> None:
    """With one bit of X25519, ML-KEM or RSA unknown, no output is the same: that is what makes it a hybrid."""
    inputs = [X25519, MLKEM, RSA]
    inputs[which] = flip(inputs[which], 31)
    other = KeySchedule(*inputs)
    assert other.open_signature(TH2, bytes.fromhex(SEALED_HALO)) is None
    ours, theirs = schedule().session_secrets(TH3), other.session_secrets(TH3)
    assert not set(astuple(ours)) - {TH3} & set(astuple(theirs)) - {TH3}


def test_secrets_cannot_trade_places() -> None:
    """The order of the three is part of the input."""
    assert KeySchedule(MLKEM, X25519, RSA).session_secrets(TH3) != schedule().session_secrets(TH3)


def test_keys_are_bound_to_the_transcript() -> None:
    """Sides that saw another transcript hold other keys, and neither opens what the other sealed."""
    assert schedule().open_signature(flip(TH2, 0), bytes.fromhex(SEALED_HALO)) is None
    ours, theirs = schedule().session_secrets(TH3), schedule().session_secrets(flip(TH3, 0))
    assert not set(astuple(ours)) & set(astuple(theirs))


def test_outputs_of_one_session_are_all_different() -> None:
    """No label is used for two things."""
    secrets = schedule().session_secrets(TH3)
    prefixes = {value[:8] for value in astuple(secrets)}
    assert len(prefixes) == 5


def test_damaged_sealed_signature_does_not_open() -> None:
    """Any changed bit, and any other length, is None and no exception."""
    sealed = bytes.fromhex(SEALED_HALO)
    for bit in range(len(sealed) * 8):
        assert schedule().open_signature(TH2, flip(sealed, bit // 8, bit % 8)) is None
    for wrong in (b"", sealed[:-1], sealed + b"\0"):
        assert schedule().open_signature(TH2, wrong) is None


def test_repr_of_session_secrets_shows_no_key() -> None:
    """A traceback or a log line gives the connection IDs and the channel binding, which are no secrets."""
    text = repr(schedule().session_secrets(TH3))
    assert "traffic" not in text
    assert repr(bytes.fromhex(CLIENT_CONNECTION_ID)) in text
