"""File systems that fail at a chosen call: a process that dies there, a disk that refuses, a power failure after it.

Calls are counted from 0 over everything that a caller asks of files and file system, in the order it asks. A write
at the start of a file takes half of what it is given, so that "in the middle of a write" is among the places.
"""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bisikd.log.files import REAL_FILES, File, FileSystem

T = TypeVar("T")


class Killed(BaseException):
    """The process is gone: not an Exception, so that nothing in it goes on by catching it."""


class FailingFiles:
    """The real disk until call `at`. Then that call and, if `dead`, all later ones fail without doing anything."""

    def __init__(self, at: int | None = None, *, dead: bool = False, real: FileSystem = REAL_FILES) -> None:
        self.calls: list[str] = []
        self._at = at
        self._dead = dead
        self._real = real

    def step(self, name: str, act: Callable[[], T]) -> T:
        here = len(self.calls)
        self.calls.append(name)
        if self._at is not None:
            if self._dead and here >= self._at:
                raise Killed
            if here == self._at:
                raise OSError(errno.EIO, "Input/output error")
        return act()

    def names(self, directory: Path) -> list[str]:
        return self.step("names", lambda: self._real.names(directory))

    def make_directory(self, directory: Path) -> None:
        self.step(f"make {directory.name}", lambda: self._real.make_directory(directory))

    def open(self, path: Path, *, writable: bool) -> File:
        return self.step(f"open {path.name}", lambda: FailingFile(self, self._real.open(path, writable=writable)))

    def create(self, path: Path) -> File:
        return self.step(f"create {path.name}", lambda: FailingFile(self, self._real.create(path)))

    def rename(self, old: Path, new: Path) -> None:
        self.step(f"rename {old.name} to {new.name}", lambda: self._real.rename(old, new))

    def remove(self, path: Path) -> None:
        self.step(f"remove {path.name}", lambda: self._real.remove(path))

    def sync_directory(self, directory: Path) -> None:
        self.step(f"sync directory {directory.name}", lambda: self._real.sync_directory(directory))


class FailingFile:
    def __init__(self, files: FailingFiles, real: File) -> None:
        self._files = files
        self._real = real

    def read(self, offset: int, size: int) -> bytes:
        return self._files.step("read", lambda: self._real.read(offset, size))

    def write(self, offset: int, data: bytes) -> int:
        some = data[: len(data) // 2] if offset == 0 and len(data) > 16 else data
        return self._files.step("write", lambda: self._real.write(offset, some))

    def truncate(self, size: int) -> None:
        self._files.step("truncate", lambda: self._real.truncate(size))

    def sync_data(self) -> None:
        self._files.step("sync", self._real.sync_data)

    def sync(self) -> None:
        self._files.step("sync", self._real.sync)

    def size(self) -> int:
        return self._files.step("size", self._real.size)

    def close(self) -> None:
        # A process that dies has its descriptors closed for it; a close that fails has closed all the same.
        try:
            self._files.step("close", lambda: None)
        finally:
            self._real.close()


def each_call(act: Callable[[FailingFiles], object]) -> Iterator[int]:
    """The numbers of all calls that `act` makes of a disk on which nothing fails; it is run once to find out."""
    files = FailingFiles()
    act(files)
    yield from range(len(files.calls))


class PaperDisk:
    """A disk that remembers what was fsynced, and whose power can fail.

    Contents become durable by a file's sync, names by sync_directory. `after_power_failure` lists the worst and the
    best that can be left: each content as it was synced, half written, or as it was written; the names old or new.
    """

    def __init__(self) -> None:
        self._written: list[bytes] = []  # by file, as programs see it
        self._synced: list[bytes] = []
        self._names: dict[Path, int] = {}
        self._synced_names: dict[Path, int] = {}

    def after_power_failure(self) -> Iterator[dict[Path, bytes]]:
        contents = (self._synced, [written[: len(written) // 2] for written in self._written], self._written)
        for names in (self._synced_names, self._names):
            for content in contents:
                yield {
                    path: self._synced[file] if self._synced[file] == self._written[file] else content[file]
                    for path, file in names.items()
                }

    def names(self, directory: Path) -> list[str]:
        return [path.name for path in self._names if path.parent == directory]

    def make_directory(self, directory: Path) -> None:
        raise NotImplementedError

    def open(self, path: Path, *, writable: bool) -> "PaperFile":
        return PaperFile(self._written, self._synced, self._names[path])

    def create(self, path: Path) -> "PaperFile":
        file = self._names.setdefault(path, len(self._written))
        if file == len(self._written):
            self._written.append(b"")
            self._synced.append(b"")
        self._written[file] = b""
        return self.open(path, writable=True)

    def rename(self, old: Path, new: Path) -> None:
        self._names[new] = self._names.pop(old)

    def remove(self, path: Path) -> None:
        del self._names[path]

    def sync_directory(self, directory: Path) -> None:
        self._synced_names = dict(self._names)


class PaperFile:
    def __init__(self, written: list[bytes], synced: list[bytes], file: int) -> None:
        self._written = written
        self._synced = synced
        self._file = file

    def read(self, offset: int, size: int) -> bytes:
        return self._written[self._file][offset : offset + size]

    def write(self, offset: int, data: bytes) -> int:
        before = self._written[self._file].ljust(offset, b"\0")
        self._written[self._file] = before[:offset] + data + before[offset + len(data) :]
        return len(data)

    def truncate(self, size: int) -> None:
        self._written[self._file] = self._written[self._file][:size]

    def sync_data(self) -> None:
        self._synced[self._file] = self._written[self._file]

    def sync(self) -> None:
        self.sync_data()

    def size(self) -> int:
        return len(self._written[self._file])

    def close(self) -> None:
        pass
