"""What an opening log makes of the files it finds: the rules, as a pure function, and the walk that applies them.

The one thing that a crash can leave is an unfinished group at the end of the last segment: records of the group that
was being written when the power went, some sectors of them there and some not. Everything older was fsynced before
the first byte of that group was written. So a record of any later group, authentic and behind bytes that are not,
proves that those bytes were once on the disk and have been damaged since. That is never repaired here.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bisik_protocol.crypto.identity import DecryptionKey, VerifyKey
from bisikd.log.dropped import Dropped, open_dropped
from bisikd.log.errors import LogDamaged
from bisikd.log.files import FileSystem
from bisikd.log.merkle import Frontier
from bisikd.log.replay import Extent, Group, Position, Replay, start_of
from bisikd.log.segments import Segment, list_segments, look_at_segment, open_segment, segment_path


@dataclass(frozen=True, slots=True)
class Whole:
    """The segment ends where a group ends."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Behind `at` lies an unfinished group that was never acknowledged: it is to be cut off."""

    at: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was stored is damaged from `offset` on: nothing is to be changed."""

    offset: int
    sentence: str


def judge(extent: Extent, *, last: bool) -> Whole | Cut | Refusal:
    """The recovery rules of docs/log.md, all of them."""
    if extent.settled.offset == extent.size:
        return Whole()
    if not last:
        return Refusal(extent.sound_end, "Damaged here, and only the last segment may have an unfinished end.")
    behind = extent.newest_group_behind
    if behind is not None and behind > extent.settled.group + 1:
        return Refusal(extent.sound_end, "Damaged here: what was stored later lies whole behind it.")
    return Cut(extent.settled.offset)


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading may begin, because everything before it has been read before and is in the index."""

    number: int
    position: Position
    tree: Frontier


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is known once all segments have been read."""

    last_number: int  # 0: there is no segment
    last_bytes: int  # the length of the last segment, on the disk
    tree: Frontier


def recover(
    files: FileSystem,
    directory: Path,
    key: DecryptionKey,
    signing: VerifyKey,
    start: Start | None,
    on_group: Callable[[Segment, Group, Frontier], None],
    on_dropped: Callable[[Dropped], None] = lambda dropped: None,
) -> Recovered:
    """Read what lies behind `start`, hand each settled group on, and cut off an unfinished end.

    Without a start, what is no longer kept comes first.

    Raises LogDamaged, having changed nothing, wherever the rules refuse; OSError if the disk does.
    """
    tree, length = start.tree if start else Frontier(), 0
    numbers = list_segments(files, directory)
    dropped = open_dropped(files, directory, key, signing) if start is None else None
    if start is not None:
        _check_older(files, directory, numbers[0], start.number, signing)
    if dropped is not None:
        tree, length = dropped.tree.copy(), dropped.previous_bytes
        on_dropped(dropped)
    for number in [number for number in numbers if start is None or number >= start.number]:
        path = segment_path(directory, number)
        segment = open_segment(files, path, number, key, signing)
        with closing(segment.file):
            if number == numbers[-1]:
                segment.file.sync()  # a killed process may have left whole groups that are only in memory yet
            if start and number == start.number:
                replay = Replay(segment, start.position, tree)
            else:
                check_continues(segment, tree, length)
                replay = Replay(segment, start_of(segment), tree)
            for group in replay:
                on_group(segment, group, replay.tree)
            tree = replay.tree
            extent = replay.extent(last=number == numbers[-1])
        verdict = judge(extent, last=number == numbers[-1])
        if isinstance(verdict, Refusal):
            raise LogDamaged(path, verdict.offset, verdict.sentence)
        if isinstance(verdict, Cut):
            _cut(files, path, verdict.at)
        length = verdict.at if isinstance(verdict, Cut) else extent.size
    return Recovered(numbers[-1] if numbers else 0, length, tree)


def _check_older(files: FileSystem, directory: Path, oldest: int, newest: int, signing: VerifyKey) -> None:
    """Raises LogDamaged unless every segment up to `newest` is there, genuine, and as long as the next one says.

    A small read each: it finds what was lost, cut, replaced or mixed up among segments that need not be read again.
    What has changed inside them shows when it is read, or to `verify`.
    """
    length = tree_size = 0
    for number in range(oldest, newest + 1):
        path = segment_path(directory, number)
        header, size = look_at_segment(files, path, number, signing)
        if header.previous_bytes != length and (number > oldest or oldest == 1):
            previous = segment_path(directory, number - 1)
            wrong = f"This segment is {length} bytes long, and was {header.previous_bytes} when the next one began."
            raise LogDamaged(previous, min(length, header.previous_bytes), wrong)
        if header.tree_size < tree_size:
            raise LogDamaged(path, 0, "This segment belongs to another history of the log than the one before it.")
        length, tree_size = size, header.tree_size


def check_continues(segment: Segment, tree: Frontier, previous_bytes: int) -> None:
    """Raises LogDamaged unless the segment's header names exactly what lies before it."""
    if (segment.header.tree_size, segment.header.root) != (tree.size, tree.root()):
        sentence = (
            f"This segment continues a log of {segment.header.tree_size} records, and before it lie {tree.size}."
        )
        if segment.header.tree_size == tree.size:
            sentence = "This segment continues other records than those before it."
        raise LogDamaged(segment.path, 0, sentence)
    if segment.header.previous_bytes != previous_bytes:
        sentence = (
            f"The segment before this one was {segment.header.previous_bytes} bytes long, and is {previous_bytes}."
        )
        raise LogDamaged(segment.path, 0, sentence)


def _cut(files: FileSystem, path: Path, at: int) -> None:
    """Cut off the end, on the disk when this returns: the next segment must never exist beside an uncut one."""
    with closing(files.open(path, writable=True)) as file:
        file.truncate(at)
        file.sync()
