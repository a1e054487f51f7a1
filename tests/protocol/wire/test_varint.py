"""Variable-length integers: the vectors of RFC 9000, the edges of each length, and bytes from anybody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.errors import LocalProtocolError, RemoteProtocolError
from bisik_protocol.wire.varint import MAX_VARINT, encode_varint, read_varint_untrusted

# RFC 9000 appendix A.1
RFC_VECTORS = [
    ("c2197c5eff14e88c", 151288809941952652),
    ("9d7f3e7d", 494878333),
    ("7bbd", 15293),
    ("25", 37),
]

EDGES = [
    (0, "00"),
    (63, "3f"),
    (64, "4040"),
    (16383, "7fff"),
    (16384, "80004000"),
    (2**30 - 1, "bfffffff"),
    (2**30, "c000000040000000"),
    (MAX_VARINT, "ffffffffffffffff"),
]


@pytest.mark.parametrize(("encoded", "value"), RFC_VECTORS)
def test_vectors_of_the_rfc_read_and_write(encoded: str, value: int) -> None:
    """The examples of RFC 9000 appendix A.1 hold both ways."""
    data = bytes.fromhex(encoded)
    assert read_varint_untrusted(data, 0) == (value, len(data))
    assert encode_varint(value) == data


@pytest.mark.parametrize(("value", "encoded"), EDGES)
def test_each_length_begins_and_ends_where_it_should(value: int, encoded: str) -> None:
    """The first and the last value of each length take exactly that length."""
    assert encode_varint(value).hex() == encoded


@pytest.mark.parametrize("encoded", ["4025", "80000025", "c000000000000025"])
def test_longer_encodings_than_needed_are_read(encoded: str) -> None:
    """37 is 37 in two, four and eight bytes too, as in QUIC."""
    data = bytes.fromhex(encoded)
    assert read_varint_untrusted(data, 0) == (37, len(data))


@pytest.mark.parametrize("value", [-1, MAX_VARINT + 1, 1 << 64])
def test_values_that_fit_no_varint_are_our_own_mistake(value: int) -> None:
    """Encoding a value out of range raises LocalProtocolError, which nobody catches as the peer's."""
    with pytest.raises(LocalProtocolError):
        encode_varint(value)


@pytest.mark.parametrize("data", ["", "40", "8000", "800000", "c0", "c0000000000000"])
def test_integers_cut_short_are_refused(data: str) -> None:
    """Every encoding that ends before its length says is the peer's error."""
    with pytest.raises(RemoteProtocolError, match="frame"):
        read_varint_untrusted(bytes.fromhex(data), 0)


def test_reading_behind_the_end_is_refused() -> None:
    """An offset at or past the end of the data is as bad as a cut integer."""
    for offset in (1, 2, 100):
        with pytest.raises(RemoteProtocolError, match="frame"):
            read_varint_untrusted(b"\x25", offset)


@given(st.integers(0, MAX_VARINT), st.binary(max_size=3), st.binary(max_size=3))
def test_what_was_written_is_read_wherever_it_stands(value: int, before: bytes, after: bytes) -> None:
    """An integer between other bytes is read as it was written, and the offset is that of what follows."""
    encoded = encode_varint(value)
    assert read_varint_untrusted(before + encoded + after, len(before)) == (value, len(before) + len(encoded))


@given(st.integers(0, MAX_VARINT))
def test_no_shorter_encoding_exists(value: int) -> None:
    """A value takes the shortest of the four lengths that holds it."""
    length = len(encode_varint(value))
    assert length in {1, 2, 4, 8}
    assert length == 1 or value >= 1 << (4 * length - 2)


@given(st.binary(max_size=12), st.integers(0, 14))
def test_any_bytes_give_an_integer_or_one_error(data: bytes, offset: int) -> None:
    """Whatever the bytes, the outcome is a value within its bounds or a RemoteProtocolError."""
    try:
        value, end = read_varint_untrusted(data, offset)
    except RemoteProtocolError:
        return
    assert 0 <= value <= MAX_VARINT
    assert offset < end <= len(data)
