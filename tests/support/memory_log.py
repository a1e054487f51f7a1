"""The daemon's log without a disk: the same surface as `bisikd.log.store.Log`, everything in memory, at once.

For tests in virtual time, and for those that want the disk to be full, slow or broken at a given moment.
"""

from collections.abc import Sequence

import msgspec

from bisik_protocol.chat.messages import (
    ZERO_DIGEST,
    Entry,
    JoinEntry,
    LeaveEntry,
    MessageEntry,
    decode_entry_untrusted,
)
from bisik_protocol.chat.statements import decode_any_statement_untrusted, statement_hash
from bisik_protocol.chat.tree import record_leaf
from bisikd.log.errors import LogFailed, LogFull
from bisikd.log.format import Record, RecordKind
from bisikd.log.store import Leaf
from tests.support.signed_tree import SignedTree

CHECKPOINT_RECORDS = 50
SALT = bytes(16)


class MemoryLog:
    """`full` and `failed` make the next appends raise; `appended` holds the groups that were stored."""

    def __init__(self) -> None:
        self.appended: list[list[Record]] = []
        self.full = False
        self.failed = False
        self.closed = False
        self.due = False  # whether the head wants signing
        self._rooms: dict[str, list[bytes]] = {}
        self._chains: dict[tuple[str, bytes], list[bytes]] = {}
        self._present: dict[str, set[str]] = {}
        self._devices: dict[bytes, tuple[str, bytes]] = {}
        self._tree = SignedTree()
        self._places: dict[tuple[str, int], int] = {}
        self._note: bytes | None = None
        self._note_size = 0

    def append(self, records: Sequence[Record]) -> None:
        if self.failed:
            raise LogFailed("The disk failed while the log was written.")
        if self.full:
            raise LogFull("There is no room for the log.")
        self.appended.append(list(records))
        for record in records:
            self._tree.leaves.append(record_leaf(record.kind, SALT, record.payload))
            if record.kind is RecordKind.ENTRY:
                self._take(decode_entry_untrusted(record.payload), record.payload)
            else:
                name, modulus, _ = msgspec.msgpack.decode(record.payload)
                self._devices[statement_hash(modulus)] = (name, modulus)

    def _take(self, entry: Entry, payload: bytes) -> None:
        entries = self._rooms.setdefault(entry.room, [])
        entries.append(payload)
        self._places[entry.room, entry.seq] = len(self._tree.leaves) - 1
        assert entry.seq == len(entries), "a room's entries are numbered from 1 without gaps"
        present = self._present.setdefault(entry.room, set())
        match entry:
            case JoinEntry():
                assert entry.author not in present, "nobody joins twice"
                present.add(entry.author)
            case LeaveEntry():
                assert entry.author in present, "nobody leaves who is not there"
                present.remove(entry.author)
            case MessageEntry():
                statement = decode_any_statement_untrusted(entry.statement)
                assert self._devices[statement.author][0] == entry.author, "a key speaks under its newest name"
                chain = self._chains.setdefault((entry.room, statement.author), [])
                chain.append(payload)
                assert statement.seq == len(chain), "a device's statements are numbered from 1 without gaps"

    def entries(self, room: str, after: int, count: int) -> list[bytes]:
        return self._rooms.get(room, [])[after : after + count]

    def entries_before(self, room: str, before: int | None, count: int) -> list[bytes]:
        entries = self._rooms.get(room, [])
        end = len(entries) if before is None else max(0, min(before - 1, len(entries)))
        return entries[max(0, end - count) : end]

    def heads(self) -> dict[str, int]:
        return {room: len(entries) for room, entries in self._rooms.items()}

    def chain(self, room: str, key_hash: bytes) -> tuple[int, bytes]:
        chain = self._chains.get((room, key_hash))
        if not chain:
            return 0, ZERO_DIGEST
        entry = decode_entry_untrusted(chain[-1])
        assert isinstance(entry, MessageEntry)
        return len(chain), statement_hash(entry.statement)

    def find(self, room: str, key_hash: bytes, author_seq: int) -> bytes | None:
        chain = self._chains.get((room, key_hash), [])
        return chain[author_seq - 1] if 1 <= author_seq <= len(chain) else None

    def device(self, key_hash: bytes) -> tuple[str, bytes] | None:
        return self._devices.get(key_hash)

    def presence(self) -> dict[str, set[str]]:
        return {room: set(names) for room, names in self._present.items()}

    def checkpoint(self) -> bytes | None:
        """Signed after the first record and then after each CHECKPOINT_RECORDS: a signature takes its time."""
        size = self.tree_size
        if (self._note is None and size) or size >= self._note_size + CHECKPOINT_RECORDS:
            self.sign_head()
        return self._note

    def sign_head(self) -> bytes | None:
        if self.failed:
            raise LogFailed("The disk failed while the log was written.")
        if self.tree_size > self._note_size:
            self._note, self._note_size = self._tree.note(), self.tree_size
        return self._note

    def write_checkpoint_if_due(self) -> bool:
        if self.failed:
            raise LogFailed("The disk failed while the log was written.")
        due, self.due = self.due, False
        if due:
            self.sign_head()
        return due

    @property
    def tree_size(self) -> int:
        return len(self._tree.leaves)

    def consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        return self._tree.consistency(old_size, self._note_size if size is None else size)

    def inclusion(self, leaf: int, size: int) -> list[bytes]:
        return self._tree.inclusion(leaf, size)

    def leaf_of(self, room: str, seq: int) -> Leaf | None:
        index = self._places.get((room, seq))
        return None if index is None else Leaf(index, SALT, self._rooms[room][seq - 1])

    def close(self) -> None:
        self.closed = True
