"""A disk that writes down what it is asked to do, and every state in which a power cut could leave it.

The model is the weakest that POSIX allows. What was written to a file is on the disk for sure only after a sync of
that file, a name only after a sync of its directory. Until then each operation may have reached the disk or not,
whatever became of those before it; and of a write any of its sectors may, the others holding what was there before,
zeros, or what somebody else once had there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, product
from pathlib import Path
from random import Random

from tests.daemon.log.disks import MemoryFile, MemoryFiles

SECTOR_BYTES = 512
WINDOW = 3  # operations whose fates are enumerated together; those before are all on the disk, or all not
ALL_SUBSETS = 5  # of up to so many sectors of one write every subset is tried; of more, every run and every hole
STALE = bytes(range(256)) * 2


@dataclass(frozen=True)
class Write:
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    file: int
    size: int


@dataclass(frozen=True)
class Name:
    """A name is made for a file, or taken away (file None)."""

    name: str
    file: int | None


@dataclass(frozen=True)
class Rename:
    """A directory names files, not names: the new name is this file's, whatever became of the old one."""

    old: str
    new: str
    file: int


Operation = Write | Truncate | Name | Rename


@dataclass(frozen=True)
class Durable:
    """What is on the disk for sure."""

    contents: dict[int, bytes]
    names: dict[str, int]


class TracedFile(MemoryFile):
    """A file whose writes are written down."""

    def __init__(self, disk: "TracedFiles", path: Path, number: int) -> None:
        super().__init__(disk, path, disk.contents[path.name])
        self._traced = disk
        self._number = number

    def write(self, offset: int, data: bytes) -> int:
        self._traced.moment()
        count = super().write(offset, data)
        self._traced.pending.append(Write(self._number, offset, bytes(data[:count])))
        return count

    def truncate(self, size: int) -> None:
        self._traced.moment()
        super().truncate(size)
        self._traced.pending.append(Truncate(self._number, size))

    def sync_data(self) -> None:
        self._traced.moment()
        super().sync_data()
        self._traced.settle(self._number)

    def sync(self) -> None:
        self._traced.moment()
        super().sync()
        self._traced.settle(self._number)


class TracedFiles(MemoryFiles):
    """`on_moment` is called before each operation that changes something: the power may go there."""

    def __init__(self, contents: dict[str, bytes] | None = None) -> None:
        super().__init__(contents)
        self.pending: list[Operation] = []
        self.durable = Durable(dict(enumerate((contents or {}).values())), {})
        self.durable.names.update({name: number for number, name in enumerate(contents or {})})
        self.on_moment = lambda: None
        self._numbers = dict(self.durable.names)
        self._files = len(self._numbers)

    def moment(self) -> None:
        self.on_moment()

    def settle(self, number: int) -> None:
        """A sync of this file has returned."""
        content = self.durable.contents.get(number, b"")
        rest: list[Operation] = []
        for operation in self.pending:
            if isinstance(operation, Write | Truncate) and operation.file == number:
                content = _applied(content, operation)
            else:
                rest.append(operation)
        self.durable.contents[number] = content
        self.pending = rest

    def open(self, path: Path, *, writable: bool) -> MemoryFile:
        super().open(path, writable=writable)
        return TracedFile(self, path, self._numbers[path.name])

    def create(self, path: Path) -> MemoryFile:
        self.moment()
        super().create(path)
        if path.name in self._numbers:
            self.pending.append(Truncate(self._numbers[path.name], 0))
        else:
            self._numbers[path.name] = self._files
            self._files += 1
            self.pending.append(Name(path.name, self._numbers[path.name]))
        return TracedFile(self, path, self._numbers[path.name])

    def rename(self, old: Path, new: Path) -> None:
        self.moment()
        super().rename(old, new)
        self._numbers[new.name] = self._numbers.pop(old.name)
        self.pending.append(Rename(old.name, new.name, self._numbers[new.name]))

    def remove(self, path: Path) -> None:
        self.moment()
        super().remove(path)
        del self._numbers[path.name]
        self.pending.append(Name(path.name, None))

    def sync_directory(self, directory: Path) -> None:
        self.moment()
        super().sync_directory(directory)
        names = dict(self.durable.names)
        for operation in self.pending:
            _named(names, operation)
        self.durable.names.clear()
        self.durable.names.update(names)
        self.pending = [each for each in self.pending if isinstance(each, Write | Truncate)]

    def crash_states(self) -> Iterator[dict[str, bytes]]:
        """What a power cut now could leave. Some come twice."""
        before, window = self.pending[:-WINDOW], self.pending[-WINDOW:]
        for kept in (before, []) if before else ([],):
            for fates in product(*map(_fates, window)):
                yield self._state([*kept, *chain.from_iterable(fates)])

    def one_state(self, chance: Random) -> dict[str, bytes]:
        """One of the crash states, each operation's fate drawn by itself."""
        fates = [chance.choice(list(_fates(operation))) for operation in self.pending]
        return self._state(list(chain.from_iterable(fates)))

    def number_of(self, name: str) -> int | None:
        """The number of the file that has this name now."""
        return self._numbers.get(name)

    def _state(self, operations: list[Operation]) -> dict[str, bytes]:
        contents, names = dict(self.durable.contents), dict(self.durable.names)
        for operation in operations:
            if isinstance(operation, Write | Truncate):
                contents[operation.file] = _applied(contents.get(operation.file, b""), operation)
            else:
                _named(names, operation)
        return {name: contents.get(number, b"") for name, number in names.items()}


def _fates(operation: Operation) -> Iterator[tuple[Operation, ...]]:
    """What may become of one operation that was not synced."""
    yield ()
    if not isinstance(operation, Write):
        yield (operation,)
        return
    sectors = _sectors(operation)
    for kept in _subsets(len(sectors)):
        yield tuple(sectors[at] for at in kept)
    # the file has grown and what is there is not ours: zeros, or what was in these sectors before
    for junk in (b"\0" * SECTOR_BYTES, STALE):
        wrong = tuple(Write(each.file, each.offset, junk[: len(each.data)]) for each in sectors)
        yield wrong
        yield (*wrong[:-1], sectors[-1])


def _sectors(write: Write) -> list[Write]:
    """The parts of a write that reach the disk or not as one."""
    parts, at = [], 0
    while at < len(write.data):
        size = SECTOR_BYTES - (write.offset + at) % SECTOR_BYTES
        parts.append(Write(write.file, write.offset + at, write.data[at : at + size]))
        at += size
    return parts


def _subsets(count: int) -> Iterator[tuple[int, ...]]:
    """Non-empty subsets: all of a few sectors; of many, every beginning, every end, and all but one."""
    if count <= ALL_SUBSETS:
        for size in range(1, count + 1):
            yield from combinations(range(count), size)
        return
    for at in range(1, count + 1):
        yield tuple(range(at))
        yield tuple(range(count - at, count))
        yield tuple(each for each in range(count) if each != at - 1)


def _applied(content: bytes, operation: Write | Truncate) -> bytes:
    if isinstance(operation, Truncate):
        return content[: operation.size].ljust(operation.size, b"\0")
    filled = content.ljust(operation.offset, b"\0")
    return filled[: operation.offset] + operation.data + filled[operation.offset + len(operation.data) :]


def _named(names: dict[str, int], operation: Operation) -> None:
    if isinstance(operation, Name):
        if operation.file is None:
            names.pop(operation.name, None)
        else:
            names[operation.name] = operation.file
    elif isinstance(operation, Rename):
        names.pop(operation.old, None)
        names[operation.new] = operation.file
