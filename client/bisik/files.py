"""Files that are either whole or not there, on every operating system.

It knows nothing of what the files mean. A write goes to a temporary file beside the target, to the disk, and then
takes the target's name in one step; the folder goes to the disk too where the system can do that.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Make `path` and what is missing above it; for its owner only, where the system has owners."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, readable by its owner only. Another process sees the old file or the new one."""
    temporary = _write_temporary(path, data)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def create_once(path: Path, data: bytes) -> bytes:
    """Make `path` hold `data`, unless some other process was quicker: what is in the file now, its or ours."""
    temporary = _write_temporary(path, data)
    try:
        try:
            path.hardlink_to(temporary)  # unlike a rename, it never takes the place of a file that is there
        except FileExistsError:
            return path.read_bytes()
        except (OSError, NotImplementedError):  # a file system without hard links
            if path.exists():
                return path.read_bytes()
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)
    return data


def _write_temporary(path: Path, data: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _sync_directory(directory: Path) -> None:
    with suppress(OSError):  # Windows cannot open a folder; some file systems cannot sync one
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
