"""The bytes of a segment: frozen here, so that a log written today is read in ten years."""

import struct
from hashlib import sha256
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisikd.log.format import (
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_RECORD_BYTES,
    Commit,
    Malformed,
    Prefix,
    RecordKind,
    SegmentHeader,
    WrappedKey,
    associated_data,
    key_commitment,
    nonce,
    read_commit,
    read_header,
    read_prefix,
    record_length,
)


def header(recipients: int = 1) -> SegmentHeader:
    return SegmentHeader(
        number=3,
        created_ms=1_700_000_000_000,
        previous_bytes=5000,
        tree_size=258,
        root=b"r" * 32,
        fingerprint=b"f" * 32,
        commitment=b"c" * 32,
        keys=tuple(WrappedKey(recipient=b"h" * 32, wrapped=bytes([n]) * 384) for n in range(recipients)),
        signature=b"s" * 384,
    )


def test_a_header_is_these_bytes() -> None:
    """Every field in its place, big-endian."""
    assert header().to_bytes() == (
        b"bisiklog"
        + bytes.fromhex("00000001 00000001 0000000000000003 0000018bcfe56800 0000000000001388 0000000000000102")
        + b"r" * 32
        + b"f" * 32
        + b"c" * 32
        + b"h" * 32
        + bytes(384)
        + b"s" * 384
    )


@pytest.mark.parametrize(("recipients", "length"), [(1, 944), (2, 1360)])
def test_a_header_is_read_back_from_the_start_of_a_file(recipients: int, length: int) -> None:
    """With an auditor and without; what follows it is not looked at."""
    data = header(recipients).to_bytes()
    assert len(data) == length <= MAX_HEADER_BYTES
    assert read_header(data + b"and more") == header(recipients)


@pytest.mark.parametrize("length", [0, 1, 8, 143, 144, 559, 943])
def test_a_header_cut_short_is_refused(length: int) -> None:
    """Wherever it ends."""
    with pytest.raises(Malformed, match="cut short"):
        read_header(header().to_bytes()[:length])


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (0, b"B", "not a segment"),
        (8, b"\0\0\0\2", "format version 2"),
        (12, b"\0\0\0\0", "damaged"),
        (12, b"\0\0\0\3", "damaged"),
        (12, b"\0\0\0\2", "cut short"),
    ],
)
def test_a_header_of_another_kind_is_refused(at: int, value: bytes, sentence: str) -> None:
    """A newer format, another program's file, a damaged count: a sentence for each."""
    data = bytearray(header().to_bytes())
    data[at : at + len(value)] = value
    with pytest.raises(Malformed, match=sentence):
        read_header(bytes(data))


@given(st.binary(max_size=1500))
def test_any_bytes_are_a_header_or_malformed(data: bytes) -> None:
    """Nothing but Malformed comes out of a file that is no segment."""
    for candidate in (data, b"bisiklog\0\0\0\1" + data):
        try:
            read_header(candidate)
        except Malformed:
            continue


def test_a_prefix_is_these_bytes() -> None:
    """Length, its CRC-32, counter, group, kind."""
    assert (
        Prefix(49, 7, 2, RecordKind.ENTRY).to_bytes().hex()
        == "00000031" + "709adf26" + "00000007" + "00000002" + "01"
    )


def test_the_check_of_a_length_is_the_crc_of_zlib() -> None:
    """CRC-32 as in gzip, of the four bytes of the length."""
    assert Prefix(49, 7, 2, RecordKind.ENTRY).to_bytes()[4:8] == crc32(b"\0\0\0\x31").to_bytes(4)


def test_a_whole_record_has_a_prefix() -> None:
    """Wherever in a buffer it begins, if all of it is there."""
    prefix = Prefix(record_length(RecordKind.COMMIT, 44), 7, 2, RecordKind.COMMIT)
    data = b"xx" + prefix.to_bytes() + bytes(prefix.length)
    assert read_prefix(data, 2) == prefix
    assert read_prefix(data[: 2 + prefix.length], 2) == prefix
    assert read_prefix(data[: 1 + prefix.length], 2) is None


@pytest.mark.parametrize(
    ("length", "kind"),
    [
        (32, 0x12),  # shorter than an empty record
        (80, 0x01),  # shorter than an empty leaf
        (MAX_RECORD_BYTES + 1, 0x01),
        (100, 0x00),
        (100, 0x04),
        (100, 0x15),
    ],
)
def test_a_prefix_that_cannot_be_is_none(length: int, kind: int) -> None:
    """Unknown kinds and impossible lengths, even with a right CRC."""
    data = struct.pack(">IIIIB", length, crc32(length.to_bytes(4)), 1, 1, kind)
    assert read_prefix(data + bytes(MAX_RECORD_BYTES), 0) is None


def test_every_flipped_bit_of_a_length_is_noticed() -> None:
    """In the length or in its CRC, before anything is read by that length."""
    good = Prefix(record_length(RecordKind.ENTRY, 500), 1, 1, RecordKind.ENTRY).to_bytes()
    for bit in range(64):
        data = bytearray(good + bytes(MAX_RECORD_BYTES))
        data[bit // 8] ^= 1 << bit % 8
        assert read_prefix(bytes(data), 0) is None


def test_a_leaf_carries_salt_and_hash_and_the_others_do_not() -> None:
    """17 bytes before and 16 behind for all; 16 and 32 more for leaves."""
    assert record_length(RecordKind.SYNCED, 0) == 33
    assert record_length(RecordKind.COMMIT, 44) == 77
    assert record_length(RecordKind.ENTRY, 0) == 81
    assert record_length(RecordKind.DEVICE, MAX_PAYLOAD_BYTES) == MAX_RECORD_BYTES


def test_only_what_is_said_and_known_are_leaves() -> None:
    """Kinds below 0x10."""
    assert [kind.name for kind in RecordKind if kind.is_leaf] == ["ENTRY", "DEVICE", "CHAIN"]


def test_the_tag_covers_segment_place_and_prefix() -> None:
    """The associated data is the header's hash, the offset in 8 bytes, the 17 bytes of the prefix."""
    assert associated_data(b"h" * 32, 1000, b"p" * 17) == b"h" * 32 + bytes.fromhex("00000000000003e8") + b"p" * 17


def test_a_nonce_is_the_counter() -> None:
    """In 12 bytes, big-endian."""
    assert nonce(258).hex() == "000000000000000000000102"


def test_a_commit_is_these_bytes() -> None:
    """Tree size, leaves in the group, root."""
    commit = Commit(258, 3, b"r" * 32)
    assert commit.to_bytes() == bytes.fromhex("0000000000000102 00000003") + b"r" * 32
    assert read_commit(commit.to_bytes()) == commit


@pytest.mark.parametrize("length", [0, 43, 45])
def test_a_commit_of_another_length_is_refused(length: int) -> None:
    """It has one length."""
    with pytest.raises(Malformed):
        read_commit(bytes(length))


def test_a_commitment_is_this_hash() -> None:
    """Labelled, so that it is no other hash of the key."""
    assert key_commitment(b"k" * 32) == sha256(b"bisik log key commitment v1\0" + b"k" * 32).digest()
