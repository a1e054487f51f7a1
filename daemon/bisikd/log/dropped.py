"""What is left of segments that are no longer kept: one file, signed, in place of all of them.

    header    a segment's, signed as a drop: number, length and tree are those at the end of the last segment dropped
    HASHES    the hashes of all dropped leaves, so that every proof can still be made
    KEPT      what the leaves behind them build on: where rooms and chains stood, whose keys are whose, who was there

The header is the note that says what was dropped: it is signed, and the tree over the hashes must be the one that it
names. It owns this file, and computing what has to be kept. Which segments go, and when, is `retention`'s matter.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bisik_protocol.chat.messages import JoinEntry
from bisik_protocol.chat.tree import HASH_BYTES
from bisik_protocol.crypto.identity import DecryptionKey, EncryptionKey, ServerIdentity, VerifyKey
from bisikd.log.errors import LogDamaged, sentence
from bisikd.log.facts import (
    ChainFact,
    DeviceFact,
    Fact,
    Kept,
    MemberFact,
    MessageFact,
    PresenceFact,
    RoomFact,
    encode_kept,
    read_fact,
    read_kept,
)
from bisikd.log.files import FileSystem
from bisikd.log.format import DROPPED_CONTEXT, Malformed, RecordKind
from bisikd.log.ledger import Chain, Tip
from bisikd.log.merkle import Frontier
from bisikd.log.replay import Replay, read_records, start_of
from bisikd.log.sealing import SegmentSealer
from bisikd.log.segments import create_segment, dropped_number, dropped_path, open_segment, segment_path

HASHES_A_RECORD: Final = 4000


@dataclass(frozen=True, slots=True)
class Dropped:
    """A drop, read and checked."""

    number: int  # of the last segment that is gone
    previous_bytes: int  # its length
    created_ms: int
    hashes: list[bytes]
    tree: Frontier
    kept: list[tuple[int, Kept]]  # with the offset of each


def open_dropped(files: FileSystem, directory: Path, key: DecryptionKey, signing: VerifyKey) -> Dropped | None:
    """What was dropped of this log, if anything. Raises LogDamaged, OSError."""
    number = dropped_number(files, directory)
    if number == 0:
        return None
    path = dropped_path(directory, number)
    segment = open_segment(files, path, number, key, signing, context=DROPPED_CONTEXT)
    hashes: list[bytes] = []
    kept: list[tuple[int, Kept]] = []
    with closing(segment.file):
        size, end = segment.file.size(), start_of(segment).offset
        for offset, record in read_records(segment, end, size):
            try:
                if record.kind is RecordKind.HASHES:
                    cuts = range(0, len(record.payload), HASH_BYTES)
                    hashes += [record.payload[at : at + HASH_BYTES] for at in cuts]
                elif record.kind is RecordKind.KEPT:
                    kept.append((offset, read_kept(record.payload)))
            except Malformed as error:
                raise LogDamaged(path, offset, sentence(error)) from None
            end = offset + record.length
    header, tree = segment.header, Frontier()
    for each in hashes:
        tree.append(each)
    if end != size or (tree.size, tree.root()) != (header.tree_size, header.root):
        raise LogDamaged(path, end, "Damaged here: this is not all that was written when segments were dropped.")
    return Dropped(number, header.previous_bytes, header.created_ms, hashes, tree, kept)


def dropped_leaves(files: FileSystem, directory: Path, identity: ServerIdentity) -> int:
    """How many leaves have been dropped so far. Raises LogDamaged, OSError."""
    number = dropped_number(files, directory)
    if number == 0:
        return 0
    path, keys = dropped_path(directory, number), (identity.decryption, identity.signing.public)
    segment = open_segment(files, path, number, *keys, context=DROPPED_CONTEXT)
    segment.file.close()
    return segment.header.tree_size


def write_dropped(
    files: FileSystem,
    directory: Path,
    last: int,
    *,
    identity: ServerIdentity,
    auditor: EncryptionKey | None,
    created_ms: int,
    random: Callable[[int], bytes],
) -> Dropped:
    """Make the file that stands for all segments up to `last`, on the disk when this returns. Removes nothing.

    Reads the segments that are to go, and checks them on the way. Raises LogDamaged, LogFull, LogFailed, OSError.
    """
    keys = identity.decryption, identity.signing.public
    before = open_dropped(files, directory, *keys)
    state, hashes = _State(), list(before.hashes) if before else []
    for _, fact in before.kept if before else []:
        state.keep(fact)
    tree, length = before.tree if before else Frontier(), 0
    for number in range(before.number + 1 if before else 1, last + 1):
        path = segment_path(directory, number)
        segment = open_segment(files, path, number, *keys)
        with closing(segment.file):
            replay = Replay(segment, start_of(segment), tree)
            for group in replay:
                for leaf in group.leaves:
                    hashes.append(leaf.hash)
                    try:
                        state.take(read_fact(leaf.kind, leaf.payload))
                    except Malformed as error:
                        raise LogDamaged(path, leaf.offset, sentence(error)) from None
            tree, length = replay.tree, segment.file.size()
            extent = replay.extent(last=False)
            if extent.settled.offset != length:
                raise LogDamaged(path, extent.sound_end, "Damaged here, so that nothing was dropped.")

    def body(sealer: SegmentSealer, offset: int) -> bytes:
        parts = []
        for kind, payload in _records(hashes, state):
            parts.append(sealer.seal(kind, payload, offset=offset, group=1))
            offset += len(parts[-1])
        return b"".join(parts)

    create_segment(
        files,
        directory,
        number=last,
        created_ms=created_ms,
        previous_bytes=length,
        tree=tree,
        identity=identity,
        auditor=auditor,
        random=random,
        context=DROPPED_CONTEXT,
        body=body,
    ).segment.file.close()
    dropped = open_dropped(files, directory, *keys)
    assert dropped is not None  # noqa: S101 # it has just been made
    return dropped


def _records(hashes: list[bytes], state: "_State") -> Iterator[tuple[RecordKind, bytes]]:
    for at in range(0, len(hashes), HASHES_A_RECORD):
        yield RecordKind.HASHES, b"".join(hashes[at : at + HASHES_A_RECORD])
    for fact in state.kept():
        yield RecordKind.KEPT, encode_kept(fact)


@dataclass
class _State:
    """What the leaves so far come to."""

    heads: dict[str, int] = field(default_factory=dict)
    tips: dict[Chain, Tip] = field(default_factory=dict)
    devices: dict[bytes, DeviceFact] = field(default_factory=dict)
    present: dict[tuple[str, str], int] = field(default_factory=dict)

    def keep(self, fact: Kept) -> None:
        """Go on from what an earlier drop kept."""
        if isinstance(fact, RoomFact):
            self.heads[fact.room] = fact.head
        elif isinstance(fact, MemberFact):
            self.present[fact.room, fact.name] = fact.seq
        else:
            self.take(fact)

    def take(self, fact: Fact) -> None:
        if isinstance(fact, DeviceFact):
            self.devices[fact.key_hash] = fact
            return
        if isinstance(fact, ChainFact):
            self.tips[fact.room, fact.key_hash] = fact.seq, fact.hash
            return
        entry = fact.entry
        self.heads[entry.room] = entry.seq
        if isinstance(fact, MessageFact):
            self.tips[entry.room, fact.statement.author] = fact.statement.seq, fact.hash
        elif isinstance(fact, PresenceFact):
            if isinstance(fact.entry, JoinEntry):
                self.present.setdefault((entry.room, entry.author), entry.seq)
            else:
                self.present.pop((entry.room, entry.author), None)

    def kept(self) -> Iterator[Kept]:
        yield from self.devices.values()
        for room, head in self.heads.items():
            yield RoomFact(room, head)
        for (room, key_hash), (seq, digest) in self.tips.items():
            yield ChainFact(room, key_hash, seq, digest)
        for (room, name), seq in self.present.items():
            yield MemberFact(room, seq, name)
