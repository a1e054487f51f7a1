"""The log as the daemon uses it: open, append, look up, close.

It owns the order of things (validate, write, index, sign), when a segment is full and when a checkpoint is due, and
the locks: one thread appends, any number of threads read.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, RLock

from bisik_protocol.chat.checkpoint import Checkpoint, origin_of, read_checkpoint_untrusted, sign_checkpoint
from bisik_protocol.crypto.identity import EncryptionKey, ServerIdentity
from bisik_protocol.errors import LocalProtocolError
from bisikd.log.dropped import dropped_leaves, write_dropped
from bisikd.log.errors import LogError, LogFailed, LogFull, failed, full, is_full, sentence
from bisikd.log.facts import read_fact
from bisikd.log.files import REAL_FILES, FileSystem
from bisikd.log.format import Malformed, Record
from bisikd.log.index import INDEX_NAME, Place, Watermark
from bisikd.log.ledger import Disagrees, Staged
from bisikd.log.merkle import Frontier
from bisikd.log.opening import Ready, open_recovered
from bisikd.log.retention import Keep, Sealed, last_to_go
from bisikd.log.segments import (
    NewSegment,
    Segment,
    create_segment,
    list_segments,
    look_at_segment,
    remove_unfinished,
    segment_path,
)
from bisikd.log.writer import SegmentWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPolicy:
    """How a log is cut into segments, and how often its head is signed."""

    segment_bytes: int = 64 << 20  # a segment that has reached this is followed by a new one
    checkpoint_records: int = 1000
    checkpoint_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Leaf:
    """A stored entry as a leaf of the tree: its hash is `bisik_protocol.chat.tree.entry_leaf(salt, entry)`."""

    index: int  # from 0
    salt: bytes
    entry: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Maker:
    """Makes the segments of one log, each under a key of its own."""

    files: FileSystem
    directory: Path
    identity: ServerIdentity
    auditor: EncryptionKey | None
    now_ms: Callable[[], int]
    random: Callable[[int], bytes]

    def make(self, number: int, previous_bytes: int, tree: Frontier) -> SegmentWriter:
        """Segment `number`, behind one of so many bytes and over this tree. Raises LogFull or LogFailed."""
        new: NewSegment = create_segment(
            self.files,
            self.directory,
            number=number,
            created_ms=self.now_ms(),
            previous_bytes=previous_bytes,
            tree=tree,
            identity=self.identity,
            auditor=self.auditor,
            random=self.random,
        )
        return SegmentWriter(new, tree)


class Log:
    """An open log. Exactly one process may have a log open; the state directory's lock sees to that.

    Reading may raise LogDamaged, where what is read is not what was stored.
    """

    def __init__(self, ready: Ready, maker: _Maker, writer: SegmentWriter, policy: LogPolicy) -> None:
        """For `open` only."""
        self._catalogue = ready.catalogue
        self._shelf = ready.shelf
        self._maker = maker
        self._writer = writer
        self._policy = policy
        self._tree = writer.tree  # what the catalogue knows; nothing in it ever changes
        self._checkpoint = ready.checkpoint
        self._checkpoint_size = read_checkpoint_untrusted(ready.checkpoint).size if ready.checkpoint else 0
        self._checkpoint_ms = maker.now_ms()
        self._failure: LogError | None = None
        self._closed = False
        self._appending = Lock()
        self._lock = RLock()  # the catalogue and the shelf; never held during a write or an fsync of the log

    @classmethod
    def open(
        cls,
        directory: Path,
        identity: ServerIdentity,
        *,
        now_ms: Callable[[], int],
        auditor: EncryptionKey | None = None,
        files: FileSystem = REAL_FILES,
        policy: LogPolicy = LogPolicy(),
        random: Callable[[int], bytes] = os.urandom,
        index_in_memory: bool = False,
    ) -> "Log":
        """Recover what is in `directory`, which is made if its parent is there, and begin a new segment.

        Raises LogDamaged (nothing was changed), LogFull, LogFailed. Blocks; reads only what is new since the index.
        """
        maker = _Maker(
            files=files, directory=directory, identity=identity, auditor=auditor, now_ms=now_ms, random=random
        )
        try:
            files.make_directory(directory)
            files.sync_directory(directory.parent)
            ready = open_recovered(files, directory, identity, None if index_in_memory else directory / INDEX_NAME)
            try:
                remove_unfinished(files, directory)
                recovered = ready.recovered
                writer = maker.make(recovered.last_number + 1, recovered.last_bytes, recovered.tree)
                log = cls(ready, maker, writer, policy)
                ready.catalogue.enter_segment(log._mark())
            except BaseException:
                ready.catalogue.close()
                ready.shelf.close()
                raise
        except OSError as error:
            raise (full(directory / INDEX_NAME) if is_full(error) else failed(directory, error)) from error
        return log

    # Writing -------------------------------------------------------------------------------------------------------

    def append(self, records: Sequence[Record]) -> None:
        """Store the records, all or none; they are on the disk, and found by every lookup, when this returns.

        Raises LogFull: nothing was stored, and the same call may succeed later. Raises LogFailed: not acknowledged,
        and nothing more is taken; only a restart finds out what is stored. Raises LocalProtocolError for records that
        contradict the log (see `ledger`), having stored nothing.
        """
        if not records:
            return
        with self._appending:
            self._require_usable()
            with self._lock:
                staged = self._stage(records)
            if self._writer.size >= self._policy.segment_bytes or self._writer.remaining < 2 * len(records) + 8:
                self._rotate()
            placed = self._writer.append(records)
            with self._lock, self._fatal():
                self._catalogue.enter(placed, staged, self._mark())
                self._tree = self._writer.tree
            self._checkpoint_if_due()

    def write_checkpoint_if_due(self) -> bool:
        """Sign the head if the time has come and nothing has been appended that did so. For an idle daemon's timer.

        Raises LogFailed. Says whether one was written.
        """
        with self._appending:
            self._require_usable()
            return self._checkpoint_if_due()

    def sign_head(self) -> bytes | None:
        """The checkpoint over everything stored so far, made now if there is none yet; None for an empty log.

        Costs a signature and an fsync. Raises LogFull or LogFailed.
        """
        with self._appending:
            self._require_usable()
            self._write_checkpoint()
        return self.checkpoint()

    def prune(self, keep: Keep) -> int:
        """Drop the oldest segments that `keep` lets go; how many leaves went. One thread at a time.

        What is left of them is a signed file with their leaves' hashes and what later leaves build on. Reads all
        that goes, for seconds; appending and reading go on meanwhile. Raises LogDamaged, having dropped nothing,
        LogFull or LogFailed.
        """
        maker = self._maker
        with self._appending:
            self._require_usable()
            created_ms = self._writer.segment.header.created_ms
            old = keep.segment_ms is not None and maker.now_ms() - created_ms >= keep.segment_ms
            if old and self._writer.tree.size > self._writer.segment.header.tree_size:
                self._rotate()
            newest, newest_bytes = self._writer.segment, self._writer.size
        try:
            sealed, sealed_bytes = self._sealed(newest)
            last = last_to_go(keep, sealed, sealed_bytes + newest_bytes, maker.now_ms())
            if last == 0:
                return 0
            before = dropped_leaves(maker.files, maker.directory, maker.identity)
            dropped = write_dropped(
                maker.files,
                maker.directory,
                last,
                identity=maker.identity,
                auditor=maker.auditor,
                created_ms=maker.now_ms(),
                random=maker.random,
            )
            with self._lock, self._fatal():
                self._catalogue.drop(dropped)
            with self._appending:  # no segment is half made meanwhile
                remove_unfinished(maker.files, maker.directory)
        except OSError as error:
            raise failed(maker.directory, error) from error
        return dropped.tree.size - before

    def _sealed(self, newest: Segment) -> tuple[list[Sealed], int]:
        """The segments that may go: those before the newest checkpoint's. And the bytes of all before the newest.

        Raises LogDamaged.
        """
        files, directory = self._maker.files, self._maker.directory
        signing = self._maker.identity.signing.public
        with self._lock:
            kept_from = self._catalogue.checkpoint_segment() or newest.number
        found, sizes = list[Sealed](), list[tuple[int, int]]()
        for number in list_segments(files, directory):
            if number > newest.number:
                break
            header, size = look_at_segment(files, segment_path(directory, number), number, signing)
            if sizes and sizes[-1][0] < kept_from:
                found.append(Sealed(*sizes[-1], header.created_ms))
            sizes.append((number, size))
        return found, sum(size for number, size in sizes if number < newest.number)

    def close(self) -> None:
        """Sign the head, and end. Raises LogFailed if the disk fails at that; the log is closed all the same."""
        with self._appending:
            if self._closed:
                return
            self._closed = True
            try:
                if self._failure is None:
                    self._finish()
            finally:
                self._writer.close()
                with self._lock:
                    self._catalogue.close()
                    self._shelf.close()

    def _finish(self) -> None:
        self._writer.require_usable()
        with suppress(LogFull):  # the next start signs it
            self._write_checkpoint()
        self._writer.sync()

    def _stage(self, records: Sequence[Record]) -> Staged:
        staged = Staged(self._catalogue)
        for record in records:
            try:
                staged.admit(read_fact(record.kind, record.payload))
            except (Malformed, Disagrees) as error:
                raise LocalProtocolError(sentence(error)) from None
        return staged

    def _rotate(self) -> None:
        """Go on in a new segment. Raises LogFull, and the old one remains, or LogFailed."""
        self._write_checkpoint()
        self._writer.sync()  # nothing of a segment may be in doubt once another follows it
        with self._fatal():
            old = self._writer
            writer = self._maker.make(old.segment.number + 1, old.size, old.tree)
        self._writer.close()
        self._writer = writer

    def _checkpoint_if_due(self) -> bool:
        new = self._writer.tree.size - self._checkpoint_size
        waited_ms = self._maker.now_ms() - self._checkpoint_ms
        if new < self._policy.checkpoint_records and (new == 0 or waited_ms < self._policy.checkpoint_ms):
            return False
        try:
            self._write_checkpoint()
        except LogFull:
            return False  # what was appended is stored; there will be a next time
        return True

    def _write_checkpoint(self) -> None:
        """Sign the head, unless it has been. Raises LogFull or LogFailed."""
        tree, identity = self._writer.tree, self._maker.identity
        if tree.size == self._checkpoint_size:
            return
        head = Checkpoint(origin=origin_of(identity.fingerprint), size=tree.size, root=tree.root())
        note = sign_checkpoint(head, identity.signing)
        place = Place(self._writer.segment.number, self._writer.append_checkpoint(note))
        with self._lock, self._fatal():
            self._catalogue.enter_checkpoint(place, self._mark())
            self._checkpoint, self._checkpoint_size = note, tree.size
        self._checkpoint_ms = self._maker.now_ms()

    def _mark(self) -> Watermark:
        segment = self._writer.segment
        return Watermark(segment.number, segment.header_hash, self._writer.settled, self._writer.tree)

    def _require_usable(self) -> None:
        if self._closed:
            raise LogFailed(f"{self._maker.directory}: The log is closed.")
        if self._failure is not None:
            raise LogFailed(str(self._failure))
        self._writer.require_usable()

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        """Whatever fails in here leaves the log and what is known of it apart: no more is taken."""
        try:
            yield
        except LogFailed as error:
            self._failure = error
            raise

    # Looking up ----------------------------------------------------------------------------------------------------

    def entries(self, room: str, after: int, count: int) -> list[bytes]:
        """The first `count` encoded entries of a room with sequence numbers above `after`, rising."""
        with self._lock:
            return self._catalogue.entries(room, after, count)

    def entries_before(self, room: str, before: int | None, count: int) -> list[bytes]:
        """The last `count` encoded entries of a room with sequence numbers below `before` (None: all), rising."""
        with self._lock:
            last = self._catalogue.head(room)
            if before is not None:
                last = min(last, before - 1)
            after = max(0, last - count)
            return self._catalogue.entries(room, after, last - after)

    def heads(self) -> dict[str, int]:
        """Every room's newest sequence number."""
        with self._lock:
            return self._catalogue.heads()

    def head(self, room: str) -> int:
        """A room's newest sequence number, 0 if nothing was ever stored in it."""
        with self._lock:
            return self._catalogue.head(room)

    def chain(self, room: str, key_hash: bytes) -> tuple[int, bytes]:
        """Where a device's chain stands in a room: its newest number and hash; (0, ZERO_DIGEST) if none."""
        with self._lock:
            return self._catalogue.tip((room, key_hash))

    def find(self, room: str, key_hash: bytes, author_seq: int) -> bytes | None:
        """The stored, encoded entry with this statement of a device, if there is one."""
        with self._lock:
            return self._catalogue.find(room, key_hash, author_seq)

    def device(self, key_hash: bytes) -> tuple[str, bytes] | None:
        """The name that a key speaks under, and its modulus."""
        with self._lock:
            device = self._catalogue.device(key_hash)
        return (device.name, device.modulus) if device else None

    def presence(self) -> dict[str, set[str]]:
        """For each room the names that have joined and not left."""
        with self._lock:
            return self._catalogue.presence()

    def checkpoint(self) -> bytes | None:
        """The newest signed tree head, as a note."""
        with self._lock:
            return self._checkpoint

    # Proving -------------------------------------------------------------------------------------------------------

    def leaf_of(self, room: str, seq: int) -> Leaf | None:
        """Where an entry is in the tree, and what its hash covers; None if there is no such entry."""
        with self._lock:
            found = self._catalogue.leaf(room, seq)
        return Leaf(found[0], found[1].salt, found[1].payload) if found else None

    def inclusion(self, leaf: int, size: int) -> list[bytes]:
        """The proof (RFC 6962 section 2.1.1) that leaf number `leaf` is among the first `size`.

        `size` is a checkpoint's, as a rule. Raises ValueError where there is no such leaf or tree, IndexDamaged
        where the index would have proved something else.
        """
        with self._lock:
            self._require_stored(size)
            return self._catalogue.inclusion(leaf, size, self._tree)

    def consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """The proof (RFC 6962 section 2.1.2) that the first `size` leaves begin with the first `old_size`.

        Without a size: that of the newest checkpoint. Raises as `inclusion` does.
        """
        with self._lock:
            size = self._checkpoint_size if size is None else size
            self._require_stored(size)
            return self._catalogue.consistency(old_size, size, self._tree)

    def _require_stored(self, size: int) -> None:
        if size > self._tree.size:
            raise ValueError("there is no such tree")

    @property
    def tree_size(self) -> int:
        """How many leaves are stored."""
        return self._writer.tree.size
