"""The cipher of a segment: what it makes, and that nothing else opens."""

from hashlib import sha256
from itertools import count

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bisik_protocol.errors import LocalProtocolError
from bisikd.log.format import MAX_COUNTER, MAX_PAYLOAD_BYTES, Record, RecordKind
from bisikd.log.sealing import SegmentOpener, SegmentSealer, record_leaf

KEY = bytes(range(32))
HASH = b"h" * 32
ENTRY = Record(RecordKind.ENTRY, b"halo")
FROZEN_LEAF = (
    "000000553a457a6700000001000000010166a5cc8f3787436d7d5d224a9fd549847dfe703b9a3371fdc590"
    "8acfcf083406cf610f05b67b42a29dbaecded5829bc8e1369fbc748fa8cb59fdadd0ea8a9a484a098aa2"
)


def sealer() -> SegmentSealer:
    return SegmentSealer(KEY, HASH, lambda size: b"s" * size)


def test_a_leaf_is_these_bytes() -> None:
    """Prefix; AES-256-GCM over salt and payload; leaf hash. Frozen, with a key, a header hash and a salt of ours."""
    sealed, leaf = sealer().seal_leaf(ENTRY, offset=936, group=1)
    assert sealed.hex() == FROZEN_LEAF
    prefix = bytes.fromhex("000000553a457a67000000010000000101")
    aad = HASH + (936).to_bytes(8) + prefix
    assert sealed == prefix + AESGCM(KEY).encrypt((1).to_bytes(12), b"s" * 16 + b"halo", aad) + leaf
    assert leaf == sha256(b"\0" + b"s" * 16 + b"\x01" + b"halo").digest()


def test_a_record_that_is_no_leaf_is_these_bytes() -> None:
    """No salt, no leaf hash."""
    sealed = sealer().seal(RecordKind.SYNCED, b"", offset=936, group=2)
    prefix = bytes.fromhex("000000216d2dcf42000000010000000212")
    assert sealed == prefix + AESGCM(KEY).encrypt((1).to_bytes(12), b"", HASH + (936).to_bytes(8) + prefix)


def test_what_was_sealed_opens() -> None:
    """At its place, also in the middle of a buffer."""
    sealed, leaf = sealer().seal_leaf(ENTRY, offset=936, group=1)
    opened = SegmentOpener(KEY, HASH).open(b"before" + sealed + b"behind", 6, 936)
    assert opened is not None
    assert (opened.length, opened.counter, opened.group, opened.kind) == (len(sealed), 1, 1, RecordKind.ENTRY)
    assert (opened.payload, opened.leaf) == (b"halo", leaf)


def test_a_record_opens_nowhere_else() -> None:
    """Not at another offset, not in another segment, not under another key."""
    sealed, _ = sealer().seal_leaf(ENTRY, offset=936, group=1)
    assert SegmentOpener(KEY, HASH).open(sealed, 0, 937) is None
    assert SegmentOpener(KEY, b"i" * 32).open(sealed, 0, 936) is None
    assert SegmentOpener(bytes(32), HASH).open(sealed, 0, 936) is None


@pytest.mark.parametrize("kind", [RecordKind.ENTRY, RecordKind.CHECKPOINT])
def test_every_flipped_bit_is_noticed(kind: RecordKind) -> None:
    """Also in the leaf hash, which lies outside the cipher."""
    if kind.is_leaf:
        sealed, _ = sealer().seal_leaf(Record(kind, b"halo" * 20), offset=936, group=1)
    else:
        sealed = sealer().seal(kind, b"halo" * 20, offset=936, group=1)
    opener = SegmentOpener(KEY, HASH)
    assert opener.open(sealed, 0, 936) is not None
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        assert opener.open(bytes(flipped), 0, 936) is None, bit


def test_the_salt_hides_equal_payloads() -> None:
    """The same words twice have two leaf hashes: the clear part confirms no guess."""
    numbers = count()
    fresh = SegmentSealer(KEY, HASH, lambda size: next(numbers).to_bytes(size))
    assert fresh.seal_leaf(ENTRY, offset=0, group=1)[1] != fresh.seal_leaf(ENTRY, offset=0, group=1)[1]


def test_the_kind_is_part_of_the_leaf() -> None:
    """A device cannot be passed off as an entry."""
    assert record_leaf(RecordKind.ENTRY, b"s" * 16, b"p") != record_leaf(RecordKind.DEVICE, b"s" * 16, b"p")


def test_every_record_has_a_counter_of_its_own() -> None:
    """Whatever became of the ones before."""
    ours = sealer()
    counters = []
    for _ in range(3):
        sealed = ours.seal(RecordKind.SYNCED, b"", offset=0, group=1)
        opened = SegmentOpener(KEY, HASH).open(sealed, 0, 0)
        assert opened is not None
        counters.append(opened.counter)
    assert counters == [1, 2, 3]
    assert ours.counter == 3


def test_a_key_that_has_sealed_all_it_may_seals_no_more() -> None:
    """2**32 - 1 records, and not one nonce twice."""
    ours = sealer()
    ours._counter = MAX_COUNTER - 1
    ours.seal(RecordKind.SYNCED, b"", offset=0, group=1)
    assert ours.remaining == 0
    with pytest.raises(LocalProtocolError):
        ours.seal(RecordKind.SYNCED, b"", offset=0, group=1)


@pytest.mark.parametrize(
    "record", [Record(RecordKind.COMMIT, b""), Record(RecordKind.ENTRY, bytes(MAX_PAYLOAD_BYTES + 1))]
)
def test_only_leaves_of_a_reasonable_size_are_taken(record: Record) -> None:
    """What is not for callers to write, and what no reader would read."""
    with pytest.raises(LocalProtocolError):
        sealer().seal_leaf(record, offset=0, group=1)
