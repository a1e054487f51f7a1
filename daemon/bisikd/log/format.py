"""The layout of a segment file, exact to the byte: its header, and the frame of a record. docs/log.md is its text.

It owns where each byte lies and which combinations are well formed. It neither encrypts nor reads files.
"""

import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import sha256
from typing import Final
from zlib import crc32

from bisik_protocol.chat.tree import HASH_BYTES, SALT_BYTES
from bisik_protocol.crypto.identity import OAEP_BYTES, SIGNATURE_BYTES

MAGIC: Final = b"bisiklog"
VERSION: Final = 1
HEADER_CONTEXT: Final = b"bisik log segment v1"
DROPPED_CONTEXT: Final = b"bisik log dropped v1"

KEY_BYTES: Final = 32
TAG_BYTES: Final = 16
LEAF_HASH_BYTES: Final = HASH_BYTES
MAX_PAYLOAD_BYTES: Final = 128 * 1024  # an entry is at most 64 KiB, the transport's cap; twice that, to stay readable
MAX_COUNTER: Final = (1 << 32) - 1  # GCM allows 2**32 nonces of this form under one key
MAX_RECIPIENTS: Final = 2  # the server, and an auditor

# magic, version, recipients, segment number, created (ms), bytes of the segment before it, tree size and root before
# it, fingerprint, key commitment
_HEADER: Final = struct.Struct(">8sIIQQQQ32s32s32s")
_RECIPIENT: Final = struct.Struct(f">32s{OAEP_BYTES}s")
HEADER_START_BYTES: Final = _HEADER.size
MAX_HEADER_BYTES: Final = _HEADER.size + MAX_RECIPIENTS * _RECIPIENT.size + SIGNATURE_BYTES

# length of the whole record, CRC-32 of these four bytes, counter, group, kind
_PREFIX: Final = struct.Struct(">IIIIB")
PREFIX_BYTES: Final = _PREFIX.size
_COMMIT: Final = struct.Struct(">QI32s")
_AAD: Final = struct.Struct(f">32sQ{PREFIX_BYTES}s")

MIN_RECORD_BYTES: Final = PREFIX_BYTES + TAG_BYTES
MAX_RECORD_BYTES: Final = PREFIX_BYTES + SALT_BYTES + MAX_PAYLOAD_BYTES + TAG_BYTES + LEAF_HASH_BYTES


class Malformed(ValueError):  # noqa: N818
    """These bytes are not what this format says. `str()` is a sentence."""


class RecordKind(IntEnum):
    """What a record is. Kinds below 0x10 are leaves of the tree."""

    ENTRY = 0x01  # payload: an encoded chat Entry
    DEVICE = 0x02  # payload: MessagePack [name, modulus, time]: from here on this key speaks under this name
    CHAIN = (
        0x03  # payload: MessagePack [room, key hash, seq, hash]: a device's chain goes on behind this, across a loss
    )
    COMMIT = 0x10  # closes a group: tree size, number of leaves in the group, root
    CHECKPOINT = 0x11  # a group of its own: a signed tree head
    SYNCED = 0x12  # empty: the group before it has been fsynced
    HASHES = 0x13  # only in a drop's file: hashes of dropped leaves, side by side
    KEPT = 0x14  # only there: one thing that was so at the end of what was dropped

    @property
    def is_leaf(self) -> bool:
        return self < 0x10


_KINDS: Final = {int(kind): kind for kind in RecordKind}


@dataclass(frozen=True, slots=True)
class Record:
    """What a caller stores: an ENTRY or a DEVICE."""

    kind: RecordKind
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """The segment's key, encrypted to one recipient by RSA-OAEP."""

    recipient: bytes  # SHA-256 of the recipient's modulus
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentHeader:
    """The start of a segment. The first of `keys` is the server's, a second one an auditor's."""

    number: int  # from 1
    created_ms: int
    previous_bytes: int  # the length, for good, of the segment before this one; 0 if there is none
    tree_size: int  # leaves in all segments before this one
    root: bytes  # over these leaves
    fingerprint: bytes  # of the server
    commitment: bytes  # to the key: GCM alone lets one ciphertext open under two keys
    keys: tuple[WrappedKey, ...]
    signature: bytes = b""  # the server's, over `unsigned()`, in HEADER_CONTEXT

    def unsigned(self) -> bytes:
        head = (MAGIC, VERSION, len(self.keys), self.number, self.created_ms, self.previous_bytes)
        start = _HEADER.pack(*head, self.tree_size, self.root, self.fingerprint, self.commitment)
        return start + b"".join(_RECIPIENT.pack(key.recipient, key.wrapped) for key in self.keys)

    def to_bytes(self) -> bytes:
        return self.unsigned() + self.signature

    def signed(self, signature: bytes) -> "SegmentHeader":
        return replace(self, signature=signature)


def read_header(data: bytes) -> SegmentHeader:
    """The header that `data` starts with. Raises Malformed."""
    if len(data) < _HEADER.size:
        raise Malformed("the segment's header is cut short")
    magic, version, recipients, number, *rest = _HEADER.unpack_from(data)
    created_ms, previous_bytes, tree_size, root, fingerprint, commitment = rest
    if magic != MAGIC:
        raise Malformed("this is not a segment of a bisik log")
    if version != VERSION:
        raise Malformed(f"this segment has format version {version}; this program reads version {VERSION}")
    if not 1 <= recipients <= MAX_RECIPIENTS:
        raise Malformed("the segment's header is damaged")
    end = _HEADER.size + recipients * _RECIPIENT.size
    if len(data) < end + SIGNATURE_BYTES:
        raise Malformed("the segment's header is cut short")
    wrapped = _RECIPIENT.iter_unpack(data[_HEADER.size : end])
    return SegmentHeader(
        number=number,
        created_ms=created_ms,
        previous_bytes=previous_bytes,
        tree_size=tree_size,
        root=root,
        fingerprint=fingerprint,
        commitment=commitment,
        keys=tuple(WrappedKey(recipient=recipient, wrapped=key) for recipient, key in wrapped),
        signature=data[end : end + SIGNATURE_BYTES],
    )


def key_commitment(key: bytes) -> bytes:
    """What binds a header to one key. Says nothing about the key, which is 32 random bytes."""
    return sha256(b"bisik log key commitment v1\0" + key).digest()


@dataclass(frozen=True, slots=True)
class Prefix:
    """The clear start of a record."""

    length: int  # of the whole record
    counter: int  # of this segment; the nonce; rises by one, leaves a gap only where a full disk refused a group
    group: int  # of this segment, from 1: a record of group n + 1 is written only after group n was fsynced
    kind: RecordKind

    def to_bytes(self) -> bytes:
        length = self.length.to_bytes(4)
        return length + struct.pack(">IIIB", crc32(length), self.counter, self.group, self.kind)


def record_length(kind: RecordKind, payload_bytes: int) -> int:
    """The bytes of a whole record with this payload."""
    leaf_bytes = SALT_BYTES + LEAF_HASH_BYTES if kind.is_leaf else 0
    return PREFIX_BYTES + payload_bytes + TAG_BYTES + leaf_bytes


def read_prefix(data: bytes, at: int) -> Prefix | None:
    """The prefix at `at`, or None where no whole, well-formed record can begin there."""
    if at + PREFIX_BYTES > len(data):
        return None
    length, check, counter, group, kind_byte = _PREFIX.unpack_from(data, at)
    kind = _KINDS.get(kind_byte)
    if kind is None or not MIN_RECORD_BYTES <= length <= MAX_RECORD_BYTES or at + length > len(data):
        return None
    if crc32(data[at : at + 4]) != check or length < record_length(kind, 0):
        return None
    return Prefix(length, counter, group, kind)


def associated_data(header_hash: bytes, offset: int, prefix: bytes) -> bytes:
    """What the tag covers besides the payload: which segment, where in it, and the record's clear start."""
    return _AAD.pack(header_hash, offset, prefix)


def nonce(counter: int) -> bytes:
    """12 bytes. The key is this segment's alone, so a counter is enough."""
    return counter.to_bytes(12)


@dataclass(frozen=True, slots=True)
class Commit:
    """The payload of a COMMIT."""

    tree_size: int
    leaves: int  # in the group that it closes
    root: bytes

    def to_bytes(self) -> bytes:
        return _COMMIT.pack(self.tree_size, self.leaves, self.root)


def read_commit(payload: bytes) -> Commit:
    """Raises Malformed."""
    if len(payload) != _COMMIT.size:
        raise Malformed("this COMMIT has the wrong size")
    return Commit(*_COMMIT.unpack(payload))
