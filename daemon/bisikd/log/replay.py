"""Reading a segment from front to back, group by group, with every hash checked on the way.

It owns what a settled group is: leaves closed by a COMMIT that agrees with the tree, or a CHECKPOINT, or a SYNCED.
Where the authentic records end it measures what lies behind, and leaves the judgement to `recovery`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bisik_protocol.chat.checkpoint import read_checkpoint_untrusted
from bisik_protocol.errors import RemoteProtocolError
from bisikd.log.errors import LogDamaged
from bisikd.log.format import MAX_RECORD_BYTES, Malformed, RecordKind, read_commit
from bisikd.log.merkle import Frontier
from bisikd.log.sealing import Opened
from bisikd.log.segments import Segment

_CHUNK_BYTES: Final = 1 << 20

# Where a record might begin: a length from MIN_RECORD_BYTES to MAX_RECORD_BYTES, found at the speed of `re`.
_POSSIBLE_START: Final = re.compile(rb"(?=\x00(?:\x00\x00[^\x00]|\x00[^\x00]|[\x01\x02]))", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a segment has been read: the end of a settled group, its number, and the last counter used."""

    offset: int
    group: int = 0
    counter: int = 0


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf and where it lies."""

    offset: int
    kind: RecordKind
    payload: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Group:
    """A settled group. `kind` says what closed it; `note` is a CHECKPOINT's."""

    kind: RecordKind
    leaves: list[Leaf]
    offset: int  # of the record that closed it
    end: Position
    note: bytes = b""


@dataclass(frozen=True, slots=True)
class Extent:
    """How a segment ends. Offsets are of its file."""

    settled: Position  # where the last settled group ends
    sound_end: int  # up to here every record is authentic
    size: int
    newest_group_behind: int | None  # the highest group number of authentic records behind sound_end, if looked at


@dataclass
class Replay:
    """Iterate once over the settled groups of `segment` behind `start`; `tree` grows with them.

    Then `extent()` says how the segment ends. Raises LogDamaged at a record that is authentic and out of place: no
    crash makes one.
    """

    segment: Segment
    start: Position
    tree: Frontier
    _settled: Position = field(init=False)
    _end: int = field(init=False)
    _size: int = field(init=False)

    def __post_init__(self) -> None:
        self._settled, self._end = self.start, self.start.offset
        self._size = self.segment.file.size()

    def __iter__(self) -> Iterator[Group]:
        leaves: list[Leaf] = []
        tree = self.tree.copy()
        counter = self.start.counter
        for offset, record in read_records(self.segment, self.start.offset, self._size):
            if record.counter <= counter or record.group != self._settled.group + 1:
                raise self._damaged(offset, "This record is out of order.")
            counter = record.counter
            end = self._end = offset + record.length
            if record.kind.is_leaf:
                leaves.append(Leaf(offset, record.kind, record.payload, record.leaf))
                tree.append(record.leaf)
                continue
            self._check(offset, record, len(leaves), tree)
            group = self._settled.group + (record.kind is not RecordKind.SYNCED)
            self._settled = Position(end, group, counter)
            self.tree = tree.copy()
            note = record.payload if record.kind is RecordKind.CHECKPOINT else b""
            yield Group(record.kind, leaves, offset, self._settled, note)
            leaves = []

    def extent(self, *, last: bool) -> Extent:
        """How the segment ends; what lies behind the authentic records is looked at in the last segment only."""
        behind = None
        if last and self._end < self._size:
            behind = _newest_group(self.segment, self._end, self._size, enough=self._settled.group + 2)
        return Extent(self._settled, self._end, self._size, behind)

    def _check(self, offset: int, record: Opened, leaves: int, tree: Frontier) -> None:
        """Raises LogDamaged unless the closing record agrees with what it closes."""
        try:
            if record.kind is RecordKind.COMMIT:
                commit = read_commit(record.payload)
                agrees = (commit.tree_size, commit.leaves, commit.root) == (tree.size, leaves, tree.root())
            elif record.kind is RecordKind.CHECKPOINT:
                head = read_checkpoint_untrusted(record.payload)
                agrees = (head.size, leaves, head.root) == (tree.size, 0, tree.root())
            else:
                agrees = record.kind is RecordKind.SYNCED and not leaves and not record.payload
        except (Malformed, RemoteProtocolError):
            agrees = False
        if not agrees:
            raise self._damaged(offset, f"This {record.kind.name} does not agree with the records before it.")

    def _damaged(self, offset: int, sentence: str) -> LogDamaged:
        return LogDamaged(self.segment.path, offset, sentence)


def start_of(segment: Segment) -> Position:
    """Where a segment's first group begins."""
    return Position(segment.header_bytes)


def read_records(segment: Segment, start: int, size: int) -> Iterator[tuple[int, Opened]]:
    """The authentic records from `start`, one behind the other, each with its offset, up to the first that is not."""
    buffer, base, at = b"", start, 0
    while True:
        if len(buffer) - at < MAX_RECORD_BYTES and base + len(buffer) < size:
            base, buffer, at = base + at, buffer[at:] + _read_more(segment, base + len(buffer), size), 0
        record = segment.opener.open(buffer, at, base + at)
        if record is None:
            return
        yield base + at, record
        at += record.length


def read_record(segment: Segment, offset: int) -> Opened | None:
    """The record at `offset`, or None if there is no authentic one."""
    data = segment.file.read(offset, 4096)
    record = segment.opener.open(data, 0, offset)
    if record is None and len(data) == 4096:
        record = segment.opener.open(segment.file.read(offset, MAX_RECORD_BYTES), 0, offset)
    return record


def _read_more(segment: Segment, offset: int, size: int) -> bytes:
    data = segment.file.read(offset, min(_CHUNK_BYTES, size - offset))
    if not data:
        raise LogDamaged(segment.path, offset, "The file has become shorter while it was read.")
    return data


def find_record(segment: Segment, start: int, size: int) -> int | None:
    """Where the first authentic record begins at or behind `start`; None if there is none."""
    data = segment.file.read(start, size - start)
    for match in _POSSIBLE_START.finditer(data):
        if segment.opener.open(data, match.start(), start + match.start()) is not None:
            return start + match.start()
    return None


def _newest_group(segment: Segment, start: int, size: int, *, enough: int) -> int | None:
    """The highest group of an authentic record that begins at any byte from `start`; may stop at `enough`."""
    data = segment.file.read(start, size - start)
    newest: int | None = None
    for match in _POSSIBLE_START.finditer(data):
        record = segment.opener.open(data, match.start(), start + match.start())
        if record is not None:
            newest = max(newest or 0, record.group)
            if newest >= enough:
                break
    return newest
