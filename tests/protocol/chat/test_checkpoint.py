"""Signed tree heads: the C2SP text, byte for byte, and what a verifier refuses."""

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.chat.checkpoint import (
    CHECKPOINT_CONTEXT,
    MAX_NOTE_BYTES,
    Checkpoint,
    origin_of,
    read_checkpoint_untrusted,
    sign_checkpoint,
    verify_checkpoint_untrusted,
)
from bisik_protocol.errors import RemoteProtocolError
from tests.support.keys import device_key, server_identity

ORIGIN = "bisik/" + "a" * 52
HEAD = Checkpoint(origin=ORIGIN, size=20852163, root=bytes(range(32)))
TEXT = f"{ORIGIN}\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


@pytest.fixture(scope="module")
def note() -> bytes:
    return sign_checkpoint(HEAD, server_identity().signing)


def test_the_text_is_that_of_tlog_checkpoint() -> None:
    """Origin, size in decimal, root in base64, a line each."""
    assert HEAD.text == TEXT


def test_an_origin_is_the_servers_fingerprint() -> None:
    """No spaces and no plus, as signed-note demands of a key's name."""
    assert origin_of(bytes(32)) == "bisik/" + "a" * 52


def test_the_note_is_text_blank_line_and_signature_line(note: bytes) -> None:
    """An em dash, the key's name, and base64 of the key ID and an RSA-PSS signature over the text."""
    text, _, line = note.decode().rpartition("\n\n")
    assert text + "\n" == TEXT
    dash, name, encoded = line.removesuffix("\n").split(" ")
    signature = b64decode(encoded)
    key = server_identity().signing.public
    key_id = sha256(ORIGIN.encode() + b"\n\xffbisik rsa-pss-sha256 v1" + key.modulus).digest()[:4]
    assert (dash, name, signature[:4]) == ("—", ORIGIN, key_id)
    assert key.verify(CHECKPOINT_CONTEXT, TEXT.encode(), signature[4:])


def test_a_genuine_note_is_read(note: bytes) -> None:
    """What was signed comes back."""
    assert (
        verify_checkpoint_untrusted(note, ORIGIN, server_identity().signing.public)
        == HEAD
        == read_checkpoint_untrusted(note)
    )


def test_another_logs_note_is_refused(note: bytes) -> None:
    """The origin is part of what is believed."""
    with pytest.raises(RemoteProtocolError, match="checkpoint-origin"):
        verify_checkpoint_untrusted(note, "bisik/" + "b" * 52, server_identity().signing.public)


def test_another_keys_note_is_refused() -> None:
    """A head that someone else signed in the log's name."""
    forged = sign_checkpoint(HEAD, device_key())
    with pytest.raises(RemoteProtocolError, match="checkpoint-signature"):
        verify_checkpoint_untrusted(forged, ORIGIN, server_identity().signing.public)


def test_a_witness_beside_the_log_is_ignored(note: bytes) -> None:
    """Signatures by unknown keys change nothing, before or behind the log's own."""
    line = "— witness.example " + b64encode(bytes(76)).decode() + "\n"
    text, _, own = note.decode().rpartition("\n\n")
    for signatures in (line + own, own + line):
        both = f"{text}\n\n{signatures}".encode()
        assert verify_checkpoint_untrusted(both, ORIGIN, server_identity().signing.public) == HEAD


@pytest.mark.parametrize(
    "damage",
    [
        lambda note: note.replace(b"20852163", b"20852164"),
        lambda note: note.replace(b"20852163", b"020852163"),
        lambda note: note.replace(b"\n\n", b"\nextension\n\n"),
        lambda note: note.replace(b"Hh8=\n", b"Hh9=\n"),  # the same bytes in another spelling
        lambda note: note.replace("—".encode(), b"-"),
        lambda note: note[:-1],
        lambda note: note[:-10],
        lambda note: note + b"\n",
        lambda note: b"",
        lambda note: b"\xff" + note,
        lambda note: note + b"x" * MAX_NOTE_BYTES,
    ],
)
def test_a_changed_note_is_refused(note: bytes, damage) -> None:  # type: ignore[no-untyped-def]
    """Nothing but the note that was signed passes."""
    with pytest.raises(RemoteProtocolError):
        verify_checkpoint_untrusted(damage(note), ORIGIN, server_identity().signing.public)


def test_every_flipped_bit_of_a_note_is_noticed(note: bytes) -> None:
    """Or leaves a signature line of nobody we know, which is as good as none."""
    for bit in range(8 * len(note)):
        flipped = bytearray(note)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RemoteProtocolError):
            verify_checkpoint_untrusted(bytes(flipped), ORIGIN, server_identity().signing.public)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """A note comes from a peer: RemoteProtocolError and nothing else."""
    try:
        read_checkpoint_untrusted(data)
    except RemoteProtocolError:
        return
