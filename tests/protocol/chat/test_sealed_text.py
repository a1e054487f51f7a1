"""Sealed statements, bundles and the names of direct rooms."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.chat.direct_names import direct_names, direct_room, is_direct
from bisik_protocol.chat.messages import MAX_DIRECT_ROOM_BYTES, MAX_NAME_BYTES, ZERO_DIGEST, MessageEntry, encode
from bisik_protocol.chat.names import InvalidName
from bisik_protocol.chat.sealed_text import (
    MAX_SEALED_TEXT_BYTES,
    PADDED_TO_BYTES,
    encode_sealed_text,
    open_statement_untrusted,
    seal_statement,
)
from bisik_protocol.chat.sealing_bundle import SEALING_KEY_CONTEXT, bundle_digest, check_bundle_untrusted, make_bundle
from bisik_protocol.chat.statements import (
    Kind,
    SealedStatement,
    Statement,
    decode_any_statement_untrusted,
    decode_statement_untrusted,
    encode_statement,
)
from bisik_protocol.crypto.sealed import MAX_RECIPIENTS, seal
from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.transport.outbound import MAX_MESSAGE_BYTES
from tests.support.keys import device_key, sealing_key

ROOM = "@sari+tama"
DEVICE = b"\x07" * 32
AUTHOR = b"\x11" * 32


def statement(text: str = "halo", recipients: int = 1, seq: int = 1) -> SealedStatement:
    key = sealing_key(0).public
    devices = {DEVICE: key} | {bytes([n + 100]) * 32: key for n in range(recipients - 1)}
    return seal_statement(
        room=ROOM,
        author=AUTHOR,
        seq=seq,
        time=0,
        kind=Kind.SAY,
        text=text,
        previous=ZERO_DIGEST,
        recipients=devices,
        random=random.Random(3).randbytes,
    )


def test_what_was_sealed_is_read_back() -> None:
    """Through its bytes, as it travels."""
    read = decode_any_statement_untrusted(encode_statement(statement()))
    assert isinstance(read, SealedStatement)
    said = open_statement_untrusted(read, DEVICE, sealing_key(0))
    assert (said.kind, said.text) == (Kind.SAY, "halo")


@pytest.mark.parametrize(
    "change", [{"room": "@budi+tama"}, {"author": DEVICE}, {"seq": 2}, {"previous": b"\x01" * 32}]
)
def test_a_payload_in_another_statement_does_not_open(change: dict[str, object]) -> None:
    """Whoever takes a payload and signs it as another statement is noticed."""
    with pytest.raises(RemoteProtocolError, match=r"sealed$"):
        open_statement_untrusted(msgspec.structs.replace(statement(), **change), DEVICE, sealing_key(0))


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=300))
def test_the_length_says_little(text: str) -> None:
    """All content is a multiple of PADDED_TO_BYTES, and at most that much longer than it must be."""
    size = len(encode_sealed_text(Kind.SAY, text))
    assert size % PADDED_TO_BYTES == 0
    assert size < len(text.encode()) + 16 + PADDED_TO_BYTES


def test_the_longest_text_to_all_devices_is_one_message() -> None:
    """Under the transport's cap, as a post and as an entry."""
    encoded = encode_statement(statement("a" * MAX_SEALED_TEXT_BYTES, MAX_RECIPIENTS))
    entry = MessageEntry("@" + "a" * 129, 1 << 52, 1 << 52, "a" * MAX_NAME_BYTES, encoded, bytes(384))
    assert len(encode(entry)) < MAX_MESSAGE_BYTES


def test_a_longer_text_is_our_own_mistake() -> None:
    """It is refused before anything is sealed."""
    with pytest.raises(LocalProtocolError):
        statement("a" * (MAX_SEALED_TEXT_BYTES + 1))


def test_content_that_is_no_text_is_refused() -> None:
    """Somebody who may seal to a device can seal anything to it."""
    bound = [ROOM.encode(), AUTHOR, (1).to_bytes(8), ZERO_DIGEST]
    for content in (
        b"",
        b"halo",
        msgspec.msgpack.encode(["c1", "say", "halo", b""]),
        encode_sealed_text(Kind.SAY, ""),
    ):
        sealed = seal(content, {DEVICE: sealing_key(0).public}, bound, random.Random(3).randbytes)
        with pytest.raises(RemoteProtocolError, match=r"sealed$"):
            open_statement_untrusted(msgspec.structs.replace(statement(), sealed=sealed), DEVICE, sealing_key(0))


def test_wraps_out_of_order_or_twice_are_refused() -> None:
    """There is one way to write a list of recipients."""
    good = statement(recipients=2)
    first, second = good.sealed.wraps
    for wraps in ([second, first], [first, first]):
        sealed = msgspec.structs.replace(good.sealed, wraps=wraps)
        with pytest.raises(RemoteProtocolError, match="statement"):
            decode_any_statement_untrusted(encode_statement(msgspec.structs.replace(good, sealed=sealed)))


def test_the_tag_tells_statements_apart() -> None:
    """Who wants one that everybody can read is not given another."""
    plain = encode_statement(Statement("#lobby", AUTHOR, 1, 0, Kind.SAY, "halo", ZERO_DIGEST))
    assert isinstance(decode_any_statement_untrusted(plain), Statement)
    with pytest.raises(RemoteProtocolError, match="statement"):
        decode_statement_untrusted(encode_statement(statement()))


@given(st.binary(max_size=400))
def test_any_statement_is_refused_in_one_way(data: bytes) -> None:
    """RemoteProtocolError and nothing else."""
    with pytest.raises(RemoteProtocolError):
        decode_any_statement_untrusted(data)


@given(st.integers(0, 1900), st.binary(max_size=8))
def test_a_damaged_statement_is_refused_in_one_way(at: int, noise: bytes) -> None:
    """Cut, changed or overwritten anywhere: it decodes to something, or raises RemoteProtocolError."""
    encoded = encode_statement(statement())
    try:
        read = decode_any_statement_untrusted(encoded[:at] + noise + encoded[at + len(noise) :])
        if isinstance(read, SealedStatement):
            open_statement_untrusted(read, DEVICE, sealing_key(0))
    except RemoteProtocolError:
        pass


# Bundles ---------------------------------------------------------------------------------------------------------


def test_a_bundle_gives_the_key_that_was_published() -> None:
    """To who knows the device."""
    bundle, signature = make_bundle(device_key(0), sealing_key(0).public)
    assert check_bundle_untrusted(device_key(0).public, bundle, signature) == sealing_key(0).public
    assert len(bundle_digest(bundle)) == 32


def test_a_bundle_of_another_device_is_refused() -> None:
    """The server cannot pass one device's key off as another's, nor sign one itself."""
    bundle, signature = make_bundle(device_key(0), sealing_key(0).public)
    with pytest.raises(RemoteProtocolError, match=r"bundle$"):
        check_bundle_untrusted(device_key(1).public, bundle, signature)
    forged = device_key(1).sign(SEALING_KEY_CONTEXT, bundle)
    with pytest.raises(RemoteProtocolError, match="bundle-signature"):
        check_bundle_untrusted(device_key(0).public, bundle, forged)


@given(st.integers(0, 1620), st.binary(min_size=1, max_size=8))
def test_a_damaged_bundle_is_refused_in_one_way(at: int, noise: bytes) -> None:
    """RemoteProtocolError, or it is what it was."""
    bundle, signature = make_bundle(device_key(0), sealing_key(0).public)
    damaged = bundle[:at] + noise + bundle[at + len(noise) :]
    if damaged != bundle:
        with pytest.raises(RemoteProtocolError):
            check_bundle_untrusted(device_key(0).public, damaged, signature)


# Names -----------------------------------------------------------------------------------------------------------


def test_a_direct_room_is_called_after_both() -> None:
    """Whoever begins it."""
    assert direct_room("tama", "sari") == direct_room("sari", "tama") == ROOM
    assert direct_names(ROOM) == ("sari", "tama")
    assert is_direct(ROOM)
    assert not is_direct("#lobby")
    assert len(direct_room("a" * MAX_NAME_BYTES, "b" * MAX_NAME_BYTES)) == MAX_DIRECT_ROOM_BYTES


def test_nobody_has_a_direct_room_alone() -> None:
    """One name twice is a caller's mistake."""
    with pytest.raises(ValueError, match="two people"):
        direct_room("tama", "tama")


@pytest.mark.parametrize(
    "room",
    ["", "@", "@+", "@sari", "@sari+", "@+tama", "@tama+sari", "@tama+tama", "@Sari+tama", "@a+b+c", "#a+b", "a+b"],
)
def test_what_is_no_direct_room_is_refused(room: str) -> None:
    """There is one spelling."""
    with pytest.raises(InvalidName):
        direct_names(room)
