"""Proving a log by itself: no index, no daemon, no other file, on any machine that has the key to read it.

It owns the list of what is checked. Every record is opened, every hash of the tree recomputed, every COMMIT and
CHECKPOINT compared, every author's signature verified, every chain and every room counted.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bisik_protocol.chat.checkpoint import origin_of, verify_checkpoint_untrusted
from bisik_protocol.chat.messages import Act, ModerationEntry
from bisik_protocol.chat.statements import STATEMENT_CONTEXT
from bisik_protocol.chat.tree import EMPTY_ROOT
from bisik_protocol.crypto.identity import DecryptionKey, VerifyKey
from bisik_protocol.errors import RemoteProtocolError
from bisikd.log.dropped import Dropped, open_dropped
from bisikd.log.errors import LogDamaged, sentence
from bisikd.log.facts import ChainFact, DeviceFact, Fact, MessageFact, ModerationFact, RoomFact, read_fact
from bisikd.log.files import REAL_FILES, FileSystem
from bisikd.log.format import Malformed, RecordKind
from bisikd.log.ledger import NO_TIP, Chain, Disagrees, Staged, Tip
from bisikd.log.merkle import Frontier
from bisikd.log.recovery import Cut, Refusal, check_continues, judge
from bisikd.log.replay import Group, Replay, start_of
from bisikd.log.segments import Segment, list_segments, open_segment, segment_path

OnBytes = Callable[[int], None]


@dataclass(slots=True)
class Report:
    """What `verify_log` found. `problems` are sentences that name file and byte."""

    segments: int = 0
    records: int = 0  # leaves: entries and devices
    messages: int = 0
    commits: int = 0
    checkpoints: int = 0
    dropped_segments: int = 0  # the first so many are not kept any more, as a signed drop says
    dropped_records: int = 0
    dropped_ms: int = 0  # when; milliseconds since the epoch
    losses: int = 0  # entries and links that a salvage said were lost
    unfinished_bytes: int = 0  # at the end: never acknowledged; the next start cuts them off
    root: bytes = EMPTY_ROOT
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A leaf of the log, with its place in the files and in the tree."""

    segment: int
    offset: int
    index: int  # of the leaf, from 0
    kind: RecordKind
    payload: bytes


def log_bytes(directory: Path, *, files: FileSystem = REAL_FILES) -> int:
    """The bytes in all segments, for telling how far a reading has come; 0 where that cannot be known."""
    total = 0
    with suppress(OSError, LogDamaged):
        for number in list_segments(files, directory):
            with closing(files.open(segment_path(directory, number), writable=False)) as file:
                total += file.size()
    return total


def verify_log(
    directory: Path,
    key: DecryptionKey,
    signing: VerifyKey,
    *,
    files: FileSystem = REAL_FILES,
    on_bytes: OnBytes | None = None,
) -> Report:
    """Check everything. `key` is the server's or the auditor's, `signing` the server's. Changes nothing.

    Stops at the first damage to the files, since hashes behind it mean nothing; goes on after a record that is
    whole and wrong. `on_bytes` is told how much of `log_bytes` has been read.
    """
    report = Report()
    check = _Check(report)
    try:
        for segment, group, tree in _groups(files, directory, key, signing, report, on_bytes, check.dropped):
            check.group(segment, group, tree, signing)
    except LogDamaged as error:
        report.problems.append(f"{error} Nothing behind this was checked.")
    return report


def iter_records(
    directory: Path,
    key: DecryptionKey,
    signing: VerifyKey,
    *,
    files: FileSystem = REAL_FILES,
    on_bytes: OnBytes | None = None,
) -> Iterator[StoredRecord]:
    """Every stored leaf, oldest first, a group in memory at a time; may run beside a daemon. Raises LogDamaged."""
    for segment, group, tree in _groups(files, directory, key, signing, Report(), on_bytes):
        for index, leaf in enumerate(group.leaves, start=tree.size - len(group.leaves)):
            yield StoredRecord(segment.number, leaf.offset, index, leaf.kind, leaf.payload)


def _groups(
    files: FileSystem,
    directory: Path,
    key: DecryptionKey,
    signing: VerifyKey,
    report: Report,
    on_bytes: OnBytes | None,
    on_dropped: Callable[[Dropped], None] | None = None,
) -> Iterator[tuple[Segment, Group, Frontier]]:
    """Every settled group with the tree after it. Raises LogDamaged where recovery would refuse."""
    tree, length, before = Frontier(), 0, 0
    with _readable(directory):
        numbers = list_segments(files, directory)
        dropped = open_dropped(files, directory, key, signing)
    if dropped is not None:
        tree, length = dropped.tree, dropped.previous_bytes
        report.dropped_segments, report.dropped_records = dropped.number, dropped.tree.size
        report.dropped_ms = dropped.created_ms
        if on_dropped is not None:
            on_dropped(dropped)
    for number in numbers:
        path = segment_path(directory, number)
        with _readable(path):
            segment = open_segment(files, path, number, key, signing)
        with closing(segment.file), _readable(path):
            check_continues(segment, tree, length)
            replay = Replay(segment, start_of(segment), tree)
            for group in replay:
                yield segment, group, replay.tree
                if on_bytes is not None:
                    on_bytes(before + group.end.offset)
            tree = replay.tree
            extent = replay.extent(last=number == numbers[-1])
            length = extent.size
            before += length
        verdict = judge(extent, last=number == numbers[-1])
        if isinstance(verdict, Refusal):
            raise LogDamaged(segment.path, verdict.offset, verdict.sentence)
        if isinstance(verdict, Cut):
            report.unfinished_bytes = extent.size - verdict.at
        report.segments += 1
        report.root = tree.root()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What cannot be read is as good as damaged to whoever wants it proved."""
    try:
        yield
    except OSError as error:
        raise LogDamaged(path, 0, f"This cannot be read ({error.strerror or error}).") from error


class _Known:
    """What the leaves so far say: `ledger.Memory` without a log behind it."""

    def __init__(self) -> None:
        self.heads: dict[str, int] = {}
        self.tips: dict[Chain, Tip] = {}
        self.names: dict[bytes, str] = {}

    def head(self, room: str) -> int:
        return self.heads.get(room, 0)

    def tip(self, chain: Chain) -> Tip:
        return self.tips.get(chain, NO_TIP)

    def name_of(self, key_hash: bytes) -> str | None:
        return self.names.get(key_hash)


class _Check:
    """Counts and compares what the groups hold."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._known = _Known()
        self._keys: dict[bytes, VerifyKey] = {}

    def dropped(self, dropped: Dropped) -> None:
        """Go on from what was so when segments were dropped."""
        for _, fact in dropped.kept:
            if isinstance(fact, RoomFact):
                self._known.heads[fact.room] = fact.head
            elif isinstance(fact, ChainFact):
                self._known.tips[fact.room, fact.key_hash] = fact.seq, fact.hash
            elif isinstance(fact, DeviceFact):
                self._keys[fact.key_hash] = fact.key
                self._known.names[fact.key_hash] = fact.device.name

    def group(self, segment: Segment, group: Group, tree: Frontier, signing: VerifyKey) -> None:
        report = self._report
        report.commits += group.kind is RecordKind.COMMIT
        report.records += len(group.leaves)
        if group.note:
            report.checkpoints += 1
            try:  # size and root were compared while reading
                verify_checkpoint_untrusted(group.note, origin_of(segment.header.fingerprint), signing)
            except RemoteProtocolError:
                self._problem(segment, group.offset, "This checkpoint was not signed by this server for this log.")
        for leaf in group.leaves:
            try:
                self._leaf(read_fact(leaf.kind, leaf.payload))
            except (Malformed, Disagrees) as error:
                self._problem(segment, leaf.offset, sentence(error))

    def _leaf(self, fact: Fact) -> None:
        """Raises Disagrees."""
        if isinstance(fact, DeviceFact):
            self._keys[fact.key_hash] = fact.key
        staged = Staged(self._known)
        try:
            staged.admit(fact)
        finally:
            self._count(fact, staged)
        if isinstance(fact, MessageFact):
            key = self._keys.get(fact.statement.author)
            if key is None or not key.verify(STATEMENT_CONTEXT, fact.entry.statement, fact.entry.signature):
                raise Disagrees(f"The signature of {fact.entry.author} under this message is not genuine.")

    def _count(self, fact: Fact, staged: Staged) -> None:
        """Go on from what is there, also if it is wrong, so that one problem is one sentence."""
        known = self._known
        if isinstance(fact, DeviceFact):
            known.names.update(staged.names)
            return
        if isinstance(fact, ChainFact):
            known.tips.update(staged.tips)
            self._report.losses += 1
            return
        if (
            isinstance(fact, ModerationFact)
            and isinstance(fact.entry, ModerationEntry)
            and fact.entry.act is Act.LOST
        ):
            self._report.losses += 1
        known.heads[fact.entry.room] = fact.entry.seq
        if isinstance(fact, MessageFact):
            self._report.messages += 1
            known.tips[fact.entry.room, fact.statement.author] = fact.statement.seq, fact.hash

    def _problem(self, segment: Segment, offset: int, text: str) -> None:
        self._report.problems.append(str(LogDamaged(segment.path, offset, text)))
