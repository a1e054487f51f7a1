"""A disk in memory, for everything that a real one does rarely: refuse, run full, take half, forget, tear.

It knows what has been fsynced and what has not, so that it can be cut off from power at any moment and show what
could be left. Sectors are 512 bytes; each unsynced one is on the disk or not, whatever the order of the writes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path

SECTOR_BYTES = 512

Fault = Callable[[str, Path], OSError | None]


@dataclass
class Content:
    """A file's bytes as every process sees them, and as they are on the disk for sure."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""


class MemoryFile:
    """A `File` over a Content."""

    def __init__(self, disk: "MemoryFiles", path: Path, content: Content) -> None:
        self._disk = disk
        self._path = path
        self._content = content

    def read(self, offset: int, size: int) -> bytes:
        self._disk.call("read", self._path)
        return bytes(self._content.now[offset : offset + size])

    def write(self, offset: int, data: bytes) -> int:
        self._disk.wrote.append((self._path, offset, data))
        now = self._content.now
        room = self._disk.room_for(max(0, offset + len(data) - len(now)))
        taken = data[: len(data) - max(0, offset + len(data) - len(now)) + room]
        try:
            self._disk.call("write", self._path)
        except OSError:
            self._put(offset, data[: len(data) // 2])  # a failing disk may have taken some of it all the same
            raise
        if not taken and data:
            raise OSError(ENOSPC, "No space left on device")
        if self._disk.short_writes:
            taken = taken[: max(1, len(taken) // 2)]
        self._put(offset, taken)
        return len(taken)

    def _put(self, offset: int, data: bytes) -> None:
        now = self._content.now
        if data:
            now.extend(bytes(max(0, offset - len(now))))
            now[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        self._disk.call("truncate", self._path)
        del self._content.now[size:]

    def sync_data(self) -> None:
        self._disk.call("sync_data", self._path)
        self._content.synced = bytes(self._content.now)

    def sync(self) -> None:
        self._disk.call("sync", self._path)
        self._content.synced = bytes(self._content.now)

    def size(self) -> int:
        return len(self._content.now)

    def close(self) -> None:
        pass


class MemoryFiles:
    """A `FileSystem` with one directory. `calls` names every operation so far; `fault` may make any of them fail."""

    def __init__(self, contents: dict[str, bytes] | None = None) -> None:
        self.contents = {name: Content(bytearray(data), data) for name, data in (contents or {}).items()}
        self.durable_names = dict(self.contents)
        self.calls: list[tuple[str, Path]] = []
        self.wrote: list[tuple[Path, int, bytes]] = []  # everything that was ever asked to be written
        self.fault: Fault | None = None
        self.capacity: int | None = None
        self.short_writes = False

    def call(self, operation: str, path: Path) -> None:
        self.calls.append((operation, path))
        error = self.fault(operation, path) if self.fault else None
        if error is not None:
            raise error

    def room_for(self, growth: int) -> int:
        """How much of `growth` there is room for."""
        if self.capacity is None:
            return growth
        return max(0, min(growth, self.capacity - self.used))

    @property
    def used(self) -> int:
        return sum(len(content.now) for content in self.contents.values())

    def snapshot(self) -> dict[str, bytes]:
        """Every file as a process sees it."""
        return {name: bytes(content.now) for name, content in sorted(self.contents.items())}

    # The interface -------------------------------------------------------------------------------------------------

    def names(self, directory: Path) -> list[str]:
        self.call("names", directory)
        return list(self.contents)

    def make_directory(self, directory: Path) -> None:
        self.call("make_directory", directory)

    def open(self, path: Path, *, writable: bool) -> MemoryFile:
        self.call("open", path)
        if path.name not in self.contents:
            raise FileNotFoundError(path)
        return MemoryFile(self, path, self.contents[path.name])

    def create(self, path: Path) -> MemoryFile:
        self.call("create", path)
        content = self.contents.setdefault(path.name, Content())
        del content.now[:]
        return MemoryFile(self, path, content)

    def rename(self, old: Path, new: Path) -> None:
        self.call("rename", old)
        self.contents[new.name] = self.contents.pop(old.name)

    def remove(self, path: Path) -> None:
        self.call("remove", path)
        if path.name not in self.contents:
            raise FileNotFoundError(path)
        del self.contents[path.name]

    def sync_directory(self, directory: Path) -> None:
        self.call("sync_directory", directory)
        self.durable_names = dict(self.contents)

    # What a power cut leaves ---------------------------------------------------------------------------------------

    def unsynced_sectors(self) -> list[tuple[str, int]]:
        """Each sector of each file that holds something else than what was fsynced."""
        found = []
        for name, content in self.contents.items():
            for start in range(0, max(len(content.now), len(content.synced)), SECTOR_BYTES):
                end = start + SECTOR_BYTES
                if content.now[start:end] != content.synced[start:end]:
                    found.append((name, start))
        return found

    def after_power_cut(self, kept: set[tuple[str, int]] = frozenset(), *, names_kept: bool = False) -> "MemoryFiles":
        """The disk after the power went: what was fsynced, the unsynced sectors in `kept`, and zeros between them.

        `names_kept` says whether renames reached the disk without an fsync of their directory.
        """
        names = self.contents if names_kept else self.durable_names
        return MemoryFiles({name: _torn(name, content, kept) for name, content in names.items()})


def _torn(name: str, content: Content, kept: set[tuple[str, int]]) -> bytes:
    left = bytearray(content.synced)
    for start in range(0, max(len(content.now), len(left)), SECTOR_BYTES):
        if (name, start) in kept:
            sector = content.now[start : start + SECTOR_BYTES]
            left.extend(bytes(max(0, start + len(sector) - len(left))))
            left[start : start + len(sector)] = sector
    return bytes(left)
