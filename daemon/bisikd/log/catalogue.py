"""What the log says, looked up: by room and number, by author and number, by key. Places from the index, contents
from the segments, and in memory only the newest of each.

It owns entering stored leaves into the index, and the answer when the index has no room on the disk any more. No
locking of its own: `store` holds a lock around it.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from bisik_protocol.chat.messages import OPERATOR, Act, Entry, JoinEntry, LeaveEntry, ModerationEntry, encode
from bisik_protocol.chat.tree import verify_consistency, verify_inclusion
from bisikd.log.dropped import Dropped
from bisikd.log.errors import IndexDamaged, LogFailed
from bisikd.log.facts import (
    ChainFact,
    DeviceFact,
    DevicePayload,
    Fact,
    Kept,
    MemberFact,
    MessageFact,
    PresenceFact,
    RoomFact,
    read_fact,
    read_kept,
)
from bisikd.log.format import Malformed, RecordKind
from bisikd.log.index import Index, Place, Watermark
from bisikd.log.ledger import NO_TIP, Chain, Staged, Tip
from bisikd.log.merkle import Frontier, consistency_proof, inclusion_proof, root_over
from bisikd.log.recent import Recent
from bisikd.log.sealing import Opened
from bisikd.log.shelf import Shelf

MAX_TIPS: Final = 4096
MAX_DEVICES: Final = 4096
LEAVES_AT_A_TIME: Final = 4096

T = TypeVar("T")
Placed = Sequence[tuple[int, bytes]]  # offset and hash of each leaf of a group


@dataclass
class _Changes:
    """What a group changes here in memory, once the index has taken it."""

    rooms: dict[str, int] = field(default_factory=dict)
    joined: dict[tuple[str, str], int | None] = field(default_factory=dict)  # (room, name) -> seq, None: left


class Catalogue:
    """The lookup side of one log. Implements `ledger.Memory`.

    Lookups raise LogDamaged where the log is not what it was, IndexDamaged where the index is not.
    """

    def __init__(self, index: Index, shelf: Shelf, index_path: Path) -> None:
        self._index = index
        self._shelf = shelf
        self._path = index_path
        self._rooms: dict[str, int] = {}
        self._heads: dict[str, int] = {}
        self._floors: dict[str, int] = {}  # up to this entry of the room nothing is kept
        self._dropped_ms = 0
        self._present: dict[str, dict[str, int]] = {}  # room -> name -> seq of the JoinEntry
        self._tips: Recent[Chain, Tip] = Recent(MAX_TIPS)
        self._devices: Recent[bytes, DevicePayload] = Recent(MAX_DEVICES)

    def load(self) -> None:
        """Take the rooms and who is in them from the index."""
        names: dict[int, str] = {}
        with self._reading():
            rooms, presence = self._index.rooms(), self._index.presence()
        for number, place, head, floor in rooms:
            room = names[number] = self._room_at(place)
            self._rooms[room], self._heads[room], self._present[room] = number, head, {}
            self._floors[room] = floor
        for number, seq, place in presence:
            if number not in names:
                raise self._misled()
            self._present[names[number]][self._name_at(place)] = seq

    def _room_at(self, place: Place) -> str:
        fact = self._fact(place)[0]
        if isinstance(fact, DeviceFact | ChainFact | MemberFact):
            raise self._misled()
        return fact.room if isinstance(fact, RoomFact) else fact.entry.room

    def _name_at(self, place: Place) -> str:
        fact = self._fact(place)[0]
        if isinstance(fact, MemberFact):
            return fact.name
        if not isinstance(fact, PresenceFact):
            raise self._misled()
        return fact.entry.author

    # What the newest state is --------------------------------------------------------------------------------------

    def head(self, room: str) -> int:
        return self._heads.get(room, 0)

    def heads(self) -> dict[str, int]:
        return dict(self._heads)

    def presence(self) -> dict[str, set[str]]:
        return {room: set(names) for room, names in self._present.items()}

    def tip(self, chain: Chain) -> Tip:
        tip = self._tips.get(chain)
        if tip is None:
            tip = self._find_tip(chain)
            self._tips.set(chain, tip)
        return tip

    def name_of(self, key_hash: bytes) -> str | None:
        device = self.device(key_hash)
        return device.name if device else None

    def device(self, key_hash: bytes) -> DevicePayload | None:
        device = self._devices.get(key_hash)
        if device is None:
            with self._reading():
                place = self._index.device(key_hash)
            if place is None:
                return None
            fact, _ = self._fact(place)
            if not isinstance(fact, DeviceFact) or fact.key_hash != key_hash:
                raise self._misled()
            device = fact.device
            self._devices.set(key_hash, device)
        return device

    # What was stored -----------------------------------------------------------------------------------------------

    def entries(self, room: str, after: int, count: int) -> list[bytes]:
        """The next `count` encoded entries of a room, rising."""
        number = self._rooms.get(room)
        if number is None or count <= 0:
            return []
        gone = range(after + 1, min(self._floors.get(room, 0), after + count) + 1)
        found = [
            encode(ModerationEntry(room, s, self._dropped_ms, OPERATOR, Act.DROPPED, "", None, "")) for s in gone
        ]
        with self._reading():
            places = self._index.entries_after(number, after + len(found), count - len(found))
        return found + [self._checked(room, seq, place)[1] for seq, place in places]

    def find(self, room: str, key_hash: bytes, author_seq: int) -> bytes | None:
        """The encoded entry with an author's statement of this number."""
        number = self._rooms.get(room)
        if number is None:
            return None
        with self._reading():
            found = self._index.statement(number, key_hash, author_seq)
        return self._entry_at(room, found[1])[1] if found else None

    # What proves it ------------------------------------------------------------------------------------------------

    def leaf(self, room: str, seq: int) -> tuple[int, Opened] | None:
        """Number in the tree, and record, of an entry."""
        number = self._rooms.get(room)
        if number is None:
            return None
        with self._reading():
            leaf, place = self._index.leaf(number, seq), self._index.entry(number, seq)
        if leaf is None:
            return None
        if place is None:
            raise self._misled()
        self._checked(room, seq, place)
        return leaf, self._shelf.read(place)

    def inclusion(self, leaf: int, size: int, tree: Frontier) -> list[bytes]:
        """The proof that a leaf is in the tree of this size, checked against what the log is known to be."""
        with self._reading():
            root = self._root(size, tree)
            proof = inclusion_proof(leaf, size, self._index.subtree)
            if not verify_inclusion(self._index.subtree(0, leaf), leaf, size, proof, root):
                raise self._misled()
        return proof

    def consistency(self, old_size: int, size: int, tree: Frontier) -> list[bytes]:
        """The proof that the tree of one size begins with that of another, checked as `inclusion` is."""
        with self._reading():
            old_root, root = self._root(old_size, tree), self._root(size, tree)
            proof = consistency_proof(old_size, size, self._index.subtree)
            if not verify_consistency(old_size, old_root, size, root, proof):
                raise self._misled()
        return proof

    def _root(self, size: int, tree: Frontier) -> bytes:
        """The root of an earlier tree. The index is no authority: what it says must lead to `tree`, the newest."""
        proof = consistency_proof(size, tree.size, self._index.subtree)
        root = root_over(0, size, self._index.subtree)
        if not verify_consistency(size, root, tree.size, tree.root(), proof):
            raise self._misled()
        return root

    def _find_tip(self, chain: Chain) -> Tip:
        room, key_hash = chain
        number = self._rooms.get(room)
        if number is None:
            return NO_TIP
        with self._reading():
            found = self._index.statement(number, key_hash, None)
        if found is None:
            return self._kept_tip(number, chain)
        with self._reading():
            place = self._index.entry(number, found[1])
        fact = self._fact(place)[0] if place else None
        if not isinstance(fact, MessageFact) or (fact.statement.author, fact.statement.seq) != (key_hash, found[0]):
            raise self._misled()
        return found[0], fact.hash

    def _kept_tip(self, number: int, chain: Chain) -> Tip:
        """Where a chain stood when its statements were dropped."""
        with self._reading():
            place = self._index.tip(number, chain[1])
        if place is None:
            return NO_TIP
        fact = self._fact(place)[0]
        if not isinstance(fact, ChainFact) or (fact.room, fact.key_hash) != chain:
            raise self._misled()
        return fact.seq, fact.hash

    def _entry_at(self, room: str, seq: int) -> tuple[Entry, bytes]:
        with self._reading():
            place = self._index.entry(self._rooms[room], seq)
        if place is None:
            raise self._misled()
        return self._checked(room, seq, place)

    def _checked(self, room: str, seq: int, place: Place) -> tuple[Entry, bytes]:
        entry, payload = self._entry(place)
        if (entry.room, entry.seq) != (room, seq):
            raise self._misled()
        return entry, payload

    def _entry(self, place: Place) -> tuple[Entry, bytes]:
        fact, payload = self._fact(place)
        if isinstance(fact, DeviceFact | ChainFact | RoomFact | MemberFact):
            raise self._misled()
        return fact.entry, payload

    def _fact(self, place: Place) -> tuple[Fact | Kept, bytes]:
        record = self._shelf.read(place)
        try:
            if record.kind is RecordKind.KEPT:
                return read_kept(record.payload), record.payload
            return read_fact(record.kind, record.payload), record.payload
        except Malformed:  # authentic, but no leaf
            raise self._misled() from None

    # Entering ------------------------------------------------------------------------------------------------------

    def add(self, segment: int, first: int, placed: Placed, staged: Staged) -> None:
        """Enter stored leaves, from number `first` on, inside the caller's transaction, lost whole if this fails."""
        changes = self._write(segment, first, placed, staged)
        self._remember(staged, changes)

    @contextmanager
    def transaction(self) -> Iterator[Index]:
        """The index, for entering much at once. Raises sqlite3.Error; nothing is entered then."""
        self._index.begin()
        try:
            yield self._index
            self._index.commit()
        except BaseException:
            self._index.rollback()
            raise

    def enter(self, placed: Placed, staged: Staged, mark: Watermark) -> None:
        """Enter the group that ends at `mark`, whatever happens to the index's file. Raises LogFailed at the last."""

        def write(index: Index) -> _Changes:
            changes = self._write(mark.segment, mark.tree.size - len(placed), placed, staged)
            index.set_watermark(mark)
            return changes

        self._remember(staged, self._durably(write))

    def enter_checkpoint(self, place: Place, mark: Watermark) -> None:
        """Enter a CHECKPOINT that is stored."""

        def write(index: Index) -> None:
            index.set_checkpoint(place)
            index.set_watermark(mark)

        self._durably(write)

    def enter_segment(self, mark: Watermark) -> None:
        """Enter that a new segment has begun, so that the next start need not look at those before it."""
        self._durably(lambda index: index.set_watermark(mark))

    def _durably(self, write: Callable[[Index], T]) -> T:
        """Run `write` in a transaction; if the disk has no room for it, in a copy of the index in memory.

        The log has room when the index has not, now and then, and what is stored must be found. The index on the
        disk stays behind and catches up at the next start.
        """
        try:
            with self.transaction() as index:
                return write(index)
        except sqlite3.Error:
            try:
                copy = self._index.in_memory()
                self._index.close()
                self._index = copy
                with self.transaction() as index:
                    return write(index)
            except sqlite3.Error as error:
                raise LogFailed(f"{self._path}: The index cannot be written ({error}).") from error

    def _write(self, segment: int, first: int, placed: Placed, staged: Staged) -> _Changes:
        index, changes = self._index, _Changes()
        entries, statements = [], []
        index.add_leaves(first, segment, placed)
        for leaf, (fact, (offset, _)) in enumerate(zip(staged.facts, placed, strict=True), start=first):
            place = Place(segment, offset)
            if isinstance(fact, DeviceFact):
                index.set_device(fact.key_hash, place)
                continue
            if isinstance(fact, ChainFact):
                continue  # the statement that it makes room for follows in the same group
            entry = fact.entry
            room = self._rooms.get(entry.room) or changes.rooms.get(entry.room)
            if room is None:
                room = changes.rooms[entry.room] = index.add_room(place)
            entries.append((room, entry.seq, leaf))
            if isinstance(fact, MessageFact):
                statements.append((room, index.author(fact.statement.author), fact.statement.seq, entry.seq))
            elif isinstance(fact, PresenceFact):
                self._write_presence(fact.entry, room, place, changes)
        index.add_entries(entries)
        index.add_statements(statements)
        return changes

    def _write_presence(self, entry: JoinEntry | LeaveEntry, room: int, place: Place, changes: _Changes) -> None:
        who = entry.room, entry.author
        joined = changes.joined[who] if who in changes.joined else self._present.get(entry.room, {}).get(entry.author)
        if isinstance(entry, JoinEntry) and joined is None:
            self._index.add_presence(room, entry.seq, place)
            changes.joined[who] = entry.seq
        elif isinstance(entry, LeaveEntry) and joined is not None:
            self._index.remove_presence(room, joined)
            changes.joined[who] = None

    def _remember(self, staged: Staged, changes: _Changes) -> None:
        self._rooms.update(changes.rooms)
        for room in changes.rooms:
            self._present[room] = {}
        for (room, name), seq in changes.joined.items():
            if seq is None:
                self._present[room].pop(name, None)
            else:
                self._present[room][name] = seq
        self._heads.update(staged.heads)
        for chain, tip in staged.tips.items():
            self._tips.set(chain, tip)
        for fact in staged.facts:
            if isinstance(fact, DeviceFact):
                self._devices.set(fact.key_hash, fact.device)

    # Dropping ------------------------------------------------------------------------------------------------------

    def begin_behind(self, dropped: Dropped) -> None:
        """Enter what was dropped of a log that is entered anew, in the caller's transaction."""
        for at in range(0, len(dropped.hashes), LEAVES_AT_A_TIME):
            rows = [(0, each) for each in dropped.hashes[at : at + LEAVES_AT_A_TIME]]
            self._index.add_leaves(at, dropped.number, rows)
        for offset, fact in dropped.kept:
            if isinstance(fact, RoomFact):
                self._rooms[fact.room] = self._index.add_room(Place(dropped.number, offset))
                self._heads[fact.room], self._present[fact.room] = fact.head, {}
        for offset, fact in dropped.kept:
            if isinstance(fact, MemberFact):
                self._index.add_presence(self._rooms[fact.room], fact.seq, Place(dropped.number, offset))
                self._present[fact.room][fact.name] = fact.seq
        self._write_drop(self._index, dropped)
        self._remember_drop(dropped)

    def drop(self, dropped: Dropped) -> None:
        """Forget what was dropped just now; the files are still there. Raises LogFailed."""
        self._durably(lambda index: self._write_drop(index, dropped))
        self._remember_drop(dropped)
        self._shelf.drop(dropped.number)

    def checkpoint_segment(self) -> int | None:
        """The segment that holds the newest checkpoint."""
        with self._reading():
            place = self._index.checkpoint()
        return place.segment if place else None

    def remember_dropped_at(self, created_ms: int) -> None:
        """When something was dropped last: the time of what stands in its place."""
        self._dropped_ms = created_ms

    def _write_drop(self, index: Index, dropped: Dropped) -> None:
        index.set_dropped(dropped.number, dropped.tree.size)
        for offset, fact in dropped.kept:
            place = Place(dropped.number, offset)
            if isinstance(fact, RoomFact):
                index.set_floor(self._rooms[fact.room], fact.head, place)
            elif isinstance(fact, DeviceFact):
                index.move_device(fact.key_hash, place)
            elif isinstance(fact, ChainFact):
                index.set_tip(self._rooms[fact.room], fact.key_hash, place)
            else:
                index.move_presence(self._rooms[fact.room], fact.seq, place)

    def _remember_drop(self, dropped: Dropped) -> None:
        self._floors.update({fact.room: fact.head for _, fact in dropped.kept if isinstance(fact, RoomFact)})
        self._dropped_ms = dropped.created_ms

    # The index itself ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._index.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise IndexDamaged(self._path, f"The index cannot be read ({error}).") from error

    def _misled(self) -> IndexDamaged:
        return IndexDamaged(self._path, "The index does not lead to the right record.")
