"""The few things that the log asks of a disk, as an interface, and the real disk behind it.

Everything that the log's promises rest on passes through here, so that a test can lose, tear, reorder and refuse
any of it. It owns no rules: what follows from a failure is decided by whoever called.
"""

import os
from pathlib import Path
from typing import Final, Protocol

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700

# Without fdatasync (macOS) there is fsync, which does more. Either may fail, once, and is then not asked again.
_fdatasync = getattr(os, "fdatasync", os.fsync)


class File(Protocol):
    """An open file. Every method raises OSError."""

    def read(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, fewer only at the end of the file."""

    def write(self, offset: int, data: bytes) -> int:
        """Write some of `data` at `offset`; how many bytes, at least one."""

    def truncate(self, size: int) -> None: ...

    def sync_data(self) -> None:
        """Return once the contents, and a length that has grown, are on the disk (fdatasync)."""

    def sync(self) -> None:
        """Return once contents and everything about the file are on the disk (fsync)."""

    def size(self) -> int: ...

    def close(self) -> None: ...


class FileSystem(Protocol):
    """Files by path. Every method raises OSError."""

    def names(self, directory: Path) -> list[str]: ...

    def make_directory(self, directory: Path) -> None:
        """Make it if it is not there; its parent must be."""

    def open(self, path: Path, *, writable: bool) -> File: ...

    def create(self, path: Path) -> File:
        """Open for writing, empty, whatever was there before."""

    def rename(self, old: Path, new: Path) -> None: ...

    def remove(self, path: Path) -> None: ...

    def sync_directory(self, directory: Path) -> None:
        """Return once the names in it are on the disk."""


class RealFile:
    """A file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, offset: int, size: int) -> bytes:
        parts = []
        while size > 0 and (part := os.pread(self._descriptor, size, offset)):
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, offset: int, data: bytes) -> int:
        return os.pwrite(self._descriptor, data, offset)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)

    def sync_data(self) -> None:
        _fdatasync(self._descriptor)

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        os.close(self._descriptor)


class RealFiles:
    """The disk of this machine. What it makes is for its owner only."""

    def names(self, directory: Path) -> list[str]:
        return [path.name for path in directory.iterdir()]

    def make_directory(self, directory: Path) -> None:
        directory.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)

    def open(self, path: Path, *, writable: bool) -> RealFile:
        return RealFile(os.open(path, os.O_RDWR if writable else os.O_RDONLY))

    def create(self, path: Path) -> RealFile:
        return RealFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, _FILE_MODE))

    def rename(self, old: Path, new: Path) -> None:
        old.rename(new)

    def remove(self, path: Path) -> None:
        path.unlink()

    def sync_directory(self, directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


REAL_FILES: Final = RealFiles()
