"""The cipher of one segment: records in and out of AES-256-GCM, bound to their segment and to their place in it.

It owns the key, the nonce and what the tag covers. A `SegmentSealer` exists once for a key, in the process that
made the key; an opener can be made by whoever can unwrap it. It knows nothing of files or groups.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bisik_protocol.chat.tree import SALT_BYTES, record_leaf
from bisik_protocol.errors import LocalProtocolError
from bisikd.log.format import (
    LEAF_HASH_BYTES,
    MAX_COUNTER,
    MAX_PAYLOAD_BYTES,
    PREFIX_BYTES,
    Prefix,
    Record,
    RecordKind,
    associated_data,
    nonce,
    read_prefix,
    record_length,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A record that was found authentic."""

    length: int
    counter: int
    group: int
    kind: RecordKind
    payload: bytes
    leaf: bytes  # its leaf hash, empty if it is no leaf
    salt: bytes  # what its leaf hash covers besides, empty if it is no leaf


class SegmentOpener:
    """Opens the records of one segment."""

    def __init__(self, key: bytes, header_hash: bytes) -> None:
        self._aead = AESGCM(key)
        self._header_hash = header_hash

    def open(self, data: bytes, at: int, offset: int) -> Opened | None:
        """The record at `data[at:]`, which lies at `offset` in its file; None if there is no whole authentic one."""
        prefix = read_prefix(data, at)
        if prefix is None:
            return None
        end = at + prefix.length
        sealed_end = end - LEAF_HASH_BYTES if prefix.kind.is_leaf else end
        aad = associated_data(self._header_hash, offset, data[at : at + PREFIX_BYTES])
        try:
            body = self._aead.decrypt(nonce(prefix.counter), data[at + PREFIX_BYTES : sealed_end], aad)
        except InvalidTag:
            return None
        if not prefix.kind.is_leaf:
            return Opened(prefix.length, prefix.counter, prefix.group, prefix.kind, body, b"", b"")
        salt, payload, leaf = body[:SALT_BYTES], body[SALT_BYTES:], data[sealed_end:end]
        if record_leaf(prefix.kind, salt, payload) != leaf:
            return None
        return Opened(prefix.length, prefix.counter, prefix.group, prefix.kind, payload, leaf, salt)


class SegmentSealer:
    """Seals the records of one segment. Its counter only ever rises, also past records that were never stored."""

    def __init__(self, key: bytes, header_hash: bytes, random: Callable[[int], bytes]) -> None:
        self._aead = AESGCM(key)
        self._header_hash = header_hash
        self._random = random
        self._counter = 0

    @property
    def counter(self) -> int:
        """The last one used; 0 before the first."""
        return self._counter

    @property
    def remaining(self) -> int:
        """How many records this key still seals."""
        return MAX_COUNTER - self._counter

    def seal(self, kind: RecordKind, payload: bytes, *, offset: int, group: int) -> bytes:
        """A record that is no leaf, for this offset of the file."""
        return self._seal(kind, payload, record_length(kind, len(payload)), offset, group)

    def seal_leaf(self, record: Record, *, offset: int, group: int) -> tuple[bytes, bytes]:
        """A leaf for this offset of the file, and its leaf hash."""
        if not record.kind.is_leaf or len(record.payload) > MAX_PAYLOAD_BYTES:
            raise LocalProtocolError("a log takes entries and devices, each of at most 128 KiB")
        salt = self._random(SALT_BYTES)
        leaf = record_leaf(record.kind, salt, record.payload)
        length = record_length(record.kind, len(record.payload))
        return self._seal(record.kind, salt + record.payload, length, offset, group) + leaf, leaf

    def _seal(self, kind: RecordKind, body: bytes, length: int, offset: int, group: int) -> bytes:
        if self._counter >= MAX_COUNTER:
            raise LocalProtocolError("this segment's key has sealed all that it may")
        self._counter += 1
        prefix = Prefix(length, self._counter, group, kind).to_bytes()
        aad = associated_data(self._header_hash, offset, prefix)
        return prefix + self._aead.encrypt(nonce(self._counter), body, aad)
