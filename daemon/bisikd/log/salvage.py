"""Copying what is provably whole out of a damaged log into a new one, and saying what is missing.

A record is provably whole by itself: it opens under its segment's key at its own place, and a message also carries
its author's signature. Such records are copied in order, byte for byte as their authors and readers know them. Where
numbers are missing, an entry that says "lost" takes the place of each, and a CHAIN that of lost statements, so that
the new log keeps every rule and hides nothing. It is another log: its tree is another, and clients will say so.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bisik_protocol.chat.messages import OPERATOR, Act, ModerationEntry
from bisik_protocol.chat.statements import STATEMENT_CONTEXT
from bisik_protocol.crypto.identity import DecryptionKey, ServerIdentity, VerifyKey
from bisikd.log.dropped import open_dropped
from bisikd.log.errors import LogDamaged, LogError, sentence
from bisikd.log.facts import (
    ChainFact,
    DeviceFact,
    Fact,
    Kept,
    MessageFact,
    RoomFact,
    chain_record,
    device_record,
    entry_record,
    read_fact,
)
from bisikd.log.files import REAL_FILES, FileSystem
from bisikd.log.format import Malformed, Record
from bisikd.log.replay import Leaf, find_record, read_records, start_of
from bisikd.log.segments import Segment, dropped_number, open_segment, segment_numbers, segment_path
from bisikd.log.store import Log

GROUP_RECORDS: Final = 200
MAX_SENTENCES: Final = 1000  # of one kind in a report; the counts go on
Devices = Mapping[bytes, bytes]  # hash of a key -> modulus


@dataclass(slots=True)
class SalvageReport:
    """What was copied, and what could not be. The lists hold sentences that name file and bytes."""

    copied: int = 0  # leaves of the old log
    messages: int = 0
    lost_entries: dict[str, int] = field(default_factory=dict)  # room -> numbers that are marked as lost
    dropped_entries: dict[str, int] = field(
        default_factory=dict
    )  # room -> numbers that were dropped before, not lost
    lost_links: int = 0  # places where a device's chain goes on across a loss
    damage: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not (self.damage or self.left_out or self.lost_entries or self.lost_links)


def salvage_log(
    source: Path,
    destination: Path,
    identity: ServerIdentity,
    *,
    now_ms: Callable[[], int],
    devices: Devices | None = None,
    files: FileSystem = REAL_FILES,
) -> SalvageReport:
    """Copy the log in `source` into a new one in `destination`, which is not there yet. `source` is not changed.

    `devices` are keys known from elsewhere, for authors whose DEVICE is lost. Raises LogError, OSError.
    """
    if destination.exists() and any(destination.iterdir()):
        raise LogError(f"{destination} is not empty, and was left as it is. Name a directory that is not there yet.")
    report = SalvageReport()
    keys = identity.decryption, identity.signing.public
    known = dict(devices or {})
    dropped = _dropped(files, source, *keys, report)
    known |= {fact.key_hash: fact.device.modulus for fact in dropped if isinstance(fact, DeviceFact)}
    for _, leaf in _leaves(files, source, *keys, SalvageReport()):
        fact = _fact(leaf)
        if isinstance(fact, DeviceFact):
            known[fact.key_hash] = fact.device.modulus
    log = Log.open(destination, identity, now_ms=now_ms)
    try:
        copy = _Copy(log, known, report, {fact.room: fact.head for fact in dropped if isinstance(fact, RoomFact)})
        copy.begin_behind()
        for segment, leaf in _leaves(files, source, *keys, report):
            copy.take(segment, leaf)
        copy.flush()
    finally:
        log.close()
    return report


def _dropped(
    files: FileSystem, directory: Path, key: DecryptionKey, signing: VerifyKey, report: SalvageReport
) -> list[Kept]:
    """What is known of segments that were dropped."""
    try:
        dropped = open_dropped(files, directory, key, signing)
    except LogDamaged as error:
        _say(report.damage, f"{error} Nothing is known of what was dropped before.")
        return []
    return [fact for _, fact in dropped.kept] if dropped else []


def _leaves(
    files: FileSystem, directory: Path, key: DecryptionKey, signing: VerifyKey, report: SalvageReport
) -> Iterator[tuple[Segment, Leaf]]:
    """Every leaf that opens, in order; what does not is reported."""
    numbers = segment_numbers(files, directory)
    if not numbers:
        raise LogError(f"There is no segment of a log in {directory}.")
    for number in range(dropped_number(files, directory) + 1, numbers[-1] + 1):
        path = segment_path(directory, number)
        try:
            segment = open_segment(files, path, number, key, signing)
        except LogDamaged as error:
            _say(report.damage, f"{error} Nothing in this segment can be read.")
            continue
        with closing(segment.file):
            for leaf in _leaves_of(segment, report):
                yield segment, leaf


def _leaves_of(segment: Segment, report: SalvageReport) -> Iterator[Leaf]:
    size = segment.file.size()
    at: int | None = start_of(segment).offset
    while at is not None:
        end = at
        for offset, record in read_records(segment, at, size):
            end = offset + record.length
            if record.kind.is_leaf:
                yield Leaf(offset, record.kind, record.payload, record.leaf)
        at = find_record(segment, end, size) if end < size else None
        if end < size:
            _say(report.damage, f"{segment.path}, bytes {end} to {(at or size) - 1}: No record can be read here.")


def _fact(leaf: Leaf) -> Fact | None:
    try:
        return read_fact(leaf.kind, leaf.payload)
    except Malformed:
        return None


class _Copy:
    """Appends leaves to the new log so that it keeps its rules."""

    def __init__(self, log: Log, devices: Devices, report: SalvageReport, floors: Mapping[str, int]) -> None:
        self._log = log
        self._devices = devices
        self._report = report
        self._keys: dict[bytes, VerifyKey] = {}
        self._names: dict[bytes, str] = {}
        self._floors = floors  # up to here a room's entries were dropped before
        self._heads: dict[str, int] = {}
        self._tips: dict[tuple[str, bytes], tuple[int, bytes]] = {}
        self._group: list[Record] = []

    def begin_behind(self) -> None:
        """Mark what had been dropped, so that rooms go on where they were."""
        for room, head in self._floors.items():
            self._mark(room, head + 1, 0)

    def take(self, segment: Segment, leaf: Leaf) -> None:
        """The next leaf of the old log."""
        try:
            fact = read_fact(leaf.kind, leaf.payload)
            if isinstance(fact, MessageFact):
                self._vouch(fact)
        except Malformed as error:
            _say(self._report.left_out, str(LogDamaged(segment.path, leaf.offset, sentence(error))))
            return
        if isinstance(fact, DeviceFact):
            self._names[fact.key_hash] = fact.device.name
        elif isinstance(fact, ChainFact):
            self._tips[fact.room, fact.key_hash] = fact.seq, fact.hash
        elif not self._make_room(fact):
            _say(
                self._report.left_out,
                f"{segment.path}, byte {leaf.offset}: This number of {fact.entry.room} is there.",
            )
            return
        self._group.append(Record(leaf.kind, leaf.payload))
        self._report.copied += 1
        self._report.messages += isinstance(fact, MessageFact)
        if len(self._group) >= GROUP_RECORDS:
            self.flush()

    def flush(self) -> None:
        self._log.append(self._group)
        self._group = []

    def _vouch(self, fact: MessageFact) -> None:
        """Raises Malformed unless the author's signature is genuine. Gives the author their key where it was lost."""
        author, entry = fact.statement.author, fact.entry
        if author not in self._keys:
            if author not in self._devices:
                raise Malformed(f"the key of {entry.author} is lost, so nothing proves this message")
            self._keys[author] = VerifyKey.from_modulus_untrusted(self._devices[author])
        if not self._keys[author].verify(STATEMENT_CONTEXT, entry.statement, entry.signature):
            raise Malformed(f"the signature of {entry.author} under this message is not genuine")
        if self._names.get(author) != entry.author:
            self._names[author] = entry.author
            self._group.append(device_record(entry.author, self._devices[author], entry.time))

    def _make_room(self, fact: Fact) -> bool:
        """Mark what is missing before an entry; False if something has its number already."""
        assert not isinstance(fact, DeviceFact | ChainFact)  # noqa: S101 # `take` has told them apart
        entry = fact.entry
        head = self._heads.get(entry.room, 0)
        if entry.seq <= head:
            return False
        self._mark(entry.room, entry.seq, entry.time)
        self._heads[entry.room] = entry.seq
        if isinstance(fact, MessageFact):
            self._link(fact)
        return True

    def _mark(self, room: str, before: int, time_ms: int) -> None:
        """Take every free number of a room below `before` with an entry that says why nothing stands there."""
        for seq in range(self._heads.get(room, 0) + 1, before):
            gone = seq <= self._floors.get(room, 0)
            act, counts = (
                (Act.DROPPED, self._report.dropped_entries) if gone else (Act.LOST, self._report.lost_entries)
            )
            self._group.append(entry_record(ModerationEntry(room, seq, time_ms, OPERATOR, act, "", None, "")))
            counts[room] = counts.get(room, 0) + 1
            if len(self._group) >= GROUP_RECORDS:
                self.flush()
        self._heads[room] = max(self._heads.get(room, 0), before - 1)

    def _link(self, fact: MessageFact) -> None:
        statement, chain = fact.statement, (fact.entry.room, fact.statement.author)
        before = statement.seq - 1, statement.previous
        if self._tips.get(chain, (0, bytes(32))) != before:
            self._group.append(chain_record(ChainFact(*chain, *before)))
            self._report.lost_links += 1
        self._tips[chain] = statement.seq, fact.hash


def _say(sentences: list[str], text: str) -> None:
    if len(sentences) < MAX_SENTENCES:
        sentences.append(text)
