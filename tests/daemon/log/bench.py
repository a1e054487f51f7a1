"""A small log on a disk in memory, and reading it back through recovery alone.

Recovery is pure but for RSA; here each RSA result is remembered, so that a test can recover ten thousand variants of
one log in seconds. What is remembered is the real key's answer to the same bytes.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bisik_protocol.crypto.identity import DecryptionKey, EncryptionKey, ServerIdentity, VerifyKey
from bisikd.log import Log, LogPolicy, Record
from bisikd.log.format import RecordKind
from bisikd.log.merkle import Frontier
from bisikd.log.recovery import Start, recover
from bisikd.log.replay import Group
from bisikd.log.segments import Segment
from tests.daemon.log.disks import MemoryFiles
from tests.daemon.log.talk import START_MS, Talk
from tests.support.keys import server_identity

DIRECTORY = Path("/state/log")

_opened: list[Log] = []


def open_log(files: MemoryFiles, *, policy: LogPolicy | None = None) -> Log:
    """The log on this disk, with a clock that stands still and no index but in memory."""
    log = Log.open(
        DIRECTORY,
        IDENTITY,
        now_ms=lambda: START_MS,
        files=files,
        policy=policy or LogPolicy(),
        index_in_memory=True,
    )
    _opened.append(log)
    return log


class Clock:
    """Milliseconds that pass when told to."""

    def __init__(self) -> None:
        self.now = START_MS

    def __call__(self) -> int:
        return self.now


def open_real(directory: Path, **options: Any) -> Log:
    """The log in a real directory, with its index beside it."""
    log = Log.open(directory, server_identity(), **{"now_ms": Clock(), **options})
    _opened.append(log)
    return log


def forget(log: Log) -> None:
    """Let go of a log as a killed process does: nothing is written, only SQLite's handle is given back."""
    log._catalogue.close()
    log._shelf.close()


def forget_all() -> None:
    """Let go of every log that a test has left open."""
    while _opened:
        forget(_opened.pop())


class RememberingDecryptionKey(DecryptionKey):
    """Decrypts each ciphertext once."""

    __slots__ = ("_answers", "_public")

    def __init__(self, key: DecryptionKey) -> None:
        super().__init__(key._key)
        object.__setattr__(self, "_answers", {})
        object.__setattr__(self, "_public", key.public)

    @property
    def public(self) -> EncryptionKey:
        return self._public

    def decrypt(self, ciphertext: bytes) -> bytes | None:
        if ciphertext not in self._answers:
            self._answers[ciphertext] = super().decrypt(ciphertext)
        return self._answers[ciphertext]


class RememberingVerifyKey(VerifyKey):
    """Verifies each signature once."""

    __slots__ = ("_answers",)

    def __init__(self, key: VerifyKey) -> None:
        super().__init__(key.modulus, key._key)
        object.__setattr__(self, "_answers", {})

    def verify(self, context: bytes, message: bytes, signature: bytes) -> bool:
        question = context, message, signature
        if question not in self._answers:
            self._answers[question] = super().verify(*question)
        return self._answers[question]


KEY = RememberingDecryptionKey(server_identity().decryption)
SIGNING = RememberingVerifyKey(server_identity().signing.public)
IDENTITY = ServerIdentity(server_identity().signing, KEY)


@dataclass
class Reading:
    """What recovery handed on."""

    payloads: list[bytes] = field(default_factory=list)
    ends: list[tuple[int, int, RecordKind, int]] = field(default_factory=list)  # segment, end of group, kind, leaves
    starts: list[Start] = field(default_factory=list)  # behind each group

    def on_group(self, segment: Segment, group: Group, tree: Frontier) -> None:
        self.payloads += [leaf.payload for leaf in group.leaves]
        self.ends.append((segment.number, group.end.offset, group.kind, len(self.payloads)))
        self.starts.append(Start(segment.number, group.end, tree))


def read_back(files: MemoryFiles, start: Start | None = None) -> Reading:
    """Recover, from `start` on, and keep what it reads. Raises LogDamaged."""
    reading = Reading()
    recover(files, DIRECTORY, KEY, SIGNING, start, reading.on_group)
    return reading


@dataclass(frozen=True)
class Small:
    """A log of two segments and five groups, about 5 KB, and what it holds."""

    contents: dict[str, bytes]
    reading: Reading
    records: list[Record]
    closed: bool
    between: Start  # behind the first segment's last group, before the second segment

    @property
    def last(self) -> str:
        return max(self.contents)

    def ends(self, segment: int) -> list[tuple[int, int]]:
        """Where the groups of a segment end, and how many leaves the log has there."""
        return [(end, leaves) for number, end, _, leaves in self.reading.ends if number == segment]


def small_log(*, closed: bool) -> Small:
    """`closed`: shut down in order; else the process was killed after the last group."""
    talk, files = Talk(), MemoryFiles()
    groups = [
        [talk.register("tama")],
        [talk.join("tama")],
        [talk.join("budi"), talk.say("tama", "halo"), talk.leave("budi")],
        [talk.leave("tama")],
        [talk.join("tama"), talk.leave("tama")],
    ]
    log = open_log(files)
    for group in groups[:2]:
        log.append(group)
    log.close()
    log = open_log(files)
    for group in groups[2:]:
        log.append(group)
    if closed:
        log.close()
    records = [record for group in groups for record in group]
    reading = read_back(MemoryFiles(files.snapshot()))
    assert reading.payloads == [record.payload for record in records]
    between = [start for start in reading.starts if start.number == 1][-1]
    return Small(files.snapshot(), reading, records, closed, between)
