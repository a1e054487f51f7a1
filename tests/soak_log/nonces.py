"""Key and nonce audit: every record that is ever sealed, through full disks, failures, kills and torn writes.

The cipher is replaced by one that writes down under which key and nonce it is asked to seal, and seals nothing: that
makes millions of records affordable. Under the first key that meets a nonce twice with other bytes, the audit fails.
Segments, keys, counters and recovery are the real ones.
"""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from errno import EIO, ENOSPC
from pathlib import Path
from random import Random
from unittest.mock import patch

from bisikd.log.errors import LogDamaged, LogError, LogFull
from bisikd.log.format import TAG_BYTES, Record, RecordKind
from bisikd.log.merkle import Frontier
from bisikd.log.recovery import recover
from bisikd.log.replay import Group
from bisikd.log.segments import Segment, create_segment
from bisikd.log.writer import SegmentWriter
from tests.daemon.log.bench import DIRECTORY, IDENTITY, KEY, SIGNING
from tests.daemon.log.disks import MemoryFiles
from tests.soak_log.campaign import Budget, Result

RECORD = Record(RecordKind.ENTRY, b"x")
GROUP_RECORDS = 400
LIFE_GROUPS = 60


class Audit:
    """Which nonces every key has met. A key's nonces rise, as a rule: the newest is enough then."""

    def __init__(self) -> None:
        self.sealed = 0
        self.newest: dict[bytes, int] = {}
        self.repeats = 0

    def cipher(self, key: bytes) -> "_WrittenDown":
        return _WrittenDown(self, key)


class _WrittenDown:
    """In place of AES-256-GCM: the text as it is, and a tag that fits every text."""

    def __init__(self, audit: Audit, key: bytes) -> None:
        self._audit = audit
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, aad: bytes) -> bytes:
        audit, number = self._audit, int.from_bytes(nonce)
        audit.sealed += 1
        if audit.newest.get(self._key, 0) >= number:
            audit.repeats += 1
        audit.newest[self._key] = number
        return data + bytes(TAG_BYTES)

    def decrypt(self, nonce: bytes, data: bytes, aad: bytes) -> bytes:
        return data[:-TAG_BYTES]


def run_nonces(budget: Budget, count: int) -> Result:
    """So many sealed records, in lives that end in crashes."""
    audit, chance = Audit(), Random(7)
    result = Result(wanted=count or 10_000_000, unit="sealed records")
    crashes = 0
    with ExitStack() as stack:
        stack.enter_context(patch("bisikd.log.sealing.AESGCM", audit.cipher))
        while audit.sealed < result.wanted and not budget.spent:
            files = MemoryFiles()
            with suppress(LogDamaged):  # under this cipher a torn record may seem whole, and is refused later
                for _ in range(chance.randrange(1, 6)):
                    files = _live(files, chance)
                    crashes += 1
    result.done = audit.sealed
    result.notes.append(f"{len(audit.newest):,} keys, {crashes:,} crashes, {audit.repeats} repeats")
    if audit.repeats:
        result.problem(f"a key has met a nonce twice, {audit.repeats} times")
    return result


def _live(files: MemoryFiles, chance: Random) -> MemoryFiles:
    """Recover, begin a segment, write, rotate, run full or fail; the disk as a crash leaves it."""
    files.fault = None
    tree, number, length = _recovered(files)
    writer = _begin(files, number + 1, length, tree)
    files.fault = _hard_times(chance)
    for _ in range(chance.randrange(LIFE_GROUPS)):
        try:
            writer.append([RECORD] * chance.choice((1, 7, GROUP_RECORDS, GROUP_RECORDS)))
            if chance.random() < 0.05:
                writer.sync()
                writer = _begin(files, writer.segment.number + 1, writer.size, writer.tree)
        except LogFull:
            continue
        except LogError:
            break
    files.fault = None
    kept = {sector for sector in files.unsynced_sectors() if chance.random() < 0.5}
    return files.after_power_cut(kept)


def _begin(files: MemoryFiles, number: int, previous_bytes: int, tree: Frontier) -> SegmentWriter:
    new = create_segment(
        files,
        DIRECTORY,
        number=number,
        created_ms=0,
        previous_bytes=previous_bytes,
        tree=tree,
        identity=IDENTITY,
        auditor=None,
        random=_random,
    )
    return SegmentWriter(new, tree)


def _recovered(files: MemoryFiles) -> tuple[Frontier, int, int]:
    def on_group(segment: Segment, group: Group, tree: Frontier) -> None:
        pass

    found = recover(files, DIRECTORY, KEY, SIGNING, None, on_group)
    return found.tree, found.last_number, found.last_bytes


def _hard_times(chance: Random) -> Callable[[str, Path], OSError | None]:
    def fault(operation: str, path: Path) -> OSError | None:
        if operation == "write" and chance.random() < 0.02:
            return OSError(ENOSPC, "full")
        if operation == "sync_data" and chance.random() < 0.01:
            return OSError(EIO, "failed")
        return None

    return fault


_drawn = Random(1)


def _random(count: int) -> bytes:
    """Keys and salts, cheaply; that real ones differ is the system's business."""
    return _drawn.randbytes(count)
