"""Writing one segment: groups of records, each fsynced before anyone is told, and the rule for every failure.

It owns the order of writes and fsyncs that recovery relies on, and what happens when the disk refuses. It knows
nothing of rooms, of the index, or of which segment comes next.

    group n: leaves, COMMIT -> fdatasync -> (acknowledged) -> SYNCED, and only then anything of group n + 1

SYNCED is written without an fsync of its own. It is there so that damage to the newest group is told from an
unfinished group: both may look alike, but an unfinished one has nothing authentic of a later group behind it.
"""

from collections.abc import Sequence

from bisikd.log.errors import LogError, LogFailed, LogFull, failed, full, is_full
from bisikd.log.format import Commit, Record, RecordKind
from bisikd.log.merkle import Frontier
from bisikd.log.replay import Position
from bisikd.log.segments import NewSegment, write_all


class SegmentWriter:
    """The only writer of a segment, in the process that made it."""

    def __init__(self, new: NewSegment, tree: Frontier) -> None:
        self.segment = new.segment
        self.tree = tree  # over everything settled
        self._file = new.segment.file
        self._sealer = new.sealer
        self._end = new.segment.header_bytes  # behind the last record that counts
        self.settled = Position(self._end)  # behind the last group that is on the disk
        self._failure: LogError | None = None

    @property
    def size(self) -> int:
        """The bytes of the segment so far."""
        return self._end

    @property
    def remaining(self) -> int:
        """How many more records this segment's key may seal."""
        return self._sealer.remaining

    def require_usable(self) -> None:
        """Raises LogFailed if an earlier write failed: nothing is ever written behind a failure."""
        if self._failure is not None:
            raise LogFailed(str(self._failure))

    def append(self, records: Sequence[Record]) -> list[tuple[int, bytes]]:
        """Store leaves as one group; offset and leaf hash of each, once all are on the disk.

        Raises LogFull (nothing stored, still usable) or LogFailed (not acknowledged, never usable again).
        """
        self.require_usable()
        group, tree = self.settled.group + 1, self.tree.copy()
        offset = self._end
        parts, placed = [], []
        for record in records:
            sealed, leaf = self._sealer.seal_leaf(record, offset=offset, group=group)
            parts.append(sealed)
            placed.append((offset, leaf))
            offset += len(sealed)
            tree.append(leaf)
        commit = Commit(tree.size, len(records), tree.root()).to_bytes()
        parts.append(self._sealer.seal(RecordKind.COMMIT, commit, offset=offset, group=group))
        self._store(b"".join(parts))
        self.tree = tree
        return placed

    def append_checkpoint(self, note: bytes) -> int:
        """Store a signed tree head over `tree` as a group of its own; its offset. Raises as `append` does."""
        self.require_usable()
        offset = self._end
        self._store(self._sealer.seal(RecordKind.CHECKPOINT, note, offset=offset, group=self.settled.group + 1))
        return offset

    def sync(self) -> None:
        """Return once everything written is on the disk, the last SYNCED too. Raises LogFailed."""
        self.require_usable()
        try:
            self._file.sync_data()
        except OSError as error:
            raise self._fail(error) from error

    def close(self) -> None:
        self._file.close()

    def _store(self, data: bytes) -> None:
        """Write a whole group, fsync it, and mark it as fsynced."""
        self._write(data)
        self.sync()
        self._end += len(data)
        self.settled = Position(self._end, self.settled.group + 1, self._sealer.counter)
        synced = self._sealer.seal(RecordKind.SYNCED, b"", offset=self._end, group=self.settled.group + 1)
        try:
            self._write(synced)
        except LogFull:
            return  # the group is stored; without the mark, damage to it may pass for an unfinished write
        self._end += len(synced)

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._file, self._end, data)
        except OSError as error:
            if not is_full(error):
                raise self._fail(error) from error
            self._withdraw()
            raise full(self.segment.path) from error

    def _withdraw(self) -> None:
        """Take back a group that the full disk holds only in part, durably, before anything else is written there."""
        try:
            self._file.truncate(self._end)
            self._file.sync()
        except OSError as error:
            raise self._fail(error) from error

    def _fail(self, error: OSError) -> LogFailed:
        failure = failed(self.segment.path, error)
        self._failure = failure
        return failure
