"""Datagrams of an established connection: layout to the byte, and what does not count as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire.handshake import TYPE_HELLO, TYPE_KEX, TYPE_RETRY, TYPE_SKEX
from bisik_protocol.wire.packets import (
    DATA_TYPE,
    HEADER_BYTES,
    MAX_NUMBER,
    RESET_BYTES,
    RESET_TYPE,
    TAG_BYTES,
    data_header,
    data_prefix,
    encode_reset,
    is_data,
    parse_reset_untrusted,
)

CONNECTION_ID = bytes.fromhex("0102030405060708")
TOKEN = bytes(range(16))


@pytest.mark.parametrize(
    ("phase", "number", "header"),
    [
        (0, 0, "40 0102030405060708 000000000000"),
        (1, 1, "41 0102030405060708 000000000001"),
        (0, 0x0102_0304_0506, "40 0102030405060708 010203040506"),
        (1, MAX_NUMBER, "41 0102030405060708 ffffffffffff"),
    ],
)
def test_header_of_a_data_packet_to_the_byte(phase: int, number: int, header: str) -> None:
    """Type with the key phase, connection ID, 48-bit number, big-endian."""
    assert data_header(data_prefix(CONNECTION_ID, phase), number) == bytes.fromhex(header)
    assert len(bytes.fromhex(header)) == HEADER_BYTES


@pytest.mark.parametrize(
    ("datagram", "expected"),
    [
        (b"", False),
        (b"\x40", False),
        (b"\x40" + bytes(HEADER_BYTES - 1 + TAG_BYTES), False),  # no room for a single frame
        (b"\x40" + bytes(HEADER_BYTES + TAG_BYTES), True),
        (b"\x41" + bytes(HEADER_BYTES + TAG_BYTES), True),
        (b"\x42" + bytes(100), False),
        (b"\x00" + bytes(100), False),
        (b"\xc0" + bytes(100), False),
        (encode_reset(CONNECTION_ID, TOKEN), False),
    ],
)
def test_what_may_be_a_data_packet(datagram: bytes, expected: bool) -> None:
    """The type and enough bytes decide, before anything is looked up or opened."""
    assert is_data(datagram) is expected


def test_every_datagram_type_is_told_apart_by_its_first_byte() -> None:
    """No two kinds of datagrams begin alike."""
    types = [TYPE_HELLO, TYPE_RETRY, TYPE_KEX, TYPE_SKEX, RESET_TYPE, DATA_TYPE, DATA_TYPE | 1]
    assert types == [0x01, 0x02, 0x03, 0x04, 0x05, 0x40, 0x41]


def test_stateless_reset_to_the_byte() -> None:
    """Type, the unknown connection ID, the token; shorter than the smallest data packet that can cause it."""
    datagram = encode_reset(CONNECTION_ID, TOKEN)
    assert datagram.hex() == "050102030405060708000102030405060708090a0b0c0d0e0f"
    assert parse_reset_untrusted(datagram) == (CONNECTION_ID, TOKEN)
    assert len(datagram) == RESET_BYTES < HEADER_BYTES + 1 + TAG_BYTES


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x05",
        encode_reset(CONNECTION_ID, TOKEN)[:-1],
        encode_reset(CONNECTION_ID, TOKEN) + b"\x00",
        b"\x04" + encode_reset(CONNECTION_ID, TOKEN)[1:],
    ],
)
def test_anything_else_is_no_reset(datagram: bytes) -> None:
    """Length and type must both be right."""
    with pytest.raises(RemoteProtocolError, match="reset"):
        parse_reset_untrusted(datagram)


@given(st.one_of(st.binary(max_size=40), st.binary(min_size=RESET_BYTES - 1, max_size=RESET_BYTES - 1)))
def test_any_bytes_give_a_reset_or_one_error(data: bytes) -> None:
    """Random bytes, with the right type in front, are a reset exactly if their length is right."""
    datagram = bytes((RESET_TYPE,)) + data
    try:
        connection_id, token = parse_reset_untrusted(datagram)
    except RemoteProtocolError:
        assert len(datagram) != RESET_BYTES
    else:
        assert encode_reset(connection_id, token) == datagram
