"""What is in a backup: the files of a state directory as a tar, and a look into it as if it were a directory.

It owns which files belong to a backup and in which order they are taken, so that a copy made beside a running daemon
holds together: accounts before the log, because the log hears of a device first; segments rising, each as long as it
is when its turn comes, because segments only grow at their end. The index is left out: it is made anew.
"""

import io
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from bisikd.backup.sealed import BackupError, SealedReader
from bisikd.log.files import File
from bisikd.replace import is_leftover

MAX_FILES: Final = 1_000_000

_NOT_KEPT: Final = frozenset({"lock", "admin.sock", "identity.new", "lost+found"})
_INDEX: Final = "index.sqlite3"
_FIRST, _LAST = "users", "log"


def files_to_keep(state: Path) -> Iterator[Path]:
    """The files of a state directory, in the order in which they must be copied. Raises OSError."""
    top = sorted(path for path in state.iterdir() if path.name not in _NOT_KEPT)
    for path in sorted(top, key=lambda path: (path.name == _LAST, path.name != _FIRST, path.name)):
        yield from _walk(path)


def _walk(path: Path) -> Iterator[Path]:
    if is_leftover(path.name) or path.name.startswith(_INDEX):
        return
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        for inner in sorted(path.iterdir()):
            yield from _walk(inner)
    elif stat.S_ISREG(mode) and (path.parent.name != _LAST or path.suffix != ".unfinished"):
        yield path


def write_archive(state: Path, out: io.RawIOBase) -> int:
    """Write all files to `out`; how many. Raises OSError; FileNotFoundError where one went away meanwhile."""
    count = 0
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in files_to_keep(state):
            with path.open("rb") as file:
                info = tarfile.TarInfo(path.relative_to(state).as_posix())
                info.size, info.mode = file.seek(0, io.SEEK_END), 0o600
                file.seek(0)
                tar.addfile(info, file)  # takes `size` bytes, however long the file has become
            count += 1
    return count


class Archive:
    """The files of a backup, by their names in the state directory."""

    def __init__(self, reader: SealedReader) -> None:
        """Raises BackupError for anything but plain files below the directory."""
        self._reader = reader
        self.files: dict[str, tuple[int, int]] = {}  # where each begins in the plaintext, and its length
        try:
            with tarfile.open(fileobj=io.BufferedReader(reader), mode="r:") as tar:
                for info in tar:
                    self._take(info)
        except tarfile.TarError as error:
            raise BackupError(f"The backup's list of files makes no sense ({error}).") from None

    def _take(self, info: tarfile.TarInfo) -> None:
        path = PurePosixPath(info.name)
        if not info.isreg() or path.is_absolute() or ".." in path.parts or info.name in self.files:
            raise BackupError(f"The backup holds {info.name!r}, which no state directory has.")
        if len(self.files) >= MAX_FILES:
            raise BackupError("The backup holds more files than any state directory has.")
        self.files[info.name] = info.offset_data, info.size

    def read(self, name: str) -> bytes:
        """A whole file. Raises BackupError where there is none of that name."""
        if name not in self.files:
            raise BackupError(f"The backup holds no {name}.")
        start, size = self.files[name]
        return self._reader.read_at(start, size)

    def parts(self, name: str) -> Iterator[bytes]:
        """A file, in parts."""
        start, size = self.files[name]
        for offset in range(0, size, 1 << 20):
            yield self._reader.read_at(start + offset, min(1 << 20, size - offset))

    # As the file system that the log's verifier reads from

    def names(self, directory: Path) -> list[str]:
        paths = map(PurePosixPath, self.files)
        return [path.name for path in paths if path.parent == PurePosixPath(directory)]

    def open(self, path: Path, *, writable: bool) -> File:
        start, size = self.files.get(path.as_posix(), (0, -1))
        if writable or size < 0:
            raise FileNotFoundError(2, "There is no such file in the backup", str(path))
        return _ArchivedFile(self._reader, start, size)

    def make_directory(self, directory: Path) -> None:
        raise PermissionError(directory)

    def create(self, path: Path) -> File:
        raise PermissionError(path)

    def rename(self, old: Path, new: Path) -> None:
        raise PermissionError(old)

    def remove(self, path: Path) -> None:
        raise PermissionError(path)

    def sync_directory(self, directory: Path) -> None:
        raise PermissionError(directory)


class _ArchivedFile:
    """One file in a backup, to be read."""

    def __init__(self, reader: SealedReader, start: int, size: int) -> None:
        self._reader = reader
        self._start = start
        self._size = size

    def read(self, offset: int, size: int) -> bytes:
        return self._reader.read_at(self._start + offset, max(0, min(size, self._size - offset)))

    def write(self, offset: int, data: bytes) -> int:
        raise PermissionError

    def truncate(self, size: int) -> None:
        raise PermissionError

    def sync_data(self) -> None:
        raise PermissionError

    def sync(self) -> None:
        raise PermissionError

    def size(self) -> int:
        return self._size

    def close(self) -> None:
        """Nothing is held."""
